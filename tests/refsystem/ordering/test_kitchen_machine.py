"""Properties of the kitchen under any evening: what is wanted is made once, and the kitchen goes back with the log."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

from brigade import Brigade
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.kitchen import Kitchen
from refsystem.ordering.kitchen_acts import EightySix, Fire, Recall, Restore, Rush
from refsystem.ordering.ticket import TicketState

ITEMS = ("spicy-base", "beef-slices", "crown-daisy", "ice-jelly", "plum-juice")


def state_of(kitchen: Kitchen) -> tuple[Any, ...]:
    hidden = ("_orders", "_of_check", "_sold_out", "_undo", "_passed_over")
    return tuple(getattr(kitchen, name) for name in hidden)


def of_log(log: list[dict[str, Any]], like: Kitchen) -> Kitchen:
    kitchen = Kitchen(like.menu, like.rules)
    for seq, record in enumerate(log, start=1):
        kitchen.apply(seq, record)
    return kitchen


class AnyEvening(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.brigade = Brigade("hotpot")
        self.done: Counter[tuple[str, int, str]] = Counter()

    @property
    def kitchen(self) -> Kitchen:
        return self.brigade.kitchen

    def _any_order(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from([order.order_id for order in self.kitchen.orders]))

    def _has_orders(self) -> bool:
        return bool(self.kitchen.orders)

    @rule(
        items=st.dictionaries(st.sampled_from(ITEMS), st.integers(1, 3), min_size=1, max_size=4),
        data=st.data(),
        add_on=st.booleans(),
    )
    def order(self, items: dict[str, int], data: st.DataObject, add_on: bool) -> None:
        check_id = self.kitchen.order(self._any_order(data)).check_id if add_on and self._has_orders() else ""
        try:
            self.brigade.order(items, check_id)
        except OrderRejected:
            assert any(self.kitchen.sold_out(item_id) for item_id in items)

    @precondition(lambda self: self.kitchen.open_tickets())
    @rule(data=st.data())
    def bump(self, data: st.DataObject) -> None:
        key, _ = data.draw(st.sampled_from(self.kitchen.open_tickets()))
        self.brigade.bump(*key)

    @precondition(_has_orders)
    @rule(data=st.data(), number=st.integers(0, 3), quantity=st.integers(1, 4))
    def void(self, data: st.DataObject, number: int, quantity: int) -> None:
        self.brigade.void(self._any_order(data), number, quantity)

    @precondition(_has_orders)
    @rule(data=st.data())
    def act(self, data: st.DataObject) -> None:
        order_id = self._any_order(data)
        tickets = self.kitchen.order(order_id).tickets
        kinds: list[Any] = [
            Fire(order_id, data.draw(st.integers(1, 3))),
            Rush(order_id, data.draw(st.integers(0, 9))),
            EightySix(data.draw(st.sampled_from(ITEMS))),
            Restore(data.draw(st.sampled_from(ITEMS))),
        ]
        if tickets:
            ticket = data.draw(st.sampled_from(tickets))
            kinds.append(Recall(order_id, ticket.version, ticket.station))
        with contextlib.suppress(OrderRejected):
            self.brigade.do(data.draw(st.sampled_from(kinds)))

    @precondition(_has_orders)
    @rule(data=st.data(), table=st.sampled_from("789"))
    def move(self, data: st.DataObject, table: str) -> None:
        """What the book has allowed."""
        check_id, other = (self.kitchen.order(self._any_order(data)).check_id for _ in range(2))
        record = {"kind": "act", "act": "transfer", "check_id": check_id, "table": table}
        if other != check_id:
            record = {"kind": "act", "act": "merge", "check_id": check_id, "other_check_id": other}
        self.brigade.append(record)
        assert len({order.table for order in self.kitchen.orders_of_check(check_id)}) == 1

    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        """A tail of the log is set aside: the kitchen is as if it had never been there."""
        length = len(self.brigade.log)
        from_seq = data.draw(st.integers(max(1, length - 4), length + 1))
        self.kitchen.set_aside(from_seq)
        del self.brigade.log[from_seq - 1 :]
        assert state_of(self.kitchen) == state_of(of_log(self.brigade.log, self.kitchen))

    @invariant()
    def every_line_is_held_or_on_tickets_exactly_once(self) -> None:
        for order in self.kitchen.orders:
            on_tickets: Counter[int] = Counter()
            for ticket in order.tickets:
                assert ticket.lines, ticket
                for line in ticket.lines if ticket.state is not TicketState.SUPERSEDED else ():
                    on_tickets[line.line] += line.quantity
            for line in order.lines:
                voided_after = sum(
                    each.cancelled
                    for ticket in order.tickets
                    if ticket.after_made
                    for each in ticket.lines
                    if each.line == line.line
                )
                expected = 0 if order.holds(line.course) else line.left + voided_after
                assert on_tickets[line.line] == expected, (order, line)
                assert 0 <= line.left <= line.quantity

    @invariant()
    def what_is_counted_along_is_what_there_is(self) -> None:
        with_work = Counter(order.channel for order in self.kitchen.orders for each in order.tickets if each.has_work)
        assert self.kitchen.tickets_with_work() == with_work

    @invariant()
    def versions_and_keys_are_never_used_twice(self) -> None:
        for order in self.kitchen.orders:
            keys = [(ticket.version, ticket.station) for ticket in order.tickets]
            assert len(keys) == len(set(keys))
            assert [version for version, _ in keys] == sorted(version for version, _ in keys)

    @invariant()
    def no_course_waits_for_what_is_done(self) -> None:
        for order in self.kitchen.orders:
            for course, fires in order.held:
                check = self.kitchen.orders_of_check(order.check_id)
                waits = any(other.unfinished_before(course) for other in check)
                assert waits or fires == "by_person"


TestAnyEvening = AnyEvening.TestCase
TestAnyEvening.settings = settings(max_examples=60, stateful_step_count=25)
