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
from refsystem.protocol.log import Cursor, Entry
from refsystem.protocol.messages import Ready, Register, Reply, SetAside
from refsystem.protocol.replica import Replica
from refsystem.protocol.roles import Role
from refsystem.protocol.timing import Timing
from simulator.cluster.clock import Clock
from simulator.cluster.told import Told, ToldOrders
from simulator.cluster.turns import Turns

if TYPE_CHECKING:
    from simulator.cluster.devices import VirtualDevice
    from simulator.cluster.disks import Disk
    from simulator.cluster.rows import Rows


ALARMS_OF_REUSED_KEYS = ("key-held-with-other-content", "bump-without-order")

UNAVAILABLE = 503


class Violation(Exception):
    """The protocol did what it promises not to do."""

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
        self.detail = detail


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
        self.committed: dict[int, Entry] = {}
        self._clock = clock
        self._timing = timing
        self._answer_within_us = timing.request_timeout_us + 2 * timing.heartbeat_us
        self._forked: set[str] = set()
        self._branch_epoch = 0
        self._numbers: dict[int, int] = {}
        self._order_seqs: dict[str, int] = {}
        self._bodies: dict[str, set[str]] = {}
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
        if replica.role is Role.PRIMARY and self.register.forked_epoch > self._branch_epoch:
            self._begin_branch(replica)
        if device.machine.glass.stage == "none":
            for entry in ready.apply:
                self._entry_committed(replica.node_id, entry)
        if replica.role is Role.PRIMARY:
            self._check_claim(device)
            for entry in ready.apply:
                self._check_flushed(device, entry, "commits")
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
                if self.committed_at(entry.cursor):
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
        if reply.problem is KEY_REUSED and self._bodies.get(asked.order_id, set()) <= {asked.body_hash}:
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
        held = self.committed.get(entry.seq)
        if held is None or held.hash != entry.hash:
            raise Violation(
                "nothing before its commit", f"{asked.order_id} is acknowledged at {entry.seq} before its commit"
            )
        self._check_flushed(device, entry, "acknowledges")
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
        if not self.committed_at(entry.cursor) and entry.hash not in self._forked:
            raise Violation("nothing before its commit", f"{place} sees entry {entry.seq}, which is not committed")

    def left_behind(self, entry: Entry) -> bool:
        """Whether the entry was committed in a branch that was left, and is not in the one that goes on."""
        return entry.hash in self._forked

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
        """P7, P8, P9, P11, P19 written down again, independently of the arbiter's own rule."""
        self.register = new
        same, alone = old.primary == new.primary, new.members == (new.primary,)
        by_device = (
            same and alone,
            same and len(old.members) == 1 and len(new.members) == 2 and new.members[0] == new.primary,
            not same and new.primary in old.members and alone,
            same and new.members == old.members,
        )
        glass = bool(person) and new.primary not in old.members and alone and new.forked_epoch == new.epoch
        allowed = glass or (any(by_device) and not person and new.forked_epoch == old.forked_epoch)
        people = {old.primary, new.primary} | set(old.members) | set(new.members)
        if new.epoch != old.epoch + 1 or not allowed or (len(people) > 2 and not glass) or new.claim == old.claim:
            raise Violation("the register moves by its steps", f"from {old} to {new}")
        if glass:
            self.told.declared_off(old.members)
        else:
            self.told.back_in(new.members)
        if not glass and new.forked_epoch == self._branch_epoch:
            self._check_members(new)

    # --- the end -------------------------------------------------------------------------------------------------------

    def check_end(self, log_holds: Any) -> None:
        """After convergence: nothing acknowledged is missing."""
        for told in self.told:
            if not log_holds(told.place) and not self.told.excused(told) and told.order_id not in self._order_seqs:
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

    def committed_at(self, place: Cursor) -> bool:
        """Whether this very entry is committed, as far as anybody outside has seen."""
        entry = self.committed.get(place.seq)
        return entry is not None and entry.hash == place.hash

    # --- inside --------------------------------------------------------------------------------------------------------

    def _begin_branch(self, replica: Replica) -> None:
        """Glass was broken (P19): from its fork on, what was committed and is not in the new primary's log is left behind."""
        log = replica.log
        self._branch_epoch = self.register.forked_epoch
        fork = next((fork for fork in log.forks if fork.epoch >= self._branch_epoch), None)
        if fork is None:
            raise Violation("a fork is recorded", f"{replica.node_id} acts after break glass without a record of it")
        left = [entry for entry in self.committed.values() if not log.holds(entry.cursor)]
        lacking = [entry.seq for entry in left if entry.seq < fork.from_seq]
        if lacking:
            raise Violation("a fork begins behind what is shared", f"entry {lacking[0]} is committed and not held")
        self._clock.goals[f"glass broken, the cloud {log.entry(fork.seq).content()['cloud']}"] += 1
        if left:
            self._clock.goals["commits left behind by a fork"] += 1
        self._forked |= {entry.hash for entry in left}
        self.committed, self._numbers, self._order_seqs, self._bodies = {}, {}, {}, {}
        for entry in log.slice(1, replica.commit_seq, replica.commit_seq):
            self._forked.discard(entry.hash)
            self._entry_committed(replica.node_id, entry)
        self.told.begin_branch(self.committed_at)

    def _stepped_in_a_left_branch(self, replica: Replica, ready: Ready) -> None:
        """A device that another was named in the place of has not learned it: what it commits nobody is told of.

        As long as nobody acts in a newer branch, what it commits in the one that is known still counts.
        """
        register = self.registers.get(replica.epoch)
        own_branch = register is not None and register.forked_epoch == self._branch_epoch
        for entry in ready.apply:
            if own_branch:
                self._entry_committed(replica.node_id, entry)
            elif not self.committed_at(entry.cursor):
                self._forked.add(entry.hash)

    def _entry_committed(self, node_id: str, entry: Entry) -> None:
        held = self.committed.setdefault(entry.seq, entry)
        if held.hash != entry.hash:
            raise Violation("one content for each seq", f"{node_id} commits another content at {entry.seq}")
        if held is not entry:
            return
        content = entry.content()
        if content["kind"] == "order":
            seq = self._order_seqs.setdefault(content["order_id"], entry.seq)
            if seq != entry.seq:
                raise Violation("one order for each key", f"{content['order_id']} stands at {seq} and {entry.seq}")
            self._bodies.setdefault(content["order_id"], set()).add(content["body_hash"])
        number = content.get("downlink_number")
        if number is not None and self._numbers.setdefault(number, entry.seq) != entry.seq:
            raise Violation("one record for each number", f"number {number} makes a second record at {entry.seq}")

    def _check_claim(self, device: VirtualDevice) -> None:
        """P21: a primary acts only by what the register was made by its own claim of this life."""
        assert device.machine is not None
        replica = device.machine.replica
        register = self.registers.get(replica.epoch)
        claim = f"{replica.node_id}/life{device.life}/"
        if register is None or register.primary != replica.node_id or not register.claim.startswith(claim):
            raise Violation(
                "acts by its own claim",
                f"{replica.node_id} is primary of epoch {replica.epoch}, the register said {register}",
            )
        if register.members != replica.members:
            raise Violation(
                "acts by its own claim", f"{replica.node_id} takes {replica.members} for the members of {register}"
            )

    def _check_flushed(self, device: VirtualDevice, entry: Entry, does: str) -> None:
        """What is committed or acknowledged now is flushed on every member of the register as it is now."""
        disks = {each.disk.node_id: each.disk for each in self.devices}
        for member in self.register.members:
            if member in disks and not disks[member].holds(entry.cursor):
                raise Violation(
                    "flushed on every member",
                    f"{device.disk.node_id} {does} entry {entry.seq}, which {member} has not flushed",
                )

    def _check_members(self, register: Register) -> None:
        """P8, P9: whoever is a member holds everything that is committed; by the hashes its last entry tells of all."""
        last = self.committed[max(self.committed)] if self.committed else None
        for device in self.devices:
            disk = device.disk
            if disk.node_id in register.members:
                self._check_told_r2(device.peer.disk, disk)
            if last is not None and disk.node_id in register.members and not disk.holds(last.cursor):
                raise Violation(
                    "members hold what is committed", f"{disk.node_id}, of {register}, lacks entry {last.seq}"
                )

    def _check_told_r2(self, one: Disk, other: Disk) -> None:
        """What was told R2 and is on a disk of the store is on the disk of every member, committed again or not yet (P10)."""
        for told in self.told:
            if told.level == "R2" and one.holds(told.place) and not other.holds(told.place):
                raise Violation(
                    "members hold what is committed",
                    f"{other.node_id} lacks {told.order_id}, told R2 at {told.place.seq}",
                )
