"""One device in the explorer: the machine, and a driver in virtual time that flushes, sends and answers as the real one does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from explorer_world import MS, Arbiter, Clock, Cloud, Disk, Link, Receiver, Violation

from refsystem.ordering.order import Order
from refsystem.protocol.device import Device, DeviceSettings, FeedName, Parts
from refsystem.protocol.messages import Ready, RegisterRead, RegisterSwap, Reply, SetAside
from refsystem.protocol.replica import DurableState
from refsystem.protocol.roles import Role

TIMES_PER_HEARTBEAT_MAX = 12
IDLE_US = 15 * MS
FEED_TIMEOUT_US = 80 * MS


class Node:
    """A device's box: its disk, its process (or none), its links."""

    def __init__(self, clock: Clock, slot: str, settings: DeviceSettings, parts: Parts) -> None:
        self.slot = slot
        self.disk = Disk(f"{slot}1")
        self.device: Device | None = None
        self.life = 0
        self.paused = False
        self.flush_us = (200, 2 * MS)
        self.last_input_late_us = 0
        self.peer: Node
        self.links: dict[str, Link] = {}
        self.places: dict[str, Receiver] = {}
        self.arbiter: Arbiter
        self.on_reply: Callable[[Node, Reply], None]
        self.on_ready: Callable[[Node, Ready], None]
        self._clock = clock
        self._settings = settings
        self._parts = parts
        self._inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._queue: list[Ready] = []
        self._flushing: list[Ready] = []
        self._flush_reached = True
        self._timer_due_us: int | None = None
        self._ticks: deque[int] = deque(maxlen=TIMES_PER_HEARTBEAT_MAX)
        self._questions: deque[int] = deque(maxlen=TIMES_PER_HEARTBEAT_MAX)

    # --- life ----------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start the process on what the disk holds."""
        if self.device is not None:
            return
        self.life += 1
        disk = self.disk
        state = DurableState(disk.node_id, disk.epoch, min(disk.commit_seq, len(disk.entries)), tuple(disk.entries))
        self.device = Device(self._settings, state, f"life{self.life}", self._clock.now_us, self._parts)
        self._timer_due_us = None
        self._clock.trace(f"{disk.node_id} boots with {len(disk.entries)} entries, epoch {disk.epoch}")
        for name in ("kitchen", "uplink"):
            self._clock.after(self._clock.between(0, IDLE_US), self._feed_step, self.life, name, 0)
        self._clock.after(self._clock.between(0, IDLE_US), self._downlink_step, self.life, 0)
        self._tick(self.life, None)

    def crash(self) -> None:
        """The process ends; what is not flushed is gone. A flush under way may have reached the disk."""
        if self.device is None:
            return
        self._clock.trace(f"{self.disk.node_id} stops")
        if self._flushing and self._clock.chance(0.5):
            self._apply_flush()
        self.device, self.paused = None, False
        self._queue, self._flushing = [], []
        self._inbox.clear()
        self.life += 1

    def lose_disk(self) -> None:
        """The disk is gone: the next boot is another node."""
        self.crash()
        self._clock.trace(f"{self.disk.node_id} loses its disk")
        self.disk = Disk(f"{self.slot}{int(self.disk.node_id[1:]) + 1}")

    def pause(self) -> None:
        """Stop as SIGSTOP does; input queues up."""
        self.paused = self.device is not None

    def resume(self) -> None:
        """Go on: all that waits is read before timers fire (P20)."""
        if not self.paused:
            return
        self.paused = False
        while self._inbox and not self.paused:
            action, args = self._inbox.popleft()
            action(*args)
        if self.device is not None:
            self._timer_due_us = None
            self._tick(self.life, None)

    def input(self, life: int | None, action: Callable[..., None], *args: Any) -> None:
        """Something reaches the process: at once, after its pause, or never if that life (None: any) is over."""
        if self.device is None or (life is not None and life != self.life):
            return
        if self.paused:
            self._inbox.append((action, args))
        else:
            action(*args)

    # --- driver --------------------------------------------------------------------------------------------------------

    def submit(self, request_id: int, order: Order) -> None:
        """A diner's order arrives."""
        assert self.device is not None
        self.device.submit(request_id, order, self._clock.now_us)
        self._pump()

    def read(self, request_id: int, order_id: str) -> None:
        """A question for an order arrives."""
        assert self.device is not None
        self.device.read(request_id, order_id, self._clock.now_us)
        self._pump()

    def receive(self, message: Any) -> None:
        """A message of the peer or the arbiter arrives."""
        assert self.device is not None
        self.device.receive(message, self._clock.now_us)
        self._pump()

    def _pump(self) -> None:
        assert self.device is not None
        ready = self.device.take_ready(self._clock.now_us)
        self._send(ready.send)
        if any(isinstance(op, SetAside) for op in ready.persist):
            self._clock.goals["entries set aside"] += 1
        if ready.needs_flush:
            self._queue.append(ready)
            self._start_flush()
        self.on_ready(self, ready)
        for reply in ready.replies:
            self.on_reply(self, reply)
        self._set_timer()

    def _send(self, messages: tuple[Any, ...]) -> None:
        for message in messages:
            if isinstance(message, RegisterRead | RegisterSwap):
                self._check_pace(self._questions, "asks the arbiter")
                self.links["to arbiter"].send(self.arbiter.receive, message, self._answer_of_arbiter(self.life))
            else:
                if self._clock.tracing:
                    self._clock.trace(f"{self.disk.node_id} sends {describe(message)}")
                peer = self.peer
                self.links["to peer"].send(peer.input, None, peer.receive, message)

    def _answer_of_arbiter(self, life: int) -> Callable[..., None]:
        def answer(state: Any) -> None:
            if self.links["from arbiter"].cut:
                self._clock.goals["an answer of the arbiter lost"] += 1
            self.links["from arbiter"].send(self.input, life, self.receive, state)

        return answer

    def _start_flush(self) -> None:
        if self._flushing or not self._queue:
            return
        self._flushing, self._queue, self._flush_reached = self._queue, [], False
        self._clock.after(self._clock.between(*self.flush_us), self._flush_done, self.life)

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
        assert self.device is not None
        self._flushing = []
        for ready in group:
            self.device.persisted(ready.token, self._clock.now_us)
            self._send(ready.send_after_persist)
        self._start_flush()
        self._pump()

    def _set_timer(self) -> None:
        assert self.device is not None
        due_us = self.device.deadline_us()
        if self._timer_due_us is None or due_us < self._timer_due_us:
            self._timer_due_us = due_us
            self._clock.after(due_us - self._clock.now_us, self._tick, self.life, due_us)

    def _tick(self, life: int, due_us: int | None) -> None:
        if self.device is None or life != self.life or self.paused or due_us != self._timer_due_us:
            return
        self._timer_due_us = None
        self._check_pace(self._ticks, "ticks")
        self.device.tick(self._clock.now_us)
        self._pump()

    def _check_pace(self, times: deque[int], does: str) -> None:
        """Nothing is done in a hot loop."""
        now_us = self._clock.now_us
        full = len(times) == times.maxlen
        if full and now_us - times[0] < self._settings.timing.heartbeat_us:
            raise Violation(f"{self.disk.node_id} {does} {len(times)} times within one heartbeat")
        times.append(now_us)

    # --- feeds ---------------------------------------------------------------------------------------------------------

    def _feed_step(self, life: int, name: FeedName, turn: int) -> None:
        self.input(life, self._feed_now, life, name, turn)

    def _feed_now(self, life: int, name: FeedName, turn: int) -> None:
        assert self.device is not None
        batch = self.device.feed_batch(name)
        if batch is None:
            self._clock.after(IDLE_US, self._feed_step, life, name, turn)
            return
        state = {"open": True}

        def answered(answer: Any) -> None:
            self.links[f"from {name}"].send(self.input, life, taken, answer)

        def taken(answer: Any) -> None:
            if not state["open"]:
                return
            state["open"] = False
            assert self.device is not None
            self.device.feed_answered(name, answer)
            self._pump()
            more = self.device.feed_batch(name)
            self._clock.after(0 if more and more.entries else IDLE_US, self._feed_step, life, name, turn + 1)

        def given_up() -> None:
            if state["open"]:
                state["open"] = False
                self._clock.after(IDLE_US, self._feed_step, life, name, turn + 1)

        self.links[f"to {name}"].send(self.places[name].receive, batch, answered)
        self._clock.after(FEED_TIMEOUT_US, self.input, life, given_up)

    def _downlink_step(self, life: int, turn: int) -> None:
        self.input(life, self._downlink_now, life, turn)

    def _downlink_now(self, life: int, turn: int) -> None:
        assert self.device is not None
        cloud = self.places["uplink"]
        assert isinstance(cloud, Cloud)
        if self.device.is_primary:
            after = self.device.replica.log.downlink_cursor

            def answered(orders: Any) -> None:
                self.links["from uplink"].send(self.input, life, taken, orders)

            def taken(orders: Any) -> None:
                assert self.device is not None
                self.device.take_downlink(orders)
                self._pump()

            self.links["to uplink"].send(cloud.downlink, after, answered)
        self._clock.after(IDLE_US, self._downlink_step, life, turn + 1)

    @property
    def role(self) -> Role | None:
        """The role of the running process."""
        return self.device.replica.role if self.device is not None else None


def describe(message: Any) -> str:
    """A message on one line, entries as seqs."""
    fields = {name: getattr(message, name) for name in message.__dataclass_fields__}
    if "entries" in fields:
        fields["entries"] = [entry.seq for entry in fields["entries"]]
    for name in ("prev_hash",):
        if name in fields:
            fields[name] = fields[name][:6]
    if "known" in fields:
        fields["known"] = [(place.seq, place.hash[:6]) for place in fields["known"]]
    return " ".join(f"{name}={value}" for name, value in fields.items())
