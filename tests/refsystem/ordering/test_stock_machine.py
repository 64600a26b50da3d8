"""P18 under any schedule: store and cloud together never promise more than was stocked, and no right is lost or made.

One escrowed item; a log whose tail is set aside (failover) or lost for good (P19), an uplink that lags, a downlink that is
repeated, and orders through two doors. Broken variants show that each part of the rule is needed.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from till import uuid

from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.menu import Menu, dish, stock
from refsystem.ordering.stock import Stock
from refsystem.ordering.stock_acts import AskRights, GrantRights, Receive
from refsystem.ordering.stock_rights import CloudRights, WantsNumber
from refsystem.ordering.stock_steps import Changes
from refsystem.ordering.store_acts import StoreAct, from_downlink

MENU = Menu(
    (dish("fish", "Fish", "鱼", 100, "wok", 1, "fish:1"),),
    ingredients=(stock("fish", "Fish", "鱼", "piece", 9, "escrow"),),
)
FISH = "fish"

Entry = tuple[dict[str, Any], int]


class SoundStock(Stock):
    """As the store has it."""


class Cloud:
    """The cloud of one store: entries of the branch that it follows, the downlink by number, and its rights."""

    rights_kind = CloudRights

    def __init__(self) -> None:
        self.rights = self.rights_kind()
        self.entries: list[Entry] = []
        self.left: list[Entry] = []
        self.downlink: list[dict[str, Any]] = []

    def number(self) -> int:
        return len(self.downlink) + 1

    def take_order(self, order_id: str, quantity: int) -> None:
        self.rights.reserve(self.number(), {FISH: quantity}, [FISH])
        self.downlink.append({"order_id": order_id, "quantity": quantity})

    def follow(self, log: list[Entry], up_to: int) -> None:
        """P14: leave a branch, then take what is new, one entry after the other."""
        shared = 0
        while shared < min(len(self.entries), len(log)) and self.entries[shared] is log[shared]:
            shared += 1
        if shared < len(self.entries):
            if up_to <= shared or not any(record["kind"] == "fork" for record, _ in log[shared:up_to]):
                return  # a mismatch without a fork: P14 refuses it
            held = {record["order_id"] for record, _ in log if record["kind"] == "order"}
            sent = {message.get("order_id") for message in self.downlink}
            for record, _ in self.entries[shared:]:
                if record["kind"] == "order" and record["order_id"] not in held | sent:
                    self.downlink.append({"order_id": record["order_id"], "quantity": record["items"][0][1]})
            self.left += self.entries[shared:]
            del self.entries[shared:]
        for record, epoch in log[len(self.entries) : up_to]:
            self.entries.append(log[len(self.entries)])
            for wants in self.rights.apply(record, epoch):
                self.downlink.append({"wants": wants})


class Store(RuleBasedStateMachine):
    """`log` are the entries of the primary; those up to `committed` have committed."""

    stock_kind: type[Stock] = SoundStock
    cloud_kind: type[Cloud] = Cloud
    uplink_before_commit = False

    def __init__(self) -> None:
        super().__init__()
        self.stock = self.stock_kind(MENU)
        self.cloud = self.cloud_kind()
        self.log: list[Entry] = []
        self.committed = 0
        self.epoch = 1
        self.count = 0
        self.stocked = 0
        self.wanted: dict[str, int] = {}

    # --- the store ---

    def _append(self, record: dict[str, Any]) -> None:
        self.log.append((record, self.epoch))
        self.stock.apply(len(self.log), record, self.epoch)

    def _new_id(self) -> str:
        self.count += 1
        return uuid(self.count)

    def _decide(self, content: Any) -> None:
        with contextlib.suppress(OrderRejected):
            self._append(self.stock.decide(StoreAct(self._new_id(), "Li", content), 0))

    @rule(quantity=st.integers(1, 6))
    def receive(self, quantity: int) -> None:
        self._decide(Receive(FISH, self._new_id(), quantity))
        self.stocked += quantity

    @rule(quantity=st.integers(1, 4), twice=st.booleans())
    def order_at_the_store(self, quantity: int, twice: bool) -> None:
        """`twice`: the same order goes in by the other door, too."""
        order_id = self._new_id()
        try:
            self.stock.check_order([(FISH, quantity)])
        except OrderRejected:
            return
        self.wanted[order_id] = quantity
        self._append(self._order(order_id, quantity, {"origin": "edge"}))
        if twice:
            self._order_at_the_cloud(order_id, quantity)

    def _order(self, order_id: str, quantity: int, more: dict[str, Any]) -> dict[str, Any]:
        return {"kind": "order", "order_id": order_id, "items": [[FISH, quantity]], **more}

    @rule(quantity=st.integers(1, 5))
    def grant(self, quantity: int) -> None:
        self._decide(GrantRights(FISH, quantity))

    @rule(quantity=st.integers(1, 5))
    def ask(self, quantity: int) -> None:
        self._decide(AskRights(FISH, quantity))

    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        self.committed = data.draw(st.integers(self.committed, len(self.log)))

    # --- the links ---

    @rule(data=st.data())
    def uplink(self, data: st.DataObject) -> None:
        visible = len(self.log) if self.uplink_before_commit else self.committed
        self.cloud.follow(self.log, data.draw(st.integers(0, visible)))

    @rule()
    def downlink(self) -> None:
        """P15: the number behind the cursor, which is a view of the log."""
        held = (record.get("downlink_number") or record.get("number") or 0 for record, _ in self.log)
        number = max(held, default=0) + 1
        if number > len(self.cloud.downlink):
            return
        message = self.cloud.downlink[number - 1]
        if "wants" in message:
            wants: WantsNumber = message["wants"]
            self._append(from_downlink(wants.content(number)).record(0))
            return
        order_id = message["order_id"]
        if any(record["kind"] == "order" and record["order_id"] == order_id for record, _ in self.log):
            self._append({"kind": "duplicate_of", "order_id": order_id, "downlink_number": number})
        else:
            more = {"origin": "cloud", "downlink_number": number}
            self._append(self._order(order_id, message["quantity"], more))

    # --- the cloud ---

    @rule(quantity=st.integers(1, 4))
    def order_at_the_cloud(self, quantity: int) -> None:
        self._order_at_the_cloud(self._new_id(), quantity)

    def _order_at_the_cloud(self, order_id: str, quantity: int) -> None:
        try:
            self.cloud.take_order(order_id, quantity)
        except OrderRejected:
            return
        self.wanted[order_id] = quantity

    # --- faults ---

    def _kept_at_least(self) -> int:
        """No failover sets aside what has committed, or the record of a fork, without which nobody becomes a member (P8, P19)."""
        forks = (seq for seq, (record, _) in enumerate(self.log, 1) if record["kind"] == "fork")
        return max(self.committed, max(forks, default=0))

    @precondition(lambda self: self._kept_at_least() < len(self.log))
    @rule(data=st.data())
    def a_tail_is_set_aside(self, data: st.DataObject) -> None:
        """P12, at a failover."""
        kept = data.draw(st.integers(self._kept_at_least(), len(self.log) - 1))
        del self.log[kept:]
        self.stock.set_aside(kept + 1)
        self.epoch += 1

    @rule(data=st.data())
    def the_glass_is_broken(self, data: st.DataObject) -> None:
        """P19 without the cloud: a device with a shorter log goes on; what it lacks, committed or not, is lost to it."""
        kept = data.draw(st.integers(0, len(self.log)))
        del self.log[kept:]
        self.stock.set_aside(kept + 1)
        self.committed = min(self.committed, kept)
        self.epoch += 1
        self._append({"kind": "fork", "from_seq": kept + 1, "hash": ""})

    # --- what must hold ---

    def _sold(self) -> int:
        """What the log has, what the cloud holds of it on any branch, and what the cloud has promised."""
        everywhere = [record for record, _ in (*self.log, *self.cloud.entries, *self.cloud.left)]
        sold = {record["order_id"] for record in everywhere if record["kind"] == "order"}
        sold |= {message["order_id"] for message in self.cloud.downlink if "order_id" in message}
        return sum(self.wanted[order_id] for order_id in sold)

    @invariant()
    def no_more_is_promised_than_was_stocked(self) -> None:
        assert self._sold() <= self.stocked

    @rule()
    def heal(self) -> None:
        """All is delivered: no right was lost or made."""
        for _ in range(len(self.cloud.downlink) + len(self.log) + 5):
            self.committed = len(self.log)
            self.cloud.follow(self.log, self.committed)
            self.downlink()
        assert self.stock.fork_epoch == 0, "the fork is settled"
        assert not self.cloud.rights.reserved
        item = self.stock.item(FISH)
        assert item.edge_rights + self.cloud.rights.rights.get(FISH, 0) == item.on_hand
        assert item.on_hand == item.received - item.sold


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=120, stateful_step_count=30)


# --- broken variants -------------------------------------------------------------------------------------------------


class NoFreeze(SoundStock):
    """After a fork the store goes on to promise what its log says."""

    @property
    def fork_epoch(self) -> int:
        return 0

    def available(self, ingredient_id: str) -> int | None:
        return max(0, self.item(ingredient_id).edge_rights)


class SettledByAnyFork(SoundStock):
    """The first settlement ends the freeze, whichever fork it is of."""

    def _follow(self, seq: int, changes: Changes) -> None:
        record = self.last
        if record.get("act") == "settle_rights" and self._fork_epoch:
            changes = replace(changes, fork_epoch=0)
        super()._follow(seq, changes)

    def apply(self, seq: int, record: dict[str, Any], epoch: int) -> None:
        self.last = record
        super().apply(seq, record, epoch)


class KeptAcrossForks(CloudRights):
    """The cloud settles, and keeps what it has."""

    def apply(self, record: dict[str, Any], epoch: int) -> tuple[WantsNumber, ...]:
        before = {**self.rights}
        wants = super().apply(record, epoch)
        if record["kind"] == "fork":
            self.rights = before
        return wants


class NotReserved(CloudRights):
    """The cloud looks, and takes nothing."""

    def reserve(self, number: int, needs: Any, escrowed: Any) -> None:
        self.check(needs, escrowed)


def variant(**parts: Any) -> type[Store]:
    return type("Variant", (Store,), parts)


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken",
    [
        variant(stock_kind=NoFreeze),
        variant(stock_kind=SettledByAnyFork),
        variant(uplink_before_commit=True),
        variant(cloud_kind=type("C", (Cloud,), {"rights_kind": KeptAcrossForks})),
        variant(cloud_kind=type("C", (Cloud,), {"rights_kind": NotReserved})),
    ],
    ids=[
        "no-freeze",
        "settled-by-any-fork",
        "uplink-before-commit",
        "kept-across-forks",
        "not-reserved",
    ],
)
def test_every_part_of_the_rule_is_needed(broken: type[Store]) -> None:
    found = settings(
        max_examples=5_000,
        stateful_step_count=40,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(broken, settings=found)
