"""A printer without its sockets and its motor: bytes and times come in, lines on paper and answers go out.

What is received waits in a buffer, is taken apart and printed line by line, each line taking its time. Out of paper, jammed or
with its cover open it stops and keeps what it has; switched off it loses it. Status requests are answered at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from refsystem.partners.receipt_printer.commands import (
    Cut,
    Decoder,
    Initialize,
    LineEnd,
    OpenDrawer,
    ProcessId,
    SendRecord,
    StoreRecord,
    Style,
    Symbol,
    Text,
    Unknown,
)

COLUMNS: dict[int, int] = {58: 32, 80: 48}
"""Letters in a line of paper of 58 and 80 mm, of 12 dots at 8 dots/mm, within 48 and 72 mm."""
SYMBOL_LINES = 7
CUT_LINES = 4
BUFFER_BYTES = 65_536
RECORDS_MAX = 16
NEAR_END_LINES = 60
"""Some 25 cm, where the sensor beside the roll notices it."""

FIXED_BITS = 0x12
OFFLINE = 0x08
COVER_OPEN, PAPER_END_STOP, ERROR = 0x04, 0x20, 0x40
CUTTER_ERROR = 0x08
NEAR_END, PAPER_END = 0x0C, 0x60

Trouble = Literal["jam", "paper_out", "hang"]


@dataclass(frozen=True, slots=True)
class Condition:
    """What a person sees who stands before it. `paper_lines`: lines left on the roll; `hanging`: on, but it does nothing."""

    paper_lines: int
    jammed: bool = False
    cover_open: bool = False
    hanging: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A printed line; `height` of its largest letters."""

    text: str
    emphasized: bool
    height: int


@dataclass(frozen=True, slots=True)
class QrCode:
    """A printed QR code."""

    data: str


@dataclass(frozen=True, slots=True)
class CutPaper:
    """The slip was cut off."""


Printed = Line | QrCode | CutPaper


@dataclass(frozen=True, slots=True)
class Ready:
    """What to do: keep what was printed, the condition and the records, then send the answers."""

    printed: tuple[Printed, ...]
    condition: Condition
    records: tuple[tuple[str, str], ...]
    answers: bytes


@dataclass(slots=True)
class _Pen:
    emphasized: bool = False
    width: int = 1
    height: int = 1
    alignment: Literal["left", "center", "right"] = "left"


@dataclass(slots=True)
class _LineBuffer:
    text: str = ""
    columns: int = 0
    height: int = 1
    emphasized: bool = False


@dataclass(slots=True)
class _Work:
    """What is being printed: it is on the paper when `done_us` is reached, and takes `lines` of it."""

    printed: Printed | None
    lines: int
    done_us: int | None = None


class Printer:
    """One printer. `strikes(trouble, slip)` says whether that happens to the slip of this number."""

    def __init__(
        self,
        condition: Condition,
        *,
        width_mm: int = 80,
        line_us: int = 25_000,
        slip: int = 1,
        records: Mapping[str, str] = MappingProxyType({}),
        strikes: Callable[[Trouble, int], bool] = lambda *_: False,
    ) -> None:
        self._records = dict(records)
        self._changed_records: list[tuple[str, str]] = []
        self.condition = condition
        self.unknown_commands = 0
        self.drawer_opened = 0
        self.slip = slip
        self._columns = COLUMNS[width_mm]
        self._line_us = line_us
        self._strikes = strikes
        self._printed: list[Printed] = []
        self._answers = bytearray()
        self._asked: set[tuple[Trouble, int]] = set()
        self._free_us = 0
        self._told = condition
        self._forget()

    def _forget(self) -> None:
        self._buffer = bytearray()
        self._real_time = bytearray()
        self._decoder = Decoder()
        self._pen = _Pen()
        self._line = _LineBuffer()
        self._work: list[_Work] = []

    # --- inputs ---

    def receive(self, data: bytes, now_us: int) -> None:
        """Bytes from the connection. Status requests among them are answered at once; the rest waits its turn."""
        assert not self.condition.hanging, "who hangs does not read"
        if not self._work:
            self._free_us = max(self._free_us, now_us)
        self._buffer += self._take_real_time(data)
        self.advance(now_us)

    def advance(self, now_us: int) -> None:
        """Time has passed: print what can be printed by now."""
        while not self._stopped():
            if not self._work:
                command = self._decoder.take(self._buffer)
                if command is None:
                    return
                self._obey(command)
                continue
            work = self._work[0]
            if not self._may_print(work):
                return
            if work.done_us is None:
                work.done_us = self._free_us + work.lines * self._line_us
            if work.done_us > now_us:
                return
            self._free_us = work.done_us
            del self._work[0]
            self._finish(work)

    def set_condition(self, condition: Condition, now_us: int) -> None:
        """A person has put in paper, cleared a jam, opened or shut the cover."""
        self.condition = condition
        for work in self._work:
            work.done_us = None
        self._free_us = now_us
        self.advance(now_us)

    def switch_off(self) -> None:
        """The power is gone: all that is not on paper is lost, and so is hanging."""
        self._answers.clear()
        self.condition = replace(self.condition, hanging=False)
        self._forget()

    # --- outputs ---

    @property
    def room(self) -> int:
        """How many bytes it can still take; a full one stops reading its connection."""
        return max(0, BUFFER_BYTES - len(self._buffer))

    @property
    def busy(self) -> bool:
        """Whether anything waits to be printed."""
        return bool(self._work or self._buffer)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait in its buffer."""
        return len(self._buffer)

    def deadline_us(self) -> int | None:
        """When `advance` has something to do."""
        if self._stopped() or not self._work:
            return None
        return self._work[0].done_us

    def take_ready(self) -> Ready | None:
        """What there is to do since the last time, or None."""
        is_news = self._printed or self._answers or self._changed_records or self._told != self.condition
        if not is_news:
            return None
        self._told = self.condition
        ready = Ready(tuple(self._printed), self.condition, tuple(self._changed_records), bytes(self._answers))
        self._changed_records.clear()
        self._printed.clear()
        self._answers.clear()
        return ready

    def status(self, number: int) -> int:
        """The byte that answers DLE EOT `number`: 1 printer, 2 why it is offline, 3 which error, 4 the paper."""
        now = self.condition
        out = now.paper_lines <= 0
        if number == 1:
            return FIXED_BITS | (OFFLINE if out or now.jammed or now.cover_open else 0)
        if number == 2:
            causes = (COVER_OPEN if now.cover_open else 0) | (PAPER_END_STOP if out else 0)
            return FIXED_BITS | causes | (ERROR if now.jammed else 0)
        if number == 3:
            return FIXED_BITS | (CUTTER_ERROR if now.jammed else 0)
        return FIXED_BITS | (PAPER_END if out else 0) | (NEAR_END if now.paper_lines <= NEAR_END_LINES else 0)

    # --- inside ---

    def _stopped(self) -> bool:
        now = self.condition
        return now.hanging or now.jammed or now.cover_open

    def _take_real_time(self, data: bytes) -> bytes:
        """Obey DLE EOT n and DLE ENQ n wherever they stand; the rest of the bytes."""
        self._real_time += data
        rest = bytearray()
        while self._real_time:
            at = self._real_time.find(0x10)
            if at < 0:
                rest += self._real_time
                self._real_time.clear()
                break
            rest += self._real_time[:at]
            del self._real_time[:at]
            if len(self._real_time) < 3 and (len(self._real_time) == 1 or self._real_time[1] in (0x04, 0x05)):
                break
            name, number = self._real_time[1], self._real_time[2] if len(self._real_time) > 2 else 0
            if name == 0x04 and 1 <= number <= 4:
                self._answers.append(self.status(number))
                del self._real_time[:3]
            elif name == 0x05 and number in (1, 2):
                del self._real_time[:3]
                if number == 2 and self.condition.jammed:
                    rest.clear()
                    self._clear_buffers()
            else:
                rest += self._real_time[:1]
                del self._real_time[:1]
        return bytes(rest)

    def _clear_buffers(self) -> None:
        self._buffer.clear()
        self._decoder = Decoder()
        self._line = _LineBuffer()
        self._work.clear()

    def _obey(self, command: object) -> None:
        match command:
            case Text(character, columns):
                self._put(character, columns)
            case LineEnd(lines):
                self._end_line(lines)
            case Initialize():
                self._pen, self._line = _Pen(), _LineBuffer()
            case Style():
                self._change(command)
            case Symbol(data):
                if self._line.text:
                    self._end_line(1)
                self._work.append(_Work(QrCode(data), SYMBOL_LINES))
            case Cut(feed_lines):
                if self._line.text:
                    self._end_line(1)
                self._work.append(_Work(CutPaper(), feed_lines + CUT_LINES))
            case ProcessId(process_id):
                self._answers += b"\x37\x22" + process_id + b"\x00"
            case StoreRecord(key, data):
                if key in self._records or len(self._records) < RECORDS_MAX:
                    self._records[key] = data
                    self._changed_records.append((key, data))
            case SendRecord(key):
                self._answers += b"\x37\x70\x40" + self._records.get(key, "").encode("ascii") + b"\x00"
            case OpenDrawer():
                self.drawer_opened += 1
            case Unknown():
                self.unknown_commands += 1

    def _change(self, style: Style) -> None:
        if style.emphasized is not None:
            self._pen.emphasized = style.emphasized
        if style.width is not None:
            self._pen.width = style.width
        if style.height is not None:
            self._pen.height = style.height
        if style.alignment is not None and not self._line.text:
            self._pen.alignment = style.alignment

    def _put(self, character: str, columns: int) -> None:
        columns *= self._pen.width
        if self._line.columns + columns > self._columns:
            self._end_line(1)
        self._line.text += character
        self._line.columns += columns
        self._line.height = max(self._line.height, self._pen.height)
        self._line.emphasized = self._line.emphasized or self._pen.emphasized

    def _end_line(self, lines: int) -> None:
        line, self._line = self._line, _LineBuffer()
        spare = self._columns - line.columns
        indent = {"left": 0, "center": spare // 2, "right": spare}[self._pen.alignment] if line.text else 0
        text = (" " * indent + line.text).rstrip()
        if line.text or lines:
            self._work.append(_Work(Line(text, line.emphasized, line.height), line.height))
        self._work += [_Work(Line("", False, 1), 1) for _ in range(lines - 1)]

    def _may_print(self, work: _Work) -> bool:
        """Whether there is paper, and nothing breaks down."""
        if self._breaks_down("hang"):
            self.condition = replace(self.condition, hanging=True)
        elif self._breaks_down("paper_out"):
            self.condition = replace(self.condition, paper_lines=0)
        elif isinstance(work.printed, CutPaper) and self._breaks_down("jam"):
            self.condition = replace(self.condition, jammed=True)
        return not self._stopped() and self.condition.paper_lines > 0

    def _breaks_down(self, trouble: Trouble) -> bool:
        """Whether it does now: every slip is asked once for each trouble."""
        key = (trouble, self.slip)
        if key in self._asked:
            return False
        self._asked.add(key)
        return self._strikes(trouble, self.slip)

    def _finish(self, work: _Work) -> None:
        if work.printed is not None:
            self._printed.append(work.printed)
        left = max(0, self.condition.paper_lines - work.lines)
        self.condition = replace(self.condition, paper_lines=left)
        if isinstance(work.printed, CutPaper):
            self.slip += 1
            self._asked.clear()
