"""Designs against the first of them: all have the same draws, so a difference is known better than either design by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.model.intervals import Interval
from simulator.model.known import difference
from simulator.sweeps import Point, cells


@dataclass(frozen=True, slots=True)
class Difference:
    """A design, and its figures less those of the first, over the replications that both have."""

    settings: Mapping[str, Any]
    replications: int
    figures: Mapping[str, Interval | None]


def differences(points: Sequence[Point], names: Sequence[str]) -> list[Difference]:
    """Each design but the first (common random numbers, paired by replication)."""
    first, *others = points
    return [
        Difference(
            other.settings,
            min(first.found.replications, other.found.replications),
            {name: difference(name, first.found.values, other.found.values) for name in names},
        )
        for other in others
    ]


def rows(found: Sequence[Difference]) -> Iterator[dict[str, Any]]:
    """One flat row for each, as `sweeps.rows` has one for each design."""
    for each in found:
        row: dict[str, Any] = {**each.settings, "replications": each.replications}
        for name, cell in each.figures.items():
            row |= cells(name, cell)
        yield row
