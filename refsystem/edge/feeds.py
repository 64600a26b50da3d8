"""The links out of the store, over HTTP: tickets to the kitchen display, committed entries to the cloud, orders from it.

Each loop sends one request at a time, backs off when it fails, and hands every answer to the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from refsystem.branch_messages import BranchReply, question_json
from refsystem.chain_access import chain_headers
from refsystem.edge.cashier_desk import wall_ms
from refsystem.feed_messages import batch_json
from refsystem.ordering.errors import ACT_INVALID, OrderRejected
from refsystem.ordering.fields import read_fields
from refsystem.ordering.kitchen_acts import KITCHEN_ACTS
from refsystem.ordering.order import Order, parse_id, parse_order
from refsystem.ordering.stock_acts import ReturnRights, SettleRights
from refsystem.ordering.store_acts import StoreAct, parse_store_act
from refsystem.overload.pacing import UPLINK_PACE, Pacer
from refsystem.protocol.branch import BranchAnswer, BranchQuestion
from refsystem.protocol.device import Device, FeedAnswer, FeedName
from refsystem.protocol.downlink import DownlinkOrder, PromisedOrder
from refsystem.protocol.log import Cursor
from refsystem.protocol.uplink import Batch, StaleSender
from refsystem.settings import EdgeSettings

logger = logging.getLogger(__name__)

IDLE_KITCHEN_S = 0.2
IDLE_UPLINK_S = 0.5
IDLE_DOWNLINK_S = 0.25
NOT_PRIMARY_S = 0.1
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 1.0
TIMEOUT_S = 3.0
DOWNLINK_MAX = 100


class FeedTrouble(Exception):
    """The other side did not answer as agreed."""


class Feeds:
    """The loops of one device: three that rest while it is not primary, and one for a device that breaks the glass."""

    def __init__(
        self,
        settings: EdgeSettings,
        device: Device,
        http: httpx.AsyncClient,
        pump: Callable[[], None],
        now_us: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._device = device
        self._http = http
        self._headers = chain_headers(settings.chain_secret)
        self._pump = pump
        self._now_us = now_us
        self._wakes: dict[FeedName, asyncio.Event] = {"kitchen": asyncio.Event(), "uplink": asyncio.Event()}
        self.cloud_heard_us = now_us()
        self._visible: dict[FeedName, int] = dict.fromkeys(self._wakes, 0)
        self._pacers = {"uplink": Pacer(UPLINK_PACE)} if settings.overload.remedies.paced_drain else {}

    def wake(self) -> None:
        """A feed whose receiver may see more than before does not wait for its next idle round."""
        for name, event in self._wakes.items():
            visible_seq = self._device.feed_visible_seq(name)
            if visible_seq != self._visible[name]:
                self._visible[name] = visible_seq
                event.set()

    async def run_kitchen(self) -> None:
        """Tickets to the kitchen display, bumps from it."""
        await self._run_feed("kitchen", f"{self._settings.kitchen_url}/v1/feed", IDLE_KITCHEN_S)

    async def run_uplink(self) -> None:
        """Committed entries to the cloud."""
        url = f"{self._settings.cloud_url}/v1/stores/{self._settings.store}/uplink"
        await self._run_feed("uplink", url, IDLE_UPLINK_S)

    async def run_downlink(self) -> None:
        """Orders that entered at the cloud, from the cursor on."""
        url = f"{self._settings.cloud_url}/v1/stores/{self._settings.store}/downlink"
        backoff_s = BACKOFF_FIRST_S
        while True:
            question = self._device.downlink_question()
            if question is None:
                self.cloud_heard_us = self._now_us()  # a device that is not primary asks nothing, and misses nothing
                await asyncio.sleep(NOT_PRIMARY_S)
                continue
            try:
                orders, last_number = await self._downlink_orders(url, question.after)
            except (httpx.HTTPError, FeedTrouble) as error:
                backoff_s = await self._back_off("downlink", error, backoff_s)
                continue
            backoff_s = BACKOFF_FIRST_S
            self.cloud_heard_us = self._now_us()
            before = self._device.replica.log.downlink_cursor
            self._device.downlink_answered(question, orders, last_number, wall_ms())
            if orders:
                self._pump()
            if self._device.replica.log.downlink_cursor == before:  # nothing came, or nothing could be taken now
                await asyncio.sleep(IDLE_DOWNLINK_S)

    async def run_branch(self) -> None:
        """What the cloud holds, for a device that breaks the glass: asked until nothing is left to compare (P19)."""
        url = f"{self._settings.cloud_url}/v1/stores/{self._settings.store}/branch"
        backoff_s = BACKOFF_FIRST_S
        while True:
            question = self._device.branch_question()
            if question is None:
                await asyncio.sleep(NOT_PRIMARY_S)
                continue
            try:
                answer = await self._ask_branch(url, question)
            except (httpx.HTTPError, FeedTrouble) as error:
                backoff_s = await self._back_off("branch", error, backoff_s)
                continue
            backoff_s = BACKOFF_FIRST_S
            before = self._device.glass.compared_seq
            self._device.branch_answered(answer, self._now_us())
            self._pump()
            if self._device.glass.compared_seq == before:  # done, or something is in the way
                await asyncio.sleep(IDLE_DOWNLINK_S)

    async def _ask_branch(self, url: str, question: BranchQuestion) -> BranchAnswer | StaleSender:
        answer = await self._http.post(url, json=question_json(question), headers=self._headers, timeout=TIMEOUT_S)
        try:
            if answer.status_code == 200:
                return BranchReply.model_validate_json(answer.content).to_answer()
            if answer.status_code == 409:
                return StaleSender(int(answer.json()["highest_epoch"]))
        except (ValueError, KeyError, TypeError) as error:
            raise FeedTrouble(f"an answer of another form ({type(error).__name__})") from error
        raise FeedTrouble(f"status {answer.status_code}")

    async def _run_feed(self, name: FeedName, url: str, idle_s: float) -> None:
        backoff_s = BACKOFF_FIRST_S
        while True:
            self._wakes[name].clear()
            batch = self._device.feed_batch(name)
            if batch is not None and await self._paced(name, len(batch.entries)):
                batch = self._device.feed_batch(name)
            if batch is None:
                await asyncio.sleep(NOT_PRIMARY_S)
                continue
            try:
                answer = await self._post(url, batch, dict(self._device.refused_acts) if name == "kitchen" else {})
            except (httpx.HTTPError, FeedTrouble) as error:
                backoff_s = await self._back_off(name, error, backoff_s)
                continue
            backoff_s = BACKOFF_FIRST_S
            self._device.feed_answered(name, answer, wall_ms())
            self._pump()
            if not self._more_to_send(name):
                await self._idle(name, idle_s)

    async def _paced(self, name: FeedName, entries: int) -> bool:
        """Wait until so many entries may be sent; False if they may be sent at once."""
        pacer = self._pacers.get(name)
        wait_us = pacer.wait_us(entries, self._now_us()) if pacer is not None else 0
        if wait_us:
            await asyncio.sleep(wait_us / 1e6)
        return wait_us > 0

    def _more_to_send(self, name: FeedName) -> bool:
        batch = self._device.feed_batch(name)
        return batch is not None and bool(batch.entries)

    async def _idle(self, name: FeedName, idle_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(idle_s):
                await self._wakes[name].wait()

    async def _post(self, url: str, batch: Batch, refused: Mapping[str, str]) -> FeedAnswer:
        """Send a batch, and with it what became of acts that were refused."""
        told = {"refused": [{"act_id": act_id, "why": why} for act_id, why in refused.items()]} if refused else {}
        answer = await self._http.post(url, json=batch_json(batch) | told, headers=self._headers, timeout=TIMEOUT_S)
        if answer.status_code not in (200, 409):
            raise FeedTrouble(f"status {answer.status_code}")
        try:
            if answer.status_code == 200:
                for act_id in refused:
                    self._device.refused_acts.pop(act_id, None)
            return _feed_answer(answer.json())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FeedTrouble(f"an answer of another form ({error})") from error

    async def _downlink_orders(self, url: str, after: int) -> tuple[list[DownlinkOrder], int]:
        """The orders behind number `after`, and the last number that the cloud has given."""
        query = {"after": after, "limit": DOWNLINK_MAX}
        answer = await self._http.get(url, params=query, headers=self._headers, timeout=TIMEOUT_S)
        if answer.status_code != 200:
            raise FeedTrouble(f"status {answer.status_code}")
        try:
            said = answer.json()
            return [(int(row["number"]), _sent(row)) for row in said["orders"]], int(said["last_number"])
        except (ValueError, KeyError, TypeError, OrderRejected) as error:
            raise FeedTrouble(f"an answer of another form ({error})") from error

    async def _back_off(self, name: str, error: Exception, backoff_s: float) -> float:
        logger.info("%s: %s %s", name, type(error).__name__, error)
        await asyncio.sleep(backoff_s)
        return min(backoff_s * 2, BACKOFF_MAX_S)


def _feed_answer(body: dict[str, Any]) -> FeedAnswer:
    judgement = body.get("judgement")
    if judgement == "stale-sender":
        return FeedAnswer(highest_epoch=int(body["highest_epoch"]))
    if judgement == "hash-mismatch":
        return FeedAnswer(mismatch=str(body["detail"]))
    if judgement == "gap":
        return FeedAnswer()
    bumps = tuple((str(bump["order_id"]), int(bump["version"]), str(bump["station"])) for bump in body.get("bumps", ()))
    acts: list[StoreAct] = []
    refused: list[tuple[str, str]] = []
    for row in body.get("acts", ()):
        try:
            acts.append(_act(row))
        except OrderRejected as rejection:
            refused.append((str(row["act_id"]), rejection.detail))
    cursor = Cursor(int(body["cursor"]["seq"]), str(body["cursor"]["hash"]))
    return FeedAnswer(cursor, bumps, tuple(acts), tuple(refused))


def _act(row: dict[str, Any]) -> StoreAct:
    """What the kitchen asks for; raises `OrderRejected` for what is no act of a kitchen."""
    act = parse_store_act(parse_id(str(row["act_id"])), str(row["who"]), row["body"])
    if act.name not in KITCHEN_ACTS:
        raise OrderRejected(ACT_INVALID, f"a kitchen may {', '.join(KITCHEN_ACTS)}, not {act.name}")
    return act


def _sent(row: dict[str, Any]) -> Order | PromisedOrder | ReturnRights | SettleRights:
    """What the cloud has sent under one number."""
    if "return_rights" in row:
        return read_fields(ReturnRights, {**row["return_rights"], "number": row["number"]})
    if "settle_rights" in row:
        return read_fields(SettleRights, {**row["settle_rights"], "number": row["number"]})
    order, reserved = _order(row), row.get("reserved")
    return order if reserved is None else PromisedOrder(order, tuple(str(name) for name in reserved))


def _order(row: dict[str, Any]) -> Order:
    items = [{"item_id": item_id, "quantity": quantity} for item_id, quantity in row["items"]]
    return parse_order(str(row["order_id"]), {**row, "items": items})
