"""`rushproof plan SCENARIO --find FIELD --from A --to B --keep BUDGET`: the least that keeps the budgets, or the most."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaos.cli import batching
from chaos.cli.batching import add_batch_options, batch_runner, check_batch_options, keep_figures, kept_before
from chaos.cli.drawing import draw
from chaos.cli.errors import CommandError
from chaos.cli.headroom import add_headroom_options, check_question, run_headroom
from chaos.cli.modelling import (
    FIGURES_SAID,
    add_model_options,
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
from chaos.cli.tracing import add_trace_options, read_replay, replayed_json, told_of
from simulator.effects import not_modelled, without_effect
from simulator.model.stopping import AT_MOST
from simulator.scenario_model import Scenario
from simulator.strain import still_growing
from simulator.sweeps import LEAST_TOLD, MOST_RENEGED, Answer, Trial, designs_of, plan, read_budget

DESCRIPTION = """\
Find the least of something that keeps the budgets, or with --most the greatest: how many tables, event loops, cooks, how much
load. A budget is kept only if the whole 95 % interval of its figure keeps it.

  rushproof plan mine.yaml --find stores.tables --from 10 --to 80 --keep "table_wait<=600" --keep "reneged<=0.02"
  rushproof plan mine.yaml --find model.kitchen.wok.cooks --from 1 --to 12 --keep "meal_p95<=1200"
  rushproof plan calm --find diners.arrivals.rate_per_s --from 10 --to 400 --step 10 --most --keep "answer_p95<=500"
  rushproof plan calm --headroom
  rushproof plan mine.yaml --headroom --trace orders.csv.gz --keep "answer_p95<=500" --out found

The third is the most load until the answer takes too long, or too few have one; --headroom asks in times of today's load, until
the stack, the tables or the kitchen give way, or a queue still grows when the evening ends.

Some figures are of those who are left, and look best when hardly anybody is; so a budget on them keeps another one, too, unless
that is said: answer_*, meal_*, late and offline_p99 are of diners who were told yes, at least --least-told of those who order;
platform_p95 is of orders that a platform had accepted, no more than the rest of them come too late (platform_late); table_wait,
and meal_* where there are tables, are of parties that got one, no more than --most-reneged renege, and no more balk. No budget
is kept if in any replication people came, or ordered at the platform, and none had its figure.

The search is by bisection: more must never be worse (with --most: never better). Both ends are tried in any case; if what was
tried contradicts that, it is said. A field that changes nothing, and what the scenario says that the model leaves out, are
named below the answer.
"""
EPILOG = f"""{FIGURES_SAID}
{batching.EPILOG}
Exit code: 0 found, 1 nothing in the range keeps the budgets (--headroom: today's load does not hold), 2 usage or
environment, 130 interrupted."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "plan",
        help="the least that keeps given budgets, in virtual time",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_options(parser)
    _add_question_options(parser)
    add_headroom_options(parser)
    add_trace_options(parser)
    add_batch_options(parser, "; also a picture of the trials")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document to standard output, all else to standard error"
    )
    parser.set_defaults(run=run)


def _add_question_options(parser: argparse.ArgumentParser) -> None:
    """What to find, in which range, and what must be kept."""
    parser.add_argument(
        "--find",
        metavar="FIELD",
        help="a field of the scenario that is a number, named as in its file with dots between, such as stores.tables; values "
        "are in its own unit",
    )
    parser.add_argument(
        "--from", type=float, dest="low", metavar="A", help="the smallest value; it is tried in any case"
    )
    parser.add_argument(
        "--to",
        type=float,
        dest="high",
        metavar="B",
        help="the largest value; it is tried in any case (--headroom: see there)",
    )
    parser.add_argument(
        "--step",
        type=float,
        metavar="S",
        help="from one value to the next; the last step, to B, may be shorter (default: 1; --headroom: 0.1)",
    )
    parser.add_argument(
        "--keep",
        action="append",
        metavar="BUDGET",
        help='a figure from those below, <= or >=, and a number in its unit, in quotes: "answer_p95<=500"; may be repeated, '
        "then all must be kept",
    )
    parser.add_argument(
        "--most", action="store_true", help="find the greatest value that keeps the budgets (default: the least)"
    )
    parser.add_argument(
        "--least-told",
        type=float,
        default=LEAST_TOLD,
        metavar="SHARE",
        help="least share of those who order that is told yes, where a budget is about diners who were and no told_yes>=… is "
        f"said; from 0, which asks for none, to 1 (default: {LEAST_TOLD:g})",
    )
    parser.add_argument(
        "--most-reneged",
        type=float,
        default=MOST_RENEGED,
        metavar="SHARE",
        help="largest share of the parties that reneges, and that balks, where a budget is about those that got a table (also "
        "with --headroom, where there are tables) and no reneged<=… or balked<=… is said; from 0 to 1, which asks for nothing "
        f"(default: {MOST_RENEGED:g})",
    )
    parser.add_argument(
        "--replications",
        type=int,
        default=20,
        metavar="N",
        help="how many evenings to draw of each value that is tried, the same for all (default: 20; at least 2)",
    )


def run(options: argparse.Namespace) -> int:
    """Search and tell."""
    check_batch_options(options)
    check_question(options)
    if not 2 <= options.replications <= AT_MOST:
        raise CommandError(f"--replications must be from 2 to {AT_MOST}, for an interval, not {options.replications}")
    if not 0 <= options.least_told <= 1:
        raise CommandError(f"--least-told takes a share from 0 to 1, not {options.least_told:g}")
    if not 0 <= options.most_reneged <= 1:
        raise CommandError(f"--most-reneged takes a share from 0 to 1, not {options.most_reneged:g}")
    if options.headroom:
        return run_headroom(options)
    try:
        budgets = [read_budget(text) for text in options.keep]
        scenario = read_scenario(options)
        check_out(options, f"plan-{scenario.name}")
        replay, engine = read_replay(options, scenario, [options.find], options.replications), engine_name(options)
        with batch_runner(options) as runner, progress(f"rushproof: plan {options.find}", None) as on_trial:
            answer = plan(
                scenario,
                options.find,
                options.low,
                options.high,
                budgets,
                most=options.most,
                step=options.step,
                engine=engine,
                replications=options.replications,
                least_told=options.least_told,
                most_reneged=options.most_reneged,
                replay=replay,
                runner=runner,
                on_trial=on_trial,
            )
            points = [trial.point for trial in answer.trials]
            written = keep_figures(options, f"plan-{scenario.name}", designs_of(points))
            written += draw(options, f"plan-{scenario.name}", points, _names(answer), answer.budgets, answer.value)
    except ValueError as error:
        raise CommandError(str(error)) from error
    if options.json:
        content = _content(options, scenario, answer) | replayed_json(replay, scenario)
        sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    console = Console(stderr=options.json, highlight=False)
    _tell(options, answer, console)
    for line in (
        f"{counted(runner.computed + runner.kept, 'replication')}{kept_before(runner)}",
        *unvaried_lines([trial.point for trial in answer.trials if trial.value == answer.value], _names(answer)),
        *shorter_times([point.found.scenario for point in points]),
        *told_of(replay, scenario, options.replications),
        *caveats(points),
        *written,
    ):
        console.print(Text(line), soft_wrap=True)
    return 0 if answer.value is not None else 1


def _content(options: argparse.Namespace, scenario: Scenario, answer: Answer) -> dict[str, Any]:
    trials = [
        {
            "value": trial.value,
            "keeps": trial.keeps,
            "figures": {name: bounds(found) for name, found in trial.figures.items()},
            "lacking": dict(trial.lacking),
        }
        for trial in answer.trials
    ]
    points = [trial.point for trial in answer.trials]
    return {
        "kind": "plan",
        "time_scale": scenario.time_scale,
        "find": options.find,
        "most": options.most,
        "doubts": list(answer.doubts),
        "budgets": [str(budget) for budget in answer.budgets],
        "value": answer.value,
        "growing": _growing(answer),
        "trials": trials,
        "without_effect": without_effect(points),
        "not_modelled": not_modelled(points),
    }


def _growing(answer: Answer) -> list[str]:
    """What still grew at the value that was found when the evening ended: a longer one may need another value."""
    found = [trial.point.found for trial in answer.trials if trial.value == answer.value]
    return [
        f"at {answer.value:g} {sentence}; ask again with a longer duration_s"
        for each in found
        for _, sentence in still_growing(each)
    ]


def _implied(options: argparse.Namespace, answer: Answer) -> list[str]:
    """What no trial kept although nobody said it, and by which option another bound is said."""
    changed_by = {"told_yes": "--least-told", "platform_late": "--least-told"}
    return [
        f"{budget} goes with what is asked, and no trial keeps it; "
        f"{changed_by.get(budget.figure, '--most-reneged')} says another bound"
        for budget in answer.budgets[len(options.keep) :]
        if not any(
            budget.is_kept(trial.figures[budget.figure], trial.lacking[budget.figure]) for trial in answer.trials
        )
    ]


def _cell(trial: Trial, name: str) -> str:
    """The mean and its interval; and in how many replications nobody had the figure."""
    found, lacking = trial.figures[name], trial.lacking[name]
    shown = told(found)
    return f"{shown} (nobody in {lacking} of {trial.point.found.replications})" if lacking else shown


def _names(answer: Answer) -> list[str]:
    """The figures that the budgets are about."""
    return list(dict.fromkeys(budget.figure for budget in answer.budgets))


def _tell(options: argparse.Namespace, answer: Answer, console: Console) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    names = _names(answer)
    for column in (options.find.rpartition(".")[2], *names, "keeps"):
        table.add_column(column, justify="right")
    for trial in answer.trials:
        shown = [_cell(trial, name) for name in names]
        table.add_row(f"{trial.value:g}", *shown, "yes" if trial.keeps else "no")
    console.print(table)
    wanted = " and ".join(str(budget) for budget in answer.budgets)
    if answer.value is None:
        console.print(
            Text(f"no {options.find} from {options.low:g} to {options.high:g} keeps {wanted}"), soft_wrap=True
        )
    else:
        which = "most" if options.most else "least"
        console.print(Text(f"the {which} {options.find} that keeps {wanted}: {answer.value:g}"), soft_wrap=True)
    open_at = [f"{trial.value:g}" for trial in answer.trials if _is_open(trial, answer)]
    if open_at:
        told_of_mean = f"at {', '.join(open_at)} the means keep all of it, but whole intervals do not"
        console.print(Text(f"{told_of_mean}: more --replications may show that it is kept there"), soft_wrap=True)
    for line in (*_implied(options, answer), *answer.doubts, *_growing(answer)):
        console.print(Text(line), soft_wrap=True)


def _is_open(trial: Trial, answer: Answer) -> bool:
    """Whether more replications may show that this value keeps the budgets."""
    cells = [(budget, trial.figures[budget.figure], trial.lacking[budget.figure]) for budget in answer.budgets]
    return not trial.keeps and all(
        budget.is_kept(found, gone) or budget.is_open(found, gone) for budget, found, gone in cells
    )
