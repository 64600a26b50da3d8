"""What a party does wrong, on request: the plan in force, which of its rules strike, and how often each kind has.

Each party has rules of its own (`RuleBase`) and a plan of them (`PlanBase`). Whether a rule strikes is drawn from the plan's
seed, the rule and what it is about, so a run can be repeated, and a caller that asks again comes through in the end.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Annotated, Generic, TypeVar

from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from refsystem.partners.draws import draw

RULES_MAX = 32
MS_MAX = 600_000
KEYS_KEPT_MAX = 200_000


class RuleBase(BaseModel):
    """One kind of misbehaviour, and how often it strikes. A party narrows `kind` to those that it knows."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    kind: str
    share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, description="of what it can strike")] = 1.0
    times: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="strikes so often at most, then no more"
    )

    def concerns(self, names: tuple[str | int, ...]) -> bool:
        """Whether it can strike what has these names."""
        return True


class OperationRule(RuleBase):
    """A rule about operations, which are the first of the names. A party narrows `operations` to its own."""

    ms: Annotated[int, Field(ge=0, le=MS_MAX, description="real milliseconds, as the kind says")] = 1000
    operations: tuple[str, ...] = Field(
        default=(), description="only these; empty: all that it can strike", strict=False
    )

    def concerns(self, names: tuple[str | int, ...]) -> bool:
        """Whether it can strike an operation."""
        return not self.operations or names[0] in self.operations


RuleT = TypeVar("RuleT", bound=RuleBase)
PlanT = TypeVar("PlanT", bound=BaseModel)


class PlanBase(BaseModel, Generic[RuleT]):
    """All that is done wrong. Of several rules of one kind the first that strikes counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    rules: Annotated[tuple[RuleT, ...], Field(max_length=RULES_MAX)] = ()


def read_plan(text: str, plan: type[PlanT]) -> PlanT:
    """The `plan` in a JSON text; raises `ValueError` that names the field."""
    try:
        return plan.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(str(part) for part in first['loc']) or 'text'}: {first['msg']}") from error


class Strikes(Generic[RuleT]):
    """The plan in force, how often each of its `kinds` has struck, and how often each request came. Threads may share it."""

    def __init__(self, plan: PlanBase[RuleT], kinds: Iterable[str], counter: Counter) -> None:
        self._counter = counter
        self.struck: dict[str, int] = dict.fromkeys(kinds, 0)
        self._tries: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()
        self.set_plan(plan)

    def set_plan(self, plan: PlanBase[RuleT]) -> None:
        """Do this from now on. What has struck stays counted."""
        with self._lock:
            self.plan = plan
            self._left = [rule.times for rule in plan.rules]

    def next_try(self, operation: str, key: str) -> int:
        """Which time it is that this request comes: 1, 2, …; the oldest keys of very many are forgotten."""
        name = f"{operation} {key}"
        with self._lock:
            number = self._tries.pop(name, 0) + 1
            self._tries[name] = number
            if len(self._tries) > KEYS_KEPT_MAX:
                self._tries.popitem(last=False)
        return number

    def would_strike(self, kind: str, *names: str | int) -> RuleT | None:
        """The rule of this kind that strikes what has these names, or None."""
        found = self._find(kind, names)
        return None if found is None else self.plan.rules[found]

    def strikes(self, kind: str, *names: str | int) -> RuleT | None:
        """As `would_strike`, and it is noted that it has."""
        with self._lock:
            index = self._find(kind, names)
            if index is None:
                return None
            left = self._left[index]
            if left is not None:
                self._left[index] = left - 1
            self.struck[kind] += 1
            self._counter.labels(kind).inc()
            return self.plan.rules[index]

    def _find(self, kind: str, names: tuple[str | int, ...]) -> int | None:
        assert kind in self.struck, f"no kind of this party: {kind}"
        for index, rule in enumerate(self.plan.rules):
            if rule.kind != kind or self._left[index] == 0 or not rule.concerns(names):
                continue
            if draw(self.plan.seed, kind, index, *names) < rule.share:
                return index
        return None
