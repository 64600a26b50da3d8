"""`rushproof sweep SCENARIO --over FIELD=A,B,…`: designs side by side, on the same draws."""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaos.cli import batching
from chaos.cli.batching import add_batch_options, batch_runner, check_batch_options, keep_figures, kept_before
from chaos.cli.drawing import draw
from chaos.cli.errors import CommandError
from chaos.cli.modelling import add_model_options, caveats, engine_name, progress, read_figures, read_scenario
from chaos.cli.tracing import add_trace_options, read_replay, replayed_json, told_of
from simulator.effects import not_modelled, without_effect
from simulator.model.figures import BY_NAME
from simulator.model.stopping import AT_MOST
from simulator.sweeps import Point, designs_of, rows, sweep

DESCRIPTION = """\
Run the model for every combination of values. All designs have the same draws, so differences between them are not noise.

  rushproof sweep calm --over diners.arrivals.rate_per_s=50,100,150,200
  rushproof sweep mine.yaml --over stores.tables=20,30,40 --over model.edge.workers=1,2 --figures table_wait,answer_p95
  rushproof sweep mine.yaml --over model.kitchen.wok.cooks=1,2,3 --csv sweep.csv
  rushproof sweep mine.yaml --over stores.tables=20,30,40 --replications 500 --out found --workers 8

A field is named as in the scenario's file; in a list it is that of all members, or of the one named. A field that changes
nothing, and what the scenario says that the model leaves out, are named below the table.
"""
EPILOG = f"{batching.EPILOG}\nExit code: 0 done, 2 usage or environment, 130 interrupted."
FIGURES = "told_yes,answer_p95,gave_up,meal_p95"


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
    parser.add_argument("--over", action="append", required=True, metavar="FIELD=A,B,…", help="a field and its values")
    parser.add_argument("--figures", default=FIGURES, metavar="A,B,…", help=f"figures to tell (default: {FIGURES})")
    parser.add_argument("--replications", type=int, default=20, metavar="N", help="of each design (default: 20)")
    add_trace_options(parser)
    add_batch_options(parser, "; also a picture of the figures")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table there")
    parser.add_argument("--json", action="store_true", help="print one JSON document to standard output")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run all designs and tell them."""
    check_batch_options(options)
    over = dict(_over(text) for text in options.over)
    names = read_figures(options.figures)
    if not 1 <= options.replications <= AT_MOST:
        raise CommandError(f"--replications must be from 1 to {AT_MOST}, not {options.replications}")
    scenario = read_scenario(options)
    replay, engine = read_replay(options, scenario, over), engine_name(options)
    total = options.replications * math.prod(len(values) for values in over.values())
    try:
        with batch_runner(options) as runner, progress(f"rushproof: sweep {scenario.name}", total) as on_replication:
            points = sweep(
                scenario,
                over,
                engine,
                options.replications,
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
            "engine": engine,
            "replications": options.replications,
            **replayed_json(replay, scenario),
            "designs": found,
            "without_effect": without_effect(points),
            "not_modelled": not_modelled(points),
        }
        sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    console = Console(stderr=options.json, highlight=False)
    _tell(points, names, console)
    for line in (
        f"{runner.computed + runner.kept} replications{kept_before(runner)}",
        *told_of(replay, scenario),
        *caveats(points),
        *written,
    ):
        console.print(Text(line), soft_wrap=True)
    return 0


def _over(text: str) -> tuple[str, list[Any]]:
    path, sign, values = text.partition("=")
    if not sign or not path.strip() or not values.strip():
        raise CommandError(f"--over takes FIELD=A,B,…, not {text!r}")
    return path.strip(), [_value(each.strip()) for each in values.split(",")]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tell(points: list[Point], names: list[str], console: Console) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for path in points[0].settings:
        table.add_column(path.rpartition(".")[2])
    for name in names:
        table.add_column(f"{name} [{BY_NAME[name].unit or '1'}]", justify="right")
    for point in points:
        cells = [str(value) for value in point.settings.values()]
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
