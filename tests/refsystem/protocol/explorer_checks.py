"""What the explorer holds every step against: promises of the protocol, from what was told and what disks hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from explorer_node import Node
from explorer_world import Arbiter, Clock, Cloud, Violation

from refsystem.ordering.errors import KEY_REUSED, ORDER_UNKNOWN
from refsystem.protocol.log import GENESIS, Cursor, Entry
from refsystem.protocol.messages import Ready, Reply
from refsystem.protocol.roles import Role


@dataclass
class Told:
    """A yes: at which level, by whom, and whose disks hold the order by that."""

    order_id: str
    level: str
    holders: tuple[str, ...]
    place: Cursor


@dataclass
class Asked:
    """A request that waits for its answer."""

    kind: str
    order_id: str
    body_hash: str
    at_us: int
    known: bool = False


@dataclass
class Observer:
    """Sees every `Ready` and every reply; raises `Violation`."""

    clock: Clock
    arbiter: Arbiter
    nodes: dict[str, Node]
    timeout_us: int
    committed: dict[int, Cursor] = field(default_factory=dict)
    order_seqs: dict[str, int] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    told_keys: set[str] = field(default_factory=set)
    dead: list[str] = field(default_factory=list)
    asked: dict[tuple[str, int, int], Asked] = field(default_factory=dict)
    paused_at_us: dict[str, int] = field(default_factory=dict)
    _commit: dict[tuple[str, int], int] = field(default_factory=dict)
    _roles: dict[str, tuple[int, Role, int]] = field(default_factory=dict)

    def ready(self, node: Node, ready: Ready) -> None:
        """After every step of a device."""
        assert node.device is not None
        replica = node.device.replica
        life = (node.slot, node.life)
        if replica.commit_seq < self._commit.get(life, 0):
            raise Violation(f"the commit of {replica.node_id} goes back to {replica.commit_seq}")
        self._commit[life] = replica.commit_seq
        for entry in ready.apply:
            self._entry_committed(replica.node_id, entry)
        if replica.role is Role.PRIMARY:
            self._check_primary(node)
            for entry in ready.apply:
                self._check_durable(node, entry, "commits")
        self._note_role(node)
        if len(replica.log) - replica.commit_seq > 2 * replica.timing.uncommitted_max:
            raise Violation(f"{replica.node_id} holds {len(replica.log) - replica.commit_seq} uncommitted entries")

    def reply(self, node: Node, reply: Reply) -> None:
        """Every answer to a diner."""
        assert node.device is not None
        asked = self.asked.pop((node.slot, node.life, reply.request_id))
        late_us = self.clock.now_us - asked.at_us - self.timeout_us
        if late_us > 0 and self.paused_at_us.get(node.slot, -1) < asked.at_us:
            raise Violation(f"{asked.kind} {asked.order_id} is answered {late_us} us after its limit")
        if reply.problem is ORDER_UNKNOWN and asked.known:
            raise Violation(f"404 for {asked.order_id}, which was acknowledged before it was asked for")
        if reply.problem is KEY_REUSED and self.bodies.get(asked.order_id, asked.body_hash) == asked.body_hash:
            raise Violation(f"{asked.order_id} is refused as reused, and no other content is committed")
        if reply.problem is not None:
            return
        assert reply.entry is not None
        content = reply.entry.content()
        if content["order_id"] != asked.order_id or (asked.body_hash and content["body_hash"] != asked.body_hash):
            raise Violation(f"{asked.order_id} is answered with another order")
        if self.committed.get(reply.entry.seq) != reply.entry.cursor:
            raise Violation(f"{asked.order_id} is acknowledged at {reply.entry.seq} before its commit")
        self._check_durable(node, reply.entry, "acknowledges")
        self._check_level(node, reply)
        members = node.device.replica.members
        holders = members if reply.level == "R2" else (node.device.replica.node_id,)
        self.told.append(Told(asked.order_id, str(reply.level), holders, reply.entry.cursor))
        self.told_keys.add(asked.order_id)

    def visible(self, place: str, entry: Entry) -> None:
        """A receiver outside stores an entry."""
        if self.committed.get(entry.seq) != entry.cursor:
            raise Violation(f"{place} sees entry {entry.seq}, which is not committed")

    def check_end(self, primary: Node, cloud: Cloud) -> None:
        """After convergence: nothing acknowledged is missing, on either device."""
        assert primary.device is not None
        log = primary.device.replica.log
        for told in self.told:
            if not log.holds(told.place) and not self._excused(told):
                raise Violation(f"{told.order_id} was told {told.level} at {told.place.seq} and is lost")
        for number, order in enumerate(cloud.orders, 1):
            if self.numbers.get(number) is None:
                raise Violation(f"number {number} ({order.order_id}), acknowledged by the cloud, made no record")

    def disk_lost(self, node: Node) -> None:
        """Before a disk is lost."""
        self.dead.append(node.disk.node_id)

    def _excused(self, told: Told) -> bool:
        return all(holder in self.dead for holder in told.holders)

    def _entry_committed(self, node_id: str, entry: Entry) -> None:
        held = self.committed.setdefault(entry.seq, entry.cursor)
        if held != entry.cursor:
            raise Violation(f"{node_id} commits another content at {entry.seq}")
        content = entry.content()
        if content["kind"] == "order" and self.order_seqs.setdefault(content["order_id"], entry.seq) != entry.seq:
            raise Violation(f"{content['order_id']} stands at {self.order_seqs[content['order_id']]} and {entry.seq}")
        if content["kind"] == "order":
            self.bodies[content["order_id"]] = content["body_hash"]
        number = content.get("downlink_number")
        if number is not None and self.numbers.setdefault(number, entry.seq) != entry.seq:
            raise Violation(f"number {number} makes a second record at {entry.seq}")

    def _check_primary(self, node: Node) -> None:
        """P21: a primary acts only by what the register was made by its own claim of this life."""
        assert node.device is not None
        replica = node.device.replica
        register = self.arbiter.history.get(replica.epoch)
        claim = f"{replica.node_id}/life{node.life}/"
        if register is None or register.primary != replica.node_id or not register.claim.startswith(claim):
            raise Violation(
                f"{replica.node_id} acts as primary of epoch {replica.epoch} but the register said {register}"
            )
        if register.members != replica.members:
            raise Violation(f"{replica.node_id} takes {replica.members} for the members of {register}")

    def _check_durable(self, node: Node, entry: Entry, does: str) -> None:
        """What is committed or acknowledged now is flushed on every member of the register as it is now."""
        disks = {other.disk.node_id: other.disk for other in self.nodes.values()}
        for member in self.arbiter.register.members:
            if member in disks and not disks[member].holds(entry.cursor):
                raise Violation(f"{node.disk.node_id} {does} entry {entry.seq}, which member {member} has not flushed")

    def _check_level(self, node: Node, reply: Reply) -> None:
        assert node.device is not None
        assert reply.entry is not None
        disks = {other.disk.node_id: other.disk for other in self.nodes.values()}
        members = node.device.replica.members
        if reply.level == "R2" and (
            len(members) != 2 or not all(disks[m].holds(reply.entry.cursor) for m in members if m in disks)
        ):
            raise Violation(f"entry {reply.entry.seq} is acknowledged R2 and is not flushed on both of {members}")

    def _note_role(self, node: Node) -> None:
        """Count the turns that a campaign must have seen."""
        assert node.device is not None
        replica = node.device.replica
        goals, now = self.clock.goals, (node.life, replica.role, replica.epoch)
        before = self._roles.get(node.slot)
        self._roles[node.slot] = now
        if before is None or before == now or replica.role is not Role.PRIMARY:
            return
        old, new = self.arbiter.history.get(replica.epoch - 1), self.arbiter.history.get(replica.epoch)
        if old is None or new is None:
            return
        if old.primary != new.primary:
            goals["a promotion"] += 1
            if any(asked.kind == "submit" for key, asked in self.asked.items() if key[0] != node.slot):
                goals["a key waiting across a failover"] += 1
        elif len(old.members) < len(new.members):
            goals["a grow"] += 1
        elif len(old.members) > len(new.members):
            goals["a shrink"] += 1
        elif old.claim.split("/")[1:2] == new.claim.split("/")[1:2]:
            goals["a grow cancelled"] += 1
        else:
            goals["a restart"] += 1


def converged(nodes: dict[str, Node], arbiter: Arbiter, cloud: Cloud, kitchen_cursor: Cursor) -> str | None:
    """Why not everything stands at the primary's cursor with two members; None if it does."""
    primary = next((node for node in nodes.values() if node.role is Role.PRIMARY), None)
    if primary is None or primary.device is None:
        return "there is no primary"
    other = primary.peer
    replica = primary.device.replica
    if set(replica.members) != {node.disk.node_id for node in nodes.values()}:
        return f"the members are {replica.members}"
    if arbiter.register != replica.register:
        return "the primary's register is not the arbiter's"
    if other.role is not Role.STANDBY or other.device is None:
        return f"the other device is {other.role}"
    end = replica.log.last
    places = {
        "the primary's commit": replica.log.cursor(replica.commit_seq) if replica.commit_seq else GENESIS,
        "the standby's commit": other.device.replica.log.cursor(other.device.replica.commit_seq),
        "the cloud": cloud.cursor,
        "the kitchen": kitchen_cursor,
    }
    behind = [f"{name} at {place.seq}" for name, place in places.items() if place != end]
    if behind:
        return f"the log ends at {end.seq}, {', '.join(behind)}"
    if replica.log.downlink_cursor != len(cloud.orders):
        return f"the downlink stands at {replica.log.downlink_cursor} of {len(cloud.orders)}"
    return None
