"""What a diner's device does not to make an overload worse: the clients' side of the remedies in `refsystem.overload`.

- `deadline`: every request says for how long its answer is of use.
- `retry_budget`: a token for each retry. A device may ask again a few times at once, and then only as fast as tokens come.
- `retry_after`: who is told when to come back comes a little later than that, not all at the same moment.
- `paced_drain`: after an outage the devices that lost their connection come back over a longer time.

None is in force unless the plan of the load says so (a scenario with `overload`).
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Collection

from loadtests.contract import Answer, Request

DEADLINE_HEADER = "X-Deadline-Ms"
CLIENT_REMEDIES = ("deadline", "retry_budget", "retry_after", "paced_drain")
TOKENS, TOKENS_PER_S = 2, 0.2
COME_BACK_SPREAD = 0.5
RECONNECT_SPREAD = 3.0


class RetryBudget:
    """A token bucket, full at first. The first asking is free; asking again takes a token."""

    def __init__(self, tokens: int = TOKENS, per_s: float = TOKENS_PER_S) -> None:
        self._most = self._tokens = float(tokens)
        self._per_us = per_s / 1e6
        self._at_us: int | None = None

    def take(self, now_us: int) -> bool:
        """Take a token; False if there is none."""
        if self._at_us is not None:
            self._tokens = min(self._most, self._tokens + max(0, now_us - self._at_us) * self._per_us)
        self._at_us = now_us
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Manners:
    """The remedies of one device."""

    def __init__(self, remedies: Collection[str], draw: random.Random) -> None:
        self._remedies = frozenset(remedies)
        self._draw = draw
        self._budget = RetryBudget() if "retry_budget" in self._remedies else None

    def marked(self, request: Request, useful_us: int) -> Request:
        """The request as it is sent: with its deadline."""
        if "deadline" not in self._remedies:
            return request
        headers = {**request.headers, DEADLINE_HEADER: str(useful_us // 1000)}
        return dataclasses.replace(request, headers=headers)

    def may_ask_again(self, answer: Answer, now_us: int) -> bool:
        """Whether the budget allows it. To be sent on to the primary by another device is no retry."""
        return self._budget is None or (answer.elsewhere and answer.status is not None) or self._budget.take(now_us)

    def pause_ms(self, pause_ms: float, answer: Answer) -> float:
        """How long to wait before asking again, where `pause_ms` would be the least."""
        if answer.status is None:
            return pause_ms * self._spread("paced_drain", RECONNECT_SPREAD)
        if answer.retry_after_ms is not None:
            return pause_ms * self._spread("retry_after", COME_BACK_SPREAD)
        return pause_ms

    def _spread(self, remedy: str, share: float) -> float:
        return self._draw.uniform(1, 1 + share) if remedy in self._remedies else 1.0
