"""The rules of a check, told: add-ons, splits, merges, voids, discounts, payments, closing and opening again."""

from __future__ import annotations

import pytest
from till import AT_MS, RULES, Till, order, uuid

from refsystem.ordering.book import Book
from refsystem.ordering.book_steps import PaymentRules
from refsystem.ordering.check import CHECK_TRANSITIONS, Check, CheckStatus
from refsystem.ordering.check_acts import (
    AcceptPayment,
    CancelPayment,
    Close,
    Comp,
    GiveDiscount,
    GiveRefund,
    Merge,
    PartiesOutcome,
    Pay,
    PaymentOutcome,
    Reopen,
    Split,
    Transfer,
    Void,
    derived_id,
)
from refsystem.ordering.errors import (
    ACT_INVALID,
    AMOUNT_OVER_DUE,
    CHECK_CLOSED,
    CHECK_HAS_PAYMENTS,
    CHECK_NOT_CLOSED,
    CHECK_NOT_COVERED,
    CHECK_UNKNOWN,
    COUPON_USED,
    LINE_UNKNOWN,
    OFFLINE_LIMIT,
    PAYMENT_PENDING,
    PAYMENT_STATE,
    PAYMENT_UNKNOWN,
    QUANTITY_TOO_LARGE,
    REFUND_TOO_LARGE,
    TOTAL_TOO_LOW,
    OrderRejected,
)
from refsystem.ordering.menu import DEMO_MENU, Menu, MenuItem
from refsystem.ordering.payment import PaymentState, Step


def cash(check: Check, amount_minor: int = 0) -> Pay:
    amount_minor = amount_minor or check.due_minor
    return Pay(check.check_id, "cash", amount_minor, amount_minor)


def paid(till: Till, check_id: str) -> str:
    """Pay what is due in cash; returns the attempt's id."""
    return till.do(cash(till.check(check_id)))


# --- orders on checks ------------------------------------------------------------------------------------------------


def test_an_order_opens_a_check_of_its_own_and_further_ones_are_added() -> None:
    till = Till()
    check_id = till.order({"beef-noodles": 2, "beer": 1})
    assert till.order({"beer": 2}, check_id, table="9") == check_id
    check = till.check(check_id)
    assert (check.table, check.total_minor, check.status) == ("4", 10_900, CheckStatus.OPEN)
    assert [(line.order_id, line.line, line.quantity, line.amount_minor) for line in check.lines] == [
        (check_id, 0, 2, 6400),
        (check_id, 1, 1, 1500),
        (uuid(2), 0, 2, 3000),
    ]
    assert till.book.check_of_order(uuid(2)) is check


def test_an_order_on_a_closed_check_is_refused_and_one_that_is_in_the_log_all_the_same_stands_on_its_own() -> None:
    """Odoo #288974: what is paid is never opened again by an order that comes late."""
    till = Till()
    check_id = till.order({"beer": 1})
    paid(till, check_id)
    with pytest.raises(OrderRejected) as rejection:
        till.book.order_check(uuid(50), check_id)
    assert rejection.value.problem is CHECK_CLOSED
    till.append(order(uuid(50), {"beer": 1}, check_id=check_id))
    assert till.check(check_id).status is CheckStatus.CLOSED
    assert till.check(uuid(50)).total_minor == 1500
    till.append(order(uuid(50), {"beer": 1}))
    assert [each.seq for each in till.book.passed_over] == [len(till.log)]


def test_an_order_on_a_check_that_is_being_paid_is_refused() -> None:
    till = Till()
    check_id = till.order({"beer": 1})
    attempt = till.do(Pay(check_id, "card", 1500, instrument="token"))
    with pytest.raises(OrderRejected, match="is being paid"):
        till.book.order_check(uuid(50), check_id)
    till.step(attempt, Step.DECLINE)
    assert till.book.order_check(uuid(50), check_id) == check_id


def test_an_order_follows_its_check_to_where_it_was_merged() -> None:
    till = Till()
    first, second, third = (till.order({"beer": 1}, table=table) for table in "123")
    till.do(Merge(second, third))
    till.do(Merge(first, second))
    assert till.order({"beer": 1}, third) == first
    assert till.check(first).total_minor == 6000
    assert till.book.check_of_order(third).check_id == first


def test_a_record_s_own_prices_come_before_the_menu_s_and_a_changed_menu_changes_no_total() -> None:
    dearer = Menu(tuple(MenuItem(item.item_id, "", "", item.price_minor + 100, "x") for item in DEMO_MENU.items))
    record = order(uuid(1), {"beer": 3, "soy-milk": 1})
    priced = record | {"unit_prices_minor": [1500, 600]}
    for menu, each, amounts in (
        (DEMO_MENU, record, [4500, 600]),
        (dearer, priced, [4500, 600]),
        (dearer, record, [3825, 1275]),
        (Menu(()), record, [3825, 1275]),
    ):
        book = Book(menu, RULES)
        book.apply(1, each)
        assert [line.amount_minor for line in book.check(uuid(1)).lines] == amounts


# --- split, merge, transfer ------------------------------------------------------------------------------------------


def test_lines_move_to_a_new_check_whose_id_follows_from_the_act() -> None:
    till = Till()
    check_id = till.order({"beef-noodles": 2, "beer": 3})
    act_id = till.do(Split(check_id, ((check_id, 0, 1), (check_id, 1, 3))))
    new = till.check(derived_id(act_id, "part/1"))
    assert (new.total_minor, new.table, new.split_from) == (7700, "4", check_id)
    assert [(line.item_id, line.quantity) for line in till.check(check_id).lines] == [("beef-noodles", 1)]
    till.do(Merge(check_id, new.check_id))
    assert till.check(check_id).total_minor == 10_900
    assert till.check(new.check_id).status is CheckStatus.MERGED


def test_an_even_split_of_what_is_due_gives_the_remainder_to_the_first() -> None:
    till = Till()
    check_id = till.order({"steamed-rice": 1, "beer": 1, "plum-juice": 1, "cucumber-salad": 1})
    till.do(cash(till.check(check_id), 1000))
    act_id = till.do(Split(check_id, ways=3))
    parts = [check_id, derived_id(act_id, "part/1"), derived_id(act_id, "part/2")]
    assert [till.check(part).due_minor for part in parts] == [1034, 1033, 1033]
    for part in parts:
        paid(till, part)
    assert {till.check(part).status for part in parts} == {CheckStatus.CLOSED}
    assert sum(till.check(part).covered_minor for part in parts) == 4100


def test_shares_go_back_by_a_merge() -> None:
    till = Till()
    check_id = till.order({"beer": 3})
    part = derived_id(till.do(Split(check_id, ways=2)), "part/1")
    assert "less than nothing" in till.refuses(TOTAL_TOO_LOW, Void(check_id, check_id, 0, 2, "flat"))
    till.do(Merge(check_id, part))
    till.do(Void(check_id, check_id, 0, 2, "flat"))
    assert till.check(check_id).total_minor == 1500


def test_what_cannot_be_split_or_merged_is_refused() -> None:
    till = Till()
    first, second = till.order({"beer": 2}), till.order({"steamed-rice": 1})
    till.refuses(ACT_INVALID, Split(first))
    till.refuses(ACT_INVALID, Split(first, ((first, 0, 1),), 2))
    till.refuses(ACT_INVALID, Split(first, ways=1))
    till.refuses(LINE_UNKNOWN, Split(first, ((second, 0, 1),)))
    till.refuses(QUANTITY_TOO_LARGE, Split(first, ((first, 0, 1), (first, 0, 2))))
    till.refuses(ACT_INVALID, Merge(first, first))
    till.refuses(CHECK_UNKNOWN, Merge(first, uuid(77)))
    till.do(cash(till.check(second), 100))
    assert "merge the other way round" in till.refuses(CHECK_HAS_PAYMENTS, Merge(first, second))
    till.refuses(TOTAL_TOO_LOW, Split(second, ((second, 0, 1),)))
    till.do(Merge(second, first))
    till.refuses(CHECK_CLOSED, Split(first, ways=2))
    till.do(cash(till.check(second)))
    till.refuses(CHECK_CLOSED, Merge(second, first))
    small = till.order({"steamed-rice": 1})
    till.do(cash(till.check(small), 298))
    till.refuses(AMOUNT_OVER_DUE, Split(small, ways=3))


def test_a_check_moves_to_another_table_until_it_is_closed() -> None:
    till = Till()
    check_id, other = till.order({"beer": 1}), till.order({"beer": 1}, table="7")
    till.do(Transfer(check_id, "7"))
    assert [check.check_id for check in till.book.checks_at("7")] == [check_id, other]
    assert till.book.checks_at("4") == ()
    paid(till, check_id)
    assert [check.check_id for check in till.book.checks_at("7")] == [other]
    till.refuses(CHECK_CLOSED, Transfer(check_id, "8"))


# --- voids, comps, discounts -----------------------------------------------------------------------------------------


def test_voids_and_comps_take_their_price_and_are_counted() -> None:
    till = Till()
    check_id = till.order({"beer": 3})
    record = till.say(act="void", check_id=check_id, order_id=check_id, line=0, quantity=1, reason="dropped")
    assert (record["amount_minor"], record["who"], record["at_ms"]) == (1500, "Li", AT_MS)
    till.do(Comp(check_id, check_id, 0, 2, "late"))
    (line,) = till.check(check_id).lines
    assert (line.quantity, line.amount_minor, line.voided, line.comped) == (0, 0, 1, 2)
    till.refuses(QUANTITY_TOO_LARGE, Void(check_id, check_id, 0, 1, "again"))
    assert till.check(check_id).status is CheckStatus.OPEN
    till.do(Close(check_id))
    assert till.check(check_id).status is CheckStatus.CLOSED


def test_a_discount_gives_way_when_what_it_was_given_for_is_voided() -> None:
    till = Till()
    check_id = till.order({"pickled-fish": 1, "steamed-rice": 1})
    till.do(GiveDiscount(check_id, "regular", "", 500))
    till.do(GiveDiscount(check_id, "coupon", "FISH-30", 3000))
    assert till.check(check_id).total_minor == 3600
    record = till.say(act="void", check_id=check_id, order_id=check_id, line=0, quantity=1, reason="sold out")
    assert (record["amount_minor"], record["discount_cut_minor"]) == (6800, 3200)
    assert [each.amount_minor for each in till.check(check_id).discounts] == [300, 0]
    assert till.check(check_id).total_minor == 0


def test_a_coupon_is_used_once_and_never_takes_more_than_what_is_due() -> None:
    till = Till()
    first, second = till.order({"beer": 1}), till.order({"beer": 1})
    till.do(GiveDiscount(first, "coupon", "BEER", 9999))
    assert till.check(first).total_minor == 0
    assert "'BEER'" in till.refuses(COUPON_USED, GiveDiscount(second, "coupon", "BEER", 100))
    till.refuses(AMOUNT_OVER_DUE, GiveDiscount(first, "more", "", 100))
    till.do(GiveDiscount(second, "happy hour", basis_points=1_250))
    assert till.check(second).total_minor == 1312
    till.refuses(ACT_INVALID, GiveDiscount(second, "both", "", 1, 1))
    till.refuses(ACT_INVALID, GiveDiscount(second, "neither"))
    till.book.set_aside(3)
    assert not till.book.coupon_used("BEER")


def test_nothing_is_taken_off_below_what_is_paid() -> None:
    till = Till()
    check_id = till.order({"beer": 2})
    till.do(cash(till.check(check_id), 2000))
    assert "refund first" in till.refuses(TOTAL_TOO_LOW, Comp(check_id, check_id, 0, 1, "flat"))
    till.refuses(CHECK_NOT_COVERED, Close(check_id))


# --- payments --------------------------------------------------------------------------------------------------------


def test_cash_gives_change_and_closes_the_check() -> None:
    till = Till()
    check_id = till.order({"beer": 1})
    assert "given_minor must be 1500 or more" in till.refuses(ACT_INVALID, Pay(check_id, "cash", 1500, 1000))
    record = till.say(act="pay", check_id=check_id, tender="cash", amount_minor=1500, given_minor=2000)
    assert (record["change_minor"], record["attempt_id"]) == (500, record["act_id"])
    assert till.check(check_id).status is CheckStatus.CLOSED
    assert till.book.at_gateway() == ()
    till.refuses(CHECK_CLOSED, cash(till.check(check_id), 1))


def test_several_tenders_pay_one_check() -> None:
    till = Till()
    check_id = till.order({"beer": 2})
    till.do(cash(till.check(check_id), 500))
    card = till.do(Pay(check_id, "card", 1000, instrument="token"))
    assert "1500 are due" in till.refuses(AMOUNT_OVER_DUE, Pay(check_id, "wallet_code", 1501, instrument="code"))
    wallet = till.do(Pay(check_id, "wallet_code", 1500, instrument="code"))
    till.refuses(ACT_INVALID, Pay(check_id, "coupon", 1))
    till.refuses(ACT_INVALID, Pay(check_id, "coupon", 1, 1, "voucher"))
    assert till.check(check_id).status is CheckStatus.CLOSING
    till.step(card, Step.AUTHORIZE)
    till.step(card, Step.CAPTURE)
    till.step(wallet, Step.DECLINE)
    assert (till.check(check_id).status, till.check(check_id).due_minor) == (CheckStatus.OPEN, 1500)
    paid(till, check_id)
    assert till.check(check_id).status is CheckStatus.CLOSED


def test_a_second_attempt_of_the_same_tender_waits_for_the_first_one_s_final_outcome() -> None:
    till = Till()
    check_id = till.order({"beer": 2})
    first = till.do(Pay(check_id, "card", 1000, instrument="token"))
    second = Pay(check_id, "card", 1000, instrument="other")
    assert "is pending" in till.refuses(PAYMENT_PENDING, second)
    till.do(CancelPayment(first, "another card"))
    assert "is reversing" in till.refuses(PAYMENT_PENDING, second)
    till.step(first, Step.REVERSE)
    assert till.do(second)


@pytest.mark.parametrize(
    ("tender", "step"),
    [("wallet_code", Step.STORE), ("wallet_code", Step.AUTHORIZE), ("card", Step.UNVERIFY), ("coupon", Step.STORE)],
)
def test_a_step_is_open_to_its_own_tenders_only(tender: str, step: Step) -> None:
    till = Till()
    check_id = till.order({"beer": 1})
    record = till.say(act="pay", check_id=check_id, tender=tender, amount_minor=1500, instrument="x")
    assert f"cannot be {step}" in till.refuses(PAYMENT_STATE, PaymentOutcome(record["attempt_id"], step))
    till.refuses(PAYMENT_STATE, AcceptPayment(record["attempt_id"], "why not"))
    till.refuses(PAYMENT_UNKNOWN, PaymentOutcome(check_id, Step.CAPTURE))


def test_what_is_stored_is_capped_and_covers_the_check() -> None:
    till = Till()
    stored = []
    for _ in range(3):
        check_id = till.order({"pickled-fish": 6})
        stored.append(till.do(Pay(check_id, "card", 40_800, instrument="token")))
    dear = till.do(Pay(till.order({"pickled-fish": 8}), "card", 54_400, instrument="token"))
    assert "over the 50000" in till.refuses(OFFLINE_LIMIT, PaymentOutcome(dear, Step.STORE))
    for attempt in stored[:2]:
        till.step(attempt, Step.STORE)
        assert till.book.check_of_payment(attempt).status is CheckStatus.CLOSED
    assert "122400 would be outstanding" in till.refuses(OFFLINE_LIMIT, PaymentOutcome(stored[2], Step.STORE))
    till.step(stored[0], Step.CAPTURE)
    assert till.book.stored_minor == 40_800
    till.step(stored[2], Step.STORE)
    till.step(stored[1], Step.LOSE)
    check = till.book.check_of_payment(stored[1])
    assert (check.status, till.book.payment(stored[1]).state) == (CheckStatus.CLOSED, PaymentState.BAD_DEBT)


def test_a_stored_payment_is_given_up_only_on_a_check_that_was_opened_again() -> None:
    till = Till()
    check_id = till.order({"beer": 1})
    attempt = till.do(Pay(check_id, "card", 1500, instrument="token"))
    till.step(attempt, Step.STORE)
    assert "reopen it first" in till.refuses(CHECK_CLOSED, CancelPayment(attempt, "pays cash"))
    till.do(Reopen(check_id, "pays cash"))
    till.do(CancelPayment(attempt, "pays cash"))
    paid(till, check_id)
    assert till.check(check_id).status is CheckStatus.CLOSING
    till.step(attempt, Step.REVERSE)
    assert till.check(check_id).status is CheckStatus.CLOSED


# --- refunds, closing, opening again ---------------------------------------------------------------------------------


def test_money_back_after_closing_is_reopen_refund_comp() -> None:
    till = Till()
    check_id = till.order({"beer": 2})
    attempt = paid(till, check_id)
    till.refuses(CHECK_CLOSED, GiveRefund(attempt, 1500, "flat"))
    till.do(Reopen(check_id, "flat"))
    assert till.check(check_id).status is CheckStatus.OPEN
    till.do(Transfer(check_id, "9"))
    assert till.check(check_id).status is CheckStatus.OPEN, "who reopened it keeps it open"
    till.do(GiveRefund(attempt, 1500, "flat"))
    till.do(Comp(check_id, check_id, 0, 1, "flat"))
    check = till.check(check_id)
    assert (check.status, check.total_minor, check.covered_minor) == (CheckStatus.CLOSED, 1500, 1500)
    till.do(Reopen(check_id, "by mistake"))
    till.do(Close(check_id))
    till.refuses(CHECK_CLOSED, Close(check_id))
    assert till.check(check_id).status is CheckStatus.CLOSED


def test_an_add_on_after_opening_again_is_paid_and_closes_the_check() -> None:
    till = Till()
    check_id = till.order({"beer": 1})
    paid(till, check_id)
    till.do(Reopen(check_id, "one more"))
    till.order({"beer": 1}, check_id)
    paid(till, check_id)
    assert (till.check(check_id).status, till.check(check_id).covered_minor) == (CheckStatus.CLOSED, 3000)


def test_what_the_gateway_says_does_not_close_a_check_that_somebody_has_opened_again() -> None:
    till = Till()
    check_id = till.order({"beer": 1})
    attempt = till.do(Pay(check_id, "card", 1500, instrument="token"))
    till.step(attempt, Step.STORE)
    till.do(Reopen(check_id, "one more"))
    till.step(attempt, Step.CAPTURE)
    assert till.check(check_id).status is CheckStatus.OPEN
    till.do(Close(check_id))
    assert till.check(check_id).status is CheckStatus.CLOSED


def test_no_more_is_refunded_than_was_captured() -> None:
    till = Till()
    check_id = till.order({"beer": 1})
    attempt = till.do(Pay(check_id, "card", 1500, instrument="token"))
    till.refuses(PAYMENT_STATE, GiveRefund(attempt, 1, "early"))
    till.step(attempt, Step.CAPTURE)
    till.refuses(CHECK_NOT_CLOSED, Reopen(till.order({"beer": 1}), "open"))
    till.do(Reopen(check_id, "flat"))
    first = till.do(GiveRefund(attempt, 1000, "flat"))
    assert "500 can be given back" in till.refuses(REFUND_TOO_LARGE, GiveRefund(attempt, 501, "flat"))
    till.refund_ends(first, "failed")
    assert till.book.payment(attempt).refundable_minor == 1500
    with pytest.raises(OrderRejected, match="is failed already"):
        till.refund_ends(first, "done")
    with pytest.raises(OrderRejected, match="no refund"):
        till.refund_ends(attempt, "done")


def test_parties_get_their_shares_once_and_return_them_in_proportion() -> None:
    till = Till()
    check_id = till.order({"beer": 2})
    attempt = till.do(Pay(check_id, "card", 3000, instrument="token"))
    till.step(attempt, Step.CAPTURE)
    assert [payment.attempt_id for payment in till.book.at_gateway()] == [attempt]
    till.do(PartiesOutcome(attempt, "done"))
    assert till.book.at_gateway() == ()
    till.refuses(PAYMENT_STATE, PartiesOutcome(attempt, "done"))
    till.do(Reopen(check_id, "flat"))
    returned = []
    for amount_minor in (1000, 1, 1999):
        till.do(GiveRefund(attempt, amount_minor, "flat"))
        returned.append(dict(till.book.payment(attempt).refunds[-1].returned))
    assert returned == [{"platform": 60, "brand": 30}, {}, {"platform": 120, "brand": 60}]


def test_rules_that_give_away_more_than_all_are_refused() -> None:
    for parties in ((("platform", 9_000), ("brand", 1_001)), (("platform", 0),)):
        with pytest.raises(ValueError, match="basis point"):
            PaymentRules(parties=parties)


def test_statuses_change_only_as_the_table_says() -> None:
    with pytest.raises(AssertionError, match="no way from merged to open"):
        Check(uuid(1), "4", 1, CheckStatus.MERGED).moved_to(CheckStatus.OPEN)
    assert not any(before is CheckStatus.MERGED for before, _ in CHECK_TRANSITIONS)
    assert [after for before, after in CHECK_TRANSITIONS if before is CheckStatus.CLOSED] == [CheckStatus.OPEN]
