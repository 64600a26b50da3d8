"""What every party is told through its environment, under a prefix of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refsystem.partners.misbehaviour import PlanT, read_plan
from refsystem.settings import HOST, Reader, SettingsError

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class BusinessTime:
    """By how much business time is squeezed."""

    time_scale: float = 1.0

    def scaled_us(self, seconds: float) -> int:
        """Business seconds as microseconds of real time."""
        return int(seconds * 1_000_000 / self.time_scale)


class PartnerReader(Reader):
    """Reads the settings of the party whose variables begin with `prefix`."""

    def __init__(self, prefix: str, environment: Mapping[str, str]) -> None:
        super().__init__(environment)
        self._prefix = prefix

    def data(self) -> Path:
        """The folder of its database: `<prefix>_DATA`."""
        return Path(self.text(f"{self._prefix}_DATA"))

    def host(self) -> str:
        """Where it serves: `<prefix>_HOST`."""
        return self.text(f"{self._prefix}_HOST", HOST)

    def signing_secret(self) -> bytes:
        """What it signs with: in the file of `<prefix>_SECRET_FILE`, which must be there."""
        name = f"{self._prefix}_SECRET_FILE"
        self.text(name)
        secret = self.secret(name)
        assert secret is not None, "it is named"
        return secret

    def ready_file(self) -> Path | None:
        """What it writes once it listens: `<prefix>_READY_FILE`."""
        name = self._environment.get(f"{self._prefix}_READY_FILE")
        return Path(name) if name else None

    def plan(self, plan: type[PlanT]) -> PlanT:
        """What it does wrong: `<prefix>_MISBEHAVIOUR`, JSON; without it nothing."""
        name = f"{self._prefix}_MISBEHAVIOUR"
        try:
            return read_plan(self._environment.get(name) or "{}", plan)
        except ValueError as error:
            raise SettingsError(f"{name}: {error}") from error

    def time_scale(self) -> float:
        """By how much business time is squeezed: `RUSHPROOF_TIME_SCALE`."""
        return self.number("RUSHPROOF_TIME_SCALE", "1", 0.001, 100_000)
