"""Slips as the store renders them, read back from the paper of a printer that was written apart."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refsystem.ordering.slip import (
    INITIALIZE,
    Job,
    KitchenLine,
    KitchenSlip,
    Layout,
    Receipt,
    ReceiptLine,
    columns_of,
    money,
    parse_job_id,
    printable,
    receipt_key,
    render_kitchen_slip,
    render_receipt,
    ticket_key,
    wrapped,
)
from refsystem.partners.receipt_printer.machine import Condition, CutPaper, Line, Printer, QrCode

LAYOUTS = [Layout(width, encoding) for width in (58, 80) for encoding in ("gb18030", "utf-8")]
ORDER_ID = "018f6b7e-1111-7222-8333-444455556666"
SLIP = KitchenSlip(
    station="热菜 wok",
    table="A12",
    order="#41",
    channel="qr",
    at="12:03:44",
    lines=(KitchenLine("Mapo tofu", "麻婆豆腐", 2, "少辣 less chilli"), KitchenLine("Beer", "", 6)),
    note="先上锅底",
)
RECEIPT = Receipt(
    store="蜀香小馆 Shu Xiang",
    check="41",
    table="A12",
    at="2026-11-22 12:40",
    lines=(ReceiptLine("麻婆豆腐 Mapo tofu", 2, 5600), ReceiptLine("Braised beef noodles", 1, 3200, "no coriander")),
    total_minor=8300,
    adjustments=(("赠送 Comp", -500),),
    payments=(("现金 Cash", 10_000),),
    change_minor=1700,
    footer="谢谢惠顾",
)


def print_out(data: bytes, width_mm: int = 80) -> tuple[list[str], list[str], list[Line], Printer, bytes]:
    """The text lines, the codes, all lines, and the machine, after everything was printed."""
    printer = Printer(Condition(1_000_000), width_mm=width_mm, line_us=1)
    printer.receive(data, 0)
    printer.advance(1_000_000_000)
    ready = printer.take_ready()
    assert ready is not None
    lines = [each for each in ready.printed if isinstance(each, Line)]
    codes = [each.data for each in ready.printed if isinstance(each, QrCode)]
    assert isinstance(ready.printed[-1], CutPaper)
    return [line.text for line in lines], codes, lines, printer, ready.answers


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_receipt_reads_as_it_should(layout):
    texts, codes, _, printer, answers = print_out(render_receipt(RECEIPT, Job("receipt/x/1"), layout), layout.width_mm)
    shown = "\n".join(texts)
    for part in (
        "蜀香小馆",
        "Table A12",
        "麻婆豆腐",
        "56.00",
        "no coriander",
        "-5.00",
        "83.00",
        "100.00",
        "17.00",
        "谢谢惠顾",
    ):
        assert part in shown
    assert "REPRINT" not in shown
    assert codes == ["receipt/x/1/0"]
    assert printer.unknown_commands == 0
    assert answers == Job("receipt/x/1").printed_answer
    row = next(text for text in texts if text.endswith("56.00"))
    assert columns_of(row, layout.encoding) == layout.columns


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_kitchen_slip_is_large_where_cooks_read_it(layout):
    job = Job(ticket_key(ORDER_ID, 1, "wok"))
    texts, codes, lines, _, _ = print_out(render_kitchen_slip(SLIP, job, layout), layout.width_mm)
    large = [line.text for line in lines if line.height == 2]
    assert any("2 x 麻婆豆腐" in text for text in large)
    assert "6 x Beer" in large
    assert any("A12" in text and "wok" in text for text in large), "both fit on one line"
    assert any(line.emphasized and "less chilli" in line.text for line in lines)
    assert any("先上锅底" in text for text in texts)
    assert parse_job_id(codes[0]) == job


def test_a_copy_is_marked_at_its_top_and_has_an_id_of_its_own():
    first = Job(receipt_key("c"))
    second = first.again()
    for layout in LAYOUTS:
        for render, slip in ((render_kitchen_slip, SLIP), (render_receipt, RECEIPT)):
            texts, codes, _, _, answers = print_out(render(slip, second, layout), layout.width_mm)
            assert "补打 REPRINT" in texts[0]
            assert codes == ["receipt/c/1/1"]
            assert answers == second.printed_answer != first.printed_answer


TEXT = st.text(max_size=60) | st.text("麻婆豆腐 ab\x1b@\x1dV\x00\x10\x04\x01\n\t\u00d7é¥\u202e\u0301", max_size=60)


@settings(max_examples=100)
@given(TEXT, TEXT, TEXT, st.sampled_from(LAYOUTS), st.integers(0, 2))
def test_no_text_is_a_command_and_no_line_is_longer_than_the_paper(name, note, table, layout, copy):
    slip = KitchenSlip(note, table, name, note, name, (KitchenLine(name, note, 3, table),), note, name)
    receipt = Receipt(
        name, note, table, note, (ReceiptLine(name, 1, 10**9, note),), 5, ((name, -5),), ((note, 9),), 3, name
    )
    for data in (render_kitchen_slip(slip, Job("k", copy), layout), render_receipt(receipt, Job("k", copy), layout)):
        assert data.count(INITIALIZE) == 1
        texts, codes, lines, printer, answers = print_out(data, layout.width_mm)
        assert printer.unknown_commands == 0
        assert answers == Job("k", copy).printed_answer
        assert codes == [f"k/{copy}"]
        for line in lines:
            wide = layout.columns // line.height
            assert columns_of(line.text.strip(" "), layout.encoding) <= wide
        joined = "".join(texts).replace(" ", "")
        for text in (name, note):
            assert printable(text).replace(" ", "") in joined


@settings(max_examples=200)
@given(TEXT, st.integers(2, 48), st.sampled_from(["gb18030", "utf-8"]))
def test_wrapping_keeps_every_character_and_the_width(text, columns, encoding):
    clean = printable(text)
    lines = wrapped(clean, columns, encoding)
    assert all(columns_of(line, encoding) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == clean.replace(" ", "")
    if clean:
        assert all(lines)


def test_a_character_that_is_not_ascii_counts_as_two_columns():
    assert columns_of("麻a", "gb18030") == columns_of("麻a", "utf-8") == 3
    assert wrapped("麻婆豆腐 ok", 6, "gb18030") == ["麻婆豆", "腐 ok"]
    assert wrapped("hello world", 5, "utf-8") == ["hello", "world"]


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (123456, "1234.56"), (-100, "-1.00")]
)
def test_money_is_written_with_two_places(amount, text):
    assert money(amount) == text


@pytest.mark.parametrize("text", ["", "x", "/0", "x/", "x/-1", "x/1.0", "x/\u0661", "麻/1"])
def test_what_is_no_job_is_not_taken_for_one(text):
    assert parse_job_id(text) is None
