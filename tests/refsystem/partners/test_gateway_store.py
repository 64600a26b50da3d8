"""Properties of the gateway's books, under any requests in any order, repeated, with crashes between them."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from refsystem.partners.payment_gateway import problems
from refsystem.partners.payment_gateway.requests import (
    AnswerDispute,
    Authorize,
    Capture,
    GatewayRequest,
    OpenDispute,
    Refund,
    Reverse,
    RuleDispute,
    Sale,
    Split,
    SplitReturn,
)
from refsystem.partners.payment_gateway.settings import Limits
from refsystem.partners.payment_gateway.store import GatewayStore, Kept, PayerConduct
from refsystem.problems import ProblemError

LIMITS = Limits(time_scale=1000, refunds_max=3)
ATTEMPTS = st.sampled_from(["p1", "p2", "p3"])
AMOUNTS = st.sampled_from([1, 300, 700, 1000])
SHARES = st.dictionaries(st.sampled_from(["platform", "brand"]), st.sampled_from([1, 100, 200]), min_size=1)
CONDUCTS = st.builds(PayerConduct, st.sampled_from([False, False, True]), st.sampled_from([0, 0, 20_000, None]))
DISPUTES = st.sampled_from(["d1", "d2"])


class Books(RuleBasedStateMachine):
    """Asks the store for anything and keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.now_us = 1
        self.made = 0
        self.told: dict[str, tuple[GatewayRequest, Kept]] = {}

    @initialize()
    def begin(self) -> None:
        """Money was taken by card and by wallet; the third payment is whatever comes."""
        self.store = GatewayStore(Path(self._folder.name), LIMITS)
        self.ask("p1", Authorize("p1", "s1", 1000, "CNY", "card", False, ""))
        self.ask(None, Capture("p1", 1000))
        self.ask("p2", Sale("p2", "s1", 700, "CNY", "c0", ""))
        assert len(self.store.audit_ledger(0, 10)) == 2

    def teardown(self) -> None:
        self.store.close()
        self._folder.cleanup()

    def ask(self, request_id: str | None, request: GatewayRequest, conduct: PayerConduct | None = None) -> None:
        if request_id is None:
            self.made += 1
            request_id = f"r{self.made}"
        before = self.books()
        refusal: ProblemError | None = None
        try:
            kept, repeated = self.store.perform(request_id, request, self.now_us, lambda: conduct or PayerConduct())
        except ProblemError as error:
            refusal = error
        if refusal is not None:
            assert refusal.problem.definite
            assert self.books() == before, "a refusal leaves no trace"
            if request_id in self.told:
                assert self.told[request_id][0] != request, "what was told once is told again"
                assert refusal.problem is problems.KEY_REUSED
            return
        assert repeated == (request_id in self.told)
        if repeated:
            assert self.told[request_id][0] == request
            self.same(self.told[request_id][1], kept)
            assert self.books() == before, "a repetition does nothing"
        self.told[request_id] = (request, kept)

    def same(self, first: Kept, again: Kept) -> None:
        if first.outcome.status == "pending":
            again = replace(again, outcome=first.outcome)
        assert again == first

    def books(self) -> Any:
        self.store.settle_due(self.now_us)
        return self.store.audit_ledger(0, 10_000), self.store.audit_payments(0, 10_000)

    @rule(attempt=ATTEMPTS, amount=AMOUNTS, conduct=CONDUCTS)
    def authorize(self, attempt: str, amount: int, conduct: PayerConduct) -> None:
        self.ask(attempt, Authorize(attempt, "s1", amount, "CNY", "card", False, ""), conduct)

    @rule(attempt=ATTEMPTS, amount=AMOUNTS, code=st.sampled_from(["c1", "c2", "c3"]), conduct=CONDUCTS)
    def sale(self, attempt: str, amount: int, code: str, conduct: PayerConduct) -> None:
        self.ask(attempt, Sale(attempt, "s1", amount, "CNY", code, ""), conduct)

    @rule(attempt=ATTEMPTS, amount=AMOUNTS)
    def capture(self, attempt: str, amount: int) -> None:
        self.ask(None, Capture(attempt, amount))

    @rule(attempt=ATTEMPTS)
    def reverse(self, attempt: str) -> None:
        self.ask(None, Reverse(attempt, "s1"))

    @rule(attempt=ATTEMPTS, amount=AMOUNTS)
    def refund(self, attempt: str, amount: int) -> None:
        self.ask(None, Refund(attempt, amount, ""))

    @rule(attempt=ATTEMPTS, shares=SHARES)
    def split(self, attempt: str, shares: dict[str, int]) -> None:
        self.ask(None, Split(attempt, tuple(shares.items())))

    @rule(attempt=ATTEMPTS, shares=SHARES)
    def split_return(self, attempt: str, shares: dict[str, int]) -> None:
        self.ask(None, SplitReturn(attempt, tuple(shares.items())))

    @rule(dispute=DISPUTES, attempt=ATTEMPTS, amount=AMOUNTS)
    def open_dispute(self, dispute: str, attempt: str, amount: int) -> None:
        self.ask(dispute, OpenDispute(attempt, amount, ""))

    @rule(dispute=DISPUTES, accept=st.booleans())
    def answer_dispute(self, dispute: str, accept: bool) -> None:
        self.ask(None, AnswerDispute(dispute, accept, ""))

    @rule(dispute=DISPUTES, winner=st.sampled_from(["merchant", "payer"]))
    def rule_dispute(self, dispute: str, winner: Any) -> None:
        self.ask(None, RuleDispute(dispute, winner))

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        if self.told:
            request_id = data.draw(st.sampled_from(sorted(self.told)))
            self.ask(request_id, self.told[request_id][0])

    @rule(data=st.data(), other=st.sampled_from([Refund("p1", 5, "other"), Capture("p2", 5), Reverse("p3", "s1")]))
    def reuse(self, data: st.DataObject, other: GatewayRequest) -> None:
        if self.told:
            request_id = data.draw(st.sampled_from(sorted(self.told)))
            if self.told[request_id][0] != other:
                with pytest.raises(ProblemError) as refused:
                    self.store.perform(request_id, other, self.now_us)
                assert refused.value.problem is problems.KEY_REUSED

    @rule(ms=st.sampled_from([1, 16, 70, 500_000]))
    def wait(self, ms: int) -> None:
        self.now_us += ms * 1000

    @rule()
    def crash(self) -> None:
        self.store.close()
        self.store = GatewayStore(Path(self._folder.name), LIMITS)

    @invariant()
    def the_books_are_right(self) -> None:
        if not hasattr(self, "store"):
            return
        movements, payments = self.books()
        assert sum(self.store.balances().values()) == 0
        for movement in movements:
            assert sum(posting["amount_minor"] for posting in movement["postings"]) == 0
        for payment in payments:
            mine = [movement for movement in movements if movement["attempt_id"] == payment["attempt_id"]]
            self.one_payment(payment, mine)

    def one_payment(self, payment: dict[str, Any], mine: list[dict[str, Any]]) -> None:
        kinds = [movement["kind"] for movement in mine]
        assert kinds.count("capture") <= 1
        assert kinds.count("reversal") <= 1
        accounts: dict[str, int] = {}
        for movement in mine:
            for posting in movement["postings"]:
                accounts[posting["account"]] = accounts.get(posting["account"], 0) + posting["amount_minor"]
        payer = -accounts.get(f"payer:{payment['tender']}", 0)
        merchant = accounts.get("merchant:s1", 0)
        parties = sum(amount for account, amount in accounts.items() if account.startswith("party:"))
        assert all(amount >= 0 for account, amount in accounts.items() if account.startswith("party:"))
        assert 0 <= payer <= payment["amount_minor"], "nobody pays more than the amount, nobody gains"
        assert payment["refunded_minor"] + payment["disputed_minor"] <= payment["captured_minor"]
        assert parties == payment["split_minor"] <= payment["captured_minor"] * 30 // 100
        held = (
            payment["captured_minor"] - payment["refunded_minor"] - payment["split_minor"] - payment["disputed_minor"]
        )
        assert merchant == held
        if not any(kind.startswith("dispute") for kind in kinds):
            assert held >= 0, "what other parties have was given back to the payer too"
        if payment["status"] != "captured":
            assert payer == merchant == parties == 0


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=30, stateful_step_count=30)


def test_a_file_that_was_left_in_the_middle_of_a_request_has_none_of_it(tmp_path, monkeypatch):
    store = GatewayStore(tmp_path, LIMITS)
    store.outbox.put_receiver("s1", "http://127.0.0.1:9/x")
    store.perform("p1", Authorize("p1", "s1", 500, "CNY", "card", False, ""), 1)

    def fails(_: str) -> Any:
        raise RuntimeError("here")

    monkeypatch.setattr(store.outbox, "_posting", fails)
    with pytest.raises(RuntimeError, match="here"):
        store.perform("r1", Capture("p1", 500), 2)
    assert store.request("r1") is None
    assert store.audit_ledger(0, 10) == []
    payment = store.payment("p1", 3)
    assert payment is not None
    assert payment.status == "authorized"
    store.close()


def test_limits_of_time_and_number(tmp_path):
    store = GatewayStore(tmp_path, LIMITS)

    def refused(request_id: str, request: GatewayRequest, now_us: int) -> str:
        with pytest.raises(ProblemError) as caught:
            store.perform(request_id, request, now_us)
        return caught.value.problem.slug

    day_us = LIMITS.scaled_us(86_400)
    for attempt in ("p1", "p2", "p3"):
        store.perform(attempt, Authorize(attempt, "s1", 500, "CNY", "card", False, ""), 1)
    assert refused("r0", Capture("p3", 501), 1) == "capture-too-large"
    store.perform("r1", Capture("p1", 500), 1)
    for number in range(3):
        store.perform(f"f{number}", Refund("p1", 1, ""), 1)
    assert refused("f4", Refund("p1", 1, ""), 1) == "refund-refused"
    store.perform("r2", Capture("p2", 500), 1)
    assert refused("r3", Reverse("p2", "s1"), 8 * day_us) == "reverse-too-late"
    assert refused("r4", Refund("p2", 1, ""), 366 * day_us) == "refund-refused"
    assert refused("r5", Capture("p3", 1), 8 * day_us) == "state-forbids"
    expired = store.payment("p3", 8 * day_us)
    assert expired is not None
    assert expired.status == "expired"
    store.perform("d1", OpenDispute("p2", 500, "fraud"), 9 * day_us)
    lost = store.dispute_now("d1", 15 * day_us)
    assert lost is not None
    assert (lost.status, store.balances()["disputed"]) == ("lost", 0)
    store.close()
