"""The rule that ends automatic replications: all figures that the scenario is about are known well enough.

It looks at one replication after the other in their order. A figure is known when its interval is narrow against its mean, or
so narrow that nobody would decide otherwise: half a percentage point of a share, a thousandth of the patience of those who
wait for a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from simulator.batches.series import Values
from simulator.model.figures import BY_NAME
from simulator.model.intervals import Interval
from simulator.model.known import interval_of, made_of
from simulator.model.settings import ModelSettings
from simulator.scenario_model import Scenario

AT_LEAST = 10
AT_MOST = 1_000
PRECISION = 0.05
"""Automatic replications end when each watched figure is known to this part of itself."""
ROUND = 10
"""Automatic replications are worked out so many at a time, or more where the figures are far from known."""
SHARE_FLOOR = 0.005
PATIENCE_FLOOR = 0.001


def watched_of(scenario: Scenario) -> tuple[str, ...]:
    """The figures that a scenario is about: answers, and tables, stations and a platform where there are any."""
    said = scenario.model or ModelSettings()
    orders = said.visit == "order"
    names = ["told_yes", "answer_p95"] if orders else []
    if said.seating is not None:
        names += ["table_wait", "reneged"]
    if orders and (said.kitchen or any(store.format is not None for store in scenario.stores)):
        names.append("meal_p95")
    if scenario.delivery is not None:
        names.append("platform_late")
    return tuple(names)


def judge(
    units: list[Values], latest: int, scenario: Scenario, watched: Sequence[str], precision: float, at_most: int
) -> tuple[list[Values], int]:
    """Those up to the first at which every watched figure is known, one after the other; and how many are wanted next.

    A figure that no replication has is not waited for. `latest`: how many of the units were not judged before.
    """
    kept = dict.fromkeys(column for name in watched for column in made_of(name))
    columns = {name: [cast("float | None", unit[name]) for unit in units] for name in kept}
    floors = {name: floor_of(scenario, name) for name in watched}
    needed = len(units)
    for number in range(max(AT_LEAST, len(units) - latest + 1), len(units) + 1):
        known = ((interval_of(name, columns, number), floors[name]) for name in watched)
        found = [(each, floor) for each, floor in known if each is not None]
        if all(each.is_narrow(precision, floor) for each, floor in found):
            return units[:number], number
        needed = max(_needed(each, precision, floor) for each, floor in found)
    return units, min(at_most, max(len(units) + ROUND, min(2 * len(units), needed)))


def floor_of(scenario: Scenario, name: str) -> float:
    """Half of an interval within which the figure is known, however small it is itself."""
    if name in BY_NAME and BY_NAME[name].unit == "share":
        return SHARE_FLOOR
    seating = (scenario.model or ModelSettings()).seating
    if name == "table_wait" and seating is not None:
        return PATIENCE_FLOOR * scenario.scaled_us(seating.patience_s) / 1e6
    return 0.0


def shortfall(scenario: Scenario, name: str, found: Interval | None, precision: float) -> str | None:
    """How far a figure is from known, as a sentence; None: it is known."""
    if found is None:
        return f"nobody had {name}, so nothing is known of it"
    if found.is_narrow(precision, floor_of(scenario, name)):
        return None
    if found.half_width is None or found.half_width >= abs(found.mean):
        return f"{name} is not known: its interval reaches 0; {precision:g} of itself was wanted"
    part = found.half_width / (abs(found.mean) - found.half_width)
    return f"{name} is known to {part:.2g} of itself only; {precision:g} was wanted"


def _needed(found: Interval, precision: float, floor: float) -> int:
    """How many values would be enough, if they went on like these: an interval narrows with the root of their number."""
    aim = max(floor, precision / (1 + precision) * abs(found.mean))
    if found.half_width is None or aim == 0:
        return 2 * found.values
    return math.ceil(min(float(AT_MOST), found.values * (found.half_width / aim) ** 2))
