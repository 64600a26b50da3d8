"""Who comes when and wants what, as columns: drawn for one replication, or taken from a drill's timetable or a replayed table.

Each number is drawn by a key of its own (`draws`), so the columns are the same in both engines and on any number of workers.
Arrivals are a Poisson process of varying rate, by inversion of the cumulated rate (Cinlar).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.arrivals import ARRIVALS_MAX, Points
from simulator.baskets import QUANTITY_MEAN
from simulator.diners import PATIENCE_DEVIATION, PICKUP_DEVIATION, POLL_SPREAD, THINK_DEVIATION, Diner
from simulator.formats import lines_mean
from simulator.model import purposes
from simulator.model.draws import Key, uniform
from simulator.model.kitchens import base_station, stations_of
from simulator.model.laws import EXPONENTIAL, LOGNORMAL, NEVER, decay_of, drawn, geometric, spread_of, ticks
from simulator.model.leaf import leaf
from simulator.model.plan import CARD, SHAPES, TENDERS
from simulator.model.platforms import AT_PLATFORM, in_order, placed_per_store, room_for
from simulator.model.settings import STATIONS_MAX, ModelSettings, Seating
from simulator.scenario_model import Scenario, Store

Integers = npt.NDArray[np.int64]

(
    AT, THINK, PATIENCE, POLL, DOOR, TAPS, REORDERS, SWITCHES, RETAPS, TENDER, FIRST_EDGE, SEAT, BALKS, SEAT_PATIENCE, DINING,
    PARTY, PICKUP, CANCELS, ITEMS,
) = range(19)  # fmt: skip
COLUMNS = ITEMS + STATIONS_MAX
NO_TENDER = -1
QUANTITY_DECAY = decay_of(QUANTITY_MEAN)
PLAIN, DOUBLE_TAP, TWO_DOORS = range(3)
"""Values of TAPS: which second device sends the same key at once."""
FIRST_PLACED = 1 << 30
"""Draws about orders at a platform are of entities from here on."""
COMPILED = "simulator.model.compiled.drawing"
"""Where the same is compiled; used when the compiled engine is there anyway."""


class Recipe(NamedTuple):
    """From what the columns are drawn; shares are cumulated."""

    expected: float
    duration: float
    curve_at: npt.NDArray[np.float64]
    curve_rate: npt.NDArray[np.float64]
    curve_area: npt.NDArray[np.float64]
    cloud_share: float
    lines_decay: float
    lines_max: int
    quantity_max: int
    think: float
    think_shape: int
    think_spread: float
    patience: float
    patience_shape: int
    patience_spread: float
    poll: float
    double_tap: float
    two_doors: float
    reorders: float
    switch_share: float
    retap_share: float
    tenders: npt.NDArray[np.float64]
    orders: int
    seats: int
    balk_share: float
    seat_patience: float
    seat_patience_shape: int
    seat_spread: float
    dining: float
    dining_shape: int
    dining_spread: float
    parties: npt.NDArray[np.float64]
    party_dining: npt.NDArray[np.float64]
    stations: npt.NDArray[np.float64]
    base: int
    ahead_share: float
    ahead: float
    ahead_spread: float
    placed: float
    cancel_share: float
    cancel_after: float


def make_recipe(scenario: Scenario, rate_factor: float = 1.0) -> Recipe:
    """From what one store's diners are drawn: its part of all arrivals, `rate_factor` times as many."""
    said, diners = scenario.model or ModelSettings(), scenario.diners
    seating, behaviours = said.seating or Seating(), diners.behaviours
    rest = max(0.0, 1.0 - behaviours.double_tap - behaviours.two_doors)
    at, rate, area = _curve(diners.arrivals.curve)
    expected = diners.arrivals.rate_per_s * scenario.duration_s * rate_factor / len(scenario.stores)
    if expected > ARRIVALS_MAX:
        raise ValueError(f"{expected:.0f} arrivals are more than the {ARRIVALS_MAX} that one timetable may hold")
    scale = 1e6 / scenario.time_scale
    shares = np.array(seating.party_shares) / math.fsum(seating.party_shares)
    sizes = len(seating.party_shares)
    factors = [*seating.party_dining, *[seating.party_dining[-1]] * sizes][:sizes]
    store = scenario.stores[0]  # all stores of a scenario have one format
    kitchen = [station.share for station in stations_of(scenario, store)] or [1.0]
    ahead, delivery = diners.pre_orders, scenario.delivery
    return Recipe(
        expected, scenario.duration_s * 1e6, at, rate, area,
        cloud_share=diners.channels.mini_program,
        lines_decay=decay_of(lines_mean(scenario, QUANTITY_MEAN)),
        lines_max=diners.basket.lines_max,
        quantity_max=diners.basket.quantity_max,
        think=diners.think_s * scale,
        think_shape=SHAPES[said.think_shape],
        think_spread=spread_of(SHAPES[said.think_shape], THINK_DEVIATION),
        patience=diners.patience_s * scale,
        patience_shape=SHAPES[said.patience_shape],
        patience_spread=spread_of(SHAPES[said.patience_shape], PATIENCE_DEVIATION),
        poll=diners.poll_s * scale,
        double_tap=behaviours.double_tap,
        two_doors=behaviours.two_doors,
        reorders=behaviours.double_tap + behaviours.two_doors + rest * behaviours.reorders,
        switch_share=said.impatience.switch_share,
        retap_share=said.impatience.retap_share,
        tenders=_cumulated(_tenders(scenario)),
        orders=int(said.visit == "order"),
        seats=int(said.seating is not None),
        balk_share=seating.balk_share,
        seat_patience=0.0 if seating.patience_shape == "endless" else seating.patience_s * scale,
        seat_patience_shape=0 if seating.patience_shape == "endless" else SHAPES[seating.patience_shape],
        seat_spread=0.0
        if seating.patience_shape == "endless"
        else spread_of(SHAPES[seating.patience_shape], 1.0),
        dining=seating.dining_s * scale,
        dining_shape=SHAPES[seating.dining_shape],
        dining_spread=spread_of(SHAPES[seating.dining_shape], seating.dining_variation),
        parties=_cumulated(shares),
        party_dining=np.array(factors, dtype=np.float64),
        stations=_cumulated(kitchen),
        base=base_station(scenario, store),
        ahead_share=0.0 if ahead is None else ahead.share,
        ahead=0.0 if ahead is None else ahead.ahead_s * scale,
        ahead_spread=spread_of(LOGNORMAL, PICKUP_DEVIATION),
        placed=placed_per_store(scenario) * rate_factor,
        cancel_share=0.0 if delivery is None else delivery.cancel_share,
        cancel_after=0.0 if delivery is None else delivery.cancel_after_s * scale,
    )  # fmt: skip


def draw_timetable(recipe: Recipe, key: Key) -> Integers:
    """The columns of all diners of a replication, by arrival: an array (diners, COLUMNS) of whole numbers, times in ticks."""
    room = int(recipe.expected + 8.0 * math.sqrt(recipe.expected + 1.0) + 50)
    table = np.zeros((room, COLUMNS), dtype=np.int64)
    twin = sys.modules.get(COMPILED)
    filled = fill if twin is None else twin.fill
    count = filled(recipe, (key.low, key.high), table)
    assert count < room, f"{count} arrivals, {recipe.expected:.0f} expected"
    return _with_placed(recipe, key, table[:count].copy())


def timetable_of(
    diners: Sequence[Diner], scenario: Scenario, store: Store, stations: Mapping[str, int], key: Key
) -> Integers:
    """The columns of a drill's diners of this store, with what a drill does not say drawn as in `draw_timetable`.

    `stations` gives the number of the station that makes an item; an item that is not there is made at the first.
    """
    recipe = make_recipe(scenario)
    mine = [diner for diner in diners if diner.store == store.name]
    table = np.zeros((len(mine), COLUMNS), dtype=np.int64)
    for number, diner in enumerate(mine):
        row = table[number]
        _people(recipe, (key.low, key.high), number, row)
        row[AT], row[THINK], row[PATIENCE], row[POLL] = diner.at_us, diner.think_us, diner.patience_us, diner.poll_us
        row[DOOR] = int(diner.channel == "mini_program")
        row[TAPS] = {"double_tap": DOUBLE_TAP, "two_doors": TWO_DOORS}.get(diner.behaviour, PLAIN)
        row[REORDERS] = int(diner.behaviour == "reorders")
        row[TENDER] = NO_TENDER if diner.tender is None else _tender(diner.tender)
        row[ITEMS:] = 0
        row[PICKUP] = diner.pickup_us
        for item_id, quantity in diner.items:
            row[ITEMS + stations.get(item_id, 0)] += quantity
    return _with_placed(recipe, key, table)


def _with_placed(recipe: Recipe, key: Key, people: Integers) -> Integers:
    """The diners, and whoever orders at a delivery platform, if there is one."""
    if recipe.placed <= 0.0:
        return people
    table = np.zeros((room_for(recipe.placed), COLUMNS), dtype=np.int64)
    words, reached, count = (key.low, key.high), 0.0, 0
    while True:
        reached += -math.log1p(-uniform(key, purposes.PLACED, count, 0))
        if reached >= recipe.placed:
            return in_order(people, table[:count])
        row, number = table[count], FIRST_PLACED + count
        row[DOOR], row[TENDER], row[SEAT_PATIENCE], row[DINING], row[CANCELS] = AT_PLATFORM, NO_TENDER, NEVER, 1, NEVER
        _wishes(recipe, words, number, row)
        row[TAPS], row[REORDERS], row[SWITCHES], row[RETAPS] = PLAIN, 0, 0, 0
        row[AT] = ticks(recipe.duration * (reached / recipe.placed))
        if uniform(key, purposes.CANCELS, count, 0) < recipe.cancel_share:
            after = drawn(EXPONENTIAL, recipe.cancel_after, 1.0, uniform(key, purposes.CANCELS, count, 1))
            row[CANCELS] = max(1, ticks(after))
        count += 1


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
        _people(recipe, key, count, row)
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
def _people(recipe: Any, key: Any, number: int, row: Any) -> None:
    """Everything about one diner but the arrival."""
    row[DOOR] = 0
    if recipe.cloud_share > 0.0 and uniform(key, purposes.DOOR, number, 0) < recipe.cloud_share:
        row[DOOR] = 1
    row[TENDER], row[SEAT_PATIENCE], row[DINING] = NO_TENDER, NEVER, 1
    row[SEAT] = 1 if recipe.seats == 1 and row[DOOR] == 0 else 0
    if recipe.orders == 1:
        _wishes(recipe, key, number, row)
    if recipe.seats == 1:
        _party(recipe, key, number, row)


@leaf
def _wishes(recipe: Any, key: Any, number: int, row: Any) -> None:
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


def _curve(points: Points) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Places, rates scaled to a mean of 1, and the area up to each place."""
    curve = [(float(at), float(rate)) for at, rate in points]
    if curve[0][0] > 0:
        curve.insert(0, (0.0, curve[0][1]))
    if curve[-1][0] < 1:
        curve.append((1.0, curve[-1][1]))
    at, rate = np.array([each[0] for each in curve]), np.array([each[1] for each in curve])
    pieces = (rate[1:] + rate[:-1]) / 2 * np.diff(at)
    mean = float(pieces.sum())
    if mean <= 0:
        raise ValueError("a profile needs a rate above 0 somewhere")
    return at, rate / mean, np.concatenate([[0.0], np.cumsum(pieces / mean)])


def _tenders(scenario: Scenario) -> list[float]:
    if scenario.payments is None:
        return []
    shares = {str(tender): share for tender, share in scenario.payments.tenders.shares.items()}
    return [shares[tender] for tender in TENDERS]


def _tender(name: str) -> int:
    """The number of a tender; one that the model does not tell apart goes the way of a card."""
    return TENDERS.index(name) if name in TENDERS else CARD


def _cumulated(shares: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    total = math.fsum(shares)
    return np.cumsum(np.array(shares, dtype=np.float64) / total) if len(shares) else np.zeros(0)
