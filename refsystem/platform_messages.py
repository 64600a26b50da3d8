"""What a delivery platform and the cloud say to each other: orders in webhooks and lists, and the answers to them. Pure.

A platform's order has one `order_id` in the chain, which follows from the platform and its number: however often it is sent, it
is one key (P6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from refsystem.ordering.order import Channel, Order, parse_order

CHANNEL: Channel = "delivery"
WEBHOOK_PATH = "/v1/platforms/{platform}/webhooks"
NUMBER_MAX = 2**62
_NAMESPACE = UUID("7d0f0f0e-6a0e-5d44-8a57-0f3b0d9b6c11")


def platform_order_id(platform: str, number: int) -> str:
    """The `order_id` of order `number` of `platform`, wherever and whenever it is asked for."""
    return str(uuid5(_NAMESPACE, f"{platform}/{number}"))


@dataclass(frozen=True, slots=True)
class PlatformOrder:
    """An order as its platform tells it. `wanted` is False once it was cancelled there or rejected here."""

    number: int
    store: str
    wanted: bool
    order: Order


def read_platform_order(platform: str, said: Any) -> PlatformOrder:
    """The order in a webhook or a list; raises `ValueError` or `OrderRejected` that say what is wrong with it."""
    if not isinstance(said, dict):
        raise ValueError("an order must be a JSON object")
    number, store, state = said.get("number"), said.get("store"), said.get("state")
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= NUMBER_MAX:
        raise ValueError("number must be a whole number from 1")
    if not isinstance(store, str) or not store:
        raise ValueError("store must be a text")
    content = {**said, "channel": CHANNEL, "table": f"{platform} {number}"[:40], "check_id": None}
    order = parse_order(platform_order_id(platform, number), content)
    return PlatformOrder(number, store, state in ("pending", "accepted"), order)
