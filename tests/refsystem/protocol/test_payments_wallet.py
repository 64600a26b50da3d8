"""P16, told: wallet codes, which are asked about until their time is over and then undone."""

from __future__ import annotations

import pytest
from payments_till import PRICE_MINOR, Till
from payments_world import LIMITS, REVERSE_WITHIN_MS

from refsystem.ordering.check import CheckStatus
from refsystem.ordering.check_acts import AcceptPayment, CancelPayment, GiveRefund, derived_id
from refsystem.ordering.payment import PaymentState
from refsystem.protocol.payments import Cashier
from refsystem.protocol.payments_broken import ReversesBeforeCommit

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
