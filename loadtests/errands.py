"""The staff's errands: each at its moment, by somebody who may do it, looked for among what is there then.

Acts are asked for under keys of their own and are rows of the history, like those of diners and parties; so are the looks.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gevent

from loadtests.acting import Actor, AnyContent, is_refused
from loadtests.client import Device
from loadtests.contract import OrderingApi, Request, StaffApi
from loadtests.ledger import CheckRows, Ledger
from loadtests.plan import LoadPlan, monotonic_us
from loadtests.tokens import Tokens
from refsystem.access import Role
from refsystem.ordering.kitchen_acts import EightySix, Recall, Restore, Rush
from refsystem.ordering.stock_acts import Count, Receive, Waste
from refsystem.ordering.store_rules import PRIORITY_MAX
from simulator.errands import Errand

POLL_US = 200_000
LOOKS_MAX = 10
"""At most so many orders are looked at for a ticket before the open checks are asked for anew."""
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Member:
    """One of the staff of a store."""

    store: str
    patience_us: int
    poll_us: int = POLL_US
    table: str = ""
    channel: str = "staff"


class StaffRound:
    """All errands of one store; `run` may be called once, in a greenlet."""

    def __init__(
        self,
        errands: Sequence[Errand],
        plan: LoadPlan,
        api: OrderingApi,
        ledger: Ledger,
        skipped: Callable[[str], None],
    ) -> None:
        self._errands, self._plan, self._api, self._ledger, self._skipped = errands, plan, api, ledger, skipped

    @property
    def ends_by_us(self) -> int:
        """When the last of them is given up at the latest, after the start of the run."""
        return max((errand.ends_by_us for errand in self._errands), default=0)

    def run(self) -> None:
        """Do them all, each in its own time; returns when the last is done or given up."""
        going = [gevent.spawn(self._do, errand) for errand in self._errands]
        try:
            gevent.joinall(going, raise_error=True)
        finally:
            gevent.killall(going)

    def _do(self, errand: Errand) -> None:
        _sleep_until(self._plan.start_us + errand.at_us)
        if not isinstance(self._api, StaffApi) or self._plan.access_secret is None:
            self._skipped(errand.kind)
            return
        plan, key = self._plan, f"{self._plan.seed}/{errand.store}/staff/{errand.number}"
        edges = plan.targets[errand.store].edges
        first, draw = random.Random(f"{key}/edge").randrange(len(edges)), random.Random(f"{key}/device")
        device = Device(self._api, "edge", edges, first, plan.retries, plan.attempt_timeout_ms, draw, plan.remedies)
        try:
            ErrandRun(errand, plan, self._api, device, self._ledger, random.Random(f"{key}/acts")).run()
        finally:
            device.close()


class ErrandRun:
    """One errand. What it finds refused, because it came too late, it looks for again while patience lasts."""

    def __init__(
        self, errand: Errand, plan: LoadPlan, api: StaffApi, device: Device, ledger: Ledger, draw: random.Random
    ) -> None:
        self._errand, self._plan, self._api, self._device, self._ledger = errand, plan, api, device, ledger
        self._draw = draw
        self._member = Member(errand.store, errand.patience_us)
        self._intent_id = f"{plan.run}-staff-{errand.store}-{errand.number}"
        self._tokens = Tokens(plan, errand.store)
        self._looks = CheckRows(ledger, self._member, self._intent_id, "")
        self._deadline_us = monotonic_us() + errand.patience_us

    def run(self) -> None:
        """Do it, or give it up."""
        errand = self._errand
        match errand.kind:
            case "sold_out":
                self._does(EightySix(errand.what, "the last one is gone"), "kitchen")
                gevent.sleep(errand.for_us / 1_000_000)
                self._does(Restore(errand.what), "kitchen")
            case "receive":
                lot_id = f"delivery-{errand.number}"
                self._does(Receive(errand.what, lot_id, errand.amount, self._use_by(), "the wholesaler"), "stock")
            case "recall":
                self._try(self._recalls(), "kitchen")
            case "rush":
                self._try(self._rushes(), "waiter")
            case "count":
                self._try(self._counts(), "stock")
            case "waste":
                self._try(self._wastes(), "kitchen")

    def _try(self, contents: Iterator[tuple[AnyContent, str]], role: Role) -> None:
        """What was found is done; what is refused by then is looked for again."""
        for content, order_id in contents:
            if not self._does(content, role, order_id):
                return

    def _does(self, content: AnyContent, role: Role, order_id: str = "") -> bool:
        """Ask for it until it is answered for good; whether it was refused."""
        actor = Actor(self._member, self._device, self._api, self._ledger, self._intent_id, order_id, self._draw)
        return is_refused(actor.act(content, self._tokens.staff(role)))

    # --- what there is ---

    def _recalls(self) -> Iterator[tuple[AnyContent, str]]:
        for order_id, ticket in self._tickets("bumped"):
            yield Recall(order_id, ticket["version"], ticket["station"]), order_id

    def _rushes(self) -> Iterator[tuple[AnyContent, str]]:
        for order_id, _ in self._tickets("open"):
            yield Rush(order_id, PRIORITY_MAX), order_id

    def _counts(self) -> Iterator[tuple[AnyContent, str]]:
        for line, known_seq in self._kept():
            missing = round(line["on_hand"] * self._errand.share)
            yield Count(line["ingredient_id"], line["on_hand"] - missing, known_seq), ""

    def _wastes(self) -> Iterator[tuple[AnyContent, str]]:
        for line, _ in self._kept():
            quantity = max(1, round(line["on_hand"] * self._errand.share))
            yield Waste(line["ingredient_id"], quantity, "it was on the floor"), ""

    def _tickets(self, state: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Tickets in `state`, of orders on open checks, from the drawn one on; looked for again while patience lasts."""
        for checks in self._seen(self._api.open_checks(self._tokens.staff("waiter"))):
            order_ids = list(dict.fromkeys(line["order_id"] for check in checks["checks"] for line in check["lines"]))
            first = int(self._errand.pick * len(order_ids))
            for order_id in (*order_ids[first:], *order_ids[:first])[:LOOKS_MAX]:
                order = self._look(self._api.kitchen_order(order_id, self._tokens.staff("kitchen")))
                if order is not None:
                    yield from ((order_id, ticket) for ticket in order["tickets"] if ticket["state"] == state)

    def _kept(self) -> Iterator[tuple[Mapping[str, Any], int]]:
        """The drawn one of the ingredients that are kept and there, and up to where the log was known then."""
        for stock in self._seen(self._api.stock(self._tokens.staff("stock"))):
            kept = [line for line in stock["ingredients"] if line["kept"] and line["on_hand"] > 0]
            if kept:
                yield kept[int(self._errand.pick * len(kept))], stock["known_seq"]

    def _seen(self, request: Request) -> Iterator[Mapping[str, Any]]:
        """What a look shows, again and again while patience lasts."""
        while monotonic_us() < self._deadline_us:
            seen = self._look(request)
            if seen is not None:
                yield seen
            gevent.sleep(self._member.poll_us / 1_000_000)

    def _look(self, request: Request) -> Mapping[str, Any] | None:
        return self._device.ask("look", request, self._looks, monotonic_us(), self._deadline_us).check

    def _use_by(self) -> int:
        """The last day of what is received today; 0: it keeps."""
        if not self._errand.shelf_days:
            return 0
        assert self._plan.start_unix_ms is not None, "a plan that was written has it"
        last_s = self._plan.start_unix_ms / 1000 + self._errand.shelf_days * DAY_S
        return int(time.strftime("%Y%m%d", time.localtime(last_s)))


def staff_rounds(
    plan: LoadPlan, api: OrderingApi, ledger: Ledger, skipped: Callable[[str], None]
) -> Sequence[StaffRound]:
    """The errands of every store; `skipped` is told the name of what the adapter cannot do."""
    stores = dict.fromkeys(errand.store for errand in plan.errands)
    return [
        StaffRound([errand for errand in plan.errands if errand.store == store], plan, api, ledger, skipped)
        for store in stores
    ]


def _sleep_until(at_us: int) -> None:
    gevent.sleep(max(0, at_us - monotonic_us()) / 1_000_000)
