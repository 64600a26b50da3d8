"""The model's engines beside other simulators: SimPy and cimba and Ciw on the M/M/c that all can do, SimPy on the whole model.

What is told is customers a second of processor time, on one core, so that a busy machine troubles all alike. What compiling
takes is measured apart, in processes that find nothing compiled. Ours draws who comes, leaves a row for each customer and keeps
the hash of all events, for an M/M/3 as for anything else; cimba keeps the mean length of the queue.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from chaos.bench.result import BenchError, BenchResult, Figure, Goal
from chaos.bench.rounds import ROUNDS_MAX, Case, measure_rounds
from simulator.batches.runner import Runner
from simulator.batches.workers import Workers
from simulator.model.draws import make_key
from simulator.model.engines import engine_of
from simulator.model.leaf import HAS_NUMBA
from simulator.model.plan import make_plan
from simulator.model.timetable import draw_timetable, make_recipe
from simulator.scenario import Scenario, find_scenario, load_scenario
from simulator.studies import run_chain

NAME = "simulator"
SUMMARY = "diners a second of the model's engines, beside SimPy, cimba and Ciw"
DESCRIPTION = """\
Diners a second on one core: the whole model (the lunch rush) on SimPy and on the compiled twin; M/M/3 at 80 % load on SimPy, the
twin, cimba and Ciw; what compiling takes; and a chain of stores at dinner.

  rushproof bench simulator
  rushproof bench simulator --rounds 5 --customers 200000 --stores 3000 --json

cimba and Ciw are measured when they are installed: pip install 'rushproof[bench]'.
"""
SERVERS, ARRIVAL, SERVICE = 3, 3.0, 1.25
CUSTOMERS_MAX = 900_000
SLOW = 10
"""The interpreted simulators get one customer for so many of the compiled ones': their speed does not depend on it."""
REPLICATIONS = 40
"""The compiled M/M/3 is run as so many replications: of one long run every customer's row would have to be held at once."""
MODEL_RUNS = 30
"""The compiled model is run so many times in a round: once would be over in milliseconds."""
SIMPY_RATIO, CIMBA_RATIO = 100.0, 1.0

TABLES = """\
name: tables
duration_s: %s
stores: [{name: s1, tables: %d}]
diners: {arrivals: {rate_per_s: %s}, channels: {qr: 1.0, cashier: 0.0, mini_program: 0.0}}
model:
  visit: table_only
  seating: {dining_s: %s, dining_shape: exponential, party_dining: [1.0], party_shares: [1.0], patience_shape: endless}
"""
DINNER = """\
name: dinner
duration_s: 9000
stores: [{name: s1, tables: 60, kitchen_seconds: 240}]
diners:
  arrivals: {rate_per_s: 0.018, profile: lunch}
  channels: {qr: 0.8, cashier: 0.1, mini_program: 0.1}
  think_s: 300
  poll_s: 300
  polls_max: 3
links: {diner_edge: {profile: store_wifi_crowded}, edge_cloud: {profile: dsl}}
model: {seating: {dining_s: 4000}}
"""
"""One store's dinner of two and a half hours, hotpot: 60 tables, some 160 parties. [G]"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its own options."""
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each is measured (default: 3)")
    parser.add_argument(
        "--customers",
        type=int,
        default=200_000,
        metavar="N",
        help="customers of the compiled programs in a round (default: 200000)",
    )
    parser.add_argument(
        "--stores", type=int, default=3_000, metavar="N", help="stores of the chain (default: 3000; 0: none)"
    )
    parser.add_argument(
        "--no-compilation", action="store_true", help="do not measure what compiling takes, about a minute"
    )


def count_steps(options: argparse.Namespace) -> int:
    """How many steps `measure` reports."""
    if not 1 <= options.rounds <= ROUNDS_MAX:
        raise BenchError(f"--rounds must be from 1 to {ROUNDS_MAX}, not {options.rounds}")
    if not 1_000 <= options.customers <= CUSTOMERS_MAX:
        raise BenchError(f"--customers must be from 1000 to {CUSTOMERS_MAX}, not {options.customers}")
    if not 0 <= options.stores <= 100_000:
        raise BenchError(f"--stores must be from 0 to 100000, not {options.stores}")
    if not HAS_NUMBA:
        raise BenchError("the compiled engine needs numba; install the extra: pip install 'rushproof[compiled]'")
    compiling = 0 if options.no_compilation else 1
    cases: int = options.rounds * len(_cases(options.customers))
    return cases + compiling + (1 if options.stores else 0)


def measure(options: argparse.Namespace, on_step: Callable[[str], None]) -> BenchResult:
    """Measure all in turn."""
    engine_of("compiled")
    cases = _cases(options.customers)
    for name in ("model, ours", "M/M/3, ours"):
        cases[name]()
    figures = measure_rounds(cases, options.rounds, {"speed": "customers/s"}, on_step)
    speed = {name: figure["speed"] for name, figure in figures.items()}
    ratios = {
        "simpy": _ratio(speed, "model, ours", "model, SimPy"),
        "simpy_mmc": _ratio(speed, "M/M/3, ours", "M/M/3, SimPy"),
        "cimba": _ratio(speed, "M/M/3, ours", "M/M/3, cimba"),
        "ciw": _ratio(speed, "M/M/3, ours", "M/M/3, Ciw"),
    }
    notes = [f"{package} is not installed: not measured" for package in ("cimba", "ciw") if not _has(package)]
    headline: dict[str, Any] = {"ratios": ratios}
    if not options.no_compilation:
        on_step("compilation")
        figures["first result"] = first = _first_results()
        headline["with_compilation"] = cold = {
            name: options.customers / (options.customers / speed[f"M/M/3, {name}"].median + first[name].median)
            for name in first.keys() & {"ours", "cimba"}
        }
        for name, rate in sorted(cold.items()):
            notes.append(
                f"M/M/3, {name}, {options.customers:,} customers from nothing compiled: {rate:,.0f} customers/s"
            )
        notes.append("ours is compiled once for each version and kept on the disk")
    if options.stores:
        stores = f"{options.stores} store{'' if options.stores == 1 else 's'}"
        on_step(stores)
        chain, told_yes = _chain(options.stores)
        figures["chain"] = {"wall": Figure("s", (chain,))}
        low, high = told_yes
        notes.append(
            f"{stores}, one dinner each: {chain:.1f} s; parties that got an order: {low:.2%} to {high:.2%} (95 %)"
        )
        figures["chain of many sizes"] = {
            name: Figure("s", (_chain_of_many_sizes(options.stores, count),))
            for name, count in (("one core", 1), ("all cores", None))
        }
    return BenchResult(
        NAME,
        {
            "rounds": options.rounds,
            "customers": options.customers,
            "servers": SERVERS,
            "load": ARRIVAL / SERVICE / SERVERS,
        },
        figures,
        headline=headline,
        goals=[
            Goal(
                "model, ours over SimPy",
                f">= {SIMPY_RATIO:g}",
                ratios["simpy"],
                _met(ratios["simpy"], SIMPY_RATIO),
            ),
            Goal("M/M/3, ours over cimba", f"> {CIMBA_RATIO:g}", ratios["cimba"], _met(ratios["cimba"], CIMBA_RATIO)),
        ],
        notes=notes,
    )


def _met(ratio: float | None, wanted: float) -> bool | None:
    return None if ratio is None else ratio >= wanted


def _ratio(speed: dict[str, Figure], ours: str, theirs: str) -> float | None:
    """The median of the rounds' ratios."""
    if theirs not in speed:
        return None
    return float(np.median([a / b for a, b in zip(speed[ours].values, speed[theirs].values, strict=True)]))


def _cases(customers: int) -> dict[str, Case]:
    few = max(1_000, customers // SLOW)
    rush = load_scenario(find_scenario("lunch_rush"))
    cases: dict[str, Case] = {
        "model, SimPy": lambda: _model(rush, "simpy"),
        "model, ours": lambda: _model(rush, "compiled", times=MODEL_RUNS),
        "M/M/3, SimPy": lambda: _timed(lambda: simpy_queue(few), few),
        "M/M/3, ours": lambda: _model(queue_scenario(customers // REPLICATIONS), "compiled", times=REPLICATIONS),
    }
    if _has("cimba"):
        cases["M/M/3, cimba"] = lambda: _cimba(customers)
    if _has("ciw"):
        cases["M/M/3, Ciw"] = lambda: _timed(lambda: ciw_queue(few), few)
    return cases


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _timed(act: Callable[[], object], customers: int) -> dict[str, float]:
    begin = time.process_time()
    act()
    return {"speed": customers / (time.process_time() - begin)}


def queue_scenario(customers: int) -> Scenario:
    """M/M/3 as tables."""
    return load_scenario(TABLES % (customers / ARRIVAL, SERVERS, ARRIVAL, 1 / SERVICE))


def _model(scenario: Scenario, engine: Any, times: int = 1) -> dict[str, float]:
    """The model's speed; drawing who comes is part of it."""
    run, plan, recipe = engine_of(engine), make_plan(scenario), make_recipe(scenario)
    diners = 0
    begin = time.process_time()
    for number in range(times):
        key = make_key(1, "s1", number)
        timetable = draw_timetable(recipe, key)
        diners += len(run(plan, timetable, key).rows)
    return {"speed": diners / (time.process_time() - begin)}


def simpy_queue(customers: int) -> float:
    """M/M/3 as people write it with SimPy; returns the mean wait."""
    import random

    import simpy

    draw, env = random.Random(1), simpy.Environment()
    servers = simpy.Resource(env, SERVERS)
    waits: list[float] = []

    def customer() -> Any:
        came = env.now
        with servers.request() as turn:
            yield turn
            waits.append(env.now - came)
            yield env.timeout(draw.expovariate(SERVICE))

    def arrivals() -> Any:
        for _ in range(customers):
            yield env.timeout(draw.expovariate(ARRIVAL))
            env.process(customer())

    env.process(arrivals())
    env.run()
    return sum(waits) / len(waits)


def ciw_queue(customers: int) -> float:
    """M/M/3 in Ciw; returns the mean wait."""
    import ciw

    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=ARRIVAL)],
        service_distributions=[ciw.dists.Exponential(rate=SERVICE)],
        number_of_servers=[SERVERS],
    )
    ciw.seed(1)
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(customers)
    waits = [record.waiting_time for record in simulation.get_all_records()]
    return float(sum(waits) / len(waits))


def _cimba(customers: int) -> dict[str, float]:
    """M/M/3 in cimba, compiled already; it keeps the mean length of the queue, not each customer's wait."""
    said = [str(each) for each in (customers, ARRIVAL, SERVICE)]
    return {"speed": _number("cimba", [sys.executable, "-m", "chaos.bench.cimba_queue", *said], dict(os.environ))}


def _number(which: str, command: list[str], environment: dict[str, str]) -> float:
    """The number that a program prints last."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{which} failed: {(done.stderr.strip() or 'it said nothing').splitlines()[-1]}")
    return float(done.stdout.strip().splitlines()[-1])


def _first_results() -> dict[str, Figure]:
    """Processor time to the first result of M/M/3 in a process that finds nothing compiled, and of ours in one that finds all."""
    with tempfile.TemporaryDirectory() as folder:
        found = {name: Figure("s", (_first_result("ours", folder),)) for name in ("ours", "ours, kept")}
        if _has("cimba"):
            found["cimba"] = Figure("s", (_first_result("cimba", folder),))
    return found


_PROGRAMS = {
    "ours": "from simulator.model.engines import run_store; run_store(simulator.queue_scenario(1000), 'compiled')",
    "cimba": "from chaos.bench.cimba_queue import make_experiment; make_experiment(300.0, 3.0, 1.25)()",
}


def _first_result(which: str, folder: str) -> float:
    program = f"import time; from chaos.bench import simulator\n{_PROGRAMS[which]}\nprint(time.process_time())"
    environment = os.environ | {"RUSHPROOF_COMPILED_CACHE": folder, "NUMBA_CACHE_DIR": folder}
    return _number(f"the first result of {which}", [sys.executable, "-c", program], environment)


def _chain_of_many_sizes(stores: int, workers: int | None) -> float:
    """The wall time of the notebook's chain, with so many processes (None: one for each core); starting them is part of it."""
    with Runner(Workers(workers)) as runner:
        return run_chain(stores, "compiled", runner=runner).wall_s


def _chain(stores: int) -> tuple[float, tuple[float, float]]:
    """One dinner of each store on one core: the wall time, and the interval of the share of parties that got an order."""
    scenario, run = load_scenario(DINNER), engine_of("compiled")
    plan, recipe = make_plan(scenario), make_recipe(scenario)
    shares = []
    begin = time.perf_counter()
    for number in range(stores):
        key = make_key(1, f"store {number}")
        shares.append(float((run(plan, draw_timetable(recipe, key), key).column("told") >= 0).mean()))
    wall = time.perf_counter() - begin
    half = 1.96 * float(np.std(shares)) / len(shares) ** 0.5
    return wall, (float(np.mean(shares)) - half, float(np.mean(shares)) + half)
