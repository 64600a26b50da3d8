"""How a check is paid: by the diner at the table, or by the staff at the till, until it is closed or patience ends.

Who pays looks at the check, pays what is due, and looks again. A payment whose answer is lost is sent again under its own key;
a new one is made only when the check says that the last one came to nothing, and then with the next tender. A wallet code that
could not be verified is a matter for the staff: the cashier gives it up, and the diner pays in another way; or takes it
on trust, as often as the plan says.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import gevent

from loadtests.acting import is_refused
from loadtests.client import NOT_SENT, Device
from loadtests.contract import Answer, PayingApi
from loadtests.ledger import CheckRows, Ledger
from loadtests.plan import LoadPlan, monotonic_us
from loadtests.tokens import Tokens
from refsystem.ordering.check_acts import AcceptPayment, Act, CancelPayment, Close, Content, Pay
from refsystem.ordering.order import Channel
from refsystem.ordering.payment import Tender
from simulator.diners import Diner

NEXT_TENDER: dict[Tender, Tender] = {
    "coupon": "wallet_code",
    "stored_value": "wallet_code",
    "wallet_code": "card",
    "card": "cash",
    "cash": "cash",
}
"""What somebody takes out when a payment came to nothing."""
MEMBER_BALANCE_MINOR = 30_000
"""What a member has; who owes more pays in another way. [G]"""
NOTES_MINOR = 1_000
"""Cash is given in notes of ten."""
LOOKS_UNVERIFIED_MAX = 3
CAME_TO_NOTHING = frozenset({"declined", "reversed"})
PAID_ALONE: frozenset[Tender] = frozenset({"wallet_code", "card"})
"""What needs nobody of the staff."""
PAYS_ALONE: frozenset[Channel] = frozenset({"qr", "kiosk"})
"""Whose diners pay so."""


@dataclass(slots=True)
class Sending:
    """An act that was sent and has no definite answer yet."""

    act: Act
    token: str
    rows: CheckRows


class Payer:
    """Somebody who pays one check; `run` may be called once, in a greenlet.

    With a `second_tender` half is paid with the diner's tender first. `diner.table` is where the check stands now.
    """

    def __init__(
        self,
        diner: Diner,
        plan: LoadPlan,
        device: Device,
        ledger: Ledger,
        intent_id: str,
        check_id: str,
        second_tender: Tender | None = None,
    ) -> None:
        assert diner.tender is not None, "somebody who pays does so with something"
        if not isinstance(device.api, PayingApi):
            raise TypeError("the scenario has payments, and this adapter cannot pay: it needs `check` and `act`")
        self._api: PayingApi = device.api
        self._diner, self._plan, self._device, self._ledger = diner, plan, device, ledger
        self._intent_id, self._check_id = intent_id, check_id
        self._tender: Tender = diner.tender
        self._second_tender = second_tender
        self._tokens = Tokens(plan, diner.store)
        self._draw = random.Random(f"{plan.seed}/{diner.store}/{diner.diner}/pay/{check_id}")
        self._looks = CheckRows(ledger, diner, intent_id, check_id)
        self._sending: Sending | None = None
        self._failed = 0
        self._looks_unverified = 0
        self._trusted: set[str] = set()
        self._deadline_us = monotonic_us() + diner.pay_patience_us

    def run(self) -> Answer:
        """Pay; returns the last look at the check, "ok" only if it is closed."""
        answer = NOT_SENT
        while monotonic_us() < self._deadline_us:
            answer = self._look()
            if answer.check is not None:
                if answer.check["status"] in ("closed", "merged"):
                    return answer
                self._go_on(answer.check)
            gevent.sleep(self._diner.poll_us / 1_000_000)
        return Answer("fail" if answer.check is not None else answer.outcome, answer.status, "check-not-closed")

    def _go_on(self, check: Mapping[str, Any]) -> None:
        """Do what the check asks for."""
        if self._sending is not None:
            self._send(self._sending)
            return
        failed = sum(payment["state"] in CAME_TO_NOTHING for payment in check["payments"])
        for _ in range(failed - self._failed):
            self._tender = NEXT_TENDER[self._tender]
        self._failed = failed
        waiting = [payment for payment in check["payments"] if not payment["settled"]]
        if waiting:
            self._wait_for(waiting[-1])
        elif check["due_minor"] > 0:
            self._pay(self._next_amount(check))
        elif check["status"] == "open":  # nothing is owed, and nobody paid: all of it was taken off
            self._begin(Close(self._check_id), self._tokens.staff("waiter"), 0)

    def _next_amount(self, check: Mapping[str, Any]) -> int:
        """What is due; at first half of it, if the rest is paid with another tender."""
        due_minor = int(check["due_minor"])
        if self._second_tender is None or due_minor < 2:
            return due_minor
        if any(payment["state"] not in CAME_TO_NOTHING for payment in check["payments"]):
            self._tender, self._second_tender = self._second_tender, None
            return due_minor
        return due_minor // 2

    def _wait_for(self, payment: Mapping[str, Any]) -> None:
        """A payment is under way. One that stays unverified is taken on trust, once, or given up by the cashier."""
        self._looks_unverified += payment["state"] == "unverified"
        if payment["state"] == "unverified" and self._looks_unverified > LOOKS_UNVERIFIED_MAX:
            self._looks_unverified = 0
            attempt_id = str(payment["attempt_id"])
            content: Content = CancelPayment(attempt_id, "the code was not verified")
            if self._is_trusted(attempt_id):
                self._trusted.add(attempt_id)
                content = AcceptPayment(attempt_id, "the diner's phone shows that it was paid")
            self._begin(content, self._tokens.staff("cashier"), 0)

    def _is_trusted(self, attempt_id: str) -> bool:
        """Whether the cashier takes this code on trust; one that the store's limits refused is given up."""
        drawn = random.Random(f"{self._plan.seed}/{self._diner.store}/trusted/{attempt_id}").random()
        return attempt_id not in self._trusted and drawn < self._plan.accepts_unverified

    def _pay(self, due_minor: int) -> None:
        given_minor, instrument = 0, ""
        match self._tender:
            case "cash":
                given_minor = -(-due_minor // NOTES_MINOR) * NOTES_MINOR
            case "wallet_code":
                instrument = f"{self._draw.randrange(10**18):018d}"
            case "coupon":  # the platform of a drill issues what is called so when it first sees it
                instrument = f"demo-{due_minor}-{self._draw.getrandbits(64):016x}"
            case "stored_value":
                instrument = f"demo-{MEMBER_BALANCE_MINOR}-{self._draw.getrandbits(64):016x}"
            case _:
                instrument = f"card-{self._draw.getrandbits(64):016x}"
        alone = self._diner.channel in PAYS_ALONE and self._tender in PAID_ALONE
        content = Pay(self._check_id, self._tender, due_minor, given_minor, instrument)
        self._begin(content, self._own_token if alone else self._tokens.staff("waiter"), due_minor)

    def _begin(self, content: Content, token: str, amount_minor: int) -> None:
        act_id = str(UUID(int=self._draw.getrandbits(128), version=4))
        act = Act(act_id, "", content)
        rows = CheckRows(self._ledger, self._diner, self._intent_id, self._check_id, act, amount_minor)
        self._send(Sending(act, token, rows))

    def _send(self, sending: Sending) -> None:
        """Send it, again if it was sent before; it is dropped when it is answered, for good."""
        request = self._api.act(sending.act, sending.token)
        answer = self._device.ask("act", request, sending.rows, monotonic_us(), self._deadline_us)
        done = is_refused(answer) or sending.rows.outcome in ("ok", "fail")
        self._sending = None if done else sending

    def _look(self) -> Answer:
        alone = self._diner.channel in PAYS_ALONE
        request = self._api.check(self._check_id, self._own_token if alone else self._tokens.staff("cashier"))
        return self._device.ask("check", request, self._looks, monotonic_us(), self._deadline_us)

    @property
    def _own_token(self) -> str:
        return self._tokens.table(self._diner.table)
