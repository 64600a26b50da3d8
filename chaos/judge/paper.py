"""What lies on paper: the slips that came out of a store's printer, read as a person reads them, and what the audit says of them.

A printing begins with its heading and is whole when its code is on paper and cut off. One that was broken off shows what had come
out until then; it counts, for a cook may have read it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from chaos.judge.findings import Finding
from chaos.judge.ledger import StoreLedger
from chaos.judge.losses import Undecided
from chaos.judge.orders import OrderStory
from chaos.judge.reads import LogEntry, PaperLine, PaperSlip
from refsystem.ordering.menu import Menu
from refsystem.ordering.slip import printable

HEADING = "桌"
STATION = "kitchen"
NOTE = "备注 Note:"
NUMBER_LETTERS = 8
MARK = re.compile(r"\*{3}.*REPRINT.*\*{3}")
_NUMBER = re.compile(rf"No\. ([0-9A-F]{{{NUMBER_LETTERS}}})\b")
_LINE = re.compile(r"(\d+) x (.*)")
_CODE = re.compile(r"ticket/([0-9a-f-]{36})/\d+/[^/]+/\d+")


@dataclass(slots=True)
class Printing:
    """One printing of an order's slip, whole or broken off. `number` is what people call the order, `order_id` its code's."""

    slip: int
    marked: bool = False
    heading: str = ""
    number: str = ""
    lines: list[tuple[int, str]] = field(default_factory=list)
    note: str = ""
    order_id: str = ""
    whole: bool = False


def printings(slips: Sequence[PaperSlip]) -> list[Printing]:
    """Every printing of an order's slip that has begun, in the order of the paper."""
    found: list[Printing] = []
    for slip in slips:
        found += _Reading(slip).printings()
    return found


class _Reading:
    """Reads one strip of paper from the top; several printings may stand on it when one was broken off."""

    def __init__(self, slip: PaperSlip) -> None:
        self._slip = slip
        self._found: list[Printing] = []
        self._now: Printing | None = None
        self._marked = False
        self._in_note = False

    def printings(self) -> list[Printing]:
        for line in self._slip.lines:
            if line.code:
                self._code(line.text)
            else:
                self._read(line)
        return self._found

    def _code(self, text: str) -> None:
        told, now = _CODE.fullmatch(text), self._now
        if told is not None and now is not None and now.number == number_of(told[1]):
            now.order_id, now.whole = told[1], self._slip.cut_at_us is not None
        elif told is not None:
            self._found.append(Printing(self._slip.slip, self._marked, order_id=told[1]))
        self._now, self._marked, self._in_note = None, False, False

    def _read(self, line: PaperLine) -> None:
        if MARK.fullmatch(line.text.strip()):
            self._now, self._marked, self._in_note = None, True, False
        elif line.height > 1 and line.text.split(" ")[0] == HEADING:
            self._now = Printing(self._slip.slip, self._marked, heading=line.text)
            self._found.append(self._now)
            self._marked = self._in_note = False
        elif self._now is not None:
            self._content(self._now, line)

    def _content(self, now: Printing, line: PaperLine) -> None:
        text = line.text.strip()
        if not now.number and (number := _NUMBER.match(text)):
            now.number = number[1]
        elif line.height > 1:
            self._large(now, text)
        elif text.startswith(NOTE):
            now.note, self._in_note = text[len(NOTE) :], True
        elif self._in_note:
            now.note += text

    def _large(self, now: Printing, text: str) -> None:
        if made := _LINE.fullmatch(text):
            now.lines.append((int(made[1]), made[2]))
        elif now.lines:  # the rest of a name that did not fit
            quantity, name = now.lines.pop()
            now.lines.append((quantity, name + text))
        else:
            now.heading += f" {text}"


def number_of(order_id: str) -> str:
    """What people call an order: the end of its id."""
    return order_id.replace("-", "")[-NUMBER_LETTERS:].upper()


def audit_paper(ledger: StoreLedger, stories: Mapping[str, OrderStory]) -> Iterator[Finding | Undecided]:
    """Whether every committed order is on paper, once unless marked, as it was ordered, and nothing else is."""
    if ledger.printer is None or ledger.primary is None:
        return
    made: dict[str, list[Printing]] = defaultdict(list)
    by_number = {number_of(order_id): order_id for order_id in ledger.order_entries}
    for printing in printings(ledger.printer.slips):
        order_id = printing.order_id or by_number.get(printing.number, "")
        if order_id in ledger.order_entries:
            made[order_id].append(printing)
        elif (order_id or printing.number) and not ledger.forks:
            text = f"slip {printing.slip} is of an order that the store has not committed"
            yield _finding("unbacked", ledger, order_id or f"slip No. {printing.number}", stories, text)
    for order_id, entries in ledger.order_entries.items():
        yield from _kept(ledger, order_id, entries[0], made[order_id], stories)
        yield from _once(ledger, order_id, made[order_id], stories)
        yield from _as_ordered(ledger, entries[0], made[order_id], stories)


def paper_summary(ledger: StoreLedger) -> str | None:
    """What came out of the printer, in words; None where there is none."""
    if ledger.printer is None:
        return None
    every = printings(ledger.printer.slips)
    whole, marked = sum(each.whole for each in every), sum(each.marked for each in every)
    return f"{whole} slips are on paper, {marked} printings are marked REPRINT, {len(every) - whole} were broken off"


def _kept(
    ledger: StoreLedger, order_id: str, entry: LogEntry, made: list[Printing], stories: Mapping[str, OrderStory]
) -> Iterator[Finding | Undecided]:
    if any(printing.whole for printing in made):
        return
    if ledger.unsettled is not None:
        yield Undecided(order_id, ledger.store, "printer", _level(order_id, stories))
        return
    how = f"{len(made)} printings were broken off" if made else "no slip of it came out of the printer"
    yield _finding("lost", ledger, order_id, stories, f"committed as entry {entry.seq}; {how}")


def _once(
    ledger: StoreLedger, order_id: str, made: list[Printing], stories: Mapping[str, OrderStory]
) -> Iterator[Finding]:
    unmarked = [printing for printing in made if not printing.marked]
    if len(unmarked) > 1:
        slips = " and ".join(str(printing.slip) for printing in unmarked)
        text = f"it was printed {len(unmarked)} times without the mark REPRINT (slips {slips})"
        yield _finding("duplicated", ledger, order_id, stories, text)


def _as_ordered(
    ledger: StoreLedger, entry: LogEntry, made: list[Printing], stories: Mapping[str, OrderStory]
) -> Iterator[Finding]:
    record = entry.record
    expected = sorted((quantity, _bare(_name(ledger.menu, item_id))) for item_id, quantity in record["items"])
    table, note = _bare(printable(str(record["table"])) or "-"), _bare(printable(entry.marker))
    for printing in made:
        if not printing.whole:
            continue
        lines = sorted((quantity, _bare(name)) for quantity, name in printing.lines)
        wrong = [f"the lines {lines} instead of {expected}"] if lines != expected else []
        if not _heads(printing.heading, table):
            wrong.append(f"the heading {printing.heading!r} instead of table {record['table']!r}")
        if _bare(printing.note) != note:
            wrong.append(f"the note {printing.note!r} instead of {entry.marker!r}")
        if wrong:
            yield _finding(
                "altered", ledger, entry.order_id, stories, f"slip {printing.slip} says {' and '.join(wrong)}"
            )


def _heads(heading: str, table: str) -> bool:
    """Whether a heading is of this table: it says the table, and the station at the right of its first line."""
    said = _bare(heading)
    return any(said[: at.start()] + said[at.end() :] == HEADING + table for at in re.finditer(STATION, said))


def _name(menu: Menu, item_id: str) -> str:
    item = menu.by_id.get(item_id)
    return printable((item.name_zh or item.name) if item is not None else item_id)


def _bare(text: str) -> str:
    """Without spaces: where a line was broken on paper is not seen any more."""
    return "".join(text.split())


def _level(order_id: str, stories: Mapping[str, OrderStory]) -> str:
    story = stories.get(order_id)
    return (story.level if story is not None else None) or "none"


def _finding(name: str, ledger: StoreLedger, subject: str, stories: Mapping[str, OrderStory], evidence: str) -> Finding:
    known = subject in stories or subject in ledger.order_entries
    return Finding(
        name, ledger.store, subject, "printer", evidence, subject if known else None, _level(subject, stories)
    )
