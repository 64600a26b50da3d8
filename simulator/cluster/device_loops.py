"""The loops of a device in virtual time: its feeds to kitchen and cloud, the downlink, and the question of one that breaks glass.

As in `refsystem/edge/feeds.py` they carry bytes and decide nothing; each ends with the life of the process that began it.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from refsystem.protocol.device import Device, FeedName
from simulator.cluster.clock import MS, Clock, drawn_us

if TYPE_CHECKING:
    from simulator.cluster.devices import VirtualDevice

FEED_IDLE_US = 20 * MS
FEED_TIMEOUT_US = 80 * MS


class DeviceLoops:
    """What one device asks of kitchen and cloud, again and again."""

    def __init__(self, clock: Clock, device: VirtualDevice, store: str, generator: random.Random) -> None:
        self._clock = clock
        self._device = device
        self._store = store
        self._generator = generator

    def begin(self, life: int) -> None:
        """A process has started."""
        for name in ("kitchen", "uplink"):
            self._soon(self._feed_step, life, name)
        self._soon(self._downlink_step, life)
        self._soon(self._branch_step, life)

    def _soon(self, step: Any, *args: Any) -> None:
        self._clock.after(drawn_us(self._generator, 0, FEED_IDLE_US), step, *args)

    @property
    def _machine(self) -> Device:
        machine = self._device.machine
        assert machine is not None, "a loop ends with its process"
        return machine

    def _feed_step(self, life: int, name: FeedName) -> None:
        self._device.input(life, self._feed_now, life, name)

    def _feed_now(self, life: int, name: FeedName) -> None:
        device = self._device
        batch = self._machine.feed_batch(name)
        if batch is None:
            self._clock.after(FEED_IDLE_US, self._feed_step, life, name)
            return
        exchange = _Exchange()

        def answered(answer: Any) -> None:
            device.links[f"from {name}"].send(device.input, life, taken, answer)

        def taken(answer: Any) -> None:
            if not exchange.close():
                return
            self._machine.feed_answered(name, answer)
            device.driver.pump()
            more = self._machine.feed_batch(name)
            self._clock.after(0 if more and more.entries else FEED_IDLE_US, self._feed_step, life, name)

        def given_up() -> None:
            if exchange.close():
                self._clock.after(FEED_IDLE_US, self._feed_step, life, name)

        receive = device.kitchen.receive if name == "kitchen" else device.cloud.uplink
        device.links[f"to {name}"].send(receive, batch, answered)
        self._clock.after(FEED_TIMEOUT_US, device.input, life, given_up)

    def _downlink_step(self, life: int) -> None:
        self._device.input(life, self._downlink_now, life)

    def _downlink_now(self, life: int) -> None:
        device = self._device
        question = self._machine.downlink_question()

        def answered(said: Any) -> None:
            device.links["from uplink"].send(device.input, life, taken, said)

        def taken(said: Any) -> None:
            assert question is not None
            orders, last_number = said
            self._machine.downlink_answered(question, orders, last_number)
            device.driver.pump()

        if question is not None:
            device.links["to uplink"].send(device.cloud.downlink, self._store, question.after, answered)
        self._clock.after(FEED_IDLE_US, self._downlink_step, life)

    def _branch_step(self, life: int) -> None:
        self._device.input(life, self._branch_now, life)

    def _branch_now(self, life: int) -> None:
        """While glass is broken: ask the cloud where the logs part (P19)."""
        device = self._device
        question = self._machine.branch_question()

        def answered(answer: Any) -> None:
            device.links["from uplink"].send(device.input, life, taken, answer)

        def taken(answer: Any) -> None:
            self._machine.branch_answered(answer, device.own_now_us)
            device.driver.pump()

        if question is not None:
            device.links["to uplink"].send(device.cloud.branch, question, answered)
        self._clock.after(FEED_IDLE_US, self._branch_step, life)


class _Exchange:
    """One request on a feed: its answer or its time-out ends it, whichever is first."""

    def __init__(self) -> None:
        self._open = True

    def close(self) -> bool:
        """End it; whether it was open."""
        was_open, self._open = self._open, False
        return was_open
