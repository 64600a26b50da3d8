"""`rushproof gate RUN`: judge a run by its budgets, or by others given here; for CI."""

from __future__ import annotations

import argparse
from typing import Any

from chaos.cli.audit import add_run_argument, run_folder
from chaos.cli.errors import CommandError
from chaos.cli.output import print_verdict
from chaos.judge import BudgetError, exit_code, judge_run, parse_override


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "gate",
        help="judge a run by its budgets, or by others",
        description="Judge the run in folder RUN by the scenario's budgets and those given here; writes nothing. "
        "Exit code: 0 pass, 1 fail, 3 unknown.",
        epilog="Example: rushproof gate runs/latest --budget loss_rate=0.001 --budget failover_ms_p50=1000",
    )
    add_run_argument(parser)
    parser.add_argument(
        "--budget", action="append", nargs="+", default=[], metavar="NAME=VALUE", help="replace a budget; repeatable"
    )
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON to standard output")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    folder = run_folder(options.run_folder)
    try:
        overrides = dict(parse_override(text) for texts in options.budget for text in texts)
        verdict = judge_run(folder, overrides)
    except BudgetError as error:
        raise CommandError(str(error)) from error
    print_verdict(verdict, folder, as_json=options.json)
    return exit_code(verdict.verdict)
