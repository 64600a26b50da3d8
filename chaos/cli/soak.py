"""`rushproof soak`: random drills for hours, of which those stay that did not pass."""

from __future__ import annotations

import argparse
import json
import secrets
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from chaos.cli.errors import EXIT_INTERRUPTED, CommandError
from chaos.cli.output import STYLES
from chaos.drill_evidence import EvidenceError
from chaos.interruption import Interruption
from chaos.judge import EXIT_CODES
from chaos.random_faults.timeline import DEFAULT_BASE, random_scenario
from chaos.run_folder import RunFolderError, new_run_folder
from chaos.soak.accounts import Soak, add_soak, read_soak
from chaos.soak.plan import KEEPS, SoakBudget, SoakPlan, SoakPlanError, parse_budget, parse_length
from chaos.soak.progress import SoakProgress
from chaos.soak.soak import INTERRUPTED, SoakRun
from simulator.scenario import ScenarioError, find_scenario, load_scenario, shipped_scenarios

SEED_LIMIT = 2**63
DRAWN_SEED_LIMIT = 10**9
RETRIES_MAX = 20

DESCRIPTION = """\
Run random drills on real processes, one after another, each with a new seed: the seed draws the faults and when they
strike; stores, diners and links are the scenario's. Each drill is judged as ever. Run folders are kept of those that
did not pass, and soak.json has a row for each drill.

  rushproof soak --for 2h                      seeds from a drawn one on, until two hours are over
  rushproof soak --for 30m --seed 1            the same seeds whenever it is run
  rushproof soak --seeds 60 --seed 1           sixty drills, however long they take
  rushproof soak primary_killed --for 1h       the stores, diners and links of another scenario
  rushproof drill --random-faults --seed 4711  one of them again
"""
EPILOG = """\
A drill that would not end in time is not begun. Ctrl-C ends the drill that runs and keeps what was measured.

Exit code: 0 every drill passed, 1 one failed, 2 usage or environment, 3 one is unknown or none was run, 130 interrupted.
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "soak",
        help="random drills for hours; keeps those that did not pass",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scenario",
        nargs="?",
        default=DEFAULT_BASE,
        metavar="NAME|FILE",
        help=f"whose stores, diners and links are used (default {DEFAULT_BASE})",
    )
    parser.add_argument("--for", dest="length", metavar="TIME", help="how long: 2h, 1h30m, 45m, 90s")
    parser.add_argument("--seeds", type=int, metavar="N", help="run N drills at most")
    parser.add_argument("--seed", type=int, metavar="N", help="the first seed (default: a drawn one, which is told)")
    default = SoakBudget()
    parser.add_argument(
        "--budget",
        metavar="LIST",
        help=f"stop at failures=N, unknowns=N or disk=SIZE of kept runs (default failures={default.failures},"
        f"unknowns={default.unknowns},disk={default.disk_bytes // 10**9}GB)",
    )
    parser.add_argument(
        "--keep", choices=KEEPS, default="not-passing", help="whose run folders are kept (default not-passing)"
    )
    parser.add_argument(
        "--keep-failing-only", dest="keep", action="store_const", const="failing", help="the same as --keep failing"
    )
    parser.add_argument(
        "--retry-unknown", type=int, default=0, metavar="N", help="repeat an unknown drill, N times at most"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the soak's folder, new or empty (default runs/<time>-soak)"
    )
    parser.add_argument("--evidence", type=Path, metavar="FILE", help="add the drills to this evidence file")
    parser.add_argument(
        "--json", action="store_true", help="print the summary to standard output, all else to standard error"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    _check(options)
    plan = _plan(options)
    command = shlex.join(["rushproof", *sys.argv[1:]])
    title = f"rushproof: soak on {plan.base} from seed {plan.first_seed}; {plan.folder}"

    def note(soak: Soak) -> None:
        progress.done(soak)
        if options.evidence is not None:
            _add_evidence(options.evidence, command, soak)

    with Interruption() as interruption, SoakProgress(title) as progress:
        soak = SoakRun(plan, lambda: interruption.noted, progress.watch).run(note)
    if options.json:
        sys.stdout.write(json.dumps(soak.to_json(), indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    _tell(options, plan, soak)
    return EXIT_INTERRUPTED if soak.stopped_by == INTERRUPTED else EXIT_CODES[soak.verdict]


def _tell(options: argparse.Namespace, plan: SoakPlan, soak: Soak) -> None:
    console = Console(stderr=options.json, highlight=False)
    console.print(Text(soak.verdict.upper(), STYLES[soak.verdict]), Text(soak.cause), soft_wrap=True)
    console.print(Text(f"  ended by {soak.stopped_by} after {soak.elapsed_s:.0f} s; {plan.folder}"), soft_wrap=True)
    base = [] if plan.source == DEFAULT_BASE else [plan.source]
    for drill in soak.drills:
        if drill.verdict != "pass":
            again = shlex.join(["rushproof", "drill", *base, "--random-faults", "--seed", str(drill.seed)])
            console.print(Text(f"  {drill.verdict:8}seed {drill.seed}: {drill.cause}\n    {again}"), soft_wrap=True)


def _check(options: argparse.Namespace) -> None:
    """Refuse what cannot be, before anything is run."""
    if options.length is None and options.seeds is None:
        raise CommandError("give --for TIME (such as 2h) or --seeds N, so that the soak has an end")
    if options.seeds is not None and not 1 <= options.seeds <= DRAWN_SEED_LIMIT:
        raise CommandError(f"--seeds must be from 1 to {DRAWN_SEED_LIMIT}, not {options.seeds}")
    if options.seed is not None and not 0 <= options.seed < SEED_LIMIT - DRAWN_SEED_LIMIT:
        raise CommandError(f"--seed must be from 0 to {SEED_LIMIT - DRAWN_SEED_LIMIT - 1}, not {options.seed}")
    if not 0 <= options.retry_unknown <= RETRIES_MAX:
        raise CommandError(f"--retry-unknown must be from 0 to {RETRIES_MAX}, not {options.retry_unknown}")
    if options.evidence is not None:
        try:
            read_soak(options.evidence)
        except (OSError, EvidenceError) as error:
            raise CommandError(str(error)) from error
        if not options.evidence.parent.is_dir():
            raise CommandError(f"--evidence: there is no folder {options.evidence.parent}")


def _plan(options: argparse.Namespace) -> SoakPlan:
    try:
        length_s = None if options.length is None else parse_length(options.length)
        budget = SoakBudget() if options.budget is None else parse_budget(options.budget)
        seed = secrets.randbelow(DRAWN_SEED_LIMIT) if options.seed is None else options.seed
        path = find_scenario(options.scenario)
        base = load_scenario(path)
        random_scenario(base, seed)
        folder = new_run_folder("soak", options.out)
    except (SoakPlanError, ScenarioError, RunFolderError) as error:
        raise CommandError(str(error)) from error
    source = options.scenario
    if source not in shipped_scenarios():
        source = str(shutil.copy(path, folder / "base.yaml"))  # every drill of the soak reads the same file
    return SoakPlan(
        base.name, source, seed, folder, length_s, options.seeds, budget, options.keep, options.retry_unknown
    )


def _add_evidence(path: Path, command: str, soak: Soak) -> None:
    try:
        add_soak(path, command, soak)
    except (OSError, EvidenceError) as error:
        raise CommandError(f"the evidence could not be written: {error}") from error
