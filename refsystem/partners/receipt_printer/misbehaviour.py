"""What goes wrong with a printer, on request and drawn from a seed: once for each slip, or for each connection."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from refsystem.partners.draws import draw

Kind = Literal["jam", "paper_out", "hang", "refuse"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RULES_MAX = 32
MS_MAX = 3_600_000


class Rule(BaseModel):
    """One trouble, and how often it strikes."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    kind: Kind = Field(
        description="jam: the cutter, at a slip's end. paper_out: the roll ends within a slip. hang: it is on and does nothing. "
        "refuse: a connection is reset at once."
    )
    share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 1.0
    ms: Annotated[int, Field(ge=1, le=MS_MAX)] | None = Field(
        default=None, description="after so long somebody puts it right; null: when the operator's route is told"
    )
    times: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="strikes so often at most, then no more"
    )


class Plan(BaseModel):
    """All that goes wrong."""

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
    """The plan in force, and how often each kind has struck."""

    def __init__(self, plan: Plan) -> None:
        self.struck: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.set_plan(plan)

    def set_plan(self, plan: Plan) -> None:
        """Do this from now on. What has struck stays counted."""
        self.plan = plan
        self._left = [rule.times for rule in plan.rules]

    def strikes(self, kind: Kind, number: int) -> Rule | None:
        """The rule of this kind that strikes slip or connection `number`, noted as struck; or None."""
        for index, rule in enumerate(self.plan.rules):
            left = self._left[index]
            if rule.kind != kind or left == 0 or draw(self.plan.seed, kind, index, number) >= rule.share:
                continue
            if left is not None:
                self._left[index] = left - 1
            self.struck[kind] += 1
            return rule
        return None
