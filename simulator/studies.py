"""The studies of the notebooks: scenarios and runs. A notebook shows; here it is worked out, and `study_views` makes it seen.

Each function takes how much to run, so that a test runs the same study small.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.batches.runner import Runner, Stretch
from simulator.chain import Dinners
from simulator.estimates import NORMAL, Estimate, Share, Span, quantile, scaled
from simulator.model.engines import DEFAULT_ENGINE, EngineName
from simulator.model.records import ABSENT, COMMITTED_0, COMMITTED_1
from simulator.model.replications import Interval, evenings, interval
from simulator.model.timetable import make_recipe
from simulator.queueing import MMcM
from simulator.scenario import Scenario, load_scenario, with_changes
from simulator.sweeps import Answer, Point, plan, read_budget, sweep

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
"""[G] 41 parties an hour, 14 items each, a meal of 90 minutes (SD 25), cooks of 3 to 5 minutes; patience is the model's own."""
RENEGED_MOST = 0.05
"""How many of the parties may go away waiting, on average."""

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
    "gprs", "very_bad_network",
)  # fmt: skip


def amount(full: Any, small: Any) -> Any:
    """How much a notebook runs: in full, or as little as a test wants (`RUSHPROOF_NOTEBOOKS=small`)."""
    return small if os.environ.get("RUSHPROOF_NOTEBOOKS") == "small" else full


@dataclass(frozen=True, slots=True)
class Needed:
    """The least number of tables that keeps the budget on average, with its 95 % interval.

    Fewer than `low` tables certainly lose more than `RENEGED_MOST` (their whole interval lies above it), `high` tables certainly
    do not; each end is wrong in one of 40 cases. `points`: the designs asked for, and those in the interval.
    """

    points: Sequence[Point]
    tables: Estimate
    tried: Sequence[int]


def tables_needed(tables: Sequence[int], replications: int, engine: EngineName = DEFAULT_ENGINE) -> Needed:
    """How waiting falls with tables, and how many it takes until at most `RENEGED_MOST` go away waiting."""
    scenario = load_scenario(HOTPOT)

    def searched(sign: str, *, most: bool) -> Answer:
        budgets = [read_budget(f"reneged{sign}{RENEGED_MOST}")]
        ends = min(tables), max(tables)
        return plan(scenario, "stores.tables", *ends, budgets, most=most, engine=engine, replications=replications)

    keeps, breaks = searched("<=", most=False), searched(">=", most=True)
    assert keeps.value is not None, f"{max(tables)} tables are too few"
    assert breaks.value is not None, f"{min(tables)} tables are enough"
    low, high = int(breaks.value) + 1, int(keeps.value)
    done = {int(trial.value): trial.point for trial in (*keeps.trials, *breaks.trials)}
    shown = sorted({*tables, *range(low, high + 1)})
    missing = [number for number in shown if number not in done]
    for number, point in zip(missing, sweep(scenario, {"stores.tables": missing}, engine, replications), strict=True):
        done[number] = point
    least = next(number for number in range(low, high + 1) if reneged(done[number]) <= RENEGED_MOST)
    tried = sorted({int(trial.value) for trial in (*keeps.trials, *breaks.trials)})
    return Needed([done[number] for number in shown], Estimate(least, low, high), tried)


def reneged(point: Point) -> float:
    """The share of the parties that goes away, on average over evenings."""
    found = point.found.interval("reneged")
    assert found is not None, "every dinner has this figure"
    return found.mean


def cooks_needed(cooks: Sequence[int], replications: int, engine: EngineName = DEFAULT_ENGINE) -> list[Point]:
    """How the time to the meal falls with cooks at the plating station."""
    return sweep(load_scenario(HOTPOT), {"model.kitchen.plating.cooks": cooks}, engine, replications)


def table_minutes(point: Point) -> Interval:
    """For how long a party has its table, in minutes, over the evenings of this design: choosing, waiting, eating."""
    again = itertools.islice(evenings(point.found.scenario, point.found.engine), point.found.replications)
    return interval([float(each.seconds(each.column("left"), each.column("seated")).mean()) / 60 for each in again])


def steady_abandonment(point: Point) -> float:
    """What Erlang A says for the rush as if it lasted for ever: the share that goes away."""
    scenario = point.found.scenario
    assert scenario.model is not None, "a dinner has tables"
    assert scenario.model.seating is not None, "a dinner has tables"
    rush = scenario.diners.arrivals.rate_per_s * float(make_recipe(scenario).curve_rate.max())
    patience_s = scenario.model.seating.patience_s
    return MMcM(rush, 1 / (60 * table_minutes(point).mean), scenario.stores[0].tables, 1 / patience_s).leaves


def busy_evenings(point: Point) -> Share:
    """On how many evenings more than `RENEGED_MOST` of the parties go away."""
    shares = [share for share in point.found.values["reneged"] if share is not None]
    return Share(sum(share > RENEGED_MOST for share in shares), len(shares))


@dataclass(frozen=True, slots=True)
class Lost:
    """What became of the orders over one network, all replications together.

    Orders do not hinder each other here (the devices are hardly busy), so each counts by itself. `unknown`: those of the orders
    without a yes that are in the store all the same. `answer_p95_s` is over replications.
    """

    network: str
    attempts: int
    without_yes: Share
    unknown: Share
    answer_p95_s: Interval


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
    orders, without, unknown, answers = 0, 0, 0, []
    for evening in itertools.islice(evenings(scenario, engine), replications):
        told = evening.column("told") != ABSENT
        in_store = np.concatenate(
            [(run.rows[:, [COMMITTED_0, COMMITTED_1]] != ABSENT).any(axis=1) for run in evening.runs]
        )
        orders += len(told)
        without += int((~told).sum())
        unknown += int((~told & in_store).sum())
        assert told.any(), f"nobody at all was told yes over {network}: there is no time to speak of"
        answers.append(float(np.quantile((evening.column("told") - evening.column("meant"))[told], 0.95)) / 1e6)
    return Lost(network, most, Share(without, orders), Share(unknown, without), interval(answers))


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


def run_chain(stores: int, engine: EngineName = DEFAULT_ENGINE, seed: int = 1, runner: Runner | None = None) -> Chain:
    """One dinner of each store: from 30 to 90 tables, and guests for 75 % to 115 % of what a 60-table house takes a table.

    `runner` says who works and where what is finished is kept: `with Runner(Workers(None)) as runner` takes all cores.
    """
    series = Dinners(load_scenario(HOTPOT), engine, seed)
    series.load()
    begin = time.perf_counter()
    (found,) = (runner or Runner()).collect([Stretch(series, 0, stores)])
    column = {
        name: np.array([each[name] for each in found], dtype=np.float64)
        for name in ("demand", "wait", "reneged", "parties", "orders")
    }
    return Chain(
        stores,
        time.perf_counter() - begin,
        int(column["parties"].sum()),
        column["demand"],
        column["wait"],
        column["reneged"],
        column["orders"].sum(axis=0),
    )


def peak_orders(chain: Chain, minutes: int = 15) -> tuple[int, Estimate]:
    """When the busiest stretch begins, in minutes, and its orders a second; the interval is that of a Poisson count.

    A stretch, because the busiest of many single minutes would be the luckiest one.
    """
    counts = np.convolve(chain.orders, np.ones(minutes), "valid")
    begin = int(np.argmax(counts))
    half = NORMAL * math.sqrt(counts[begin])
    seconds = 60 * minutes
    return begin, Estimate(*(float(counts[begin] + sign * half) / seconds for sign in (0, -1, 1)))


def chain_figures(chain: Chain) -> dict[str, Span]:
    """How the stores of a chain fare; each store's evening counts once."""
    return {
        "parties that go away, %": scaled(interval(chain.reneged.tolist()), 100),
        "mean wait for a table, min": interval(chain.waits.tolist()),
        "… in the store in the middle": quantile(chain.waits, 0.5),
        "… in one store of ten, at least": quantile(chain.waits, 0.9),
        "stores with a mean wait over 5 min, %": scaled(Share(int((chain.waits > 5).sum()), chain.stores), 100),
    }
