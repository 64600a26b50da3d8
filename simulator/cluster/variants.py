"""Broken variants of the cluster: those of the protocol's objects, and those of the cloud's and the display's transactions."""

from __future__ import annotations

from dataclasses import dataclass

from refsystem.protocol.broken import PROTOCOL_VARIANTS
from refsystem.protocol.device import SOUND, Parts
from simulator.cluster.schedule_checks import ScheduleError, shown


@dataclass(frozen=True, slots=True)
class ClusterVariant:
    """One clause left out. `parts` are the devices' objects; the flags are rules of the cloud, the display and the disks."""

    name: str
    breaks: str
    parts: Parts = SOUND
    numbers_under_lock: bool = True
    cursor_in_transaction: bool = True
    syncs: bool = True


def _breaks(parts: Parts) -> str:
    changed = next(part for part in _classes(parts) if part not in _classes(SOUND))
    return (changed.__doc__ or "").split("\n")[0].removeprefix("Breaks ").rstrip(".")


def _classes(parts: Parts) -> tuple[type, ...]:
    return (parts.replica, parts.log, parts.admission, parts.downlink, parts.kitchen_feed, parts.uplink_feed)


SOUND_VARIANT = ClusterVariant("", "nothing")
VARIANTS: dict[str, ClusterVariant] = {
    variant.name: variant
    for variant in (
        *(ClusterVariant(name, _breaks(parts), parts) for name, parts in PROTOCOL_VARIANTS.items()),
        ClusterVariant(
            "numbers-out-of-order", "P15: the cloud gives a number outside the store's lock", numbers_under_lock=False
        ),
        ClusterVariant(
            "cursor-outside-transaction",
            "P13, P14: a receiver's cursor moves before what it passes is stored",
            cursor_in_transaction=False,
        ),
        ClusterVariant("synchronous-normal", "P2: a flush is answered before it is synced", syncs=False),
    )
}


def find_variant(name: str | None) -> ClusterVariant:
    """The variant with this name; the sound one for None. Raises `ScheduleError`."""
    if name is None:
        return SOUND_VARIANT
    if not isinstance(name, str) or name not in VARIANTS:
        raise ScheduleError(f"there is no broken variant {shown(name)}; the variants are {', '.join(VARIANTS)}")
    return VARIANTS[name]
