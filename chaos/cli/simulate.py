"""`rushproof simulate SCENARIO`: what the evening would do, in virtual time, with intervals."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaos.cli import batching
from chaos.cli.batching import add_batch_options, batch_runner, check_batch_options, keep_figures, kept_before
from chaos.cli.errors import CommandError
from chaos.cli.modelling import (
    FIGURES_SAID,
    UNTIL_KNOWN,
    add_model_options,
    counted,
    engine_name,
    progress,
    read_figures,
    read_replications,
    read_scenario,
    share_said,
    shorter_times,
)
from chaos.cli.outputs import check_out
from chaos.cli.tracing import add_trace_options, read_replay, told_of
from chaos.drill_evidence import EvidenceError
from chaos.measured import Measured, MeasuredError, errors, read_measured
from simulator.batches.tables import Design
from simulator.model.figures import BY_NAME, FIGURES, Figure
from simulator.model.replications import Forecast, Interval, forecast
from simulator.scenario_model import Scenario
from simulator.trace_table import TraceError

DESCRIPTION = """\
Predict what a scenario's evening does to diners, devices, cloud and kitchen: the same scenario files as the drill, in virtual
time. Each replication draws other diners and other delays; the figures are means over replications with 95 % intervals.

  rushproof simulate                             the lunch rush, as often as the figures need
  rushproof simulate mine.yaml --replications 50
  rushproof simulate mine.yaml --figures table_wait,reneged      as often as these need
  rushproof simulate calm --engine simpy         the reference engine on SimPy; the compiled twin gives the same to the last bit
  rushproof simulate lunch_rush --out found      also draws the first replication, and keeps what it finds (Parquet)
  rushproof simulate mine.yaml --replications 1000 --out found --rows --workers 8
  rushproof simulate mine.yaml --replications 1000 --backend dask --scheduler tcp://127.0.0.1:8786
  rushproof simulate calm --trace orders.csv.gz  real evenings in place of drawn ones, the busiest first
  rushproof simulate lunch_rush --beside runs/latest     beside what a drill has measured, and how far off

What the model needs beyond a drill (service times, tables, stations, remedies) stands in the scenario's section `model`;
`rushproof scenarios schema` describes it. Times of people and kitchens are scaled by `time_scale`, as in a drill.
"""
EPILOG = f"{FIGURES_SAID}\n{batching.EPILOG}\nExit code: 0 done, 2 usage or environment, 130 interrupted."


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "simulate",
        help="predict an evening in virtual time",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_options(parser)
    parser.add_argument(
        "--replications",
        metavar="N|auto",
        default="auto",
        help=f"how many evenings to draw (default: auto). {UNTIL_KNOWN}",
    )
    parser.add_argument(
        "--figures",
        metavar="A,B,…",
        help="tell only these figures, and with auto go on until these are known (default: all)",
    )
    parser.add_argument(
        "--beside",
        metavar="RUN",
        type=Path,
        nargs="+",
        default=[],
        help="also tell what drills of the same scenario have measured: folders of runs, or files of `drill --evidence`. Off by: "
        "the prediction against their mean; in brackets how far a drill by itself was from it",
    )
    add_trace_options(parser)
    add_batch_options(parser, "; also the picture of the first replication")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document to standard output, all else to standard error"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the replications and tell the figures."""
    check_batch_options(options)
    wanted = read_replications(options.replications)
    names = None if options.figures is None else read_figures(options.figures)
    scenario = read_scenario(options)
    check_out(options, f"simulate-{scenario.name}")
    measured = _measured(options, scenario)
    try:
        replay, engine = read_replay(options, scenario, (), wanted), engine_name(options)
        with (
            batch_runner(options) as runner,
            progress(f"rushproof: simulate {scenario.name}", wanted) as on_replication,
        ):
            found = forecast(
                scenario,
                engine,
                wanted,
                watched=names,
                replay=replay,
                runner=runner,
                on_replication=on_replication,
            )
            written = keep_figures(options, f"simulate-{scenario.name}", [Design({}, found.series, found.units)])
    except (TraceError, ValueError) as error:
        raise CommandError(str(error)) from error
    if options.out is not None:
        written.append(_draw(found, options.out))
    if options.json:
        sys.stdout.write(json.dumps(_to_json(found, measured), indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    tell(found, Console(stderr=options.json, highlight=False), kept_before(runner), written, names, measured)
    return 0


def _measured(options: argparse.Namespace, scenario: Scenario) -> list[Measured]:
    if options.beside and options.trace is not None:
        raise CommandError("--beside does not go with --trace: a drill of drawn diners says nothing of replayed ones")
    try:
        return read_measured(options.beside, scenario)
    except (OSError, EvidenceError, MeasuredError) as error:
        raise CommandError(str(error)) from error


def _to_json(found: Forecast, measured: list[Measured]) -> dict[str, Any]:
    said = found.to_json()
    if measured:
        said["beside"] = [{"drill": each.name, "seed": each.seed, "figures": dict(each.figures)} for each in measured]
    return said


def tell(
    found: Forecast,
    console: Console,
    kept: str,
    written: list[str],
    names: Collection[str] | None = None,
    measured: Sequence[Measured] = (),
) -> None:
    """The figures as a table; with `names`, only these; with `measured`, what drills say of them in place of what they are."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    numbers, words = ("mean", "95 % interval"), ("measured", "off by") if measured else ("what it is",)
    for column in ("figure", *numbers, "unit", *words):
        left = column in ("figure", "unit", "what it is")
        table.add_column(column, justify="left" if left else "right", no_wrap=column not in ("what it is", "measured"))
    for figure in FIGURES:
        cell = found.interval(figure.name)
        if cell is not None and (names is None or figure.name in names):
            said = _beside(figure, cell, measured) if measured else (figure.says,)
            table.add_row(figure.name, _number(figure, cell.mean), _bounds(figure, cell), _unit(figure), *said)
        elif names is not None and figure.name in names:
            table.add_row(figure.name, "-", "-", _unit(figure), *([""] * len(words) if measured else [figure.says]))
    console.print(table)
    times, events = counted(found.replications, "replication"), counted(found.events, "event")
    console.print(
        Text(f"{times}{kept}, {events}, engine {found.engine}, seed {found.scenario.seed}"),
        soft_wrap=True,
    )
    same = found.unvaried(BY_NAME if names is None else names)
    for sentence in (*shorter_times([found.scenario]), *found.not_known(), *([] if same is None else [str(same)])):
        console.print(Text(sentence), soft_wrap=True)
    for line in told_of(found.series.replay, found.scenario, found.replications):
        console.print(Text(line), soft_wrap=True)
    for name in found.not_modelled():
        console.print(Text(f"not modelled: {name}"), soft_wrap=True)
    for path in written:
        console.print(Text(path), soft_wrap=True)


def _number(figure: Figure, value: float) -> str:
    if figure.unit == "s/s":
        return f"{round(value, 3) + 0.0:.3f}"  # no -0.000
    return share_said(value) if figure.unit == "share" else f"{value:,.4g}" if value < 10_000 else f"{value:,.0f}"


def _beside(figure: Figure, cell: Interval, measured: Sequence[Measured]) -> tuple[str, str]:
    values = [each.figures[figure.name] for each in measured if figure.name in each.figures]
    if not values or not all(values):
        return "", ""
    off_by, widest = errors(cell.mean, values)
    said = ", ".join(_number(figure, value) for value in values)
    return said, f"{off_by:+.0%}" if len(values) == 1 else f"{off_by:+.0%} (±{widest:.0%})"


def _bounds(figure: Figure, cell: Interval) -> str:
    if cell.low is None or cell.high is None:
        return "-"
    return f"{_number(figure, cell.low)} to {_number(figure, cell.high)}"


def _unit(figure: Figure) -> str:
    return "" if figure.unit == "share" else figure.unit


def _draw(found: Forecast, folder: Path) -> str:
    from simulator.evening_plots import draw_evening

    path = folder / f"simulate-{found.scenario.name}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draw_evening(next(found.series.evenings()), path)
    except OSError as error:
        raise CommandError(f"{path}: cannot be written ({error.strerror}); name a folder that can") from error
    return str(path)
