"""Reads a table of real orders, and makes a menu of it.

The table is a CSV file, plain or gzipped, with one row for each line of an order and the columns `order, ordered_at, item,
quantity, unit_price`. Between them stands a comma, a semicolon or a tab; in a table without commas between columns a price may be
written 3,95. The lines of an order need not stand together. Any other column may be there and is not read: a store's export
often says more.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from refsystem.ordering.menu import Menu, MenuItem
from refsystem.ordering.order import LINES_MAX, QUANTITY_MAX

COLUMNS = ("order", "ordered_at", "item", "quantity", "unit_price")
COMMA = ","
SEPARATORS = (COMMA, ";", "\t")
BYTES_MAX = 500_000_000
PRICE_MINOR_MAX = 100_000_000
NO_CURRENCY = "XXX"
"""ISO 4217 for "no currency": a table of orders does not say in what its prices are."""


class TraceError(ValueError):
    """A table of orders cannot be used. The message is one sentence that names the file, the line and the column."""


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One line of a real order; the price is in minor units."""

    item: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class TraceOrder:
    """One real order: its number in the table, the local time (to the minute), and its lines."""

    order: str
    ordered_at: datetime
    lines: tuple[TraceLine, ...]

    @property
    def total_minor(self) -> int:
        """What the order cost, in minor units."""
        return sum(line.quantity * line.unit_price_minor for line in self.lines)


def read_trace(path: Path) -> list[TraceOrder]:
    """All orders of a table, by time and then by order; raises `TraceError`."""
    times: dict[str, datetime] = {}
    lines: dict[str, list[TraceLine]] = {}
    for number, row, separator in _rows(path):
        cell = _Cell(path, number, separator)
        order = cell.text(row, "order")
        ordered_at = cell.time(row, "ordered_at")
        if times.setdefault(order, ordered_at) != ordered_at:
            raise cell.error("ordered_at", f"order {order} has another time above; give all its lines one time")
        quantity = cell.whole(row, "quantity", QUANTITY_MAX)
        line = TraceLine(cell.text(row, "item"), quantity, cell.price_minor(row, "unit_price"))
        lines.setdefault(order, []).append(line)
        if len(lines[order]) > LINES_MAX:
            raise cell.error("order", f"order {order} has more than {LINES_MAX} lines; split it")
    if not lines:
        raise TraceError(
            f"{path}, line 1: there are no orders below the heading; give one row for each line of an order"
        )
    found = [TraceOrder(order, times[order], tuple(held)) for order, held in lines.items()]
    return sorted(found, key=lambda each: (each.ordered_at, len(each.order), each.order))


def trace_menu(orders: Iterable[TraceOrder], currency: str = NO_CURRENCY) -> Menu:
    """The menu of a trace: one item for each (item, price), so that every real total stays true.

    An item sold at several prices becomes several items; the price in minor units then ends the `item_id`.
    """
    ids = item_ids(orders)
    return Menu(
        tuple(MenuItem(item_id, name, name, price_minor, "kitchen") for (name, price_minor), item_id in ids.items()),
        currency,
    )


def item_ids(orders: Iterable[TraceOrder]) -> dict[tuple[str, int], str]:
    """The `item_id` of every (item, price) in a trace, sorted by both; the same for the same set of orders."""
    pairs = sorted({(line.item, line.unit_price_minor) for order in orders for line in order.lines})
    prices: dict[str, int] = {}
    for name, _ in pairs:
        prices[name] = prices.get(name, 0) + 1
    ids: dict[tuple[str, int], str] = {}
    taken: set[str] = set()
    for name, price_minor in pairs:
        wanted = f"{slug(name)}-{price_minor}" if prices[name] > 1 else slug(name)
        item_id, twin = wanted, 2
        while item_id in taken:
            item_id, twin = f"{wanted}-{twin}", twin + 1
        taken.add(item_id)
        ids[name, price_minor] = item_id
    return ids


def trace_items(order: TraceOrder, ids: dict[tuple[str, int], str]) -> tuple[tuple[str, int], ...]:
    """The lines of an order as `(item_id, quantity)`, as they stand in the table."""
    return tuple((ids[line.item, line.unit_price_minor], line.quantity) for line in order.lines)


def slug(name: str) -> str:
    """The name in small letters and digits of any script, with `-` for everything else; "item" if nothing is left."""
    return re.sub(r"[\W_]+", "-", name.lower()).strip("-") or "item"


@dataclass(frozen=True, slots=True)
class _Cell:
    """Reads the cells of one row and complains with the file, the line and the column."""

    path: Path
    number: int
    separator: str

    def error(self, column: str, message: str) -> TraceError:
        return TraceError(f"{self.path}, line {self.number}: {column}: {message}")

    def text(self, row: dict[str, str], column: str) -> str:
        value = row[column].strip()
        if not value:
            raise self.error(column, "is empty; every row needs it")
        return value

    def whole(self, row: dict[str, str], column: str, largest: int) -> int:
        value = self.text(row, column)
        if not value.isascii() or not value.isdigit() or len(value) > 9 or not 1 <= int(value) <= largest:
            raise self.error(column, f"{_short(value)} must be a whole number from 1 to {largest}")
        return int(value)

    def time(self, row: dict[str, str], column: str) -> datetime:
        value = self.text(row, column)
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            raise self.error(column, f"{_short(value)} is not a time; write it like 2018-04-29T18:30") from None
        if parsed.tzinfo is not None:
            raise self.error(column, f"{_short(value)} has a time zone; write the local time, like 2018-04-29T18:30")
        return parsed

    def price_minor(self, row: dict[str, str], column: str) -> int:
        value = self.text(row, column)
        try:
            minor = Decimal(value if self.separator == COMMA else value.replace(COMMA, ".")) * 100
        except InvalidOperation:
            raise self.error(column, f"{_short(value)} is not a price; write it like 3.95") from None
        if not minor.is_finite() or minor != minor.to_integral_value() or not 0 <= minor <= PRICE_MINOR_MAX:
            raise self.error(column, f"{_short(value)} is not a price of two decimals at most; write it like 3.95")
        return int(minor)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str], str]]:
    """The rows below the heading, each with the line on which it ends, and what separates its cells."""
    text = _text(path)
    separator = _separator(text)
    reader = csv.reader(io.StringIO(text), strict=True, delimiter=separator)
    columns: Sequence[str] = ()
    try:
        for cells in reader:
            if not cells:
                continue
            if not columns:
                columns = _heading(path, cells)
            elif len(cells) != len(columns):
                counts = f"has {len(cells)} cells; the heading has {len(columns)} columns"
                raise TraceError(f"{path}, line {reader.line_num}: {counts}")
            else:
                yield reader.line_num, dict(zip(columns, cells, strict=True)), separator
    except csv.Error as error:
        raise TraceError(f"{path}, line {reader.line_num}: is not CSV ({error}); check the quotes") from error


def _separator(text: str) -> str:
    """What separates the columns of the heading: what stands in it most often."""
    heading = text.lstrip().partition("\n")[0]
    return max(SEPARATORS, key=heading.count)


def _heading(path: Path, cells: Sequence[str]) -> Sequence[str]:
    columns = [cell.strip() for cell in cells]
    for column in COLUMNS:
        if columns.count(column) != 1:
            wrong = "is missing" if column not in columns else "stands twice"
            raise TraceError(
                f"{path}, line 1: {column}: {wrong} in the heading; it must hold {', '.join(COLUMNS)} once each, with commas, "
                "semicolons or tabs between them"
            )
    return columns


def _text(path: Path) -> str:
    """The whole table, unpacked if it is gzipped, `BYTES_MAX` at most."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as content:
            raw = content.read(BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise TraceError(f"{path}: there is no such file; check the path") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TraceError(f"{path}: the gzip file is damaged ({error}); fetch it again") from error
    except OSError as error:
        raise TraceError(f"{path}: cannot be read ({error.strerror}); give a readable file") from error
    if len(raw) > BYTES_MAX:
        raise TraceError(f"{path}: is larger than {BYTES_MAX} bytes; cut out the evenings that you need")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise TraceError(f"{path}, line {line}: is not UTF-8 text; save the file as UTF-8") from error


def _short(value: str) -> str:
    return repr(value if len(value) <= 40 else f"{value[:37]}...")
