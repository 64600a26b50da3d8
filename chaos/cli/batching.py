"""What the commands of the model have in common about their work: who does it, and where what is finished is kept."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, get_args

import psutil

from chaos.cli.errors import CommandError
from chaos.cli.modelling import counted
from simulator.batches.folder import Folder
from simulator.batches.runner import Runner
from simulator.batches.series import OtherModel
from simulator.batches.tables import Design, write_figures
from simulator.batches.workers import WORKERS_MAX, Backend, BatchError, Workers

GRACE_S = 10.0
EPILOG = """\
Figures are the same, to the last bit, for any number of workers, on any backend, and after any interruption.
With --out every finished part is kept in FOLDER/chunks, and all figures together in a Parquet file in FOLDER; the same
command goes on where it was interrupted. In Python: simulator.batches.tables.read_figures(FILE) and read_diners(FILE).
"""


def add_batch_options(parser: argparse.ArgumentParser, out: str) -> None:
    """Options of every command that runs the model often; `out` says what else `--out` is for."""
    parser.add_argument(
        "--workers", type=int, metavar="N",
        help="processes that share the work; the figures do not depend on it (default: one for each core)",
    )  # fmt: skip
    parser.add_argument(
        "--backend", choices=get_args(Backend), default="loky",
        help="where they run: loky, on this machine; dask, on the cluster of --scheduler, with the workers that it has "
        "(default: loky)",
    )  # fmt: skip
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="with --backend dask: the cluster's scheduler, such as tcp://127.0.0.1:8786",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER",
        help="keep what is finished there, as Parquet, and go on from it; the folder is made if it is missing"
        f"{out} (default: nothing is kept)",
    )  # fmt: skip
    parser.add_argument(
        "--rows", action="store_true", help="with --out: keep the row of each diner, too (default: figures only)"
    )


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
    interruption: _Interruption | None = None
    try:
        workers = Workers(options.workers, options.backend, options.scheduler)
        folder = None if options.out is None else Folder(options.out, _say)
        interruption = _Interruption(lambda: _say_how_to_go_on(options, runner))
        with (
            interruption,
            Runner(workers, folder, rows=options.rows, interrupted=interruption.asked) as runner,
        ):
            yield runner
    except (BatchError, OtherModel) as error:
        if interruption is not None and interruption.asked.is_set():  # its workers would not end, and were killed
            _say_how_to_go_on(options, runner)
            raise KeyboardInterrupt from error
        raise CommandError(str(error)) from error
    except KeyboardInterrupt:
        _say_how_to_go_on(options, runner)
        raise


def _say_how_to_go_on(options: argparse.Namespace, runner: Runner | None) -> None:
    if runner is not None and options.out is not None:
        there = runner.computed + runner.kept
        are = "is" if there == 1 else "are"
        _say(f"{counted(there, 'replication')} {are} kept in {options.out}; the same command goes on from there")


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


class _Interruption:
    """Ctrl-C and SIGTERM interrupt the work, even where the exception is lost (in a finalizer) or a worker cannot be ended."""

    def __init__(self, say_how_to_go_on: Callable[[], None]) -> None:
        self.asked, self._ended = threading.Event(), threading.Event()
        self._say_how_to_go_on = say_how_to_go_on
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Interruption:
        self._before = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self.asked.is_set():
            self.asked.set()
            threading.Thread(target=self._end_in_time, daemon=True).start()
        raise KeyboardInterrupt

    def _end_in_time(self) -> None:
        """Whatever still hangs a while after an interruption is ended: first the workers, then this process."""
        if self._ended.wait(GRACE_S):
            return
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
        if not self._ended.wait(GRACE_S):
            self._say_how_to_go_on()
            _say("interrupted")
            os._exit(130)


def _say(text: str) -> None:
    sys.stderr.write(f"rushproof: {text}\n")
    sys.stderr.flush()
