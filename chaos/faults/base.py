"""What every fault is: it begins, proves that it took effect, and is undone whatever happens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class FaultError(RuntimeError):
    """The fault could not be injected."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Whether a fault took effect, and what shows it."""

    proven: bool
    evidence: str


@dataclass(slots=True)
class Target:
    """What a fault hits: the name in the scenario, and the processes or links that it came to mean."""

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
