"""`rushproof bench overload`: goodput of a store in and after a storm of retries, with the remedies and without them."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from chaos.bench.overload_picture import PICTURE_SUFFIXES, draw
from chaos.bench.overload_run import Storm, run_storm
from chaos.bench.result import BenchError, BenchResult, Figure, Goal
from refsystem.overload.settings import ServiceDelay
from simulator.scenario import Scenario, find_scenario, load_scenario, with_changes

NAME = "overload"
SUMMARY = "goodput at twice the capacity and after it, with the remedies and without"
DESCRIPTION = """\
Goodput (orders told yes while somebody still waited) of a store at twice its capacity, and after it: two drills of the scenario
retry_storm on real processes, one with every remedy against overload and one without any. Both are audited like any drill. The
store's capacity is declared, by a delay in the device that takes orders; each order costs this machine several milliseconds of
processor besides, so a capacity that two cores cannot hold makes the load generator late, and the result says so.

  rushproof bench overload                            about two and a half minutes
  rushproof bench overload --picture goodput.svg      draws both curves into a file (.svg or .png)
  rushproof bench overload --capacity 150 --json      another declared capacity, and one JSON document
  rushproof bench overload --off retry_budget         the second drill lacks only this remedy; may be given more than once
"""

SCENARIO = "retry_storm"
WITH, WITHOUT = "with", "without"
LEAST_RATIO_WITH, LEAST_RATIO_WITHOUT = 0.9, 0.5
CAPACITY_MIN, CAPACITY_MAX = 20, 1_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--seed", type=int, metavar="N", help="seed of every draw (default: the scenario's)")
    parser.add_argument(
        "--capacity", type=int, metavar="N", help="declared orders a second, a multiple of 20 (default: the scenario's)"
    )
    parser.add_argument(
        "--off", action="append", metavar="NAME", help="what the second drill lacks (default all); repeatable"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw both curves into this file (.svg or .png)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep both run folders in DIR, which must be new")


def count_steps(options: argparse.Namespace) -> int:
    """Two drills."""
    _check(options)
    return 2


def measure(options: argparse.Namespace, on_step: Callable[[str], None]) -> BenchResult:
    """Run it."""
    _check(options)
    scenarios = {WITH: _scenario(options, ()), WITHOUT: _scenario(options, tuple(options.off or ("all",)))}
    temporary = tempfile.TemporaryDirectory(prefix="rushproof-bench-") if options.keep is None else None
    storms: dict[str, Storm] = {}
    with temporary or nullcontext(str(options.keep)) as folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name, scenario in scenarios.items():
            on_step(f"{name} the remedies")
            storms[name] = run_storm(scenario, Path(folder) / name)
    found = result(storms, scenarios)
    if options.picture is not None:
        draw(options.picture, storms, capacity_per_s(scenarios[WITH]), off=_off_words(scenarios[WITHOUT]))
    return found


def result(storms: Mapping[str, Storm], scenarios: Mapping[str, Scenario]) -> BenchResult:
    """Figures, goals and curves of both drills."""
    figures = {
        name: {quantity: Figure(unit, (value,)) for quantity, (unit, value) in storm.quantities.items()}
        for name, storm in storms.items()
    }
    notes = [f"{name} the remedies: {storm.trouble}" for name, storm in storms.items() if storm.trouble]
    scenario = scenarios[WITHOUT]
    every_remedy = scenario.overload is not None and "all" in scenario.overload.off
    violations = sum(storm.violations for storm in storms.values())
    goals = [
        _goal("goodput with the remedies, of what was possible", storms[WITH], f">= {LEAST_RATIO_WITH:g}"),
        _goal(f"goodput without ({_off_words(scenario)})", storms[WITHOUT], f"<= {LEAST_RATIO_WITHOUT:g}"),
        Goal("orders in a class that fails always", "0", violations, violations == 0),
    ]
    return BenchResult(
        bench=NAME,
        settings={"scenario": SCENARIO, "seed": scenario.seed, "off": _off_words(scenario)},
        figures=figures,
        headline={
            "capacity_per_s": capacity_per_s(scenario),
            "curves": {name: storm.curve() for name, storm in storms.items()},
        },
        goals=goals if every_remedy else [goals[0], goals[2]],
        notes=notes,
    )


def capacity_per_s(scenario: Scenario) -> float:
    """What the scenario declares."""
    said = scenario.stores[0].service_delay
    assert said is not None, f"{SCENARIO} declares a capacity"
    return ServiceDelay(said.servers, said.ms).orders_per_s


def _goal(name: str, storm: Storm, wanted: str) -> Goal:
    """Not measured where the load generator was too late for its curve to mean anything."""
    if storm.trouble:
        return Goal(name, wanted, None, None)
    least = storm.least_ratio
    met = least >= LEAST_RATIO_WITH if wanted.startswith(">") else least <= LEAST_RATIO_WITHOUT
    return Goal(name, wanted, round(least, 3), met)


def _scenario(options: argparse.Namespace, off: tuple[str, ...]) -> Scenario:
    scenario = load_scenario(find_scenario(SCENARIO))
    changes: dict[str, Any] = {"overload": {"off": list(off)}}
    if options.seed is not None:
        changes["seed"] = options.seed
    if options.capacity is not None:
        said = scenario.stores[0].service_delay
        assert said is not None
        times = options.capacity / capacity_per_s(scenario)
        store = scenario.stores[0].model_dump(mode="json", exclude_none=True)
        store["service_delay"]["servers"] = round(said.servers * times)
        changes |= {
            "stores": [store],
            "least_acknowledged": round(scenario.least_acknowledged * times),
            "diners": {"arrivals": {"rate_per_s": scenario.diners.arrivals.rate_per_s * times}},
        }
    return with_changes(scenario, changes)


def _off_words(scenario: Scenario) -> str:
    return ", ".join(scenario.overload.off) if scenario.overload is not None else ""


def _check(options: argparse.Namespace) -> None:
    capacity = options.capacity
    if capacity is not None and (not CAPACITY_MIN <= capacity <= CAPACITY_MAX or capacity % CAPACITY_MIN):
        raise BenchError(
            f"--capacity must be a multiple of {CAPACITY_MIN} from {CAPACITY_MIN} to {CAPACITY_MAX}, not {capacity}"
        )
    picture, keep = options.picture, options.keep
    if picture is not None and picture.suffix not in PICTURE_SUFFIXES:
        raise BenchError(f"--picture must end in {' or '.join(PICTURE_SUFFIXES)}, not {picture.name!r}")
    if picture is not None and not picture.absolute().parent.is_dir():
        raise BenchError(f"--picture: there is no folder {picture.parent}")
    if keep is not None and keep.exists():
        raise BenchError(f"--keep: {keep} is there already; name a new folder")
    _known(options.off or ())


def _known(names: tuple[str, ...]) -> None:
    from refsystem.overload.remedies import Remedies, UnknownRemedy

    try:
        Remedies.without(*names)
    except UnknownRemedy as error:
        raise BenchError(f"--off: {error}") from error
