"""The asyncio driver of a device: moves bytes and timers between the machine and the world, and decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NoReturn, cast

import httpx

from refsystem.edge.cashier_desk import CashierDesk, wall_ms
from refsystem.edge.channels import EdgeChannels
from refsystem.edge.feeds import Feeds
from refsystem.edge.journal import Journal
from refsystem.edge.peer_link import PeerLink
from refsystem.edge.platform_desk import PlatformDesk
from refsystem.edge.printing import PrinterDesk
from refsystem.edge.recent_orders import RecentOrders
from refsystem.edge.stock_keeper import StockKeeper
from refsystem.edge.store import EdgeStore
from refsystem.ordering.book import Book
from refsystem.ordering.check import Check
from refsystem.ordering.check_acts import Act
from refsystem.ordering.errors import NOT_CONFIRMED, OUTCOME_UNKNOWN, Problem
from refsystem.ordering.order import Order
from refsystem.ordering.store_acts import StoreAct
from refsystem.overload.layer import make_gate
from refsystem.protocol.break_glass import BreakGlass, GlassStatus
from refsystem.protocol.device import Device
from refsystem.protocol.messages import (
    ArbiterRequest,
    PeerMessage,
    Ready,
    RegisterRead,
    RegisterSwap,
    Reply,
)
from refsystem.protocol.store_views import StoreViews
from refsystem.protocol.wire import WireError, decode_state, encode_request
from refsystem.serving import listening_socket
from refsystem.settings import HOST, EdgeSettings

logger = logging.getLogger(__name__)

FAIL_STOP_EXIT_CODE = 71
ARBITER_TIMEOUT_S = 0.8
ARBITER_REQUESTS_MAX = 8
STALL_US = 150_000
GRACE_S = 0.03
GLASS_PATIENCE_S = 5.0
ROUNDS_MAX = 4


def now_us() -> int:
    """The host's monotonic clock in microseconds."""
    return time.monotonic_ns() // 1000


class Driver:
    """Runs one `Device` on real time, a real disk and real sockets. Raises `OSError` if the peer's port is taken."""

    def __init__(self, settings: EdgeSettings, device: Device, store: EdgeStore) -> None:
        self.settings = settings
        self.device = device
        self.store = store
        self.journal = Journal(store, self._flushed_in_thread)
        self._listener = listening_socket(HOST, settings.peer_port)
        self._peer = PeerLink(settings.peer_host, settings.peer_address_port, self._on_peer)
        self._http = httpx.AsyncClient(trust_env=False, timeout=ARBITER_TIMEOUT_S)
        self._feeds = Feeds(settings, device, self._http, self.pump, now_us)
        self.desk = CashierDesk(settings, device, self._hand_in, self.pump)
        self.printer = PrinterDesk(settings, device, self.pump)
        self.recent = RecentOrders()
        self.channels = EdgeChannels(settings, device, lambda: self._feeds.cloud_heard_us)
        self._platform_desk = PlatformDesk(settings, device, self._http, self._hand_in, self.pump)
        self._glass_stored = asyncio.Event()
        self.gate = make_gate(settings.overload)
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._requests = 0
        self._arbiter_requests: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_us = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = False

    async def start(self) -> None:
        """Open the sockets and let the machine run."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_on_loop_exception)
        self.journal.start()
        await self._peer.listen(self._listener)
        self._spawn(self._peer.keep_connected())
        self._spawn(self._feeds.run_kitchen())
        self._spawn(self._feeds.run_uplink())
        self._spawn(self._feeds.run_downlink())
        self._spawn(self._feeds.run_branch())
        self._spawn(StockKeeper(self.device, self.pump).run())
        self._spawn(self.desk.run_registration())
        self._spawn(self.printer.run())
        self._spawn(self._platform_desk.run())
        self._tick()

    async def stop(self) -> None:
        """End all tasks and flush what waits."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        tasks = [*self._tasks, *self._arbiter_requests]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.desk.stop()
        await self.printer.stop()
        await self._peer.close()
        await self._http.aclose()
        self.journal.stop()
        self.store.close()

    async def submit(self, order: Order) -> Reply:
        """Hand in an order and wait for its answer, which the machine gives within its own limit."""
        request_id, future = self._expect()
        with _fail_stop_on_trouble():
            self.device.submit(request_id, order, now_us())
        self.pump()
        return await _answer(request_id, future, OUTCOME_UNKNOWN)

    async def read(self, order_id: str) -> Reply:
        """Ask for an order and wait for the answer."""
        request_id, future = self._expect()
        with _fail_stop_on_trouble():
            self.device.read(request_id, order_id, now_us())
        self.pump()
        return await _answer(request_id, future, NOT_CONFIRMED)

    async def read_views(self, find: Callable[[StoreViews], Any]) -> Reply:
        """Ask what the kitchen or the stock has and wait for the answer."""
        request_id, future = self._expect()
        with _fail_stop_on_trouble():
            self.device.read_views(request_id, find, now_us())
        self.pump()
        return await _answer(request_id, future, NOT_CONFIRMED)

    async def submit_act(self, act: Act | StoreAct) -> Reply:
        """Hand in an act of a person and wait for its answer."""
        with _fail_stop_on_trouble():
            future = self._hand_in(act)
        request_id = self._requests
        self.pump()
        return await _answer(request_id, future, OUTCOME_UNKNOWN)

    async def read_checks(self, find: Callable[[Book], tuple[Check, ...]]) -> Reply:
        """Ask for checks and wait for the answer."""
        request_id, future = self._expect()
        with _fail_stop_on_trouble():
            self.device.read_checks(request_id, find, now_us())
        self.pump()
        return await _answer(request_id, future, NOT_CONFIRMED)

    async def break_glass(self, word: BreakGlass) -> GlassStatus:
        """Hand in a person's word (P19); how far it has come when it is on the disk, or when that takes too long.

        Raises `BreakGlassRefused`.
        """
        with _fail_stop_on_trouble():
            self.device.break_glass(word, now_us())
        self._glass_stored.clear()
        self.pump()
        if self.device.glass.stage == "storing":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._glass_stored.wait(), GLASS_PATIENCE_S)
        return self.device.glass

    def pump(self) -> None:
        """Do what the machine says is to be done; nothing any more once this driver has been stopped.

        What the cashier then gives the machine is done in another round; what is left after some goes on at its timer.
        """
        if self._ended:
            return
        with _fail_stop_on_trouble():
            for _ in range(ROUNDS_MAX):
                self._do(self.device.take_ready(now_us()))
                if not self.desk.step():
                    break
            if self.device.glass.stage != "storing":
                self._glass_stored.set()
            self._feeds.wake()
            self.printer.wake()
            self._set_timer()

    def _do(self, ready: Ready) -> None:
        self._send(ready.send)
        if ready.needs_flush:
            self.journal.add(ready)
        for reply in ready.replies:
            future = self._waiting.pop(reply.request_id, None)
            if future is not None and not future.done():
                future.set_result(reply)

    def _hand_in(self, act: Act | StoreAct) -> asyncio.Future[Reply]:
        request_id, future = self._expect()
        self.device.submit_act(request_id, act, wall_ms(), now_us())
        return future

    def _expect(self) -> tuple[int, asyncio.Future[Reply]]:
        assert self._loop is not None
        self._requests += 1
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting[self._requests] = future
        return self._requests, future

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        task.add_done_callback(_on_task_done)
        self._tasks.append(task)

    def _send(self, messages: tuple[PeerMessage | ArbiterRequest, ...]) -> None:
        to_peer: list[PeerMessage] = []
        for message in messages:
            if isinstance(message, RegisterRead | RegisterSwap):
                self._ask_arbiter(message)
            else:
                to_peer.append(message)
        self._peer.send(to_peer)

    def _on_peer(self, messages: list[PeerMessage]) -> None:
        with _fail_stop_on_trouble():
            for message in messages:
                self.device.receive(message, now_us())
        self.pump()

    def _ask_arbiter(self, request: ArbiterRequest) -> None:
        if len(self._arbiter_requests) >= ARBITER_REQUESTS_MAX:
            return
        task = asyncio.create_task(self._arbiter_round_trip(request))
        self._arbiter_requests.add(task)
        task.add_done_callback(self._arbiter_requests.discard)

    async def _arbiter_round_trip(self, request: ArbiterRequest) -> None:
        try:
            answer = await self._http.post(f"{self.settings.arbiter_url}/v1/register", content=encode_request(request))
            answer.raise_for_status()
            state = decode_state(answer.content)
        except (httpx.HTTPError, WireError) as error:
            logger.info("the arbiter gave no answer: %s", type(error).__name__)
            return
        with _fail_stop_on_trouble():
            self.device.receive(state, now_us())
        self.pump()

    def _flushed_in_thread(self, group: list[Ready]) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._flushed, group)

    def _flushed(self, group: list[Ready]) -> None:
        with _fail_stop_on_trouble():
            for ready in group:
                self.device.persisted(ready.token, now_us())
                self._send(ready.send_after_persist)
        self.pump()

    def _set_timer(self) -> None:
        assert self._loop is not None
        due_us = self.device.deadline_us()
        if self._timer is not None:
            if due_us >= self._timer_due_us:
                return
            self._timer.cancel()
        self._timer_due_us = due_us
        self._timer = self._loop.call_later(max(0.0, (due_us - now_us()) / 1e6), self._on_timer)

    def _on_timer(self) -> None:
        """Waiting input is read before timers fire (P20): a timer that comes late after a stall gives input time first."""
        assert self._loop is not None
        if now_us() - self._timer_due_us > STALL_US:
            self._timer_due_us = now_us() + int(GRACE_S * 1e6)
            self._timer = self._loop.call_later(GRACE_S, self._on_timer)
            return
        self._tick()

    def _tick(self) -> None:
        self._timer = None
        with _fail_stop_on_trouble():
            self.device.tick(now_us())
        self.pump()


async def _answer(request_id: int, future: asyncio.Future[Reply], otherwise: Problem) -> Reply:
    """The machine's answer. Who still waits when the server has lost its patience at its end is told `otherwise` (P6)."""
    try:
        return await future
    except asyncio.CancelledError:
        return Reply(request_id, otherwise, "this device is being ended")


def _fail_stop(error: BaseException) -> NoReturn:
    """What must never be has been: this process ends before anybody sees more of it. Its disk is as good as its last flush."""
    try:
        logger.critical("this device stops: %s", error, exc_info=error)
    finally:  # also when there is no memory to say why
        os._exit(FAIL_STOP_EXIT_CODE)


@contextlib.contextmanager
def _fail_stop_on_trouble() -> Iterator[None]:
    """A machine that was interrupted half-way, for whatever reason, may not take another step."""
    try:
        yield
    except (AssertionError, MemoryError) as error:
        _fail_stop(error)


def _on_loop_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, AssertionError | MemoryError):
        _fail_stop(error)
    loop.default_exception_handler(context)


def _on_task_done(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _fail_stop(cast(BaseException, task.exception()))
