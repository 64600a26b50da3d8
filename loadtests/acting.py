"""Who does something with a check: each act under a key of its own, asked for again until its answer is final.

Every attempt is a row of the history, so that the audit judges acts as it judges orders.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from uuid import UUID

import gevent

from loadtests.client import NOT_SENT, Device
from loadtests.contract import ASKED_AGAIN_4XX, Answer, PayingApi
from loadtests.ledger import CheckRows, Ledger, Whereabouts
from loadtests.plan import monotonic_us
from loadtests.tokens import Tokens
from refsystem.access import Role
from refsystem.ordering.check_acts import ACT_NAMES, Act, Content
from refsystem.ordering.kitchen_acts import KitchenContent
from refsystem.ordering.stock_acts import StockContent
from refsystem.ordering.store_acts import NAMES, StoreAct

AnyContent = Content | KitchenContent | StockContent


class Asker(Whereabouts, Protocol):
    """Who acts, how long they try, and how long they wait before they ask again."""

    @property
    def patience_us(self) -> int:
        """How long one act is asked for."""
        ...

    @property
    def poll_us(self) -> int:
        """How long they wait before they ask again."""
        ...


class Actor:
    """Looks at checks and acts on them for one party, one request at a time. `order_id` is the order that began its check."""

    def __init__(
        self,
        diner: Asker,
        device: Device,
        api: PayingApi,
        ledger: Ledger,
        intent_id: str,
        order_id: str,
        draw: random.Random,
    ) -> None:
        self._diner, self._device, self._api, self._ledger = diner, device, api, ledger
        self._intent_id, self._order_id, self._draw = intent_id, order_id, draw
        self._looks = CheckRows(ledger, diner, intent_id, order_id)

    def look(self, check_id: str, token: str) -> Answer:
        """How a check stands; its `check` is None if nobody could tell."""
        now_us = monotonic_us()
        request = self._api.check(check_id, token)
        return self._device.ask("check", request, self._looks, now_us, now_us + self._diner.patience_us)

    def act(self, content: AnyContent, token: str, amount_minor: int = 0) -> Answer:
        """Do it, asking again under the same key while another answer may come and patience lasts."""
        act_id = str(UUID(int=self._draw.getrandbits(128), version=4))
        act = Act(act_id, "", content) if isinstance(content, Content) else StoreAct(act_id, "", content)
        rows = CheckRows(self._ledger, self._diner, self._intent_id, self._order_id, act, amount_minor)
        request = self._api.act(act, token)
        deadline_us = monotonic_us() + self._diner.patience_us
        answer = NOT_SENT
        while monotonic_us() < deadline_us:
            answer = self._device.ask("act", request, rows, monotonic_us(), deadline_us)
            if answer.outcome == "ok" or is_refused(answer):
                break
            gevent.sleep(self._diner.poll_us / 1_000_000)
        return answer


class Staff:
    """The staff around one party's table: each act by somebody who may do it. `actor` None: the adapter knows no checks.

    `skipped` is told the name of what is left out then.
    """

    def __init__(self, actor: Actor | None, tokens: Tokens, skipped: Callable[[str], None]) -> None:
        self._actor, self._tokens, self._skipped = actor, tokens, skipped

    def did(self, content: AnyContent, role: Role, amount_minor: int = 0) -> bool:
        """Whether it was done, as far as is known."""
        answer = self.do(content, role, amount_minor)
        return answer is not None and answer.outcome == "ok"

    def do(self, content: AnyContent, role: Role, amount_minor: int = 0) -> Answer | None:
        """Have somebody with this role do it; None if the adapter cannot."""
        if self._actor is None:
            self._skipped(name_of(content))
            return None
        return self._actor.act(content, self._tokens.staff(role), amount_minor)

    def look(self, check_id: str, why: str) -> Mapping[str, Any] | None:
        """How a check stands; None if nobody can tell. `why` names what is left out if the adapter cannot."""
        if self._actor is None:
            self._skipped(why)
            return None
        return self._actor.look(check_id, self._tokens.staff("waiter")).check

    def lines(self, check_id: str, why: str) -> list[Mapping[str, Any]]:
        """The lines of a check that cost something; none if nobody can tell."""
        check = self.look(check_id, why)
        return [] if check is None else [line for line in check["lines"] if line["quantity"] and line["amount_minor"]]


def name_of(content: AnyContent) -> str:
    """The name of an act with this content."""
    return ACT_NAMES[type(content)] if isinstance(content, Content) else NAMES[type(content)]


def is_refused(answer: Answer) -> bool:
    """Whether the store's rules do not allow what was asked for, however often it is asked."""
    status = answer.status or 0
    return 400 <= status < 500 and status not in ASKED_AGAIN_4XX
