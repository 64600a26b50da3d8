"""A party at its table: members order on one open check, people change the check, and it is paid, in parts if they like.

All that a party means to do stands in the timetable (`simulator.parties`). Orders are sent at their moments, whatever became of
those before them; the staff do one thing after another. What the adapter of the driven system cannot do is left out and counted:
without checks every order stands on one of its own.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import gevent
from gevent import Greenlet

from loadtests.acting import Actor, Staff
from loadtests.client import Device
from loadtests.contract import Answer, CheckApi, OrderingApi, PayingApi, Request
from loadtests.ledger import Ledger
from loadtests.paying import Payer
from loadtests.plan import LoadPlan, monotonic_us
from loadtests.tokens import Tokens
from refsystem.ordering.check_acts import (
    Comp,
    Content,
    GiveDiscount,
    GiveRefund,
    Merge,
    Reopen,
    Split,
    Transfer,
    Void,
)
from refsystem.ordering.kitchen_acts import Fire
from refsystem.ordering.order import Order
from refsystem.ordering.payment import Tender
from simulator.diners import Diner, intent_id, marker, uuid7
from simulator.history import Door, Outcome
from simulator.parties import COUPON_BASIS_POINTS, AddOn, Visit

ADD_ONS_FROM = 2
"""Numbers 0 and 1 in markers belong to a diner's first order and the one after giving up."""
WAYS_MAX = 6


class Surroundings(Protocol):
    """What a party needs of the journey that it is a part of."""

    def device(self, door: Door, purpose: str) -> Device:
        """Another device at `door`."""

    def sleep_until(self, at_us: int) -> None:
        """Wait for a moment of the timetable."""

    def ordered(self, intended_at_us: int, answer: Answer) -> None:
        """An order ended."""

    def paid(self, intended_at_us: int, answer: Answer) -> None:
        """A payment of a check ended."""

    def skipped(self, step: str) -> None:
        """A step was left out, because the adapter cannot do it."""


@dataclass(frozen=True, slots=True)
class Added:
    """What became of an add-on: its order, and whether it was taken."""

    order_id: str
    apart: bool
    outcome: Outcome


class PartyVisit:
    """The visit of a party whose first order, `first`, was taken; `run` may be called once, in a greenlet."""

    def __init__(
        self, diner: Diner, plan: LoadPlan, api: OrderingApi, ledger: Ledger, around: Surroundings, first: Order
    ) -> None:
        assert diner.visit is not None, "a party has a visit"
        self._visit: Visit = diner.visit
        self._diner, self._plan, self._api, self._ledger, self._around = diner, plan, api, ledger, around
        self._check_id = first.order_id
        self._intent_id = intent_id(plan.run, diner)
        self._tokens = Tokens(plan, diner.store)
        self._began_us = plan.start_us + diner.intended_us
        self._has_checks = isinstance(api, CheckApi) and plan.access_secret is not None
        self._staff = Staff(self._actor(), self._tokens, around.skipped)

    def run(self) -> None:
        """Dine, and pay."""
        orders = [gevent.spawn(self._add, place, add_on) for place, add_on in enumerate(self._visit.add_ons)]
        try:
            if self._visit.moves_to:
                self._around.sleep_until(self._began_us + self._visit.moves_after_us)
                self._move()
            called = self._call(orders)
            self._around.sleep_until(self._began_us + self._visit.dining_us)
            gevent.joinall(orders, raise_error=True)
        finally:
            gevent.killall(orders)
        self._fire(set(range(1 + len(orders))) - called, orders)
        added = [order.value for order in orders]
        self._take_off()
        self._use_coupon()
        checks = self._parts(self._merged(added))
        self._pay(checks)
        self._refund(checks)

    # --- orders ---

    def _add(self, place: int, add_on: AddOn) -> Added:
        """One member orders something more, on the party's check."""
        diner, plan, which = self._diner, self._plan, ADD_ONS_FROM + place
        intended_at_us = self._began_us + add_on.after_us
        device = self._around.device("edge", f"add-on {place} by {add_on.member}")
        self._around.sleep_until(intended_at_us)
        diner = self._diner  # the party may have moved meanwhile
        assert plan.start_unix_ms is not None, "a plan that was written has it"
        at_unix_ms = plan.start_unix_ms + (intended_at_us - plan.start_us) // 1000
        order_id = uuid7(at_unix_ms, add_on.key_bits)
        order = Order(
            order_id=order_id,
            channel=diner.channel,
            table=diner.table,
            items=add_on.items,
            total_minor=add_on.total_minor,
            note=marker(plan.run, diner, which),
            check_id="" if not self._has_checks else order_id if add_on.apart else self._check_id,
        )
        rows = self._ledger.rows(diner, f"{self._intent_id}-{which}", order)
        deadline_us = intended_at_us + diner.patience_us
        answer = device.ask("order", self._order_request(order), rows, intended_at_us, deadline_us)
        self._around.ordered(intended_at_us, answer)
        return Added(order.order_id, add_on.apart, rows.outcome)

    def _order_request(self, order: Order) -> Request:
        if isinstance(self._api, CheckApi) and self._has_checks:
            return self._api.order_on(self._diner.store, order, self._own_token)
        return self._api.order("edge", self._diner.store, order)

    @property
    def _own_token(self) -> str:
        return self._tokens.of(self._diner.channel, self._diner.table)

    def _actor(self) -> Actor | None:
        """Who asks for the party, at the table where it sits now; None if the adapter knows no checks."""
        if not (isinstance(self._api, CheckApi) and self._has_checks):
            return None
        draw = random.Random(f"{self._plan.seed}/{self._diner.store}/{self._diner.diner}/party at {self._diner.table}")
        device = self._around.device("edge", "staff")
        return Actor(self._diner, device, self._api, self._ledger, self._intent_id, self._check_id, draw)

    # --- the check ---

    def _move(self) -> None:
        """The party moves to another table, and orders there from then on."""
        if self._staff.did(Transfer(self._check_id, self._visit.moves_to), "waiter"):
            self._diner = dataclasses.replace(self._diner, table=self._visit.moves_to)
            self._staff = Staff(self._actor(), self._tokens, self._around.skipped)

    def _call(self, orders: Sequence[Greenlet]) -> set[int]:
        """The table calls for the courses that wait for that, of what was taken so far; returns these orders' numbers."""
        if not self._visit.calls:
            return set()
        self._around.sleep_until(self._began_us + self._visit.calls_after_us)
        taken = {0, *(number for number, order in enumerate(orders, start=1) if order.ready())}
        self._fire(taken, orders)
        return taken

    def _fire(self, numbers: set[int], orders: Sequence[Greenlet]) -> None:
        """A waiter has the courses made that wait to be called for, of these orders: 0 is the first one, then the add-ons."""
        for number, course in self._visit.calls:
            if number not in numbers:
                continue
            added: Added | None = orders[number - 1].value if number else None
            if added is None or added.outcome == "ok":
                self._staff.did(Fire(self._check_id if added is None else added.order_id, course), "waiter")

    def _take_off(self) -> None:
        """A manager voids or comps one of what was ordered last."""
        if not self._visit.less:
            return
        lines = self._staff.lines(self._check_id, self._visit.less)
        if len(lines) < 2:
            return
        line, kind = lines[-1], Void if self._visit.less == "void" else Comp
        self._staff.did(
            kind(self._check_id, line["order_id"], line["line"], 1, "it was not what they wanted"), "manager"
        )

    def _use_coupon(self) -> None:
        if self._visit.coupon:
            code = f"coupon-{self._plan.run}-{self._diner.diner}"
            content = GiveDiscount(self._check_id, "coupon", code, basis_points=COUPON_BASIS_POINTS)
            self._staff.did(content, "manager")

    def _merged(self, added: Sequence[Added]) -> list[str]:
        """The checks that are left to be paid, after those apart were merged into the party's."""
        checks = [self._check_id]
        for each in added:
            if self._has_checks and not each.apart:
                continue
            if each.outcome != "ok":
                continue
            if not (each.apart and self._staff.did(Merge(self._check_id, each.order_id), "waiter")):
                checks.append(each.order_id)
        return checks

    def _parts(self, checks: list[str]) -> list[str]:
        """The checks to be paid, after the party's own was split if they wanted."""
        contents = list(self._split())
        if not contents:
            return checks
        answer = self._staff.do(contents[0], "waiter")
        made = answer.result.get("new_check_ids", ()) if answer is not None and answer.outcome == "ok" else ()
        return [*checks, *map(str, made)]

    def _split(self) -> Iterator[Content]:
        """How the party splits its check; nothing where it does not, or cannot."""
        match self._visit.split:
            case "evenly":
                yield Split(self._check_id, ways=min(self._visit.size, WAYS_MAX))
            case "by_line":
                lines = self._staff.lines(self._check_id, "split")
                if len(lines) > 1:
                    moved = [(line["order_id"], line["line"], line["quantity"]) for line in lines[::2]]
                    yield Split(self._check_id, tuple(moved))

    def _refund(self, checks: Sequence[str]) -> None:
        """A dish is taken off a paid check, and its money given back; it closes by itself when the gateway has done so."""
        if not self._visit.refund or self._visit.split or self._diner.tender is None:
            return
        check = self._staff.look(self._check_id, "refund")
        if check is None or check["status"] != "closed" or len(checks) > 1:
            return
        captured = [payment for payment in check["payments"] if payment["state"] == "captured"]
        for line in reversed(check["lines"]):
            payments = [payment for payment in captured if payment["amount_minor"] >= line["amount_minor"] > 0]
            if payments:
                self._give_back(check, line, payments[0]["attempt_id"])
                return

    def _give_back(self, check: Mapping[str, Any], line: Mapping[str, Any], attempt_id: str) -> None:
        check_id, reason = check["check_id"], "it came cold"
        if (
            line["amount_minor"] < check["total_minor"]
            and self._staff.did(Reopen(check_id, reason), "cashier")
            and self._staff.did(GiveRefund(attempt_id, line["amount_minor"], reason), "cashier", line["amount_minor"])
        ):
            self._staff.did(Comp(check_id, line["order_id"], line["line"], line["quantity"], reason), "manager")

    # --- money ---

    def _pay(self, checks: Sequence[str]) -> None:
        """Every part is paid at once, each by somebody else."""
        diner = self._diner
        if diner.tender is None:
            return
        if not isinstance(self._api, PayingApi) or self._plan.access_secret is None:
            self._around.skipped("pay")
            return
        second = self._visit.second_tender
        payers = []
        for place, check_id in enumerate(checks):
            tender: Tender = second or diner.tender if place else diner.tender
            alone = second if len(checks) == 1 else None
            payers.append(
                gevent.spawn(self._pay_one, dataclasses.replace(diner, tender=tender), place, check_id, alone)
            )
        try:
            gevent.joinall(payers, raise_error=True)
        finally:
            gevent.killall(payers)

    def _pay_one(self, payer: Diner, place: int, check_id: str, second: Tender | None) -> None:
        intended_at_us = monotonic_us()
        device = self._around.device("edge", f"pay {place}")
        answer = Payer(payer, self._plan, device, self._ledger, self._intent_id, check_id, second).run()
        self._around.paid(intended_at_us, answer)
