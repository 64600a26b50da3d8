"""Properties of the book under any acts: sums are kept, nothing falls below zero, and the book goes back with the log."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from till import AT_MS, RULES, Till, platform_order

from refsystem.ordering.book import Book
from refsystem.ordering.check import CheckStatus
from refsystem.ordering.check_acts import (
    AcceptPayment,
    Act,
    CancelPayment,
    Close,
    Comp,
    Content,
    GiveDiscount,
    GiveRefund,
    Merge,
    PartiesOutcome,
    Pay,
    PaymentOutcome,
    RefundOutcome,
    Reopen,
    Split,
    Transfer,
    Void,
)
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.payment import GATEWAY_STEPS, NOT_FINAL, TENDERS, PaymentState, RefundState, Step

ITEMS = ("beef-noodles", "beer", "steamed-rice", "cold-noodles")
REASON = "why not"


def books_hold_the_same(one: Book, other: Book) -> bool:
    """Whether two books agree in everything that can be seen of them, and in their indexes."""
    hidden = ("_check_of", "_coupons", "_tables", "_at_gateway", "_orders", "_stored_minor", "_undo", "_passed_over")
    return one.checks == other.checks and all(getattr(one, name) == getattr(other, name) for name in hidden)


def of_log(log: list[dict[str, Any]]) -> Book:
    book = Book(DEMO_MENU, RULES)
    for seq, record in enumerate(log, start=1):
        book.apply(seq, record)
    return book


class AnyDay(RuleBasedStateMachine):
    """Orders and acts in any order; what the book refuses changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.till = Till()
        self.data: st.DataObject

    def _check_id(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from([check.check_id for check in self.till.book.checks]))

    def _attempt_id(self, data: st.DataObject) -> str:
        attempts = [payment.attempt_id for check in self.till.book.checks for payment in check.payments]
        return data.draw(st.sampled_from(attempts)) if attempts else self._check_id(data)

    def _do(self, content: Content) -> bool:
        before = self.till.book.checks
        try:
            self.till.do(content)
        except OrderRejected:
            assert self.till.book.checks == before
            return False
        return True

    def _total_minor(self) -> int:
        return sum(check.total_minor for check in self.till.book.checks)

    def _has_checks(self) -> bool:
        return bool(self.till.book.checks)

    @rule(
        items=st.dictionaries(st.sampled_from(ITEMS), st.integers(1, 4), min_size=1, max_size=3),
        data=st.data(),
        add_on=st.booleans(),
    )
    def order(self, items: dict[str, int], data: st.DataObject, add_on: bool) -> None:
        check_id = self._check_id(data) if add_on and self._has_checks() else ""
        before = self._total_minor()
        try:
            self.till.order(items, check_id)
        except OrderRejected:
            check = self.till.book.check(check_id)
            assert check.prepaid or check.status is not CheckStatus.OPEN
            assert self._total_minor() == before
        else:
            assert self._total_minor() == before + DEMO_MENU.total_minor(items.items())

    @rule(items=st.dictionaries(st.sampled_from(ITEMS), st.integers(1, 4), min_size=1, max_size=3))
    def order_at_a_platform(self, items: dict[str, int]) -> None:
        before = self._total_minor()
        self.till.append(platform_order(len(self.till.log), items))
        assert self._total_minor() == before + DEMO_MENU.total_minor(items.items())

    @rule(data=st.data())
    def cancel_at_the_platform(self, data: st.DataObject) -> None:
        """Whatever was tried with its check before: what was cancelled is voided."""
        lines = [line for check in self.till.book.checks if check.prepaid for line in check.lines if line.quantity]
        if lines:
            line = data.draw(st.sampled_from(lines))
            assert self._do(Void(line.order_id, line.order_id, line.line, line.quantity, REASON))

    @precondition(_has_checks)
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        """Splits, merges and transfers keep the sum of all checks, to the cent."""
        before = self._total_minor()
        check_id = self._check_id(data)
        lines = [line for line in self.till.check(check_id).lines if line.quantity]
        kinds: list[Content] = [
            Transfer(check_id, data.draw(st.sampled_from("789"))),
            Merge(check_id, self._check_id(data)),
            Split(check_id, ways=data.draw(st.integers(2, 7))),
        ]
        if lines:
            chosen = data.draw(st.lists(st.sampled_from(lines), min_size=1, max_size=3, unique=True))
            taken = tuple((line.order_id, line.line, data.draw(st.integers(1, line.quantity + 1))) for line in chosen)
            kinds.append(Split(check_id, taken))
        self._do(data.draw(st.sampled_from(kinds)))
        assert self._total_minor() == before

    @precondition(_has_checks)
    @rule(data=st.data())
    def take_off(self, data: st.DataObject) -> None:
        check_id = self._check_id(data)
        before = self.till.check(check_id)
        lines = before.lines
        kind = data.draw(st.sampled_from(("void", "comp", "discount", "percent")))
        if kind in ("void", "comp") and lines:
            line = data.draw(st.sampled_from(lines))
            quantity = data.draw(st.integers(1, 3))
            free = Void if kind == "void" else Comp
            done = self._do(free(check_id, line.order_id, line.line, quantity, REASON))
        elif kind == "discount":
            code = data.draw(st.sampled_from(("", "A", "B")))
            done = self._do(GiveDiscount(check_id, REASON, code, data.draw(st.integers(1, 9_000))))
        else:
            done = self._do(GiveDiscount(check_id, REASON, basis_points=data.draw(st.integers(1, 10_000))))
        assert self.till.check(check_id).total_minor <= before.total_minor
        assert done or self.till.check(check_id) == before

    @precondition(_has_checks)
    @rule(data=st.data(), tender=st.sampled_from(TENDERS), whole=st.booleans())
    def pay(self, data: st.DataObject, tender: Any, whole: bool) -> None:
        check = self.till.check(self._check_id(data))
        amount_minor = check.due_minor if whole and check.due_minor else data.draw(st.integers(1, 9_000))
        pending = any(each.tender == tender and each.state in NOT_FINAL for each in check.payments)
        given_minor = amount_minor if tender == "cash" else 0
        done = self._do(Pay(check.check_id, tender, amount_minor, given_minor, "" if tender == "cash" else "token"))
        assert not (done and (pending or amount_minor > check.due_minor or check.status is not CheckStatus.OPEN))

    @precondition(_has_checks)
    @rule(data=st.data(), step=st.sampled_from(sorted(GATEWAY_STEPS)))
    def gateway_says(self, data: st.DataObject, step: Step) -> None:
        self._do(PaymentOutcome(self._attempt_id(data), Step(step)))

    @precondition(_has_checks)
    @rule(data=st.data(), done=st.booleans())
    def refund_ends(self, data: st.DataObject, done: bool) -> None:
        refunds = [
            refund.refund_id
            for check in self.till.book.checks
            for payment in check.payments
            for refund in payment.refunds
        ]
        if refunds:
            self._do(RefundOutcome(data.draw(st.sampled_from(refunds)), "done" if done else "failed", done))

    @precondition(_has_checks)
    @rule(data=st.data())
    def staff(self, data: st.DataObject) -> None:
        check_id, attempt_id = self._check_id(data), self._attempt_id(data)
        amount_minor = data.draw(st.integers(1, 4_000))
        kinds: list[Content] = [
            Close(check_id),
            Reopen(check_id, REASON),
            CancelPayment(attempt_id, REASON),
            AcceptPayment(attempt_id, REASON),
            GiveRefund(attempt_id, amount_minor, REASON),
            PartiesOutcome(attempt_id, "done"),
        ]
        self._do(data.draw(st.sampled_from(kinds)))

    @precondition(_has_checks)
    @rule(data=st.data())
    def pass_by(self, data: st.DataObject) -> None:
        """Records that concern no check, and ones that are damaged, change nothing."""
        before = self.till.book.checks
        for record in (
            {"kind": "bump", "order_id": self._check_id(data)},
            {"kind": "act", "act": "fire", "act_id": "x"},
            {"kind": "act", "act": "close", "act_id": "x"},
        ):
            self.till.append(record)
        assert self.till.book.checks == before
        assert self.till.book.passed_over[-1].seq == len(self.till.log)

    @precondition(_has_checks)
    @rule(data=st.data())
    def set_aside(self, data: st.DataObject) -> None:
        """Entries leave the log: the book is as if they had never been."""
        from_seq = data.draw(st.integers(max(1, len(self.till.log) - 8), len(self.till.log)))
        del self.till.log[from_seq - 1 :]
        self.till.book.set_aside(from_seq)
        assert books_hold_the_same(self.till.book, of_log(self.till.log))

    @invariant()
    def money_is_sound(self) -> None:
        for check in self.till.book.checks:
            assert check.total_minor >= 0
            assert all(line.amount_minor >= 0 and line.quantity >= 0 for line in check.lines)
            failed = any(r.state is RefundState.FAILED for payment in check.payments for r in payment.refunds)
            assert check.covered_minor <= check.total_minor or failed
            for payment in check.payments:
                assert 0 <= payment.refunded_minor <= payment.amount_minor
                assert sum(amount for _, amount in payment.parties) <= payment.amount_minor
            if check.prepaid:
                assert (check.status, check.due_minor, check.payments) == (CheckStatus.OPEN, 0, ())
                assert (check.discounts, check.shares_minor) == ((), 0)
                assert {line.order_id for line in check.lines} == {check.check_id}
            if check.status is CheckStatus.CLOSED:
                assert check.is_settled
                assert check.covered_minor == check.total_minor
            if check.status is CheckStatus.MERGED:
                assert not check.lines
                assert check.total_minor == 0

    def teardown(self) -> None:
        """A device that reads the log from its disk has the same book; what was decided was never passed over."""
        log = json.loads(json.dumps(self.till.log))
        assert books_hold_the_same(self.till.book, of_log(log))
        passed = {each.seq for each in self.till.book.passed_over}
        assert all(record["act"] == "close" and record["act_id"] == "x" for record in (log[seq - 1] for seq in passed))


TestAnyDay = AnyDay.TestCase
TestAnyDay.settings = settings(max_examples=50, stateful_step_count=40, derandomize=True)


def test_a_long_day_is_followed_and_left_again_in_time_that_grows_with_what_is_left() -> None:
    """A set-aside undoes what left the log, and touches nothing else: checks from before are the same objects."""
    till = Till()
    for number in range(2_000):
        check_id = till.order({"beer": 1}, table=str(number % 40))
        till.do(Pay(check_id, "cash", 1500, 1500))
    kept = till.book.checks[:1_990]
    before = copy.copy(till.book.checks)
    till.book.set_aside(3_981)
    assert len(till.book.checks) == 1_990
    assert all(one is other for one, other in zip(till.book.checks, kept, strict=True))
    for seq, record in enumerate(till.log[3_980:], start=3_981):
        till.book.apply(seq, record)
    assert till.book.checks == before


def test_a_decision_changes_nothing_until_its_record_is_applied() -> None:
    till = Till()
    check_id = till.order({"beer": 1})
    act_log = len(till.log)
    record = till.book.decide(Act(till.new_id(), "Li", Pay(check_id, "cash", 1500, 1500)), AT_MS)
    assert till.check(check_id).payments == ()
    till.append(record)
    assert till.check(check_id).payments[0].changed_seq == act_log + 1
    assert till.check(check_id).payments[0].state is PaymentState.CAPTURED
