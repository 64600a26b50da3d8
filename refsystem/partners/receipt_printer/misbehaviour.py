"""What goes wrong with a printer, on request and drawn from a seed: once for each slip, or for each connection."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from refsystem.partners.misbehaviour import PlanBase, RuleBase

Kind = Literal["jam", "paper_out", "hang", "refuse"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MS_MAX = 3_600_000


class Rule(RuleBase):
    """One trouble, and how often it strikes."""

    kind: Kind = Field(
        description="jam: the cutter, at a slip's end. paper_out: the roll ends within a slip. hang: it is on and does nothing. "
        "refuse: a connection is reset at once."
    )
    ms: Annotated[int, Field(ge=1, le=MS_MAX)] | None = Field(
        default=None, description="after so long somebody puts it right; null: when the operator's route is told"
    )


class Plan(PlanBase[Rule]):
    """All that goes wrong."""


WELL_BEHAVED = Plan()
