"""What a schedule must be like: a stored one may come from anywhere, and says in one sentence what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

AT_US_MAX = 60_000_000
AMOUNT_MAX = 10**9
NUMBER_MAX = 10**6
PARTS_MAX = 10_000
STORES_MAX = 8
QUANTITY_MAX = 999
SEED_LIMIT = 2**63
SHOWN_CHARACTERS_MAX = 40

Value = TypeVar("Value")


class ScheduleError(ValueError):
    """The schedule is none that can be run."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high`; or nothing, if `optional`."""

    low: int
    high: int
    optional: bool = False

    def check(self, place: str, value: object) -> None:
        """Raises `ScheduleError`."""
        if value is None and self.optional:
            return
        if type(value) is not int or not self.low <= value <= self.high:
            raise ScheduleError(f"{place} must be a whole number from {self.low} to {self.high}, not {shown(value)}")


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these texts."""

    texts: tuple[str, ...]

    def check(self, place: str, value: object) -> None:
        """Raises `ScheduleError`."""
        if not isinstance(value, str) or value not in self.texts:
            raise ScheduleError(f"{place} must be one of {', '.join(self.texts)}, not {shown(value)}")


Rules = Mapping[str, Whole | OneOf]


def check_fields(place: str, part: object, rules: Rules) -> None:
    """Hold the fields of `part`, which stands at `place`, against `rules`. Raises `ScheduleError`."""
    for name, rule in rules.items():
        rule.check(f"{place}{name}", getattr(part, name))


def build(place: str, part: type[Value], raw: object) -> Value:
    """A `part` of the fields in `raw`. Raises `ScheduleError` for another shape; what the fields hold is not looked at."""
    names = [each.name for each in fields(part)]  # type: ignore[arg-type]
    if not isinstance(raw, Mapping):
        raise ScheduleError(f"{place} must be a JSON object, not {shown(raw)}")
    unknown = [name for name in raw if name not in names]
    if unknown:
        raise ScheduleError(f"{place} has no field {shown(unknown[0])}; its fields are {', '.join(names)}")
    try:
        return part(**raw)
    except TypeError:
        missing = [name for name in names if name not in raw]
        raise ScheduleError(f"{place} lacks the field {missing[0]}") from None


def built(place: str, raw: object, one: Callable[[str, Any], Value]) -> tuple[Value, ...]:
    """The parts of a list, each made by `one`. Raises `ScheduleError`."""
    if not isinstance(raw, list | tuple) or len(raw) > PARTS_MAX:
        raise ScheduleError(f"{place} must be a list of at most {PARTS_MAX} parts, not {shown(raw)}")
    return tuple(one(f"{place}[{number}]", part) for number, part in enumerate(raw))


def shown(value: object) -> str:
    """A value as a sentence can name it: a long one by its beginning."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[:SHOWN_CHARACTERS_MAX]}…"
