"""Which faults of a scenario would hit the same thing at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from simulator.scenario_faults import ClockFault, Fault, LinkFault, fault_end_s, fault_label, fault_target
from simulator.scenario_reach import links_hit, store_hit
from simulator.scenario_targets import SHARED_LINKS, SHARED_PROCESSES

if TYPE_CHECKING:
    from simulator.scenario_model import Scenario

Path = tuple[str | int, ...]

_SAME_DEVICES = frozenset(
    frozenset({role, device}) for role in ("primary", "standby") for device in ("edge_a", "edge_b")
)
_ROLES = frozenset({"primary", "standby"})
_IN_STORE = frozenset({"primary", "standby", "edge_a", "edge_b", "arbiter", "kitchen", "printer"})


def overlap_flaws(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """What would hit the same thing twice at once."""
    for later, fault in enumerate(scenario.faults):
        for other in scenario.faults[:later]:
            if (
                same_time(scenario, fault, other)
                and _same_store(scenario, fault, other)
                and _same_target(scenario, fault, other)
            ):
                hit = f"hits {fault_target(fault)} while {fault_label(other)!r} still lasts"
                yield ("faults", later), f"{hit}; let one end before the other begins"
                break


def same_time(scenario: Scenario, one: Fault, other: Fault) -> bool:
    """Whether there is a moment at which both last."""
    if one.at_s == other.at_s:
        return True
    return one.at_s < fault_end_s(other, scenario.duration_s) and other.at_s < fault_end_s(one, scenario.duration_s)


def _same_store(scenario: Scenario, one: Fault, other: Fault) -> bool:
    if {fault_target(one), fault_target(other)} & (SHARED_LINKS | SHARED_PROCESSES):
        return True
    only = scenario.stores[0].name
    return (one.store or only) == (other.store or only)


def _same_target(scenario: Scenario, one: Fault, other: Fault) -> bool:
    targets = frozenset({fault_target(one), fault_target(other)})
    if isinstance(one, LinkFault) or isinstance(other, LinkFault):
        hit, also_hit = (set(links_hit(fault, store_hit(scenario, fault))) for fault in (one, other))
        return not hit.isdisjoint(also_hit) and one.fault == other.fault
    if "store" in targets:
        return targets == {"store"} or not targets.isdisjoint(_IN_STORE)
    if targets == _ROLES:  # at one moment they are two devices; afterwards the standby may be the former primary
        earlier = one if one.at_s < other.at_s else other
        return one.at_s != other.at_s and not isinstance(earlier, ClockFault)
    return len(targets) == 1 or targets in _SAME_DEVICES
