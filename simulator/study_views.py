"""What the notebooks show of the studies: pictures and tables, each figure with its unit and its 95 % interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Picture

from simulator.arrivals import PROFILE_POINTS
from simulator.estimates import NORMAL, Span, say, scaled
from simulator.model.replications import interval
from simulator.model.timetable import make_recipe
from simulator.network import BUILT_IN_PROFILES
from simulator.plots import BLUE, GREY, ORANGE, draw_lines, picture, reach
from simulator.scenario import load_scenario
from simulator.studies import HOTPOT, RENEGED_MOST, Chain, Lost, Needed, busy_evenings, table_minutes
from simulator.sweeps import Point

TABLES, COOKS = "stores.tables", "model.kitchen.plating.cooks"


def figure(point: Point, name: str, factor: float = 1.0) -> Span:
    """One figure of a design, in another unit."""
    found = point.found.interval(name)
    assert found is not None, "every dinner has this figure"
    return scaled(found, factor)


def design(points: Sequence[Point], value: int) -> Point:
    """The design with so many tables, or cooks."""
    return next(point for point in points if value in point.settings.values())


def table_of_dinner() -> pd.DataFrame:
    """What the dinner is taken to be, read from its scenario, and where each figure is from."""
    scenario = load_scenario(HOTPOT)
    diners, said = scenario.diners, scenario.model
    assert said is not None, "the dinner has a kitchen"
    assert said.seating is not None, "the dinner has tables"
    recipe = make_recipe(scenario)
    curve = recipe.curve_rate
    begins, ends = (float(at) * scenario.duration_s / 60 for at in _rush(diners.arrivals.profile))
    hour = 3600 * diners.arrivals.rate_per_s
    seating, (broth, plating) = said.seating, said.kitchen
    rows = {
        "parties an hour": (f"{hour:.0f} on average, {hour * curve.max():.0f} in the rush", "guess"),
        "the rush": (
            f"from minute {begins:.0f} to {ends:.0f} (profile {diners.arrivals.profile})",
            "guess, from a noon rush",
        ),
        "doors are open for, min": (f"{scenario.duration_s / 60:.0f}, from an empty house", "guess"),
        "a party waits for a table, min": (
            f"mean {seating.patience_s / 60:.0f}, exponential",
            "guess; in a survey 72 % accept up to 30",
        ),
        "to choose, min": (f"mean {diners.think_s / 60:.0f}", "guess"),
        "lines of an order": (f"mean {diners.basket.lines_mean:g}, at most {diners.basket.lines_max}", "guess"),
        "the meal, min": (
            f"mean {seating.dining_s / 60:.0f}, SD {seating.dining_s * seating.dining_variation / 60:.0f}, whatever the party",
            "guess",
        ),
        f"{plating.name}: {plating.cooks} cooks, s": (
            f"{plating.setup_s:.0f} + {plating.item_s:.0f} a portion",
            "guess",
        ),
        f"{broth.name}: {broth.cooks} cooks, s": (f"{broth.setup_s:.0f} a ticket", "guess"),
    }
    return _table("assumption", {name: {"value": value, "from": source} for name, (value, source) in rows.items()})


def _rush(profile: str) -> tuple[float, float]:
    """Between which fractions of the time most people come."""
    points = PROFILE_POINTS[profile]
    most = max(rate for _, rate in points)
    busiest = [fraction for fraction, rate in points if rate == most]
    return busiest[0], busiest[-1]


def draw_tables(needed: Needed) -> Picture:
    """Share of parties that go away, by the number of tables, and where the budget is kept."""
    points, found = needed.points, needed.tables
    places = [float(point.settings[TABLES]) for point in points]
    made = draw_lines(
        places,
        {"went away": [figure(point, "reneged", 100) for point in points]},
        "tables",
        "parties that go away, %",
        f"More tables, fewer lost parties (95 % intervals, {points[0].found.replications} evenings)",
    )
    (axis,) = made.axes
    axis.axhline(100 * RENEGED_MOST, color=ORANGE, linestyle="--", linewidth=1.2)
    axis.annotate(
        f"budget: {100 * RENEGED_MOST:g} %", (places[0], 100 * RENEGED_MOST), (0, 4), textcoords="offset points",
        color=ORANGE,
    )  # fmt: skip
    assert found.low is not None, "it has been searched for"
    assert found.high is not None, "it has been searched for"
    axis.axvspan(found.low, found.high, color=GREY, alpha=0.2, linewidth=0)
    axis.axvline(found.mean, color=GREY, linestyle=":", linewidth=1.5)
    said = f"{found.mean:.0f} tables\n({found.low:.0f} to {found.high:.0f})"
    axis.annotate(said, (found.high, axis.get_ylim()[1]), (5, -2), textcoords="offset points", va="top")
    return made


def table_of_tables(points: Sequence[Point]) -> pd.DataFrame:
    """For each number of tables: who goes away, how long the others wait, and on how many evenings the budget is exceeded."""
    return _table(
        "tables",
        {
            str(point.settings[TABLES]): {
                "parties that go away, %": say(figure(point, "reneged", 100)),
                "mean wait of those who got one, min": say(figure(point, "table_wait", 1 / 60)),
                f"evenings that lose more than {100 * RENEGED_MOST:g} %, %": say(scaled(busy_evenings(point), 100), 0),
            }
            for point in points
        },
    )


def draw_cooks(points: Sequence[Point]) -> Picture:
    """Time to the meal of the party in the middle and of the slowest twentieth, by the number of cooks."""
    places = [float(point.settings[COOKS]) for point in points]
    names = {"19 of 20 parties have it": "meal_p95", "half of the parties have it (median)": "meal_p50"}
    made = draw_lines(
        places,
        {name: [figure(point, of, 1 / 60) for point in points] for name, of in names.items()},
        "cooks at plating",
        "minutes from order to meal",
        f"Minutes until the meal is there (95 % intervals, {points[0].found.replications} evenings)",
    )
    made.axes[0].set_xticks(places)
    return made


def table_of_cooks(points: Sequence[Point]) -> pd.DataFrame:
    """For each number of cooks: the time to the meal, and what it does to the tables."""
    return _table(
        "cooks at plating",
        {
            str(point.settings[COOKS]): {
                "median to the meal, min": say(figure(point, "meal_p50", 1 / 60)),
                "19 of 20 have it within, min": say(figure(point, "meal_p95", 1 / 60)),
                "a party has its table for, min": say(table_minutes(point), 0),
                "parties that go away, %": say(figure(point, "reneged", 100)),
            }
            for point in points
        },
    )


def draw_networks(found: Sequence[Lost]) -> Picture:
    """How long the slowest twentieth of the answers takes, by network."""
    made, (axis,) = picture(height=3.6)
    places = np.arange(len(found))[::-1]
    bars = np.array([reach(each.answer_p95_s) for each in found]).T
    axis.barh(places, [each.answer_p95_s.mean for each in found], xerr=bars, color=BLUE, capsize=3)
    for place, each in zip(places, found, strict=True):
        end = each.answer_p95_s.mean + reach(each.answer_p95_s)[1]
        axis.annotate(f"{each.answer_p95_s.mean:.2f} s", (end, place), (5, 0), textcoords="offset points", va="center")
    axis.set_yticks(places, [_network(each.network) for each in found], fontsize=9)
    axis.grid(axis="y", visible=False)
    axis.grid(axis="x", color="#e4e6ea", linewidth=0.8)
    axis.margins(x=0.12)
    axis.set_xlabel("seconds until 19 of 20 orders have their yes")
    axis.set_title("What a weak network costs in time (95 % intervals)", fontsize=10, loc="right")
    return made


def _network(name: str) -> str:
    profile = BUILT_IN_PROFILES[name]
    lost = f", {profile.loss_percent:g} % lost" if profile.loss_percent else ""
    return f"{name} ({profile.round_trip_ms:.0f} ms{lost})"


def table_of_networks(found: Sequence[Lost]) -> pd.DataFrame:
    """For each network: the time of an answer, and the orders without a yes."""
    return _table(
        "network",
        {
            each.network: {
                "19 of 20 have their yes within, ms": say(scaled(each.answer_p95_s, 1000), 0),
                f"without a yes, % of {each.without_yes.trials:,} orders": say(scaled(each.without_yes, 100), 2),
            }
            for each in found
        },
    )


def draw_loss_curve(found: Sequence[Lost]) -> Picture:
    """Orders without a yes by packet loss, for each number of attempts."""
    attempts = list(dict.fromkeys(each.attempts for each in found))
    places = list(dict.fromkeys(float(each.network) for each in found))
    lines = {
        ("1 attempt" if most == 1 else f"up to {most} attempts"): [
            scaled(each.without_yes, 100) for each in found if each.attempts == most
        ]
        for most in attempts
    }
    title = "A far corner that loses more and more packets (95 % intervals)"
    return draw_lines(places, lines, "packets lost, %", "orders without a yes, %", title)


def table_of_losses(found: Sequence[Lost], network: str) -> pd.DataFrame:
    """At one loss, for each number of attempts: orders without a yes, and those of them that are in the store all the same."""
    return _table(
        "attempts, at most",
        {
            str(each.attempts): {
                "orders": f"{each.without_yes.trials:,}",
                "without a yes, %": say(scaled(each.without_yes, 100), 2),
                "of these in the store all the same, %": say(scaled(each.unknown, 100), 0),
            }
            for each in found
            if each.network == network
        },
    )


def draw_chain(chain: Chain) -> Picture:
    """Orders of the whole chain over the evening, and how the stores differ."""
    made, (orders, stores) = picture(2, height=2.9)
    last = int(np.flatnonzero(chain.orders)[-1]) + 1
    counts, minutes = chain.orders[:last], np.arange(last)
    band = NORMAL * np.sqrt(counts)
    orders.fill_between(minutes, (counts - band) / 60, (counts + band) / 60, color=BLUE, alpha=0.25, linewidth=0)
    orders.plot(minutes, counts / 60, color=BLUE, linewidth=1)
    orders.set_ylim(bottom=0)
    orders.set_ylabel("orders a second")
    orders.set_xlabel("minutes since the doors opened")
    orders.set_title(f"{chain.stores:,} stores together (band: 95 % of a Poisson count)", fontsize=10)
    demand = 100 * chain.demand
    stores.scatter(demand, chain.waits, s=6, color=GREY, alpha=0.45, linewidths=0, label="one store's evening")
    edges = np.linspace(75, 115, 9)
    groups = [chain.waits[(demand >= low) & (demand < high)] for low, high in pairwise(edges)]
    middles = (edges[:-1] + edges[1:]) / 2
    known = [(middle, interval(group.tolist())) for middle, group in zip(middles, groups, strict=True) if len(group)]
    bars = np.array([reach(each) for _, each in known]).T
    stores.errorbar(
        [middle for middle, _ in known], [each.mean for _, each in known], yerr=bars, color=BLUE, marker="o",
        markersize=5, capsize=3, label="mean and 95 % interval",
    )  # fmt: skip
    stores.set_ylim(bottom=-0.2)
    stores.set_xlabel("parties for each table (100 %: 41 an hour at 60 tables), %")
    stores.set_ylabel("mean wait for a table, min")
    stores.set_title("The fuller a store is booked, the longer its parties wait", fontsize=10)
    stores.legend(frameon=False, loc="upper left", markerscale=1.5)
    return made


def table_of_chain(figures: Mapping[str, Span]) -> pd.DataFrame:
    """The figures of a chain."""
    return _table("figure", {name: {"value (95 % interval)": say(found)} for name, found in figures.items()})


def _table(first: str, rows: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows.values()), index=list(rows)).rename_axis(columns=first)
