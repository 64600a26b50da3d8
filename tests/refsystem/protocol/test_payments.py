"""P16, told: what the gateway is asked and when, over time-outs, crashes, failovers and outages."""

from __future__ import annotations

import itertools

import pytest
from payments_world import LIMITS, REVERSE_WITHIN_MS, World

from refsystem.ordering.check import Check, CheckStatus
from refsystem.ordering.check_acts import (
    SYSTEM_ACTS,
    AcceptPayment,
    CancelPayment,
    Comp,
    GiveRefund,
    Pay,
    Reopen,
    derived_id,
)
from refsystem.ordering.payment import PAYMENT_TRANSITIONS, STEP_TENDERS, TENDERS, PaymentState, Step, Tender
from refsystem.protocol.payment_calls import NEXT_OP, STEP_OF, Answer, Call, CashierLimits, Known, Op, Result
from refsystem.protocol.payments import Cashier
from refsystem.protocol.payments_broken import ReversesBeforeCommit

NOODLES = (("beef-noodles", 1),)
PRICE_MINOR = 3200


class Till:
    """A world, and a check of one bowl of noodles in it."""

    def __init__(self, kind: type[Cashier] = Cashier) -> None:
        self.world = World(kind)
        self.check_id = self.world.order(NOODLES)
        self.commit()

    def pay(self, tender: Tender, amount_minor: int = PRICE_MINOR) -> str:
        return self.world.do(Pay(self.check_id, tender, amount_minor, instrument="token"))

    def cash(self, amount_minor: int = PRICE_MINOR) -> str:
        return self.world.do(Pay(self.check_id, "cash", amount_minor, amount_minor))

    def commit(self) -> None:
        """Commit, let the cashier act, and commit what it has logged, until it logs no more."""
        for _ in range(10):
            before = len(self.world.primary.log)
            self.world.commit(before)
            self.world.turn()
            if len(self.world.primary.log) == before:
                return
        raise AssertionError("the cashier goes on for ever")

    def wait(self, ms: int) -> None:
        self.world.now_ms += ms
        self.world.turn()
        self.commit()

    def asked(self) -> list[str]:
        """What is on its way to the gateway."""
        return [call.op for _, call in self.world.requests]

    def serve(self, fate: str = "taken") -> str:
        """The oldest request arrives, and its answer comes; returns what was asked."""
        op: Op = self.world.requests[0][1].op
        self.world.deliver(0, fate)
        self.world.answer(0, lost=False)
        self.world.turn()
        self.commit()
        return op

    def lose_answer(self, fate: str = "taken") -> None:
        """The oldest request arrives and is done; nobody hears of it."""
        self.world.deliver(0, fate)
        self.world.answer(0, lost=True)
        self.world.turn()
        self.commit()

    def lose(self) -> None:
        self.world.lose_request(0)
        self.world.turn()
        self.commit()

    def go_offline(self) -> None:
        """Nothing is answered for longer than `offline_after_ms`."""
        for _ in range(6):
            while self.world.requests:
                self.lose()
            self.wait(2_000)
        while self.world.requests:
            self.lose()

    @property
    def check(self) -> Check:
        return self.world.truth.check(self.check_id)

    def state(self, attempt_id: str) -> PaymentState:
        return self.world.truth.payment(attempt_id).state

    def end(self) -> None:
        self.world.heal()
        self.world.judge()

    def captures(self) -> int:
        return sum(held.captures for held in self.world.gateway.payments.values())


# --- the attempt before its call -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tender", [tender for tender in TENDERS if tender != "cash"])
def test_the_gateway_hears_of_an_attempt_only_after_its_commit(tender: Tender) -> None:
    till = Till()
    till.pay(tender)
    till.world.turn()
    assert till.asked() == []
    till.commit()
    assert till.asked() == ["authorize" if tender == "card" else "sale"]


def test_captured_crash_before_flush_new_id_after_restart_charges_once() -> None:
    """The trap of P16: an attempt that a crash takes out of the log was never at the gateway."""
    till = Till()
    till.pay("wallet_code")
    till.world.turn()
    till.world.restart(tail=0)
    till.world.turn()
    assert till.check.payments == ()
    again = till.pay("wallet_code")
    till.commit()
    till.serve()
    assert till.state(again) is PaymentState.CAPTURED
    assert (till.captures(), till.check.status) == (1, CheckStatus.CLOSED)
    till.end()


def test_after_a_timeout_the_same_id_is_asked_about() -> None:
    till = Till()
    attempt = till.pay("wallet_code")
    till.commit()
    till.lose_answer()
    till.wait(1_000)
    assert till.asked() == ["query"]
    assert till.world.requests[0][1].attempt_id == attempt
    till.serve()
    assert (till.state(attempt), till.captures()) == (PaymentState.CAPTURED, 1)


def test_an_unknown_id_is_not_final_but_sent_again_under_the_same_id() -> None:
    till = Till()
    attempt = till.pay("wallet_code")
    till.commit()
    till.lose()
    till.wait(1_000)
    assert [till.serve(), *till.asked()] == ["query", "sale"]
    assert till.world.requests[0][1].key == attempt
    till.serve()
    assert (till.state(attempt), till.captures()) == (PaymentState.CAPTURED, 1)


def test_an_id_that_was_executed_and_is_unknown_for_a_while_is_charged_once() -> None:
    till = Till()
    attempt = till.pay("wallet_code")
    till.commit()
    till.lose_answer("hidden")
    till.wait(1_000)
    assert [till.serve(), till.serve()] == ["query", "sale"]
    assert (till.state(attempt), till.captures()) == (PaymentState.CAPTURED, 1)


def test_a_call_that_nobody_answers_times_out_by_itself_and_its_late_answer_is_passed_over() -> None:
    till = Till()
    attempt = till.pay("card")
    till.commit()
    till.world.deliver(0, "declined")
    till.wait(LIMITS.call_timeout_ms)
    assert till.asked() == []
    till.world.answer(0, lost=False)
    assert till.world.primary.cashier.take_ready(len(till.world.primary.log), till.world.now_ms).acts == ()
    till.wait(1_000)
    assert till.serve() == "query"
    assert till.state(attempt) is PaymentState.DECLINED


def test_a_declined_card_leaves_the_check_open_for_another_tender() -> None:
    till = Till()
    till.pay("card")
    till.commit()
    assert till.check.status is CheckStatus.CLOSING
    till.serve("declined")
    assert (till.check.status, till.check.due_minor) == (CheckStatus.OPEN, PRICE_MINOR)
    till.cash()
    till.commit()
    assert till.check.status is CheckStatus.CLOSED
    till.end()


# --- stories of others -----------------------------------------------------------------------------------------------


def test_a_gateway_that_takes_thirty_seconds_is_not_charged_by_a_till_that_tries_again() -> None:
    """Toast: the API can take 30 s; clients time out and double. Here the till's second try is the same act."""
    till = Till()
    attempt = till.pay("card")
    till.commit()
    for _ in range(3):
        till.wait(9_000)
        assert till.world.do(Pay(till.check_id, "card", PRICE_MINOR, instrument="token"), attempt) == attempt
        assert till.pay("card") == "", "a second attempt of the same tender waits for the first"
    while till.world.requests:
        till.serve()
    till.end()
    assert till.captures() == 1


def test_two_tabs_pay_one_check_once() -> None:
    """Odoo #152259: two tabs double."""
    till = Till()
    assert till.pay("wallet_code")
    assert till.pay("wallet_code") == ""
    assert till.cash() == "", "nothing is due while an attempt may still bring it"
    assert till.world.goals["refused: payment-pending"] == 1
    assert till.world.goals["refused: check-closed"] == 1


def test_a_check_paid_offline_is_never_opened_again_by_the_synchronisation() -> None:
    """Odoo #288974: neither the capture on reconnect, nor a decline, nor a late order opens it."""
    for fate, state in (("taken", PaymentState.CAPTURED), ("declined", PaymentState.BAD_DEBT)):
        till = Till()
        attempt = till.pay("card")
        till.commit()
        till.go_offline()
        assert (till.state(attempt), till.check.status) == (PaymentState.STORED, CheckStatus.CLOSED)
        assert till.world.order(NOODLES, till.check_id) == "", "a closed check takes no order"
        for _ in range(60):
            till.wait(1_000)
            if till.world.requests:
                till.serve(fate)
            assert till.check.status is CheckStatus.CLOSED
        assert till.state(attempt) is state
        till.end()


def test_what_was_stored_offline_is_captured_once_whoever_brings_it_in() -> None:
    """ERPNext #12971: one in fifteen offline invoices doubled when they were synchronised."""
    till = Till()
    attempt = till.pay("card")
    till.commit()
    till.go_offline()
    till.wait(40_000)
    assert till.serve() == "query"
    till.lose_answer()
    till.world.fail_over(tail=0)
    till.world.turn()
    zombie = till.world.other
    while till.state(attempt) is not PaymentState.CAPTURED:
        till.wait(1_000)
        while till.world.requests:
            till.serve()
    assert zombie is till.world.other, "the deposed primary has gone on calling beside the new one"
    till.end()
    assert till.captures() == 1


def test_a_new_primary_asks_about_every_attempt_that_it_finds_in_the_log() -> None:
    till = Till()
    attempt = till.pay("card")
    till.commit()
    till.world.deliver(0, "taken")
    till.world.fail_over(tail=0)
    till.world.answers.clear()
    till.world.turn()
    assert till.asked() == ["query"]
    assert [till.serve(), till.serve()] == ["query", "capture"]
    assert till.state(attempt) is PaymentState.CAPTURED
    till.end()


def test_a_tail_that_another_life_commits_is_taken_up_too() -> None:
    till = Till()
    attempt = till.pay("stored_value")
    till.world.fail_over(tail=1)
    till.world.turn()
    assert [till.serve(), till.serve()] == ["query", "sale"]
    assert till.state(attempt) is PaymentState.CAPTURED


# --- wallet codes ----------------------------------------------------------------------------------------------------


def test_a_wallet_code_is_asked_about_until_its_time_is_over_and_then_undone() -> None:
    till = Till()
    attempt = till.pay("wallet_code")
    till.commit()
    assert till.serve("waiting") == "sale"
    asked = 0
    while till.state(attempt) is PaymentState.PENDING:
        till.wait(1_000)
        asked += till.asked() == ["query"] and till.serve() == "query"
    assert 25 <= asked <= 30
    assert till.state(attempt) is PaymentState.REVERSING
    till.wait(0)
    assert till.serve() == "reverse"
    assert till.state(attempt) is PaymentState.REVERSED
    till.end()


def test_a_reversal_is_in_the_log_before_the_gateway_hears_of_it() -> None:
    till = Till()
    till.pay("wallet_code")
    till.commit()
    till.serve("waiting")
    till.world.now_ms += LIMITS.wallet_stop_ms
    till.world.turn()
    till.world.turn()
    assert "reverse" not in till.asked()
    till.commit()
    assert "reverse" in till.asked()


def reversal_in_flight_over_a_failover(kind: type[Cashier]) -> None:
    """The wallet confirms just before its time is over; the old primary's reversal arrives after the new one's capture."""
    till = Till(kind)
    world = till.world
    till.pay("wallet_code")
    till.commit()
    world.deliver(0, "taken")
    world.answers.clear()
    world.now_ms += LIMITS.call_timeout_ms
    world.turn()
    world.now_ms += LIMITS.wallet_stop_ms - LIMITS.call_timeout_ms - 500
    world.fail_over(tail=0)
    old, new = world.other, world.primary
    world.turn()
    while any(device is old for device, _ in world.requests):
        world.lose_request(next(i for i, (device, _) in enumerate(world.requests) if device is old))
    world.now_ms += 2_000
    world.turn()
    world.deliver(next(i for i, (device, _) in enumerate(world.requests) if device is new), "taken")
    world.answer(0, lost=False)
    world.turn()
    world.commit(len(world.primary.log))
    world.watch()
    till.end()


def test_a_reversal_that_is_not_in_the_log_undoes_what_a_new_primary_has_seen_captured() -> None:
    reversal_in_flight_over_a_failover(Cashier)
    with pytest.raises(AssertionError, match="mischarged at close"):
        reversal_in_flight_over_a_failover(ReversesBeforeCommit)


def test_a_wallet_code_that_cannot_be_verified_waits_for_staff_who_may_trust_it() -> None:
    till = Till()
    attempt = till.pay("wallet_code")
    till.commit()
    till.go_offline()
    assert (till.state(attempt), till.check.status) == (PaymentState.UNVERIFIED, CheckStatus.CLOSING)
    assert [(each.attempt_id, each.code) for each in till.world.primary.cashier.attention()] == [
        (attempt, "unverified")
    ]
    assert till.cash() == ""
    assert till.world.do(AcceptPayment(attempt, "a regular"))
    till.commit()
    assert (till.state(attempt), till.check.status) == (PaymentState.STORED, CheckStatus.CLOSED)
    till.end()
    assert till.state(attempt) is PaymentState.CAPTURED


def test_a_wallet_code_that_the_gateway_never_heard_of_is_taken_when_it_is_back_in_time() -> None:
    till = Till()
    attempt = till.pay("wallet_code")
    till.commit()
    till.go_offline()
    assert till.state(attempt) is PaymentState.UNVERIFIED
    till.wait(8_000)
    assert [till.serve(), till.serve()] == ["query", "sale"]
    assert (till.state(attempt), till.check.status) == (PaymentState.CAPTURED, CheckStatus.CLOSED)


def test_a_wallet_code_whose_time_is_over_is_only_asked_about() -> None:
    till = Till()
    attempt = till.pay("wallet_code")
    till.commit()
    till.go_offline()
    till.wait(LIMITS.wallet_stop_ms)
    for _ in range(3):
        till.wait(LIMITS.retry_max_ms)
        assert till.serve() == "query"
        assert till.asked() == []
    assert (till.state(attempt), till.captures()) == (PaymentState.UNVERIFIED, 0)


def test_a_wallet_code_given_up_for_cash_keeps_the_check_closing_until_it_is_undone() -> None:
    till = Till()
    attempt = till.pay("wallet_code")
    till.commit()
    till.lose_answer()
    assert till.world.do(CancelPayment(attempt, "the diner pays cash"))
    till.cash()
    till.commit()
    assert (till.check.status, till.check.due_minor) == (CheckStatus.CLOSING, 0)
    assert till.asked() == []
    till.wait(LIMITS.reverse_after_ms)
    assert till.serve() == "reverse"
    assert (till.state(attempt), till.check.status) == (PaymentState.REVERSED, CheckStatus.CLOSED)
    till.end()


def test_what_cannot_be_undone_any_more_is_refunded_under_an_id_that_follows_from_it() -> None:
    till = Till()
    attempt = till.pay("wallet_code")
    till.commit()
    till.lose_answer()
    till.world.do(CancelPayment(attempt, "no answer"))
    till.cash()
    till.commit()
    till.world.now_ms += REVERSE_WITHIN_MS + 1
    till.wait(0)
    assert [till.serve(), till.serve()] == ["reverse", "query"]
    assert till.state(attempt) is PaymentState.UNWANTED
    (refund,) = till.world.truth.payment(attempt).refunds
    assert (refund.refund_id, refund.amount_minor) == (derived_id(attempt, "refund"), PRICE_MINOR)
    assert (till.check.status, till.asked()) == (CheckStatus.CLOSING, ["refund"])
    till.serve()
    assert till.check.status is CheckStatus.CLOSED
    till.end()


def test_when_that_refund_fails_too_a_person_is_asked() -> None:
    till = Till()
    attempt = till.pay("coupon")
    till.commit()
    till.lose_answer()
    till.world.do(CancelPayment(attempt, "no answer"))
    till.world.now_ms += REVERSE_WITHIN_MS + 1
    till.commit()
    assert [till.serve(), till.serve()] == ["reverse", "query"]
    till.world.gateway.payments[attempt].split_minor = 1
    assert till.serve() == "refund"
    assert [each.code for each in till.world.primary.cashier.attention()] == ["refund-failed"]
    till.wait(60_000)
    assert till.asked() == []
    till.world.gateway.payments[attempt].split_minor = 0
    till.world.do(GiveRefund(attempt, PRICE_MINOR, "by hand"))
    till.commit()
    till.serve()
    assert till.world.primary.cashier.attention() == ()
    till.end()


def test_what_is_held_and_beyond_reversal_is_waited_for_and_never_called_captured() -> None:
    till = Till()
    attempt = till.pay("card")
    till.commit()
    till.serve()
    assert till.state(attempt) is PaymentState.AUTHORIZED
    till.lose()
    till.world.do(CancelPayment(attempt, "pays cash"))
    till.world.now_ms += REVERSE_WITHIN_MS + 1
    till.commit()
    for _ in range(3):
        assert [till.serve(), till.serve()] == ["reverse", "query"]
        assert till.state(attempt) is PaymentState.REVERSING
        till.wait(LIMITS.retry_max_ms)
    till.end()
    assert till.state(attempt) is PaymentState.REVERSED


# --- store and forward -----------------------------------------------------------------------------------------------


def test_a_card_is_stored_only_within_the_caps() -> None:
    till = Till()
    big = till.world.order((("pickled-fish", 4),))
    attempt = till.world.do(Pay(big, "card", 27_200, instrument="token"))
    till.commit()
    till.go_offline()
    assert till.state(attempt) is PaymentState.PENDING
    (attention,) = till.world.primary.cashier.attention()
    assert ("27200 is over the 20000" in attention.why, attention.code) == (True, "offline-limit")
    stored = []
    for _ in range(4):
        check_id = till.world.order((("pickled-fish", 2), ("twice-cooked-pork", 1)))
        stored.append(till.world.do(Pay(check_id, "card", 17_800, instrument="token")))
        till.commit()
        till.go_offline()
    states = [till.state(each) for each in stored]
    assert states == [PaymentState.STORED] * 3 + [PaymentState.PENDING]
    assert till.world.primary.book.stored_minor == 53_400
    till.end()


def test_what_is_stored_for_too_long_is_not_captured_and_the_check_stays_closed() -> None:
    till = Till()
    attempt = till.pay("card")
    till.commit()
    till.go_offline()
    till.wait(LIMITS.stored_age_ms)
    assert till.state(attempt) is PaymentState.STORED, "the gateway is asked first"
    assert [till.serve(), till.serve()] == ["query", "reverse"]
    assert (till.state(attempt), till.check.status) == (PaymentState.BAD_DEBT, CheckStatus.CLOSED)
    till.end()


def test_what_was_captured_without_our_knowing_is_no_bad_debt_however_old() -> None:
    till = Till()
    attempt = till.pay("stored_value")
    till.commit()
    till.lose_answer()
    till.go_offline()
    assert till.state(attempt) is PaymentState.STORED
    till.wait(LIMITS.stored_age_ms)
    assert till.serve() == "query"
    assert till.state(attempt) is PaymentState.CAPTURED
    till.end()


def test_the_gateway_is_away_only_when_it_answers_nobody() -> None:
    till = Till()
    slow = till.pay("card")
    till.commit()
    other = till.world.order(NOODLES)
    for _ in range(3):
        till.lose()
        till.world.do(Pay(other, "wallet_code", 100, instrument="code"))
        till.commit()
        answered = next(i for i, (_, call) in enumerate(till.world.requests) if call.tender == "wallet_code")
        till.world.requests.insert(0, till.world.requests.pop(answered))
        till.serve()
        till.wait(5_000)
        till.world.requests = [each for each in till.world.requests if each[1].tender == "card"]
    assert till.state(slow) is PaymentState.PENDING
    till.end()


def test_who_settles_cards_may_be_away_while_coupons_are_verified() -> None:
    till = Till()
    card = till.pay("card")
    till.commit()
    other = till.world.order(NOODLES)
    for _ in range(3):
        till.lose()
        till.world.do(Pay(other, "coupon", 100, instrument="voucher"))
        till.commit()
        answered = next(i for i, (_, call) in enumerate(till.world.requests) if call.tender == "coupon")
        till.world.requests.insert(0, till.world.requests.pop(answered))
        till.serve()
        till.wait(5_000)
        till.world.requests = [each for each in till.world.requests if each[1].tender == "card"]
    assert till.state(card) is PaymentState.STORED


def test_a_coupon_is_verified_under_one_id_fourteen_times_at_most_and_then_undone() -> None:
    """`reference/restaurant.md`: the same token on every retry, 5 x 5 s, then 40 s, at most 14."""
    till = Till()
    attempt = till.pay("coupon")
    till.commit()
    asked: list[tuple[int, str]] = []
    while till.state(attempt) is PaymentState.PENDING:
        assert len(asked) <= LIMITS.coupon_tries_max
        for _ in range(1_000):
            if till.world.requests:
                break
            till.wait(100)
        if till.world.requests:
            asked.append((till.world.now_ms, till.world.requests[0][1].attempt_id))
            till.lose()
        till.commit()
    pauses_ms = [after - before for (before, _), (after, _) in itertools.pairwise(asked)]
    assert len(asked) == LIMITS.coupon_tries_max
    assert {attempt_id for _, attempt_id in asked} == {attempt}
    early, late = pauses_ms[: LIMITS.coupon_first_tries], pauses_ms[LIMITS.coupon_first_tries :]
    assert all(LIMITS.coupon_retry_ms <= pause < LIMITS.coupon_later_ms for pause in early), pauses_ms
    assert all(pause >= LIMITS.coupon_later_ms for pause in late), pauses_ms
    assert till.state(attempt) is PaymentState.REVERSING


def test_when_the_gateway_is_back_all_that_waited_is_due_and_calls_are_bounded() -> None:
    till = Till()
    for _ in range(LIMITS.calls_max + 3):
        check_id = till.world.order((("soy-milk", 1),))
        till.world.do(Pay(check_id, "card", 600, instrument="token"))
    till.commit()
    assert len(till.asked()) == LIMITS.calls_max
    till.go_offline()
    till.wait(120_000)
    while till.world.requests:
        till.lose()
    till.wait(60_000)
    till.serve()
    assert len(till.asked()) == LIMITS.calls_max
    till.end()
    assert till.captures() == LIMITS.calls_max + 3


# --- money back ------------------------------------------------------------------------------------------------------


def paid_by_card(till: Till) -> str:
    attempt = till.pay("card")
    till.commit()
    assert [till.serve(), till.serve(), till.serve()] == ["authorize", "capture", "split"]
    assert till.check.status is CheckStatus.CLOSED
    return attempt


def test_an_offline_refund_is_queued_and_the_check_closes_when_it_is_done() -> None:
    till = Till()
    attempt = paid_by_card(till)
    assert till.world.do(GiveRefund(attempt, 3200, "cold")) == "", "a closed check is reopened first"
    till.world.do(Reopen(till.check_id, "cold"))
    refund_id = till.world.do(GiveRefund(attempt, 3200, "cold"))
    assert till.world.do(GiveRefund(attempt, 1, "cold")) == "", "no more than was captured"
    assert till.world.do(Comp(till.check_id, till.check_id, 0, 1, "cold"))
    till.world.turn()
    assert till.asked() == []
    till.commit()
    till.go_offline()
    assert till.check.status is CheckStatus.CLOSING
    till.world.restart(tail=0)
    till.wait(0)
    assert [till.serve(), till.world.requests[0][1].key] == ["return", refund_id]
    till.lose_answer()
    till.wait(1_000)
    till.serve()
    assert (till.check.status, till.check.total_minor) == (CheckStatus.CLOSED, 0)
    till.end()


def test_parties_return_their_shares_before_a_refund() -> None:
    till = Till()
    attempt = paid_by_card(till)
    assert till.world.truth.payment(attempt).parties == (("platform", 192), ("brand", 96))
    till.world.do(Reopen(till.check_id, "cold"))
    till.world.do(GiveRefund(attempt, 1600, "half of it"))
    till.commit()
    call: Call = till.world.requests[0][1]
    assert (call.op, call.shares) == (Op.RETURN, (("platform", 96), ("brand", 48)))
    assert [till.serve(), till.serve()] == ["return", "refund"]
    till.world.do(GiveRefund(attempt, 1600, "the rest"))
    till.commit()
    assert till.world.requests[0][1].shares == (("platform", 96), ("brand", 48))
    till.end()


def test_a_refund_that_fails_leaves_the_check_open_with_more_paid_than_owed() -> None:
    till = Till()
    attempt = paid_by_card(till)
    till.world.do(Reopen(till.check_id, "cold"))
    till.world.do(GiveRefund(attempt, 3200, "cold"))
    till.world.do(Comp(till.check_id, till.check_id, 0, 1, "cold"))
    till.commit()
    till.serve()
    till.world.gateway.payments[attempt].split_minor = 1
    till.serve()
    assert (till.check.status, till.check.covered_minor, till.check.total_minor) == (CheckStatus.OPEN, 3200, 0)
    till.world.gateway.payments[attempt].split_minor = 0
    assert till.world.do(GiveRefund(attempt, 3200, "cold, again"))
    till.commit()
    till.serve()
    assert till.check.status is CheckStatus.CLOSED
    till.end()


def test_a_lost_dispute_is_logged_once_and_the_check_stays_closed() -> None:
    till = Till()
    attempt = paid_by_card(till)
    for _ in range(2):
        till.world.primary.cashier.dispute_lost(attempt)
        till.commit()
    till.world.primary.cashier.dispute_lost("00000000-0000-0000-0000-0000000000ff")
    till.commit()
    assert (till.state(attempt), till.check.status) == (PaymentState.CHARGED_BACK, CheckStatus.CLOSED)
    assert sum(record.get("outcome") == "charged_back" for record in till.world.primary.log) == 1


@pytest.mark.parametrize("fate", ["done, and its answer lost", "not done, and the dispute left too little"])
@pytest.mark.parametrize("is_split", [True, False])
def test_a_refund_under_way_when_a_dispute_is_lost_comes_to_its_end(fate: str, is_split: bool) -> None:
    till = Till()
    attempt = till.pay("card")
    till.commit()
    assert [till.serve(), till.serve()] == ["authorize", "capture"]
    till.world.do(Reopen(till.check_id, "cold"))
    if is_split:
        assert till.serve() == "split"
    else:
        assert till.asked() == ["split"]
        till.lose()  # it never came to the gateway, and the store cannot know that
    refund_id = till.world.do(GiveRefund(attempt, PRICE_MINOR, "cold"))
    till.world.do(Comp(till.check_id, till.check_id, 0, 1, "cold"))
    till.commit()
    till.wait(1_000)
    held = till.world.gateway.payments[attempt]
    if is_split:
        assert till.serve() == "return"
        if fate.startswith("done"):
            till.lose_answer()
        else:
            till.lose()
            held.captured_minor = 0  # what the dispute took
    else:
        till.lose()
        held.captured_minor *= fate.startswith("done")
    till.world.primary.cashier.dispute_lost(attempt)
    till.commit()
    assert till.state(attempt) is PaymentState.CHARGED_BACK
    till.world.restart(tail=0)
    for _ in range(10):
        till.wait(2_000)
        while till.world.requests:
            assert till.world.requests[0][1].op in (Op.RETURN, Op.REFUND)
            till.serve()
    (refund,) = till.world.truth.payment(attempt).refunds
    assert (refund.refund_id, refund.state) == (refund_id, "done" if held.refunded_minor else "failed")
    assert bool(held.refunded_minor) is fate.startswith("done")
    assert till.world.primary.book.at_gateway() == (), "nothing is under way any more"
    if fate.startswith("done"):
        assert till.check.status is CheckStatus.CLOSED


# --- the driver's view -----------------------------------------------------------------------------------------------


def test_a_callback_is_a_hint_to_ask_and_nothing_more() -> None:
    till = Till()
    attempt = till.pay("wallet_code")
    till.commit()
    till.serve("waiting")
    till.world.gateway.confirm(attempt, True)
    till.world.primary.cashier.hint(attempt, till.world.now_ms)
    till.world.primary.cashier.hint("unheard of", till.world.now_ms)
    till.world.turn()
    assert till.state(attempt) is PaymentState.PENDING
    assert till.serve() == "query"
    assert till.state(attempt) is PaymentState.CAPTURED


def test_an_act_that_is_lost_on_its_way_is_given_out_again_under_the_same_key() -> None:
    till = Till()
    till.pay("coupon")
    till.commit()
    cashier, world = till.world.primary.cashier, till.world
    world.deliver(0, "taken")
    world.answer(0, lost=False)
    (first,) = cashier.take_ready(world.primary.commit_seq, world.now_ms).acts
    assert cashier.take_ready(world.primary.commit_seq, world.now_ms + 1).acts == ()
    (again,) = cashier.take_ready(world.primary.commit_seq, world.now_ms + LIMITS.act_retry_ms).acts
    assert first == again
    assert first.name in SYSTEM_ACTS


def test_a_device_that_does_not_lead_asks_nothing_and_forgets_what_it_had_asked() -> None:
    till = Till()
    till.pay("card")
    till.commit()
    cashier, world = till.world.primary.cashier, till.world
    cashier.lead(None)
    ready = cashier.take_ready(world.primary.commit_seq, world.now_ms)
    assert (ready.calls, ready.acts, cashier.deadline_ms, cashier.calls_under_way) == ((), (), None, 0)
    world.deliver(0, "taken")
    world.answer(0, lost=False)
    cashier.lead(7)
    (call,) = cashier.take_ready(world.primary.commit_seq, world.now_ms).calls
    assert call.op is Op.QUERY


@pytest.mark.parametrize("tender", [tender for tender in TENDERS if tender != "cash"])
def test_who_wakes_the_cashier_at_its_deadlines_only_sees_everything_settled(tender: Tender) -> None:
    till = Till()
    attempt = till.pay(tender)
    till.commit()
    world = till.world
    for turn in itertools.count():
        if turn < 12 and world.requests:
            world.requests.pop(0)
        elif world.requests:
            till.serve()
        if till.state(attempt) is PaymentState.UNVERIFIED:
            world.do(CancelPayment(attempt, "gone"))
        till.commit()
        if not world.primary.book.at_gateway():
            break
        if not world.requests:
            deadline_ms = world.primary.cashier.deadline_ms
            assert deadline_ms is not None
            assert deadline_ms > world.now_ms, "no busy loop"
            world.now_ms = deadline_ms
        assert turn < 500
        world.turn()
    till.end()


def test_a_cashier_that_nothing_has_happened_to_does_not_look_at_the_book(monkeypatch: pytest.MonkeyPatch) -> None:
    till = Till()
    till.pay("card")
    till.commit()
    cashier, world = till.world.primary.cashier, till.world
    monkeypatch.setattr(world.primary.book, "at_gateway", lambda: pytest.fail("it has looked"))
    assert cashier.take_ready(world.primary.commit_seq + 5, world.now_ms).calls == ()
    with pytest.raises(pytest.fail.Exception):
        cashier.take_ready(world.primary.commit_seq, cashier.deadline_ms or 0)


def test_business_time_is_scaled_and_the_machine_s_own_times_are_not() -> None:
    scaled = CashierLimits().scaled(60)
    assert (scaled.wallet_stop_ms, scaled.reverse_after_ms, scaled.stored_age_ms) == (500, 250, 1_440_000)
    assert scaled.call_timeout_ms == CashierLimits().call_timeout_ms


# --- the tables ------------------------------------------------------------------------------------------------------


def test_no_payment_ever_comes_back_to_a_state_that_it_has_left() -> None:
    reached = {state: {state} for state in PaymentState}
    for _ in PaymentState:
        for (before, _), after in PAYMENT_TRANSITIONS.items():
            reached[before] |= reached[after]
    for (before, _), after in PAYMENT_TRANSITIONS.items():
        assert before not in reached[after]


def test_every_state_that_is_not_final_has_a_call_and_a_way_out_for_its_tenders() -> None:
    unsettled = {state for state, _ in NEXT_OP}
    assert unsettled == {state for state, _ in STEP_OF}
    for state, known in itertools.product(unsettled, Known):
        assert (state, known) in NEXT_OP
    for (state, _), step in STEP_OF.items():
        assert (state, step) in PAYMENT_TRANSITIONS
    for state in unsettled - {PaymentState.REVERSING, PaymentState.EXPIRING}:
        assert {(state, Result.CAPTURED), (state, Result.DECLINED), (state, Result.REVERSED)} <= set(STEP_OF)
    assert Step.AUTHORIZE not in {step for (state, _), step in STEP_OF.items() if state is not PaymentState.PENDING}
    assert all(tenders for tenders in STEP_TENDERS.values())


def test_only_the_answer_to_a_reversal_settles_what_is_to_be_undone() -> None:
    for state in (PaymentState.REVERSING, PaymentState.EXPIRING):
        assert (state, Result.CAPTURED) not in STEP_OF
        for known in Known:
            assert NEXT_OP[state, known] == (Op.QUERY if known is Known.IRREVERSIBLE else Op.REVERSE)


def test_answers_are_cut_to_what_a_record_may_hold() -> None:
    till = Till()
    attempt = till.pay("coupon")
    till.commit()
    _, call = till.world.requests.pop()
    till.world.primary.cashier.answered(call.call_id, Answer(Result.DECLINED, "r" * 999, "d" * 999), till.world.now_ms)
    till.commit()
    assert till.state(attempt) is PaymentState.DECLINED
