"""The studies of the notebooks: scenarios, runs and pictures. A notebook shows; here it is worked out.

Each function takes how much to run, so that a test runs the same study small.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Picture

from simulator.model.draws import make_key, uniform
from simulator.model.engines import DEFAULT_ENGINE, EngineName, engine_of
from simulator.model.plan import make_plan
from simulator.model.records import ABSENT, COMMITTED_0, COMMITTED_1
from simulator.model.replications import Interval, evenings, interval
from simulator.model.timetable import draw_timetable, make_recipe
from simulator.network import BUILT_IN_PROFILES
from simulator.plots import BLUE, ORANGE, draw_lines, picture
from simulator.queueing import MMcM
from simulator.scenario import Scenario, load_scenario, with_changes
from simulator.sweeps import Answer, Point, plan, read_budget, sweep, with_field

HOTPOT = """\
name: hotpot-dinner
title: A hotpot restaurant's dinner of two and a half hours
duration_s: 9000
stores: [{name: s1, tables: 60}]
diners:
  arrivals: {rate_per_s: 0.0115, profile: lunch}
  channels: {qr: 1.0, cashier: 0.0, mini_program: 0.0}
  basket: {lines_mean: 14, lines_max: 40, quantity_max: 2}
  think_s: 300
  poll_s: 300
  polls_max: 3
links: {diner_edge: {profile: store_wifi_good}}
model:
  seating: {dining_s: 5400, dining_variation: 0.28, patience_s: 1800, party_dining: [1.0]}
  kitchen:
    - {name: broth, cooks: 2, setup_s: 90, variation: 0.3, share: 0.1}
    - {name: plating, cooks: 6, setup_s: 60, item_s: 20, variation: 0.3, share: 0.9}
"""
"""[G] Hotpot: 41 parties an hour, 14 items each, a meal of 90 minutes (SD 25)."""

WIFI = """\
name: weak-wifi
title: Orders over one kind of network
duration_s: 300
diners:
  arrivals: {rate_per_s: 2}
  channels: {qr: 1.0, cashier: 0.0, mini_program: 0.0}
  think_s: 5
  patience_s: 60
  polls_max: 0
  attempt_timeout_ms: 2000
  retries: {attempts_max: 6, backoff_ms: 150, backoff_max_ms: 1500}
  behaviours: {double_tap: 0.0, two_doors: 0.0, reorders: 0.0}
"""

NETWORKS = (
    "store_wifi_good", "store_wifi_crowded", "fast_4g", "3g_average", "store_wifi_far_corner", "slow_4g", "edge_lossy",
    "very_bad_network", "gprs",
)  # fmt: skip


def tables_needed(
    tables: Sequence[int], replications: int, engine: EngineName = DEFAULT_ENGINE
) -> tuple[list[Point], Answer]:
    """How waiting falls with tables, and the least number with which at most 5 % of the parties go away waiting."""
    scenario = load_scenario(HOTPOT)
    points = sweep(scenario, {"stores.tables": tables}, engine, replications)
    budgets = [read_budget("reneged<=0.05")]
    return points, plan(
        scenario, "stores.tables", min(tables), max(tables), budgets, engine=engine, replications=replications
    )


def draw_tables(points: Sequence[Point]) -> Picture:
    """Share of parties lost, by the number of tables."""
    places = [float(point.settings["stores.tables"]) for point in points]
    lines = {
        name: [_mean(point.found.interval(figure)) for point in points]
        for name, figure in (("went away waiting", "reneged"),)
    }
    return draw_lines(places, lines, "tables", "share of parties", "Parties that went away, mean and 95 % interval")


def cooks_needed(cooks: Sequence[int], replications: int, engine: EngineName = DEFAULT_ENGINE) -> list[Point]:
    """How the time to the meal falls with cooks at the plating station."""
    return sweep(load_scenario(HOTPOT), {"model.kitchen.plating.cooks": cooks}, engine, replications)


def draw_cooks(points: Sequence[Point]) -> Picture:
    """Median and 95 % quantile of the time to the meal, by the number of cooks."""
    places = [float(point.settings["model.kitchen.plating.cooks"]) for point in points]
    lines = {
        name: [(mean / 60, half / 60) for mean, half in (_mean(point.found.interval(figure)) for point in points)]
        for name, figure in (("median", "meal_p50"), ("95 %", "meal_p95"))
    }
    return draw_lines(
        places, lines, "cooks at plating", "minutes to the meal", "From the order to the meal, mean and 95 % interval"
    )


def steady_abandonment(tables: int) -> float:
    """What Erlang A says for the plateau of the rush, as if it lasted for ever: the share that goes away."""
    return MMcM(1.25 * 0.0115, 1 / 5400, tables, 1 / 1800).leaves


@dataclass(frozen=True, slots=True)
class Lost:
    """What became of the orders over one network: intervals over replications."""

    network: str
    attempts: int
    without_yes: Interval
    unknown: Interval
    answer_p95_s: Interval
    requests: Interval


def order_loss(
    networks: Sequence[str], attempts: Sequence[int], replications: int, engine: EngineName = DEFAULT_ENGINE
) -> list[Lost]:
    """For each network and number of attempts: orders without a yes, and those of them that are in the store all the same."""
    found = []
    for network in networks:
        for most in attempts:
            changes: dict[str, Any] = {
                "links": {"diner_edge": {"profile": network}},
                "diners": {"retries": {"attempts_max": most}},
            }
            found.append(_lost(network, most, with_changes(load_scenario(WIFI), changes), replications, engine))
    return found


def loss_curve(
    losses_percent: Sequence[float], attempts: Sequence[int], replications: int, engine: EngineName = DEFAULT_ENGINE
) -> list[Lost]:
    """As `order_loss`, over the far corner's latency with more and more packets lost, and a device that waits for 1 s."""
    found = []
    for percent in losses_percent:
        for most in attempts:
            link = {"latency_ms": 80, "jitter_ms": 60, "loss_percent": percent}
            changes: dict[str, Any] = {
                "links": {"diner_edge": link},
                "diners": {"retries": {"attempts_max": most}, "attempt_timeout_ms": 1000},
            }
            found.append(_lost(f"{percent:g}", most, with_changes(load_scenario(WIFI), changes), replications, engine))
    return found


def _lost(network: str, most: int, scenario: Scenario, replications: int, engine: EngineName) -> Lost:
    without, unknown, answers, requests = [], [], [], []
    for number, evening in enumerate(evenings(scenario, engine)):
        if number == replications:
            break
        told = evening.column("told") != ABSENT
        in_store = np.concatenate(
            [(run.rows[:, [COMMITTED_0, COMMITTED_1]] != ABSENT).any(axis=1) for run in evening.runs]
        )
        without.append(float((~told).mean()))
        unknown.append(float((~told & in_store).mean()))
        seconds = (evening.column("told") - evening.column("meant"))[told] / 1e6
        answers.append(float(np.quantile(seconds, 0.95)) if len(seconds) else scenario.diners.patience_s)
        requests.append(float(evening.column("attempts").mean()))
    return Lost(network, most, interval(without), interval(unknown), interval(answers), interval(requests))


def draw_networks(found: Sequence[Lost]) -> Picture:
    """How long the slowest twentieth of the answers takes, by network."""
    made, (axis,) = picture(height=3.4)
    places = np.arange(len(found))[::-1]
    seconds, bars = [each.answer_p95_s.mean for each in found], [each.answer_p95_s.half_width or 0.0 for each in found]
    axis.barh(places, seconds, xerr=bars, color=BLUE, capsize=2, error_kw={"linewidth": 1})
    axis.set_yticks(places, [_network(each.network) for each in found], fontsize=8)
    axis.grid(axis="y", visible=False)
    axis.grid(axis="x", color="#e4e6ea", linewidth=0.8)
    axis.set_xlabel("seconds from the order to its yes, 95 % quantile (mean and 95 % interval)")
    axis.set_title("What a weak network costs in time", fontsize=10)
    return made


def _network(name: str) -> str:
    profile = BUILT_IN_PROFILES[name]
    lost = f", {profile.loss_percent:g} % lost" if profile.loss_percent else ""
    return f"{name} ({profile.round_trip_ms:g} ms{lost})"


def draw_loss_curve(found: Sequence[Lost]) -> Picture:
    """Orders without a yes by packet loss, for each number of attempts."""
    attempts = list(dict.fromkeys(each.attempts for each in found))
    places = list(dict.fromkeys(float(each.network) for each in found))
    lines = {
        ("1 attempt" if most == 1 else f"up to {most} attempts"): [
            (100 * each.without_yes.mean, 100 * (each.without_yes.half_width or 0.0))
            for each in found
            if each.attempts == most
        ]
        for most in attempts
    }
    title = "Far corner of the dining room: orders without a yes (mean and 95 % interval)"
    return draw_lines(places, lines, "packets lost, %", "orders without a yes, %", title)


@dataclass(frozen=True)
class Chain:
    """One dinner of many stores. `demand` (guests a table, of a 60-table house's), `waits` in minutes and `reneged` are by store;
    `orders` by minute, all stores together."""

    stores: int
    wall_s: float
    parties: int
    demand: npt.NDArray[np.float64]
    waits: npt.NDArray[np.float64]
    reneged: npt.NDArray[np.float64]
    orders: npt.NDArray[np.float64]


def run_chain(stores: int, engine: EngineName = DEFAULT_ENGINE, seed: int = 1) -> Chain:
    """One dinner of each store: from 30 to 90 tables, and guests for 75 % to 115 % of what a 60-table house takes a table."""
    base, run = load_scenario(HOTPOT), engine_of(engine)
    key = make_key(seed, "chain")
    tables = np.array([30 + int(61 * uniform(key, 1, number, 0)) for number in range(stores)], dtype=np.int64)
    plans = {
        size: make_plan(with_field(base, "stores.tables", size)) for size in sorted({int(each) for each in tables})
    }
    demand = np.array([0.75 + 0.4 * uniform(key, 2, number, 0) for number in range(stores)])
    waits, reneged, parties = np.zeros(stores), np.zeros(stores), 0
    minutes = math.ceil(base.duration_s / 60) + 60
    orders = np.zeros(minutes)
    begin = time.perf_counter()
    for number in range(stores):
        factor = float(demand[number] * tables[number]) / 60
        own = make_key(seed, f"store {number}")
        found = run(plans[int(tables[number])], draw_timetable(make_recipe(base, factor), own), own)
        at, seated = found.column("at"), found.column("seated")
        here = seated != ABSENT
        parties += len(at)
        waits[number] = float((seated - at)[here].mean() / 60e6) if here.any() else 0.0
        reneged[number] = float((~here).mean()) if len(here) else 0.0
        committed = np.concatenate([found.column("committed_0"), found.column("committed_1")])
        minute = committed[committed != ABSENT] // 60_000_000
        orders += np.bincount(np.minimum(minute, minutes - 1), minlength=minutes)
    return Chain(stores, time.perf_counter() - begin, parties, demand, waits, reneged, orders)


def draw_chain(chain: Chain) -> Picture:
    """Orders of the whole chain over the evening, and how the stores differ."""
    made, (orders, stores) = picture(2, height=2.9)
    minutes = np.arange(len(chain.orders))
    band = 1.96 * np.sqrt(chain.orders)
    orders.fill_between(
        minutes, (chain.orders - band) / 60, (chain.orders + band) / 60, color=BLUE, alpha=0.25, linewidth=0
    )
    orders.plot(minutes, chain.orders / 60, color=BLUE, linewidth=1)
    orders.set_ylabel("orders a second")
    orders.set_xlabel("minute of the dinner")
    orders.set_title(f"{chain.stores:,} stores together (band: 95 % for a Poisson count)", fontsize=10)
    stores.scatter(100 * chain.demand, chain.waits, s=5, color=ORANGE, alpha=0.4, linewidths=0)
    stores.set_xlabel("guests a table, % of the 60-table house's")
    stores.set_ylabel("mean wait for a table, minutes")
    stores.set_title("Each dot is one store's evening", fontsize=10)
    return made


def chain_intervals(chain: Chain) -> dict[str, Interval]:
    """Means over stores with 95 % intervals."""
    return {
        "mean wait for a table, minutes": interval(chain.waits.tolist()),
        "share of parties that went away waiting": interval(chain.reneged.tolist()),
        "share of stores with a mean wait over 10 minutes": interval((chain.waits > 10).astype(float).tolist()),
    }


def peak_orders(chain: Chain) -> tuple[int, float]:
    """The busiest minute and its orders a second."""
    minute = int(np.argmax(chain.orders))
    return minute, float(chain.orders[minute] / 60)


def _mean(found: Interval | None) -> tuple[float, float]:
    assert found is not None, "every party has this figure"
    return found.mean, found.half_width or 0.0
