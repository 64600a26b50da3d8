"""Posts what is in an outbox: signed, at least once, again with back-off until it is taken or there were too many tries."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import httpx
from prometheus_client import Counter

from refsystem.callback_messages import SIGNATURE_HEADER, sign
from refsystem.partners.due_loop import DueLoop
from refsystem.partners.host_time import now_us
from refsystem.partners.misbehaviour import OperationRule
from refsystem.partners.outbox import DuePost, Outbox, Posting

BACK_OFF_MIN_US = 50_000
"""No time scale makes a receiver that is down be asked more often than that."""
ANSWER_TIMEOUT_S = 5.0
AT_ONCE_MAX = 16

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class RunsOnOutbox(Protocol):
    """Does `work` in the thread of the party's database; raises `ProblemError` if that fails."""

    def __call__(self, work: Callable[[Outbox], Result], /) -> Awaitable[Result]:
        """Do it."""


class StrikesPost(Protocol):
    """The rule of a kind that strikes the post of an event, noted as struck; or None."""

    def __call__(self, kind: str, operation: str, key: str, /) -> OperationRule | None:
        """Look it up."""


class OutboxSender:
    """Sends what is due, some at a time. `secret` is what a post is signed with, `again_after_us` None for no more tries."""

    def __init__(
        self,
        run: RunsOnOutbox,
        secret: Callable[[DuePost], bytes],
        again_after_us: Callable[[DuePost], int | None],
        counter: Counter,
    ) -> None:
        self._run = run
        self._secret = secret
        self._again_after_us = again_after_us
        self._sent = counter
        self._http: httpx.AsyncClient | None = None
        self._loop = DueLoop(self._send_due)

    def start(self) -> None:
        """Begin."""
        self._http = httpx.AsyncClient(trust_env=False, timeout=ANSWER_TIMEOUT_S)
        self._loop.start()

    def wake(self) -> None:
        """Something may have been put into the outbox."""
        self._loop.wake()

    async def stop(self) -> None:
        """End; what was not taken stays due."""
        await self._loop.stop()
        if self._http is not None:
            await self._http.aclose()

    async def _send_due(self) -> int | None:
        due = await self._run(lambda outbox: outbox.due(now_us(), AT_ONCE_MAX))
        await asyncio.gather(*(self._send(post) for post in due))
        return await self._run(lambda outbox: outbox.next_us())

    async def _send(self, post: DuePost) -> None:
        assert self._http is not None, "it was started"
        body = post.body.encode()
        signature = sign(self._secret(post), int(time.time()), body)
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: signature}
        status: int | None = None
        with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, ValueError):
            status = (await self._http.post(post.url, content=body, headers=headers)).status_code
        if status is not None and 200 <= status < 300:
            taken = status
            await self._run(lambda outbox: outbox.note_delivery(post.number, taken, now_us()))
            self._sent.labels("taken").inc()
            return
        self._sent.labels("not_taken").inc()
        wait_us = self._again_after_us(post)
        due_us = None if wait_us is None else now_us() + max(BACK_OFF_MIN_US, wait_us)
        if due_us is None:
            self._sent.labels("given_up").inc()
            logger.warning("a post was given up after %d tries", post.tries + 1)
        await self._run(lambda outbox: outbox.note_failure(post.number, status, due_us))


def drawn_posting(post: str, event_id: str, strikes: StrikesPost) -> Posting:
    """How the post of an event is sent, by the kinds `<post>_twice`, `_late` and `_out_of_order`."""
    twice = strikes(f"{post}_twice", post, event_id)
    late = strikes(f"{post}_late", post, event_id)
    held = strikes(f"{post}_out_of_order", post, event_id)
    late_ms = max((rule.ms for rule in (late, held) if rule is not None), default=0)
    return Posting(2 if twice else 1, late_ms * 1000, held is not None and late is None)
