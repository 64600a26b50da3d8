"""What a batch of a store's log means for the cloud's orders (P14, P15): decided here, without a database.

An entry that cannot be applied is an alarm and changes nothing; the entry itself is kept by whoever calls. An order that is
held already is merged when its content is the same, and left alone, with an alarm, when it is not.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from refsystem.protocol.log import Entry

NUMBER_MAX = 2**62
DETAIL_CHARACTERS_MAX = 400


@dataclass(slots=True)
class HeldOrder:
    """What the merge needs to know of one order, held or new; it changes `store_seq`, `outcome` and `served`.

    A fork gives a `number` to an order that had none, and marks as `taken_back` what the left branch had accepted.
    """

    order_id: str
    store: str
    body_hash: str
    number: int | None = None
    store_seq: int | None = None
    outcome: str | None = None
    served: bool = False
    taken_back: bool = False


@dataclass(frozen=True, slots=True)
class OrderContent:
    """The rest of an order that came from the store."""

    channel: str
    table: str
    items: str
    total_minor: int
    note: str
    check_id: str = ""
    pickup_at_s: int = 0


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person must look at."""

    kind: str
    detail: str


@dataclass
class Changes:
    """What to write: new orders with their content, changed ones, and alarms."""

    inserted: list[tuple[HeldOrder, OrderContent]] = field(default_factory=list)
    updated: list[HeldOrder] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Unmerged:
    """What to write before the new branch is merged: changed orders, the store's last downlink number now, and alarms."""

    updated: tuple[HeldOrder, ...]
    last_number: int
    alarms: tuple[Alarm, ...]


class NotApplicable(Exception):
    """The entry cannot be applied: `kind` of the alarm and why."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


def named_in(entries: Iterable[Entry]) -> tuple[list[str], list[int]]:
    """The order ids and the downlink numbers that `entries` speak of, as far as they are well formed."""
    order_ids: set[str] = set()
    numbers: set[int] = set()
    for entry in entries:
        try:
            content = _content(entry)
            order_ids.add(_order_id(content))
            numbers.add(_integer(content, "downlink_number"))
        except NotApplicable:
            continue
    return sorted(order_ids), sorted(numbers)


def merge(store: str, entries: Sequence[Entry], held: Iterable[HeldOrder]) -> Changes:
    """What `entries` of `store` change, where `held` are the orders of `named_in(entries)` that the cloud holds."""
    return _Merge(store, held).apply(entries)


def unmerge(
    store: str, shared_seq: int, forked: Sequence[Entry], held: Iterable[HeldOrder], last_number: int
) -> Unmerged:
    """Take back what the `forked` entries, those behind `shared_seq`, had made (P19); `held` are the orders named in them.

    An order that only the forked branch held is no longer the store's: it goes back by the downlink, under its old number if
    it has one, else under the next one behind `last_number`, in the order of the forked branch. No number is ever left out, for
    the store takes them without a hole.
    """
    undoing = _Merge(store, held)
    left: dict[str, HeldOrder] = {}
    for entry in sorted(forked, key=lambda entry: -entry.seq):
        with contextlib.suppress(NotApplicable):
            order = undoing.undo(entry, _content(entry))
            if order is not None:
                left.pop(order.order_id, None)  # it stands where its first entry does
                left[order.order_id] = order
    alarms: list[Alarm] = []
    for order in reversed(left.values()):
        if order.store_seq is not None:
            continue
        if order.number is None:
            last_number += 1
            order.number = last_number
        elif order.outcome is not None:
            detail = (
                f"order {order.order_id} stood behind entry {shared_seq}; its number {order.number} was {order.outcome}"
            )
            alarms.append(Alarm("forked-order-not-sent-back", detail))
    return Unmerged(tuple(left.values()), last_number, tuple(alarms))


class _Merge:
    def __init__(self, store: str, held: Iterable[HeldOrder]) -> None:
        self._store = store
        self._by_id = {order.order_id: order for order in held}
        self._by_number = {
            order.number: order for order in self._by_id.values() if order.store == store and order.number is not None
        }
        self._contents: dict[str, OrderContent] = {}
        self._changed: dict[str, HeldOrder] = {}
        self._alarms: list[Alarm] = []

    def apply(self, entries: Sequence[Entry]) -> Changes:
        for entry in entries:
            try:
                self._apply(entry, _content(entry))
            except NotApplicable as error:
                self._alarms.append(Alarm(error.kind, f"entry {entry.seq}: {error}"[:DETAIL_CHARACTERS_MAX]))
        inserted = [(self._by_id[order_id], content) for order_id, content in self._contents.items()]
        updated = [order for order_id, order in self._changed.items() if order_id not in self._contents]
        return Changes(inserted, updated, self._alarms)

    def _apply(self, entry: Entry, content: dict[str, Any]) -> None:
        match content.get("kind"):
            case "order" if content.get("origin") == "edge":
                self._edge_order(entry.seq, content)
            case "order" if content.get("origin") == "cloud":
                self._cloud_order(entry.seq, content)
            case "duplicate_of" | "conflict" | "refused" as kind:
                self._settled(kind, content)
            case "bump":
                self._bump(content)
            case "act":
                pass  # it is kept with the entry and changes checks, which `checks.py` reads; it changes no order
            case "fork":
                pass  # it says where the store's log left another branch, and changes no order
            case kind:
                raise NotApplicable("entry-unknown", f"there is no record of kind {str(kind)[:40]!r} and this origin")

    def undo(self, entry: Entry, content: dict[str, Any]) -> HeldOrder | None:
        """Take back what `entry` made, if it made anything; entries are undone from the last one on. The order it was."""
        kind = content.get("kind")
        if kind == "act":
            return None
        if kind in ("order", "bump"):
            held = self._by_id.get(_order_id(content))
            made = held is not None and (held.store_seq == entry.seq if kind == "order" else held.served)
        else:
            held = self._by_number.get(_integer(content, "downlink_number"))
            made = held is not None and held.outcome == kind
        if held is None or held.store != self._store or not made:
            return None
        if kind == "bump":
            held.served = False
        elif kind == "order":
            held.store_seq, held.taken_back = None, True
            held.outcome = None if held.outcome == "order" else held.outcome
        else:
            held.outcome = None if held.store_seq is None else "order"
        return held

    def _edge_order(self, seq: int, content: dict[str, Any]) -> None:
        order_id, body_hash = _order_id(content), _text(content, "body_hash")
        held = self._by_id.get(order_id)
        if held is None:
            self._contents[order_id] = _order_content(content)
            held = self._by_id[order_id] = HeldOrder(order_id, self._store, body_hash)
        elif (held.store, held.body_hash) != (self._store, body_hash):
            raise NotApplicable("key-held-with-other-content", f"order {order_id} is held with another content")
        self._place(held, seq)

    def _cloud_order(self, seq: int, content: dict[str, Any]) -> None:
        held = self._numbered(content)
        if held.body_hash != _text(content, "body_hash"):
            raise NotApplicable("downlink-altered", f"order {held.order_id} came back with another content")
        if held.outcome is not None:
            raise NotApplicable("downlink-repeated", f"number {held.number} has the outcome {held.outcome} already")
        self._place(held, seq)

    def _place(self, held: HeldOrder, seq: int) -> None:
        if held.store_seq is not None:
            raise NotApplicable("order-repeated", f"order {held.order_id} stands at entry {held.store_seq} already")
        held.store_seq = seq
        held.outcome = held.outcome or "order"
        self._changed[held.order_id] = held

    def _settled(self, kind: str, content: dict[str, Any]) -> None:
        held = self._numbered(content)
        # An order that came through both doors was merged before its number is told to be a duplicate.
        if held.outcome is not None and (held.outcome, kind) != ("order", "duplicate_of"):
            raise NotApplicable("downlink-repeated", f"number {held.number} has the outcome {held.outcome} already")
        held.outcome = kind
        self._changed[held.order_id] = held

    def _bump(self, content: dict[str, Any]) -> None:
        order_id = _order_id(content)
        held = self._by_id.get(order_id)
        if held is None or held.store != self._store or held.store_seq is None:
            raise NotApplicable("bump-without-order", f"order {order_id} is bumped and not held as the store's")
        if content.get("order_served", True) is not True:
            return  # other stations, or later courses, are still to be made
        held.served = True
        self._changed[order_id] = held

    def _numbered(self, content: dict[str, Any]) -> HeldOrder:
        number, order_id = _integer(content, "downlink_number"), _order_id(content)
        held = self._by_number.get(number)
        if held is None or held.order_id != order_id:
            raise NotApplicable("downlink-unknown", f"number {number} was not given to order {order_id}")
        return held


def _content(entry: Entry) -> dict[str, Any]:
    try:
        content = entry.content()
    except (ValueError, RecursionError):
        raise NotApplicable("entry-malformed", "the record is not JSON") from None
    if not isinstance(content, dict):
        raise NotApplicable("entry-malformed", "the record is not a JSON object")
    return content


def _order_id(content: dict[str, Any]) -> str:
    try:
        return str(UUID(_text(content, "order_id")))
    except ValueError:
        raise NotApplicable("entry-malformed", "order_id is not a UUID") from None


def _text(content: dict[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str) or not _storable(value):
        raise NotApplicable("entry-malformed", f"{name} is not a text that can be stored")
    return value


def _storable(value: str) -> bool:
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _integer(content: dict[str, Any], name: str) -> int:
    value = content.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= NUMBER_MAX:
        raise NotApplicable("entry-malformed", f"{name} is not a whole number that can be stored")
    return value


def _order_content(content: dict[str, Any]) -> OrderContent:
    items = content.get("items")
    if not isinstance(items, list):
        raise NotApplicable("entry-malformed", "items is not a list")
    text = json.dumps(items, separators=(",", ":"), ensure_ascii=False)
    if not _storable(text) or "\\u0000" in text:
        raise NotApplicable("entry-malformed", "items holds characters that cannot be stored")
    return OrderContent(
        _text(content, "channel"),
        _text(content, "table"),
        text,
        _integer(content, "total_minor"),
        _text(content, "note"),
        _text(content, "check_id") if "check_id" in content else "",
        _integer(content, "pickup_at_s") if "pickup_at_s" in content else 0,
    )
