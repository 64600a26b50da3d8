"""`rushproof drill`: the main job, from start-up to verdict and report."""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from chaos.cli.errors import EXIT_INTERRUPTED, CommandError
from chaos.cli.interruptible import run_interruptible
from chaos.cli.output import print_verdict
from chaos.cli.profiles import add_profile_option, list_profiles, profile_changes, wants_list
from chaos.drill_evidence import EvidenceError, add_drill, read_drills
from chaos.experiment import Drill, DrillPlan
from chaos.faults.link_checks import LinkCheckError, check_links
from chaos.faults.toxiproxy import ToxiproxyError
from chaos.judge import Verdict, exit_code, judge_run, write_outputs, write_report
from chaos.live import LiveView
from chaos.random_faults.timeline import DEFAULT_BASE, random_scenario
from chaos.run_folder import RunFolderError, new_run_folder
from chaos.variants import VARIANTS, Variant, VariantError, find_variant
from refsystem.cloud.postgres import PostgresError
from refsystem.processes import StackError
from simulator.diners import make_timetable
from simulator.formats import menu_of
from simulator.scenario import (
    DEFAULT_SCENARIO,
    Scenario,
    ScenarioError,
    fault_label,
    fault_target,
    find_scenario,
    load_scenario,
    with_changes,
)
from simulator.traces import TraceError, fit_rate_factor, orders_wanted, read_trace, trace_menu, trace_timetable

OPEN_FILES_LEAST = 1024
SEED_LIMIT = 2**63
RETRIES_MAX = 20

DESCRIPTION = """\
Start a real store (two edge devices, an arbiter, a kitchen display, the cloud, PostgreSQL), drive the scenario's diners
through it, inject its faults, read every place at the end, and judge. The run folder keeps everything; its report.html
is the place to look.

  rushproof drill                                    the lunch rush, about two minutes
  rushproof drill primary_killed --seed 7            another shipped scenario, another seed
  rushproof drill mine.yaml --rate 4 --duration 20   your own, with another load
  rushproof drill --trace orders.csv.gz              replay real orders
  rushproof drill --profile edge_cloud=dsl           another network on a link; --profile list shows them
  rushproof drill --random-faults --seed 3           faults drawn from the seed
  rushproof drill --break list                       the broken variants, and what must find each of them
  rushproof drill --break two-doors                  run one: the audit must fail it
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "drill",
        help="load a real store, break it, audit every order, judge",
        description=DESCRIPTION,
        epilog="Exit code: 0 pass, 1 fail, 2 usage or environment, 3 unknown, 130 interrupted.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scenario",
        nargs="?",
        metavar="NAME|FILE",
        help=f"a shipped scenario or a YAML file (default {DEFAULT_SCENARIO})",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the run folder, new or empty (default runs/<time>-<scenario>)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of every draw (default: the scenario's)")
    parser.add_argument("--rate", type=float, metavar="R", help="mean arrivals a second instead of the scenario's")
    parser.add_argument("--duration", type=float, metavar="S", help="seconds of load instead of the scenario's")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="replay real orders from a CSV file (.gz too)")
    parser.add_argument(
        "--rate-factor", type=float, metavar="X", help="how many times faster than real the trace is replayed"
    )
    parser.add_argument("--copies", type=int, default=1, metavar="N", help="how often the trace is replayed at once")
    parser.add_argument(
        "--break", dest="variant", metavar="NAME|list", help="run a broken variant of the protocol, or list them"
    )
    parser.add_argument(
        "--toxiproxy", metavar="URL", help="disturb links by this Toxiproxy server instead of the embedded one"
    )
    add_profile_option(parser)
    parser.add_argument(
        "--random-faults",
        action="store_true",
        help="draw the faults from the seed, in place of the scenario's own; stores, diners and links are the scenario's "
        f"(default {DEFAULT_BASE})",
    )
    parser.add_argument(
        "--retry-unknown",
        type=int,
        default=0,
        metavar="N",
        help="repeat an unknown run, N times at most (into DIR-retry-1, … where --out is given)",
    )
    parser.add_argument(
        "--evidence", type=Path, metavar="FILE", help="add the run to this evidence file (see 'rushproof guarantees')"
    )
    parser.add_argument(
        "--json", action="store_true", help="print verdict.json to standard output, all else to standard error"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.variant == "list":
        _list_variants()
        return 0
    if wants_list(options):
        list_profiles()
        return 0
    plan = _plan(options)
    _check_evidence(options)
    _check_environment()
    verdict, folder = _run_once(plan, options, 0)
    for attempt in range(1, options.retry_unknown + 1):
        if verdict is None or verdict.verdict != "unknown":
            break
        sys.stderr.write(f"rushproof: unknown ({verdict.cause}); run again, {attempt} of {options.retry_unknown}\n")
        verdict, folder = _run_once(plan, options, attempt)
    if verdict is None:
        return EXIT_INTERRUPTED
    if options.evidence is not None:
        try:
            add_drill(options.evidence, plan.command, verdict)
        except (OSError, EvidenceError) as error:
            raise CommandError(f"the evidence could not be written: {error}") from error
    print_verdict(verdict, folder, as_json=options.json)
    return exit_code(verdict.verdict)


def _run_once(plan: DrillPlan, options: argparse.Namespace, attempt: int) -> tuple[Verdict | None, Path]:
    """One drill with its verdict, which is None if it was interrupted; the run folder is judged in any case."""
    try:
        out = options.out
        if out is not None and attempt > 0:
            out = out.with_name(f"{out.name}-retry-{attempt}")
        folder = new_run_folder(plan.scenario.name, out)
    except RunFolderError as error:
        raise CommandError(str(error)) from error
    broken = f", broken: {plan.variant.name}" if plan.variant is not None else ""
    with LiveView(f"drill {plan.scenario.name}, seed {plan.seed}{broken}; {folder}") as view:
        try:
            interrupted = run_interruptible(Drill(plan, folder, view).run())
        except (StackError, ToxiproxyError, PostgresError) as error:
            raise CommandError(f"{error} (what was kept lies in {folder})") from error
        if interrupted:
            view.say("interrupted; what was measured is kept")
        with _signals_noted() as noted:
            view.phase("judging")
            verdict = judge_run(folder)
            write_outputs(folder, verdict)
            write_report(folder, verdict)
    return (None if interrupted or noted else verdict), folder


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """SIGINT and SIGTERM while the run is judged: noted, so that the files are written whole before the exit."""
    noted: list[int] = []
    before = {
        number: signal.signal(number, lambda got, _: noted.append(got)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _plan(options: argparse.Namespace) -> DrillPlan:
    try:
        variant = find_variant(options.variant) if options.variant is not None else None
        scenario = _scenario(options, variant)
        seed = scenario.seed if options.seed is None else options.seed
        if not 0 <= seed < SEED_LIMIT:
            raise CommandError(f"--seed must be a whole number from 0 to {SEED_LIMIT - 1}, not {seed}")
        if not 0 <= options.retry_unknown <= RETRIES_MAX:
            raise CommandError(f"--retry-unknown must be from 0 to {RETRIES_MAX}")
        changes = _load_changes(scenario, options.rate, options.duration) | profile_changes(options.profile)
        scenario = with_changes(scenario, {"seed": seed} | changes)
        if options.random_faults:
            scenario = random_scenario(scenario, seed)
        check_links(scenario, options.toxiproxy)
        command = shlex.join(["rushproof", *sys.argv[1:]])
        database_url = os.environ.get("RUSHPROOF_DATABASE_URL") or None
        if options.random_faults and database_url is not None:
            _check_database_is_spared(scenario)
        if options.trace is not None:
            return _trace_plan(options, scenario, seed, command, variant, database_url)
        if options.rate_factor is not None or options.copies != 1:
            raise CommandError("--rate-factor and --copies go with --trace")
        menu = menu_of(scenario)
        timetable = make_timetable(scenario, menu, seed)
        return DrillPlan(scenario, seed, menu, timetable, command, variant, options.toxiproxy, database_url)
    except (ScenarioError, VariantError, TraceError, LinkCheckError, ToxiproxyError) as error:
        raise CommandError(str(error)) from error


def _load_changes(scenario: Scenario, rate_per_s: float | None, duration_s: float | None) -> dict[str, Any]:
    """Another rate or duration; a smaller load is asked for proportionally fewer acknowledged orders."""
    changes: dict[str, Any] = {}
    if duration_s is not None:
        changes["duration_s"] = duration_s
    if rate_per_s is not None:
        changes["diners"] = {"arrivals": {"rate_per_s": rate_per_s}}
    said_per_s = scenario.diners.arrivals.rate_per_s
    share = ((rate_per_s or said_per_s) * (duration_s or scenario.duration_s)) / (said_per_s * scenario.duration_s)
    if 0 <= share < 1:
        changes["least_acknowledged"] = int(scenario.least_acknowledged * share)
    return changes


def _check_database_is_spared(scenario: Scenario) -> None:
    """Faults are put on a PostgreSQL of the drill's own only."""
    hit = next((fault for fault in scenario.faults if fault_target(fault) == "postgres"), None)
    if hit is not None:
        raise CommandError(
            f"seed {scenario.seed} draws {fault_label(hit)!r}, and RUSHPROOF_DATABASE_URL names a server of your own, on which "
            "no fault is put; unset it or take another seed"
        )


def _scenario(options: argparse.Namespace, variant: Variant | None) -> Scenario:
    default = variant.scenario if variant is not None else DEFAULT_BASE if options.random_faults else DEFAULT_SCENARIO
    return load_scenario(find_scenario(options.scenario or default))


def _trace_plan(
    options: argparse.Namespace,
    scenario: Scenario,
    seed: int,
    command: str,
    variant: Variant | None,
    database_url: str | None,
) -> DrillPlan:
    if options.rate is not None:
        raise CommandError("--rate does not go with --trace; use --rate-factor")
    orders = read_trace(options.trace)
    factor = options.rate_factor
    if factor is None:
        factor = fit_rate_factor(orders, scenario.duration_s, orders_wanted(scenario, options.copies))
    timetable = trace_timetable(orders, scenario, seed, factor, options.copies)
    trace = {"file": options.trace.name, "rate_factor": factor, "copies": options.copies, "diners": len(timetable)}
    return DrillPlan(
        scenario, seed, trace_menu(orders), timetable, command, variant, options.toxiproxy, database_url, trace
    )


def _check_evidence(options: argparse.Namespace) -> None:
    """What could not be added at the end is told before the run."""
    if options.evidence is None:
        return
    if options.variant is not None:
        raise CommandError("--evidence does not go with --break: a broken variant is no evidence")
    try:
        read_drills(options.evidence)
    except (OSError, EvidenceError) as error:
        raise CommandError(str(error)) from error
    if not options.evidence.parent.is_dir():
        raise CommandError(f"--evidence: there is no folder {options.evidence.parent}")


def _check_environment() -> None:
    """Limits that would spoil a run are told before it begins."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES_LEAST:
        raise CommandError(
            f"only {hard} open files are allowed and a drill needs {OPEN_FILES_LEAST}; raise the limit (ulimit -n)"
        )
    if soft < OPEN_FILES_LEAST:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES_LEAST if hard == resource.RLIM_INFINITY else hard, hard))


def _list_variants() -> None:
    """A line for each variant and one for what a drill of it must show: readable at 80 columns."""
    console = Console(highlight=False)
    for variant in VARIANTS.values():
        must_fail = f"must fail by {variant.check} in {variant.scenario}"
        console.print(Text(variant.name, "bold"), must_fail, soft_wrap=True)
        console.print(Text(f"    {variant.breaks}"), soft_wrap=True)
