"""What lies on a printer's paper: each test spoils one thing on the paper of a run in which every order was printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from chaos.judge import judge_run
from chaos.judge.verdict import Verdict, verdict_schema
from refsystem.ordering.book import Book
from refsystem.ordering.check_acts import Act, Close, Pay, Reopen
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.slip import (
    Job,
    Layout,
    Receipt,
    ReceiptLine,
    WidthMm,
    receipt_key,
    render_kitchen_slip,
    render_receipt,
)
from refsystem.ordering.slip_contents import order_slip, order_slip_key
from refsystem.partners.receipt_printer.machine import Condition, CutPaper, Line, Printer, QrCode

from .conftest import Run, order_id

Record = dict[str, Any]


class Paper:
    """Prints slips of a run's orders on a printer, as far as it comes with each."""

    def __init__(self, run: Run, width_mm: WidthMm = 80) -> None:
        self.layout = Layout(width_mm)
        run.scenario["stores"] = [{"name": "s1", "printer": True}]
        self.run = run
        self.strips: list[list[dict[str, Any]]] = [[]]
        self.now_us = 0
        self.printer = Printer(Condition(10**6), width_mm=width_mm, line_us=1)

    def prints(self, number: int, copy: int = 0, lines: int = 10**5, *, pickup_at: str = "", **changes: Any) -> None:
        """The slip of order `number`; the power fails after so many lines."""
        record = next(r for _, r in self.run.records if r.get("order_id") == order_id(number)) | changes
        key = order_slip_key(record)
        assert key is not None
        content = render_kitchen_slip(order_slip(record, DEMO_MENU, "12:00", pickup_at), Job(key, copy), self.layout)
        self.puts(content, lines)

    def puts(self, content: bytes, lines: int = 10**5) -> None:
        self.printer.receive(content, self.now_us)
        self.now_us += lines
        self.printer.advance(self.now_us)
        ready = self.printer.take_ready()
        for printed in ready.printed if ready is not None else ():
            match printed:
                case Line(text, _, height):
                    self.strips[-1].append({"text": text, "height": height, "code": False})
                case QrCode(data):
                    self.strips[-1].append({"text": data, "height": 0, "code": True})
                case CutPaper():
                    self.strips.append([])
        if lines < 10**5:
            self.printer.switch_off()

    def prints_receipt(self, check_id: str, number: int = 1, copy: int = 0, total_minor: int = 4_400) -> None:
        """A receipt of one line."""
        receipt = Receipt("s1", "1", "T1", "12:00", (ReceiptLine("x", 1, total_minor),), total_minor)
        self.puts(render_receipt(receipt, Job(receipt_key(check_id, number), copy)))

    def judge(self) -> Verdict:
        """The verdict, with this paper in both rounds of reads."""
        self.run.write()
        slips = [
            {"slip": number, "opened_at_us": 1, "cut_at_us": None if strip is self.strips[-1] else 2, "lines": strip}
            for number, strip in enumerate(self.strips, 1)
            if strip
        ]
        for number in (1, 2):
            path = self.run.path / "reads" / str(number) / "s1" / "printer.json"
            path.write_text("{}", encoding="utf-8")
            self.run.edit(f"reads/{number}/s1/printer.json", lambda _: {"slips": slips})
        verdict = judge_run(self.run.path)
        jsonschema.validate(verdict.to_json(), verdict_schema())
        return verdict


@pytest.fixture
def paper(run: Run) -> Paper:
    return Paper(run)


def found(verdict: Verdict) -> list[tuple[str, str]]:
    """What the audit found on paper: classes and orders."""
    return [(each.name, each.subject) for each in verdict.audit.findings if each.place == "printer"]


def test_every_order_on_paper_passes_whatever_was_broken_off_or_marked(paper: Paper) -> None:
    for number in range(14):
        if number in (3, 5):
            paper.prints(number, lines=4 + number)
            paper.prints(number, copy=1)
        else:
            paper.prints(number, pickup_at="18:20" if number == 9 else "")
    paper.prints(7, copy=1)
    verdict = paper.judge()
    assert verdict.verdict == "pass", verdict.cause
    assert "s1: 15 slips are on paper, 3 printings are marked REPRINT, 2 were broken off" in verdict.notes


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda paper: None, ("lost", order_id(9))),
        (lambda paper: paper.prints(9, lines=12), ("lost", order_id(9))),
        (lambda paper: (paper.prints(9), paper.prints(9)), ("duplicated", order_id(9))),
        (lambda paper: (paper.prints(9, lines=6), paper.prints(9)), ("duplicated", order_id(9))),
        (lambda paper: paper.prints(9, items=[["fried-rice", 2], ["cold-noodles", 1]]), ("altered", order_id(9))),
        (lambda paper: paper.prints(9, items=[["cold-noodles", 1]]), ("altered", order_id(9))),
        (lambda paper: paper.prints(9, table="T2"), ("altered", order_id(9))),
        (lambda paper: paper.prints(9, note="no chilli"), ("altered", order_id(9))),
        (lambda paper: (paper.prints(9), paper.prints(9, order_id=order_id(77))), ("unbacked", order_id(77))),
        (
            lambda paper: (paper.prints(9, order_id=order_id(77), lines=6), paper.prints(9)),
            ("unbacked", "slip No. 00000077"),
        ),
    ],
    ids=["none", "half", "twice", "half-unmarked", "quantity", "line", "table", "note", "strange", "strange-half"],
)
def test_what_is_wrong_on_paper_is_found(
    paper: Paper, spoil: Callable[[Paper], object], expected: tuple[str, str]
) -> None:
    for number in (*range(9), *range(10, 14)):
        paper.prints(number)
    spoil(paper)
    verdict = paper.judge()
    assert found(verdict) == [expected]
    assert verdict.verdict == "fail"


def test_narrow_paper_and_long_names_are_read_as_people_read_them(run: Run) -> None:
    paper = Paper(run, 58)
    for number in range(14):
        note = "no peanuts, and please bring the soup with the noodles " * 2
        for _, record in paper.run.records:
            if record["order_id"] == order_id(number):
                record |= {
                    "items": [["twice-cooked-pork", 99], ["pickled-fish", 1]],
                    "note": note,
                    "table": "Terrace 12",
                }
        paper.prints(number)
    verdict = paper.judge()
    assert found(verdict) == [], next(f.evidence for f in verdict.audit.findings if f.place == "printer")


def test_slips_that_still_wait_are_not_called_lost(paper: Paper) -> None:
    paper.prints(0)
    paper.run.write()
    original = paper.run.write
    paper.run.write = lambda: (original(), paper.run.edit_reads("edge_a", _thirteen_wait))[0]  # type: ignore[method-assign]
    verdict = paper.judge()
    assert found(verdict) == []
    assert verdict.verdict == "unknown"
    assert "13 slips are not printed yet" in verdict.cause


def test_a_printer_that_could_not_be_read_makes_the_run_unknown(run: Run) -> None:
    run.scenario["stores"] = [{"name": "s1", "printer": True}]
    verdict = judge_run(run.write())
    assert verdict.verdict == "unknown"
    assert "s1/printer" in verdict.cause


@pytest.mark.parametrize(
    ("prints", "expected"),
    [
        (((1, 0, 4_400),), []),
        (((1, 0, 4_400), (1, 1, 4_400)), []),
        ((), ["lost"]),
        (((1, 0, 4_300),), ["altered"]),
        (((1, 0, 4_400), (1, 0, 4_400)), ["duplicated"]),
        (((1, 0, 4_400), (2, 0, 4_400)), ["duplicated"]),
    ],
    ids=["once", "marked", "none", "total", "twice", "twice under another number"],
)
def test_a_closed_check_has_its_receipt_where_receipts_are_printed(
    paper: Paper, prints: tuple[tuple[int, int, int], ...], expected: list[str]
) -> None:
    paper.run.scenario["stores"] = [{"name": "s1", "printer": True, "receipts": True}]
    for number in range(14):
        paper.prints(number)
    book = Book(DEMO_MENU)
    for seq, (_, record) in enumerate(paper.run.records, 1):
        book.apply(seq, record)
    paid = order_id(3)
    paper.run.records.append((3, book.decide(Act(order_id(99), "Li", Pay(paid, "cash", 4_400, 4_400)), 1)))
    for number, copy, total_minor in prints:
        paper.prints_receipt(paid, number, copy, total_minor)
    assert [name for name, _ in found(paper.judge())] == expected


@pytest.mark.parametrize(("closed", "expected"), [(0, ["unbacked"]), (1, ["duplicated"]), (2, [])])
def test_there_are_as_many_receipts_as_the_log_closes_the_check(paper: Paper, closed: int, expected: list[str]) -> None:
    """The store numbers its receipts 1 and 2, whatever was closed."""
    paper.run.scenario["stores"] = [{"name": "s1", "printer": True, "receipts": True}]
    for number in range(14):
        paper.prints(number)
    book, paid = Book(DEMO_MENU), order_id(3)

    def logs(record: Record) -> None:
        paper.run.records.append((3, record))
        book.apply(len(paper.run.records), record)

    for seq, (_, record) in enumerate(paper.run.records, 1):
        book.apply(seq, record)
    if closed:
        logs(book.decide(Act(order_id(99), "Li", Pay(paid, "cash", 4_400, 4_400)), 1))
    if closed == 2:
        logs(book.decide(Act(order_id(98), "Li", Reopen(paid, "one more thing")), 1))
        logs(book.decide(Act(order_id(97), "Li", Close(paid)), 1))
    paper.prints_receipt(paid, 1)
    paper.prints_receipt(paid, 2)
    assert [name for name, _ in found(paper.judge())] == expected


def _thirteen_wait(read: Record) -> None:
    read["status"]["slips_waiting"] = 13
