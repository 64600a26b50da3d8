"""The bodies of the cloud's routes, as its OpenAPI describes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from refsystem.feed_messages import CursorBody

StoreName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class LineItem(BaseModel):
    """One line of an order."""

    item_id: str
    quantity: Annotated[int, Field(ge=1, le=999)]


class OrderSubmission(BaseModel):
    """An order as a diner sends it. Its `order_id` is the UUID in the header `Idempotency-Key`."""

    store: str
    channel: Literal["qr", "cashier", "mini_program"]
    table: Annotated[str, Field(max_length=40)] = ""
    items: Annotated[list[LineItem], Field(min_length=1, max_length=100)]
    total_minor: Annotated[int, Field(ge=0, description="the agreed total in minor units of money")]
    note: Annotated[str, Field(max_length=200)] = ""


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


class OrderFound(OrderReply):
    """The order with its content."""

    channel: str
    table: str
    items: list[LineItem]
    note: str


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


def _order_schema() -> dict[str, Any]:
    schema = OrderSubmission.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs")  # `LineItem` stands among the document's components, because `OrderFound` has it too.
    return schema


ORDER_REQUEST: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "the order's UUID; the same in every repetition",
            "schema": {"type": "string", "format": "uuid"},
        }
    ],
    "requestBody": {"required": True, "content": {"application/json": {"schema": _order_schema()}}},
}
