"""Who comes to a store: drawn for one replication from a scenario's recipe, or taken from a drill or a replayed table."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.arrivals import ARRIVALS_MAX, Points
from simulator.baskets import QUANTITY_MEAN
from simulator.diners import PATIENCE_DEVIATION, PICKUP_DEVIATION, THINK_DEVIATION, Diner
from simulator.formats import lines_mean
from simulator.model import purposes
from simulator.model.draws import Key, uniform
from simulator.model.kitchens import base_station, stations_of
from simulator.model.laws import EXPONENTIAL, LOGNORMAL, NEVER, decay_of, drawn, spread_of, ticks
from simulator.model.people import (
    AT,
    CANCELS,
    COLUMNS,
    DINING,
    DOOR,
    DOUBLE_TAP,
    ITEMS,
    NO_TENDER,
    PATIENCE,
    PICKUP,
    PLAIN,
    POLL,
    REORDERS,
    RETAPS,
    SEAT_PATIENCE,
    SWITCHES,
    TAPS,
    TENDER,
    THINK,
    TWO_DOORS,
    draw_person,
    draw_wishes,
    fill,
)
from simulator.model.plan import CARD, SHAPES, TENDERS
from simulator.model.platforms import AT_PLATFORM, in_order, placed_per_store, room_for
from simulator.model.settings import ModelSettings, Seating
from simulator.scenario_model import Scenario, Store

Integers = npt.NDArray[np.int64]
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
        draw_person(recipe, (key.low, key.high), number, row)
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
        draw_wishes(recipe, words, number, row)
        row[TAPS], row[REORDERS], row[SWITCHES], row[RETAPS] = PLAIN, 0, 0, 0
        row[AT] = ticks(recipe.duration * (reached / recipe.placed))
        if uniform(key, purposes.CANCELS, count, 0) < recipe.cancel_share:
            after = drawn(EXPONENTIAL, recipe.cancel_after, 1.0, uniform(key, purposes.CANCELS, count, 1))
            row[CANCELS] = max(1, ticks(after))
        count += 1


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
