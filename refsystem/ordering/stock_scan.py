"""What a scanner reads from a delivery: GS1 element strings (GS1-128, DataMatrix, QR) and plain product codes.

The format is GS1's General Specifications: application identifiers in brackets, or bare with a group separator (FNC1, sent as
0x1D) behind each value of open length. A check digit weighs its digits 3 and 1 in turn, from the right.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from typing import Any

from refsystem.ordering.recipe import QUANTITY_MAX

SEPARATOR = "\x1d"
SYMBOLOGIES = ("]C1", "]d2", "]Q3", "]e0")
DIGITS = re.compile(r"[0-9]+")
VALUE = re.compile(r"[!-~ ]+")
FIXED = {"00": 18, "01": 14, "02": 14, "11": 6, "12": 6, "13": 6, "15": 6, "16": 6, "17": 6}
OPEN = {"10": 20, "21": 20, "30": 8, "37": 8}
WEIGHT = re.compile(r"310([0-5])")
CODE_LENGTHS = (8, 12, 13, 14)
CENTURY = 2000


class ScanError(ValueError):
    """What was scanned cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One label. What it does not say is empty or 0. `barcode` has 14 digits, `use_by` is a day as YYYYMMDD.

    `count` are pieces, `grams` the net weight.
    """

    barcode: str
    lot: str = ""
    use_by: int = 0
    count: int = 0
    grams: int = 0

    def quantity(self, unit: str) -> int:
        """How much it says there is, in `unit`; 0 if it does not say that."""
        return {"piece": self.count, "g": self.grams}.get(unit, 0)


def read_scan(text: str) -> Scan:
    """What a scanner sent; raises `ScanError` that says what is wrong."""
    text = text.strip(" \r\n\t")
    for symbology in SYMBOLOGIES:
        text = text.removeprefix(symbology)
    if DIGITS.fullmatch(text) and len(text) in CODE_LENGTHS:
        return Scan(_product(text))
    values = _bracketed(text) if text.startswith("(") else _bare(text)
    code = values.get("01") or values.get("02")
    if code is None:
        raise ScanError("the label names no product: it has neither (01) nor (02)")
    weight = next(((name, value) for name, value in values.items() if WEIGHT.fullmatch(name)), None)
    return Scan(
        _product(code),
        values.get("10", ""),
        _day(values.get("17") or values.get("15") or ""),
        _number(values.get("37") or values.get("30") or "0"),
        _grams(*weight) if weight is not None else 0,
    )


def check_digit(digits: str) -> str:
    """The digit that belongs behind `digits`."""
    weighted = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return str(-weighted % 10)


def _product(code: str) -> str:
    if not DIGITS.fullmatch(code) or check_digit(code[:-1]) != code[-1]:
        raise ScanError(f"{code} is no product code: its check digit is wrong, so scan it again")
    return code.zfill(14)


def _length(name: str) -> tuple[int, bool]:
    """How long the value of an application identifier is at most, and whether it always is."""
    if WEIGHT.fullmatch(name):
        return 6, True
    if name in FIXED:
        return FIXED[name], True
    if name in OPEN:
        return OPEN[name], False
    raise ScanError(f"({name}) is nothing that is used for receiving")


def _put(values: dict[str, Any], name: str, value: str) -> None:
    length, is_fixed = _length(name)
    fits = len(value) == length if is_fixed else 1 <= len(value) <= length
    if not fits or not VALUE.fullmatch(value):
        raise ScanError(f"({name}) has {'' if is_fixed else 'at most '}{length} characters, not {value!r}")
    if name in values:
        raise ScanError(f"({name}) is there twice")
    values[name] = value


def _bracketed(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    parts = re.findall(r"\(([0-9]{2,4})\)([^(]*)", text)
    if "".join(f"({name}){value}" for name, value in parts) != text:
        raise ScanError("the label cannot be read: brackets hold two to four digits")
    for name, value in parts:
        _put(values, name, value)
    return values


def _bare(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    rest = text.removeprefix(SEPARATOR)
    while rest:
        name = rest[:4] if WEIGHT.fullmatch(rest[:4]) else rest[:2]
        if not DIGITS.fullmatch(name) or len(name) < 2:
            raise ScanError(f"the label cannot be read from {rest[:10]!r} on")
        length, is_fixed = _length(name)
        rest = rest[len(name) :]
        end = length if is_fixed else (rest + SEPARATOR).index(SEPARATOR)
        _put(values, name, rest[:end])
        rest = rest[end:].removeprefix(SEPARATOR)
    return values


def _number(value: str) -> int:
    if not DIGITS.fullmatch(value) or int(value) > QUANTITY_MAX:
        raise ScanError(f"{value!r} is no count")
    return int(value)


def _grams(name: str, value: str) -> int:
    """Kilograms with as many decimal places as the last digit of the identifier says, in whole grams."""
    places = int(name[-1])
    milligrams: int = _number(value) * 10 ** (6 - places)
    return milligrams // 1_000


def _day(value: str) -> int:
    """YYMMDD of this century as YYYYMMDD; day 00 is the last one of the month."""
    if not value:
        return 0
    if not DIGITS.fullmatch(value):
        raise ScanError(f"{value!r} is no day")
    year, month, day = CENTURY + int(value[:2]), int(value[2:4]), int(value[4:])
    last = calendar.monthrange(year, month)[1] if 1 <= month <= 12 else 0
    if not last or day > last:
        raise ScanError(f"{value!r} is no day")
    return (year * 100 + month) * 100 + (day or last)
