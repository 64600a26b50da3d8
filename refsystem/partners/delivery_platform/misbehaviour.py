"""What the delivery platform does wrong, on request. Milliseconds are real ones: they compete with time-outs of networks."""

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
    "webhook_twice",
    "webhook_late",
    "webhook_out_of_order",
    "wrong_signature",
]
Operation = Literal["acceptance", "channel", "stock", "list", "webhook"]
KINDS: tuple[Kind, ...] = get_args(Kind)
OPERATIONS: tuple[Operation, ...] = get_args(Operation)


class Rule(OperationRule):
    """One kind of misbehaviour, and how often it strikes."""

    kind: Kind = Field(
        description="slow: waits `ms`, then answers. timeout_before, timeout_after: no answer for `ms` or until the caller "
        "leaves, not executed or executed (an acceptance whose answer is lost). error_before, error_after: 500, not executed "
        "or executed. webhook_twice, webhook_late (by `ms`), webhook_out_of_order (after the next one, or `ms`). "
        "wrong_signature: one try of a webhook is signed wrongly."
    )
    operations: tuple[Operation, ...] = Field(
        default=(), description="only these; empty: all that it can strike", strict=False
    )


class Plan(PlanBase[Rule]):
    """All that is done wrong. Of several rules of one kind the first that strikes counts."""


WELL_BEHAVED = Plan()
