"""Runs pieces of work on processes of this machine, or through Dask on many; joblib does it. Results come as they are done."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import resource_tracker
from typing import Any, Literal, TypeAlias

from simulator.batches.series import Chunk, Piece, Series, work_out
from simulator.batches.version import model_version

Backend = Literal["loky", "dask"]
CHUNK_S = 1.0
WORKERS_MAX = 1_024
CONNECT_S = 5
Work: TypeAlias = Sequence[tuple[Piece, Series]]
Pool: TypeAlias = Callable[[Iterable[Work], bool], Iterator[list[Chunk]]]


class BatchError(RuntimeError):
    """A batch cannot be worked out or kept; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who works: `count` processes of this machine (None: one for each core), or the workers of a Dask scheduler.

    A piece of work takes about `chunk_s` or a little longer. Nothing that is found depends on any of these.
    """

    count: int | None = 1
    backend: Backend = "loky"
    scheduler: str | None = None
    chunk_s: float = CHUNK_S

    def __post_init__(self) -> None:
        if self.count is not None and not 1 <= self.count <= WORKERS_MAX:
            raise BatchError(f"the number of workers must be from 1 to {WORKERS_MAX}, not {self.count}")
        if self.backend == "dask":
            if self.scheduler is None:
                raise BatchError("the Dask backend needs the address of its scheduler, such as tcp://127.0.0.1:8786")
            if find_spec("distributed") is None:
                raise BatchError("the Dask backend needs distributed; install the extra: pip install 'rushproof[dask]'")
        elif self.scheduler is not None:
            raise BatchError("the address of a scheduler goes with the Dask backend")

    @property
    def here(self) -> int:
        """How many processes of this machine; 0 with Dask."""
        if self.backend == "dask":
            return 0
        return count_cores() if self.count is None else self.count


def count_cores() -> int:
    """The cores that this process may use."""
    import joblib

    return int(joblib.cpu_count())


@contextmanager
def pool(workers: Workers) -> Iterator[Pool]:
    """The workers, as a function of (works, rows) that gives the chunks of each work as it is done. No process is left behind.

    Raises `BatchError` when there is no scheduler, or a worker ends in the middle of its work.
    """
    import joblib

    with ExitStack() as stack:
        if workers.backend == "dask":
            stack.enter_context(_dask(str(workers.scheduler)))
            parallel = joblib.Parallel(n_jobs=-1, return_as="generator_unordered", batch_size=1)
        else:
            stack.callback(_end_processes)
            parallel = joblib.Parallel(
                n_jobs=workers.here,
                backend="loky",
                return_as="generator_unordered",
                batch_size=1,
                max_nbytes=None,
                initializer=_end_with_parent,
                initargs=(os.getpid(),),
            )
        yield lambda works, rows: _done(parallel, works, rows)


def _done(parallel: Any, works: Iterable[Work], rows: bool) -> Generator[list[Chunk], None, None]:
    import joblib

    version = model_version()
    tasks = (joblib.delayed(work_out)(work, version, rows) for work in works)
    with warnings.catch_warnings(), _said_plainly():
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
        with _sigint_held_back():
            results = parallel(tasks)
        yield from results


@contextmanager
def _said_plainly() -> Iterator[None]:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    died = "a worker process ended in the middle of its work, perhaps for want of memory; take fewer workers"
    try:
        yield
    except BrokenProcessPool as error:
        raise BatchError(died) from error
    except ModuleNotFoundError as error:
        raise BatchError(f"a worker lacks {error.name}; install the same rushproof and extras there as here") from error
    except Exception as error:
        if type(error).__name__ == "KilledWorker":
            raise BatchError(died) from error
        raise


@contextmanager
def _dask(scheduler: str) -> Iterator[None]:
    import joblib
    from distributed import Client

    try:
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise BatchError(f"no Dask scheduler answers at {scheduler}; start one by: dask scheduler") from error
    with client:
        if not client.ncores():
            raise BatchError(f"the Dask scheduler at {scheduler} has no workers; start one by: dask worker {scheduler}")
        with joblib.parallel_config(backend="dask", client=client):
            yield


def _end_processes() -> None:
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


@contextmanager
def _sigint_held_back() -> Iterator[None]:
    """Processes that are started meanwhile inherit the mask: a Ctrl-C in the terminal is for their parent alone.

    Python's tracker of shared resources lets the signal through again when it is started; so it is started before.
    """
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent(parent: int) -> None:
    """In a worker: a parent that is killed leaves none behind."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.25)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
