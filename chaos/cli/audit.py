"""`rushproof audit RUN`: join again what clients were told with what every place holds, and write the verdict."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from chaos.cli.errors import CommandError
from chaos.cli.output import print_verdict
from chaos.judge import exit_code, judge_run, write_outputs


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "audit",
        help="audit a run again from its files",
        description="Audit the run in folder RUN again and write verdict.json, junit.xml and summary.md into it. "
        "Exit code: 0 pass, 1 fail, 3 unknown.",
    )
    add_run_argument(parser)
    parser.add_argument("--json", action="store_true", help="print verdict.json to standard output")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    folder = run_folder(options.run_folder)
    verdict = judge_run(folder)
    write_outputs(folder, verdict)
    print_verdict(verdict, folder, as_json=options.json)
    return exit_code(verdict.verdict)


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    """The run folder, as every command about a run takes it."""
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="a run folder, for instance runs/latest")


def run_folder(path: Path) -> Path:
    """The run folder at `path`; raises `CommandError` if it is none."""
    if not path.is_dir():
        raise CommandError(f"{path}: there is no such run folder; runs lie in runs/, the newest is runs/latest")
    if not (path / "scenario.yaml").exists() and not (path / "history").is_dir():
        raise CommandError(f"{path}: not a run folder: it holds neither scenario.yaml nor history/")
    return path.resolve()
