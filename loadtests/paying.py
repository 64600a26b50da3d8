"""How a check is paid: by the diner at the table, or by the staff at the till, until it is closed or patience ends.

Who pays looks at the check, pays what is due, and looks again. A payment whose answer is lost is sent again under its own key;
a new one is made only when the check says that the last one came to nothing, and then with the next tender. A wallet code that
could not be verified is a matter for the staff: the cashier gives it up, and the diner pays in another way.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import gevent

from loadtests.client import NOT_SENT, Device
from loadtests.contract import ASKED_AGAIN_4XX, Answer, PayingApi
from loadtests.ledger import CheckRows, Ledger
from loadtests.plan import LoadPlan, monotonic_us
from refsystem.access import Role, staff_token, table_token
from refsystem.ordering.check_acts import Act, CancelPayment, Content, Pay
from refsystem.ordering.payment import Tender
from simulator.diners import Diner

NEXT_TENDER: dict[Tender, Tender] = {"wallet_code": "card", "card": "cash", "cash": "cash"}
"""What somebody takes out when a payment came to nothing."""
NOTES_MINOR = 1_000
"""Cash is given in notes of ten."""
LOOKS_UNVERIFIED_MAX = 3
FOR_EVER_S = 4_000_000_000
CAME_TO_NOTHING = frozenset({"declined", "reversed"})


@dataclass(slots=True)
class Sending:
    """An act that was sent and has no definite answer yet."""

    act: Act
    token: str
    rows: CheckRows


class Payer:
    """Somebody who pays one check; `run` may be called once, in a greenlet."""

    def __init__(
        self, diner: Diner, plan: LoadPlan, device: Device, ledger: Ledger, intent_id: str, check_id: str
    ) -> None:
        assert diner.tender is not None, "somebody who pays does so with something"
        if not isinstance(device.api, PayingApi):
            raise TypeError("the scenario has payments, and this adapter cannot pay: it needs `check` and `act`")
        self._api: PayingApi = device.api
        self._diner, self._plan, self._device, self._ledger = diner, plan, device, ledger
        self._intent_id, self._check_id = intent_id, check_id
        self._tender: Tender = diner.tender
        self._draw = random.Random(f"{plan.seed}/{diner.store}/{diner.diner}/pay/{check_id}")
        self._looks = CheckRows(ledger, diner, intent_id, check_id)
        self._sending: Sending | None = None
        self._failed = 0
        self._looks_unverified = 0
        self._deadline_us = monotonic_us() + diner.pay_patience_us

    def run(self) -> Answer:
        """Pay; returns the last look at the check, "ok" only if it is closed."""
        answer = NOT_SENT
        while monotonic_us() < self._deadline_us:
            answer = self._look()
            if answer.check is not None:
                if answer.check["status"] == "closed":
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
            self._pay(check["due_minor"])

    def _wait_for(self, payment: Mapping[str, Any]) -> None:
        """A payment is under way. One that stays unverified is given up by the cashier."""
        self._looks_unverified += payment["state"] == "unverified"
        if payment["state"] == "unverified" and self._looks_unverified > LOOKS_UNVERIFIED_MAX:
            self._looks_unverified = 0
            self._begin(CancelPayment(payment["attempt_id"], "the code was not verified"), self._staff("cashier"), 0)

    def _pay(self, due_minor: int) -> None:
        given_minor, instrument = 0, ""
        match self._tender:
            case "cash":
                given_minor = -(-due_minor // NOTES_MINOR) * NOTES_MINOR
            case "wallet_code":
                instrument = f"{self._draw.randrange(10**18):018d}"
            case _:
                instrument = f"card-{self._draw.getrandbits(64):016x}"
        alone = self._diner.channel == "qr" and self._tender != "cash"
        content = Pay(self._check_id, self._tender, due_minor, given_minor, instrument)
        self._begin(content, self._table if alone else self._staff("waiter"), due_minor)

    def _begin(self, content: Content, token: str, amount_minor: int) -> None:
        act_id = str(UUID(int=self._draw.getrandbits(128), version=4))
        act = Act(act_id, "", content)
        rows = CheckRows(self._ledger, self._diner, self._intent_id, self._check_id, act, amount_minor)
        self._send(Sending(act, token, rows))

    def _send(self, sending: Sending) -> None:
        """Send it, again if it was sent before; it is dropped when it is answered, for good."""
        request = self._api.act(sending.act, sending.token)
        answer = self._device.ask("act", request, sending.rows, monotonic_us(), self._deadline_us)
        status = answer.status or 0
        refused = 400 <= status < 500 and status not in ASKED_AGAIN_4XX
        done = refused or sending.rows.outcome in ("ok", "fail")
        self._sending = None if done else sending

    def _look(self) -> Answer:
        request = self._api.check(
            self._check_id, self._table if self._diner.channel == "qr" else self._staff("cashier")
        )
        return self._device.ask("check", request, self._looks, monotonic_us(), self._deadline_us)

    @cached_property
    def _secret(self) -> bytes:
        assert self._plan.access_secret is not None, "who lets diners pay names the secret of the tokens"
        return Path(self._plan.access_secret).read_bytes().strip()

    @cached_property
    def _table(self) -> str:
        return table_token(self._secret, self._diner.store, self._diner.table)

    def _staff(self, role: Role) -> str:
        return staff_token(self._secret, self._diner.store, f"{role} 1", role, FOR_EVER_S)
