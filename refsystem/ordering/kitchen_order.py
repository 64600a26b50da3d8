"""An order as the kitchen sees it, one immutable value: which station makes what, what is held back, the tickets so far."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.kitchen_errors import COURSE_NOT_HELD, TICKET_NOT_FOUND
from refsystem.ordering.menu import Menu
from refsystem.ordering.order import UNIX_S_MAX
from refsystem.ordering.store_rules import FIRES, ONE_STATION, PRIORITY_MAX, KitchenRules
from refsystem.ordering.ticket import Ticket, TicketEvent, TicketKey, TicketLine, TicketState

VERSION_MAX = 2**62
QUANTITY_MAX = 2**53
"""More than any order may have; a damaged record must not be a number that cannot be shown."""


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line of the order; `cancelled` of its `quantity` were voided."""

    line: int
    item_id: str
    quantity: int
    station: str
    course: int
    cancelled: int = 0

    @property
    def left(self) -> int:
        """How many are still wanted."""
        return self.quantity - self.cancelled


@dataclass(frozen=True, slots=True)
class KitchenOrder:
    """`version` is that of its newest tickets; `held` are `(course, when it is fired)` of what is not fired yet, rising.

    A pre-order is called for at `pickup_at_s`; what else would be fired at once is at `fires_at_s` (seconds since 1970).
    """

    order_id: str
    check_id: str
    table: str
    channel: str
    note: str
    seq: int
    version: int
    lines: tuple[OrderLine, ...]
    held: tuple[tuple[int, str], ...]
    priority: int = 0
    tickets: tuple[Ticket, ...] = ()
    pickup_at_s: int = 0
    fires_at_s: int = 0

    # --- reads ---

    @property
    def is_served(self) -> bool:
        """Whether everything that is wanted of it was made."""
        return not self.held and not self.tickets_with_work

    @property
    def tickets_with_work(self) -> int:
        """How many of its tickets have something left to make."""
        return sum(ticket.has_work for ticket in self.tickets)

    def ticket(self, version: int, station: str) -> Ticket:
        """One of its tickets; raises `OrderRejected` when there is none."""
        for ticket in self.tickets:
            if (ticket.version, ticket.station) == (version, station):
                return ticket
        raise OrderRejected(TICKET_NOT_FOUND, f"there is no ticket {TicketKey(self.order_id, version, station)}")

    def holds(self, course: int) -> bool:
        """Whether `course` is held back."""
        return any(held == course for held, _ in self.held)

    def held_lines(self) -> tuple[OrderLine, ...]:
        """What will be made later, in the order of the courses."""
        lines = (line for line in self.lines if self.holds(line.course) and line.left)
        return tuple(sorted(lines, key=lambda line: (line.course, line.line)))

    def unfinished_before(self, course: int) -> bool:
        """Whether something of an earlier course is held back or still to be made."""
        if any(held < course for held, _ in self.held):
            return True
        work = (line for ticket in self.tickets if ticket.has_work for line in ticket.lines)
        return any(line.quantity and line.course < course for line in work)

    def is_made(self, line: int) -> bool:
        """Whether something of `line` stands on a ticket that was bumped."""
        bumped = (ticket for ticket in self.tickets if ticket.state is TicketState.BUMPED and not ticket.after_made)
        return any(each.line == line and each.quantity for ticket in bumped for each in ticket.lines)

    # --- changes ---

    def fired(self, courses: Iterable[int], seq: int) -> KitchenOrder:
        """With tickets for those `courses`, one for each station; raises `OrderRejected` for one that is not held back."""
        wanted = set(courses)
        for course in wanted:
            if not self.holds(course):
                raise OrderRejected(COURSE_NOT_HELD, f"order {self.order_id} holds no course {course} back")
        lines = [line for line in self.lines if line.course in wanted and line.left]
        stations = dict.fromkeys(line.station for line in lines)
        version = self.version + 1
        made = (Ticket(version, station, _slip(lines, station), seq) for station in stations)
        held = tuple((course, fires) for course, fires in self.held if course not in wanted)
        return replace(self, version=version, held=held, tickets=(*self.tickets, *made))

    def on_ticket(self, version: int, station: str, event: TicketEvent, seq: int) -> KitchenOrder:
        """With `event` on one of its tickets; raises `OrderRejected` when it is not there, or does not allow it."""
        return self.with_ticket(self.ticket(version, station).on(event, seq))

    def with_ticket(self, changed: Ticket) -> KitchenOrder:
        """With one of its tickets changed."""
        key = (changed.version, changed.station)
        tickets = (changed if (ticket.version, ticket.station) == key else ticket for ticket in self.tickets)
        return replace(self, tickets=tuple(tickets))

    def cancelled(self, number: int, quantity: int, seq: int) -> KitchenOrder:
        """Without `quantity` of line `number`, as far as it has as much.

        Held back: it is never fired. On an open ticket: a newer version takes its place. On one that is bumped: a newer version
        says it.
        """
        line = next((line for line in self.lines if line.line == number), None)
        quantity = min(quantity, line.left) if line is not None else 0
        if line is None or not quantity:
            return self
        lines = tuple(
            replace(each, cancelled=each.cancelled + quantity) if each.line == number else each for each in self.lines
        )
        order = replace(self, lines=lines)
        ticket = self._ticket_of(number)
        if ticket is None:
            wanted = {each.course for each in lines if each.left}
            return replace(order, held=tuple((course, fires) for course, fires in self.held if course in wanted))
        return order._with_cancelled(ticket, number, quantity, seq)

    def _with_cancelled(self, ticket: Ticket, number: int, quantity: int, seq: int) -> KitchenOrder:
        version = self.version + 1
        newer = replace(ticket, version=version, seq=seq, replaces=ticket.version, rounds=0, escalated=False)
        if ticket.state is TicketState.BUMPED:
            lines = tuple(replace(each, quantity=0, cancelled=quantity) for each in ticket.lines if each.line == number)
            notice = replace(newer, lines=lines, state=TicketState.OPEN, bumped_seq=0, after_made=True)
            return replace(self, version=version, tickets=(*self.tickets, notice))
        lines = tuple(
            replace(each, quantity=each.quantity - quantity, cancelled=each.cancelled + quantity)
            if each.line == number
            else each
            for each in ticket.lines
        )
        order = self.with_ticket(ticket.on(TicketEvent.SUPERSEDE, seq))
        return replace(order, version=version, tickets=(*order.tickets, replace(newer, lines=lines)))

    def _ticket_of(self, number: int) -> Ticket | None:
        """The newest ticket that something of line `number` is made by."""
        for ticket in reversed(self.tickets):
            stands = ticket.state is not TicketState.SUPERSEDED and not ticket.after_made
            if stands and any(line.line == number for line in ticket.lines):
                return ticket
        return None


# --- routing ---------------------------------------------------------------------------------------------------------


def kitchen_fields(
    items: Sequence[tuple[str, int]], channel: str, menu: Menu, rules: KitchenRules, pickup_at_s: int = 0
) -> dict[str, Any]:
    """What the admission adds to an order's record, so that every device and display routes it alike, whatever their menus say.

    `stations` and `courses`, one for each line; `fires`: when each course is; `priority`; of a pre-order `fires_at_s`, when the
    kitchen begins.
    """
    found = [menu.by_id.get(item_id) for item_id, _ in items]
    one_slip = rules.routing == "one_slip"
    stations = [ONE_STATION if one_slip or item is None else item.station for item in found]
    courses = [item.course if item is not None else 1 for item in found]
    fires = [[course, rules.fires(course)] for course in sorted(set(courses))]
    ahead = {"fires_at_s": max(1, pickup_at_s - rules.pickup_lead_s)} if pickup_at_s else {}
    return {"stations": stations, "courses": courses, "fires": fires, "priority": rules.priority(channel), **ahead}


def routed(record: dict[str, Any], menu: Menu, rules: KitchenRules, seq: int) -> KitchenOrder:
    """The order of a log's record, before anything of it is fired: everything is held back.

    It takes any record, because a strange one must not hold up those behind it (P17). What the record does not say about its way
    through the kitchen, `menu` and `rules` do.
    """
    items = _items(record.get("items"))
    channel = _text(record.get("channel"))
    plan = kitchen_fields(items, channel, menu, rules)
    stations = _column(record.get("stations"), str, plan["stations"])
    courses = _column(record.get("courses"), int, plan["courses"])
    fires = {course: rules.fires(course) for course in courses} | _fires(record.get("fires"))
    lines = tuple(
        OrderLine(number, item_id, quantity, station, course)
        for number, ((item_id, quantity), station, course) in enumerate(zip(items, stations, courses, strict=True))
    )
    order_id = _text(record.get("order_id"))
    version = _whole(record.get("version"), 0, VERSION_MAX, 1)
    return KitchenOrder(
        order_id,
        _text(record.get("check_id")) or order_id,
        _text(record.get("table")),
        channel,
        _text(record.get("note")),
        seq,
        version - 1,
        lines,
        tuple((course, fires[course]) for course in sorted(set(courses))),
        _whole(record.get("priority"), 0, PRIORITY_MAX, plan["priority"]),
        pickup_at_s=_whole(record.get("pickup_at_s"), 0, UNIX_S_MAX, 0),
        fires_at_s=_whole(record.get("fires_at_s"), 0, UNIX_S_MAX, 0),
    )


def without_lines(order: KitchenOrder) -> KitchenOrder:
    """An order whose record has no line that can be read: a ticket without lines, so that somebody asks."""
    return replace(order, version=order.version + 1, tickets=(Ticket(order.version + 1, ONE_STATION, (), order.seq),))


def _slip(lines: Iterable[OrderLine], station: str) -> tuple[TicketLine, ...]:
    return tuple(
        TicketLine(line.line, line.item_id, line.left, line.course, line.cancelled)
        for line in lines
        if line.station == station
    )


def _whole(value: Any, least: int, most: int, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else default


def _text(value: Any) -> str:
    if isinstance(value, str) and value.isascii():
        return value
    return str("" if value is None else value).encode(errors="replace").decode()


def _items(value: Any) -> list[tuple[str, int]]:
    if not isinstance(value, list):
        return []
    pairs = (line if isinstance(line, list) and len(line) == 2 else (line, 1) for line in value)
    return [(_text(item), _whole(quantity, 1, QUANTITY_MAX, 1)) for item, quantity in pairs]


def _column(value: Any, kind: type, default: list[Any]) -> list[Any]:
    fits = isinstance(value, list) and len(value) == len(default) and all(type(each) is kind for each in value)
    return value if fits else default


def _fires(value: Any) -> dict[int, Any]:
    rows = value if isinstance(value, list) else []
    return {row[0]: row[1] for row in rows if isinstance(row, list) and len(row) == 2 and row[1] in FIRES}


# --- as JSON ---------------------------------------------------------------------------------------------------------


def to_json(order: KitchenOrder) -> str:
    """The order as JSON, for whoever stores it."""
    return json.dumps(order, default=_fields_of, ensure_ascii=False, separators=(",", ":"))


def _fields_of(value: KitchenOrder | OrderLine | Ticket | TicketLine) -> dict[str, Any]:
    return {
        name: getattr(value, name) for name in value.__slots__
    }  # `dataclasses.asdict` copies everything first: slow


def from_json(text: str) -> KitchenOrder:
    """The order that `to_json` wrote."""
    raw = json.loads(text)
    tickets = tuple(_ticket(ticket) for ticket in raw["tickets"])
    lines = tuple(OrderLine(**line) for line in raw["lines"])
    held = tuple((course, fires) for course, fires in raw["held"])
    return KitchenOrder(**{**raw, "lines": lines, "held": held, "tickets": tickets})


def _ticket(raw: dict[str, Any]) -> Ticket:
    lines = tuple(TicketLine(**line) for line in raw["lines"])
    return Ticket(**{**raw, "state": TicketState(raw["state"]), "lines": lines})
