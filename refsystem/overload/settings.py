"""What a process is told about overload: which remedies are off, and a declared delay of its service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from refsystem.overload.priority import Priority
from refsystem.overload.remedies import Remedies

SERVERS_MAX, DELAY_MS_MAX = 10_000, 60_000
DELAY_EXAMPLE = "servers=4,ms=50,read_ms=5"


@dataclass(frozen=True, slots=True)
class ServiceDelay:
    """A declared capacity: `servers` workers, each busy for `ms` with an order or an act, for `read_ms` with a look.

    It stands for whatever a real store's slowest part is (a point of sale, a database), where the machine that a drill runs on
    is not to be that part. It lets `servers / ms` orders through, and no more.
    """

    servers: int
    ms: float
    read_ms: float = 0.0

    def of(self, priority: Priority) -> int:
        """How long a worker is busy with such a request, in microseconds."""
        return round((self.read_ms if priority is Priority.BROWSE else self.ms) * 1000)

    @property
    def orders_per_s(self) -> float:
        """The capacity, if nobody looks at anything."""
        return self.servers * 1000 / self.ms

    def text(self) -> str:
        """As `parse_service_delay` reads it."""
        return f"servers={self.servers},ms={self.ms:g},read_ms={self.read_ms:g}"


@dataclass(frozen=True, slots=True)
class OverloadSettings:
    """Of one process."""

    remedies: Remedies = field(default_factory=Remedies)
    delay: ServiceDelay | None = None


def parse_service_delay(text: str) -> ServiceDelay | None:
    """The delay in a text such as `servers=4,ms=50,read_ms=5`; None for an empty one. Raises `ValueError`."""
    if not text:
        return None
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    try:
        servers, ms, read_ms = int(fields.pop("servers")), float(fields.pop("ms")), float(fields.pop("read_ms", "0"))
    except (KeyError, ValueError):
        raise ValueError(f"must be like {DELAY_EXAMPLE}, not {text!r}") from None
    in_bounds = 1 <= servers <= SERVERS_MAX and 0 < ms <= DELAY_MS_MAX and 0 <= read_ms <= DELAY_MS_MAX
    if fields or not in_bounds:
        raise ValueError(
            f"must be like {DELAY_EXAMPLE}, with 1 to {SERVERS_MAX} servers and {DELAY_MS_MAX} ms at most, not {text!r}"
        )
    return ServiceDelay(servers, ms, read_ms)


DEFAULT_OVERLOAD = OverloadSettings()
"""Every remedy, and no declared delay."""


def read_overload(environment: Mapping[str, str]) -> OverloadSettings:
    """As `RUSHPROOF_OVERLOAD_OFF` and `RUSHPROOF_SERVICE_DELAY` say. Raises `ValueError` that names the variable."""
    name = "RUSHPROOF_OVERLOAD_OFF"
    try:
        remedies = Remedies.parse(environment.get(name, ""))
        name = "RUSHPROOF_SERVICE_DELAY"
        return OverloadSettings(remedies, parse_service_delay(environment.get(name, "")))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
