"""A diner's device: it finds the primary by itself and asks again under the same key until the person's patience ends.

It starts at one of the doors. Told "not the primary" it goes to the device that the hint names, or to the other one;
when a device is not to be reached or does not answer in time it goes to the other one, too. Between rounds it waits,
longer each time and jittered, and at least as long as `Retry-After` says. A hop to a hinted primary belongs to its
round, so one ask sends at most `2 * attempts_max` requests. Every request is a row of the history, written before it
is sent.

A hint is followed only to a device that this diner's network knows; so nobody walks around the link that a drill
weakens.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

import gevent

from loadtests.contract import Answer, Door, OrderingApi, Reply, Request, answer_to_trouble
from loadtests.ledger import AttemptRows
from loadtests.plan import Retries, monotonic_us
from loadtests.retry_budget import Manners
from loadtests.wire import Connection
from simulator.history import Kind

NOT_SENT = Answer("fail", problem="patience-ended")
"""The answer when patience ended before anything could be sent; no row of the history tells of it."""


class Device:
    """One diner's device at one door: `base_urls` are the places it may send to, `first` the one it tries first."""

    def __init__(
        self,
        api: OrderingApi,
        door: Door,
        base_urls: Sequence[str],
        first: int,
        retries: Retries,
        attempt_timeout_ms: int,
        draw: random.Random,
        remedies: Collection[str] = (),
    ) -> None:
        assert base_urls, f"the {door} door leads nowhere"
        self.api, self.door = api, door
        self._base_urls = [url.rstrip("/") for url in base_urls]
        self._connections = [Connection(url) for url in self._base_urls]
        self._at = first % len(base_urls)
        self._retries = retries
        self._attempt_timeout_us = attempt_timeout_ms * 1000
        self._draw = draw
        self._manners = Manners(remedies, draw)

    def ask(self, kind: Kind, request: Request, rows: AttemptRows, intended_at_us: int, deadline_us: int) -> Answer:
        """Send `request` until the answer is final, the rounds are used up, or `deadline_us` would pass.

        Returns the last answer. A submission is not sent again when another door or tap was told yes meanwhile.
        """
        answer = NOT_SENT
        for round_number in range(self._retries.attempts_max):
            if round_number and not self._pause(round_number, answer, deadline_us):
                break
            if round_number and kind == "order" and rows.outcome == "ok":
                break
            told = self._round(kind, request, rows, intended_at_us, deadline_us)
            if told is None:
                break
            answer = told
            if not answer.asks_again:
                break
            if answer.elsewhere:
                self._at = (self._at + 1) % len(self._connections)
        return answer

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            connection.close()

    def _round(
        self, kind: Kind, request: Request, rows: AttemptRows, intended_at_us: int, deadline_us: int
    ) -> Answer | None:
        """One attempt, and one more where its hint leads; None if it is too late to send."""
        answer = self._attempt(kind, request, rows, intended_at_us, deadline_us)
        hinted = self._hinted(answer)
        if hinted is None:
            return answer
        self._at = hinted
        return self._attempt(kind, request, rows, intended_at_us, deadline_us) or answer

    def _attempt(
        self, kind: Kind, request: Request, rows: AttemptRows, intended_at_us: int, deadline_us: int
    ) -> Answer | None:
        left_us = deadline_us - monotonic_us()
        if left_us <= 0:
            return None
        row = rows.invoke(kind, intended_at_us)
        timeout_us = min(left_us, self._attempt_timeout_us)
        reply = self._connections[self._at].exchange(self._manners.marked(request, timeout_us), timeout_us)
        told = (
            self.api.answer(kind, row.act_id or row.order_id, reply)
            if isinstance(reply, Reply)
            else answer_to_trouble(reply)
        )
        rows.complete(row, told)
        return told

    def _hinted(self, answer: Answer | None) -> int | None:
        if answer is None or not answer.elsewhere or answer.primary_hint is None:
            return None
        hint = answer.primary_hint.rstrip("/")
        if hint not in self._base_urls or hint == self._base_urls[self._at]:
            return None
        return self._base_urls.index(hint)

    def _pause(self, round_number: int, answer: Answer, deadline_us: int) -> bool:
        """Wait before the next round; False, at once, if the person's patience would end meanwhile, or the budget is used up."""
        if not self._manners.may_ask_again(answer, monotonic_us()):
            return False
        retries = self._retries
        ceiling_ms = min(retries.backoff_max_ms, retries.backoff_ms << (round_number - 1))
        pause_ms = self._draw.uniform(0.5, 1.0) * ceiling_ms
        if answer.retry_after_ms is not None and not answer.elsewhere:
            pause_ms = max(pause_ms, min(answer.retry_after_ms, retries.backoff_max_ms))
        pause_ms = self._manners.pause_ms(pause_ms, answer)
        if monotonic_us() + pause_ms * 1000 >= deadline_us:
            return False
        gevent.sleep(pause_ms / 1000)
        return True
