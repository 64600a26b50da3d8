"""The bodies that the delivery platform reads and writes over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from refsystem.ordering.order import LINES_MAX, NOTE_CHARACTERS_MAX, QUANTITY_MAX
from refsystem.partners.bodies import Body, Name, Text

Version = Annotated[int, Field(ge=1, le=2**62, description="an older word than the last one changes nothing")]


class LineBody(Body):
    """One line of an order."""

    item_id: Name
    quantity: Annotated[int, Field(ge=1, le=QUANTITY_MAX)]


class WishBody(Body):
    """What a diner orders from a store, and has paid to the platform."""

    store: Name
    items: Annotated[list[LineBody], Field(min_length=1, max_length=LINES_MAX)]
    total_minor: Annotated[int, Field(ge=0, le=10**12)]
    note: Annotated[str, Field(max_length=NOTE_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""


class AnswerBody(Body):
    """The store's answer to an order, and the id under which it has it."""

    accepted: bool
    store_order_id: Name
    reason: Text = ""


class ChannelBody(Body):
    """Whether the store takes orders: an empty reason says that it does."""

    paused_reason: Text
    version: Version


class StockBody(Body):
    """What is sold out in the store."""

    sold_out: Annotated[list[Name], Field(max_length=10_000)]
    version: Version


class OrderReply(BaseModel):
    """An order as it stands."""

    number: int
    store: str
    items: list[dict[str, Any]]
    total_minor: int
    note: str
    state: str
    placed_at_us: int
    accept_by_us: int
    answered_at_us: int | None
    store_order_id: str | None
    reason: str
    cancelled_by: str | None
    cancelled_at_us: int | None
    version: int


class StoreReply(BaseModel):
    """What the chain has said of a store."""

    store: str
    paused_reason: str
    channel_version: int
    sold_out: list[str]
    stock_version: int
