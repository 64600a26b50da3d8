"""Typed loading of what the places said at the end of a run. A file that is missing, broken, or holds `{"error": ...}` is an
`Unreadable` place and never a traceback: the audit goes on with what is left, and the verdict says what could not be read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from refsystem.protocol.log import encode_record, entry_hash

PLACES = ("edge_a", "edge_b", "cloud", "kitchen")
ROUNDS = (1, 2)

Lines = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A place or file that could not be read, and why, in one sentence."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class Record(BaseModel):
    """Base of everything that is read from a run folder: immutable; fields that are not known are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Place(Record):
    """A cursor as a place tells it: the seq of an entry and that entry's own hash."""

    seq: int
    hash: str


class LogEntry(Record):
    """An entry of a log as an audit endpoint serves it. The senders are known only where it came by a feed.

    `given_up` is said of what was set aside: it had been committed in a branch that was left (P19).
    """

    seq: int
    epoch: int
    hash: str
    record: dict[str, Any]
    sender_epoch: int | None = None
    sender_node_id: str | None = None
    given_up: bool = False

    @property
    def kind(self) -> str:
        """The kind of record."""
        return str(self.record.get("kind", ""))

    @property
    def order_id(self) -> str:
        """The order that the record is about, or the empty text."""
        return str(self.record.get("order_id", ""))

    @property
    def identity(self) -> str:
        """The key of the order or act that the record is, or the empty text."""
        return str(self.record.get({"order": "order_id", "act": "act_id"}.get(self.kind, ""), ""))

    @property
    def marker(self) -> str:
        """The note of an order, by which it is found under any key."""
        return str(self.record.get("note", ""))

    def fits(self, previous_hash: str) -> bool:
        """Whether the entry's hash covers its own content and `previous_hash`."""
        return self.hash == entry_hash(self.epoch, self.seq, previous_hash, encode_record(self.record))


class EdgeStatus(Record):
    """What a device says of itself."""

    node_id: str
    role: str
    epoch: int
    members: tuple[str, ...] = ()
    commit_seq: int
    commit_hash: str = ""
    last_seq: int = 0
    downlink_cursor: int = 0
    waiting: int = 0
    payments_under_way: int = 0
    slips_waiting: int = 0


class StockRow(Record):
    """What a place says of one ingredient."""

    ingredient_id: str
    kept: bool
    on_hand: int
    store_rights: int


class StockRead(Record):
    """The stock as a place says it; `cloud_rights` and what orders have `reserved` of them are the cloud's alone."""

    ingredients: tuple[StockRow, ...]
    known_seq: int
    cloud_rights: Mapping[str, int] = {}
    reserved: Mapping[str, Mapping[str, int]] = {}


class EdgeRead(Record):
    """A device: its status, its committed entries, and what it set aside (which is not part of what it holds)."""

    status: EdgeStatus
    entries: tuple[LogEntry, ...]
    set_aside: tuple[LogEntry, ...] = ()
    stock: StockRead | None = None


class CloudStatus(Record):
    """Where the cloud stands with one store."""

    cursor: Place
    highest_epoch: int = 0
    last_number: int = 0


class CloudOrder(Record):
    """An order as the cloud holds it. `outcome` is what the store made of an order that entered at the cloud."""

    order_id: str
    marker: str = ""
    origin: str
    channel: str
    table: str
    items: Lines
    total_minor: int
    level_told: str | None = None
    store_seq: int | None = None
    outcome: str | None = None


class CloudRead(Record):
    """The cloud, for one store: its orders, the raw entries that came up, and its alarms."""

    status: CloudStatus
    orders: tuple[CloudOrder, ...]
    entries: tuple[LogEntry, ...]
    alarms: tuple[dict[str, Any], ...] = ()
    stock: StockRead | None = None


class KitchenStatus(Record):
    """Where the kitchen display stands."""

    cursor: Place
    highest_epoch: int = 0


class Ticket(Record):
    """A ticket that was shown."""

    order_id: str
    version: int
    station: str
    marker: str = ""
    seq: int
    hash: str
    shown_at_us: int
    bumped_at_us: int | None = None


class Delivery(Record):
    """An entry as it arrived at the kitchen display, repeats and refused ones too."""

    sender_epoch: int
    sender_node_id: str
    epoch: int
    seq: int
    hash: str
    order_id: str | None = None


class KitchenRead(Record):
    """The kitchen display: tickets shown, and raw deliveries."""

    status: KitchenStatus
    tickets: tuple[Ticket, ...]
    deliveries: tuple[Delivery, ...] = ()


class Movement(Record):
    """Money that the payment gateway moved for the store."""

    movement: int
    kind: str
    attempt_id: str
    amount_minor: int


class GatewayRead(Record):
    """The payment gateway's own ledger of one store, and how often it has misbehaved, by kind."""

    movements: tuple[Movement, ...]
    struck: Mapping[str, int] = {}


class PaperLine(Record):
    """A line on a printer's paper; letters of a `height` above 1 are large. A `code` is a QR code, by what it says."""

    text: str
    height: int = 1
    code: bool = False


class PaperSlip(Record):
    """A strip of paper; not cut off yet if `cut_at_us` is None."""

    slip: int
    cut_at_us: int | None = None
    lines: tuple[PaperLine, ...]


class PrinterRead(Record):
    """All paper that came out of a store's printer."""

    slips: tuple[PaperSlip, ...]


class PlatformLine(Record):
    """A line of an order at the delivery platform."""

    item_id: str
    quantity: int


class PlatformOrder(Record):
    """An order as the delivery platform lists it; an answer to an order that is not rejected accepted it."""

    number: int
    store: str
    items: tuple[PlatformLine, ...]
    total_minor: int
    note: str = ""
    state: str
    placed_at_us: int
    answered_at_us: int | None = None
    store_order_id: str | None = None
    reason: str = ""
    cancelled_by: str | None = None
    cancelled_at_us: int | None = None

    @property
    def was_accepted(self) -> bool:
        """Whether the platform was told yes, whatever came of it later."""
        return self.answered_at_us is not None and self.state != "rejected"


class PlatformRead(Record):
    """The delivery platform's own list of one store's orders, and how often it has misbehaved, by kind."""

    platform: str
    orders: tuple[PlatformOrder, ...]
    struck: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class StoreReads:
    """One round of final reads of one store. `gateway`, `printer`, `delivery_platform` None: there was none to read."""

    store: str
    edge_a: EdgeRead | Unreadable
    edge_b: EdgeRead | Unreadable
    cloud: CloudRead | Unreadable
    kitchen: KitchenRead | Unreadable
    gateway: GatewayRead | Unreadable | None = None
    printer: PrinterRead | Unreadable | None = None
    delivery_platform: PlatformRead | Unreadable | None = None

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """The places of this round that could not be read."""
        places = (
            self.edge_a,
            self.edge_b,
            self.cloud,
            self.kitchen,
            self.gateway,
            self.printer,
            self.delivery_platform,
        )
        return tuple(place for place in places if isinstance(place, Unreadable))


class Convergence(Record):
    """Whether every place came to stand at the primary's cursor before the reads were taken."""

    reached: bool
    waited_ms: int = 0
    drain_ms: int | None = None
    detail: str = ""
    taken_at_us: int | None = None


Model = TypeVar("Model", bound=Record)


def read_json(path: Path, model: type[Model], place: str) -> Model | Unreadable:
    """The file `path` as a `model`, or why it is none."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Unreadable(place, f"{path.name} is missing")
    except (OSError, ValueError) as error:
        return Unreadable(place, f"{path.name} cannot be read ({error})")
    return parse(raw, model, place)


def parse(raw: object, model: type[Model], place: str) -> Model | Unreadable:
    """`raw` as a `model`, or why it is none."""
    if isinstance(raw, Mapping) and "error" in raw:
        return Unreadable(place, str(raw["error"]))
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return Unreadable(place, f"{where or 'the content'} is not as expected ({first['msg']})")


def read_store(run: Path, number: int, store: str) -> StoreReads:
    """Round `number` of the final reads of `store`."""
    folder = run / "reads" / str(number) / store
    return StoreReads(
        store,
        read_json(folder / "edge_a.json", EdgeRead, f"{store}/edge_a"),
        read_json(folder / "edge_b.json", EdgeRead, f"{store}/edge_b"),
        read_json(folder / "cloud.json", CloudRead, f"{store}/cloud"),
        read_json(folder / "kitchen.json", KitchenRead, f"{store}/kitchen"),
        read_json(path, GatewayRead, f"{store}/gateway") if (path := folder / "gateway.json").exists() else None,
        read_json(path, PrinterRead, f"{store}/printer") if (path := folder / "printer.json").exists() else None,
        read_json(path, PlatformRead, f"{store}/delivery_platform")
        if (path := folder / "delivery_platform.json").exists()
        else None,
    )


def read_convergence(run: Path) -> Convergence | Unreadable:
    """What the run says about convergence."""
    return read_json(run / "reads" / "convergence.json", Convergence, "convergence")


def disagreement(first: StoreReads, second: StoreReads) -> str | None:
    """How the two rounds of one store differ in what matters, or None. Bumps may come in between; orders may not."""
    pairs = zip(PLACES, _places(first), _places(second), strict=True)
    for place, before, after in pairs:
        if isinstance(before, Unreadable) or isinstance(after, Unreadable):
            continue
        if _substance(before) != _substance(after):
            return f"{second.store}/{place} holds other orders in the second read than in the first"
    moved, now = first.gateway, second.gateway
    if isinstance(moved, GatewayRead) and isinstance(now, GatewayRead) and moved.movements != now.movements:
        return f"{second.store}/gateway has moved money between the two reads"
    lay, lies = first.printer, second.printer
    if isinstance(lay, PrinterRead) and isinstance(lies, PrinterRead) and lay.slips != lies.slips:
        return f"{second.store}/printer has printed between the two reads"
    listed, lists = first.delivery_platform, second.delivery_platform
    if isinstance(listed, PlatformRead) and isinstance(lists, PlatformRead) and listed.orders != lists.orders:
        return f"{second.store}/delivery_platform lists other orders in the second read than in the first"
    return None


def _places(reads: StoreReads) -> tuple[EdgeRead | CloudRead | KitchenRead | Unreadable, ...]:
    return (reads.edge_a, reads.edge_b, reads.cloud, reads.kitchen)


def _substance(place: EdgeRead | CloudRead | KitchenRead) -> object:
    if isinstance(place, KitchenRead):
        return sorted((ticket.order_id, ticket.version, ticket.station, ticket.hash) for ticket in place.tickets)
    entries = [(entry.seq, entry.hash) for entry in place.entries if entry.kind != "bump"]
    if isinstance(place, EdgeRead):
        return entries
    return entries, sorted((order.order_id, order.origin, order.outcome or "") for order in place.orders)
