"""One diner's visit: look at the menu, choose, order, look now and then how the order stands, and pay; or a party's.

All moments come from the timetable, never from when the last answer happened to arrive: the order is *meant* at the
start of the visit plus the thinking, and its latency counts from there. A slow menu therefore delays the order
visibly. A diner whose menu does not load while choosing orders from the copy on the device; so every diner who starts
also orders. Who comes in a party goes on as `loadtests.party` says.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import gevent
from gevent import Greenlet

from loadtests.client import Device
from loadtests.contract import Answer, OrderingApi, PayingApi
from loadtests.ledger import Ledger, Rows
from loadtests.party import PartyVisit
from loadtests.paying import Payer
from loadtests.plan import LoadPlan, monotonic_us
from refsystem.ordering.order import Order
from simulator.diners import Diner, intent_id, marker, order_id
from simulator.history import Door, Outcome

Step = Literal["menu", "order", "read", "pay"]


@dataclass(frozen=True, slots=True)
class Told:
    """How one step of a visit ended: the last answer of its attempts, and when it was meant and came."""

    step: Step
    intended_at_us: int
    completed_at_us: int
    answer: Answer

    @property
    def response_us(self) -> int:
        """From the intended start to the end."""
        return self.completed_at_us - self.intended_at_us


class Observer(Protocol):
    """Who is told of a visit while it goes on."""

    def woke(self, diner: int, lateness_us: int) -> None:
        """For `diner` the load generator came `lateness_us` after the moment that the timetable says."""
        ...

    def told(self, told: Told) -> None:
        """A step ended."""
        ...

    def skipped(self, step: str) -> None:
        """A step was left out, because the adapter cannot do it."""
        ...


class Journey:
    """The visit of one diner; `run` may be called once, in a greenlet of its own."""

    def __init__(self, diner: Diner, plan: LoadPlan, api: OrderingApi, ledger: Ledger, observer: Observer) -> None:
        self._diner = diner
        self._plan, self._api, self._ledger, self._observer = plan, api, ledger, observer
        self._intent_id = intent_id(plan.run, diner)
        self._home: Door = "cloud" if diner.channel == "mini_program" else "edge"
        self._devices: list[Device] = []
        self._taps: list[Greenlet] = []

    def run(self) -> Outcome:
        """Live the visit; returns whether the person got an order, as the client was told. Leaves nothing running."""
        try:
            return self._visit()
        finally:
            gevent.killall(self._taps)
            for device in self._devices:
                device.close()

    def _visit(self) -> Outcome:
        diner = self._diner
        started_at_us = self._plan.start_us + diner.at_us
        self._observer.woke(diner.diner, monotonic_us() - started_at_us)
        device = self.device(self._home, "first")
        self._read_menu(device, started_at_us)
        intended_at_us = self._plan.start_us + diner.intended_us
        self.sleep_until(intended_at_us)
        outcome, answer = self._submit(device, self._order(0), intended_at_us)
        if outcome != "ok" and diner.behaviour == "reorders" and answer.asks_again:
            again, _ = self._submit(device, self._order(1), monotonic_us())
            outcome = _fold([outcome, again])
        gevent.joinall(self._taps, raise_error=True)
        return outcome

    def _read_menu(self, device: Device, intended_at_us: int) -> None:
        """Ask for the menu while the diner chooses, or for one attempt's time if that is longer."""
        diner, plan = self._diner, self._plan
        deadline_us = intended_at_us + max(diner.think_us, plan.attempt_timeout_ms * 1000)
        rows = self._ledger.rows(diner, self._intent_id, None)
        answer = device.ask("menu", self._api.menu(device.door, diner.store), rows, intended_at_us, deadline_us)
        self._observer.told(Told("menu", intended_at_us, monotonic_us(), answer))

    def _submit(self, device: Device, order: Order, intended_at_us: int) -> tuple[Outcome, Answer]:
        """Submit one order as this diner does, then watch it; returns what it folds to and the best answer."""
        diner = self._diner
        deadline_us = intended_at_us + diner.patience_us
        rows = self._ledger.rows(self._diner, self._intent_id, order)

        def submit(tapped: Device) -> tuple[Answer, Device]:
            request = self._api.order(tapped.door, self._diner.store, order)
            return tapped.ask("order", request, rows, intended_at_us, deadline_us), tapped

        answer, device = self._first_yes(submit, [device, *self._second_taps()])
        completed_at_us = monotonic_us()
        self._observer.told(Told("order", intended_at_us, completed_at_us, answer))
        if answer.outcome == "ok":
            if diner.visit is None:
                self._watch(device, rows, order.order_id, max(completed_at_us, intended_at_us + diner.pickup_us))
                self._pay(device, order)
            else:
                self._taps.append(gevent.spawn(self._watch, device, rows, order.order_id, completed_at_us))
                PartyVisit(diner, self._plan, self._api, self._ledger, self, order).run()
        return rows.outcome, answer

    def _second_taps(self) -> list[Device]:
        """The devices beside the diner's own that send the same key at the same time."""
        if self._diner.behaviour == "double_tap":
            return [self.device(self._home, "second")]
        if self._diner.behaviour == "two_doors":
            other: Door = "edge" if self._home == "cloud" else "cloud"
            return [self.device(other, "second")] if self._base_urls(other) else []
        return []

    def _first_yes(
        self, submit: Callable[[Device], tuple[Answer, Device]], devices: Sequence[Device]
    ) -> tuple[Answer, Device]:
        """Submit at all `devices` at once; the first yes counts, else the answer that knows least. The others go on."""
        if len(devices) == 1:
            return submit(devices[0])
        taps = [gevent.spawn(submit, device) for device in devices]
        self._taps += taps
        results: list[tuple[Answer, Device]] = []
        for tap in gevent.iwait(taps):
            results.append(tap.get())
            if results[-1][0].outcome == "ok":
                return results[-1]
        return min(results, key=lambda result: result[0].outcome != "indefinite")

    def _watch(self, device: Device, rows: Rows, key: str, acknowledged_at_us: int) -> None:
        """Ask how the order stands every `poll_us` until it was served or the diner has asked `polls_max` times."""
        diner, timeout_us = self._diner, self._plan.attempt_timeout_ms * 1000
        request = self._api.read(device.door, diner.store, key)
        for number in range(1, diner.polls_max + 1):
            intended_at_us = acknowledged_at_us + number * diner.poll_us
            self.sleep_until(intended_at_us)
            deadline_us = intended_at_us + max(diner.poll_us, timeout_us)
            answer = device.ask("read", request, rows, intended_at_us, deadline_us)
            self._observer.told(Told("read", intended_at_us, monotonic_us(), answer))
            if answer.served:
                return

    def _pay(self, device: Device, order: Order) -> None:
        """Pay the order's check, at the edge."""
        if self._diner.tender is None:
            return
        if not isinstance(self._api, PayingApi) or self._plan.access_secret is None:
            self.skipped("pay")
            return
        if device.door != "edge":
            device = self.device("edge", "pay")
        intended_at_us = monotonic_us()
        answer = Payer(self._diner, self._plan, device, self._ledger, self._intent_id, order.order_id).run()
        self.paid(intended_at_us, answer)

    def _order(self, which: Literal[0, 1]) -> Order:
        """The diner's order; `which` 1 is the one made after giving up, with a key and a marker of its own."""
        diner = self._diner
        assert self._plan.start_unix_ms is not None, "a plan that was written has it"
        return Order(
            order_id=order_id(diner, self._plan.start_unix_ms, which=which),
            channel=diner.channel,
            table=diner.table,
            items=diner.items,
            total_minor=diner.total_minor,
            note=marker(self._plan.run, diner, which),
            pickup_at_s=_pickup_at_s(self._plan, diner),
        )

    def _base_urls(self, door: Door) -> Sequence[str]:
        targets = self._plan.targets[self._diner.store]
        if door == "edge":
            return targets.edges
        return [targets.cloud] if targets.cloud else []

    # --- what a party's visit needs ---

    def ordered(self, intended_at_us: int, answer: Answer) -> None:
        """An order ended."""
        self._observer.told(Told("order", intended_at_us, monotonic_us(), answer))

    def paid(self, intended_at_us: int, answer: Answer) -> None:
        """A payment of a check ended."""
        self._observer.told(Told("pay", intended_at_us, monotonic_us(), answer))

    def skipped(self, step: str) -> None:
        """A step was left out, because the adapter cannot do it."""
        self._observer.skipped(step)

    def device(self, door: Door, purpose: str) -> Device:
        """A device at `door`; which edge it tries first is drawn by the diner's number, the same in every run."""
        plan, base_urls = self._plan, self._base_urls(door)
        key = f"{plan.seed}/{self._diner.store}/{self._diner.diner}"
        first = random.Random(f"{key}/edge").randrange(max(1, len(base_urls)))
        draw = random.Random(f"{key}/{door}/{purpose}")
        device = Device(self._api, door, base_urls, first, plan.retries, plan.attempt_timeout_ms, draw, plan.remedies)
        self._devices.append(device)
        return device

    def sleep_until(self, at_us: int) -> None:
        """Wait for a moment of the timetable, and tell how late it came."""
        left_us = at_us - monotonic_us()
        if left_us > 0:
            gevent.sleep(left_us / 1_000_000)
            self._observer.woke(self._diner.diner, monotonic_us() - at_us)


def _pickup_at_s(plan: LoadPlan, diner: Diner) -> int:
    """When an order for later is called for, in seconds since 1970; 0: it is none."""
    assert plan.start_unix_ms is not None, "a plan that was written has it"
    return (plan.start_unix_ms + (diner.intended_us + diner.pickup_us) // 1000) // 1000 if diner.pickup_us else 0


def _fold(outcomes: Sequence[Outcome]) -> Outcome:
    order: tuple[Outcome, ...] = ("ok", "indefinite", "fail")
    return min(outcomes, key=order.index)
