"""The bodies of the cloud's routes, as its OpenAPI describes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from refsystem.feed_messages import CursorBody
from refsystem.order_messages import KeptOrder, OrderContent

StoreName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class OrderSubmission(OrderContent):
    """An order for a store, as a mini-program sends it."""

    store: str


class OrderReply(BaseModel):
    """What a diner is told. `refused`: taken here, and then refused by the store."""

    order_id: str
    store: str
    level: Literal["RC"]
    node_id: Literal["cloud"]
    epoch: None
    seq: None
    total_minor: int
    status: Literal["committed", "served", "refused"]


class OrderFound(OrderReply, KeptOrder):
    """The order with its content."""


class StoreSetup(BaseModel):
    """What an operator says of a store."""

    name: Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]


class StoreStatus(BaseModel):
    """Where the cloud stands with a store."""

    cursor: CursorBody
    highest_epoch: int
    last_number: int
    alarms: int


class CursorReply(BaseModel):
    """The receiver's place in a feed after a batch was taken."""

    cursor: CursorBody


class DownlinkReply(BaseModel):
    """Orders for a store, ascending by number."""

    orders: list[dict[str, Any]]
    last_number: int
