"""A drill: start the stack, drive load and faults on one timeline, heal, converge, read every place.

Everything ends in files of the run folder; judging them is `chaos.judge`'s. However a drill ends, its processes, proxies and
faults end with it, and what was measured stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import platform
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from chaos.delivery import draw_wishes, order_at_platform
from chaos.disputing import Disputing
from chaos.embedded_proxy import EmbeddedProxy
from chaos.faults.networks import Links
from chaos.faults.toxiproxy import ProxyServer
from chaos.live import LiveView
from chaos.loss_watch import LossWatch
from chaos.observer import Observer, Sample, now_us
from chaos.opening_history import OpeningHistory
from chaos.overload_plan import client_remedies, delay_text, remedies_off
from chaos.steady_state.probing import drill_readers
from chaos.steady_state.readings import probe_client
from chaos.steady_state.watch import SteadyWatch
from chaos.stocking import Stocking, receive_stock
from chaos.timeline import Timeline, cuts_power, troubles_files
from chaos.variants import Variant
from loadtests.launch import STARTUP_US, LoadRun
from loadtests.plan import LoadPlan, Retries, StoreTargets
from refsystem.cloud.schemas import fresh_schema
from refsystem.ordering.menu import Menu
from refsystem.stack import Stack
from refsystem.stack_coupons import CouponStackSettings
from refsystem.stack_delivery import PROCESS, DeliveryStackSettings
from refsystem.stack_settings import SLOTS, GatewayStackSettings, StackSettings, StoreSettings
from simulator.diners import Diner, write_timetable
from simulator.errands import draw_errands
from simulator.scenario import Scenario, dump_scenario
from simulator.scenario_coupons import has_coupons

logger = logging.getLogger(__name__)

SAMPLE_EVERY_S = 0.25
BETWEEN_READS_S = 1.0
LOAD_SLACK_S = 20.0
# Load and stack share one machine in a drill; latency counts from the intended start, so a late start hides nothing.
LATE_AFTER_MS = 250


@dataclass(frozen=True, slots=True)
class DrillPlan:
    """One drill, with everything decided that can be decided before it begins."""

    scenario: Scenario
    seed: int
    menu: Menu
    timetable: Sequence[Diner]
    command: str
    variant: Variant | None = None
    toxiproxy_url: str | None = None
    database_url: str | None = None
    trace: dict[str, Any] | None = None


class Drill:
    """One drill in the run folder `folder`."""

    def __init__(self, plan: DrillPlan, folder: Path, view: LiveView) -> None:
        self._plan = plan
        self._folder = folder
        self._view = view
        self._run_id = uuid.uuid4().hex[:8]
        self._environment: dict[str, Any] = {}
        self._samples: list[Sample] = []
        self._timeline: Timeline | None = None
        self._load: LoadRun | None = None
        self._disputing = Disputing(plan.scenario, plan.seed, folder / "metrics" / "disputes.json")
        self._errands = draw_errands(plan.scenario, plan.menu, plan.seed)

    async def run(self) -> None:
        """From start to final reads. Raises `StackError` or `ToxiproxyError` if it cannot be run."""
        self._write_inputs()
        async with contextlib.AsyncExitStack() as undo:
            self._view.phase("setting up")
            database_url = self._plan.database_url
            if database_url is not None:
                database_url = await undo.enter_async_context(fresh_schema(database_url, f"rushproof_{self._run_id}"))
            stack = Stack(self._stack_settings(database_url))
            server = self._proxy_server(undo)
            undo.callback(stack.stop)
            stack.reserve()
            links = Links(server, stack, f"rp-{self._run_id}-" if self._plan.toxiproxy_url else "")
            undo.callback(server.destroy_all)
            await asyncio.to_thread(links.create)
            await stack.start()
            async with Observer(stack) as observer, probe_client() as http:
                readers = drill_readers(self._plan.scenario, stack, observer, self._folder / "history", http)
                watch = SteadyWatch(readers, self._folder / "metrics" / "steady_state.jsonl")
                await self._drive(stack, links, observer, watch)
            self._view.phase("stopping the stack")

    async def _drive(self, stack: Stack, links: Links, observer: Observer, watch: SteadyWatch) -> None:
        await asyncio.to_thread(self._set_standing_links, links)
        if self._plan.scenario.stock:
            self._view.phase("receiving stock")
            opening = [Stocking(store.name, self._plan.scenario.stock) for store in self._plan.scenario.stores]
            with contextlib.closing(OpeningHistory(self._folder / "history")) as history:
                await asyncio.gather(*(receive_stock(stack, stocking, history) for stocking in opening))
        start_us = now_us() + STARTUP_US
        self._write_environment(start_us=start_us)
        self._timeline = timeline = Timeline(
            self._plan.scenario, stack, links, observer, self._folder / "faults.jsonl", self._view.say
        )
        async with self._sampling(observer):
            with self._loading(stack, start_us) as load:
                self._view.phase(f"load for {self._plan.scenario.duration_s:g} s")
                async with (
                    watch.asking(),
                    asyncio.TaskGroup() as tasks,
                ):  # unlike gather, it waits for what is being undone
                    tasks.create_task(timeline.run(start_us))
                    tasks.create_task(self._wait_for_load(load))
                    tasks.create_task(self._order_at_platform(stack, start_us))
                    if stack.has_gateway:
                        tasks.create_task(self._disputing.run(stack.url("gateway"), lambda: load.poll() is not None))
            self._write_environment(load_ended_at_us=now_us())
            self._view.phase("all faults undone, waiting for convergence")
            if not await observer.heal_gateway():
                self._view.say("the payment gateway does not answer, and goes on misbehaving")
            if not await observer.heal_platforms():
                self._view.say("a platform does not answer, and goes on misbehaving")
            await self._converge_and_read(observer, watch)

    async def _wait_for_load(self, load: LoadRun) -> None:
        """Until Locust has ended by itself; it is stopped when it does not."""
        patience_us = max((diner.patience_us for diner in self._plan.timetable), default=0)
        polls_us = max((diner.poll_us * diner.polls_max for diner in self._plan.timetable), default=0)
        paying_us = max((2 * diner.pay_patience_us for diner in self._plan.timetable), default=0)
        stay_us = max((diner.stay_us for diner in self._plan.timetable), default=0)
        waits_us = STARTUP_US + patience_us + polls_us + paying_us + stay_us
        staff_s = max((errand.ends_by_us for errand in self._errands), default=0) / 1e6
        limit_s = max(self._plan.scenario.duration_s + waits_us / 1e6, staff_s) + LOAD_SLACK_S
        deadline_us = now_us() + round(limit_s * 1e6)
        while load.poll() is None:
            if now_us() > deadline_us:
                self._view.say("the load did not end in time and is stopped")
                await asyncio.to_thread(load.stop)
                return
            await asyncio.sleep(0.1)

    async def _converge_and_read(self, observer: Observer, watch: SteadyWatch) -> None:
        stores = [store.name for store in self._plan.scenario.stores]
        began_us = now_us()
        timeout_s = self._plan.scenario.converge_timeout_s
        (reached, detail), _ = await asyncio.gather(
            observer.wait_converged(stores, timeout_s, self._disputing.untold), watch.wait_holding(timeout_s)
        )
        waited_ms = (now_us() - began_us) // 1000
        self._view.phase("reading every place" if reached else f"not converged ({detail}), reading every place")
        taken_at_us = now_us()
        await observer.read_all(self._folder / "reads" / "1", stores)
        await asyncio.sleep(BETWEEN_READS_S)
        await observer.read_all(self._folder / "reads" / "2", stores)
        convergence = {
            "reached": reached,
            "waited_ms": waited_ms,
            "drain_ms": self._drain_ms(),
            "detail": detail,
            "taken_at_us": taken_at_us,
        }
        self._write_json("reads/convergence.json", convergence)

    # --- parts ---

    def _proxy_server(self, undo: contextlib.AsyncExitStack) -> ProxyServer:
        if self._plan.toxiproxy_url is not None:
            server = ProxyServer(self._plan.toxiproxy_url)
            self._view.say(f"using the Toxiproxy server at {server.url}, version {server.version()}")
            return server
        embedded = EmbeddedProxy(self._folder, self._plan.seed)
        undo.callback(embedded.stop)
        embedded.start()
        return ProxyServer(embedded.url)

    def _stack_settings(self, database_url: str | None) -> StackSettings:
        scenario, variant = self._plan.scenario, self._plan.variant
        stores = tuple(
            StoreSettings(
                store.name,
                store.policy,
                scenario.scaled_us(store.kitchen_seconds) / 1e6,
                format=store.format or "",
                printer=store.printer,
                receipts=store.receipts,
                service_delay=delay_text(store.service_delay),
            )
            for store in scenario.stores
        )
        return StackSettings(
            self._folder,
            stores,
            self._folder / "menu.json",
            database_url=database_url,
            volatile=cuts_power(scenario),
            controlled=troubles_files(scenario),
            synchronous=variant.synchronous if variant is not None else "FULL",
            broken_variant=variant.name if variant is not None else None,
            gateway=self._gateway_settings(),
            coupons=CouponStackSettings() if has_coupons(scenario) else None,
            delivery=self._delivery_settings(),
            channel_rules=scenario.pauses.to_json() if scenario.pauses is not None else "",
            time_scale=scenario.time_scale,
            overload_off=remedies_off(scenario),
        )

    async def _order_at_platform(self, stack: Stack, start_us: int) -> None:
        if stack.has_delivery:
            wishes = draw_wishes(self._plan.scenario, self._plan.menu, self._plan.seed, self._run_id)
            await order_at_platform(stack.url(PROCESS), wishes, start_us, self._folder / "metrics" / "delivery.json")

    def _delivery_settings(self) -> DeliveryStackSettings | None:
        said = self._plan.scenario.delivery
        if said is None:
            return None
        rules = [rule.model_dump(mode="json") for rule in said.misbehaviour]
        return DeliveryStackSettings(json.dumps({"seed": self._plan.seed, "rules": rules}), said.accepts)

    def _gateway_settings(self) -> GatewayStackSettings | None:
        said = self._plan.scenario.payments
        if said is None:
            return None
        rules = [rule.model_dump(mode="json") for rule in said.misbehaviour]
        parties = (("platform", said.platform_basis_points),) if said.platform_basis_points else ()
        misbehaviour = json.dumps({"seed": self._plan.seed, "rules": rules})
        return GatewayStackSettings(misbehaviour, said.wallet_confirm_s, parties)

    def _set_standing_links(self, links: Links) -> None:
        for kind, state in self._plan.scenario.links.items():
            links.set_standing(kind, self._plan.scenario.link_profile(state))

    @contextlib.contextmanager
    def _loading(self, stack: Stack, start_us: int) -> Iterator[LoadRun]:
        said, payments = self._plan.scenario.diners, self._plan.scenario.payments
        targets = {
            store.name: StoreTargets(
                tuple(stack.link_url(f"diner_edge.{store.name}.{slot}") for slot in SLOTS),
                stack.link_url("diner_cloud"),
            )
            for store in self._plan.scenario.stores
        }
        plan = LoadPlan(
            run=self._run_id,
            seed=self._plan.seed,
            start_us=start_us,
            targets=targets,
            attempt_timeout_ms=said.attempt_timeout_ms,
            late_after_ms=LATE_AFTER_MS,
            retries=Retries(said.retries.attempts_max, said.retries.backoff_ms, said.retries.backoff_max_ms),
            remedies=client_remedies(self._plan.scenario),
            access_secret=str(stack.secret("access").resolve()),
            errands=self._errands,
            accepts_unverified=payments.accepts_unverified if payments is not None else 0.0,
        )
        with LoadRun(self._folder, plan) as load:
            self._load = load
            yield load

    @contextlib.asynccontextmanager
    async def _sampling(self, observer: Observer) -> AsyncIterator[None]:
        task = asyncio.create_task(self._sample_for_ever(observer))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _sample_for_ever(self, observer: Observer) -> None:
        stores = [store.name for store in self._plan.scenario.stores]
        path = self._folder / "metrics" / "stack.jsonl"
        path.parent.mkdir(exist_ok=True)
        watches = {store: LossWatch(store, self._folder / "history") for store in stores}
        with path.open("a", encoding="utf-8") as lines:
            while True:
                samples = list(await asyncio.gather(*(observer.sample(store) for store in stores)))
                faults = self._timeline.in_force if self._timeline is not None else []
                for sample in samples:
                    lines.write(json.dumps(sample.row(faults)) + "\n")
                lines.flush()
                self._samples += samples
                if self._load is not None:
                    lost = await self._lost_so_far(observer, watches, samples)
                    self._view.update(self._load.progress(), samples, faults, lost)
                await asyncio.sleep(SAMPLE_EVERY_S)

    async def _lost_so_far(
        self, observer: Observer, watches: Mapping[str, LossWatch], samples: Sequence[Sample]
    ) -> int | None:
        """What the watches miss, over all stores; None while a store has no primary to ask."""
        missing = [
            await watches[sample.store].missing(observer, sample.primary_slot) if sample.primary_slot else None
            for sample in samples
        ]
        counted = [count for count in missing if count is not None]
        return sum(counted) if len(counted) == len(missing) else None

    def _drain_ms(self) -> int | None:
        """The longest time from the end of a fault on the way to the cloud until the cloud had what it had missed."""
        ends_us = [
            (str(row["store"]), int(row["ended_at_us"]))
            for row in _json_lines(self._folder / "faults.jsonl")
            if row["target"] in ("edge_cloud", "cloud", "cloud_database", "postgres") and row["kind"] != "link_weak"
        ]
        drained = [self._drained_ms(store, end_us) for store, end_us in ends_us]
        return max((ms for ms in drained if ms is not None), default=None)

    def _drained_ms(self, store: str, end_us: int) -> int | None:
        after = [sample for sample in self._samples if sample.store == store and sample.at_us >= end_us]
        missed = next((int(sample.primary["commit_seq"]) for sample in after if sample.primary is not None), None)
        if missed is None:
            return None
        for sample in after:
            if sample.cloud is not None and int(sample.cloud["cursor"]["seq"]) >= missed:
                return (sample.at_us - end_us) // 1000
        return None

    # --- files ---

    def _write_inputs(self) -> None:
        (self._folder / "scenario.yaml").write_text(dump_scenario(self._plan.scenario), encoding="utf-8")
        (self._folder / "menu.json").write_text(self._plan.menu.to_json(), encoding="utf-8")
        write_timetable(self._folder / "timetable.json", self._plan.timetable)
        for name in ("history", "reads", "metrics", "logs"):
            (self._folder / name).mkdir(exist_ok=True)
        (self._folder / "faults.jsonl").touch()
        variant = self._plan.variant
        self._environment = {
            "rushproof_version": version("rushproof"),
            "python": sys.version.split()[0],
            "platform": platform.platform(),
            "cpus": psutil.cpu_count() or 1,
            "memory_bytes": psutil.virtual_memory().total,
            "seed": self._plan.seed,
            "command": self._plan.command,
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "start_us": now_us(),
            "scenario": self._plan.scenario.name,
            "toxiproxy": self._plan.toxiproxy_url or "embedded",
            "load_ended_at_us": None,
            "broken_variant": variant.name if variant is not None else None,
            "workers": 1,
            "trace": self._plan.trace,
        }
        self._write_environment()

    def _write_environment(self, **changes: Any) -> None:
        self._environment |= changes
        self._write_json("environment.json", self._environment)

    def _write_json(self, name: str, content: Any) -> None:
        path = self._folder / name
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
