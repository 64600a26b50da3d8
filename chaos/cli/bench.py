"""`rushproof bench NAME`: what something costs or how exact it is, measured against something else in one run."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from chaos.bench.registry import BENCHES, Bench
from chaos.bench.result import BenchError, BenchResult, Figure, Goal
from chaos.cli.errors import CommandError

EXIT_GOAL_MISSED = 1
EPILOG = """\
Exit code: 0 measured, 1 a goal was missed and --check was given, 2 usage or environment, 130 interrupted.
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    listed = "\n".join(f"  rushproof bench {bench.NAME:10} {bench.SUMMARY}" for bench in BENCHES)
    parser = commands.add_parser(
        "bench",
        help="measure what something costs, or how exact it is",
        description=f"Measure what something costs, or how exact it is, against something else in one run.\n\n{listed}\n",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = parser.add_subparsers(title="benchmarks", metavar="NAME", required=True)
    for bench in BENCHES:
        one = names.add_parser(
            bench.NAME,
            help=bench.SUMMARY,
            description=bench.DESCRIPTION,
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        bench.add_arguments(one)
        one.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
        one.add_argument(
            "--json", action="store_true", help="print one JSON document to standard output, all else to standard error"
        )
        one.set_defaults(run=run, bench=bench)


def run(options: argparse.Namespace) -> int:
    """Run one benchmark."""
    bench: Bench = options.bench
    try:
        result = _measure(bench, options)
    except BenchError as error:
        raise CommandError(str(error)) from error
    if options.json:
        sys.stdout.write(json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    tell(result, Console(stderr=options.json, highlight=False))
    missed = any(goal.met is False for goal in result.goals)
    return EXIT_GOAL_MISSED if missed and options.check else 0


def _measure(bench: Bench, options: argparse.Namespace) -> BenchResult:
    """Measure, with a bar on standard error if that is a terminal."""
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(bench.NAME, total=bench.count_steps(options))
        steps = -1

        def on_step(what: str) -> None:
            nonlocal steps
            steps += 1
            progress.update(task, completed=steps, description=what)

        return bench.measure(options, on_step)


def tell(result: BenchResult, console: Console) -> None:
    """The figures as a table, then the goals and what else is to be said."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("median, and half the spread", no_wrap=True)
    for case in result.figures:
        table.add_column(case, justify="right", no_wrap=True)
    for name in dict.fromkeys(name for figures in result.figures.values() for name in figures):
        found = [figures.get(name) for figures in result.figures.values()]
        table.add_row(Text(name), *("" if figure is None else _cell(figure) for figure in found))
    console.print(table)
    for goal in result.goals:
        console.print(Text(f"{goal.name}: {_got(goal)}, aim {goal.wanted}"), soft_wrap=True)
    for note in result.notes:
        console.print(Text(note), soft_wrap=True)


def _cell(figure: Figure) -> str:
    if figure.median == 0:
        return "0"
    half_spread = (figure.high - figure.low) / 2 / abs(figure.median)
    return f"{figure.median:.4g} ±{half_spread:.0%}"


def _got(goal: Goal) -> str:
    if goal.got is None:
        return "not measured"
    return f"{goal.got:.3g} ({'reached' if goal.met else 'missed'})"
