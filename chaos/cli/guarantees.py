"""`rushproof guarantees`: what stands behind each promise, counted from the evidence files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from chaos.cli.errors import CommandError
from chaos.evidence import EVIDENCE
from chaos.guarantees import EvidenceMissing, guarantees_table, put_table

DESCRIPTION = """\
Print the guarantees table: for each fault that a store survives, how many virtual schedules, real drills and power cuts
stand behind it. It is counted from evidence files, which are written by

  rushproof fuzz --seeds 20000 --evidence tests/evidence/fuzz.json
  rushproof drill NAME --seed N --evidence tests/evidence/drills.json       each run is added
  rushproof power-cuts --cuts 10000 --evidence tests/evidence/power_cuts.json
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "guarantees",
        help="what stands behind each promise, from the evidence",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path(EVIDENCE), help=f"evidence (default {EVIDENCE})")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the table between its marks in this Markdown file"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    try:
        table = guarantees_table(options.folder)
        if options.write is None:
            sys.stdout.write(table + "\n")
        else:
            text = put_table(options.write.read_text(encoding="utf-8"), table)
            options.write.write_text(text, encoding="utf-8")
    except (EvidenceMissing, OSError, ValueError) as error:
        raise CommandError(str(error)) from error
    return 0
