"""The model held against queueing theory: each oracle sets the model up as a queue that theory knows, runs it, and claims means.

A claim is accepted by the t-test over its replications, with Holm's correction over all claims of the suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from oracle_bench import IN_STORE, SEED, US, Bench, Claim, Column, seconds_between, tables_of
from oracles_of_evenings import infinite, peak, sections, slowed, varying_infinite
from scipy import stats

from simulator import queueing
from simulator.model import purposes
from simulator.model.draws import make_key, uniform_column
from simulator.model.laws import EXPONENTIAL, LOGNORMAL, drawn, spread_of, ticks
from simulator.model.records import Run
from simulator.model.vocabulary import Outcome


def _share(run: Run, outcome: Outcome) -> float:
    after = run.column("at") >= 0.2 * run.column("at").max()
    return float((run.column("outcome")[after] == outcome).mean())


def erlang_b(bench: Bench) -> Iterator[Claim]:
    lost = [
        _share(run, Outcome.BALKED)
        for _, run in bench.runs(
            8.0, tables=10, diners=IN_STORE, **tables_of(1.0, queue_max=0, dining_shape="lognormal")
        )
    ]
    yield Claim("Erlang B, c 10, a 8, lognormal service", queueing.erlang_b(10, 8.0), lost)


def mmc(bench: Bench, tables: int = 3) -> Iterator[Claim]:
    """Theory is told of three tables, however many there are."""
    theory = queueing.MMc(3.0, 1.25, 3)
    runs = [run for _, run in bench.runs(3.0, tables=tables, diners=IN_STORE, **tables_of(0.8))]
    waits, stays = (
        [seconds_between(run, "seated", "at") for run in runs],
        [seconds_between(run, "left", "at") for run in runs],
    )
    yield Claim("M/M/3 waits", theory.waits, [float((wait > 0).mean()) for wait in waits])
    yield Claim("M/M/3 mean wait", theory.wait, [float(wait.mean()) for wait in waits])
    for share in (0.5, 0.8, 0.95):
        time = theory.wait_quantile(share)
        beyond = [float((wait > time).mean()) for wait in waits]
        yield Claim(f"M/M/3 beyond the {share:.0%} quantile of waits", 1 - share, beyond)
    for time in (0.5, 2.0, 5.0):
        beyond = [float((stay > time).mean()) for stay in stays]
        yield Claim(f"M/M/3 stays over {time:g} s", theory.stay_beyond(time), beyond)


def mmck(bench: Bench) -> Iterator[Claim]:
    lost, wait = queueing.mmck(6.0, 1.0, 5, 9)
    runs = [run for _, run in bench.runs(6.0, tables=5, diners=IN_STORE, **tables_of(1.0, queue_max=4))]
    yield Claim("M/M/5/9 lost", lost, [_share(run, Outcome.BALKED) for run in runs])
    yield Claim("M/M/5/9 mean wait", wait, [float(seconds_between(run, "seated", "at").mean()) for run in runs])


def erlang_a(bench: Bench) -> Iterator[Claim]:
    theory = queueing.MMcM(6.0, 1.0, 5, 0.5)
    runs = [
        run
        for _, run in bench.runs(
            6.0, tables=5, diners=IN_STORE, **tables_of(1.0, patience_s=2.0, patience_shape="exponential")
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
        spread = spread_of(LOGNORMAL, 0.8)
        own = 0.5 * US * np.exp(spread * (stats.norm.ppf(u) - 0.5 * spread))
        wait = (run.column("served_0") - run.column("shown_0") - own)[len(own) // 5 :] / US
        assert wait.min() >= -1 / US, "cooked faster than drawn"
        means.append(float(wait.mean()))
        squares.append(float((wait**2).mean()))
    yield Claim("M/G/1 mean wait", first, means)
    yield Claim("M/G/1 second moment of the wait", second, squares)


THINK_S = 300


def priority(bench: Bench) -> Iterator[Claim]:
    """The cloud's one event loop: orders, each exactly `THINK_S` after its diner's arrival, go before looks at the menu.

    Arrivals of any `THINK_S` and those of the `THINK_S` before are independent, and the loop forgets far sooner: both streams are
    Poisson, and independent, as theory wants. What is counted came when both had long run, and before the last arrival.
    """
    server = {"workers": 1, "menu_ms": 200, "order_ms": 300, "ingest_ms": 0, "shape": "exponential"}
    orders, menus = queueing.mg1_priority_waits([1.5, 1.5], [(0.3, 2 * 0.3**2), (0.2, 2 * 0.2**2)])
    found: list[tuple[float, float]] = []
    for _, run in bench.runs(
        1.5, cloud=server, overload={"priority": True}, diners={"think_s": THINK_S}, think_shape="deterministic"
    ):
        at, meant, last = run.column("at"), run.column("meant"), run.column("at").max()
        assert (run.column("menu_told") < meant).all(), "an order that waited for its menu is not Poisson"
        ordered, looked = ((since >= 2 * THINK_S * US) & (since <= last) for since in (meant, at))
        found.append((
            float((run.column("told") - meant)[ordered].mean() / US - 0.3),
            float((run.column("menu_told") - at)[looked].mean() / US - 0.2),
        ))  # fmt: skip
    yield Claim("M/G/1 priority, orders' mean wait", orders, [each[0] for each in found])
    yield Claim("M/G/1 priority, menus' mean wait", menus, [each[1] for each in found])


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
        yield Claim(
            f"Jackson, time at the {name}", mean, [float(seconds_between(run, later, earlier).mean()) for run in runs]
        )


def closed(bench: Bench) -> Iterator[Claim]:
    """A full dining room is a closed network: each of N tables goes on ordering from one cook, and eating.

    Whatever the times are, X ≤ min(1/D, N/(D+Z)). Where nothing is random it is equal, on either side of N*.
    """
    expected, (most, _) = queueing.closed_throughput(12, [1.0], 9.0), queueing.closed_bounds(12, [1.0], 9.0)
    found = [_meals(run, 0.1, 0.9) for run in _full(bench, 12, "exponential")]
    assert expected <= most
    yield Claim("closed network, meals a second (MVA)", expected, found)
    few = replace(bench, customers=min(bench.customers, 2_000), replications=1)
    _, knee = queueing.closed_bounds(1, [1.0], 9.0)
    for guests in (6, 14):
        most, _ = queueing.closed_bounds(guests, [1.0], 9.0)
        side = "below" if guests < knee else "above"
        yield Claim(
            f"closed network {side} N*, meals a second at most",
            most,
            [round(_meals(run, 0.5), 9) for run in _full(few, guests, "deterministic")],
        )


def _full(bench: Bench, guests: int, shape: str) -> Iterator[Run]:
    """Many who wait for one of these tables, one cook who takes 1 s (more with more load), 9 s to eat."""
    kitchen = [{"name": "wok", "cooks": 1, "setup_s": bench.load, "shape": shape}]
    seating = {"dining_s": 9.0, "dining_shape": shape, "party_dining": [1.0], "patience_shape": "endless"}
    for _, run in bench.runs(40.0, tables=guests, diners=IN_STORE, kitchen=kitchen, seating=seating):
        yield run


def _meals(run: Run, begin: float, end: float | None = None) -> float:
    """Meals a second from one part of the evening to another, or (None) in 500 s."""
    left = np.sort(run.column("left")) / US
    since = left[-1] * begin
    until = since + 500 if end is None else left[-1] * end
    return float(((left > since) & (left <= until)).sum() / (until - since))


ORACLES: tuple[Callable[[Bench], Iterator[Claim]], ...] = (
    erlang_b, mmc, mmck, erlang_a, mg1, priority, infinite, varying_infinite, peak, sections, slowed, jackson, closed,
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
