"""What a store has of one ingredient, as one immutable value: its lots, and who may promise how much of it (P18)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.kitchen_errors import LOT_KNOWN, LOT_UNKNOWN, STOCK_TOO_LOW

FIRST, NEVER = 1, 99_991_231

Taken = tuple[tuple[str, int], ...]
"""`(lot_id, quantity)`: what came of which lot. An empty lot_id stands for what was taken though nothing was there."""


@dataclass(frozen=True, slots=True)
class Lot:
    """What is left of one delivery. `use_by` is a day as YYYYMMDD, 0 if it keeps; `seq` is the entry that received it."""

    lot_id: str
    quantity: int
    use_by: int
    seq: int

    @property
    def turn(self) -> tuple[int, int]:
        """Its place in the order in which lots are used: first expired, first out."""
        return self.use_by or NEVER, self.seq


@dataclass(frozen=True, slots=True)
class StockItem:
    """`owed` was taken though it was not there. `edge_rights` may be promised by the store, the rest of `on_hand` by the cloud.

    `received`, `sold`, `wasted` and `missing` (by counts; less than 0: found) are sums since the log began. Lots that are used
    up stay, so that what was voided goes back to where it came from, and no delivery counts twice. `kept`: somebody has received
    or counted it.
    """

    ingredient_id: str
    lots: tuple[Lot, ...] = ()
    owed: int = 0
    edge_rights: int = 0
    received: int = 0
    sold: int = 0
    wasted: int = 0
    missing: int = 0
    changed_seq: int = 0
    kept: bool = False

    @property
    def on_hand(self) -> int:
        """What is there; below 0 when more was taken than the log says there was."""
        return sum(lot.quantity for lot in self.lots) - self.owed

    @property
    def cloud_rights(self) -> int:
        """What the cloud may promise, as far as this log knows."""
        return self.on_hand - self.edge_rights

    def lot(self, lot_id: str) -> Lot:
        """A lot; raises `OrderRejected` when there is none."""
        for lot in self.lots:
            if lot.lot_id == lot_id:
                return lot
        raise OrderRejected(LOT_UNKNOWN, f"there is no lot {lot_id!r} of {self.ingredient_id}")

    def received_lot(self, lot_id: str, quantity: int, use_by: int, seq: int) -> StockItem:
        """With a delivery. What is owed is taken of it at once."""
        if any(lot.lot_id == lot_id for lot in self.lots):
            raise OrderRejected(LOT_KNOWN, f"lot {lot_id!r} of {self.ingredient_id} was received already")
        paid = min(self.owed, quantity)
        lots = (*self.lots, Lot(lot_id, quantity - paid, use_by, seq))
        return replace(
            self,
            lots=tuple(sorted(lots, key=lambda lot: lot.turn)),
            owed=self.owed - paid,
            edge_rights=self.edge_rights + quantity,
            received=self.received + quantity,
            kept=True,
        )

    def taken(self, quantity: int, lot_id: str = "") -> tuple[StockItem, Taken]:
        """Without `quantity`: of one lot, or of those whose turn it is; what is not there is owed. Rights are as before."""
        parts: list[tuple[str, int]] = []
        lots = []
        left = quantity
        for lot in self.lots:
            part = min(left, lot.quantity) if lot_id in ("", lot.lot_id) else 0
            left -= part
            if part:
                parts.append((lot.lot_id, part))
            lots.append(replace(lot, quantity=lot.quantity - part) if part else lot)
        if left:
            parts.append(("", left))
        return replace(self, lots=tuple(lots), owed=self.owed + left), tuple(parts)

    def put_back(self, parts: Taken, seq: int) -> StockItem:
        """With what was taken before and was not used. What came of no lot is used next."""
        lots = {lot.lot_id: lot for lot in self.lots}
        owed = self.owed
        for lot_id, quantity in parts:
            paid = min(owed, quantity)
            owed -= paid
            lot = lots.get(lot_id, Lot(lot_id, 0, FIRST, seq))
            if quantity > paid:
                lots[lot_id] = replace(lot, quantity=lot.quantity + quantity - paid)
        return replace(self, lots=tuple(sorted(lots.values(), key=lambda lot: lot.turn)), owed=owed)

    def wasted_of(self, quantity: int, lot_id: str = "") -> StockItem:
        """Without what was thrown away; raises `OrderRejected` when there is not as much."""
        there = self.lot(lot_id).quantity if lot_id else self.on_hand
        if quantity > there:
            raise OrderRejected(STOCK_TOO_LOW, f"{there} of {self.ingredient_id} are there, not {quantity}")
        item, _ = self.taken(quantity, lot_id)
        return replace(item, edge_rights=item.edge_rights - quantity, wasted=item.wasted + quantity)

    def counted(self, there: int, seq: int) -> StockItem:
        """With as much as somebody counted. Rights of the store's own make up for the difference: it alone can look."""
        difference = there - self.on_hand
        item = self
        if difference < 0:
            item, _ = self.taken(-difference)
        elif difference > 0:
            item = self.put_back((("", difference),), seq)
        rights = item.edge_rights + difference
        return replace(item, edge_rights=rights, missing=item.missing - difference, kept=True)
