"""A stand-in for the virtual cluster: runs that go as a test says, in no time. Worker processes import it by its name."""

from __future__ import annotations

import hashlib
import os
import signal
from collections import Counter
from collections.abc import Generator, Iterable
from typing import Any

from chaos.campaign.results import SeedResult, result_of, run_seed
from chaos.campaign.simulation import Simulation
from simulator.cluster.outcome import Broken, ClusterRun, End
from simulator.cluster.schedule import PlannedOrder, Schedule, Strike

GOALS = ("a promotion", "a rare turn")
RARE_EVERY = 7


def draw(seed: int) -> Schedule:
    """Six strikes and twenty orders; each failing seed needs the strike 2 and the order 5."""
    strikes = tuple(Strike(n, 1_234 * (n + 1), "device crash", 0, "a", 70_000) for n in range(6))
    orders = tuple(PlannedOrder(n, 1_000 * n, 0, "edge", 1) for n in range(20))
    return Schedule(seed, 1, "available", "in_store", 100_000, strikes, orders)


def sound(schedule: Schedule, variant: str | None = None, *, tracing: bool = False) -> ClusterRun:
    """Every seed converges; every seventh reaches the rare goal. A variant breaks seeds 9, 19, 29, …"""
    if variant is not None and schedule.seed % 10 == 9:
        return broken(schedule, variant, tracing=tracing)
    return outcome(schedule, variant, tracing)


def broken(schedule: Schedule, variant: str | None = None, *, tracing: bool = False) -> ClusterRun:
    """Seeds 9, 19, 29, … break an invariant, as long as strike 2 and order 5 are there."""
    needed = any(strike.number == 2 for strike in schedule.strikes) and any(o.number == 5 for o in schedule.orders)
    if schedule.seed % 10 != 9 or not needed:
        return outcome(schedule, variant, tracing)
    return outcome(schedule, variant, tracing, Broken("commit never goes back", f"seed {schedule.seed}", 4_321))


def wandering(schedule: Schedule, variant: str | None = None, *, tracing: bool = False) -> ClusterRun:
    """Seed 3 hangs on the process that it runs in."""
    return outcome(schedule, variant, tracing, more=str(os.getpid()) if schedule.seed == 3 else "")


def raising(schedule: Schedule, variant: str | None = None, *, tracing: bool = False) -> ClusterRun:
    """Seed 4 ends in an exception."""
    if schedule.seed == 4:
        raise ZeroDivisionError("no such luck")
    return outcome(schedule, variant, tracing)


def dying(schedule: Schedule, variant: str | None = None, *, tracing: bool = False) -> ClusterRun:
    """Seed 6 takes its process with it."""
    if schedule.seed == 6:
        os._exit(1)
    return outcome(schedule, variant, tracing)


def interrupting(schedule: Schedule, variant: str | None = None, *, tracing: bool = False) -> ClusterRun:
    """At seed 200, when some are counted, somebody presses Ctrl-C."""
    if schedule.seed == 200:
        os.kill(os.getppid(), signal.SIGINT)
    return outcome(schedule, variant, tracing)


def outcome(
    schedule: Schedule,
    variant: str | None,
    tracing: bool,
    what_broke: Broken | None = None,
    *,
    more: str = "",
) -> ClusterRun:
    """A run without orders, so that the audit finds nothing; all places stand at the beginning of an empty log."""
    events = f"{schedule} {variant} {more}"
    goals = Counter({"a promotion": 2})
    if schedule.seed % RARE_EVERY == 0:
        goals["a rare turn"] += 1
    end: End = "violated" if what_broke is not None else "converged"
    lines = tuple(f"{strike.at_us / 1000:10.3f} ms  fault: {strike.describe()}" for strike in schedule.strikes)
    return ClusterRun(
        schedule=schedule,
        variant=variant,
        end=end,
        broken=what_broke,
        goals=goals,
        trace_hash=hashlib.blake2b(events.encode(), digest_size=16).hexdigest(),
        events=len(schedule.strikes) + len(schedule.orders),
        ended_at_us=2_500_000,
        attempts=(),
        faults=tuple(_fault(strike) for strike in schedule.strikes),
        reads={"s1": empty_places()} if end == "converged" else {},
        trace=lines if tracing else (),
    )


def empty_places() -> dict[str, Any]:
    nowhere = {"seq": 0, "hash": ""}
    status = {"node_id": "n-a", "role": "primary", "epoch": 1, "members": ["n-a", "n-b"], "commit_seq": 0}
    return {
        "edge_a": {"status": status, "entries": []},
        "edge_b": {"status": {**status, "node_id": "n-b", "role": "standby"}, "entries": []},
        "cloud": {"status": {"cursor": nowhere}, "orders": [], "entries": []},
        "kitchen": {"status": {"cursor": nowhere}, "tickets": []},
    }


def _fault(strike: Strike) -> dict[str, Any]:
    return {
        "name": f"{strike.number}",
        "kind": "device_crash",
        "started_at_us": strike.at_us,
        "took_effect": strike.number != 5,
        "undone": True,
        "disk_lost_node_ids": ["n-x"] if strike.number == 0 else [],
    }


def simulation(run: Any) -> Simulation:
    return Simulation(draw, run, GOALS)


class InOneProcess:
    """What `Workers` does, without processes, for tests of what is made of the results."""

    def __init__(self, run: Any) -> None:
        self.simulation = simulation(run)

    def results(self, seeds: Iterable[int], variant: str | None) -> Generator[SeedResult, None, None]:
        for seed in seeds:
            yield run_seed(self.simulation, seed, variant)

    def again(self, schedule: Schedule, variant: str | None) -> SeedResult | None:
        return result_of(self.simulation, schedule, variant)
