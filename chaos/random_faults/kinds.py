"""The kinds of fault that a seed may draw, each with what it hits and how it is drawn.

What a kind hits says which others it may share an episode with: two of an episode never hit the same thing, so that every
fault can be proven and undone by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import TypeAdapter

from chaos.random_faults.draws import Draws
from simulator.scenario import Fault
from simulator.scenario_faults import PlannedFault


class Place(Enum):
    """What a fault hits, links and processes together."""

    DINERS = "the diners' links"
    DEVICES = "the two devices"
    PEERS = "the link between the devices"
    ARBITER = "the arbiter and the way to it"
    WAN = "the way to the cloud"
    CLOUD = "the cloud and its database"
    KITCHEN = "the kitchen display and the way to it"
    PRINTER = "a store's printer"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. `draw` makes the fields beside name, store and times; it lasts `least_s` to `most_s`.

    A kind that `leads` makes a link slow: it begins before the others of its episode, which find orders in flight. A kind
    that `destroys` takes a device's files: it comes only when both devices are whole. What is of a printer is drawn only for a
    store that has one.
    """

    name: str
    places: frozenset[Place]
    draw: Callable[[Draws], Mapping[str, Any]]
    least_s: float = 1.0
    most_s: float = 5.0
    leads: bool = False
    destroys: bool = False
    database: bool = False
    lasts: bool = True

    @property
    def of_printer(self) -> bool:
        """Whether it is of a printer alone, and needs a store that has one."""
        return self.places == {Place.PRINTER}

    def fault(self, draws: Draws, at_s: float, for_s: float, store: str | None) -> Fault:
        """One fault of this kind; `store` is None where there is only one."""
        fields: dict[str, Any] = {"at_s": at_s, **self.draw(draws)}
        if self.lasts:
            fields["for_s"] = for_s
        if store is not None:
            fields["store"] = store
        return _FAULT.validate_python(fields)


_FAULT: TypeAdapter[Fault] = TypeAdapter(PlannedFault)

DEVICES = ("primary", "primary", "standby", "edge_a", "edge_b")
"""A device by role or by name; the primary is where the orders are."""

DINER_PROFILES = ("store_wifi_crowded", "store_wifi_far_corner", "3g_fast", "4g_fallback")
WAN_PROFILES = ("dsl", "3g_fast", "4g_fallback", "slow_4g", "fast_4g")
WRITING_DEVICE = frozenset({Place.DEVICES, Place.DINERS})
"""Trouble of a disk shows when something is written: on the primary, as long as orders reach it."""
STORE_PLACES = frozenset({Place.DEVICES, Place.PEERS, Place.ARBITER, Place.KITCHEN, Place.PRINTER})


def _kinds() -> Sequence[Kind]:
    return (
        *_slow_links(),
        *_cut_links(),
        *_devices(),
        *_others(),
        *_printers(),
    )


def _slow_links() -> Sequence[Kind]:
    return (
        _slow("slow peers", Place.PEERS, "edge_edge", 40, 260),
        _slow("slow arbiter link", Place.ARBITER, "edge_arbiter", 40, 300),
        _slow("slow database", Place.CLOUD, "cloud_database", 20, 120),
        _slow("slow kitchen link", Place.KITCHEN, "edge_kds", 40, 400),
        _profiled("weak dining room", Place.DINERS, "diner_edge", DINER_PROFILES),
        _profiled("weak mobile network", Place.DINERS, "diner_cloud", DINER_PROFILES),
        _profiled("weak WAN", Place.WAN, "edge_cloud", WAN_PROFILES),
    )


def _cut_links() -> Sequence[Kind]:
    return (
        _cut("peers apart", Place.PEERS, "edge_edge"),
        _cut("arbiter out of reach", Place.ARBITER, "edge_arbiter"),
        _cut("WAN outage", Place.WAN, "edge_cloud", 8.0),
        _cut("kitchen out of reach", Place.KITCHEN, "edge_kds"),
        _cut("database out of reach", Place.CLOUD, "cloud_database"),
        _cut("dining room without network", Place.DINERS, "diner_edge", 3.0),
        _cut("mobile network down", Place.DINERS, "diner_cloud"),
    )


def _devices() -> Sequence[Kind]:
    place = frozenset({Place.DEVICES})
    return (
        Kind("device killed", place, _on("process_killed", DEVICES)),
        Kind("device paused", place, _on("process_paused", DEVICES)),
        Kind("device restarted", place, _on("process_restarted", DEVICES), lasts=False),
        Kind("device without power", place, _on("power_cut", DEVICES)),
        Kind("store without power", STORE_PLACES, _on("power_cut", ("store",))),
        Kind("disk lost", place, _on("disk_lost", DEVICES), destroys=True),
        Kind("disk dead", WRITING_DEVICE, _on("disk_dead", ("primary",)), least_s=2.0, destroys=True),
        *_disk("device", "primary", WRITING_DEVICE),
        *_gray("device", DEVICES, Place.DEVICES),
    )


def _others() -> Sequence[Kind]:
    cloud = frozenset({Place.CLOUD})
    return (
        *_process("arbiter", Place.ARBITER),
        *_gray("arbiter", ("arbiter",), Place.ARBITER),
        *_process("cloud", Place.CLOUD),
        *_gray("cloud", ("cloud",), Place.CLOUD),
        *_process("kitchen", Place.KITCHEN),
        *_gray("kitchen", ("kitchen",), Place.KITCHEN),
        *_disk("kitchen", "kitchen", frozenset({Place.KITCHEN, Place.DINERS})),
        *_process("postgres", Place.CLOUD, database=True),
        Kind("postgres slow", cloud, _slowed(("postgres",)), least_s=2.0, database=True),
        Kind("postgres without connections", cloud, _on("connections_exhausted", ("postgres",)), database=True),
    )


def _printers() -> Sequence[Kind]:
    """What happens to a printer, each trouble a kind of its own: a seed may have a roll that ends and no jam."""
    return tuple(
        Kind(f"printer {words}", frozenset({Place.PRINTER}), _printer_trouble(trouble), least_s=2.0)
        for trouble, words in (
            ("paper_out", "out of paper"),
            ("jam", "jammed"),
            ("cover_open", "with an open cover"),
            ("hang", "hanging"),
            ("off", "without power"),
        )
    )


def _printer_trouble(trouble: str) -> Callable[[Draws], Mapping[str, Any]]:
    return lambda _: {"fault": "printer_trouble", "process": "printer", "trouble": trouble}


def _process(name: str, place: Place, *, database: bool = False) -> Sequence[Kind]:
    places = frozenset({place})
    return (
        Kind(f"{name} killed", places, _on("process_killed", (name,)), database=database),
        Kind(f"{name} paused", places, _on("process_paused", (name,)), database=database),
    )


def _gray(what: str, processes: Sequence[str], place: Place) -> Sequence[Kind]:
    """What a process may suffer without being gone."""
    places = frozenset({place})
    return (
        Kind(f"{what} slow", places, _slowed(processes), least_s=2.0),
        Kind(f"{what} restarted over and over", places, _looped(processes), least_s=3.0),
        Kind(f"{what} with a clock that jumps", places, _clock_jumped(processes)),
        Kind(f"{what} with a clock that drifts", places, _clock_drifted(processes)),
        Kind(f"{what} without descriptors", places, _on("descriptors_exhausted", processes), least_s=2.0),
    )


def _disk(what: str, process: str, places: frozenset[Place]) -> Sequence[Kind]:
    return (
        Kind(f"{what} disk full", places, _on("disk_full", (process,)), least_s=2.0),
        Kind(f"{what} disk slow", places, _disk_slowed(process), least_s=2.0),
        Kind(f"{what} disk erring", places, _disk_erring(process), least_s=2.0),
    )


def _slowed(processes: Sequence[str]) -> Callable[[Draws], Mapping[str, Any]]:
    return lambda draws: (
        _drawn("process_slow", processes, draws) | {"slow_factor": float(draws.whole("slow factor", 3, 10))}
    )


def _looped(processes: Sequence[str]) -> Callable[[Draws], Mapping[str, Any]]:
    return lambda draws: _drawn("restart_loop", processes, draws) | {"every_s": draws.seconds("every", 1.0, 1.5)}


def _clock_jumped(processes: Sequence[str]) -> Callable[[Draws], Mapping[str, Any]]:
    return lambda draws: (
        _drawn("clock_offset", processes, draws)
        | {"offset_s": draws.choice("offset", (-86_400.0, -3_600.0, -5.0, 5.0, 3_600.0, 86_400.0))}
    )


def _clock_drifted(processes: Sequence[str]) -> Callable[[Draws], Mapping[str, Any]]:
    return lambda draws: (
        _drawn("clock_drift", processes, draws)
        | {"drift_ppm": draws.choice("drift", (-1_000_000.0, -500_000.0, 500_000.0, 3_000_000.0))}
    )


def _disk_slowed(process: str) -> Callable[[Draws], Mapping[str, Any]]:
    return lambda draws: _drawn("disk_slow", (process,), draws) | {"delay_ms": float(draws.whole("delay", 20, 300))}


def _disk_erring(process: str) -> Callable[[Draws], Mapping[str, Any]]:
    return lambda draws: (
        _drawn("disk_erring", (process,), draws) | {"operation": draws.choice("operation", ("write", "sync"))}
    )


def _slow(name: str, place: Place, link: str, least_ms: int, most_ms: int) -> Kind:
    def draw(draws: Draws) -> Mapping[str, Any]:
        latency_ms = draws.whole("latency", least_ms, most_ms)
        jitter_ms = draws.whole("jitter", 0, latency_ms // 5)
        return {"fault": "link_weak", "link": link, "latency_ms": float(latency_ms), "jitter_ms": float(jitter_ms)}

    return Kind(name, frozenset({place}), draw, leads=True)


def _profiled(name: str, place: Place, link: str, profiles: Sequence[str]) -> Kind:
    def draw(draws: Draws) -> Mapping[str, Any]:
        return {"fault": "link_weak", "link": link, "profile": draws.choice("profile", profiles)}

    return Kind(name, frozenset({place}), draw, leads=True)


def _cut(name: str, place: Place, link: str, most_s: float = 5.0) -> Kind:
    def draw(draws: Draws) -> Mapping[str, Any]:
        direction = draws.choice("direction", ("both", "both", "to", "from"))
        return {"fault": "link_down", "link": link, "direction": direction}

    return Kind(name, frozenset({place}), draw, most_s=most_s)


def _on(fault: str, processes: Sequence[str]) -> Callable[[Draws], Mapping[str, Any]]:
    return lambda draws: _drawn(fault, processes, draws)


def _drawn(fault: str, processes: Sequence[str], draws: Draws) -> dict[str, Any]:
    return {"fault": fault, "process": draws.choice("process", processes)}


KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _kinds()}
