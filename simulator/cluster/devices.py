"""An in-store device in virtual time: the machine that the real process runs, from boot to crash, with its disk and its links."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from refsystem.ordering.order import Order
from refsystem.protocol.break_glass import BreakGlass
from refsystem.protocol.device import Device, DeviceSettings, Parts
from refsystem.protocol.messages import RegisterState, Reply
from refsystem.protocol.roles import Role
from simulator.cluster.arbiter import VirtualArbiter
from simulator.cluster.clock import Clock
from simulator.cluster.cloud import VirtualCloud
from simulator.cluster.device_driver import QUICK_FLUSH_US, DeviceDriver
from simulator.cluster.device_loops import DeviceLoops
from simulator.cluster.disks import Disk, OnSetAside
from simulator.cluster.kitchen import VirtualKitchen
from simulator.cluster.links import Link
from simulator.cluster.watching import Watch

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
        self.clock_offset_us = 0
        self.stepped_at_us = -1
        self.paused_until_us = -1
        self._clock = clock
        self._settings = settings
        self._parts = parts
        self._watch = watch
        self._syncs = syncs
        self._generator = clock.generator(f"device {self.name}")
        self.driver = DeviceDriver(clock, self, watch, self._generator)
        self._loops = DeviceLoops(clock, self, settings.store, self._generator)
        self._disks = 0
        self.disk = self._new_disk()
        self._inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
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
        self._watch.booted(self)
        self._loops.begin(self.life)
        self.driver.tick_now()

    def crash(self) -> None:
        """The process ends; what is not flushed is gone. A flush under way may have reached the disk."""
        if self.machine is None:
            return
        self._clock.note(self.disk.node_id, "stops")
        self.driver.stop()
        if not self._syncs:
            self.disk.lose_unsynced()
        self.machine, self.paused = None, False
        self._inbox.clear()
        self._waiting.clear()
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
            self.driver.tick_now()

    def step_clock(self, by_us: int) -> None:
        """Move the process's clock."""
        self.clock_offset_us += by_us
        self.stepped_at_us = self._clock.now_us
        if self.machine is not None:
            self.driver.forget_timer()
            self.input(self.life, self.driver.tick, self.life, None)

    def heal(self) -> None:
        """Everything works again, and the process runs."""
        self.driver.flush_us = QUICK_FLUSH_US
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
        self.driver.pump()

    def read(self, order_id: str, on_reply: OnReply) -> None:
        """A question for an order arrives."""
        if self.shunned:
            return
        request_id = self._expect("read", order_id, "", on_reply)
        assert self.machine is not None
        self.machine.read(request_id, order_id, self.own_now_us)
        self.driver.pump()

    def break_glass(self, word: BreakGlass) -> None:
        """A person names this device. Raises `BreakGlassRefused`."""
        assert self.machine is not None
        self.machine.break_glass(word, self.own_now_us)
        self.driver.pump()

    def receive(self, message: Any) -> None:
        """A message of the peer or the arbiter arrives."""
        assert self.machine is not None
        if isinstance(message, RegisterState):
            self.driver.swap_in_flight = False
        self.machine.receive(message, self.own_now_us)
        self.driver.pump()

    def answer(self, replies: tuple[Reply, ...], epoch: int) -> None:
        """Whoever asked is told; people who went to another device hear nothing. `epoch`: the machine's own."""
        for reply in replies:
            on_reply = self._waiting.pop(reply.request_id)
            if self.shunned:
                self._watch.not_heard(self, reply)
            else:
                self._watch.replied(self, reply)
                on_reply(self.life, reply)
        if self.shunned and not self.isolated and epoch >= self.arbiter.register.forked_epoch:
            self.shunned = False

    def _expect(self, kind: str, order_id: str, body_hash: str, on_reply: OnReply) -> int:
        self._requests += 1
        self._waiting[self._requests] = on_reply
        self._watch.asked(self, self._requests, kind, order_id, body_hash)
        return self._requests

    def _new_disk(self) -> Disk:
        self._disks += 1
        on_set_aside: OnSetAside = self._watch.set_aside
        return Disk(f"{self._settings.store}-{self.slot}{self._disks}", on_set_aside)
