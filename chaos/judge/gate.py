"""Budgets of a run, how they are overridden from outside (`NAME=VALUE`), and what a verdict means to a shell."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["pass", "fail", "unknown"]

EXIT_CODES: dict[Outcome, int] = {"pass": 0, "fail": 1, "unknown": 3}
"""Exit code of a judging command by verdict; 2 is usage or environment, 130 interrupted."""

_SHARES = ("loss_rate", "late_start_share", "least_goodput_ratio", "late_allowed")
_COUNTS = ("given_up", "late", "refused_after_rc", "least_exposed", "least_acknowledged")
_MAY_BE_NONE = ("loss_rate", "failover_ms_p50", "least_goodput_ratio", "late_budget_ms")


class BudgetError(ValueError):
    """A budget was named or valued wrongly by whoever asked for the judgement."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a run may cost before its gate closes. `None` means that nothing is promised.

    `late_after_s` is in the restaurant's seconds, before the time scale is applied, `late_budget_ms`, if given, in real
    milliseconds instead; `loss_rate`, `late_allowed` (of acknowledged orders, beside `late`) and `late_start_share` are shares
    of 1; the two `least_*` are how many orders must have been at risk, and acknowledged, for the run to say anything.
    """

    loss_rate: float | None = None
    given_up: int = 0
    late: int = 0
    late_after_s: float = 1800.0
    late_budget_ms: float | None = None
    late_allowed: float = 0.0
    refused_after_rc: int = 0
    late_start_share: float = 0.02
    failover_ms_p50: float | None = None
    least_goodput_ratio: float | None = None
    least_exposed: int = 0
    least_acknowledged: int = 0

    def overridden(self, overrides: Mapping[str, float | None]) -> Budgets:
        """These budgets with `overrides` applied; raises `BudgetError` for an unknown name or a value that cannot be."""
        changes: dict[str, Any] = {name: _checked(name, value) for name, value in overrides.items()}
        return dataclasses.replace(self, **changes)


BUDGET_NAMES = tuple(field.name for field in dataclasses.fields(Budgets))


def parse_override(text: str) -> tuple[str, float | None]:
    """The name and value in `NAME=VALUE`; `none` lifts a budget that may be absent. Raises `BudgetError`."""
    name, equals, value = text.partition("=")
    name, value = name.strip(), value.strip()
    if not equals or not name or not value:
        raise BudgetError(f"a budget is given as NAME=VALUE, for instance late=3, not {text!r}")
    if value.lower() == "none":
        return name, _checked(name, None)
    try:
        number = float(value)
    except ValueError:
        raise BudgetError(f"the budget {name} must be a number, not {value!r}") from None
    return name, _checked(name, number)


def exit_code(outcome: Outcome) -> int:
    """The exit code of a judging command that came to this verdict."""
    return EXIT_CODES[outcome]


def _checked(name: str, value: float | None) -> float | None:
    if name not in BUDGET_NAMES:
        raise BudgetError(f"there is no budget {name!r}; the budgets are {', '.join(BUDGET_NAMES)}")
    if value is None:
        if name not in _MAY_BE_NONE:
            raise BudgetError(f"the budget {name} cannot be none")
        return None
    if not math.isfinite(value) or value < 0:
        raise BudgetError(f"the budget {name} must be a number of 0 or more, not {value}")
    if name in _SHARES and value > 1:
        raise BudgetError(f"the budget {name} is a share of 1, not {value}")
    if name == "loss_rate" and value == 0:
        raise BudgetError("no number of orders proves a loss_rate of 0; give a small share such as 0.002")
    if name in _COUNTS:
        if value != int(value):
            raise BudgetError(f"the budget {name} counts orders and must be a whole number, not {value}")
        return int(value)
    return float(value)
