"""`rushproof scenarios list|show|check|schema`: what is shipped, and whether a file of your own is right."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from chaos.cli.errors import CommandError
from simulator.scenario import ScenarioError, find_scenario, load_scenario, scenario_schema, shipped_scenarios


def add_parser(commands: Any) -> None:
    """Add the command and its four actions."""
    parser = commands.add_parser("scenarios", help="list, show and check scenarios; their JSON Schema")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the shipped scenarios, a line each")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=run_list)
    show = actions.add_parser("show", help="print the file of a scenario")
    show.add_argument("scenario", metavar="NAME|FILE")
    show.set_defaults(run=run_show)
    check = actions.add_parser("check", help="check scenario files; exit code 2 and one sentence if one is wrong")
    check.add_argument("scenarios", metavar="NAME|FILE", nargs="+")
    check.set_defaults(run=run_check)
    schema = actions.add_parser("schema", help="print the JSON Schema of scenarios, for editors")
    schema.set_defaults(run=run_schema)


def run_list(options: argparse.Namespace) -> int:
    """One line for each shipped scenario."""
    loaded = {name: load_scenario(path) for name, path in shipped_scenarios().items()}
    if options.json:
        rows = [
            {"name": name, "title": said.title, "duration_s": said.duration_s, "path": str(shipped_scenarios()[name])}
            for name, said in loaded.items()
        ]
        sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
        return 0
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("name", "load", "faults", "what it shows"):
        table.add_column(column, no_wrap=column != "what it shows")
    for name, said in loaded.items():
        table.add_row(name, f"{said.duration_s:g} s", str(len(said.faults)), said.title)
    Console(highlight=False).print(table)
    return 0


def run_show(options: argparse.Namespace) -> int:
    """The file as it is."""
    try:
        sys.stdout.write(find_scenario(options.scenario).read_text(encoding="utf-8"))
    except (ScenarioError, OSError, UnicodeDecodeError) as error:
        raise CommandError(str(error)) from error
    return 0


def run_check(options: argparse.Namespace) -> int:
    """Every file; the first that is wrong ends it."""
    for name in options.scenarios:
        try:
            scenario = load_scenario(find_scenario(name))
        except ScenarioError as error:
            raise CommandError(str(error)) from error
        sys.stdout.write(f"{name}: right ({scenario.title or scenario.name})\n")
    return 0


def run_schema(options: argparse.Namespace) -> int:
    """The JSON Schema."""
    sys.stdout.write(json.dumps(scenario_schema(), indent=2, ensure_ascii=False) + "\n")
    return 0
