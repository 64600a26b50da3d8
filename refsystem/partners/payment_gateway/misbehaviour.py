"""What the gateway does wrong, on request: which rules there are, and which of them strike a request.

Whether a rule strikes is drawn from its seed, what is done and which try it is, so a run can be repeated, and a caller that asks
again comes through in the end. Milliseconds here are real ones: they compete with time-outs of networks, which no time scale
touches.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from refsystem.partners.draws import draw

Kind = Literal[
    "slow",
    "timeout_before",
    "timeout_after",
    "error_before",
    "error_after",
    "declined",
    "unconfirmed",
    "unknown",
    "callback_twice",
    "callback_late",
    "callback_out_of_order",
]
Operation = Literal[
    "authorize",
    "stored_authorize",
    "capture",
    "sale",
    "query",
    "reverse",
    "refund",
    "split",
    "split_return",
    "dispute",
    "dispute_answer",
    "dispute_ruling",
    "callback",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
RULES_MAX = 32
MS_MAX = 600_000
KEYS_KEPT_MAX = 200_000


class Rule(BaseModel):
    """One kind of misbehaviour, and how often it strikes."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    kind: Kind = Field(
        description="slow: waits `ms`, then answers. timeout_before, timeout_after: no answer for `ms` or until the "
        "caller leaves, not executed or executed. error_before, error_after: 500, not executed or executed. "
        "declined: the payment is declined. unconfirmed: the diner never confirms a wallet payment. "
        "unknown: for `ms` after a payment was made, a query does not find it. "
        "callback_twice, callback_late (by `ms`), callback_out_of_order (after the merchant's next one, or `ms`)."
    )
    share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, description="of what it can strike")] = 1.0
    ms: Annotated[int, Field(ge=0, le=MS_MAX, description="real milliseconds, as the kind says")] = 1000
    operations: tuple[Operation, ...] = Field(
        default=(), description="only these; empty: all that it can strike", strict=False
    )
    times: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="strikes so often at most, then no more"
    )


class Plan(BaseModel):
    """All that is done wrong. Of several rules of one kind the first that strikes counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    rules: Annotated[tuple[Rule, ...], Field(max_length=RULES_MAX)] = ()


WELL_BEHAVED = Plan()


def read_plan(text: str) -> Plan:
    """The plan in a JSON text; raises `ValueError` that names the field."""
    try:
        return Plan.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(str(part) for part in first['loc']) or 'text'}: {first['msg']}") from error


class Misbehaviour:
    """The plan in force, how often each kind has struck, and how often each request came. Threads may share it."""

    def __init__(self, plan: Plan) -> None:
        self.struck: dict[str, int] = dict.fromkeys(KINDS, 0)
        self._tries: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()
        self.set_plan(plan)

    def set_plan(self, plan: Plan) -> None:
        """Do this from now on. What has struck stays counted."""
        with self._lock:
            self.plan = plan
            self._left = [rule.times for rule in plan.rules]

    def next_try(self, operation: Operation, key: str) -> int:
        """Which time it is that this request comes: 1, 2, …; the oldest keys of very many are forgotten."""
        name = f"{operation} {key}"
        with self._lock:
            number = self._tries.pop(name, 0) + 1
            self._tries[name] = number
            if len(self._tries) > KEYS_KEPT_MAX:
                self._tries.popitem(last=False)
        return number

    def would_strike(self, kind: Kind, operation: Operation, key: str, attempt: int = 0) -> Rule | None:
        """The rule of this kind that strikes try number `attempt` of `key` (0: its one and only), or None."""
        found = self._find(kind, operation, key, attempt)
        return None if found is None else self.plan.rules[found]

    def strikes(self, kind: Kind, operation: Operation, key: str, attempt: int = 0) -> Rule | None:
        """As `would_strike`, and it is noted that it has."""
        with self._lock:
            index = self._find(kind, operation, key, attempt)
            if index is None:
                return None
            left = self._left[index]
            if left is not None:
                self._left[index] = left - 1
            self.struck[kind] += 1
            return self.plan.rules[index]

    def _find(self, kind: Kind, operation: Operation, key: str, attempt: int) -> int | None:
        for index, rule in enumerate(self.plan.rules):
            if rule.kind != kind or self._left[index] == 0:
                continue
            if rule.operations and operation not in rule.operations:
                continue
            if draw(self.plan.seed, kind, index, operation, key, attempt) < rule.share:
                return index
        return None
