"""What the delivery platform does wrong, on request. Milliseconds are real ones: they compete with time-outs of networks."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from refsystem.partners.misbehaviour import PlanBase, RuleBase, Strikes
from refsystem.partners.misbehaviour import read_plan as read_any_plan

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
MS_MAX = 600_000


class Rule(RuleBase):
    """One kind of misbehaviour, and how often it strikes."""

    kind: Kind = Field(
        description="slow: waits `ms`, then answers. timeout_before, timeout_after: no answer for `ms` or until the caller "
        "leaves, not executed or executed (an acceptance whose answer is lost). error_before, error_after: 500, not executed "
        "or executed. webhook_twice, webhook_late (by `ms`), webhook_out_of_order (after the next one, or `ms`). "
        "wrong_signature: one try of a webhook is signed wrongly."
    )
    ms: Annotated[int, Field(ge=0, le=MS_MAX, description="real milliseconds, as the kind says")] = 1000
    operations: tuple[Operation, ...] = Field(
        default=(), description="only these; empty: all that it can strike", strict=False
    )

    def concerns(self, names: tuple[str | int, ...]) -> bool:
        """Whether it can strike an operation, which is the first of the names."""
        return not self.operations or names[0] in self.operations


class Plan(PlanBase[Rule]):
    """All that is done wrong. Of several rules of one kind the first that strikes counts."""


WELL_BEHAVED = Plan()


def read_plan(text: str) -> Plan:
    """The plan in a JSON text; raises `ValueError` that names the field."""
    return read_any_plan(text, Plan)


class Misbehaviour(Strikes[Rule]):
    """The platform's plan in force; what strikes is named by operation, key and try."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, KINDS)
