"""What the commands of the model have in common about their work: who does it, and where what is finished is kept."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import get_args

from chaos.cli.errors import CommandError
from simulator.batches.folder import Folder
from simulator.batches.runner import Runner
from simulator.batches.series import OtherModel
from simulator.batches.tables import Design, write_figures
from simulator.batches.workers import WORKERS_MAX, Backend, BatchError, Workers

EPILOG = """\
Figures are the same, to the last bit, for any number of workers, on any backend, and after any interruption.
With --out every finished part is kept in FOLDER/chunks, and all figures together in a Parquet file in FOLDER; the same
command goes on where it was interrupted. In Python: simulator.batches.tables.read_figures(FILE) and read_diners(FILE).
"""


def add_batch_options(parser: argparse.ArgumentParser, out: str) -> None:
    """Options of every command that runs the model often; `out` says what else `--out` is for."""
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one for each core)")
    parser.add_argument(
        "--backend", choices=get_args(Backend), default="loky", help="processes here (loky, default), or a Dask cluster"
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster, such as tcp://127.0.0.1:8786")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help=f"keep what is finished there, as Parquet, and go on from it{out}"
    )
    parser.add_argument("--rows", action="store_true", help="keep the row of each diner, too, not figures only")


def check_batch_options(options: argparse.Namespace) -> None:
    """CommandError if they cannot be; asked before anything is loaded."""
    if options.backend == "dask" and options.workers is not None:
        raise CommandError("--workers goes with --backend loky; a Dask cluster has the workers that it has")
    if options.workers is not None and not 1 <= options.workers <= WORKERS_MAX:
        raise CommandError(f"--workers must be from 1 to {WORKERS_MAX}, not {options.workers}")
    if options.scheduler is not None and options.backend != "dask":
        raise CommandError("--scheduler goes with --backend dask")
    if options.backend == "dask" and options.scheduler is None:
        raise CommandError("--backend dask needs --scheduler, its address, such as tcp://127.0.0.1:8786")
    if options.rows and options.out is None:
        raise CommandError("--rows goes with --out, which names a folder for them")


@contextmanager
def batch_runner(options: argparse.Namespace) -> Iterator[Runner]:
    """The runner that the options ask for; CommandError if it cannot be. Ctrl-C and SIGTERM keep what is finished."""
    runner: Runner | None = None
    try:
        folder = None if options.out is None else Folder(options.out, _say)
        with (
            Runner(Workers(options.workers, options.backend, options.scheduler), folder, rows=options.rows) as runner,
            _sigterm_as_interrupt(),
        ):
            yield runner
    except (BatchError, OtherModel) as error:
        raise CommandError(str(error)) from error
    except KeyboardInterrupt:
        if runner is not None and options.out is not None:
            there = runner.computed + runner.kept
            _say(f"{there} replications are kept in {options.out}; the same command goes on from there")
        raise


def keep_figures(options: argparse.Namespace, name: str, designs: Sequence[Design]) -> list[str]:
    """Write the file of all figures, if a folder was named; its path."""
    if options.out is None:
        return []
    path: Path = options.out / f"{name}.parquet"
    try:
        write_figures(path, designs)
    except BatchError as error:
        raise CommandError(str(error)) from error
    return [str(path)]


def kept_before(runner: Runner) -> str:
    """What of the work was there already, for a line of the result."""
    return f", {runner.kept} of them kept from before" if runner.kept else ""


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(text: str) -> None:
    sys.stderr.write(f"rushproof: {text}\n")
    sys.stderr.flush()
