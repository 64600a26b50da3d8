"""What was cancelled at a delivery platform is voided in the store: asked of the cloud, done as acts. Decides nothing else.

It works beside the feeds, on the primary only. The cloud names an order until its voids have come up to it, so nothing is kept
here; the key of a void follows from what it voids, and two primaries make the same one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial

import httpx

from refsystem.chain_access import chain_headers
from refsystem.ordering.check_acts import Act, Void, derived_id
from refsystem.ordering.errors import OrderRejected
from refsystem.protocol.device import Device
from refsystem.protocol.messages import Reply
from refsystem.settings import EdgeSettings

logger = logging.getLogger(__name__)

WHO = "platform"
ASK_EVERY_S = 0.5
BACK_OFF_S = 1.0
TIMEOUT_S = 3.0

HandIn = Callable[[Act], "asyncio.Future[Reply]"]


class PlatformDesk:
    """Voids for one device. It rests where the store serves no platform."""

    def __init__(
        self,
        settings: EdgeSettings,
        device: Device,
        http: httpx.AsyncClient,
        hand_in: HandIn,
        pump: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._device = device
        self._http = http
        self._hand_in = hand_in
        self._pump = pump
        self._under_way: set[str] = set()

    async def run(self) -> None:
        """Ask and void for ever."""
        if not self._settings.delivery:
            return
        url = f"{self._settings.cloud_url}/v1/stores/{self._settings.store}/cancellations"
        headers = chain_headers(self._settings.chain_secret)
        while True:
            pause_s = ASK_EVERY_S
            if self._device.is_primary:
                try:
                    answer = await self._http.get(url, headers=headers, timeout=TIMEOUT_S)
                    answer.raise_for_status()
                    named = [(str(row["order_id"]), str(row["reason"])) for row in answer.json()["orders"]]
                    self._void(named)
                except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                    logger.info("what was cancelled is not known: %s", type(error).__name__)
                    pause_s = BACK_OFF_S
            await asyncio.sleep(pause_s)

    def _void(self, named: list[tuple[str, str]]) -> None:
        for act in [act for order_id, reason in named for act in self._acts(order_id, reason)]:
            if act.act_id not in self._under_way and self._device.is_primary:
                self._under_way.add(act.act_id)
                self._hand_in(act).add_done_callback(partial(self._on_reply, act))
        self._pump()

    def _acts(self, order_id: str, reason: str) -> Iterator[Act]:
        """What voids all that still stands of an order, on whatever check; nothing of an order that is not in the log."""
        try:
            check = self._device.book.check_of_order(order_id)
        except OrderRejected:
            return
        for line in check.lines:
            if line.order_id == order_id and line.quantity:
                act_id = derived_id(order_id, f"cancelled/{check.check_id}/{line.line}/{line.quantity}")
                yield Act(act_id, WHO, Void(check.check_id, order_id, line.line, line.quantity, reason))

    def _on_reply(self, act: Act, future: asyncio.Future[Reply]) -> None:
        self._under_way.discard(act.act_id)
        if future.cancelled() or future.exception() is not None:
            return
        problem = future.result().problem
        if problem is not None and problem.status < 500:
            logger.warning("a cancelled order is not voided: %s", future.result().detail or problem.title)
