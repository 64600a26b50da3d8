"""How an order looks as JSON, for every process that takes one (edge devices and the cloud), as their OpenAPI tells it."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from refsystem.ordering.order import (
    LINES_MAX,
    NOTE_CHARACTERS_MAX,
    QUANTITY_MAX,
    TABLE_CHARACTERS_MAX,
    UNIX_S_MAX,
    Channel,
)


class LineItem(BaseModel):
    """One line of an order."""

    item_id: str
    quantity: Annotated[int, Field(ge=1, le=QUANTITY_MAX)]


class OrderContent(BaseModel):
    """An order as a diner's device sends it. Its `order_id` is the UUID in the header `Idempotency-Key`."""

    channel: Channel
    table: Annotated[str, Field(max_length=TABLE_CHARACTERS_MAX)] = ""
    items: Annotated[list[LineItem], Field(min_length=1, max_length=LINES_MAX)]
    total_minor: Annotated[int, Field(ge=0, description="what the diner was shown, in minor units of money")]
    note: Annotated[str, Field(max_length=NOTE_CHARACTERS_MAX)] = ""
    pickup_at_s: Annotated[
        int,
        Field(
            ge=0,
            le=UNIX_S_MAX,
            description="when a pre-order is called for, in seconds since 1970, at most seven days ahead; 0: not ahead",
        ),
    ] = 0


class StoreOrderContent(OrderContent):
    """An order as a device of the store takes it: it may be put on an open check."""

    check_id: Annotated[
        UUID | None, Field(description="the check that it is put on, which the table's token opens; by default its own")
    ] = None


class KeptOrder(BaseModel):
    """The content of an order as a place keeps it."""

    channel: str
    table: str
    items: list[LineItem]
    note: str
    pickup_at_s: int


def order_request(submission: type[OrderContent]) -> dict[str, Any]:
    """What OpenAPI says of a route that takes a `submission`; routes read the body themselves, for the key comes first."""
    schema = submission.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs")  # `LineItem` stands among the document's components, because `KeptOrder` has it too.
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "the order's UUID; the same in every repetition",
        "schema": {"type": "string", "format": "uuid"},
    }
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"parameters": [key], "requestBody": body}
