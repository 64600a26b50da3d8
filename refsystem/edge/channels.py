"""A device's channels: what is open in the kitchen and how long the cloud was not heard, and who pauses for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from refsystem.channel_messages import ChannelsReply, channels_json, must_be_open
from refsystem.ordering.channel_rules import ChannelBoard, Load
from refsystem.ordering.order import Order
from refsystem.protocol.device import Device
from refsystem.settings import EdgeSettings

LOOK_AGAIN_MS = 100
"""The kitchen's tickets are counted no more often than that."""


class EdgeChannels:
    """The channels of a store as one of its devices sees them; a device that is not primary refuses orders anyway."""

    def __init__(self, settings: EdgeSettings, device: Device, cloud_heard_us: Callable[[], int]) -> None:
        self._store = settings.store
        self._device = device
        self._board = ChannelBoard(settings.channel_rules)
        self._has_rules = settings.channel_rules is not None
        self._cloud_heard_us = cloud_heard_us
        self._looked_ms = 0
        self._load = Load({})

    def check(self, order: Order) -> None:
        """Raises `ProblemError` if the order's channel is paused, unless its key is known: then it is answered (P6)."""
        if not self._has_rules or self._device.replica.log.key(order.order_id) is not None:
            return
        self._look_if_due()
        must_be_open(self._board.state(order.channel))

    def told(self) -> dict[str, object]:
        """The body of `GET /v1/channels`."""
        self._look_if_due()
        load = self._load
        return channels_json(self._store, self._board.states, dict(load.open_tickets), load.silent_ms, now_ms())

    def _look_if_due(self) -> None:
        if now_ms() - self._looked_ms >= LOOK_AGAIN_MS:
            self._look()

    def _look(self) -> None:
        self._looked_ms = now_ms()
        silent_ms = max(0, self._looked_ms - self._cloud_heard_us() // 1000)
        self._load = Load(_open_tickets(self._device), silent_ms)
        self._board.look(self._load, self._looked_ms)


def add_channel_routes(app: FastAPI, channels: EdgeChannels) -> None:
    """Add `GET /v1/channels`."""

    @app.get("/v1/channels", response_model=ChannelsReply)
    async def read_channels() -> Response:
        """Which channels of this store take orders, and why the others do not."""
        return JSONResponse(channels.told())


def _open_tickets(device: Device) -> Counter[str]:
    kitchen = device.views.kitchen
    return Counter(order.channel for order in kitchen.orders for ticket in order.tickets if ticket.has_work)


def now_ms() -> int:
    """The host's monotonic clock in milliseconds."""
    return time.monotonic_ns() // 1_000_000
