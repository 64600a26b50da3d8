"""What the commands of the model have in common: the scenario, the engine, the seed, and a bar."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import get_args

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from chaos.cli.errors import CommandError
from simulator.effects import not_modelled, without_effect
from simulator.model.engines import DEFAULT_ENGINE, EngineMissing, EngineName, engine_of
from simulator.model.figures import BY_NAME
from simulator.model.stopping import AT_LEAST, AT_MOST, PATIENCE_FLOOR, PRECISION, SHARE_FLOOR
from simulator.scenario import DEFAULT_SCENARIO, Scenario, ScenarioError, find_scenario, load_scenario, with_changes
from simulator.sweeps import Point

UNTIL_KNOWN = (
    f"auto: {AT_LEAST} to {AT_MOST} times, until the figures that the scenario is about are known to {PRECISION * 100:g} % of "
    "themselves: told_yes, answer_p95; with tables table_wait, reneged; with stations meal_p95; with a platform platform_late "
    f"(shares: or to {SHARE_FLOOR * 100:g} percentage points; table_wait: or to {PATIENCE_FLOOR * 100:g} % of the patience)"
).replace("%", "%%")
"""What auto means, for a help text."""
FIGURES_SAID = "Figures, each with its unit (a share is from 0 to 1):\n" + "".join(
    f"  {each.name:19}{each.unit or 'number':10}{each.says}\n" for each in BY_NAME.values()
)
"""All figures, for a help text."""


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command that runs the model."""
    parser.add_argument(
        "scenario",
        metavar="SCENARIO",
        nargs="?",
        default=DEFAULT_SCENARIO,
        help=f"name of a shipped scenario (rushproof scenarios list) or a YAML file (default: {DEFAULT_SCENARIO})",
    )
    parser.add_argument(
        "--engine",
        choices=get_args(EngineName),
        default=DEFAULT_ENGINE,
        help="simpy: the reference; compiled: its twin, the same to the last bit and about a hundred times as fast, needs "
        f"numba (default here: {DEFAULT_ENGINE})",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of every draw (default: the scenario's)")


def read_scenario(options: argparse.Namespace) -> Scenario:
    """The scenario with the options applied; CommandError if it cannot be."""
    try:
        scenario = load_scenario(find_scenario(options.scenario))
        return scenario if options.seed is None else with_changes(scenario, {"seed": options.seed})
    except ScenarioError as error:
        raise CommandError(str(error)) from error


def engine_name(options: argparse.Namespace) -> EngineName:
    """The engine, loaded (and compiled, the first time); CommandError if it is not there."""
    name: EngineName = options.engine
    try:
        engine_of(name)
    except EngineMissing as error:
        raise CommandError(str(error)) from error
    return name


def read_figures(text: str) -> list[str]:
    """Names of figures; CommandError for one that is not there."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise CommandError(f"--figures names none; the figures are {', '.join(BY_NAME)}")
    for name in names:
        if name not in BY_NAME:
            raise CommandError(f"there is no figure {name!r}; the figures are {', '.join(BY_NAME)}")
    return list(dict.fromkeys(names))


def read_replications(said: str) -> int | None:
    """How often; None is auto. CommandError if it is neither."""
    if said == "auto":
        return None
    if not (said.isascii() and said.isdecimal() and len(said) <= 9) or not 1 <= int(said) <= AT_MOST:
        raise CommandError(f"--replications takes a number from 1 to {AT_MOST} or auto, not {said!r}")
    return int(said)


def counted(number: int, what: str) -> str:
    """`1 replication`, `2,000 replications`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def shorter_times(scenarios: Sequence[Scenario]) -> list[str]:
    """A line where people's and the kitchen's times are scaled, for the figures' seconds are real ones; else none."""
    scales = sorted({scenario.time_scale for scenario in scenarios})
    if scales == [1]:
        return []
    if len(scales) > 1:
        return ["people's and the kitchen's times are divided by time_scale here, each design's by its own"]
    (scale,) = scales
    if scale < 1:
        return [f"people's and the kitchen's times are {1 / scale:g} times longer here: 1 s is {scale:g} s"]
    size, unit = next((size, unit) for size, unit in ((3_600, "h"), (60, "min"), (1, "s")) if scale >= size)
    return [f"people's and the kitchen's times are {scale:g} times shorter here: 1 s is {scale / size:g} {unit}"]


def caveats(points: Sequence[Point]) -> list[str]:
    """What whoever reads the figures of these designs must know: fields without effect, and what is not modelled."""
    return [*without_effect(points), *(f"not modelled: {name}" for name in not_modelled(points))]


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error if that is a terminal; yields what is told how far it is."""
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)
