"""The cashier's way out (P16): calls to the payment gateway over HTTP, its callbacks, and acts into the log. Decides nothing.

It works beside the feeds, on the primary only. Where there is no gateway it rests.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx

from refsystem.callback_messages import SIGNATURE_HEADER, is_genuine
from refsystem.clocks import wall_us
from refsystem.gateway_messages import COUPON_TENDERS, GATEWAY_TENDERS, INSTRUMENT_KINDS, answer_of, request_of
from refsystem.ordering.check_acts import Act
from refsystem.ordering.errors import NOT_PRIMARY, OUTCOME_UNKNOWN, OrderRejected, Problem
from refsystem.ordering.payment import PaymentState
from refsystem.protocol.device import Device
from refsystem.protocol.messages import Reply
from refsystem.protocol.payment_calls import PARTNER_OF, Answer, Call, Result
from refsystem.settings import EdgeSettings

logger = logging.getLogger(__name__)

CALLBACK_PATH = "/v1/callbacks/gateway"
ROLE_LOOK_S = 0.25
REGISTER_AGAIN_S = 1.0
REGISTER_TIMEOUT_S = 3.0
LOOK_UP_TIMEOUT_S = 0.6
TIMER_MIN_S = 0.005
TIMER_MAX_S = 1.0
LOST = ("lost", "accepted")

HandIn = Callable[[Act], "asyncio.Future[Reply]"]


def wall_ms() -> int:
    """The wall clock in milliseconds: payments are dated and, where their limits are in hours, timed by it."""
    return wall_us() // 1000


class CashierDesk:
    """Does what one device's cashier says. `hand_in` gives the machine an act; `pump` lets it do what is to be done then."""

    def __init__(self, settings: EdgeSettings, device: Device, hand_in: HandIn, pump: Callable[[], None]) -> None:
        self._settings = settings
        self._device = device
        self._hand_in = hand_in
        self._pump = pump
        self._calls: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._registered_epoch: int | None = None
        self._http = httpx.AsyncClient(trust_env=False, base_url=settings.gateway_url) if settings.gateway_url else None
        self._coupons = (
            httpx.AsyncClient(trust_env=False, base_url=settings.coupon_url) if settings.coupon_url else None
        )

    @property
    def tenders(self) -> frozenset[str]:
        """What this store can settle."""
        by_gateway = GATEWAY_TENDERS if self._http is not None else frozenset()
        by_coupons = COUPON_TENDERS if self._coupons is not None else frozenset()
        return by_gateway | by_coupons | {"cash"}

    def step(self) -> bool:
        """Begin what the cashier wants done now; whether it gave the machine anything."""
        if self._http is None and self._coupons is None:
            return False
        now_ms = wall_ms()
        ready = self._device.cashier_ready(now_ms)
        for call in ready.calls:
            task = asyncio.create_task(self._make(call))
            self._calls.add(task)
            task.add_done_callback(self._on_call_done)
        for act in ready.acts:
            self._hand_in(act).add_done_callback(partial(self._on_reply, act))
        self._set_timer(now_ms)
        return bool(ready.acts)

    async def run_registration(self) -> None:
        """Have the gateway call back here while this device is primary."""
        while True:
            replica = self._device.replica
            if self._http is None or not self._device.is_primary or self._registered_epoch == replica.epoch:
                await asyncio.sleep(ROLE_LOOK_S)
                continue
            epoch, body = replica.epoch, {"url": self._settings.callback_url + CALLBACK_PATH}
            path = f"/v1/merchants/{self._settings.store}/callback"
            try:
                answer = await self._http.put(path, json=body, timeout=REGISTER_TIMEOUT_S)
                answer.raise_for_status()
                self._registered_epoch = epoch
            except httpx.HTTPError as error:
                logger.info("the gateway does not know where to call back: %s", type(error).__name__)
                await asyncio.sleep(REGISTER_AGAIN_S)

    async def called_back(self, signature: str, body: bytes) -> Problem | None:
        """The gateway called: what it says is asked about, not believed. None: taken; else why it has to come again.

        Raises `PermissionError` when it is not the gateway's, `ValueError` when it cannot be read.
        """
        secret = self._settings.gateway_secret
        if secret is None or not is_genuine(secret, signature, body, wall_ms() // 1000):
            raise PermissionError(f"the header {SIGNATURE_HEADER} is not the gateway's signature of this body")
        try:
            said: Any = json.loads(body)
            attempt_id, dispute = str(said["payment"]["attempt_id"]), said.get("dispute")
            dispute_id = None if dispute is None else str(dispute["dispute_id"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no callback of the gateway ({error})") from error
        if not self._device.is_primary:
            return NOT_PRIMARY
        self._device.cashier.hint(attempt_id, wall_ms())
        taken = dispute_id is None or await self._dispute_is_settled(attempt_id, dispute_id)
        self._pump()
        return None if taken else OUTCOME_UNKNOWN

    async def worth(self, tender: str, instrument: str) -> dict[str, Any] | None:
        """What a voucher or a member could pay now: known, used, value_minor; None when the coupon platform does not say."""
        if self._coupons is None:
            return None
        asked = {"kind": INSTRUMENT_KINDS[tender], "instrument": instrument}
        try:
            answer = await self._coupons.get("/v1/instruments", params=asked, timeout=LOOK_UP_TIMEOUT_S)
            answer.raise_for_status()
            said = answer.json()
            return {"known": bool(said["known"]), "used": bool(said["used"]), "value_minor": int(said["value_minor"])}
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            logger.info("the coupon platform does not say what a %s is worth: %s", tender, type(error).__name__)
            return None

    async def stop(self) -> None:
        """End every call; what was under way is asked about by whoever comes next."""
        if self._timer is not None:
            self._timer.cancel()
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        for http in (self._http, self._coupons):
            if http is not None:
                await http.aclose()

    async def _make(self, call: Call) -> None:
        answer = await self._ask(call)
        if answer.result is Result.NO_ANSWER:
            logger.info("the gateway gave no answer to %s: %s", call.op, answer.detail)
        self._device.cashier.answered(call.call_id, answer, wall_ms())
        self._pump()

    async def _ask(self, call: Call) -> Answer:
        http = self._http if PARTNER_OF[call.tender] == "gateway" else self._coupons
        if http is None:
            return Answer(Result.REFUSED, detail=f"nobody settles {call.tender} here")
        request = request_of(call, self._settings.store, self._settings.menu.currency)
        headers = {"Idempotency-Key": request.key} if request.key else None
        try:
            async with asyncio.timeout(call.timeout_ms / 1000):
                answer = await http.request(
                    request.method, request.path, json=request.body, headers=headers, timeout=call.timeout_ms / 1000
                )
            return answer_of(call, answer.status_code, _json(answer))
        except (httpx.HTTPError, TimeoutError) as error:
            return Answer(Result.NO_ANSWER, detail=type(error).__name__)

    async def _dispute_is_settled(self, attempt_id: str, dispute_id: str) -> bool:
        """Whether nothing is left to be done about a dispute: it is not lost, or its loss is committed in the log."""
        assert self._http is not None, "callbacks come where there is a gateway"
        try:
            answer = await self._http.get(f"/v1/disputes/{dispute_id}", timeout=REGISTER_TIMEOUT_S)
            answer.raise_for_status()
            dispute = answer.json()
            if dispute["attempt_id"] != attempt_id or dispute["status"] not in LOST:
                return True
            payment = self._device.book.payment(attempt_id)
        except OrderRejected:
            return True  # the payment is not this store's
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False
        if payment.state is PaymentState.CHARGED_BACK:
            return payment.changed_seq <= self._device.replica.commit_seq
        self._device.cashier.dispute_lost(attempt_id)
        return False

    def _on_call_done(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.result()  # what must never be is raised here, and the loop's handler ends the process

    def _on_reply(self, act: Act, future: asyncio.Future[Reply]) -> None:
        """An act that the rules refuse is told to the cashier; one that was lost on its way is given out again by itself."""
        if future.cancelled() or future.exception() is not None:
            return
        problem = future.result().problem
        if problem is not None and problem.status < 500:
            self._device.cashier.refused(act.act_id, future.result().detail or problem.title, wall_ms())
            self._pump()

    def _set_timer(self, now_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_ms = self._device.cashier.deadline_ms
        if due_ms is not None:
            wait_s = min(TIMER_MAX_S, max(TIMER_MIN_S, (due_ms - now_ms) / 1000))
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._pump)


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
