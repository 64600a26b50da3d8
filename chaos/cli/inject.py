"""`rushproof inject`: a scenario's faults on a running system of anybody's own, proven and undone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import uuid
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from chaos.cli.errors import EXIT_INTERRUPTED, EXIT_UNKNOWN, CommandError
from chaos.cli.interruptible import run_interruptible
from chaos.cli.output import STYLES
from chaos.faults.toxiproxy import ToxiproxyError
from chaos.inject.course import Course, Injection
from chaos.inject.journal import DEFAULT_JOURNAL, Journal, undo_journal
from chaos.inject.preparation import prepare
from chaos.inject.targets import InjectError, InjectMap, read_map, with_flags
from chaos.judge import EXIT_CODES
from simulator.scenario import ScenarioError, find_scenario, load_scenario

DESCRIPTION = """\
Put the faults of a scenario on a running system of your own: on links that go through a Toxiproxy server (ours or
Shopify's) and on processes. No stack is started, no load driven. Each fault is proven to have taken effect, and undone
whatever happens; a steady-state hypothesis is looked at before, during and after.

The scenario says what happens and when, under its own names; a map says which proxy or process is meant:

  toxiproxy: http://127.0.0.1:8474
  links:
    edge_cloud: {proxy: orders_api, path: /health}
    cloud_database: {proxy: redis, send: "PING\\r\\n"}
  processes:
    primary: {pidfile: /run/orders.pid, start: [service, orders, start]}
    arbiter: {command: consul agent, start: [systemctl, --user, start, consul]}
  probes:
    - {probe: http, name: shop answers, url: "http://127.0.0.1:8080/", within_ms: 500}
  blast_radius: [edge_cloud, primary]

  rushproof inject primary_killed --on map.yaml --only-mapped
  rushproof inject wan_outage --link edge_cloud=orders_api --blast-radius edge_cloud --probe http://127.0.0.1:8080/
  rushproof inject mine.yaml --process primary=4711 --start primary=same --blast-radius primary
  rushproof inject --undo rushproof-inject.json     after SIGKILL of inject itself
"""
EPILOG = """\
`start` says how a killed process comes back: a command, `same` (as it runs now), or `itself` (a supervisor does it).
The command need not become the service: that is found by its pid file or command line as before, in 30 s at most. One
that was mapped by its id is the process of the command itself.

Exit code: 0 every fault proven and undone, and steady after; 1 the hypothesis was broken; 2 bad input; 3 unknown (a fault
is not proven or not undone, or the system was not steady before); 130 interrupted, with every fault undone.
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "inject",
        help="put a scenario's faults on a running system of your own",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="?", metavar="NAME|FILE", help="a shipped scenario or a YAML file")
    parser.add_argument("--on", type=Path, metavar="MAP", help="the map of your system, a YAML file")
    add = parser.add_argument
    add("--link", action="append", default=[], metavar="NAME=PROXY[@URL]", help="map a link to a proxy")
    add("--process", action="append", default=[], metavar="NAME=PID|FILE|COMMAND", help="map a process")
    add("--start", action="append", default=[], metavar="NAME=COMMAND", help="how a killed process is started again")
    add("--probe", action="append", default=[], metavar="URL", help="must answer 200 within a second, before and after")
    add("--blast-radius", action="append", default=[], metavar="NAMES", help="what may be touched, by commas")
    add("--only-mapped", action="store_true", help="leave out the faults on what is not mapped")
    add("--allow-remote", action="store_true", help="also touch and probe what is not on this machine alone")
    add(
        "--journal",
        type=Path,
        default=Path(DEFAULT_JOURNAL),
        metavar="FILE",
        help=f"where stands, while faults may be in force, what has to be rolled back (default {DEFAULT_JOURNAL})",
    )
    add("--undo", type=Path, metavar="FILE", help="roll back what an inject that was killed has left")
    add("--json", action="store_true", help="print the outcome to standard output, all else to standard error")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.undo is not None:
        return _undo(options)
    if options.scenario is None:
        raise CommandError("give a scenario (see 'rushproof scenarios list'), or --undo FILE")
    console = Console(stderr=True, highlight=False)
    try:
        scenario = load_scenario(find_scenario(options.scenario))
        given = read_map(options.on) if options.on is not None else InjectMap()
        given = with_flags(
            given,
            links=options.link,
            processes=options.process,
            starts=options.start,
            probes=options.probe,
            blast_radius=options.blast_radius,
        )
        journal = Journal(options.journal.absolute(), given.toxiproxy)
        journal.check_free()
        preparation = prepare(
            scenario, given, uuid.uuid4().hex[:6], allow_remote=options.allow_remote, only_mapped=options.only_mapped
        )
        course = Course(scenario, preparation, journal, lambda line: console.print(line, soft_wrap=True, markup=False))
        interrupted = run_interruptible(course.run())
    except (ScenarioError, InjectError, ToxiproxyError) as error:
        raise CommandError(str(error)) from error
    injection = course.injection
    injection.interrupted = injection.interrupted or interrupted
    if options.json:
        _print_json(injection.to_json())
    _tell(options, injection)
    return EXIT_INTERRUPTED if injection.interrupted else EXIT_CODES[injection.verdict]


def _tell(options: argparse.Namespace, injection: Injection) -> None:
    console = Console(stderr=options.json, highlight=False)
    console.print(Text(injection.verdict.upper(), STYLES[injection.verdict]), Text(injection.cause), soft_wrap=True)
    for row in injection.rows:
        effect = "took effect" if row.took_effect else "not proven"
        undone = row.undo_detail if row.undone else f"NOT UNDONE: {row.undo_detail}"
        console.print(Text(f"  {row.name} ({row.resolved}): {effect}: {row.evidence}; {undone}"), soft_wrap=True)
    for name, reason in injection.skipped.items():
        console.print(Text(f"  left out: {name}: {reason}"), soft_wrap=True)
    if injection.left_over is not None:
        again = f"rushproof inject --undo {injection.left_over}"
        console.print(Text(f"  what has to be rolled back stands in a file; run: {again}"), soft_wrap=True)


def _undo(options: argparse.Namespace) -> int:
    if options.scenario is not None:
        raise CommandError("--undo takes the file alone, no scenario")
    try:
        rows = asyncio.run(undo_journal(options.undo))
    except InjectError as error:
        raise CommandError(str(error)) from error
    whole = all(row["undone"] for row in rows)
    if whole:
        with contextlib.suppress(OSError):
            options.undo.unlink()
    verdict = "pass" if whole else "unknown"
    if options.json:
        _print_json({"kind": "inject-undo", "verdict": verdict, "faults": rows})
    console = Console(stderr=options.json, highlight=False)
    said = f"{sum(row['undone'] for row in rows)} of {len(rows)} faults are rolled back"
    console.print(Text(verdict.upper(), STYLES[verdict]), Text(said), soft_wrap=True)
    for row in rows:
        console.print(Text(f"  {row['name']}: {row['undo_detail']}"), soft_wrap=True)
    return 0 if whole else EXIT_UNKNOWN


def _print_json(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()
