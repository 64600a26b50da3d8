"""What every fault is: it begins, proves that it took effect, and is undone whatever happens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

LATE_PROOF_S = 0.5


class FaultError(RuntimeError):
    """The fault could not be injected."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Whether a fault took effect, and what shows it."""

    proven: bool
    evidence: str


@dataclass(slots=True)
class Target:
    """What a fault hits: the name in the scenario, and the processes or links that it came to mean.

    `hits_primary` is for faults that call for another device to take over from the primary.
    """

    name: str
    resolved: str
    hits_primary: bool = False
    epoch_before: int | None = None
    disk_lost_node_ids: list[str] = field(default_factory=list)
    off_node_ids: list[str] = field(default_factory=list)


class Injected(Protocol):
    """A fault of a scenario on a running stack."""

    target: Target

    async def begin(self) -> None:
        """Inject; must be quick."""

    async def prove(self) -> Effect:
        """Whether it took effect."""

    async def undo(self) -> str:
        """Undo and say what was done; must work also when `begin` failed half-way."""


@runtime_checkable
class Lasting(Injected, Protocol):
    """A fault that is also proven at its end: whether its effect was there all through."""

    async def held(self) -> Effect:
        """Whether it was; asked just before `undo`, and only of a fault whose beginning was proven."""


def both(beginning: Effect, end: Effect) -> Effect:
    """The proof of the beginning and that of the end as one."""
    return Effect(beginning.proven and end.proven, f"{beginning.evidence}; {end.evidence}")


def with_delay(effect: Effect, late_s: float) -> Effect:
    """The effect; with the time by which its proof went on beyond the end of the fault, which is held until it is done."""
    if late_s < LATE_PROOF_S:
        return effect
    return Effect(effect.proven, f"{effect.evidence}; it lasted {late_s:.1f} s longer than planned, for this proof")
