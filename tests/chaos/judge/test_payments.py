"""Checks that are paid: each test spoils one thing in a run in which everybody was charged what they owed."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from chaos.judge import judge_run, write_outputs
from chaos.judge.verdict import Verdict, verdict_schema
from refsystem.ordering.book import Book
from refsystem.ordering.check_acts import (
    Act,
    CancelPayment,
    Comp,
    Content,
    GiveDiscount,
    GiveRefund,
    Pay,
    PaymentOutcome,
    RefundOutcome,
    Reopen,
    Split,
    Void,
    derived_id,
)
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.payment import Step
from refsystem.platform_messages import platform_order_id
from refsystem.protocol.break_glass import BreakGlass, fork_record
from simulator.history import Attempt

AT_MS = 1_700_000_000_000


class Till:
    """Pays checks of a run that is being built: its acts, their history, and what the gateway's ledger says."""

    def __init__(self, run: Any) -> None:
        self.run = run
        self.book = Book(DEMO_MENU)
        self.movements: list[dict[str, Any]] = []
        self.struck: dict[str, int] = {"slow": 3}
        run.scenario["payments"] = {"misbehaviour": [{"kind": "slow"}]}
        self._applied = 0

    def act(self, content: Content, who: str = "waiter Li", **changes: Any) -> str:
        """An act that was told yes at R2, and is kept."""
        self.follow()
        act = Act(str(uuid.uuid4()), who, content)
        self.run.records.append((3, self.book.decide(act, AT_MS)))
        self.follow()
        order, seq = self.run.attempts[0], len(self.run.records)
        told = replace(
            order,
            op=len(self.run.attempts) + 1,
            kind="act",
            act=act.name,
            act_id=act.act_id,
            body_hash=act.body_hash,
            items=(),
            marker="",
            **{"seq": seq, **changes},
        )
        self.run.attempts.append(told)
        return act.act_id

    def follow(self) -> None:
        for number, (_, record) in enumerate(self.run.records[self._applied :], self._applied + 1):
            self.book.apply(number, record)
        self._applied = len(self.run.records)

    def pays(self, check_id: str, tender: str = "card", outcome: Step = Step.CAPTURE, minor: int = 4_400) -> str:
        cash = tender == "cash"
        attempt_id = self.act(Pay(check_id, tender, minor, minor if cash else 0, "" if cash else "card-1"))  # type: ignore[arg-type]
        if not cash:
            self.run.records.append((3, self.book.decide(_system(PaymentOutcome(attempt_id, outcome)), AT_MS)))
            self.follow()
            if outcome is Step.CAPTURE:
                self.moves(attempt_id, "capture", minor)
        return attempt_id

    def moves(self, attempt_id: str, kind: str, minor: int) -> None:
        number = len(self.movements) + 1
        row = {"movement": number, "kind": kind, "attempt_id": attempt_id, "amount_minor": minor, "merchant": "s1"}
        self.movements.append(row)

    def judged(self) -> Verdict:
        path = self.run.write()
        for number in (1, 2):
            read = {"movements": self.movements, "payments": [], "struck": self.struck}
            (path / "reads" / str(number) / "s1" / "gateway.json").write_text(json.dumps(read), encoding="utf-8")
        return judge_run(path)


def _system(content: Content) -> Act:
    """An act that the store makes by itself: its key follows from what it is for."""
    assert isinstance(content, PaymentOutcome)
    return Act(derived_id(content.attempt_id, content.outcome), "system", content)


def subjects(verdict: Verdict, name: str) -> set[str]:
    return {finding.subject for finding in verdict.audit.by_class[name]}


@pytest.fixture
def till(run: Any) -> Till:
    """Three checks are paid: by card, in cash, and half and half."""
    made = Till(run)
    made.pays(order(run, 0))
    made.pays(order(run, 1), "cash")
    made.pays(order(run, 2), "cash", minor=400)
    made.pays(order(run, 2), "wallet_code", minor=4_000)
    return made


def order(run: Any, number: int) -> str:
    identity: str = run.attempts[number].order_id
    return identity


def test_a_run_in_which_everybody_is_charged_right_passes(till: Till) -> None:
    verdict = till.judged()
    assert verdict.verdict == "pass", verdict.cause
    assert {check.verdict for check in verdict.checks if check.name in ("mischarged", "voided", "comped")} == {"pass"}
    (sums,) = verdict.audit.payments.values()
    assert (sums.closed, sums.cash_minor, sums.captured_minor) == (3, 4_800, 8_400)
    write_outputs(till.run.path, verdict)
    jsonschema.validate(verdict.to_json(), verdict_schema())
    assert verdict.to_json()["details"]["payments"]["s1"]["closed"] == 3
    assert "4800 in cash" in (till.run.path / "summary.md").read_text("utf-8")


def test_money_under_an_id_that_the_log_does_not_know_is_mischarged(till: Till) -> None:
    """P16: after a time-out the payment was tried under another id, and both were captured."""
    till.moves("other", "capture", 4_400)
    verdict = till.judged()
    assert (verdict.verdict, subjects(verdict, "mischarged")) == ("fail", {"other"})
    assert "1 check or payment is mischarged" in verdict.cause


STORY = """
n-gone  entry {seq} of epoch 3  pay 4400 by card, committed by n-gone alone
gateway                        captures 4400 for {attempt}
person                         n-gone is off; the store goes on without it: a fork at entry {seq}, epoch 4
n-gone  comes back             sets entry {seq} of epoch 3 aside, given up
gateway                        still holds 4400, and the log has no such payment
"""


@pytest.mark.parametrize(
    ("spoilt", "name"),
    [
        ("", "given_up"),
        ("nobody confirms that the device was off", "mischarged"),
        ("it was not committed", "mischarged"),
        ("it stood before the fork", "mischarged"),
        ("it is another act", "mischarged"),
    ],
)
def test_money_of_a_payment_that_was_given_up_is_told_apart_from_what_nobody_can_explain(
    till: Till, spoilt: str, name: str
) -> None:
    run, attempt = till.run, str(uuid.uuid4())
    till.follow()
    seq = len(run.records) + 1
    story = STORY.format(seq=seq, attempt=attempt)
    pay = Act(attempt, "waiter Li", Pay(order(run, 3), "card", 4_400, 0, "card-1"))
    aside = {"seq": seq, "epoch": 3, "hash": "00", "record": pay.record(AT_MS), "at_epoch": 4, "given_up": True}
    run.records.append((4, fork_record(BreakGlass(("n-gone",), "Li", "burnt"), seq, "ab", "copied")))
    till.moves(attempt, "capture", 4_400)
    run.fault(off_node_ids=[] if spoilt.startswith("nobody") else ["n-gone"], hits_primary=False)
    if spoilt == "it was not committed":
        aside["given_up"] = False
    elif spoilt == "it stood before the fork":
        aside["seq"] = seq - 1
    elif spoilt == "it is another act":
        aside["record"]["act_id"] = str(uuid.uuid4())
    run.write()
    run.edit_reads("edge_b", lambda read: {**read, "set_aside": [aside]})
    for number in (1, 2):
        read = {"movements": till.movements, "payments": [], "struck": till.struck}
        (run.path / "reads" / str(number) / "s1" / "gateway.json").write_text(json.dumps(read), encoding="utf-8")
    verdict = judge_run(run.path)
    assert {each: subjects(verdict, each) for each in ("given_up", "mischarged")} == {
        each: ({attempt} if each == name else set()) for each in ("given_up", "mischarged")
    }, story
    (found,) = verdict.audit.by_class[name]
    if not spoilt:
        assert f"edge_b set it aside, entry {seq} of epoch 3" in found.evidence
        assert "1 case is given up" in next(check.detail for check in verdict.checks if check.name == "given_up")


def test_money_of_a_payment_that_fell_with_the_only_device_that_had_it_is_given_up(till: Till) -> None:
    till.follow()
    attempt = till.act(Pay(order(till.run, 3), "card", 4_400, 0, "card-1"), level="R1", node_id="n-gone", seq=None)
    till.run.records.pop()
    till.moves(attempt, "capture", 4_400)
    assert subjects(till.judged(), "mischarged") == {attempt}
    till.run.fault(disk_lost_node_ids=["n-gone"])
    found = till.judged().audit.by_class
    assert [finding.place for finding in found["given_up"]] == ["edge", "gateway"]
    assert found["mischarged"] == ()


def test_money_that_was_undone_under_such_an_id_is_not(till: Till) -> None:
    till.moves("other", "capture", 4_400)
    till.moves("other", "reversal", 4_400)
    assert till.judged().verdict == "pass"


@pytest.mark.parametrize(
    ("kind", "minor"), [("capture", 4_400), ("refund", 100), ("reversal", 4_400), ("dispute_lost", 4_400)]
)
def test_what_the_gateway_did_and_the_log_does_not_say_is_mischarged(till: Till, kind: str, minor: int) -> None:
    till.moves(till.movements[0]["attempt_id"], kind, minor)
    assert order(till.run, 0) in subjects(till.judged(), "mischarged")


def test_what_the_log_says_and_the_gateway_never_did_is_mischarged(till: Till) -> None:
    till.movements.pop(0)
    assert subjects(till.judged(), "mischarged") == {order(till.run, 0)}


def test_a_declined_payment_that_was_taken_is_mischarged(till: Till) -> None:
    attempt_id = till.pays(order(till.run, 3), outcome=Step.DECLINE)
    assert till.judged().verdict == "pass"
    till.moves(attempt_id, "capture", 4_400)
    assert subjects(till.judged(), "mischarged") == {order(till.run, 3)}


def test_before_the_store_has_settled_only_what_cannot_be_under_way_counts(till: Till) -> None:
    """A payment is in the log before the gateway hears of it: what it held in the first read must be in the log in the second."""
    attempt_id = till.movements[0]["attempt_id"]
    till.moves(attempt_id, "capture", 4_400)
    till.moves("other", "capture", 4_400)
    till.judged()
    till.run.edit("reads/convergence.json", lambda said: {**said, "reached": False})
    till.moves("new", "capture", 4_400)
    read = {"movements": till.movements, "struck": till.struck}
    till.run.edit("reads/2/s1/gateway.json", lambda _: read)
    verdict = judge_run(till.run.path)
    assert (verdict.verdict, subjects(verdict, "mischarged")) == ("fail", {attempt_id, "other"})


def test_bad_debt_covers_the_check_and_is_told_as_a_loss(till: Till) -> None:
    attempt_id = till.pays(order(till.run, 3), outcome=Step.STORE)
    till.run.records.append((3, till.book.decide(_system(PaymentOutcome(attempt_id, Step.LOSE)), AT_MS)))
    verdict = till.judged()
    assert verdict.verdict == "pass", verdict.cause
    assert verdict.audit.payments["s1"].bad_debt_minor == 4_400
    assert any("the store lost 4400" in note for note in verdict.notes)


def test_a_refund_that_failed_because_a_dispute_had_taken_the_money_charges_nobody_too_much(till: Till) -> None:
    check_id = order(till.run, 3)
    attempt_id = till.pays(check_id)
    till.act(Reopen(check_id, "cold"), "cashier Li")
    refund_id = till.act(GiveRefund(attempt_id, 4_400, "cold"), "cashier Li")
    for line in till.book.check(check_id).lines:
        till.act(Comp(check_id, line.order_id, line.line, line.quantity, "cold"), "manager Li")
    disputed, failed = (
        PaymentOutcome(attempt_id, Step.CHARGE_BACK),
        RefundOutcome(refund_id, "failed", True, "none left"),
    )
    for key, content in ((attempt_id, disputed), (refund_id, failed)):
        own = Act(derived_id(key, content.outcome), "system", content)
        till.run.records.append((3, till.book.decide(own, AT_MS)))
        till.follow()
    till.moves(attempt_id, "dispute_lost", 4_400)
    verdict = till.judged()
    assert subjects(verdict, "mischarged") == set(), verdict.cause
    assert verdict.audit.payments["s1"].charged_back_minor == 4_400
    till.moves(attempt_id, "refund", 100)
    assert subjects(till.judged(), "mischarged") == {check_id}, "more went back than the log says"


def test_a_charge_back_is_a_loss_only_if_the_gateway_lost_the_dispute(till: Till) -> None:
    """The log's word for it is not enough: the store, or somebody in it, may have kept what was captured."""
    attempt_id = till.pays(order(till.run, 3))
    till.run.records.append((3, till.book.decide(_system(PaymentOutcome(attempt_id, Step.CHARGE_BACK)), AT_MS)))
    assert subjects(till.judged(), "mischarged") == {order(till.run, 3)}
    till.moves(attempt_id, "dispute_lost", 1_000)
    verdict = till.judged()
    assert verdict.verdict == "pass", verdict.cause
    assert verdict.audit.payments["s1"].charged_back_minor == 4_400
    till.moves(attempt_id, "refund", 400)
    assert subjects(till.judged(), "mischarged") == {order(till.run, 3)}, "400 more are gone than the log says"


def test_voids_and_comps_are_counted_with_who_and_why(till: Till) -> None:
    check_id = order(till.run, 4)
    void = till.act(Void(check_id, check_id, 0, 1, "cold"), "manager Wang")
    comp = till.act(Comp(check_id, check_id, 1, 1, "late"), "manager Wang")
    till.act(GiveDiscount(order(till.run, 5), "regular", amount_minor=300))
    till.act(Split(order(till.run, 6), ways=3))
    verdict = till.judged()
    assert verdict.verdict == "pass", verdict.cause
    assert (subjects(verdict, "voided"), subjects(verdict, "comped")) == ({void}, {comp})
    (finding,) = verdict.audit.by_class["voided"]
    assert "by manager Wang: cold" in finding.evidence


def test_an_entry_that_the_rules_do_not_allow_is_mischarged(till: Till) -> None:
    till.run.records.append((3, {**till.run.records[-1][1], "act_id": str(uuid.uuid4())}))
    assert f"entry {len(till.run.records)}" in subjects(till.judged(), "mischarged")


def test_an_acknowledged_act_that_is_not_there_is_lost(till: Till) -> None:
    act_id = till.act(CancelPayment(till.pays(order(till.run, 3), outcome=Step.AUTHORIZE), "no"))
    till.run.records.pop()
    till.pays(order(till.run, 7), "cash")
    verdict = till.judged()
    assert subjects(verdict, "lost") == {act_id}
    assert {finding.place for finding in verdict.audit.by_class["lost"]} == {"edge", "cloud"}
    assert verdict.audit.lost_acknowledged == 0, "it is no order"


def test_an_act_that_only_the_store_has_is_lost_at_the_cloud(till: Till) -> None:
    act_id = till.act(GiveDiscount(order(till.run, 5), "regular", amount_minor=300))
    till.pays(order(till.run, 7), "cash")
    till.judged()
    till.run.edit_reads("cloud", lambda cloud: cloud["entries"].pop(-2) and None)
    verdict = judge_run(till.run.path)
    assert [(finding.subject, finding.place) for finding in verdict.audit.by_class["lost"]] == [(act_id, "cloud")]


def test_an_act_that_was_refused_and_is_there_is_unexpected(till: Till) -> None:
    refused = {"outcome": "fail", "status": 409, "level": None, "seq": None}
    act_id = till.act(GiveDiscount(order(till.run, 5), "regular", amount_minor=300), **refused)
    assert subjects(till.judged(), "unexpected") == {act_id}


def test_an_act_that_was_changed_on_its_way_is_altered(till: Till) -> None:
    act_id = till.act(GiveDiscount(order(till.run, 5), "regular", amount_minor=300))
    told: Attempt = till.run.attempts[-1]
    till.run.attempts[-1] = replace(told, body_hash="another")
    assert subjects(till.judged(), "altered") == {act_id}


def test_a_place_in_the_log_told_for_two_acts_is_split(till: Till) -> None:
    till.act(GiveDiscount(order(till.run, 5), "regular", amount_minor=300))
    told: Attempt = till.run.attempts[-1]
    till.run.attempts.append(replace(told, op=told.op + 1, act_id=str(uuid.uuid4())))
    assert f"entry {told.seq}" in subjects(till.judged(), "split")


def test_without_the_gateways_books_nothing_can_be_said(till: Till) -> None:
    till.judged()
    for number in (1, 2):
        (till.run.path / "reads" / str(number) / "s1" / "gateway.json").unlink()
    verdict = judge_run(till.run.path)
    assert verdict.verdict == "unknown"
    assert "s1/gateway" in verdict.cause


def test_payments_under_way_are_not_convergence(till: Till) -> None:
    till.judged()
    for slot in ("edge_a", "edge_b"):
        till.run.edit_reads(slot, lambda edge: edge["status"].update(payments_under_way=2))
    verdict = judge_run(till.run.path)
    assert verdict.verdict == "unknown"
    assert "2 payments are still under way" in verdict.cause


def test_misbehaviour_that_never_struck_makes_the_run_unknown(till: Till) -> None:
    till.struck = {"slow": 0}
    verdict = till.judged()
    assert verdict.verdict == "unknown"
    assert "slow" in verdict.cause


def test_a_run_in_which_nobody_paid_says_nothing_about_payments(run: Any) -> None:
    verdict = Till(run).judged()
    assert verdict.verdict == "unknown"
    assert "none was" in verdict.cause


def test_checks_that_owe_another_sum_than_was_ordered_are_mischarged(till: Till) -> None:
    """The record of a void says another sum than the line that it took from the check was worth."""
    void = till.act(Void(order(till.run, 4), order(till.run, 4), 0, 1, "cold"), "manager Wang")
    epoch, record = till.run.records.pop()
    till.run.records.append((epoch, {**record, "amount_minor": record["amount_minor"] + 100}))
    verdict = till.judged()
    assert subjects(verdict, "mischarged") == {"all checks"}
    assert subjects(verdict, "voided") == {void}


def test_an_order_that_joined_its_tables_check_is_paid_with_it_and_one_of_a_platform_is_not_paid_here(
    run: Any, till: Till
) -> None:
    first = run.order(70)
    joined = run.attempt(80, seq=len(run.records) + 1)
    run.keep(joined, joined_check_id=first)
    till.pays(first, minor=8_800)
    platform = run.cloud_order(90, order_id=platform_order_id("p", 9), channel="delivery", table="p 9")
    verdict = till.judged()
    assert subjects(verdict, "mischarged") == subjects(verdict, "altered") == subjects(verdict, "unexpected") == set()
    assert till.book.check_of_order(joined.order_id).check_id == first
    charge = Act(str(uuid.uuid4()), "waiter Li", Pay(platform, "cash", 4_400, 4_400, attempt_id=str(uuid.uuid4())))
    run.records.append((3, charge.record(AT_MS)))
    (wrong,) = (each for each in till.judged().audit.by_class["mischarged"])
    assert "paid at the platform" in wrong.evidence
