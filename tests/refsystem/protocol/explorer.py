"""A light, deterministic explorer of the store protocol: two devices, arbiter, diners, kitchen and cloud in virtual time.

One seed is one schedule: load and faults drawn from it, safety checked at every step; then everything heals, and within a
bound everything must stand at the primary's cursor and nobody may wait. Replay a seed with its events printed:

    python tests/refsystem/protocol/explorer.py --seed 17 --trace [--variant NAME]

and let a range run, one line for each failing seed and the goals reached at the end:

    python tests/refsystem/protocol/explorer.py --seeds 0-20000
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass

from explorer_checks import Asked, Observer, converged
from explorer_faults import Faults
from explorer_node import Node
from explorer_world import MS, Arbiter, Clock, Cloud, Link, Receiver, Violation

from refsystem.ordering.errors import KEY_REUSED
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.order import Order
from refsystem.protocol.broken import PROTOCOL_VARIANTS
from refsystem.protocol.device import SOUND, DeviceSettings, Parts
from refsystem.protocol.messages import Reply
from refsystem.protocol.timing import Timing

TIMING = Timing(
    heartbeat_us=20 * MS,
    standby_timeout_us=180 * MS,
    primary_timeout_us=140 * MS,
    register_retry_us=80 * MS,
    join_interval_us=40 * MS,
    resend_us=120 * MS,
    flush_limit_us=300 * MS,
    request_timeout_us=800 * MS,
    entries_per_append_max=4,
    entries_in_flight_max=10,
    grow_lag_max=3,
    waiting_max=20,
    uncommitted_max=40,
    known_places_max=12,
)
CHAOS_US = 2_500 * MS
HEAL_US = 5_000 * MS
IDLE_US = 300 * MS
ORDERS = 40


@dataclass
class Diner:
    """One person with one order under one key, who asks until told yes or no."""

    order: Order
    attempts: int = 0
    done: bool = False


class Explorer:
    """One schedule."""

    def __init__(self, seed: int, parts: Parts = SOUND, tracing: bool = False) -> None:
        self.seed = seed
        self.clock = clock = Clock(seed, tracing)
        policy = "require_r2" if clock.chance(0.15) else "available"
        settings = DeviceSettings("s1", DEMO_MENU, policy, TIMING)
        self.nodes = {slot: Node(clock, slot, settings, parts) for slot in ("a", "b")}
        self.arbiter = Arbiter(clock, "a1")
        self.observer = Observer(clock, self.arbiter, self.nodes, TIMING.request_timeout_us + 2 * TIMING.heartbeat_us)
        self.cloud = Cloud(clock, self.observer.visible)
        self.kitchen = Receiver(clock, "kitchen", self.observer.visible)
        self._connect()
        self.faults = Faults(clock, self.nodes, self.arbiter, self.observer)
        self._requests = 0
        self._diners: list[Diner] = []
        self._of_request: dict[tuple[str, int, int], Diner] = {}

    def run(self) -> str:
        """The whole schedule; raises `Violation`, or returns how it ended: "converged" or "stuck" (only P19 helps)."""
        clock = self.clock
        for node in self.nodes.values():
            clock.after(clock.between(0, 50 * MS), node.boot)
        for number in range(ORDERS):
            clock.after(clock.random.randrange(CHAOS_US), self._arrive, number)
        for _ in range(ORDERS // 2):
            clock.after(clock.random.randrange(CHAOS_US), self._ask)
        self.faults.plan(CHAOS_US)
        clock.run_until(CHAOS_US)
        return self._heal()

    def _heal(self) -> str:
        clock = self.clock
        clock.trace("everything heals")
        self.faults.heal()
        until_us = clock.now_us + HEAL_US
        while not self._stays(until_us):
            reason = self._not_done()
            if clock.now_us < until_us:
                continue
            if all(member in self.observer.dead for member in self.arbiter.register.members):
                return "stuck"
            raise Violation(f"not converged {HEAL_US // MS} ms after healing: {reason}")
        primary = next(node for node in self.nodes.values() if node.role == "primary")
        self.observer.check_end(primary, self.cloud)
        return "converged"

    def _stays(self, until_us: int) -> bool:
        """Whether all is done by then, and is still so a while later: a slow flush or a late message may undo it once."""
        clock = self.clock
        if not clock.run_until(until_us, lambda: self._not_done() is None):
            return False
        before = self._last_seq()
        clock.run_until(clock.now_us + IDLE_US)
        return self._not_done() is None and self._last_seq() == before

    def _not_done(self) -> str | None:
        if not all(diner.done for diner in self._diners):
            return f"{sum(not diner.done for diner in self._diners)} diners wait"
        if self.observer.asked:
            return f"{len(self.observer.asked)} requests wait"
        if not all(self.kitchen.bumps.values()):
            return "bumps are not back"
        return converged(self.nodes, self.arbiter, self.cloud, self.kitchen.cursor)

    def _last_seq(self) -> list[int]:
        return [node.device.replica.log.last.seq for node in self.nodes.values() if node.device is not None]

    def _connect(self) -> None:
        clock, names = self.clock, ("arbiter", "kitchen", "uplink")
        for slot, node in self.nodes.items():
            node.peer = self.nodes["b" if slot == "a" else "a"]
            node.links = {
                f"{way} {name}": Link(clock, f"{slot} {way} {name}", False) for name in names for way in ("to", "from")
            }
            node.links["to peer"] = Link(clock, f"{slot} to peer")
            node.places = {"kitchen": self.kitchen, "uplink": self.cloud}
            node.arbiter = self.arbiter
            node.on_ready = self.observer.ready
            node.on_reply = self._reply

    # --- people --------------------------------------------------------------------------------------------------------

    def _arrive(self, number: int) -> None:
        clock = self.clock
        order = Order(f"order-{number}", "qr", "4", (("steamed-rice", 1 + number % 3),), 300 * (1 + number % 3))
        doors = clock.random.random()
        if doors < 0.1:
            self.cloud.order(order)
            return
        self._diners.append(diner := Diner(order))
        if doors < 0.25:
            clock.goals["one key at two doors"] += 1
            clock.after(clock.between(0, 50 * MS), self.cloud.order, order)
        if doors > 0.97:
            other = Order(order.order_id, "qr", "5", order.items, order.total_minor)
            clock.after(clock.between(0, 50 * MS), self.cloud.order, other)
        if 0.25 < doors < 0.4:
            clock.after(clock.between(0, 5 * MS), self._attempt, diner)
        self._attempt(diner)

    def _attempt(self, diner: Diner) -> None:
        clock = self.clock
        if diner.done and not clock.chance(0.2):
            return
        node = self.nodes[clock.random.choice(("a", "b"))]
        diner.attempts += 1
        backoff_us = clock.between(5 * MS, 80 * MS)
        if node.device is None:
            clock.after(backoff_us, self._attempt, diner)
            return
        key = self._ask_node(node, "submit", diner.order.order_id, diner.order.body_hash)
        self._of_request[key] = diner
        clock.after(TIMING.request_timeout_us + backoff_us, self._unanswered, key, diner)
        node.input(node.life, node.submit, key[2], diner.order)

    def _unanswered(self, key: tuple[str, int, int], diner: Diner) -> None:
        if key in self._of_request:
            del self._of_request[key]
            self._attempt(diner)

    def _ask(self) -> None:
        node = self.nodes[self.clock.random.choice(("a", "b"))]
        if node.device is not None:
            order_id = f"order-{self.clock.random.randrange(ORDERS)}"
            key = self._ask_node(node, "read", order_id, "")
            node.input(node.life, node.read, key[2], order_id)

    def _ask_node(self, node: Node, kind: str, order_id: str, body_hash: str) -> tuple[str, int, int]:
        self._requests += 1
        key = (node.slot, node.life, self._requests)
        known = order_id in self.observer.told_keys
        self.observer.asked[key] = Asked(kind, order_id, body_hash, self.clock.now_us, known)
        return key

    def _reply(self, node: Node, reply: Reply) -> None:
        clock = self.clock
        if clock.tracing:
            asked = self.observer.asked[(node.slot, node.life, reply.request_id)]
            what = reply.problem.slug if reply.problem else f"{reply.level} at {reply.entry.seq if reply.entry else 0}"
            clock.trace(f"{node.disk.node_id} answers {asked.kind} {asked.order_id}: {what}")
        if reply.problem is not None:
            clock.goals[f"answer {reply.problem.slug}"] += 1
        self.observer.reply(node, reply)
        diner = self._of_request.pop((node.slot, node.life, reply.request_id), None)
        if diner is None:
            return
        if reply.problem is None or reply.problem is KEY_REUSED:
            diner.done = True
            if clock.chance(0.2):
                clock.after(clock.between(0, 400 * MS), self._attempt, diner)
        else:
            clock.after(clock.between(5 * MS, 80 * MS), self._attempt, diner)


def explore(seed: int, variant: str | None = None, tracing: bool = False) -> tuple[str, Counter[str]]:
    """Run one seed: how it ended, and the goals that it reached. The text of a failure says how to replay it."""
    parts = SOUND if variant is None else PROTOCOL_VARIANTS[variant]
    explorer = Explorer(seed, parts, tracing)
    try:
        end = explorer.run()
    except (Violation, AssertionError, KeyError, IndexError) as error:
        option = f" --variant {variant}" if variant else ""
        replay = f"python tests/refsystem/protocol/explorer.py --seed {seed} --trace{option}"
        at_ms = explorer.clock.now_us // MS
        raise Violation(f"seed {seed} at {at_ms} ms: {type(error).__name__} {error}; replay: {replay}") from error
    explorer.clock.goals[f"ended {end}"] += 1
    return end, explorer.clock.goals


def main() -> int:
    """The command line; 1 if a seed failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="run this one")
    parser.add_argument("--seeds", help="run a range, FIRST-LAST")
    parser.add_argument("--trace", action="store_true", help="print every event")
    parser.add_argument("--variant", choices=sorted(PROTOCOL_VARIANTS), help="run a broken variant")
    chosen = parser.parse_args()
    first, last = (chosen.seed, chosen.seed) if chosen.seeds is None else map(int, chosen.seeds.split("-"))
    goals: Counter[str] = Counter()
    failed = 0
    started_s = time.monotonic()
    for seed in range(first, last + 1):
        try:
            goals += explore(seed, chosen.variant, chosen.trace)[1]
        except Violation as violation:
            failed += 1
            print(violation, flush=True)  # noqa: T201
    took_s = time.monotonic() - started_s
    print(f"{last - first + 1} seeds, {failed} failed, {(last - first + 1) / took_s:.1f} a second")  # noqa: T201
    print("\n".join(f"{count:8d}  {goal}" for goal, count in sorted(goals.items())))  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
