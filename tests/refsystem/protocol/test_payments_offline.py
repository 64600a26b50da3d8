"""P16, told: store and forward, while the gateway is away and when it is back."""

from __future__ import annotations

import itertools

from payments_till import NOODLES, Till
from payments_world import LIMITS

from refsystem.ordering.check import CheckStatus
from refsystem.ordering.check_acts import Pay
from refsystem.ordering.payment import PaymentState

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
