"""Who was told yes, whose disks hold the order by that, and what excuses its loss: what a store has promised so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from refsystem.protocol.log import Cursor
from simulator.cluster.disks import Disk


@dataclass(frozen=True, slots=True)
class Told:
    """A yes: at which level, by whom, and whose disks hold the order by that."""

    order_id: str
    level: str
    holders: tuple[str, ...]
    place: Cursor


class ToldOrders:
    """Every yes of one store. `dead` are nodes whose disk is lost, `off` those that a person said to be off."""

    def __init__(self) -> None:
        self.dead: list[str] = []
        self.off: list[str] = []
        self._all: list[Told] = []
        self._at: dict[Cursor, list[Told]] = {}
        self._forgiven: set[Told] = set()
        self._orders: set[str] = set()

    def __iter__(self) -> Iterator[Told]:
        return iter(self._all)

    def add(self, told: Told) -> None:
        """Somebody was told yes."""
        self._all.append(told)
        self._orders.add(told.order_id)
        self._at.setdefault(told.place, []).append(told)

    def at(self, place: Cursor) -> tuple[Told, ...]:
        """Every yes for the entry at `place`."""
        return tuple(self._at.get(place, ()))

    def is_known(self, order_id: str) -> bool:
        """Whether the order was told to anybody, in the branch that goes on."""
        return order_id in self._orders

    def declared_off(self, node_ids: Iterable[str]) -> None:
        """A person named another device: what only these had told by now is forgiven."""
        self.off += node_ids
        self._forgiven |= {told for told in self._all if self._fell(told)}

    def back_in(self, node_ids: Iterable[str]) -> None:
        """These are members again."""
        self.off = [node_id for node_id in self.off if node_id not in node_ids]

    def begin_branch(self, is_committed: Callable[[Cursor], bool]) -> None:
        """Another branch goes on; what it has not committed is known to nobody in it."""
        self._orders = {told.order_id for told in self._all if is_committed(told.place)}

    def excused(self, told: Told) -> bool:
        """R1 does not survive the loss of its device, nor a person who says that the device is gone. R2 is never excused."""
        return self._fell(told) or told in self._forgiven

    def would_lose(self, node_ids: Iterable[str], disks: Iterable[Disk]) -> bool:
        """Whether an R2 order would be on no device any more if these were lost: more than R2 promises to survive."""
        lost = {*node_ids, *self.dead, *self.off}
        left = [disk for disk in disks if disk.node_id not in lost]
        return any(told.level == "R2" and not any(disk.holds(told.place) for disk in left) for told in self._all)

    def _fell(self, told: Told) -> bool:
        return told.level == "R1" and all(holder in self.dead or holder in self.off for holder in told.holders)
