"""`rushproof report RUN`: write the HTML report of a run again."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from chaos.cli.audit import add_run_argument, run_folder
from chaos.judge import judge_run, write_report


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report",
        help="write the HTML report of a run",
        description="Write report.html, one file that needs no network, into the run folder RUN and print its path.",
    )
    add_run_argument(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; 0 whatever the verdict, for a report is no gate."""
    folder = run_folder(options.run_folder)
    sys.stdout.write(f"{write_report(folder, judge_run(folder))}\n")
    return 0
