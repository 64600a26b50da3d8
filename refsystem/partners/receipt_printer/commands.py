"""The bytes that a printer receives, taken apart: ESC/POS commands and text in the character set that is chosen.

Written from the makers' command references, apart from what the store sends by `refsystem.ordering.slip`, so that a
misunderstanding of one is not shared by the other. What is not known is passed over, as printers do, and counted.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

LF, CR, FF, HT, DLE, ESC, FS, GS = 0x0A, 0x0D, 0x0C, 0x09, 0x10, 0x1B, 0x1C, 0x1D
ACK, CAN = 0x06, 0x18
SYMBOL_BYTES_MAX = 7089
"""The most that a QR code holds."""
RECORD_BYTES_MAX = 80

CharacterSet = Literal["gb18030", "utf-8", "one-byte"]

# How many bytes follow the two of a command.
FIXED_LENGTHS: dict[bytes, int] = {
    **dict.fromkeys((b"\x1b@", b"\x1b2", b"\x1bi", b"\x1bm", b"\x1c&", b"\x1c."), 0),
    **dict.fromkeys((b"\x1b!", b"\x1b-", b"\x1bE", b"\x1bG", b"\x1ba", b"\x1bd", b"\x1bJ", b"\x1b3", b"\x1bt"), 1),
    **dict.fromkeys((b"\x1bR", b"\x1bM", b"\x1b ", b"\x1bV", b"\x1b{", b"\x1d!", b"\x1dB", b"\x1dH", b"\x1df"), 1),
    **dict.fromkeys((b"\x1da", b"\x1dr", b"\x1dI", b"\x1dh", b"\x1dw", b"\x1c!", b"\x1c-", b"\x1cW"), 1),
    **dict.fromkeys((b"\x1bB", b"\x1b$", b"\x1b\\", b"\x1dL", b"\x1dW", b"\x1dP", b"\x1cS"), 2),
    b"\x1bp": 3,
}


@dataclass(frozen=True, slots=True)
class Text:
    """One character and how many columns it takes at normal width."""

    character: str
    columns: int


@dataclass(frozen=True, slots=True)
class LineEnd:
    """Print the line, and feed `lines` lines in all."""

    lines: int = 1


@dataclass(frozen=True, slots=True)
class Initialize:
    """ESC @: style and character set as after power on; what is printed stays."""


@dataclass(frozen=True, slots=True)
class Style:
    """A change of style; None leaves it."""

    emphasized: bool | None = None
    width: int | None = None
    height: int | None = None
    alignment: Literal["left", "center", "right"] | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """GS V: cut the paper, after feeding it if that is wanted."""

    feed_lines: int = 0


@dataclass(frozen=True, slots=True)
class ProcessId:
    """GS ( H: when all before it is printed, answer with these four bytes."""

    process_id: bytes


@dataclass(frozen=True, slots=True)
class Symbol:
    """Print a QR code of this text."""

    data: str


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """GS ( C, function 1: keep this in the memory that survives a power cut, under a key of two letters."""

    key: str
    data: str


@dataclass(frozen=True, slots=True)
class SendRecord:
    """GS ( C, function 2: answer with what is kept under this key."""

    key: str


@dataclass(frozen=True, slots=True)
class OpenDrawer:
    """ESC p: a pulse opens the cash drawer."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A command that this printer passes over."""

    name: bytes


Command = (
    Text | LineEnd | Initialize | Style | Cut | ProcessId | Symbol | StoreRecord | SendRecord | OpenDrawer | Unknown
)

ALIGNMENTS: dict[int, Literal["left", "center", "right"]] = {
    0: "left",
    48: "left",
    1: "center",
    49: "center",
    2: "right",
    50: "right",
}
DOTS_A_LINE = 30


class Decoder:
    """Takes commands off the front of a receive buffer."""

    def __init__(self) -> None:
        self._initialize()
        self._symbol = ""

    def _initialize(self) -> None:
        # A printer sold in China is in its Chinese mode when it is switched on.
        self._set: CharacterSet = "gb18030"

    def take(self, buffer: bytearray) -> Command | None:
        """The next command, taken off `buffer`; None if it is not complete yet."""
        while buffer:
            length = self._length(buffer)
            if length is None or length > len(buffer):
                return None
            raw = bytes(buffer[:length])
            del buffer[:length]
            command = self._command(raw)
            if command is not None:
                return command
        return None

    def _length(self, buffer: bytearray) -> int | None:
        first = buffer[0]
        if first in (ESC, GS, FS):
            return _command_length(buffer)
        if first == DLE:
            return 1
        if first < 0x80:
            return 1
        return _character_length(buffer, self._set)

    def _command(self, raw: bytes) -> Command | None:
        first = raw[0]
        if first in (ESC, GS, FS):
            return self._escape(raw)
        if first == LF:
            return LineEnd()
        if first == HT:
            return Text(" ", 1)
        if first < 0x20 or first == 0x7F:
            return None if first in (CR, FF, ACK, CAN, 0x00) else Unknown(raw)
        return self._text(raw)

    def _text(self, raw: bytes) -> Text:
        if raw[0] < 0x80:
            return Text(raw.decode("ascii"), 1)
        codec = "cp437" if self._set == "one-byte" else self._set
        character = raw.decode(codec, errors="replace")[:1] or "\ufffd"
        return Text(character, _columns(character, self._set))

    def _escape(self, raw: bytes) -> Command | None:
        name, rest = raw[:2], raw[2:]
        match name:
            case b"\x1b@":
                self._initialize()
                return Initialize()
            case b"\x1bE" | b"\x1bG":
                return Style(emphasized=bool(rest[0] & 1))
            case b"\x1b!":
                return Style(bool(rest[0] & 8), 2 if rest[0] & 32 else 1, 2 if rest[0] & 16 else 1)
            case b"\x1d!":
                return Style(width=(rest[0] >> 4 & 7) + 1, height=(rest[0] & 7) + 1)
            case b"\x1ba" if rest[0] in ALIGNMENTS:
                return Style(alignment=ALIGNMENTS[rest[0]])
            case b"\x1bd":
                return LineEnd(rest[0])
            case b"\x1bJ":
                return LineEnd(-(-rest[0] // DOTS_A_LINE))
            case b"\x1bp":
                return OpenDrawer()
            case b"\x1dV" if rest[0] in (0, 1, 48, 49):
                return Cut()
            case b"\x1dV" if rest[0] in (65, 66):
                return Cut(-(-rest[1] // DOTS_A_LINE))
            case b"\x1bi" | b"\x1bm":
                return Cut()
            case b"\x1c&":
                self._set = "gb18030"
            case b"\x1c.":
                self._set = "one-byte"
            case b"\x1c(" if rest[0:1] == b"C" and rest[3:4] == b"0":
                self._set = "utf-8" if rest[4] in (2, 50) else "gb18030"
            case b"\x1d(" if rest[0:1] == b"H" and rest[3:5] == b"00" and len(rest) == 9:
                return ProcessId(rest[5:9])
            case b"\x1d(" if rest[0:1] == b"C" and len(rest) >= 8 and rest[3] == rest[5] == 0:
                return _record(rest[4], rest[6:8], rest[8:])
            case b"\x1d(" if rest[0:1] == b"k" and rest[3:4] == b"1":
                return self._symbol_part(rest[4], rest[5:])
            case _ if name in FIXED_LENGTHS:
                return None
            case _:
                return Unknown(name)
        return None

    def _symbol_part(self, function: int, data: bytes) -> Command | None:
        if function == 80:
            self._symbol = data[1:].decode("utf-8", errors="replace")
        elif function == 81 and self._symbol:
            return Symbol(self._symbol)
        return None


def _record(function: int, key: bytes, data: bytes) -> Command | None:
    if not all(0x20 <= byte <= 0x7E for byte in key):
        return None
    if function in (1, 49) and data and all(0x20 <= byte <= 0x7E for byte in data[:RECORD_BYTES_MAX]):
        return StoreRecord(key.decode("ascii"), data[:RECORD_BYTES_MAX].decode("ascii"))
    return SendRecord(key.decode("ascii")) if function in (2, 50) else None


def _command_length(buffer: bytearray) -> int | None:
    if len(buffer) < 2:
        return None
    name = bytes(buffer[:2])
    if name in (b"\x1d(", b"\x1c("):
        return None if len(buffer) < 5 else 5 + buffer[3] + 256 * buffer[4]
    if name == b"\x1dV":
        return None if len(buffer) < 3 else 3 if buffer[2] in (0, 1, 48, 49) else 4
    return 2 + FIXED_LENGTHS.get(name, 0)


def _character_length(buffer: bytearray, character_set: CharacterSet) -> int | None:
    first = buffer[0]
    if character_set == "one-byte":
        return 1
    if character_set == "utf-8":
        return 2 if 0xC2 <= first < 0xE0 else 3 if 0xE0 <= first < 0xF0 else 4 if 0xF0 <= first < 0xF5 else 1
    if not 0x81 <= first <= 0xFE:
        return 1
    if len(buffer) < 2:
        return None
    return 4 if 0x30 <= buffer[1] <= 0x39 else 2


def _columns(character: str, character_set: CharacterSet) -> int:
    if character_set == "one-byte":
        return 1
    if character_set == "gb18030":
        # A character of two or four bytes has a glyph as wide as two letters, whatever it is.
        return 2
    return 2 if unicodedata.east_asian_width(character) in "WFA" else 1
