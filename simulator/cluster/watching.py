"""What every step of a store is held against: the promises of the protocol, from what was told and what disks hold.

One watch for each store. It sees every `Ready`, every reply, every step of the register, every batch that a receiver takes, and
raises `Violation` with the name of the invariant that broke.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from refsystem.ordering.errors import KEY_REUSED, NOT_CONFIRMED, ORDER_UNKNOWN
from refsystem.protocol.log import Entry
from refsystem.protocol.messages import Ready, Register, Reply, SetAside
from refsystem.protocol.replica import Replica
from refsystem.protocol.roles import Role
from refsystem.protocol.timing import Timing
from simulator.cluster.clock import Clock
from simulator.cluster.commits import Commits
from simulator.cluster.register_checks import check_claim, check_flushed, check_members, check_step
from simulator.cluster.told import Told, ToldOrders
from simulator.cluster.turns import Turns
from simulator.cluster.violation import Violation

if TYPE_CHECKING:
    from simulator.cluster.devices import VirtualDevice
    from simulator.cluster.rows import Rows


ALARMS_OF_REUSED_KEYS = ("key-held-with-other-content", "bump-without-order")

UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that waits for its answer. `known`: the order had been acknowledged before it was asked for."""

    kind: str
    order_id: str
    body_hash: str
    at_us: int
    known: bool


class Watch:
    """One store's promises."""

    def __init__(self, clock: Clock, timing: Timing) -> None:
        self.devices: list[VirtualDevice] = []
        self.register: Register
        self.registers: dict[int, Register]
        self.rows: Rows
        self.held_by_cloud: Callable[[str], bool]
        self.told = ToldOrders()
        self.waiting: dict[tuple[str, int], Asked] = {}
        self.commits = Commits()
        self._clock = clock
        self._timing = timing
        self._answer_within_us = timing.request_timeout_us + 2 * timing.heartbeat_us
        self._commits: dict[tuple[str, int], int] = {}
        self._turns = Turns(clock)
        self._tickets: set[tuple[str, int, str]] = set()

    # --- devices -------------------------------------------------------------------------------------------------------

    def booted(self, device: VirtualDevice) -> None:
        """A process starts: whom the last one owed an answer is answered by nobody."""
        self.waiting = {key: asked for key, asked in self.waiting.items() if key[0] != device.slot}
        self._turns.booted(device)

    def stepped(self, device: VirtualDevice, ready: Ready) -> None:
        """After every step of a device."""
        assert device.machine is not None
        replica = device.machine.replica
        life = (device.slot, device.life)
        given_up = any(isinstance(op, SetAside) and op.given_up_to for op in ready.persist)
        if replica.commit_seq < self._commits.get(life, 0) and not given_up:
            raise Violation("commit never goes back", f"that of {replica.node_id} goes back to {replica.commit_seq}")
        self._commits[life] = replica.commit_seq
        if device.isolated and ready.apply:
            self._clock.goals["an isolated device commits what nobody is told"] += 1
        if replica.epoch < self.register.forked_epoch:
            self._stepped_in_a_left_branch(replica, ready)
            return
        if replica.role is Role.PRIMARY and self.register.forked_epoch > self.commits.branch_epoch:
            self._begin_branch(replica)
        if device.machine.glass.stage == "none":
            for entry in ready.apply:
                self.commits.add(replica.node_id, entry)
        if replica.role is Role.PRIMARY:
            check_claim(device, self.registers)
            for entry in ready.apply:
                check_flushed(device, entry, "commits", self.register)
        if any(isinstance(op, SetAside) for op in ready.persist):
            self._clock.goals["a tail set aside"] += 1
        self._turns.stepped(device, self.registers, key_waits_elsewhere=self._order_waits_at(device.peer))
        for name, feed in device.machine.feeds.items():
            if feed.mismatch is not None:
                raise Violation("feeds continue", f"{replica.node_id} at its {name} feed: {feed.mismatch}")
        if len(replica.log) - replica.commit_seq > 2 * self._timing.uncommitted_max:
            raise Violation(
                "bounded", f"{replica.node_id} holds {len(replica.log) - replica.commit_seq} uncommitted entries"
            )

    def set_aside(self, node_id: str, entries: tuple[Entry, ...], given_up_to: int) -> None:
        """A disk sets entries aside; those up to `given_up_to` it knew to be committed, in a branch that was left."""
        if given_up_to:
            self._clock.goals["known commits given up across a fork"] += 1
        for entry in entries:
            if entry.seq <= given_up_to:
                if self.commits.hold(entry.cursor):
                    raise Violation("acknowledged stays", f"{node_id} gives up entry {entry.seq}, which is committed")
                continue
            for told in self.told.at(entry.cursor):
                if node_id in told.holders and not self.told.excused(told):
                    raise Violation(
                        "acknowledged stays", f"{node_id} sets aside {told.order_id}, told {told.level} at {entry.seq}"
                    )

    def pace(self, device: VirtualDevice, times: deque[int], does: str) -> None:
        """Nothing is done in a hot loop."""
        now_us = self._clock.now_us
        full = len(times) == times.maxlen
        if full and now_us - times[0] < self._timing.heartbeat_us and device.stepped_at_us < times[0]:
            raise Violation("bounded", f"{device.disk.node_id} {does} {len(times)} times within one heartbeat")
        times.append(now_us)

    # --- requests ------------------------------------------------------------------------------------------------------

    def asked(self, device: VirtualDevice, request_id: int, kind: str, order_id: str, body_hash: str) -> None:
        """A request reaches a device."""
        known = self.told.is_known(order_id)
        now_us = self._clock.now_us
        self.waiting[(device.slot, request_id)] = Asked(kind, order_id, body_hash, now_us, known)

    def replied(self, device: VirtualDevice, reply: Reply) -> None:
        """Every answer to a request."""
        assert device.machine is not None
        asked = self.waiting.pop((device.slot, reply.request_id), None)
        if asked is None:
            raise Violation("answered once", f"request {reply.request_id} at {device.name} is answered twice")
        late_us = self._clock.now_us - asked.at_us - self._answer_within_us
        undisturbed = max(device.paused_until_us, device.stepped_at_us) < asked.at_us
        if late_us > 0 and undisturbed:
            raise Violation("bounded", f"{asked.kind} {asked.order_id} is answered {late_us} us after its limit")
        if reply.problem is ORDER_UNKNOWN and asked.known:
            raise Violation("404 only when not there", f"{asked.order_id} was acknowledged before it was asked for")
        if reply.problem is ORDER_UNKNOWN and self.held_by_cloud(asked.order_id):
            raise Violation("404 only when not there", f"{asked.order_id} was taken here, and the cloud holds it")
        if reply.problem is KEY_REUSED and not self.commits.has_other_content(asked.order_id, asked.body_hash):
            raise Violation("422 only for another body", f"no other content is committed under {asked.order_id}")
        if reply.problem is not None:
            self._clock.goals[f"answer {reply.problem.slug}"] += 1
            if reply.problem.status == UNAVAILABLE:
                self.rows.refused()
            if reply.problem is NOT_CONFIRMED and device.machine.returns.outstanding:
                self._clock.goals["an order that may come back is not denied"] += 1
            return
        assert reply.entry is not None
        self._acknowledged(device, asked, reply, reply.entry)

    def _order_waits_at(self, device: VirtualDevice) -> bool:
        return any(key[0] == device.slot and asked.kind == "submit" for key, asked in self.waiting.items())

    def not_heard(self, device: VirtualDevice, reply: Reply) -> None:
        """An answer that nobody hears, for everything around the device is cut off."""
        self.waiting.pop((device.slot, reply.request_id), None)

    def _acknowledged(self, device: VirtualDevice, asked: Asked, reply: Reply, entry: Entry) -> None:
        assert device.machine is not None
        replica = device.machine.replica
        content = entry.content()
        if content["order_id"] != asked.order_id or (asked.body_hash and content["body_hash"] != asked.body_hash):
            raise Violation("the right order", f"{asked.order_id} is answered with another order")
        held = self.commits.at(entry.seq)
        if held is None or held.hash != entry.hash:
            raise Violation(
                "nothing before its commit", f"{asked.order_id} is acknowledged at {entry.seq} before its commit"
            )
        check_flushed(device, entry, "acknowledges", self.register)
        members = replica.members
        if reply.level == "R2":
            disks = {each.disk.node_id: each.disk for each in self.devices}
            if len(members) != 2 or not all(disks[m].holds(entry.cursor) for m in members if m in disks):
                raise Violation(
                    "R2 is on both", f"entry {entry.seq} is told R2 and is not flushed on both of {members}"
                )
        holders = members if reply.level == "R2" else (replica.node_id,)
        told = Told(asked.order_id, str(reply.level), holders, entry.cursor)
        self.told.add(told)
        self._clock.goals[f"told {reply.level}"] += 1
        self.rows.told(str(reply.level))

    # --- receivers -----------------------------------------------------------------------------------------------------

    def seen_outside(self, place: str, entry: Entry) -> None:
        """A receiver outside stores an entry: it must be committed, so its cursor never passes the store's commit."""
        if not self.commits.hold(entry.cursor) and not self.commits.left_behind(entry):
            raise Violation("nothing before its commit", f"{place} sees entry {entry.seq}, which is not committed")

    def mismatch(self, place: str, seq: int, detail: str) -> None:
        """A receiver stands where the sender's log does not."""
        raise Violation("feeds continue", f"{place} at {seq}: {detail}")

    def ticket(self, key: tuple[str, int, str], entry: Entry) -> None:
        """The kitchen shows a ticket."""
        if key in self._tickets:
            raise Violation("each ticket once", f"{key[0]} version {key[1]} is shown again, from entry {entry.seq}")
        self._tickets.add(key)

    # --- register ------------------------------------------------------------------------------------------------------

    def register_moved(self, old: Register, new: Register, person: str) -> None:
        """The register is another one; `person`: who broke the glass, if anybody did."""
        self.register = new
        glass = check_step(old, new, person)
        if glass:
            self.told.declared_off(old.members)
        else:
            self.told.back_in(new.members)
        if not glass and new.forked_epoch == self.commits.branch_epoch:
            check_members(new, self.devices, self.commits.last, self.told)

    # --- the end -------------------------------------------------------------------------------------------------------

    def check_end(self, log_holds: Any) -> None:
        """After convergence: nothing acknowledged is missing."""
        for told in self.told:
            if not log_holds(told.place) and not self.told.excused(told) and not self.commits.has_order(told.order_id):
                raise Violation(
                    "acknowledged stays", f"{told.order_id} was told {told.level} at {told.place.seq} and is lost"
                )

    def check_alarms(self, alarms: Iterable[tuple[str, str]]) -> None:
        """The cloud could apply every entry, but for keys that people used for two contents."""
        for kind, detail in alarms:
            if kind not in ALARMS_OF_REUSED_KEYS:
                raise Violation("the cloud applies every entry", f"{kind}: {detail}")

    def would_lose(self, node_ids: Iterable[str]) -> bool:
        """Whether an R2 order would be on no device any more if these were lost: more than R2 promises to survive."""
        return self.told.would_lose(node_ids, (device.disk for device in self.devices))

    # --- inside --------------------------------------------------------------------------------------------------------

    def _begin_branch(self, replica: Replica) -> None:
        """Glass was broken (P19), and the new primary acts in its branch."""
        cloud, any_left = self.commits.begin_branch(self.register.forked_epoch, replica)
        self._clock.goals[f"glass broken, the cloud {cloud}"] += 1
        if any_left:
            self._clock.goals["commits left behind by a fork"] += 1
        self.told.begin_branch(self.commits.hold)

    def _stepped_in_a_left_branch(self, replica: Replica, ready: Ready) -> None:
        """A device that another was named in the place of has not learned it: what it commits nobody is told of.

        As long as nobody acts in a newer branch, what it commits in the one that is known still counts.
        """
        register = self.registers.get(replica.epoch)
        own_branch = register is not None and register.forked_epoch == self.commits.branch_epoch
        for entry in ready.apply:
            if own_branch:
                self.commits.add(replica.node_id, entry)
            elif not self.commits.hold(entry.cursor):
                self.commits.leave_behind(entry)
