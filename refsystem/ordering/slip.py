"""Receipts and kitchen slips as the bytes of an ESC/POS printer, 58 or 80 mm wide, for paper that people read.

Every slip ends with a QR code of its job's id, which staff can scan and an audit can read, then with a cut, then with a process
id that the printer sends back when all of that is on paper (GS ( H). Without that answer nobody knows, and the job is printed
again as another copy, marked REPRINT: cooks must not take it for a second order.

Whatever diners type is made printable first: no text can hold a command for the printer.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from typing import Literal

Encoding = Literal["gb18030", "utf-8"]
WidthMm = Literal[58, 80]

COLUMNS: dict[int, int] = {58: 32, 80: 48}
LARGE = 2
SYMBOL_MODULE_DOTS = 4
FEED_LINES = 3
KEY_CHARACTERS_MAX = 200
REPRINT = "*** 补打 REPRINT ***"

INITIALIZE = b"\x1b@"
CHARACTER_SETS: dict[Encoding, bytes] = {"gb18030": b"\x1c&", "utf-8": b"\x1c(C\x02\x0002"}
OPEN_DRAWER = b"\x1bp\x00\x19\xfa"
COMPLETE_COMMAND = bytes(256)
"""Begins a connection: if the one before broke off within a command, the printer takes these for the rest of it. No command of a
slip is longer; beyond that they mean nothing."""
STATUS_REQUESTS = b"\x10\x04\x01\x10\x04\x02\x10\x04\x03\x10\x04\x04"
"""Asks for the four bytes that `refsystem.ordering.printer_status` reads."""

_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me", "Zl", "Zp"})
_PROCESS_ID_LETTERS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paper, and the character set that the printer understands."""

    width_mm: WidthMm = 80
    encoding: Encoding = "gb18030"

    @property
    def columns(self) -> int:
        """Letters in a line."""
        return COLUMNS[self.width_mm]


@dataclass(frozen=True, slots=True)
class Job:
    """One printing of a slip. `key` names the slip; `copy` is 0 when it is printed first, 1 when it is printed again, …"""

    key: str
    copy: int = 0

    def __post_init__(self) -> None:
        assert self.key.isascii(), self
        assert len(self.key) <= KEY_CHARACTERS_MAX, self
        assert self.key.isprintable(), self
        assert self.copy >= 0, self

    @property
    def job_id(self) -> str:
        """What the slip's code says."""
        return f"{self.key}/{self.copy}"

    @property
    def process_id(self) -> bytes:
        """Four letters that the printer sends back."""
        digest = hashlib.sha256(self.job_id.encode()).digest()
        return bytes(_PROCESS_ID_LETTERS[byte % len(_PROCESS_ID_LETTERS)] for byte in digest[:4])

    @property
    def printed_answer(self) -> bytes:
        """What the printer sends when all of it is on paper."""
        return b"\x37\x22" + self.process_id + b"\x00"

    def again(self) -> Job:
        """The next copy."""
        return Job(self.key, self.copy + 1)


def ticket_key(order_id: str, version: int, station: str) -> str:
    """The key of a kitchen slip: that of its ticket (P17)."""
    return f"ticket/{order_id}/{version}/{station}"


def receipt_key(check_id: str, number: int = 1) -> str:
    """The key of a check's receipt; `number` tells several of one check apart (split, refund)."""
    return f"receipt/{check_id}/{number}"


def parse_job_id(text: str) -> Job | None:
    """The job whose code says `text`, or None if it is not one."""
    key, slash, copy = text.rpartition("/")
    if not (slash and key and key.isascii() and key.isprintable() and copy.isascii() and copy.isdecimal()):
        return None
    return Job(key, int(copy))


@dataclass(frozen=True, slots=True)
class KitchenLine:
    """What a station makes, so many of it, with the diner's wishes."""

    name: str
    name_zh: str
    quantity: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class KitchenSlip:
    """A ticket on paper. `heading` says what it is if it is no plain order: add-on, recall, void. `at` is a text, as is
    `pickup_at`: when a pre-order is called for.
    """

    station: str
    table: str
    order: str
    channel: str
    at: str
    lines: tuple[KitchenLine, ...]
    note: str = ""
    heading: str = ""
    pickup_at: str = ""


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """What was ordered, and what it costs together."""

    name: str
    quantity: int
    amount_minor: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A check on paper. `adjustments` (voids, comps, discounts) and `payments` are `(label, amount_minor)`. `at` is a text."""

    store: str
    check: str
    table: str
    at: str
    lines: tuple[ReceiptLine, ...]
    total_minor: int
    adjustments: tuple[tuple[str, int], ...] = ()
    payments: tuple[tuple[str, int], ...] = ()
    change_minor: int = 0
    footer: str = ""


def render_kitchen_slip(slip: KitchenSlip, job: Job, layout: Layout = Layout()) -> bytes:
    """The bytes of a kitchen slip: large where cooks read it from afar."""
    page = _Page(job, layout)
    if slip.heading:
        page.centered(slip.heading, large=True)
    page.row(f"桌 {slip.table or '-'}", slip.station, large=True)
    page.row(f"{slip.order}  {slip.channel}", slip.at)
    if slip.pickup_at:
        page.text(f"取餐 Pick-up {slip.pickup_at}", emphasized=True)
    page.rule()
    for line in slip.lines:
        page.text(f"{line.quantity} x {line.name_zh or line.name}", large=True)
        if line.name_zh and line.name:
            page.text(f"    {line.name}")
        if line.note:
            page.text(f"  > {line.note}", emphasized=True)
    if slip.note:
        page.rule()
        page.text(f"备注 Note: {slip.note}", emphasized=True)
    return page.end()


def render_receipt(receipt: Receipt, job: Job, layout: Layout = Layout()) -> bytes:
    """The bytes of a receipt."""
    page = _Page(job, layout)
    page.centered(receipt.store, large=True)
    page.row(f"桌号 Table {receipt.table or '-'}", receipt.at)
    page.text(f"单号 Check {receipt.check}")
    page.rule()
    for line in receipt.lines:
        page.row(f"{line.quantity} x {line.name}", money(line.amount_minor))
        if line.note:
            page.text(f"  > {line.note}")
    page.rule()
    for label, amount_minor in receipt.adjustments:
        page.row(label, money(amount_minor))
    page.row("合计 Total", money(receipt.total_minor), large=True)
    for label, amount_minor in receipt.payments:
        page.row(label, money(amount_minor))
    if receipt.change_minor:
        page.row("找零 Change", money(receipt.change_minor))
    if receipt.footer:
        page.rule()
        page.centered(receipt.footer)
    return page.end()


def money(amount_minor: int) -> str:
    """An amount of minor units, with two decimal places."""
    return f"{'-' if amount_minor < 0 else ''}{abs(amount_minor) // 100}.{abs(amount_minor) % 100:02d}"


def printable(text: str) -> str:
    """`text` without what a printer could take for a command or could not put in a column of its own."""
    spaced = " ".join(unicodedata.normalize("NFC", text).split())
    kept = "".join(each for each in spaced if unicodedata.category(each) not in _UNPRINTABLE)
    return " ".join(kept.split())


def columns_of(text: str, encoding: Encoding) -> int:
    """How many columns printable `text` takes: in GB18030 everything but ASCII is two wide, else what Unicode calls wide."""
    if encoding == "gb18030":
        return sum(1 if each.isascii() else 2 for each in text)
    return sum(2 if unicodedata.east_asian_width(each) in "WFA" else 1 for each in text)


def wrapped(text: str, columns: int, encoding: Encoding) -> list[str]:
    """Printable `text` in lines of at most `columns`: broken at spaces, between wide characters, or within what is too long."""
    lines = [""]
    for piece in _pieces(text):
        word = piece.rstrip(" ")
        if lines[-1] and columns_of(lines[-1] + word, encoding) > columns:
            lines.append("")
        for each in word:
            if columns_of(lines[-1] + each, encoding) > columns:
                lines.append("")
            lines[-1] += each
        # Spaces at a line's end take no room: they are not printed.
        lines[-1] += piece[len(word) :]
    return [line.rstrip(" ") for line in lines]


def _pieces(text: str) -> list[str]:
    """Parts between which a line may be broken: words with the spaces behind them, and characters that are not ASCII."""
    pieces: list[str] = []
    for each in text:
        glued = pieces and each.isascii() and pieces[-1][-1].isascii() and (each == " " or pieces[-1][-1] != " ")
        if glued:
            pieces[-1] += each
        else:
            pieces.append(each)
    return pieces


class _Page:
    """Collects the bytes of one slip."""

    def __init__(self, job: Job, layout: Layout) -> None:
        self._job = job
        self._layout = layout
        self._bytes = bytearray(INITIALIZE + CHARACTER_SETS[layout.encoding])
        if job.copy:
            self.centered(REPRINT, large=layout.width_mm == 80)

    def text(self, text: str, *, large: bool = False, emphasized: bool = False) -> None:
        """A paragraph; its indent is kept."""
        clean = printable(text)
        indent = " " * (len(text) - len(text.lstrip(" ")))
        room = self._room(large) - len(indent)
        for line in wrapped(clean, room, self._layout.encoding):
            self._line(indent + line, large=large, emphasized=emphasized)

    def centered(self, text: str, *, large: bool = False) -> None:
        """A heading."""
        self._bytes += b"\x1ba\x01"
        self.text(text, large=large, emphasized=True)
        self._bytes += b"\x1ba\x00"

    def row(self, left: str, right: str, *, large: bool = False) -> None:
        """Something at the left and something at the right; on two lines if they do not fit on one."""
        encoding, room = self._layout.encoding, self._room(large)
        left, right = printable(left), printable(right)
        right_columns = columns_of(right, encoding)
        fits = columns_of(left, encoding) + 1 + right_columns <= room
        if not fits and right_columns + 1 > room // 2:
            self.text(left, large=large)
            for line in wrapped(right, room, encoding):
                self._line(" " * (room - columns_of(line, encoding)) + line, large=large)
            return
        first, *others = wrapped(left, room - right_columns - 1, encoding)
        gap = " " * (room - columns_of(first, encoding) - right_columns)
        self._line(first + gap + right, large=large)
        for line in others:
            self._line(line, large=large)

    def rule(self) -> None:
        """A line across."""
        self._line("-" * self._layout.columns)

    def end(self) -> bytes:
        """Code, cut, and the request to be told when it is done."""
        self._symbol(self._job.job_id.encode("ascii"))
        self._bytes += b"\x1bd" + bytes((FEED_LINES,)) + b"\x1dV\x00"
        self._bytes += b"\x1d(H\x06\x0000" + self._job.process_id
        return bytes(self._bytes)

    def _room(self, large: bool) -> int:
        return self._layout.columns // (LARGE if large else 1)

    def _line(self, text: str, *, large: bool = False, emphasized: bool = False) -> None:
        encoded = text.encode(self._layout.encoding, errors="replace")
        if large:
            encoded = b"\x1d!\x11" + encoded + b"\x1d!\x00"
        if emphasized:
            encoded = b"\x1bE\x01" + encoded + b"\x1bE\x00"
        self._bytes += encoded + b"\n"

    def _symbol(self, data: bytes) -> None:
        stored = len(data) + 3
        self._bytes += b"\x1d(k\x03\x001C" + bytes((SYMBOL_MODULE_DOTS,))
        self._bytes += b"\x1d(k" + bytes((stored % 256, stored // 256)) + b"1P0" + data
        self._bytes += b"\x1d(k\x03\x001Q0"
