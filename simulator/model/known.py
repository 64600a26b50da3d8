"""How well figures are known: the interval of each by what it is, and what is not seen in replications that are all alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.model.figures import BY_NAME, ShareOf, error_column, mean_column, people_column
from simulator.model.intervals import (
    Interval,
    clopper_pearson,
    interval,
    likeness,
    paired,
    paired_shares,
    share_interval,
)

Columns = Mapping[str, Sequence[float | None]]

SIGNED = frozenset({"s/s"})
"""Units of figures that may be below 0."""
BY_EVENING = frozenset({"goodput_least"})
"""Shares that are no share of people: an evening has one, so evenings are all that can be counted."""


def made_of(name: str) -> list[str]:
    """The columns of a replication that a figure's interval is made of, the figure first."""
    figure = BY_NAME.get(name)
    if figure is None or not isinstance(figure.of, ShareOf):
        return [name]
    return [name, people_column(name), mean_column(figure.of.times), error_column(figure.of.times)]


def interval_of(name: str, columns: Columns, first: int | None = None) -> Interval | None:
    """A figure's interval by the `first` replications (None: all); None if none of them had it.

    No end is beyond what can be: figures are not below 0 (but those of `SIGNED`), shares not above 1.
    """
    taken = {column: columns[column][:first] for column in made_of(name)}
    values = [value for value in taken[name] if value is not None]
    if not values:
        return None
    figure = BY_NAME.get(name)
    if figure is None:
        return interval(values)
    if isinstance(figure.of, ShareOf):
        people = [
            count or 0.0
            for value, count in zip(taken[name], taken[people_column(name)], strict=True)
            if value is not None
        ]
        means, errors = taken[mean_column(figure.of.times)], taken[error_column(figure.of.times)]
        both = [
            (mean, error) for mean, error in zip(means, errors, strict=True) if mean is not None and error is not None
        ]
        return share_interval(values, people, likeness([mean for mean, _ in both], [error for _, error in both]))
    if name in BY_EVENING and set(values) in ({0.0}, {1.0}):
        return share_interval(values, [1.0] * len(values), None)
    return interval(values, -math.inf if figure.unit in SIGNED else 0.0, 1.0 if figure.unit == "share" else math.inf)


def difference(name: str, one: Columns, other: Columns) -> Interval | None:
    """The interval of `other - one` over the replications in which both have the figure; None if there are none."""
    both = [(a, b) for a, b in zip(one[name], other[name], strict=False) if a is not None and b is not None]
    if not both:
        return None
    mine, theirs = [a for a, _ in both], [b for _, b in both]
    alone = [found for columns in (one, other) if (found := interval_of(name, columns)) is not None]
    if BY_NAME[name].unit == "share" and len(made_of(name)) > 1:
        return paired_shares(mine, theirs, alone)
    return paired(mine, theirs)


@dataclass(frozen=True, slots=True)
class Unvaried:
    """Shares of people that were 0, or 1, in every replication: others may be otherwise, and have not been seen."""

    figures: Sequence[str]
    replications: int

    @property
    def others_at_most(self) -> float:
        """How many of all replications may be otherwise (Clopper and Pearson's, 95 %)."""
        return clopper_pearson(0, self.replications)[1]

    def __str__(self) -> str:
        return (
            f"{', '.join(self.figures)}: 0 % or 100 % in each of the {self.replications:,} replications; "
            f"still up to {self.others_at_most * 100:.2g} % of all evenings may be otherwise"
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"figures": list(self.figures), "others_at_most": self.others_at_most}


def unvaried(names: Iterable[str], columns: Columns) -> Unvaried | None:
    """Those of these figures; None if there are none, or a single replication."""
    count = len(next(iter(columns.values())))
    found = [name for name in names if len(made_of(name)) > 1 and set(columns[name]) in ({0.0}, {1.0})]
    return Unvaried(found, count) if found and count > 1 else None
