"""The three stores that hold promises, behind one face: how each is opened, what is done to it in order, and what it tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from chaos.power_cuts.device_use import take_an_order
from chaos.power_cuts.recording import Group
from refsystem.arbiter.store import RegisterStore
from refsystem.edge.store import EdgeStore
from refsystem.kitchen_display.store import STATION, Bump, KitchenStore
from refsystem.protocol.log import chain, encode_record
from refsystem.protocol.messages import PersistOp, Register, RegisterSwap, SetAside, StoreBreakGlass
from refsystem.protocol.replica import DurableState
from refsystem.protocol.uplink import Batch
from refsystem.sqlite import Synchronous

StoreName = Literal["edge", "kitchen", "register"]
Restart = Literal["stopped", "killed"]
"""A process that ends between two transactions: in order, or by SIGKILL."""

ALL_ROWS = 1_000_000


class Told(NamedTuple):
    """All that a store tells. `node_id` is who it says that it is, `content` everything else, comparable."""

    node_id: str
    content: Any


class Workload(Protocol):
    """A store with what is done to it. Steps are counted from 1; step 0 is its creation."""

    name: StoreName
    fail_stop: bool
    """Whether the process ends when a transaction fails; else its server answers "failed" and goes on."""
    steps: Sequence[Any]

    @property
    def work(self) -> frozenset[str]:
        """What kinds of work there are in it, besides the usual ones."""

    def open(self, folder: Path, synchronous: Synchronous, new_node_id: str) -> Any:
        """The real store, as its process opens it."""

    def do(self, store: Any, number: int) -> None:
        """Step `number`, one transaction; when it returns it is acknowledged."""

    def tell(self, store: Any) -> Told:
        """What the store tells, by the methods that its process uses."""

    def orders(self, content: Any) -> frozenset[str]:
        """The orders in what was told."""

    def use(self, store: Any, told: Told) -> None:
        """One transaction more, made from what was told. Raises `AssertionError` if it is not there afterwards."""


class EdgeWorkload:
    """A device's log. A flush that fails ends its process (P2)."""

    name: StoreName = "edge"
    fail_stop = True

    def __init__(self, steps: Sequence[Group | Restart]) -> None:
        self.steps: Sequence[Group | Restart] = steps

    @property
    def work(self) -> frozenset[str]:
        """Tails set aside, commits given up across a fork, break glass."""
        return frozenset(
            kind for step in self.steps if not isinstance(step, str) for op in step for kind in _kinds_of_op(op)
        )

    def open(self, folder: Path, synchronous: Synchronous, new_node_id: str) -> EdgeStore:
        """As `refsystem.edge` does."""
        return EdgeStore(folder, new_node_id, synchronous=synchronous)

    def do(self, store: EdgeStore, number: int) -> None:
        """One flush."""
        group = self.steps[number - 1]
        assert not isinstance(group, str)
        store.apply(group)

    def tell(self, store: EdgeStore) -> Told:
        """The durable state, which the chain of hashes must hold together, and what was set aside or given up."""
        state = store.load()
        return Told(state.node_id, (replace(state, node_id=""), store.recovered(0, ALL_ROWS)))

    def orders(self, content: Any) -> frozenset[str]:
        """The orders in the log."""
        state: DurableState = content[0]
        records = [entry.content() for entry in state.entries]
        return frozenset(record["order_id"] for record in records if record["kind"] == "order")

    def use(self, store: EdgeStore, told: Told) -> None:
        """A real device starts on it, takes up its role again and takes an order. What is left to do of P19 needs a cloud."""
        take_an_order(store, replace(told.content[0], node_id=told.node_id, break_glass=None))


class RegisterWorkload:
    """The arbiter's register: its creation, then requests, some of which are refused."""

    name: StoreName = "register"
    fail_stop = False

    def __init__(self, steps: Sequence[Register | RegisterSwap | Restart]) -> None:
        self.steps: Sequence[Register | RegisterSwap | Restart] = steps

    @property
    def work(self) -> frozenset[str]:
        """Break glass."""
        return frozenset("break_glass" for step in self.steps if isinstance(step, RegisterSwap) and step.person)

    def open(self, folder: Path, synchronous: Synchronous, new_node_id: str) -> RegisterStore:
        """As `refsystem.arbiter` does."""
        return RegisterStore(folder, synchronous=synchronous)

    def do(self, store: RegisterStore, number: int) -> None:
        """One request."""
        step = self.steps[number - 1]
        if isinstance(step, Register):
            store.create(step)
        else:
            assert isinstance(step, RegisterSwap)
            store.swap(step)

    def tell(self, store: RegisterStore) -> Told:
        """The register."""
        return Told("", store.read())

    def orders(self, content: Any) -> frozenset[str]:
        """None are kept here."""
        return frozenset()

    def use(self, store: RegisterStore, told: Told) -> None:
        """The register is made, or the primary restarts under it."""
        old: Register | None = told.content
        if old is None:
            assert store.create(Register(1, "a", ("a",), "set-up")), "the register cannot be created"
            return
        new = replace(old, epoch=old.epoch + 1, claim="after")
        assert store.swap(RegisterSwap("after", old.primary, old.epoch, new)) == new, "the register does not move"
        assert store.read() == new, "the register does not stay"


class KitchenWorkload:
    """The display's tickets: batches as they came, and bumps by the cooks."""

    name: StoreName = "kitchen"
    fail_stop = False

    def __init__(self, steps: Sequence[Batch | Bump | Restart]) -> None:
        self.steps: Sequence[Batch | Bump | Restart] = steps

    @property
    def work(self) -> frozenset[str]:
        """Batches of a log that has forked, bumps."""
        forks = {"forks" for step in self.steps if isinstance(step, Batch) and step.forks}
        return frozenset(forks | {"bumps" for step in self.steps if isinstance(step, Bump)})

    def open(self, folder: Path, synchronous: Synchronous, new_node_id: str) -> KitchenStore:
        """As `refsystem.kitchen_display` does."""
        return KitchenStore(folder, kitchen_us=0, synchronous=synchronous)

    def do(self, store: KitchenStore, number: int) -> None:
        """A batch is taken, or a ticket is said to be done."""
        step = self.steps[number - 1]
        if isinstance(step, Batch):
            store.receive(step, number)
        else:
            assert isinstance(step, Bump)
            store.ask_bump(step, number)

    def tell(self, store: KitchenStore) -> Told:
        """The cursor, the tickets, the bumps on their way, and every delivery."""
        tickets = store.audit_tickets(0, ALL_ROWS)
        return Told("", (store.place(), tickets, store.pending_bumps(0), store.audit_deliveries(0, ALL_ROWS)))

    def orders(self, content: Any) -> frozenset[str]:
        """The orders that have a ticket."""
        return frozenset(ticket["order_id"] for ticket in content[1])

    def use(self, store: KitchenStore, told: Told) -> None:
        """The entry behind the cursor is shown."""
        cursor, highest_epoch = told.content[0]
        record = {"kind": "order", "order_id": "after", "version": 1, "items": [], "note": ""}
        entries = chain(highest_epoch, cursor, [encode_record(record)])
        store.receive(Batch("s1", highest_epoch, "a", cursor.seq + 1, cursor.hash, entries), len(self.steps) + 1)
        assert store.place()[0] == entries[-1].cursor, "the cursor does not move"
        assert store.ask_bump(Bump("after", 1, STATION), len(self.steps) + 2) == "pending", "the ticket is not there"


def _kinds_of_op(op: PersistOp) -> tuple[str, ...]:
    match op:
        case SetAside(given_up_to=given_up_to):
            return ("set_aside", "given_up") if given_up_to else ("set_aside",)
        case StoreBreakGlass():
            return ("break_glass",)
        case _:
            return ()
