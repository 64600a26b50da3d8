"""What the platform holds, in SQLite: an order's change and the webhook about it are one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from refsystem.partners.delivery_platform import problems
from refsystem.partners.delivery_platform.rules import CANCELLED_BY, TRANSITIONS, Event, OrderState
from refsystem.partners.delivery_platform.settings import Limits
from refsystem.partners.outbox import Outbox, Posting
from refsystem.partners.partner_store import PartnerStore
from refsystem.problems import ProblemError
from refsystem.sqlite import load_queries

EXPIRED_AT_ONCE_MAX = 200
CHAIN = "chain"
"""The one receiver of its webhooks."""

queries = load_queries("refsystem.partners.delivery_platform")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a diner orders."""

    store: str
    items: tuple[tuple[str, int], ...]
    total_minor: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """An order as the platform holds it. `version` grows with every change of any order."""

    number: int
    diner_key: str
    store: str
    items: str
    total_minor: int
    note: str
    state: OrderState
    placed_at_us: int
    accept_by_us: int
    answered_at_us: int | None
    store_order_id: str | None
    reason: str
    cancelled_by: str | None
    cancelled_at_us: int | None
    version: int

    def document(self) -> dict[str, Any]:
        """As it is told to everybody who may know it."""
        items = [{"item_id": item_id, "quantity": quantity} for item_id, quantity in json.loads(self.items)]
        told = {**asdict(self), "items": items}
        del told["diner_key"]
        return told


class PlatformStore(PartnerStore):
    """The platform's database in `folder`. `posting` says how the webhook of an event is to be sent."""

    def __init__(
        self, folder: Path, platform: str, limits: Limits, posting: Callable[[str], Posting] = lambda _: Posting()
    ) -> None:
        self._platform = platform
        self._limits = limits
        super().__init__(folder / "platform.sqlite3", queries.create_schema)
        self.outbox = Outbox(self._connection, posting)

    # --- orders ---

    def place(self, diner_key: str, wish: Wish, now_us: int) -> tuple[Placed, bool]:
        """Place an order, once for each key: the order, and whether it was placed before. Raises `ProblemError`."""
        with self._transaction():
            row = queries.order_by_key(self._connection, diner_key=diner_key)
            if row is not None:
                placed = _placed(row)
                known = Wish(placed.store, _lines(placed.items), placed.total_minor, placed.note)
                if known != wish:
                    raise ProblemError(problems.KEY_REUSED)
                return placed, True
            self._must_sell(wish)
            number = queries.insert_order(
                self._connection,
                diner_key=diner_key,
                store=wish.store,
                items=json.dumps(wish.items, ensure_ascii=False),
                total_minor=wish.total_minor,
                note=wish.note,
                placed_at_us=now_us,
                accept_by_us=now_us + self._limits.scaled_us(self._limits.accept_within_s),
            )
            placed = self._order(number)
            self._tell(placed, "placed", now_us)
            return placed, False

    def order(self, number: int, now_us: int) -> Placed:
        """An order as it stands now; raises `ProblemError`."""
        self.expire_due(now_us)
        return self._order(number)

    def answer(self, number: int, accepted: bool, store_order_id: str, reason: str, now_us: int) -> tuple[Placed, bool]:
        """The store accepts or rejects; also whether it had said so before. Raises `ProblemError` if that is too late."""
        event = Event.ACCEPT if accepted else Event.REJECT
        with self._transaction():
            self._expire_due(now_us)
            placed = self._order(number)
            if placed.answered_at_us is None and placed.state is OrderState.PENDING:
                changed = replace(
                    placed,
                    state=TRANSITIONS[placed.state, event],
                    answered_at_us=now_us,
                    store_order_id=store_order_id,
                    reason=reason,
                )
                return self._put(changed), False
        if placed.state is OrderState.CANCELLED:
            raise ProblemError(problems.ORDER_CANCELLED, f"it was cancelled by the {placed.cancelled_by}")
        if placed.state is not TRANSITIONS[OrderState.PENDING, event] or placed.store_order_id != store_order_id:
            raise ProblemError(problems.ALREADY_DECIDED, f"the order is {placed.state}")
        return placed, True

    def cancel(self, number: int, now_us: int) -> Placed:
        """The diner cancels; cancelling again, or what was rejected, changes nothing."""
        with self._transaction():
            self._expire_due(now_us)
            return self._cancel(self._order(number), Event.CANCEL, now_us)

    def expire_due(self, now_us: int) -> None:
        """Cancel what no store has answered in time."""
        with self._transaction():
            self._expire_due(now_us)

    def next_deadline_us(self) -> int | None:
        """When an order expires next."""
        at_us: int | None = queries.next_deadline_us(self._connection)
        return at_us

    def changed(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Orders changed behind `version`, as they stand."""
        found = queries.orders_changed(self._connection, after=after, limit=limit)
        return [_placed(row).document() for row in found]

    # --- stores ---

    def put_channel(self, store: str, paused_reason: str, version: int) -> None:
        """The chain's word on whether the store takes orders; an older word than the last changes nothing."""
        with self._transaction():
            queries.put_channel(self._connection, store=store, paused_reason=paused_reason, version=version)

    def put_stock(self, store: str, sold_out: list[str], version: int) -> None:
        """The chain's word on what is sold out in a store; an older word than the last changes nothing."""
        with self._transaction():
            queries.put_stock(self._connection, store=store, sold_out=json.dumps(sold_out), version=version)

    def store(self, store: str) -> dict[str, Any]:
        """What the chain has said of a store."""
        row = queries.store_row(self._connection, store=store) or ("", 0, "[]", 0)
        return {
            "store": store,
            "paused_reason": row[0],
            "channel_version": row[1],
            "sold_out": json.loads(row[2]),
            "stock_version": row[3],
        }

    # --- reads ---

    def standing(self, now_us: int) -> dict[str, int]:
        """How many orders wait for their store, and how many webhooks are to be sent."""
        self.expire_due(now_us)
        return {
            "pending": queries.count_pending(self._connection),
            "webhooks_due": self.outbox.count_due(),
        }

    def audit_orders(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Orders behind `number`, as they stand."""
        return [_placed(row).document() for row in queries.audit_orders(self._connection, after=after, limit=limit)]

    def audit_webhooks(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Webhooks behind `webhook`, and how often each was tried and taken."""
        rows = self.outbox.audit(after, limit)
        for row in rows:
            del row["receiver"]
        return [{"webhook": row.pop("number"), **row} for row in rows]

    # --- inside ---

    def _order(self, number: int) -> Placed:
        row = queries.order_by_number(self._connection, number=number)
        if row is None:
            raise ProblemError(problems.PLATFORM_ORDER_UNKNOWN)
        return _placed(row)

    def _must_sell(self, wish: Wish) -> None:
        known = self.store(wish.store)
        if known["paused_reason"]:
            raise ProblemError(problems.STORE_PAUSED, known["paused_reason"])
        gone = sorted({item_id for item_id, _ in wish.items} & set(known["sold_out"]))
        if gone:
            raise ProblemError(problems.SOLD_OUT, f"sold out: {', '.join(gone)}")

    def _expire_due(self, now_us: int) -> None:
        overdue = queries.orders_overdue(self._connection, now_us=now_us, limit=EXPIRED_AT_ONCE_MAX)
        for number in [row[0] for row in overdue]:
            self._cancel(self._order(number), Event.EXPIRE, now_us)

    def _cancel(self, placed: Placed, event: Event, now_us: int) -> Placed:
        state = TRANSITIONS.get((placed.state, event))
        if state is None:
            return placed
        changed = self._put(replace(placed, state=state, cancelled_by=CANCELLED_BY[event], cancelled_at_us=now_us))
        self._tell(changed, "cancelled", now_us)
        return changed

    def _put(self, placed: Placed) -> Placed:
        queries.put_state(
            self._connection,
            number=placed.number,
            state=placed.state,
            answered_at_us=placed.answered_at_us,
            store_order_id=placed.store_order_id,
            reason=placed.reason,
            cancelled_by=placed.cancelled_by,
            cancelled_at_us=placed.cancelled_at_us,
        )
        return self._order(placed.number)

    def _tell(self, placed: Placed, event: str, now_us: int) -> None:
        event_id = f"{placed.number}/{event}"
        body = {"event_id": event_id, "event": event, "platform": self._platform, "order": placed.document()}
        self.outbox.put(event_id, CHAIN, body, now_us)


def _placed(row: Any) -> Placed:
    placed = Placed(*row)
    return replace(placed, state=OrderState(placed.state))


def _lines(items: str) -> tuple[tuple[str, int], ...]:
    return tuple((item_id, quantity) for item_id, quantity in json.loads(items))
