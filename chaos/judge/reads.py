"""What the places said at the end of a run: a typed record for each file. What `reading` could not read is `Unreadable`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

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
