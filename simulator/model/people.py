"""People as columns: when each comes and what each wants.

Each number is drawn by a key of its own (`draws`), so the columns are the same in both engines and on any number of workers.
Arrivals are a Poisson process of varying rate, by inversion of the cumulated rate (Cinlar).
"""

from __future__ import annotations

import math
from typing import Any

from simulator.baskets import QUANTITY_MEAN
from simulator.diners import POLL_SPREAD
from simulator.model import purposes
from simulator.model.draws import uniform
from simulator.model.laws import LOGNORMAL, NEVER, decay_of, drawn, geometric, ticks
from simulator.model.leaf import leaf
from simulator.model.settings import STATIONS_MAX

(
    AT, THINK, PATIENCE, POLL, DOOR, TAPS, REORDERS, SWITCHES, RETAPS, TENDER, FIRST_EDGE, SEAT, BALKS, SEAT_PATIENCE, DINING,
    PARTY, PICKUP, CANCELS, ITEMS,
) = range(19)  # fmt: skip
COLUMNS = ITEMS + STATIONS_MAX
NO_TENDER = -1
QUANTITY_DECAY = decay_of(QUANTITY_MEAN)
PLAIN, DOUBLE_TAP, TWO_DOORS = range(3)
"""Values of TAPS: which second device sends the same key at once."""


@leaf
def fill(recipe: Any, key: Any, table: Any) -> int:
    """Arrivals and people; returns how many came."""
    reached, count, segment = 0.0, 0, 0
    while count < table.shape[0]:
        reached += -math.log1p(-uniform(key, purposes.ARRIVAL, count, 0))
        share = reached / recipe.expected if recipe.expected > 0.0 else 2.0
        if share >= recipe.curve_area[-1]:
            return count
        while recipe.curve_area[segment + 1] <= share:
            segment += 1
        rate = recipe.curve_rate[segment]
        width = recipe.curve_at[segment + 1] - recipe.curve_at[segment]
        slope = (recipe.curve_rate[segment + 1] - rate) / width
        area = share - recipe.curve_area[segment]
        denominator = rate + math.sqrt(max(0.0, rate * rate + 2.0 * slope * area))
        place = recipe.curve_at[segment] + (2.0 * area / denominator if denominator > 0.0 else 0.0)
        row = table[count]
        draw_person(recipe, key, count, row)
        row[AT] = ticks(recipe.duration * min(place, recipe.curve_at[segment + 1]))
        count += 1
    return count


@leaf
def _place(cumulated: Any, u: float) -> int:
    """The place whose share holds `u`."""
    for place in range(cumulated.shape[0]):
        if u < cumulated[place]:
            return place
    return int(cumulated.shape[0]) - 1


@leaf
def draw_person(recipe: Any, key: Any, number: int, row: Any) -> None:
    """Everything about one diner but the arrival."""
    row[DOOR] = 0
    if recipe.cloud_share > 0.0 and uniform(key, purposes.DOOR, number, 0) < recipe.cloud_share:
        row[DOOR] = 1
    row[TENDER], row[SEAT_PATIENCE], row[DINING] = NO_TENDER, NEVER, 1
    row[SEAT] = 1 if recipe.seats == 1 and row[DOOR] == 0 else 0
    if recipe.orders == 1:
        draw_wishes(recipe, key, number, row)
    if recipe.seats == 1:
        _party(recipe, key, number, row)


@leaf
def draw_wishes(recipe: Any, key: Any, number: int, row: Any) -> None:
    """What a diner orders, and how."""
    u = uniform(key, purposes.THINK, number, 0)
    row[THINK] = ticks(min(4.0 * recipe.think, drawn(recipe.think_shape, recipe.think, recipe.think_spread, u)))
    u = uniform(key, purposes.PATIENCE, number, 0)
    patience = drawn(recipe.patience_shape, recipe.patience, recipe.patience_spread, u)
    row[PATIENCE] = max(1, ticks(min(4.0 * recipe.patience, patience)))
    spread = 1.0 - POLL_SPREAD + 2.0 * POLL_SPREAD * uniform(key, purposes.POLL, number, 0)
    row[POLL] = max(1, ticks(recipe.poll * spread))
    behaviour = uniform(key, purposes.BEHAVIOUR, number, 0)
    row[TAPS], row[REORDERS] = PLAIN, 0
    if behaviour < recipe.double_tap:
        row[TAPS] = DOUBLE_TAP
    elif behaviour < recipe.double_tap + recipe.two_doors:
        row[TAPS] = TWO_DOORS
    elif behaviour < recipe.reorders:
        row[REORDERS] = 1
    row[SWITCHES] = 1 if uniform(key, purposes.SWITCH, number, 0) < recipe.switch_share else 0
    row[RETAPS] = 1 if uniform(key, purposes.RETAP, number, 0) < recipe.retap_share else 0
    if recipe.tenders.shape[0] > 0 and row[DOOR] == 0:
        row[TENDER] = _place(recipe.tenders, uniform(key, purposes.TENDER, number, 0))
    row[FIRST_EDGE] = 1 if uniform(key, purposes.FIRST_EDGE, number, 0) < 0.5 else 0
    row[PICKUP] = 0
    if row[DOOR] == 1 and recipe.ahead_share > 0.0 and uniform(key, purposes.AHEAD, number, 0) < recipe.ahead_share:
        time = drawn(LOGNORMAL, recipe.ahead, recipe.ahead_spread, uniform(key, purposes.PICKUP, number, 0))
        row[PICKUP] = ticks(min(4.0 * recipe.ahead, time))
    lines = geometric(uniform(key, purposes.LINES, number, 0), recipe.lines_decay, recipe.lines_max)
    row[ITEMS:] = 0
    for line in range(lines):
        station = 0
        if recipe.stations.shape[0] > 1:
            station = _place(recipe.stations, uniform(key, purposes.STATION, number, line))
        u = uniform(key, purposes.QUANTITY, number, line)
        row[ITEMS + station] += geometric(u, QUANTITY_DECAY, recipe.quantity_max)
    if recipe.base >= 0:
        row[ITEMS + recipe.base] += 1


@leaf
def _party(recipe: Any, key: Any, number: int, row: Any) -> None:
    """How many sit down together, how long they wait for a table, and how long they stay."""
    if recipe.balk_share > 0.0 and uniform(key, purposes.BALK, number, 0) < recipe.balk_share:
        row[BALKS] = 1
    party = 0
    if recipe.parties.shape[0] > 1:
        party = _place(recipe.parties, uniform(key, purposes.PARTY, number, 0))
    row[PARTY] = party + 1
    if recipe.seat_patience > 0.0:
        u = uniform(key, purposes.SEAT_PATIENCE, number, 0)
        patience = drawn(recipe.seat_patience_shape, recipe.seat_patience, recipe.seat_spread, u)
        row[SEAT_PATIENCE] = max(1, ticks(patience))
    u, mean = uniform(key, purposes.DINING, number, 0), recipe.dining * recipe.party_dining[party]
    row[DINING] = max(1, ticks(drawn(recipe.dining_shape, mean, recipe.dining_spread, u)))
