"""Seeds on several processes, a few at a time, their results in the order of the seeds."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator
from types import TracebackType

from chaos.campaign.results import SeedResult, result_of, run_seed
from chaos.campaign.simulation import Simulation
from chaos.interruption import Interruption
from chaos.worker_pool import WorkerPool, stopped
from simulator.cluster.schedule import Schedule

SEEDS_PER_CHUNK = 4


class Workers:
    """`count` processes that run seeds of `simulation`. Use as a context manager; no process is left behind."""

    def __init__(self, simulation: Simulation, count: int, interruption: Interruption) -> None:
        self._simulation = simulation
        self._pool = WorkerPool(count, interruption)

    @property
    def count(self) -> int:
        """How many processes."""
        return self._pool.count

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def results(self, seeds: Iterable[int], variant: str | None) -> Generator[SeedResult, None, None]:
        """The result of every seed, in their order; ends early when interrupted. Raises `WorkersDied`."""
        work = ((self._simulation, chunk, variant) for chunk in _chunks(seeds))
        results = self._pool.in_order(_run_chunk, work)
        try:
            for chunk in results:
                yield from chunk
        finally:
            results.close()

    def again(self, schedule: Schedule, variant: str | None) -> SeedResult | None:
        """Run one schedule in a worker; None when interrupted. Raises `WorkersDied`."""
        return self._pool.once(result_of, self._simulation, schedule, variant)


def _chunks(seeds: Iterable[int]) -> Iterator[tuple[int, ...]]:
    remaining = iter(seeds)
    while chunk := tuple(itertools.islice(remaining, SEEDS_PER_CHUNK)):
        yield chunk


def _run_chunk(simulation: Simulation, seeds: tuple[int, ...], variant: str | None) -> list[SeedResult]:
    """In a worker: the results of `seeds`, or of the first of them when told to stop."""
    results: list[SeedResult] = []
    for seed in seeds:
        if stopped():
            break
        results.append(run_seed(simulation, seed, variant))
    return results
