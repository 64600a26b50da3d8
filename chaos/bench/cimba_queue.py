"""`python -m chaos.bench.cimba_queue CUSTOMERS ARRIVAL SERVICE`: M/M/3 in cimba; prints customers a second of processor time.

A process of its own: cimba does not compile in one where another program has extended numba.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import cimba as cb
from cimba import inputs


class MM3(cb.Model):
    """Three servers before one queue."""

    interarrival: cb.Input[float] = inputs.dist.exponential(mean=1 / 3.0)
    service_time: cb.Input[float] = inputs.dist.exponential(mean=1 / 1.25)
    queue: cb.Container
    mean_queue: cb.Output[float]

    @cb.process
    def arrivals(self) -> None:
        """Customers come."""
        while True:
            cb.hold(self.interarrival.next())
            self.queue.put(1)

    @cb.process(copies=3)
    def server(self) -> None:
        """One of the servers."""
        while True:
            self.queue.get(1)
            cb.hold(self.service_time.next())

    @cb.on_end
    def measure(self) -> None:
        """Keep the mean length of the queue."""
        self.mean_queue = self.queue.mean_level()


def make_experiment(duration: float, arrival: float, service: float) -> Callable[[], object]:
    """What runs it for this long."""
    model = MM3()
    model.interarrival = inputs.dist.exponential(mean=1 / arrival)
    model.service_time = inputs.dist.exponential(mean=1 / service)
    experiment = cb.Experiment(model, replications=1, window=cb.Window(warmup=0, duration=duration), seed=1)
    run: Callable[[], object] = experiment.run
    return run


def main() -> None:
    """Compile, then measure."""
    customers, arrival, service = (float(each) for each in sys.argv[1:])
    run = make_experiment(customers / arrival, arrival, service)
    run()
    begin = time.process_time()
    run()
    sys.stdout.write(f"{customers / (time.process_time() - begin)}\n")


if __name__ == "__main__":
    main()
