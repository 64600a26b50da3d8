"""The faults of one schedule, drawn from its seed, and their end."""

from __future__ import annotations

from explorer_checks import Observer
from explorer_node import Node
from explorer_world import MS, Arbiter, Clock, Link

KINDS = (
    "cut",
    "cut peer",
    "cut arbiter",
    "reconnect",
    "power cut",
    "short restart",
    "store power cut",
    "pause",
    "disk lost",
    "arbiter down",
    "slow disk",
    "slow arbiter",
    "stuck disk, slow arbiter",
)
FAULTS_MAX = 14


class Faults:
    """Plans faults, strikes and heals."""

    def __init__(self, clock: Clock, nodes: dict[str, Node], arbiter: Arbiter, observer: Observer) -> None:
        self._clock = clock
        self._nodes = nodes
        self._arbiter = arbiter
        self._observer = observer

    def plan(self, until_us: int) -> None:
        """Draw when what strikes. A schedule favours a few kinds, so that they meet one another."""
        clock = self._clock
        kinds = [clock.random.choice(KINDS) for _ in range(4)]
        for _ in range(clock.random.randrange(FAULTS_MAX + 1)):
            kind = clock.random.choice(kinds if clock.chance(0.7) else KINDS)
            clock.after(clock.random.randrange(until_us), self._strike, kind)

    def heal(self) -> None:
        """Everything works again, and whoever was down is started."""
        self._arbiter.up = True
        for node in self._nodes.values():
            for link in node.links.values():
                link.heal()
            node.flush_us = (200, 2 * MS)
            if node.paused:
                self._resume(node)
            self._boot(node)

    def _strike(self, kind: str) -> None:
        clock = self._clock
        clock.goals[f"fault {kind}"] += 1
        clock.trace(f"fault: {kind}")
        node = self._nodes[clock.random.choice(("a", "b"))]
        for_us = clock.between(10 * MS, 700 * MS)
        match kind:
            case "cut":
                self._cut(clock.random.choice(list(node.links.values())), for_us)
            case "cut peer":
                self._cut(node.links["to peer"], for_us)
                if clock.chance(0.6):
                    self._cut(node.peer.links["to peer"], for_us)
            case "cut arbiter":
                self._cut(node.links[clock.random.choice(("to arbiter", "from arbiter"))], for_us)
            case "reconnect":
                node.links["to peer"].reconnect()
            case "power cut":
                self._crash(node, for_us)
            case "short restart":
                self._crash(node, clock.between(MS, 60 * MS))
            case "store power cut":
                for each in self._nodes.values():
                    self._crash(each, clock.between(20 * MS, 400 * MS))
            case "pause":
                if node.device is not None and not node.paused:
                    node.pause()
                    clock.after(for_us, self._resume, node)
            case "disk lost":
                self._lose_disk(node, for_us)
            case "arbiter down":
                self._arbiter.up = False
                clock.after(for_us, self._arbiter_up)
            case "slow disk":
                node.flush_us = (MS, clock.random.choice((30, 200, 500)) * MS)
                clock.after(for_us, self._fast_disk, node)
            case "slow arbiter":
                for name in ("to arbiter", "from arbiter"):
                    self._slow(node.links[name], clock.between(50 * MS, 500 * MS), for_us)

            case "stuck disk, slow arbiter":
                node.flush_us = (250 * MS, 600 * MS)
                clock.after(clock.between(300 * MS, 900 * MS), self._fast_disk, node)
                self._slow(
                    node.links["to arbiter"], clock.between(200 * MS, 900 * MS), clock.between(200 * MS, 900 * MS)
                )

    def _cut(self, link: Link, for_us: int) -> None:
        link.cut = True
        self._clock.trace(f"cut: {link.name}")
        self._clock.after(for_us, self._mend, link)

    def _mend(self, link: Link) -> None:
        link.cut = False

    def _slow(self, link: Link, by_us: int, for_us: int) -> None:
        link.slow_us = by_us
        self._clock.after(for_us, self._fast, link)

    def _fast(self, link: Link) -> None:
        link.slow_us = 0

    def _fast_disk(self, node: Node) -> None:
        node.flush_us = (200, 2 * MS)

    def _arbiter_up(self) -> None:
        self._arbiter.up = True

    def _crash(self, node: Node, for_us: int) -> None:
        self._forget_requests(node)
        node.crash()
        self._clock.after(for_us, self._boot, node)

    def _lose_disk(self, node: Node, for_us: int) -> None:
        if len(self._observer.dead) >= 3 or (self._sole_member(node) and self._clock.chance(0.9)):
            return
        self._clock.goals["a disk lost"] += 1
        self._forget_requests(node)
        self._observer.disk_lost(node)
        node.lose_disk()
        self._clock.after(for_us, self._boot, node)

    def _sole_member(self, node: Node) -> bool:
        alive = {each.disk.node_id for each in self._nodes.values()} - {node.disk.node_id}
        return not any(member in alive for member in self._arbiter.register.members)

    def _forget_requests(self, node: Node) -> None:
        """Nobody will be answered by a process that ended."""
        for key in [key for key in self._observer.asked if key[0] == node.slot]:
            del self._observer.asked[key]

    def _boot(self, node: Node) -> None:
        node.boot()

    def _resume(self, node: Node) -> None:
        self._observer.paused_at_us[node.slot] = self._clock.now_us
        node.resume()
