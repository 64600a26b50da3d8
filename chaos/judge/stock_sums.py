"""Was anything sold that was not there: what was received, against what the committed orders take by the run's own recipes.

The store's counters, lots and recipes in records are not believed: the sums are made anew from receipts, counts, waste,
voids and orders. What nobody has received or counted is not kept in stock, and cannot be oversold.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaos.judge.findings import Finding
from chaos.judge.ledger import StoreLedger
from chaos.judge.reads import StockRead
from refsystem.ordering.kitchen import Kitchen
from refsystem.ordering.store_rules import ONE_SLIP

NEVER_OVERSOLD = frozenset({"escrow", "edge_owned"})


@dataclass(frozen=True, slots=True)
class Short:
    """An order at entry `seq` took `quantity` of an ingredient that was not there any more."""

    ingredient_id: str
    order_id: str
    seq: int
    quantity: int


@dataclass
class StockSums:
    """What there is of each ingredient that is kept in stock, at the end of F(edge), and what was promised beyond it."""

    on_hand: dict[str, int] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    sold: dict[str, int] = field(default_factory=dict)
    shorts: list[Short] = field(default_factory=list)


def stock_sums(ledger: StoreLedger) -> StockSums:
    """The sums of one store."""
    return _Walk(ledger).sums


def oversold(ledger: StoreLedger, sums: StockSums) -> Iterator[Finding]:
    """Cases of the class: what the ingredient's policy says may never be promised, and rights to more than there is."""
    for short in sums.shorts:
        policy = _policy(ledger, short.ingredient_id)
        if policy in NEVER_OVERSOLD:
            received, sold = sums.received.get(short.ingredient_id, 0), sums.sold[short.ingredient_id]
            text = (
                f"entry {short.seq} takes {short.quantity} of {short.ingredient_id} ({policy}) that are not there: "
                f"{received} were received, {sold} sold in all"
            )
            yield Finding("oversold", ledger.store, short.order_id, "edge", text, short.order_id)
    if ledger.unsettled is None:
        yield from _promised(ledger, sums)


def optimistic_shorts(ledger: StoreLedger, sums: StockSums) -> Mapping[str, int]:
    """What was promised beyond what is there of ingredients for which that is counted only, by ingredient."""
    found: dict[str, int] = {}
    for short in sums.shorts:
        if _policy(ledger, short.ingredient_id) not in NEVER_OVERSOLD:
            found[short.ingredient_id] = found.get(short.ingredient_id, 0) + short.quantity
    return found


def _promised(ledger: StoreLedger, sums: StockSums) -> Iterator[Finding]:
    """What store and cloud say that they may still promise of what is in escrow, against what is there."""
    edge = ledger.primary.stock if ledger.primary is not None else None
    cloud = ledger.cloud.stock if ledger.cloud is not None else None
    if edge is None or cloud is None:
        return
    rights = {row.ingredient_id: row.store_rights for row in edge.ingredients}
    for name, there in sums.on_hand.items():
        if _policy(ledger, name) != "escrow":
            continue
        ours, theirs = max(0, rights.get(name, 0)), _cloud_rights(cloud, name)
        if ours + theirs > max(0, there):
            text = f"of {name} {there} are there; the store may promise {ours} and the cloud {theirs} of them"
            yield Finding("oversold", ledger.store, f"rights to {name}", "cloud", text)


def _cloud_rights(cloud: StockRead, name: str) -> int:
    return cloud.cloud_rights.get(name, 0) + sum(part.get(name, 0) for part in cloud.reserved.values())


def _policy(ledger: StoreLedger, ingredient_id: str) -> str:
    known = ledger.menu.ingredients_by_id.get(ingredient_id)
    return known.policy if known is not None else "optimistic"


class _Walk:
    """Goes through F(edge) once. The kitchen is asked only whether something that is voided was made already."""

    def __init__(self, ledger: StoreLedger) -> None:
        self.sums = StockSums()
        self._recipes = ledger.menu.recipes
        self._lots: set[tuple[str, str]] = set()
        self._lines: dict[str, list[tuple[int, list[tuple[str, int]]]]] = {}
        self._kitchen = Kitchen(ledger.menu, ledger.rules or ONE_SLIP)
        for seq in sorted(ledger.committed):
            record = ledger.committed[seq].record
            self._kitchen.apply(seq, record)
            with contextlib.suppress(
                KeyError, TypeError, ValueError, AttributeError
            ):  # what is damaged is another class
                self._step(seq, record)

    def _step(self, seq: int, record: Mapping[str, Any]) -> None:
        match record.get("act") if record.get("kind") == "act" else record.get("kind"):
            case "order":
                self._order(seq, record)
            case "receive":
                self._receive(str(record["ingredient_id"]), str(record["lot_id"]), int(record["quantity"]))
            case "count":
                self.sums.on_hand[str(record["ingredient_id"])] = int(record["counted"])
            case "waste":
                self._change(str(record["ingredient_id"]), -int(record["quantity"]))
            case "void":
                self._void(record)

    def _receive(self, name: str, lot_id: str, quantity: int) -> None:
        if (name, lot_id) in self._lots:
            return  # a lot counts once
        self._lots.add((name, lot_id))
        self.sums.on_hand.setdefault(name, 0)
        self.sums.received[name] = self.sums.received.get(name, 0) + quantity
        self._change(name, quantity)

    def _order(self, seq: int, record: Mapping[str, Any]) -> None:
        order_id = str(record["order_id"])
        if order_id in self._lines:
            return  # the second entry of an order is another class
        taken: dict[str, int] = {}
        lines = self._lines[order_id] = []
        for item_id, quantity in record["items"]:
            kept = [(name, each) for name, each in self._recipes.get(item_id, ()) if name in self.sums.on_hand]
            lines.append((int(quantity), kept))
            for name, each in kept:
                taken[name] = taken.get(name, 0) + each * int(quantity)
        for name, quantity in taken.items():
            self._change(name, -quantity)
            self.sums.sold[name] = self.sums.sold.get(name, 0) + quantity
            if self.sums.on_hand[name] < 0:
                self.sums.shorts.append(Short(name, order_id, seq, min(quantity, -self.sums.on_hand[name])))

    def _void(self, record: Mapping[str, Any]) -> None:
        """What was not made goes back; what was made is gone."""
        order_id, number = str(record["order_id"]), int(record["line"])
        lines = self._lines.get(order_id, [])
        if not 0 <= number < len(lines):
            return
        quantity, kept = lines[number]
        back = min(int(record["quantity"]), quantity)
        lines[number] = (quantity - back, kept)
        if not self._kitchen.is_made(order_id, number):
            for name, each in kept:
                self._change(name, each * back)
                self.sums.sold[name] -= each * back

    def _change(self, name: str, quantity: int) -> None:
        if name in self.sums.on_hand:
            self.sums.on_hand[name] += quantity
