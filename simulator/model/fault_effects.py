"""What faults do to the processes, disks and links of one store, as long as they last."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from simulator.model.vocabulary import Condition
from simulator.scenario_faults import (
    ConnectionsExhausted,
    DiskDead,
    DiskErring,
    DiskFull,
    DiskLost,
    DiskSlow,
    Fault,
    LinkDown,
    PowerCut,
    ProcessKilled,
    ProcessPaused,
    ProcessRestarted,
    ProcessSlow,
    RestartLoop,
    fault_target,
)
from simulator.scenario_model import Scenario, Store
from simulator.scenario_targets import SHARED_LINKS, SHARED_PROCESSES

DEVICES = ("edge_a", "edge_b")
IN_STORE = ("edge_a", "edge_b", "arbiter", "kitchen")
NORMAL_SPEED = 1_000


def faults_of(scenario: Scenario, store: Store) -> list[Fault]:
    """The faults that this store feels."""
    only = scenario.stores[0].name
    shared = SHARED_LINKS | SHARED_PROCESSES
    return [fault for fault in scenario.faults if (fault.store or only) == store.name or fault_target(fault) in shared]


@dataclass(slots=True)
class FaultEffects:
    """What is down, paused, slow or cut now. What faults call `primary` and `standby` is looked up when they begin."""

    down: Counter[str] = field(default_factory=Counter)
    paused: Counter[str] = field(default_factory=Counter)
    slow: dict[str, int] = field(default_factory=dict)
    flush_extra: dict[str, int] = field(default_factory=dict)
    cut: Counter[tuple[str, str]] = field(default_factory=Counter)
    unconfirmed: set[str] = field(default_factory=set)
    """Processes that have ended and, since, have not asked the arbiter."""
    _targets: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def apply(self, number: int, fault: Fault, primary: int, *, ends: bool) -> None:
        """A fault begins, or ends."""
        sign = -1 if ends else 1
        if isinstance(fault, LinkDown):
            for way in ("to", "from"):
                if fault.direction in ("both", way):
                    self.cut[fault.link, way] += sign
            return
        if not ends:
            self._targets.setdefault(number, _resolve(fault, primary))
        for process in self._targets[number]:
            if takes_down(fault):
                self.down[process] += sign
                if not ends:
                    self.unconfirmed.add(process)
            elif isinstance(fault, ProcessPaused):
                self.paused[process] += sign
            elif isinstance(fault, ProcessSlow):
                self.slow[process] = NORMAL_SPEED if ends else round(fault.slow_factor * NORMAL_SPEED)
            elif isinstance(fault, DiskSlow):
                self.flush_extra[process] = 0 if ends else round(fault.delay_ms * 1_000)

    def is_up(self, process: str) -> bool:
        """Whether a process runs."""
        return not self.down[process] and not self.paused[process]

    def is_heard(self, sender: int) -> bool:
        """Whether what device `sender` ships reaches the other one."""
        return not self.cut["edge_edge", "to" if sender == 0 else "from"]

    @property
    def reaches_arbiter(self) -> bool:
        """Whether a device can ask the arbiter."""
        cut = self.cut
        return self.is_up("arbiter") and not cut["edge_arbiter", "to"] and not cut["edge_arbiter", "from"]

    def condition(self, process: str) -> Condition:
        """Whether a process is up, down or paused."""
        return Condition.DOWN if self.down[process] else Condition.PAUSED if self.paused[process] else Condition.UP


def _resolve(fault: Fault, primary: int) -> tuple[str, ...]:
    target = fault_target(fault)
    if target == "store":
        return IN_STORE
    if target in ("primary", "standby"):
        index = primary if target == "primary" else 1 - primary
        return (DEVICES[index],)
    return (target,)


def takes_down(fault: Fault) -> bool:
    """Whether what it hits is gone until it has booted again."""
    if isinstance(fault, DiskErring):
        return fault.operation != "read"
    return isinstance(
        fault,
        ProcessKilled
        | ProcessRestarted
        | RestartLoop
        | DiskFull
        | DiskDead
        | DiskLost
        | PowerCut
        | ConnectionsExhausted,
    )
