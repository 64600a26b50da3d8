"""The faults of a scenario on a running stack: each at its time, each proven, each undone whatever happens."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chaos.cancelling import through_cancelling
from chaos.faults.base import FaultError, Injected, Lasting, Target, both, with_delay
from chaos.faults.break_glass import BreakGlass
from chaos.faults.gray import Failing, HttpErrors
from chaos.faults.links import LinkCut, LinkWeakened
from chaos.faults.networks import Links
from chaos.faults.planned import calls_for_failover, injected_fault, loses_disk, needs_control
from chaos.observer import Observer, Sample, now_us
from refsystem.stack import Stack
from simulator import scenario as planned
from simulator.scenario import (
    Fault,
    GlassBroken,
    LinkFault,
    PowerCut,
    ProcessFault,
    Scenario,
    Store,
    fault_end_s,
    fault_label,
    fault_target,
)
from simulator.scenario_reach import links_hit, store_hit

logger = logging.getLogger(__name__)

DEVICES = {"edge_a": "a", "edge_b": "b"}
STORE_PROCESSES = ("edge_a", "edge_b", "arbiter", "kitchen")
SHARED = ("cloud", "postgres", "gateway", "delivery_platform", "coupon_platform")
RESOLVE_TIMEOUT_S = 5.0
RESOLVE_READ_TIMEOUT_S = 1.2
HELD_TIMEOUT_S = 15.0
UNDO_TIMEOUT_S = 60.0


class Timeline:
    """Runs the faults of `scenario`; `in_force` names those that are on now."""

    def __init__(
        self, scenario: Scenario, stack: Stack, links: Links, observer: Observer, path: Path, say: Callable[[str], None]
    ) -> None:
        self._scenario = scenario
        self._stack = stack
        self._links = links
        self._observer = observer
        self._path = path
        self._say = say
        self.in_force: list[str] = []
        path.touch()

    async def run(self, start_us: int) -> None:
        """Every fault at its time after `start_us`; returns when all are undone. Cancelling undoes what is in force."""
        async with asyncio.TaskGroup() as tasks:
            for fault in self._scenario.faults:
                tasks.create_task(self._one(fault, start_us))

    async def _one(self, fault: Fault, start_us: int) -> None:
        planned_at_us = start_us + round(fault.at_s * 1_000_000)
        end_us = start_us + round(fault_end_s(fault, self._scenario.duration_s) * 1_000_000)
        await _sleep_until(planned_at_us)
        label = fault_label(fault)
        row: dict[str, Any] = {
            "name": label,
            "kind": fault.fault,
            "target": fault_target(fault),
            "resolved": "",
            "store": fault.store or self._scenario.stores[0].name,
            "planned_at_us": planned_at_us,
            "started_at_us": now_us(),
            "took_effect": False,
            "undone": False,
            "evidence": "",
            "undo_detail": "",
            "hits_primary": False,
            "epoch_before": None,
            "disk_lost_node_ids": [],
            "off_node_ids": [],
        }
        injected: Injected | None = None
        self.in_force.append(label)
        try:
            injected = await self._resolve(fault)
            row["started_at_us"] = now_us()
            self._say(f"fault: {label} ({injected.target.resolved})")
            await through_cancelling(injected.begin())
            effect = await injected.prove()
            if isinstance(fault, LinkFault):
                effect = with_delay(effect, (now_us() - end_us) / 1e6)
            row |= {"took_effect": effect.proven, "evidence": effect.evidence}
            await _sleep_until(end_us)
            if effect.proven and isinstance(injected, Lasting):
                row["took_effect"] = False
                effect = both(effect, await asyncio.wait_for(injected.held(), HELD_TIMEOUT_S))
                row |= {"took_effect": effect.proven, "evidence": effect.evidence}
        except Exception as error:  # of whatever kind: it is in the row, and the other faults go on
            told = str(error) or type(error).__name__
            proof = row["evidence"]
            row["evidence"] = f"{proof}; later: {told}" if proof else f"could not be injected: {told}"
            logger.warning("%s: %s", label, error, exc_info=not isinstance(error, FaultError | OSError | RuntimeError))
        finally:
            await through_cancelling(self._finish(label, row, injected))

    async def _finish(self, label: str, row: dict[str, Any], injected: Injected | None) -> None:
        """Undo and write the row down."""
        if injected is not None:
            target = injected.target
            row |= {
                "target": target.name,
                "resolved": target.resolved,
                "hits_primary": target.hits_primary,
                "epoch_before": target.epoch_before,
                "disk_lost_node_ids": target.disk_lost_node_ids,
                "off_node_ids": target.off_node_ids,
            }
            try:
                async with asyncio.timeout(UNDO_TIMEOUT_S):
                    row["undo_detail"] = await injected.undo()
                row["undone"] = True
            except Exception as error:  # of whatever kind: it is in the row, and the other faults are undone
                row["undo_detail"] = f"could not be undone: {str(error) or type(error).__name__}"
                logger.error("%s %s", label, row["undo_detail"], exc_info=not isinstance(error, OSError | RuntimeError))
        else:
            row |= {"undone": True, "undo_detail": "was never injected"}
        row["ended_at_us"] = now_us()
        self.in_force.remove(label)
        self._say(f"undone: {label}")
        with self._path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")

    async def _resolve(self, fault: Fault) -> Injected:
        store = fault.store or self._scenario.stores[0].name
        if isinstance(fault, LinkFault):
            kinds = links_hit(fault, store_hit(self._scenario, fault))
            hit = [link for kind in kinds for link in self._links.matching(kind, store)]
            if not hit:
                raise FaultError(f"there is no link {fault.link} of store {store}")
            target = Target(fault.link, ", ".join(link.name for link in hit))
            match fault:
                case planned.LinkDown():
                    return LinkCut(self._links, hit, fault.direction, target)
                case planned.HttpErrors():
                    failing = Failing(fault.path, fault.method, fault.status, fault.share)
                    return HttpErrors(self._links, self._stack, hit, failing, target)
                case planned.LinkWeak():
                    return LinkWeakened(self._links, hit, self._scenario.link_profile(fault), target)
        return await self._resolve_process(fault, store)

    async def _resolve_process(self, fault: ProcessFault, store: str) -> Injected:
        if isinstance(fault, GlassBroken):
            target = Target(fault.process, fault.process)
            return BreakGlass(
                self._stack, store, fault_label(fault), target, without_cloud=fault.without_cloud, limit_s=fault.for_s
            )
        sample = await self._sample_with_primary(store, needed=fault.process in ("primary", "standby"))
        names = _process_names(fault.process, sample, self._scenario.store_of(store))
        primary_name = None if sample.primary_slot is None else f"edge_{sample.primary_slot}"
        hits_primary = primary_name in names and calls_for_failover(fault)
        target = Target(fault.process, ", ".join(names), hits_primary=hits_primary)
        if sample.primary is not None:
            target.epoch_before = int(sample.primary["epoch"])
        if loses_disk(fault):
            target.disk_lost_node_ids += _node_ids(names, sample)
        full_names = [name if name in SHARED else f"{store}.{name}" for name in names]
        return injected_fault(fault, self._stack, full_names, target, self._scenario.seed)

    async def _sample_with_primary(self, store: str, *, needed: bool) -> Sample:
        deadline_s = time.monotonic() + RESOLVE_TIMEOUT_S
        sample = await self._observer.sample(store, RESOLVE_READ_TIMEOUT_S)
        while needed and sample.primary is None:
            if time.monotonic() > deadline_s:
                raise FaultError("no device is primary, so neither primary nor standby can be hit")
            await asyncio.sleep(0.05)
            sample = await self._observer.sample(store, RESOLVE_READ_TIMEOUT_S)
        return sample


def cuts_power(scenario: Scenario) -> bool:
    """Whether the files of devices and arbiters must be such that a kill loses what a power cut would lose."""
    return any(isinstance(fault, PowerCut) for fault in scenario.faults)


def troubles_files(scenario: Scenario) -> bool:
    """Whether the processes need control files, by which their disks and clocks are troubled."""
    return any(needs_control(fault) for fault in scenario.faults)


def _process_names(process: str, sample: Sample, store: Store) -> Sequence[str]:
    if process == "store":
        in_cloud = ("arbiter",) if store.arbiter == "in_cloud" else ()
        printer = ("printer",) if store.printer else ()
        return [name for name in (*STORE_PROCESSES, *printer) if name not in in_cloud]
    if process in ("primary", "standby"):
        primary = sample.primary_slot
        assert primary is not None
        standby = "b" if primary == "a" else "a"
        return [f"edge_{primary if process == 'primary' else standby}"]
    return [process]


def _node_ids(names: Sequence[str], sample: Sample) -> list[str]:
    statuses = [sample.edges[DEVICES[name]] for name in names]
    return [str(status["node_id"]) for status in statuses if status is not None]


async def _sleep_until(at_us: int) -> None:
    await asyncio.sleep(max(0.0, (at_us - now_us()) / 1e6))
