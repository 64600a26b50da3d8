"""Measures several cases side by side: every case once in each round, in an order that moves on from round to round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from chaos.bench.result import Figure

ROUNDS_MAX = 1000

Measured: TypeAlias = Mapping[str, float]
"""One measurement: what was measured, by name."""

Case: TypeAlias = Callable[[], Measured]


def measure_rounds(
    cases: Mapping[str, Case], rounds: int, units: Mapping[str, str], on_step: Callable[[str], None]
) -> dict[str, dict[str, Figure]]:
    """Every case `rounds` times; the figures by case and quantity.

    `units` gives the unit of each quantity; `on_step` is called with the case's name before each measurement. A case that
    does not measure the same quantities in every round is an error of the benchmark.
    """
    measured: dict[str, list[Measured]] = {name: [] for name in cases}
    for number in range(rounds):
        for name in _moved_on(list(cases), number):
            on_step(name)
            measured[name].append(cases[name]())
    return {name: _figures(values, units) for name, values in measured.items()}


def _moved_on(names: Sequence[str], by: int) -> list[str]:
    """So that no case is always the first one, or always comes after the same time of rest."""
    start = by % len(names)
    return [*names[start:], *names[:start]]


def _figures(rounds: Sequence[Measured], units: Mapping[str, str]) -> dict[str, Figure]:
    names = list(rounds[0])
    assert all(list(each) == names for each in rounds), "every round measures the same"
    return {name: Figure(units[name], tuple(each[name] for each in rounds)) for name in names}
