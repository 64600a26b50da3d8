"""What may happen to a store while a state machine asks it things; the machines of a whole store are made from this one."""

from __future__ import annotations

import sys
from typing import Literal, get_args

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from machine_runs import Machine
from machine_store import Box, Store

from refsystem.protocol.admission import Policy
from refsystem.protocol.device import SOUND, Parts
from refsystem.protocol.messages import Reply
from refsystem.protocol.roles import Role

Fault = Literal[
    "crash",
    "crash and boot",
    "boot",
    "pause",
    "resume",
    "disk stalls",
    "disk goes on",
    "link cut",
    "link held",
    "link up",
    "arbiter out of reach",
    "arbiter's answers lost",
    "arbiter slow",
    "arbiter in reach",
    "late message",
    "late request",
]
FAULTS: tuple[Fault, ...] = (*get_args(Fault), *("crash and boot",) * 3)
RUN_MS = (0, 0, 20, 150, 800, 1_600)
PLACES = st.sampled_from((2, 0, 1, 2))
"""The places of `StoreMachine.box_at`: mostly the primary."""
HEALED_MS, STEP_MS = 8_000, 400


class StoreMachine(Machine):
    """A store of one or two devices under faults. In the end everything is healed, and the store must be whole again."""

    parts: Parts = SOUND

    def __init__(self) -> None:
        super().__init__()
        self.store: Store
        self.policy: Policy

    @initialize(members=st.sampled_from((1, 2, 2)), policy=st.sampled_from(("available", "available", "require_r2")))
    def begin(self, members: int, policy: Policy) -> None:
        self.policy = policy
        self.store = Store(members, policy, self.parts, self.on_reply)
        self.store.run(1_000)
        assert len(self.store.register.members) == members

    def on_reply(self, box: Box, reply: Reply) -> None:
        """A device answers a request."""

    def on_end_of_life(self, box: Box) -> None:
        """A process has ended; what it was asked is answered by nobody."""

    def box_at(self, index: int) -> Box:
        """The device at `index`; behind the last one: the primary, if there is one."""
        boxes = self.store.boxes
        return boxes[index] if index < len(boxes) else (self.store.primary or boxes[0])

    @rule(duration_ms=st.sampled_from(RUN_MS))
    def time_passes(self, duration_ms: int) -> None:
        self.store.run(duration_ms)

    @rule(fault=st.sampled_from(FAULTS), at=PLACES, number=st.integers(0, 7))
    def a_fault(self, fault: Fault, at: int, number: int) -> None:
        """`number` says how many flushes under way reached the disk at a crash, or which late message or request comes."""
        store, box, reached = self.store, self.box_at(at), max(0, number - 4)
        match fault:
            case "crash":
                self._crash(box, reached)
            case "crash and boot":
                self._crash(box, reached)
                store.boot(box)
            case "boot":
                store.boot(box)
            case "pause":
                store.pause(box)
            case "resume":
                store.resume(box)
            case "disk stalls" | "disk goes on":
                box.disk_stalls = fault == "disk stalls"
            case "link cut" | "link held" | "link up":
                store.link = "cut" if fault == "link cut" else "held" if fault == "link held" else "up"
            case "arbiter out of reach":
                box.reach = "cut"
            case "arbiter's answers lost":
                box.reach = "deaf"
            case "arbiter slow":
                box.reach = "held"
            case "arbiter in reach":
                box.reach = "up"
            case "late message":
                store.late_message(number)
            case "late request":
                store.late_request(number)

    def _crash(self, box: Box, reached: int) -> None:
        if box.device is not None:
            self.goals["flushes lost in a crash"] += len(box.unflushed) > reached
            store_life = box.life
            self.store.crash(box, reached)
            assert box.life == store_life + 1
            self.on_end_of_life(box)

    @rule(reached=st.integers(0, 2), away_ms=st.sampled_from((20, 1_600, 1_600)))
    def the_primary_goes_and_comes_back(self, reached: int, away_ms: int) -> None:
        """After a short while as primary, after a long one behind another (P9, P11)."""
        box = self.store.primary
        if box is not None:
            self._crash(box, reached)
            self.store.run(away_ms)
            self.store.boot(box)
            self.store.run(20)

    @rule(lasts_ms=st.sampled_from((0, 20, 1_600, 1_600)), number=st.integers(0, 8))
    def the_primary_is_cut_off(self, lasts_ms: int, number: int) -> None:
        """From its peer and from the arbiter; or everything is in reach again, when it was cut off already.

        Meanwhile diners and the cloud talk to it, and to whoever has taken over.
        """
        store, box = self.store, self.store.primary
        back = store.link != "up"
        store.link = "up" if back else "cut"
        for other in store.boxes:
            other.reach = "cut" if other is box and not back else "up"
        for part in (number % 3, number // 3):
            self.demand(self.store.primary if back or box is None else box, part)
            store.run(lasts_ms)
            box = self.store.primary

    def demand(self, box: Box | None, number: int) -> None:
        """Somebody wants something of a device."""

    def heal(self) -> None:
        """Undo every fault and wait; the store must be whole again."""
        self.store.heal()
        for _ in range(HEALED_MS // STEP_MS):
            self.store.run(STEP_MS)
            why_not = self._why_not_whole()
            if why_not is None:
                return
        raise AssertionError(f"healed for {HEALED_MS} ms, and {why_not}")

    def _why_not_whole(self) -> str | None:
        store, primary = self.store, self.store.primary
        if primary is None or primary.device is None:
            return "nobody is primary"
        replica, committed = primary.device.replica, store.committed
        if replica.register != store.register or len(store.register.members) < len(store.boxes):
            return f"{primary.node_id} acts by {replica.register}, and the arbiter says {store.register}"
        # A standby may hold more, which nobody was told of, until an entry disagrees with it (P2).
        if replica.log.last.seq != len(committed):
            return f"{replica.log.last.seq} entries are held, {len(committed)} committed"
        for box in store.boxes:
            if box.device is None or (box is not primary and box.device.replica.role is not Role.STANDBY):
                return f"{box.node_id} is no standby"
            if box.device.replica.commit_seq != len(committed) or box.disk.entries[: len(committed)] != committed:
                return f"{box.node_id} does not hold what is committed, or does not know it"
        return None

    def teardown(self) -> None:
        if sys.exc_info()[0] is None and hasattr(self, "store"):
            self.heal()
            self.at_the_end()
            self.goals.update(self.store.seen)

    def at_the_end(self) -> None:
        """What must hold when everything is healed."""
