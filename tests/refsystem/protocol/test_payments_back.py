"""P16, told: money that goes back, by a refund or a lost dispute."""

from __future__ import annotations

import pytest
from payments_till import PRICE_MINOR, Till

from refsystem.ordering.check import CheckStatus
from refsystem.ordering.check_acts import Comp, GiveRefund, Reopen
from refsystem.ordering.payment import PaymentState
from refsystem.protocol.payment_calls import Call, Op

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
