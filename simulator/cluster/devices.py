"""An in-store device in virtual time: the machine that the real process runs, and a driver that flushes, sends and answers
as the real one does. It has a disk, links, a clock of its own, and lives from boot to crash.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from refsystem.ordering.order import Order
from refsystem.protocol.break_glass import BreakGlass
from refsystem.protocol.device import Device, DeviceSettings, Parts
from refsystem.protocol.messages import Ready, RegisterRead, RegisterState, RegisterSwap, Reply
from refsystem.protocol.roles import Role
from simulator.cluster.arbiter import VirtualArbiter
from simulator.cluster.clock import MS, Clock, drawn_us
from simulator.cluster.cloud import VirtualCloud
from simulator.cluster.describing import describe
from simulator.cluster.device_loops import DeviceLoops
from simulator.cluster.disks import Disk, OnSetAside
from simulator.cluster.kitchen import VirtualKitchen
from simulator.cluster.links import Link
from simulator.cluster.watching import Watch

TIMES_PER_HEARTBEAT_MAX = 12
QUICK_FLUSH_US = (200, 2 * MS)
OnReply = Callable[[int, Reply], None]


class VirtualDevice:
    """One box: its disk, its process (or none), its links by name ("to peer", "to arbiter", "from arbiter", "to kitchen", …)."""

    peer: VirtualDevice
    arbiter: VirtualArbiter
    kitchen: VirtualKitchen
    cloud: VirtualCloud
    links: dict[str, Link]

    def __init__(
        self, clock: Clock, slot: str, settings: DeviceSettings, parts: Parts, watch: Watch, *, syncs: bool = True
    ) -> None:
        self.slot = slot
        self.name = f"{settings.store} {slot}"
        self.machine: Device | None = None
        self.life = 0
        self.paused = False
        self.gone = False
        self.isolated = False
        self.shunned = False
        self.flush_us = QUICK_FLUSH_US
        self.clock_offset_us = 0
        self.stepped_at_us = -1
        self.paused_until_us = -1
        self.swap_in_flight = False
        self._clock = clock
        self._settings = settings
        self._parts = parts
        self._watch = watch
        self._syncs = syncs
        self._generator = clock.generator(f"device {self.name}")
        self._loops = DeviceLoops(clock, self, settings.store, self._generator)
        self._disks = 0
        self.disk = self._new_disk()
        self._inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._queue: list[Ready] = []
        self._flushing: list[Ready] = []
        self._flush_reached = True
        self._timer_due_us: int | None = None
        self._ticks: deque[int] = deque(maxlen=TIMES_PER_HEARTBEAT_MAX)
        self._questions: deque[int] = deque(maxlen=TIMES_PER_HEARTBEAT_MAX)
        self._waiting: dict[int, OnReply] = {}
        self._requests = 0

    @property
    def role(self) -> Role | None:
        """The role of the running process."""
        return self.machine.replica.role if self.machine is not None else None

    @property
    def own_now_us(self) -> int:
        """The moment as the process sees it: its clock may have been stepped."""
        return self._clock.now_us + self.clock_offset_us

    def joins(self) -> bool:
        """Whether it is on its way to become a member."""
        return self.role is Role.JOINING

    def is_writing(self) -> bool:
        """Whether it holds entries that are not committed yet."""
        return self.machine is not None and self.machine.replica.commit_seq < self.machine.replica.log.last.seq

    def lacks(self) -> int:
        """How many entries the other device has flushed and this one has not."""
        return len(self.peer.disk.entries) - len(self.disk.entries)

    def has_just_caught_up(self) -> bool:
        """Whether it has flushed all that is committed and is no member yet: its answer may still be on its way."""
        primary = self.peer.machine
        committed = 0 if primary is None else primary.replica.commit_seq
        return self.role is Role.JOINING and 0 < committed <= len(self.disk.entries)

    # --- life ----------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start the process on what the disk holds."""
        if self.machine is not None or self.gone:
            return
        self.life += 1
        state = self.disk.state()
        self._clock.note(self.disk.node_id, "boots with", len(state.entries), "entries, epoch", state.epoch)
        self.machine = Device(self._settings, state, f"life{self.life}", self.own_now_us, self._parts)
        self._timer_due_us = None
        self._watch.booted(self)
        self._loops.begin(self.life)
        self._tick(self.life, None)

    def crash(self) -> None:
        """The process ends; what is not flushed is gone. A flush under way may have reached the disk."""
        if self.machine is None:
            return
        self._clock.note(self.disk.node_id, "stops")
        if self._flushing and self._generator.random() < 0.5:
            self._apply_flush()
        if not self._syncs:
            self.disk.lose_unsynced()
        self.machine, self.paused = None, False
        self._queue, self._flushing = [], []
        self._inbox.clear()
        self._waiting.clear()
        self.swap_in_flight = False
        self.life += 1

    def lose_disk(self) -> None:
        """The disk is gone: the next boot is another node."""
        self.crash()
        self.rejoin()
        self.shunned = False
        self._clock.note(self.disk.node_id, "loses its disk")
        self.disk = self._new_disk()

    def switch_off(self) -> None:
        """Crash, and stay off until `switch_on`."""
        self.crash()
        self.gone = True

    def switch_on(self) -> None:
        """Boot after `switch_off`."""
        self.gone = False
        self.boot()

    def isolate(self) -> None:
        """Everything around it is cut off, diners too; it runs, and knows of nothing."""
        self._clock.note(self.disk.node_id, "is isolated")
        self.isolated = self.shunned = True
        for link in self.links.values():
            link.isolated = True
        self.peer.links["to peer"].isolated = True

    def rejoin(self) -> None:
        """It is connected again. People go to it again when it has learned that another was named in its place."""
        if not self.isolated:
            return
        self._clock.note(self.disk.node_id, "is connected again")
        self.isolated = False
        for link in (*self.links.values(), self.peer.links["to peer"]):
            link.isolated = False

    def pause(self) -> None:
        """Stop as SIGSTOP does; input queues up."""
        self.paused = self.machine is not None

    def resume(self) -> None:
        """Go on: all that waits is read before timers fire (P20)."""
        if not self.paused:
            return
        self.paused = False
        self.paused_until_us = self._clock.now_us
        while self._inbox and not self.paused and self.machine is not None:
            action, args = self._inbox.popleft()
            action(*args)
        if self.machine is not None:
            self._timer_due_us = None
            self._tick(self.life, None)

    def step_clock(self, by_us: int) -> None:
        """Move the process's clock."""
        self.clock_offset_us += by_us
        self.stepped_at_us = self._clock.now_us
        if self.machine is not None:
            self._timer_due_us = None
            self.input(self.life, self._tick, self.life, None)

    def heal(self) -> None:
        """Everything works again, and the process runs."""
        self.flush_us = QUICK_FLUSH_US
        self.rejoin()
        for link in self.links.values():
            link.heal()
        self.resume()
        self.switch_on()

    def input(self, life: int | None, action: Callable[..., None], *args: Any) -> None:
        """Something reaches the process: at once, after its pause, or never if that life (None: any) is over."""
        if self.machine is None or (life is not None and life != self.life):
            return
        if self.paused:
            self._inbox.append((action, args))
        else:
            action(*args)

    # --- requests ------------------------------------------------------------------------------------------------------

    def submit(self, order: Order, on_reply: OnReply) -> None:
        """A diner's order arrives; `on_reply(life, reply)` unless the process ends first."""
        if self.shunned:
            return
        request_id = self._expect("submit", order.order_id, order.body_hash, on_reply)
        assert self.machine is not None
        self.machine.submit(request_id, order, self.own_now_us)
        self.pump()

    def read(self, order_id: str, on_reply: OnReply) -> None:
        """A question for an order arrives."""
        if self.shunned:
            return
        request_id = self._expect("read", order_id, "", on_reply)
        assert self.machine is not None
        self.machine.read(request_id, order_id, self.own_now_us)
        self.pump()

    def break_glass(self, word: BreakGlass) -> None:
        """A person names this device. Raises `BreakGlassRefused`."""
        assert self.machine is not None
        self.machine.break_glass(word, self.own_now_us)
        self.pump()

    def receive(self, message: Any) -> None:
        """A message of the peer or the arbiter arrives."""
        assert self.machine is not None
        if isinstance(message, RegisterState):
            self.swap_in_flight = False
        self.machine.receive(message, self.own_now_us)
        self.pump()

    def _expect(self, kind: str, order_id: str, body_hash: str, on_reply: OnReply) -> int:
        self._requests += 1
        self._waiting[self._requests] = on_reply
        self._watch.asked(self, self._requests, kind, order_id, body_hash)
        return self._requests

    # --- driver --------------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Do what the machine says is to be done."""
        device = self.machine
        assert device is not None
        ready = device.take_ready(self.own_now_us)
        replica = device.replica
        self._clock.note(
            self.disk.node_id,
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
        self._watch.stepped(self, ready)
        for reply in ready.replies:
            on_reply = self._waiting.pop(reply.request_id)
            if self.shunned:
                self._watch.not_heard(self, reply)
            else:
                self._watch.replied(self, reply)
                on_reply(self.life, reply)
        if self.shunned and not self.isolated and replica.epoch >= self.arbiter.register.forked_epoch:
            self.shunned = False
        self._set_timer()

    def _send(self, messages: tuple[Any, ...]) -> None:
        for message in messages:
            if self._clock.tracing:
                self._clock.lines.append(f"{'':14}{self.disk.node_id} sends {describe(message)}")
            if isinstance(message, RegisterRead | RegisterSwap):
                self._watch.pace(self, self._questions, "asks the arbiter")
                self.swap_in_flight = self.swap_in_flight or isinstance(message, RegisterSwap)
                self.links["to arbiter"].send(
                    self.arbiter.receive, message, self._answer_of_arbiter(self.life, message)
                )
            else:
                self.links["to peer"].send(self.peer.input, None, self.peer.receive, message)

    def _answer_of_arbiter(self, life: int, request: RegisterRead | RegisterSwap) -> Callable[[Any], None]:
        def answer(state: RegisterState) -> None:
            sent = self.links["from arbiter"].send(self.input, life, self.receive, state)
            if not sent and isinstance(request, RegisterSwap) and state.register == request.register:
                self._clock.goals["an answer to a claim lost"] += 1

        return answer

    def _start_flush(self) -> None:
        if self._flushing or not self._queue:
            return
        self._flushing, self._queue, self._flush_reached = self._queue, [], False
        self._clock.after(drawn_us(self._generator, *self.flush_us), self._flush_done, self.life)

    def _flush_done(self, life: int) -> None:
        if life != self.life:
            return
        group = self._flushing
        self._apply_flush()
        self.input(life, self._flushed, group)

    def _apply_flush(self) -> None:
        if not self._flush_reached:
            self._flush_reached = True
            for ready in self._flushing:
                self.disk.apply(ready.persist)

    def _flushed(self, group: list[Ready]) -> None:
        assert self.machine is not None
        self._flushing = []
        for ready in group:
            self.machine.persisted(ready.token, self.own_now_us)
            self._send(ready.send_after_persist)
        self._start_flush()
        self.pump()

    def _set_timer(self) -> None:
        assert self.machine is not None
        due_us = self.machine.deadline_us()
        if self._timer_due_us is None or due_us < self._timer_due_us:
            self._timer_due_us = due_us
            self._clock.after(due_us - self.own_now_us, self._on_timer, self.life, due_us)

    def _on_timer(self, life: int, due_us: int) -> None:
        if self.machine is None or life != self.life or self.paused or due_us != self._timer_due_us:
            return
        self._tick(life, due_us)

    def _tick(self, life: int, due_us: int | None) -> None:
        if self.machine is None or life != self.life or self.paused or due_us != self._timer_due_us:
            return
        self._timer_due_us = None
        self._watch.pace(self, self._ticks, "ticks")
        self.machine.tick(self.own_now_us)
        self.pump()

    def _new_disk(self) -> Disk:
        self._disks += 1
        on_set_aside: OnSetAside = self._watch.set_aside
        return Disk(f"{self._settings.store}-{self.slot}{self._disks}", on_set_aside)
