"""What a soak is to do: for how long, with which seeds, on what budget, and what it keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

Keep = Literal["failing", "not-passing", "all"]
KEEPS: tuple[Keep, ...] = ("failing", "not-passing", "all")

_LENGTH = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_SIZES = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(KB|MB|GB|TB)", re.IGNORECASE)


class SoakPlanError(ValueError):
    """A length or a budget cannot be understood: one sentence."""


@dataclass(frozen=True, slots=True)
class SoakBudget:
    """A soak ends at so many failures or unknown drills, or when what it keeps takes so much of the disk."""

    failures: int = 3
    unknowns: int = 20
    disk_bytes: int = 2 * 10**9


@dataclass(frozen=True, slots=True)
class SoakPlan:
    """One soak on the scenario `base`, which `source` names or whose file it is. `for_s` or `seeds_max` may be None."""

    base: str
    source: str
    first_seed: int
    folder: Path
    for_s: float | None = None
    seeds_max: int | None = None
    budget: SoakBudget = SoakBudget()
    keep: Keep = "not-passing"
    retries: int = 0


def parse_length(text: str) -> float:
    """Seconds in a length such as `2h`, `1h30m`, `90s`. Raises `SoakPlanError`."""
    found = _LENGTH.fullmatch(text.strip().lower())
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    length_s = hours * 3600 + minutes * 60 + seconds
    if not length_s:
        raise SoakPlanError(f"{text!r} is no length of time; write 2h, 1h30m, 45m or 90s")
    return float(length_s)


def parse_budget(text: str) -> SoakBudget:
    """A budget such as `failures=1,unknowns=5,disk=500MB`; what is not named stays at its default. Raises `SoakPlanError`."""
    budget = SoakBudget()
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if name not in ("failures", "unknowns", "disk") or not equals:
            raise SoakPlanError(f"{part.strip()!r} is no budget; write failures=3, unknowns=20 or disk=2GB")
        change = {"disk_bytes": _size(value)} if name == "disk" else {name: _number(name, value)}
        budget = replace(budget, **change)
    return budget


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):
        raise SoakPlanError(f"the budget {name} must be a whole number of 1 or more, not {text!r}")
    return int(text)


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None or float(found[1]) <= 0:
        raise SoakPlanError(f"the budget disk must be a size such as 500MB or 2GB, not {text!r}")
    return int(float(found[1]) * _SIZES[found[2].upper()])
