"""P16, told: what the gateway is asked and when, over time-outs, crashes, failovers and outages."""

from __future__ import annotations

import itertools

import pytest
from payments_till import NOODLES, PRICE_MINOR, Till
from payments_world import LIMITS

from refsystem.ordering.check import CheckStatus
from refsystem.ordering.check_acts import SYSTEM_ACTS, CancelPayment, Pay
from refsystem.ordering.payment import PAYMENT_TRANSITIONS, STEP_TENDERS, TENDERS, PaymentState, Step, Tender
from refsystem.protocol.payment_calls import NEXT_OP, STEP_OF, Answer, CashierLimits, Known, Op, Result

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
