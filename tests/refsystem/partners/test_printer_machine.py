"""The printer without sockets: conversations in virtual time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refsystem.ordering.printer_fence import ACKNOWLEDGE, ASK_EPOCH, parse_epoch, store_epoch
from refsystem.ordering.printer_status import parse_status
from refsystem.ordering.slip import STATUS_REQUESTS, Job, KitchenLine, KitchenSlip, Layout, render_kitchen_slip
from refsystem.partners.receipt_printer.machine import Condition, CutPaper, Line, Printer, QrCode

FULL = Condition(10_000)
SLIP = KitchenSlip("wok", "4", "#1", "qr", "12:00", (KitchenLine("Mapo tofu", "麻婆豆腐", 2),))
JOB = Job("t/1")
DATA = render_kitchen_slip(SLIP, JOB)
LINE_US = 1000
LONG_US = 10**9


def status(printer: Printer) -> str:
    printer.receive(STATUS_REQUESTS, 0)
    ready = printer.take_ready()
    assert ready is not None
    return ready.answers.hex(" ")


@pytest.mark.parametrize(
    ("condition", "answers"),
    [
        (FULL, "12 12 12 12"),
        (Condition(60), "12 12 12 1e"),
        (Condition(0), "1a 32 12 7e"),
        (Condition(500, jammed=True), "1a 52 1a 12"),
        (Condition(500, cover_open=True), "1a 16 12 12"),
    ],
)
def test_status_bytes_are_those_of_real_printers(condition, answers):
    """Epson's reference of DLE EOT: bits 1 and 4 fixed; 1: 08 offline; 2: 04 cover, 20 paper end, 40 error; 3: 08 cutter;
    4: 0C near end, 60 end."""
    printer = Printer(condition)
    assert status(printer) == answers
    said = parse_status(bytes.fromhex(answers))
    assert said.ready == (condition.paper_lines > 0 and not condition.jammed and not condition.cover_open)
    assert (said.paper_out, said.cutter_jammed, said.cover_open) == (
        condition.paper_lines == 0,
        condition.jammed,
        condition.cover_open,
    )
    assert said.paper_low == (condition.paper_lines <= 60)


@pytest.mark.parametrize(
    "answers", [b"", b"\x12\x12\x12", b"\x12\x12\x12\x13", b"\x00\x12\x12\x12", b"\x92\x12\x12\x12"]
)
def test_what_is_no_status_is_not_taken_for_one(answers):
    with pytest.raises(ValueError, match="not a printer's status"):
        parse_status(answers)


def test_lines_take_their_time_and_the_answer_comes_after_the_cut():
    printer = Printer(FULL, line_us=LINE_US)
    printer.receive(DATA, 0)
    seen: list[object] = []
    while (due_us := printer.deadline_us()) is not None:
        printer.advance(due_us - 1)
        assert printer.take_ready() is None
        printer.advance(due_us)
        ready = printer.take_ready()
        assert ready is not None
        seen += ready.printed
        assert (ready.answers == JOB.printed_answer) == (ready.printed[-1:] == (CutPaper(),))
        assert ready.answers in (b"", JOB.printed_answer)
        last_us = due_us
    assert isinstance(seen[-1], CutPaper)
    used = FULL.paper_lines - printer.condition.paper_lines
    assert last_us == used * LINE_US


def test_a_status_request_is_answered_before_what_waits_and_between_the_bytes_of_a_slip():
    for at in range(len(DATA) + 1):
        printer = Printer(FULL, line_us=LINE_US)
        printer.receive(DATA[:at] + b"\x10\x04\x01" + DATA[at:], 0)
        ready = printer.take_ready()
        assert ready is not None
        assert ready.answers == b"\x12"
        printer.advance(LONG_US)
        ready = printer.take_ready()
        assert ready is not None
        assert ready.answers == JOB.printed_answer


@settings(max_examples=60)
@given(st.lists(st.integers(0, len(DATA) * 2), max_size=8), st.sampled_from(["gb18030", "utf-8"]))
def test_it_does_not_matter_how_the_bytes_are_cut_into_packets(cuts, encoding):
    data = render_kitchen_slip(SLIP, JOB, Layout(80, encoding)) + STATUS_REQUESTS
    whole, parts = Printer(FULL, line_us=1), Printer(FULL, line_us=1)
    whole.receive(data, 0)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in itertools.pairwise(edges):
        parts.receive(data[start:end], 0)
    for printer in (whole, parts):
        printer.advance(LONG_US)
    assert whole.take_ready() == parts.take_ready()


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_no_bytes_break_it(data):
    printer = Printer(FULL, line_us=1)
    printer.receive(data, 0)
    printer.advance(LONG_US)
    printer.receive(b"\n" * 300 + b"\x1b@" + DATA, 0)
    printer.advance(LONG_US)
    assert printer.condition.paper_lines <= FULL.paper_lines


def texts(printer: Printer) -> list[object]:
    ready = printer.take_ready()
    return [] if ready is None else [each.text if isinstance(each, Line) else each for each in ready.printed]


def test_out_of_paper_it_stops_within_a_slip_and_goes_on_when_there_is_paper():
    whole = Printer(FULL, line_us=LINE_US)
    whole.receive(DATA, 0)
    whole.advance(LONG_US)
    printer = Printer(Condition(5), line_us=LINE_US)
    printer.receive(DATA, 0)
    printer.advance(LONG_US)
    assert printer.deadline_us() is None
    before = texts(printer)
    assert before
    assert CutPaper() not in before
    printer.set_condition(FULL, LONG_US)
    printer.advance(2 * LONG_US)
    assert before + texts(printer) == texts(whole)


def test_a_jam_keeps_the_slip_until_it_is_cleared_or_its_buffers_are():
    def jammed() -> Printer:
        printer = Printer(FULL, line_us=LINE_US, strikes=lambda trouble, slip: trouble == "jam" and slip == 1)
        printer.receive(DATA, 0)
        printer.advance(LONG_US)
        assert printer.condition.jammed
        ready = printer.take_ready()
        assert ready is not None
        assert not ready.answers
        return printer

    cleared = jammed()
    cleared.set_condition(FULL, LONG_US)
    cleared.advance(2 * LONG_US)
    ready = cleared.take_ready()
    assert ready is not None
    assert (ready.printed, ready.answers) == ((CutPaper(),), JOB.printed_answer)
    given_up = jammed()
    given_up.receive(b"\x10\x05\x02", LONG_US)
    given_up.set_condition(FULL, LONG_US)
    given_up.advance(2 * LONG_US)
    ready = given_up.take_ready()
    assert ready is not None
    assert (ready.printed, ready.answers, ready.condition) == ((), b"", FULL)


def test_switched_off_it_loses_what_it_had_not_printed():
    printer = Printer(FULL, line_us=LINE_US)
    printer.receive(DATA, 0)
    printer.advance(3 * LINE_US)
    on_paper = texts(printer)
    assert on_paper
    printer.switch_off()
    printer.advance(LONG_US)
    assert printer.take_ready() is None
    printer.receive(DATA, LONG_US)
    printer.advance(2 * LONG_US)
    rest = texts(printer)
    assert rest[-1] == CutPaper()
    assert QrCode(JOB.job_id) in rest


def test_a_printer_that_was_idle_does_not_catch_up_on_the_time():
    printer = Printer(FULL, line_us=LINE_US)
    printer.receive(b"a\n", 0)
    printer.advance(LONG_US)
    printer.take_ready()
    printer.receive(b"b\nc\n", 2 * LONG_US)
    assert printer.deadline_us() == 2 * LONG_US + LINE_US
    printer.advance(2 * LONG_US + LINE_US)
    assert texts(printer) == ["b"]


def answer_of(printer: Printer, data: bytes) -> bytes:
    printer.receive(data, 0)
    printer.advance(LONG_US)
    ready = printer.take_ready()
    return b"" if ready is None else ready.answers


def test_the_printers_memory_keeps_the_highest_epoch_through_a_power_cut():
    """P13; GS ( C as the makers' references have it: functions 1 and 2, the answer from 37 70 40 to NUL."""
    assert ASK_EPOCH.hex(" ") == "1d 28 43 05 00 00 32 00 45 50"
    assert store_epoch(7).hex(" ") == "1d 28 43 06 00 00 31 00 45 50 37"
    printer = Printer(FULL, line_us=1)
    assert answer_of(printer, ASK_EPOCH) == b"\x37\x70\x40\x00"
    printer.receive(store_epoch(12), 0)
    ready = printer.take_ready()
    assert ready is not None
    assert ready.records == (("EP", "12"),)
    assert parse_epoch(answer_of(printer, ACKNOWLEDGE + ASK_EPOCH)) == 12
    printer.switch_off()
    assert parse_epoch(answer_of(printer, ASK_EPOCH)) == 12
    assert printer.unknown_commands == 0


@pytest.mark.parametrize(
    "answer", [b"", b"\x37\x70\x40", b"\x37\x22\x40\x00", b"\x37\x70\x40x\x00", b"\x37\x70\x40\xff\x00"]
)
def test_what_is_no_epoch_is_not_taken_for_one(answer):
    with pytest.raises(ValueError, match="printer's record"):
        parse_epoch(answer)
