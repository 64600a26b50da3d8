"""`rushproof plan SCENARIO --headroom`: how many times today's load the stack bears before it collapses."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaos.cli.batching import batch_runner, keep_figures, kept_before
from chaos.cli.drawing import draw
from chaos.cli.errors import CommandError
from chaos.cli.modelling import (
    bounds,
    caveats,
    counted,
    engine_name,
    progress,
    read_scenario,
    shorter_times,
    told,
    unvaried_lines,
)
from chaos.cli.outputs import check_out
from chaos.cli.tracing import read_replay, replayed_json, told_of
from simulator.effects import not_modelled
from simulator.headroom import AT_MOST, Headroom, headroom
from simulator.scenario import Scenario
from simulator.strain import GROWS, MEALS
from simulator.sweeps import designs_of, read_budget

STEP = 0.1
_OF_A_FIELD = {"find": "--find", "low": "--from", "most": "--most"}
_NEEDED = {"find": "--find", "low": "--from", "high": "--to", "keep": "--keep"}


def add_headroom_options(parser: argparse.ArgumentParser) -> None:
    """The option of `plan` that asks for it."""
    parser.add_argument(
        "--headroom",
        action="store_true",
        help="instead of --find: how many times today's load (diners, a platform's orders, or those of --trace) holds: "
        "--least-told of those who order are told yes, only the rest give up, with tables --most-reneged at most renege or balk, "
        f"goodput does not fall, no queue still grows when the evening ends (by {GROWS:g} s each second), meal_p95 is at most "
        f"{MEALS:g} times today's (a --keep on meals in place of both), each --keep is kept; by --step "
        f"(default: {STEP:g}), up to --to times (default: {AT_MOST:g})",
    )


def check_question(options: argparse.Namespace) -> None:
    """CommandError unless the options ask for the value of a field, or for headroom; sets the step, if it is not said."""
    if options.headroom:
        for name, option in _OF_A_FIELD.items():
            if getattr(options, name) not in (None, False):
                raise CommandError(f"{option} does not go with --headroom, which varies the load, from today's on")
    else:
        missing = [option for name, option in _NEEDED.items() if getattr(options, name) is None]
        if missing:
            raise CommandError(f"plan lacks {', '.join(missing)}; or ask for --headroom")
    if options.step is None:
        options.step = STEP if options.headroom else 1.0


def run_headroom(options: argparse.Namespace) -> int:
    """Search and tell."""
    try:
        budgets = [read_budget(text) for text in options.keep or ()]
        scenario = read_scenario(options)
        check_out(options, f"headroom-{scenario.name}")
        replay, engine = read_replay(options, scenario, (), options.replications), engine_name(options)
        with batch_runner(options) as runner, progress("rushproof: headroom", None) as on_trial:
            found = headroom(
                scenario,
                budgets,
                step=options.step,
                at_most=AT_MOST if options.high is None else options.high,
                least_told=options.least_told,
                most_reneged=options.most_reneged,
                engine=engine,
                replications=options.replications,
                replay=replay,
                runner=runner,
                on_trial=on_trial,
            )
            points = [load.point for load in found.loads]
            written = keep_figures(options, f"headroom-{scenario.name}", designs_of(points))
            written += draw(options, f"headroom-{scenario.name}", points, _shown(found), found.limits, found.holds)
    except ValueError as error:
        raise CommandError(str(error)) from error
    if options.json:
        content = _content(found, scenario) | replayed_json(replay, scenario) | {"not_modelled": not_modelled(points)}
        sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    console = Console(stderr=options.json, highlight=False)
    console.print(_table(found))
    replications = f"{counted(runner.computed + runner.kept, 'replication')}{kept_before(runner)}"
    same = unvaried_lines([load.point for load in found.loads if load.factor == found.holds], _shown(found))
    for line in (
        *sentences(found),
        replications,
        *same,
        *shorter_times([scenario]),
        *told_of(replay, scenario, options.replications),
        *caveats(points),
        *written,
    ):
        console.print(Text(line), soft_wrap=True)
    return 0 if found.holds is not None and found.holds >= 1 else 1


def sentences(found: Headroom) -> list[str]:
    """The answer in words, after a warning if today's load does not hold already."""
    warning = [] if found.today.holds else [f"today's load does not hold already: {' and '.join(found.today.gave_way)}"]
    return [*warning, _answer(found)]


def _answer(found: Headroom) -> str:
    gave_way = next((load for load in found.loads if load.factor == found.collapses), None)
    why = "" if gave_way is None else f"{gave_way.factor:g} times does not: {' and '.join(gave_way.gave_way)}"
    tested = f"(tested by {found.step:g}, each by whole 95 % intervals)"
    if found.holds is None:
        return f"no headroom: not even the least load tried holds; {why} {tested}"
    if gave_way is None:
        return f"headroom: {found.holds:g} times today's load holds; no more was tried {tested}"
    what = "headroom" if found.holds >= 1 else "no headroom"
    return f"{what}: {found.holds:g} times today's load holds, {why} {tested}"


def _shown(found: Headroom) -> list[str]:
    """The figures of the limits, goodput, and any other that a load gave way in."""
    broken = {name for load in found.loads for name, _ in load.broken}
    asked = {*(limit.figure for limit in found.limits), "goodput"}
    return [name for name in found.loads[0].figures if name in asked | broken]


def _content(found: Headroom, scenario: Scenario) -> dict[str, Any]:
    return {
        "kind": "headroom",
        "scenario": scenario.name,
        "time_scale": scenario.time_scale,
        "holds": found.holds,
        "collapses": found.collapses,
        "step": found.step,
        "today_holds": found.today.holds,
        "limits": [str(limit) for limit in found.limits],
        "loads": [
            {
                "load": load.factor,
                "holds": load.holds,
                "gave_way": list(load.gave_way),
                "figures": {name: bounds(each) for name, each in load.figures.items()},
            }
            for load in found.loads
        ],
    }


def _table(found: Headroom) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    names = _shown(found)
    for column in ("times today's load", *names, "holds"):
        table.add_column(column, justify="right")
    for load in found.loads:
        table.add_row(f"{load.factor:g}", *(told(load.figures[name]) for name in names), "yes" if load.holds else "no")
    return table
