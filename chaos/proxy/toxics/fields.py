"""What the attributes of a toxic type are to the API: their names in JSON, their types and their bounds.

A type declares them as the fields of its dataclass. `attribute` gives a field what the annotation does not say.
"""

from __future__ import annotations

import dataclasses
import math
import types
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

INT64_MAX = 2**63 - 1
TEXT_LENGTH_MAX = 100_000
LIST_LENGTH_MAX = 1_000_000

_GO_KINDS: dict[Any, str] = {
    int: "int64",
    float: "float64",
    bool: "bool",
    str: "string",
    tuple[int, ...]: "[]int64",
}


@dataclass(frozen=True, slots=True)
class AttributeField:
    """One attribute: `name` in JSON, `field` in the dataclass, `kind` as Go calls the type.

    A number lies between `low` and `high`. `default` is what it is when it was not given; None: it has no value of its own
    then. `only_if_set`: an attribute that the original does not have on this type, shown only when it is not the default.
    """

    name: str
    field: str
    kind: str
    default: Any
    low: float
    high: float
    only_if_set: bool

    def accepts(self, value: object) -> bool:
        """Whether a JSON value has the right type."""
        match self.kind:
            case "int64":
                return _is_integer(value)
            case "float64":
                return _is_integer(value) or isinstance(value, float)
            case "bool":
                return isinstance(value, bool)
            case "string":
                return isinstance(value, str)
            case _:
                return isinstance(value, list) and all(_is_integer(each) for each in value)

    def value(self, value: Any) -> Any:
        """An accepted JSON value as the dataclass holds it."""
        if self.kind == "[]int64":
            return tuple(value)
        if self.kind != "float64":
            return value
        try:
            return float(value)
        except OverflowError:
            return math.inf

    def check(self, value: Any) -> None:
        """ValueError, in one sentence, if a value of the right type is out of bounds."""
        if value is None or isinstance(value, bool):
            return
        if isinstance(value, int | float):
            self._check_number(value)
        elif isinstance(value, str):
            if len(value) > TEXT_LENGTH_MAX:
                raise ValueError(f"{self.name} must not be longer than {TEXT_LENGTH_MAX} characters")
        elif len(value) > LIST_LENGTH_MAX:
            raise ValueError(f"{self.name} must not hold more than {LIST_LENGTH_MAX} numbers")
        else:
            for each in value:
                self._check_number(each)

    def _check_number(self, value: float) -> None:
        if not self.low <= value <= self.high:
            raise ValueError(f"{self.name} must lie between {_plain(self.low)} and {_plain(self.high)}")


def attribute(
    default: Any,
    *,
    name: str | None = None,
    low: float = 0,
    high: float | None = None,
    only_if_set: bool = False,
) -> Any:
    """A dataclass field that is an attribute with another name or other bounds than usual."""
    facts = {"name": name, "low": low, "high": high, "only_if_set": only_if_set}
    return dataclasses.field(default=default, metadata=facts)


def inner_state() -> Any:
    """A dataclass field that is no attribute: it goes with the toxic, whatever is changed about its attributes."""
    return dataclasses.field(default=None, repr=False, compare=False, metadata={"inner": True})


def attribute_fields(kind: type) -> tuple[AttributeField, ...]:
    """The attributes of a toxic type, in the order in which they are shown."""
    return _fields_of(kind)


@cache
def _fields_of(kind: type) -> tuple[AttributeField, ...]:
    hints = get_type_hints(kind)
    found: list[AttributeField] = []
    for field in dataclasses.fields(kind):
        facts = field.metadata
        if facts.get("inner"):
            continue
        go_kind = _GO_KINDS[_without_none(hints[field.name])]
        high = facts.get("high")
        if high is None:
            high = 1e18 if go_kind == "float64" else INT64_MAX
        found.append(
            AttributeField(
                facts.get("name") or field.name,
                field.name,
                go_kind,
                field.default,
                facts.get("low", 0),
                high,
                facts.get("only_if_set", False),
            )
        )
    return tuple(found)


def _without_none(hint: Any) -> Any:
    """`int` of `int | None`."""
    if isinstance(hint, types.UnionType):
        return next(each for each in get_args(hint) if each is not types.NoneType)
    return hint


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"
