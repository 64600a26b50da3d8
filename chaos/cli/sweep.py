"""`rushproof sweep SCENARIO --over FIELD=A,B,…`: designs side by side, on the same draws."""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaos.cli import batching
from chaos.cli.batching import add_batch_options, batch_runner, check_batch_options, keep_figures, kept_before
from chaos.cli.drawing import draw
from chaos.cli.errors import CommandError
from chaos.cli.modelling import (
    FIGURES_SAID,
    UNTIL_KNOWN,
    add_model_options,
    caveats,
    counted,
    engine_name,
    progress,
    read_figures,
    read_replications,
    read_scenario,
    shorter_times,
)
from chaos.cli.outputs import check_file, check_out
from chaos.cli.tracing import add_trace_options, read_replay, replayed_json, told_of
from simulator.effects import not_modelled, without_effect
from simulator.model.figures import BY_NAME
from simulator.replaced_fields import FieldError, read_values
from simulator.sweeps import Point, designs_of, rows, sweep

DESCRIPTION = """\
Run the model for every combination of values. All designs have the same draws, so differences between them are not noise.

  rushproof sweep calm --over diners.arrivals.rate_per_s=50,100,150,200
  rushproof sweep mine.yaml --over stores.tables=20,30,40 --over model.edge.workers=1,2 --figures table_wait,answer_p95
  rushproof sweep mine.yaml --over model.kitchen.wok.cooks=1,2,3 --csv sweep.csv
  rushproof sweep mine.yaml --over stores.tables=20,30,40 --replications 500 --out found --workers 8

A field is named as in the scenario's file, with dots between (`rushproof scenarios schema` describes all, with their units); in a
list it is that of all members (stores.tables), or of the one named (stores.s2.tables). A cell is the mean over the replications ±
half of its 95 % interval. A field that changes nothing, and what the scenario says that the model leaves out, are named below.
"""
EPILOG = f"{FIGURES_SAID}\n{batching.EPILOG}\nExit code: 0 done, 2 usage or environment, 130 interrupted."
FIGURES = "told_yes,answer_p95,gave_up,meal_p95"
SENTENCES_MAX = 10
"""No more sentences about figures that are not known are printed."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "sweep",
        help="designs side by side in virtual time",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_options(parser)
    parser.add_argument(
        "--over", action="append", required=True, metavar="FIELD=A,B,…",
        help="a field of the scenario and the values to try, in the field's own unit; again for another field: every combination "
        "is a design (at most 10,000). A value that is a list is written [A,B]: [0.5,0.5],[0.2,0.8] are two values",
    )  # fmt: skip
    parser.add_argument(
        "--figures", metavar="A,B,…",
        help="the columns of the table, from those below; with auto go on until these are known "
        f"(default: {FIGURES})",
    )  # fmt: skip
    parser.add_argument(
        "--replications", metavar="N|auto", default="20",
        help=f"how many evenings to draw of each design, the same for all (default: 20). {UNTIL_KNOWN}; each design by itself",
    )  # fmt: skip
    add_trace_options(parser)
    add_batch_options(parser, "; also a picture of the figures")
    parser.add_argument(
        "--csv", type=Path, metavar="FILE",
        help="write the table there: a row for each design, of each figure the mean and the ends of its 95 %% interval",
    )  # fmt: skip
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document to standard output, all else to standard error"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run all designs and tell them."""
    check_batch_options(options)
    over = _read_over(options.over)
    named = None if options.figures is None else read_figures(options.figures)
    names = read_figures(FIGURES) if named is None else named
    wanted = read_replications(options.replications)
    scenario = read_scenario(options)
    check_out(options, f"sweep-{scenario.name}")
    if options.csv is not None:
        check_file(options.csv)
    replay, engine = read_replay(options, scenario, over, wanted), engine_name(options)
    total = None if wanted is None else wanted * math.prod(len(values) for values in over.values())
    try:
        with batch_runner(options) as runner, progress(f"rushproof: sweep {scenario.name}", total) as on_replication:
            points = sweep(
                scenario,
                over,
                engine,
                wanted,
                watched=named,
                replay=replay,
                runner=runner,
                on_replication=on_replication,
            )
            written = keep_figures(options, f"sweep-{scenario.name}", designs_of(points))
            written += draw(options, f"sweep-{scenario.name}", points, names)
    except ValueError as error:
        raise CommandError(str(error)) from error
    found = list(rows(points, names))
    if options.csv is not None:
        _write(options.csv, found)
    if options.json:
        content = {
            "kind": "sweep",
            "scenario": scenario.name,
            "time_scale": scenario.time_scale,
            "engine": engine,
            "replications": "auto" if wanted is None else wanted,
            **replayed_json(replay, scenario),
            "designs": found,
            "not_known": _not_known(points),
            "without_effect": without_effect(points),
            "not_modelled": not_modelled(points),
        }
        sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    console = Console(stderr=options.json, highlight=False)
    _tell(points, names, console)
    for line in (
        f"{counted(sum(point.found.replications for point in points), 'replication')}{kept_before(runner)}",
        *shorter_times([point.found.scenario for point in points]),
        *_shortened(_not_known(points)),
        *told_of(replay, scenario, wanted),
        *caveats(points),
        *written,
    ):
        console.print(Text(line), soft_wrap=True)
    return 0


def _read_over(texts: Sequence[str]) -> dict[str, list[Any]]:
    """The fields and their values; CommandError if they cannot be read, or a field comes twice."""
    over: dict[str, list[Any]] = {}
    for text in texts:
        path, sign, values = (part.strip() for part in text.partition("="))
        if not sign or not path or not values:
            raise CommandError(f"--over takes FIELD=A,B,…, not {text!r}")
        if path in over:
            raise CommandError(f"--over names {path} twice; give all its values at once, as {path}=A,B,…")
        try:
            over[path] = read_values(values)
        except FieldError as error:
            raise CommandError(f"--over {path}: {error}") from error
    return over


def _not_known(points: Sequence[Point]) -> list[str]:
    """A sentence for each figure of a design that automatic replications left less known than was wanted."""
    return [
        f"{', '.join(f'{path}={value}' for path, value in point.settings.items())}: {sentence}"
        for point in points
        for sentence in point.found.not_known()
    ]


def _shortened(sentences: Sequence[str]) -> list[str]:
    more = len(sentences) - SENTENCES_MAX
    return [*sentences[:SENTENCES_MAX], *([f"and {more} more like these (all with --json)"] if more > 0 else [])]


def _tell(points: list[Point], names: list[str], console: Console) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for path in points[0].settings:
        table.add_column(path.rpartition(".")[2])
    differ = len({point.found.replications for point in points}) > 1
    if differ:
        table.add_column("replications", justify="right")
    for name in names:
        table.add_column(f"{name} [{BY_NAME[name].unit or '1'}]", justify="right")
    for point in points:
        cells = [str(value) for value in point.settings.values()]
        if differ:
            cells.append(f"{point.found.replications:,}")
        for name in names:
            found = point.found.interval(name)
            half = None if found is None else found.half_width
            cells.append("-" if found is None else f"{found.mean:.4g}" + ("" if half is None else f" ±{half:.2g}"))
        table.add_row(*cells)
    console.print(table)


def _write(path: Path, found: list[dict[str, Any]]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(found[0]))
            writer.writeheader()
            writer.writerows(found)
    except OSError as error:
        raise CommandError(
            f"{path}: cannot be written ({error.strerror}); name a file in a folder that exists"
        ) from error
