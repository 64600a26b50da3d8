"""A store of one or two devices and its arbiter, for state machines: faults and requests are told, and the rest goes on in `run`.

In `run` messages arrive, flushes are through and time passes, as far as the test does not hold them back. A driver's order of
things is kept: an input, `take_ready`, send; flush; `persisted`, send what waited for the flush. Every step is held against
what the store promises about its log: one content for each committed seq, and flushed on every member.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.order import Order
from refsystem.protocol import arbiter as arbiter_rule
from refsystem.protocol.admission import Policy
from refsystem.protocol.device import Device, DeviceSettings, Parts
from refsystem.protocol.log import Cursor, Entry
from refsystem.protocol.messages import (
    Ready,
    Register,
    RegisterRead,
    RegisterState,
    RegisterSwap,
    Reply,
    SetAside,
    StoreCommit,
    StoreEntries,
    StoreEpoch,
)
from refsystem.protocol.replica import DurableState
from refsystem.protocol.roles import Role
from refsystem.protocol.timing import DEFAULT_TIMING

MS = 1_000
TIMING = replace(DEFAULT_TIMING, request_timeout_us=1_500 * MS, waiting_max=5, uncommitted_max=6)
STEPS_MAX = 2_000
LATE_MAX = 12
Link = Literal["up", "cut", "held"]
Reach = Literal["up", "cut", "deaf", "held"]


def order_of(key: str, table: str = "4", total_minor: int = 300) -> Order:
    return Order(key, "qr", table, (("steamed-rice", 1),), total_minor)


@dataclass
class Disk:
    """What is flushed on one device."""

    node_id: str
    epoch: int = 0
    commit_seq: int = 0
    entries: list[Entry] = field(default_factory=list)

    def apply(self, ready: Ready) -> None:
        """One transaction."""
        for op in ready.persist:
            match op:
                case StoreEpoch():
                    self.epoch = op.epoch
                case StoreCommit():
                    self.commit_seq = op.commit_seq
                case SetAside():
                    del self.entries[op.from_seq - 1 :]
                case StoreEntries():
                    assert op.entries[0].seq == len(self.entries) + 1, f"{self.node_id} flushes with a hole"
                    self.entries.extend(op.entries)
                case _:
                    raise AssertionError(f"{op} is not expected here")

    def holds(self, place: Cursor) -> bool:
        return place.seq <= len(self.entries) and self.entries[place.seq - 1].cursor == place


class Box:
    """One device: its disk, its process (or none), and what reaches it or does not."""

    def __init__(self, node_id: str) -> None:
        self.disk = Disk(node_id)
        self.device: Device | None = None
        self.life = 0
        self.paused = False
        self.pauses = 0
        self.disk_stalls = False
        self.reach: Reach = "up"
        self.inbox: deque[tuple[str, tuple[Any, ...]]] = deque()
        self.unflushed: deque[Ready] = deque()
        self.due_us = 0
        self.commit_seq = 0

    @property
    def node_id(self) -> str:
        return self.disk.node_id

    @property
    def running(self) -> bool:
        return self.device is not None and not self.paused


class Store:
    """`committed` is the log as anybody outside may have seen it, whichever device showed it."""

    def __init__(
        self, members: int, policy: Policy, parts: Parts, on_reply: Callable[[Box, Reply], None], timing: Any = TIMING
    ) -> None:
        self.now_us = 0
        self.boxes = [Box(node_id) for node_id in ("a1", "b1")[:members]]
        self.register = Register(1, "a1", ("a1",), "set-up")
        self.committed: list[Entry] = []
        self.seen: Counter[str] = Counter()
        self.link: Link = "up"
        self._under_way: deque[tuple[Box, int | None, str, tuple[Any, ...]]] = deque()
        self.late_messages: deque[tuple[Box, Any]] = deque(maxlen=LATE_MAX)
        self.late_requests: deque[tuple[Box, int, RegisterRead | RegisterSwap]] = deque(maxlen=LATE_MAX)
        self._settings = DeviceSettings("s1", DEMO_MENU, policy, timing)
        self._parts = parts
        self._on_reply = on_reply
        for box in self.boxes:
            self.boot(box)

    @property
    def primary(self) -> Box | None:
        """The device that acts as primary of the newest epoch, if one does."""
        acting = [box for box in self.boxes if box.running and box.device is not None and box.device.is_primary]
        return max(acting, key=lambda box: box.device.replica.epoch if box.device else 0, default=None)

    def logs(self) -> list[tuple[Entry, ...] | list[Entry]]:
        """What any device holds, in memory or flushed."""
        held = [box.device.replica.log for box in self.boxes if box.device is not None]
        return [*(log.slice(1, log.last.seq, log.last.seq) for log in held), *(box.disk.entries for box in self.boxes)]

    # --- faults --------------------------------------------------------------------------------------------------------

    def boot(self, box: Box) -> None:
        if box.device is not None:
            return
        box.life += 1
        disk = box.disk
        state = DurableState(
            node_id=disk.node_id,
            epoch=disk.epoch,
            commit_seq=min(disk.commit_seq, len(disk.entries)),
            entries=tuple(disk.entries),
        )
        box.device = Device(self._settings, state, f"life{box.life}", self.now_us, self._parts)
        box.commit_seq = state.commit_seq
        self._tick(box)

    def crash(self, box: Box, reached: int) -> None:
        """The process ends. Of the flushes under way the first `reached` had reached the disk; the others are lost."""
        for ready in list(box.unflushed)[:reached]:
            box.disk.apply(ready)
        box.device, box.paused = None, False
        box.inbox.clear()
        box.unflushed.clear()
        box.life += 1

    def pause(self, box: Box) -> None:
        """As SIGSTOP does it: what reaches the process waits."""
        box.paused = box.device is not None
        box.pauses += 1

    def resume(self, box: Box) -> None:
        """After a pause all that waits is read before timers fire (P20)."""
        box.paused = False
        box.pauses += 1
        while box.inbox and box.device is not None:
            name, args = box.inbox.popleft()
            self._do(box, name, args)
        if box.device is not None:
            self._tick(box)

    def late_message(self, index: int) -> None:
        """A message that was held back, or one that has arrived already, arrives now; it may do so again."""
        if self.late_messages:
            to, message = self.late_messages[index % len(self.late_messages)]
            self.put(to, "receive", message)

    def late_request(self, index: int) -> None:
        """A question to the arbiter that was held back, or was answered already, reaches it now; it may do so again."""
        if self.late_requests:
            box, life, request = self.late_requests[index % len(self.late_requests)]
            self._ask_arbiter(box, life, request, answer=True)

    def heal(self) -> None:
        self.link = "up"
        for box in self.boxes:
            box.reach, box.disk_stalls = "up", False
            self.boot(box)
            if box.paused:
                self.resume(box)

    # --- inputs --------------------------------------------------------------------------------------------------------

    def put(self, box: Box, name: str, *args: Any) -> None:
        """Call the device: at once, after its pause, or never when it does not run."""
        if box.paused:
            box.inbox.append((name, args))
        elif box.device is not None:
            self._do(box, name, args)

    def run(self, duration_ms: int) -> None:
        """Let everything that is not held back happen, for so long."""
        until_us = self.now_us + duration_ms * MS
        for _ in range(STEPS_MAX):
            if self._under_way:
                box, life, name, args = self._under_way.popleft()
                if life is None or life == box.life:
                    self.put(box, name, *args)
            elif flushable := [box for box in self.boxes if box.running and box.unflushed and not box.disk_stalls]:
                self._flush(flushable[0])
            else:
                due_us = min((box.due_us for box in self.boxes if box.running), default=until_us + 1)
                self.now_us = max(self.now_us, min(due_us, until_us))
                if due_us > until_us:
                    return
                for box in self.boxes:
                    if box.running and box.due_us <= self.now_us:
                        self._tick(box)
        raise AssertionError(f"{duration_ms} ms are not over after {STEPS_MAX} steps")

    def _do(self, box: Box, name: str, args: tuple[Any, ...]) -> None:
        assert box.device is not None
        match name:
            case "take_downlink":
                box.device.take_downlink(*args)
            case "submit" | "read" | "receive":
                getattr(box.device, name)(*args, self.now_us)
            case _:
                raise ValueError(name)
        self._pump(box)

    def _tick(self, box: Box) -> None:
        assert box.device is not None
        box.device.tick(self.now_us)
        self._pump(box)

    def _flush(self, box: Box) -> None:
        """All that waits is flushed by one sync, as the journal does it."""
        assert box.device is not None
        group, box.unflushed = list(box.unflushed), deque()
        for ready in group:
            box.disk.apply(ready)
            self.seen["entries set aside"] += any(isinstance(op, SetAside) for op in ready.persist)
        for ready in group:
            box.device.persisted(ready.token, self.now_us)
            self._send(box, ready.send_after_persist)
        self._pump(box)

    # --- outputs -------------------------------------------------------------------------------------------------------

    def _pump(self, box: Box) -> None:
        device = box.device
        assert device is not None
        ready = device.take_ready(self.now_us)
        if ready.needs_flush:
            box.unflushed.append(ready)
        self._check(box, ready)
        box.due_us = device.deadline_us()
        for reply in ready.replies:
            self._on_reply(box, reply)
        self._send(box, ready.send)

    def _send(self, box: Box, messages: tuple[Any, ...]) -> None:
        for message in messages:
            if isinstance(message, RegisterRead | RegisterSwap):
                self._to_arbiter(box, message)
            else:
                self._to_peer(box, message)

    def _to_peer(self, box: Box, message: Any) -> None:
        for other in self.boxes:
            if other is box or self.link == "cut":
                continue
            self.late_messages.append((other, message))
            if self.link == "up":
                self._under_way.append((other, None, "receive", (message,)))

    def _to_arbiter(self, box: Box, request: RegisterRead | RegisterSwap) -> None:
        if box.reach == "cut":
            return
        self.late_requests.append((box, box.life, request))
        if box.reach != "held":
            self._ask_arbiter(box, box.life, request, answer=box.reach == "up")

    def _ask_arbiter(self, box: Box, life: int, request: RegisterRead | RegisterSwap, *, answer: bool) -> None:
        if isinstance(request, RegisterSwap):
            register = arbiter_rule.swap(self.register, request)
            assert register is not None
            self.seen["a promotion"] += register.primary != self.register.primary
            self.seen["a shrink"] += len(register.members) < len(self.register.members)
            self.register = register
        if answer:
            self._under_way.append((box, life, "receive", (RegisterState(request.request_id, self.register),)))

    # --- what must hold ------------------------------------------------------------------------------------------------

    def _check(self, box: Box, ready: Ready) -> None:
        assert box.device is not None
        replica = box.device.replica
        assert replica.commit_seq >= box.commit_seq, f"the commit of {box.node_id} goes back to {replica.commit_seq}"
        box.commit_seq = replica.commit_seq
        for entry in ready.apply:
            if entry.seq > len(self.committed):
                assert entry.seq == len(self.committed) + 1, f"entry {entry.seq} is committed before those below it"
                self.committed.append(entry)
            assert self.committed[entry.seq - 1] == entry, f"seq {entry.seq} is committed with two contents"
            if replica.role is Role.PRIMARY:
                self._check_flushed(entry)

    def _check_flushed(self, entry: Entry) -> None:
        for box in self.boxes:
            if box.node_id in self.register.members:
                assert box.disk.holds(entry.cursor), (
                    f"entry {entry.seq} is committed, and {box.node_id} has not flushed it"
                )
