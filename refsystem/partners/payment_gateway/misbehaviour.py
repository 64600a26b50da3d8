"""What the gateway does wrong, on request: which rules there are, and which of them strike a request.

Milliseconds here are real ones: they compete with time-outs of networks, which no time scale touches.
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from refsystem.partners.misbehaviour import OperationRule, PlanBase

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


class Rule(OperationRule):
    """One kind of misbehaviour, and how often it strikes."""

    kind: Kind = Field(
        description="slow: waits `ms`, then answers. timeout_before, timeout_after: no answer for `ms` or until the "
        "caller leaves, not executed or executed. error_before, error_after: 500, not executed or executed. "
        "declined: the payment is declined. unconfirmed: the diner never confirms a wallet payment. "
        "unknown: for `ms` after a payment was made, a query does not find it. "
        "callback_twice, callback_late (by `ms`), callback_out_of_order (after the merchant's next one, or `ms`)."
    )
    operations: tuple[Operation, ...] = Field(
        default=(), description="only these; empty: all that it can strike", strict=False
    )


class Plan(PlanBase[Rule]):
    """All that is done wrong. Of several rules of one kind the first that strikes counts."""


WELL_BEHAVED = Plan()
