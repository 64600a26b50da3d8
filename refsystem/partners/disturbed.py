"""Misbehaviour around a request: its answer is slow, lost or an error; what it asks for is done wholly and once, or not at all.

A party that is to misbehave so has rules of the kinds in `AnswerKind`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol, TypeVar

from fastapi import Request

from refsystem.ordering.errors import OVERLOADED, Problem
from refsystem.problems import ProblemError

AnswerKind = Literal["slow", "timeout_before", "timeout_after", "error_before", "error_after"]
"""slow: waits `ms`. timeout: no answer for `ms` or until the caller leaves. error: 500. before: not executed; after: executed."""
WAITING_MAX = 1000

Result = TypeVar("Result")


class Timed(Protocol):
    """A rule that says how long; in real milliseconds."""

    @property
    def ms(self) -> int:
        """So long."""


class StrikesAnswer(Protocol):
    """The rule of a kind that strikes try `attempt` of an operation, noted as struck; or None."""

    def __call__(self, kind: AnswerKind, operation: str, key: str, attempt: int) -> Timed | None:
        """Look it up."""


class Disturbed:
    """Does requests of one party under its misbehaviour; `stuck` and `failed` are what its callers are told then."""

    def __init__(
        self,
        next_try: Callable[[str, str], int],
        strikes: StrikesAnswer,
        stuck: Problem,
        failed: Problem,
    ) -> None:
        self._next_try = next_try
        self._strikes = strikes
        self._stuck = stuck
        self._failed = failed
        self._waiting = 0

    async def around(self, http: Request, operation: str, key: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """The result of `work`, or what strikes instead of it, before or after it is done. Raises `ProblemError`."""
        if self._waiting >= WAITING_MAX:
            raise ProblemError(OVERLOADED, f"{self._waiting} requests wait here")
        self._waiting += 1
        try:
            attempt = self._next_try(operation, key)
            slow = self._strikes("slow", operation, key, attempt)
            if slow is not None:
                await asyncio.sleep(slow.ms / 1000)
            await self._fail("before", http, operation, key, attempt)
            try:
                result = await work()
            except ProblemError:
                await self._fail("after", http, operation, key, attempt)
                raise
            await self._fail("after", http, operation, key, attempt)
            return result
        finally:
            self._waiting -= 1

    async def _fail(
        self, when: Literal["before", "after"], http: Request, operation: str, key: str, attempt: int
    ) -> None:
        """Give no answer or a wrong one, if that strikes; an answer that is lost so may be a refusal too."""
        silent: AnswerKind = "timeout_before" if when == "before" else "timeout_after"
        wrong: AnswerKind = "error_before" if when == "before" else "error_after"
        rule = self._strikes(silent, operation, key, attempt)
        if rule is not None:
            await _until_left(http, rule.ms / 1000)
            raise ProblemError(self._stuck)
        if self._strikes(wrong, operation, key, attempt) is not None:
            raise ProblemError(self._failed)


async def _until_left(http: Request, seconds: float) -> None:
    """Wait until the caller has closed its connection, or for `seconds`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await http.receive())["type"] != "http.disconnect":
                pass
