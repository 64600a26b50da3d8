"""What moves a device in virtual time: it flushes, sends and sets timers as the machine says, and as the real driver does."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from refsystem.protocol.messages import Ready, RegisterRead, RegisterState, RegisterSwap
from simulator.cluster.clock import MS, Clock, drawn_us
from simulator.cluster.describing import describe
from simulator.cluster.watching import Watch

if TYPE_CHECKING:
    from simulator.cluster.devices import VirtualDevice

TIMES_PER_HEARTBEAT_MAX = 12
QUICK_FLUSH_US = (200, 2 * MS)


class DeviceDriver:
    """The driver of one device. `flush_us`: how long a flush takes; `swap_in_flight`: whether the arbiter's answer is awaited."""

    def __init__(self, clock: Clock, device: VirtualDevice, watch: Watch, generator: random.Random) -> None:
        self.flush_us = QUICK_FLUSH_US
        self.swap_in_flight = False
        self._clock = clock
        self._device = device
        self._watch = watch
        self._generator = generator
        self._queue: list[Ready] = []
        self._flushing: list[Ready] = []
        self._flush_reached = True
        self._timer_due_us: int | None = None
        self._ticks: deque[int] = deque(maxlen=TIMES_PER_HEARTBEAT_MAX)
        self._questions: deque[int] = deque(maxlen=TIMES_PER_HEARTBEAT_MAX)

    def tick_now(self) -> None:
        """The process starts, or goes on: time is looked at."""
        self.forget_timer()
        self.tick(self._device.life, None)

    def forget_timer(self) -> None:
        """The clock is another one, and so is the time of the next tick."""
        self._timer_due_us = None

    def stop(self) -> None:
        """The process ends. A flush under way may have reached the disk; what waits for a flush is gone."""
        if self._flushing and self._generator.random() < 0.5:
            self._apply_flush()
        self._queue, self._flushing = [], []
        self.swap_in_flight = False

    def pump(self) -> None:
        """Do what the machine says is to be done."""
        device = self._device
        machine = device.machine
        assert machine is not None
        ready = machine.take_ready(device.own_now_us)
        replica = machine.replica
        self._clock.note(
            device.disk.node_id,
            replica.role,
            replica.epoch,
            replica.commit_seq,
            replica.log.last.seq,
            replica.log.last.hash[:12],
        )
        self._send(ready.send)
        if ready.needs_flush:
            self._queue.append(ready)
            self._start_flush()
        self._watch.stepped(device, ready)
        device.answer(ready.replies, replica.epoch)
        self._set_timer()

    def _send(self, messages: tuple[Any, ...]) -> None:
        device = self._device
        for message in messages:
            if self._clock.tracing:
                self._clock.lines.append(f"{'':14}{device.disk.node_id} sends {describe(message)}")
            if isinstance(message, RegisterRead | RegisterSwap):
                self._watch.pace(device, self._questions, "asks the arbiter")
                self.swap_in_flight = self.swap_in_flight or isinstance(message, RegisterSwap)
                device.links["to arbiter"].send(
                    device.arbiter.receive, message, self._answer_of_arbiter(device.life, message)
                )
            else:
                device.links["to peer"].send(device.peer.input, None, device.peer.receive, message)

    def _answer_of_arbiter(self, life: int, request: RegisterRead | RegisterSwap) -> Callable[[Any], None]:
        def answer(state: RegisterState) -> None:
            sent = self._device.links["from arbiter"].send(self._device.input, life, self._device.receive, state)
            if not sent and isinstance(request, RegisterSwap) and state.register == request.register:
                self._clock.goals["an answer to a claim lost"] += 1

        return answer

    def _start_flush(self) -> None:
        if self._flushing or not self._queue:
            return
        self._flushing, self._queue, self._flush_reached = self._queue, [], False
        self._clock.after(drawn_us(self._generator, *self.flush_us), self._flush_done, self._device.life)

    def _flush_done(self, life: int) -> None:
        if life != self._device.life:
            return
        group = self._flushing
        self._apply_flush()
        self._device.input(life, self._flushed, group)

    def _apply_flush(self) -> None:
        if not self._flush_reached:
            self._flush_reached = True
            for ready in self._flushing:
                self._device.disk.apply(ready.persist)

    def _flushed(self, group: list[Ready]) -> None:
        assert self._device.machine is not None
        self._flushing = []
        for ready in group:
            self._device.machine.persisted(ready.token, self._device.own_now_us)
            self._send(ready.send_after_persist)
        self._start_flush()
        self.pump()

    def _set_timer(self) -> None:
        device = self._device
        assert device.machine is not None
        due_us = device.machine.deadline_us()
        if self._timer_due_us is None or due_us < self._timer_due_us:
            self._timer_due_us = due_us
            self._clock.after(due_us - device.own_now_us, self.tick, device.life, due_us)

    def tick(self, life: int, due_us: int | None) -> None:
        """A timer of this life ends; nothing is done if another one was set since, or the process waits."""
        device = self._device
        if device.machine is None or life != device.life or device.paused or due_us != self._timer_due_us:
            return
        self._timer_due_us = None
        self._watch.pace(device, self._ticks, "ticks")
        device.machine.tick(device.own_now_us)
        self.pump()
