"""What a printer sends back, in whatever pieces it arrives."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from refsystem.ordering.printer_answers import BLOCK_BYTES_MAX, AnswerReader, HeldEpoch, Printed
from refsystem.ordering.printer_status import parse_status
from refsystem.ordering.slip import Job

JOB = Job("ticket/o-1/1/kitchen")
READY, NO_PAPER = b"\x12\x12\x12\x12", b"\x1a\x32\x12\x7e"
EXPECTED = [parse_status(READY), Printed(JOB.process_id), HeldEpoch(17), parse_status(NO_PAPER), HeldEpoch(0)]
STREAM = READY + JOB.printed_answer + b"\x37\x70\x4017\x00" + NO_PAPER + b"\x13\x37\x70\x40x\x00\x37\x70\x40\x00"


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_answers_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    """An XOFF and a record that is no epoch are passed over."""
    reader, places = AnswerReader(), [0, *sorted(cuts), len(STREAM)]
    answers = [each for start, end in pairwise(places) for each in reader.feed(STREAM[start:end])]
    assert answers == EXPECTED


@given(st.binary(max_size=400))
def test_nothing_that_is_sent_makes_it_fail_or_grow(data: bytes) -> None:
    reader = AnswerReader()
    for byte in data:
        reader.feed(bytes((byte,)))
    reader.feed(b"\x00" * (BLOCK_BYTES_MAX + 1))
    told = [answer for answer in reader.feed(JOB.printed_answer) if isinstance(answer, Printed)]
    assert told == [Printed(JOB.process_id)]
