"""Error guards with their evidence, and what a scanner may read from a delivery."""

# ruff: noqa: RUF001 (Chinese texts have Chinese punctuation, and quantities a multiplication sign)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.order_guards import EarlierOrder, Habits, learn, missed_items, odd_quantities, question, repeats
from refsystem.ordering.stock_scan import Scan, ScanError, check_digit, read_scan
from refsystem.ordering.store_rules import GuardRules

RULES = GuardRules()
RICE_WITH_TOFU = [[("mapo-tofu", 1), ("steamed-rice", 2)]] * 38 + [[("mapo-tofu", 2)]] * 2 + [[("beer", 1)]] * 60
HABITS = learn(RICE_WITH_TOFU)


def test_a_missed_item_is_asked_about_with_the_evidence():
    (guard,) = missed_items([("mapo-tofu", 1), ("beer", 2)], HABITS, DEMO_MENU, RULES)
    assert (guard.kind, guard.item_id) == ("missed_item", "steamed-rice")
    assert guard.text == "No Steamed rice? 38 of 40 orders with Mapo tofu had it."
    assert guard.text_zh == "没有点米饭？点了麻婆豆腐的 40 单中有 38 单都点了。"
    assert missed_items([("mapo-tofu", 1), ("steamed-rice", 1)], HABITS, DEMO_MENU, RULES) == ()
    assert missed_items([("beer", 1)], HABITS, DEMO_MENU, RULES) == ()


def test_a_habit_that_few_orders_show_is_none():
    habits = learn(RICE_WITH_TOFU[:29])
    assert missed_items([("mapo-tofu", 1)], habits, DEMO_MENU, RULES) == ()
    assert missed_items([("mapo-tofu", 1)], HABITS, DEMO_MENU, GuardRules(companion_basis_points=9_501)) == ()


def test_far_more_than_usual_is_asked_about_line_by_line_or_in_all():
    assert odd_quantities([("mapo-tofu", 6)], HABITS, DEMO_MENU, RULES) == ()
    (guard,) = odd_quantities([("mapo-tofu", 4), ("mapo-tofu", 3)], HABITS, DEMO_MENU, RULES)
    assert guard.text == "7 × Mapo tofu: 100.0 % of 40 earlier lines had at most 2."
    assert guard.text_zh == "麻婆豆腐 7 份：以往 40 行中 100.0 % 不超过 2 份。"
    assert odd_quantities([("fried-rice", 10)], HABITS, DEMO_MENU, RULES) == ()
    (guard,) = odd_quantities([("fried-rice", 11)], Habits(), DEMO_MENU, RULES)
    assert "more than 10" in guard.text


def test_an_order_like_the_last_one_a_moment_ago_is_asked_about():
    earlier = [EarlierOrder("0123456789ab", (("beer", 1), ("mapo-tofu", 1), ("beer", 1)), 42)]
    (guard,) = repeats([("mapo-tofu", 1), ("beer", 2)], earlier, RULES)
    assert guard.text == "The same was ordered 42 s ago (order …6789ab). Is this another one?"
    assert guard.text_zh == "42 秒前已下过相同的单（尾号 6789ab），确定再来一份吗？"
    assert repeats([("mapo-tofu", 1), ("beer", 3)], earlier, RULES) == ()
    assert repeats([("mapo-tofu", 1), ("beer", 2)], earlier, GuardRules(repeat_s=41)) == ()


def test_all_questions_of_an_order_come_together():
    earlier = [EarlierOrder("0123456789ab", (("mapo-tofu", 9),), 5)]
    kinds = [guard.kind for guard in question([("mapo-tofu", 9)], earlier, HABITS, DEMO_MENU, RULES)]
    assert kinds == ["repeat", "odd_quantity", "missed_item"]
    assert question([("beer", 1)], (), HABITS, DEMO_MENU, RULES) == ()


# --- scans -----------------------------------------------------------------------------------------------------------

CODE = "06901234567892"


@pytest.mark.parametrize(
    ("text", "scan"),
    [
        ("6901234567892", Scan(CODE)),
        (" 6901234567892\r\n", Scan(CODE)),
        (f"(01){CODE}(17)261231(10)L42(37)24", Scan(CODE, "L42", 20261231, 24)),
        (f"]C101{CODE}1726123110L42\x1d3724", Scan(CODE, "L42", 20261231, 24)),
        (f"]d2\x1d01{CODE}3103012500\x1d10A(1", Scan(CODE, "A(1", 0, 0, 12_500)),
        (f"(02){CODE}(15)270200(30)7", Scan(CODE, "", 20270228, 7)),
        (f"(01){CODE}(3100)000003", Scan(CODE, grams=3_000)),
        (f"(01){CODE}(3105)000199", Scan(CODE, grams=1)),
    ],
)
def test_what_a_label_says_is_read(text, scan):
    assert read_scan(text) == scan
    assert (scan.quantity("piece"), scan.quantity("g"), scan.quantity("ml")) == (scan.count, scan.grams, 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("6901234567893", "check digit is wrong"),
        ("", "names no product"),
        ("(10)L42", "names no product"),
        (f"(01){CODE}(99)x", r"\(99\) is nothing that is used"),
        (f"(01){CODE}(17)261301", "no day"),
        (f"(01){CODE}(17)260231", "no day"),
        (f"(01){CODE}(17)26123", "has 6 characters"),
        (f"(01){CODE}(10)" + "x" * 21, "at most 20 characters"),
        (f"(01){CODE}(10)a(10)b", "there twice"),
        (f"(01){CODE}(37)many", "is no count"),
        (f"01{CODE}A", "cannot be read from 'A'"),
        ("(1)2", "brackets hold"),
        ("hello", "cannot be read"),
    ],
)
def test_a_label_that_cannot_be_used_says_why(text, told):
    with pytest.raises(ScanError, match=told):
        read_scan(text)


@given(st.text(max_size=60) | st.from_regex(r"\]C1(01[0-9]{14})?(10[ -~]{1,20}\x1d)?(37[0-9]{1,8})?", fullmatch=True))
def test_nothing_that_is_scanned_breaks_the_reader(text):
    try:
        scan = read_scan(text)
    except ScanError:
        return
    assert check_digit(scan.barcode[:-1]) == scan.barcode[-1]
