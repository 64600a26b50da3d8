"""The model held against queueing theory: each oracle sets the model up as a queue that theory knows, runs it, and claims means.

A claim is accepted by the t-test over its replications, with Holm's correction over all claims of the suite.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from simulator import queueing
from simulator.model import purposes
from simulator.model.draws import make_key, uniform_column
from simulator.model.engines import Engine
from simulator.model.laws import EXPONENTIAL, LOGNORMAL, drawn, spread_of, ticks
from simulator.model.plan import make_plan
from simulator.model.records import Run
from simulator.model.timetable import draw_timetable, make_recipe
from simulator.model.vocabulary import Outcome
from simulator.scenario import Scenario, load_scenario

Column = npt.NDArray[np.float64]
US = 1e6
SEED = 20_26


@dataclass(frozen=True)
class Claim:
    """What theory says, and what each replication found."""

    name: str
    expected: float
    found: Sequence[float]

    @property
    def p_value(self) -> float:
        values = np.asarray(self.found, dtype=np.float64)
        if np.ptp(values) == 0:
            return 1.0 if math.isclose(values[0], self.expected, rel_tol=1e-12) else 0.0
        return float(stats.ttest_1samp(values, self.expected).pvalue)


def holm(claims: Sequence[Claim], level: float) -> list[Claim]:
    """The claims that are refused at this level of the whole suite."""
    refused: list[Claim] = []
    ordered = sorted(claims, key=lambda claim: claim.p_value)
    for place, claim in enumerate(ordered):
        if claim.p_value > level / (len(ordered) - place):
            break
        refused.append(claim)
    return refused


@dataclass(frozen=True)
class Bench:
    """An engine, and how long and how often each oracle runs."""

    engine: Engine
    customers: int
    replications: int
    evenings: int

    def runs(self, rate: float, evening_s: float | None = None, **said: Any) -> Iterator[tuple[Scenario, Run]]:
        """Replications with about this bench's customers, or short evenings."""
        scenario = _scenario(rate, self.customers / rate if evening_s is None else evening_s, **said)
        plan, recipe = make_plan(scenario), make_recipe(scenario)
        for replication in range(self.replications if evening_s is None else self.evenings):
            key = make_key(SEED, "s1", replication)
            yield scenario, self.engine(plan, draw_timetable(recipe, key), key)


def _scenario(
    rate: float,
    duration_s: float,
    tables: int = 1,
    points: Any = None,
    diners: Any = None,
    faults: Any = (),
    **model: Any,
) -> Scenario:
    arrivals: dict[str, Any] = {"rate_per_s": rate}
    if points is not None:
        arrivals |= {"profile": "points", "points": points}
    server = {"workers": 1, "menu_ms": 0, "order_ms": 0, "read_ms": 0, "pay_ms": 0, "ingest_ms": 0}
    free = {
        "edge": server, "cloud": server, "disk": {"flush_ms": 0, "shape": "deterministic"},
        "database": {"connections": 1000, "transaction_ms": 0, "shape": "deterministic"},
    }  # fmt: skip
    said = {
        "name": "oracle",
        "duration_s": duration_s,
        "stores": [{"name": "s1", "tables": tables}],
        "diners": {
            "arrivals": arrivals, "polls_max": 0, "attempt_timeout_ms": 600_000, "patience_s": 86_000, "think_s": 0,
            "basket": {"lines_mean": 1, "quantity_max": 1}, "retries": {"attempts_max": 1},
            "behaviours": {"double_tap": 0.0, "two_doors": 0.0, "reorders": 0.0},
            "channels": {"qr": 0.0, "cashier": 0.0, "mini_program": 1.0}, **(diners or {}),
        },
        "model": free | model,
        "faults": list(faults),
    }  # fmt: skip
    return load_scenario(json.dumps(said, indent=1))


IN_STORE = {"channels": {"qr": 1.0, "cashier": 0.0, "mini_program": 0.0}}


def _tables(service_s: float, **seating: Any) -> dict[str, Any]:
    return {
        "visit": "table_only",
        "seating": {
            "dining_s": service_s, "dining_shape": "exponential", "party_dining": [1.0], "patience_shape": "endless", **seating
        },
    }  # fmt: skip


def _seconds(run: Run, later: str, earlier: str) -> Column:
    """The time from one moment to a later one, of the diners who came when the start was forgotten."""
    after = run.column("at") >= 0.2 * run.column("at").max()
    whole = after & (run.column(later) >= 0) & (run.column(earlier) >= 0)
    return (run.column(later) - run.column(earlier))[whole] / US


def _share(run: Run, outcome: Outcome) -> float:
    after = run.column("at") >= 0.2 * run.column("at").max()
    return float((run.column("outcome")[after] == outcome).mean())


def erlang_b(bench: Bench) -> Iterator[Claim]:
    lost = [
        _share(run, Outcome.BALKED)
        for _, run in bench.runs(8.0, tables=10, diners=IN_STORE, **_tables(1.0, queue_max=0, dining_shape="lognormal"))
    ]
    yield Claim("Erlang B, c 10, a 8, lognormal service", queueing.erlang_b(10, 8.0), lost)


def mmc(bench: Bench) -> Iterator[Claim]:
    theory = queueing.MMc(3.0, 1.25, 3)
    runs = [run for _, run in bench.runs(3.0, tables=3, diners=IN_STORE, **_tables(0.8))]
    waits, stays = [_seconds(run, "seated", "at") for run in runs], [_seconds(run, "left", "at") for run in runs]
    p95 = theory.wait_quantile(0.95)
    yield Claim("M/M/3 waits", theory.waits, [float((wait > 0).mean()) for wait in waits])
    yield Claim("M/M/3 mean wait", theory.wait, [float(wait.mean()) for wait in waits])
    yield Claim("M/M/3 beyond the 95 % quantile of waits", 0.05, [float((wait > p95).mean()) for wait in waits])
    yield Claim("M/M/3 stays over 2 s", theory.stay_beyond(2.0), [float((stay > 2.0).mean()) for stay in stays])


def mmck(bench: Bench) -> Iterator[Claim]:
    lost, wait = queueing.mmck(6.0, 1.0, 5, 9)
    runs = [run for _, run in bench.runs(6.0, tables=5, diners=IN_STORE, **_tables(1.0, queue_max=4))]
    yield Claim("M/M/5/9 lost", lost, [_share(run, Outcome.BALKED) for run in runs])
    yield Claim("M/M/5/9 mean wait", wait, [float(_seconds(run, "seated", "at").mean()) for run in runs])


def erlang_a(bench: Bench) -> Iterator[Claim]:
    theory = queueing.MMcM(6.0, 1.0, 5, 0.5)
    runs = [
        run
        for _, run in bench.runs(
            6.0, tables=5, diners=IN_STORE, **_tables(1.0, patience_s=2.0, patience_shape="exponential")
        )
    ]
    left, waited, mean = [], [], []
    for run in runs:
        after = run.column("at") >= 0.2 * run.column("at").max()
        reneged = run.column("outcome") == Outcome.RENEGED
        until = np.where(reneged, run.column("left"), run.column("seated"))
        wait = ((until - run.column("at")) / US)[after]
        left.append(float(reneged[after].mean()))
        waited.append(float((wait > 0).mean()))
        mean.append(float(wait.mean()))
    yield Claim("M/M/5+M leave", theory.leaves, left)
    yield Claim("M/M/5+M wait", theory.waits, waited)
    yield Claim("M/M/5+M mean wait", theory.wait, mean)


def mg1(bench: Bench) -> Iterator[Claim]:
    """The kitchen with one cook, lognormal times; the wait is the time at the station less the own cooking."""
    cook = {"name": "wok", "cooks": 1, "setup_s": 0.5, "shape": "lognormal", "variation": 0.8}
    first, second = queueing.mg1_wait(1.4, queueing.lognormal_moments(0.5, 0.8))
    means, squares = [], []
    for replication, (_, run) in enumerate(bench.runs(1.4, kitchen=[cook])):
        u = _draws(purposes.COOK, len(run.rows), replication, stride=2)
        own = np.array([ticks(drawn(LOGNORMAL, 0.5 * US, spread_of(LOGNORMAL, 0.8), each)) for each in u])
        wait = (run.column("served_0") - run.column("shown_0") - own)[len(own) // 5 :] / US
        assert wait.min() >= 0
        means.append(float(wait.mean()))
        squares.append(float((wait**2).mean()))
    yield Claim("M/G/1 mean wait", first, means)
    yield Claim("M/G/1 second moment of the wait", second, squares)


def _order_waits(run: Run) -> Column:
    """From sending to yes, of orders that did not wait for a late menu: they come at moments of their own."""
    after = run.column("at") >= 0.2 * run.column("at").max()
    own = after & (run.column("menu_told") < run.column("meant"))
    return (run.column("told") - run.column("meant"))[own] / US


def priority(bench: Bench) -> Iterator[Claim]:
    """The cloud's one event loop: orders, which come long after the menu, go before looks at the menu."""
    server = {"workers": 1, "menu_ms": 200, "order_ms": 300, "ingest_ms": 0, "shape": "exponential"}
    orders, menus = queueing.mg1_priority_waits([1.5, 1.5], [(0.3, 2 * 0.3**2), (0.2, 2 * 0.2**2)])
    found = [
        (_order_waits(run).mean() - 0.3, _seconds(run, "menu_told", "at").mean() - 0.2)
        for _, run in bench.runs(
            1.5, cloud=server, overload={"priority": True}, diners={"think_s": 60}, think_shape="exponential"
        )
    ]
    yield Claim("M/G/1 priority, orders' mean wait", orders, [float(each[0]) for each in found])
    yield Claim("M/G/1 priority, menus' mean wait", menus, [float(each[1]) for each in found])


SWING = tuple((place / 64, 1.0 + 0.8 * math.sin(4 * math.pi * place / 64)) for place in range(65))
"""Two turns of a sinusoid over the evening."""


def varying_infinite(bench: Bench) -> Iterator[Claim]:
    """A kitchen with as many cooks as tickets: Poisson at every moment, with the mean that the varying rate gives."""
    evening, rate = 60.0, 4.0
    for shape, variation in (("exponential", 1.0), ("lognormal", 0.5)):
        cook = {"name": "wok", "cooks": 0, "setup_s": 4.0, "shape": shape, "variation": variation}
        moments = (20.0, 37.0, 52.0)
        counts = []
        for _, run in bench.runs(rate, evening, points=SWING, kitchen=[cook]):
            shown, served = run.column("shown_0") / US, run.column("served_0") / US
            counts.append([int(((shown <= at) & (served > at)).sum()) for at in moments])
        for place, at in enumerate(moments):
            found = [float(count[place]) for count in counts]
            if shape == "exponential":
                mean = queueing.infinite_servers_sinusoid(rate, 0.8 * rate, 4 * math.pi / evening, 4.0, at)
                yield Claim(f"M_t/M/inf number at {at:g} s", mean, found)
            else:
                mean = queueing.infinite_servers(_rate(rate, evening), _lognormal_stays(4.0, 0.5), at)
                yield Claim(f"M_t/G/inf number at {at:g} s", mean, found)
            variance = float(np.var(found, ddof=1))
            chi = variance * (len(found) - 1) / mean
            assert 1e-5 < stats.chi2.cdf(chi, len(found) - 1) < 1 - 1e-5, (
                f"not Poisson: variance {variance}, mean {mean}"
            )


def _rate(rate: float, evening: float) -> Callable[[float], float]:
    places, heights = zip(*SWING, strict=True)
    return lambda at: rate * float(np.interp(at / evening, places, heights))


def _lognormal_stays(mean: float, variation: float) -> Callable[[float], float]:
    sigma = math.sqrt(math.log1p(variation**2))
    law = stats.lognorm(s=sigma, scale=mean * math.exp(-(sigma**2) / 2))
    grid = np.linspace(0, 70, 20_001)
    values = law.sf(grid)
    return lambda time: float(np.interp(time, grid, values))


def peak(bench: Bench) -> Iterator[Claim]:
    """M_t/M/c+M over a whole peak, empty at the start: the best oracle for a rush."""
    evening, rate, service, leaving, servers = 60.0, 4.0, 0.4, 0.1, 8
    moments = (15.0, 22.0, 33.0, 45.0, 59.0)
    counts = []
    for _, run in bench.runs(
        rate,
        evening,
        points=SWING,
        tables=servers,
        diners=IN_STORE,
        **_tables(1 / service, patience_s=1 / leaving, patience_shape="exponential"),
    ):
        at, left = run.column("at") / US, run.column("left") / US
        counts.append([int(((at <= moment) & (left > moment)).sum()) for moment in moments])
    chances = _peak(rate, service, servers, leaving, moments)
    numbers = np.arange(chances.shape[1])
    for place, moment in enumerate(moments):
        yield Claim(
            f"M_t/M/c+M number at {moment:g} s", float(chances[place] @ numbers), [float(c[place]) for c in counts]
        )


@cache
def _peak(
    rate: float, service: float, servers: int, leaving: float, moments: tuple[float, ...]
) -> npt.NDArray[np.float64]:
    return queueing.varying_queue(_rate(rate, 60.0), service, servers, leaving, moments, places=90)


def jackson(bench: Bench) -> Iterator[Claim]:
    """Cloud (visited for the menu, and again for the order), database, store device, kitchen: a network with feedback."""
    flows = queueing.jackson_flows([1.0, 0, 0, 0], [[0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    cloud = {"workers": 1, "menu_ms": 300, "order_ms": 300, "ingest_ms": 0, "shape": "exponential"}
    edge = {"workers": 1, "menu_ms": 0, "order_ms": 500, "shape": "exponential"}
    database = {"connections": 2, "transaction_ms": 1400, "shape": "exponential"}
    kitchen = [{"name": "wok", "cooks": 3, "setup_s": 2.0, "shape": "exponential"}]
    stays = [
        queueing.MMc(flow, service, servers).wait + 1 / service
        for flow, service, servers in zip(flows, (1 / 0.3, 1 / 1.4, 2.0, 0.5), (1, 2, 1, 3), strict=True)
    ]
    assert flows == [2.0, 1.0, 1.0, 1.0]
    names = ("cloud", "cloud twice and database", "device", "kitchen")
    expected = (stays[0], 2 * stays[0] + stays[1], stays[2], stays[3])
    columns = (("menu_told", "at"), ("told", "at"), ("committed_0", "stored_0"), ("served_0", "shown_0"))
    cut = [{"fault": "link_down", "link": "edge_cloud", "direction": "to", "at_s": 0.0}]  # no uplink beside the orders
    runs = [run for _, run in bench.runs(1.0, faults=cut, cloud=cloud, edge=edge, database=database, kitchen=kitchen)]
    for name, mean, (later, earlier) in zip(names, expected, columns, strict=True):
        yield Claim(f"Jackson, time at the {name}", mean, [float(_seconds(run, later, earlier).mean()) for run in runs])


def closed(bench: Bench) -> Iterator[Claim]:
    """A full dining room is a closed network: each of N tables goes on ordering from one cook, and eating."""
    guests, cook_s, eat_s = 12, 1.0, 9.0
    expected = queueing.closed_throughput(guests, [cook_s], eat_s)
    most, _ = queueing.closed_bounds(guests, [cook_s], eat_s)
    kitchen = [{"name": "wok", "cooks": 1, "setup_s": cook_s, "shape": "exponential"}]
    found = []
    for _, run in bench.runs(
        40.0, tables=guests, diners=IN_STORE, kitchen=kitchen,
        seating={"dining_s": eat_s, "dining_shape": "exponential", "party_dining": [1.0], "patience_shape": "endless"},
    ):  # fmt: skip
        left = np.sort(run.column("left")) / US
        begin, end = left[-1] * 0.1, left[-1] * 0.9
        found.append(float(((left > begin) & (left <= end)).sum() / (end - begin)))
    assert expected <= most
    yield Claim("closed network, meals a second (MVA)", expected, found)


ORACLES: tuple[Callable[[Bench], Iterator[Claim]], ...] = (
    erlang_b, mmc, mmck, erlang_a, mg1, priority, varying_infinite, peak, jackson, closed,
)  # fmt: skip


def _draws(purpose: int, count: int, replication: int, stride: int = 1, index: int = 0) -> Column:
    """The draws of a purpose for every `stride`-th entity."""
    return uniform_column(make_key(SEED, "s1", replication), purpose, 0, count * stride, index)[::stride]


def kiefer_wolfowitz_differs(bench: Bench, workers: int) -> int:
    """How many of the waits at the cloud's event loops differ from the recursion; exact on ticks."""
    server = {"workers": workers, "menu_ms": 700, "order_ms": 0, "shape": "exponential"}
    differ = 0
    # Nobody orders while anybody still looks at the menu.
    for replication, (_, run) in enumerate(
        bench.runs(workers * 1.3, cloud=server, diners={"think_s": 80_000}, think_shape="deterministic")
    ):
        u = _draws(purposes.SERVICE, len(run.rows), replication, stride=2, index=1)
        services = [ticks(drawn(EXPONENTIAL, 0.7 * US, 1.0, each)) for each in u]
        arrivals = run.column("at").tolist()
        begins = queueing.kiefer_wolfowitz(arrivals, services, workers)
        ends = [begin + service for begin, service in zip(begins, services, strict=True)]
        differ += int((np.array(ends) != run.column("menu_told")).sum())
        if workers == 1:
            waits = queueing.lindley(arrivals, services)
            assert [begin - arrival for begin, arrival in zip(begins, arrivals, strict=True)] == waits
    return differ
