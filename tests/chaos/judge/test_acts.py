"""Acts in the log: what nobody asked for, and what is not what was asked for. Each test spoils one act of a perfect run."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest

from chaos.judge import judge_run
from chaos.judge.act_contents import content_hash, is_the_stores_own
from chaos.judge.verdict import Verdict
from refsystem.ordering.check_acts import Act, GiveRefund, PartiesOutcome, RefundOutcome, Void, derived_id
from refsystem.ordering.print_acts import SlipDue, printed_record, printing_record
from refsystem.ordering.slip import Job
from refsystem.ordering.stock_acts import Count, GrantRights, Receive, ReturnRights, SettleRights
from refsystem.ordering.stock_rights import balancing_act
from refsystem.ordering.store_acts import StoreAct, bump_again, escalate, fire_in_time, from_downlink
from refsystem.ordering.ticket import TicketKey

AT_MS = 1_700_000_000_000
ORDER = "0192aaaa-0000-7000-8000-000000000001"


class Stores:
    """A run in which ten fish were received, as somebody asked."""

    def __init__(self, run: Any) -> None:
        self.run = run
        self.act = StoreAct(str(uuid.uuid4()), "stock Li", Receive("fish", "opening", 10))
        self.logs(self.act.record(AT_MS))
        asked = run.attempts[0]
        seq = len(run.records)
        changes = {"kind": "act", "act": "receive", "act_id": self.act.act_id, "body_hash": self.act.body_hash}
        told = replace(asked, op=99, order_id="", items=(), marker="", total_minor=0, seq=seq, **changes)
        run.attempts.append(told)

    def logs(self, record: dict[str, Any]) -> None:
        self.run.records.append((3, record))

    def judged(self) -> Verdict:
        return judge_run(self.run.write())


@pytest.fixture
def stores(run: Any) -> Stores:
    return Stores(run)


def subjects(verdict: Verdict, name: str) -> set[str]:
    return {finding.subject for finding in verdict.audit.by_class[name]}


def test_a_count_that_nobody_asked_for_is_unexpected_whoever_the_log_says_it_was(stores: Stores) -> None:
    assert (subjects(stores.judged(), "unexpected"), subjects(stores.judged(), "altered")) == (set(), set())
    made_up = [StoreAct(str(uuid.uuid4()), who, Count("fish", 20)) for who in ("system", "stock Li")]
    for act in made_up:
        stores.logs(act.record(AT_MS))
    verdict = stores.judged()
    assert subjects(verdict, "unexpected") == {act.act_id for act in made_up}
    assert verdict.verdict == "fail"


def test_what_a_lost_history_does_not_tell_of_is_not_unexpected(stores: Stores) -> None:
    stores.logs(StoreAct(str(uuid.uuid4()), "stock Li", Count("fish", 20)).record(AT_MS))
    stores.judged()
    stores.run.edit("metrics/load-load-1.json", lambda load: load | {"process": "load-2"})
    assert subjects(judge_run(stores.run.path), "unexpected") == set()


@pytest.mark.parametrize("hashed_anew", [False, True])
def test_an_act_whose_record_says_another_quantity_is_altered(stores: Stores, hashed_anew: bool) -> None:
    """Ten were received and a thousand are in the log, whether its hash was changed with it or not."""
    epoch, record = stores.run.records[-1]
    body_hash = replace(stores.act, content=Receive("fish", "opening", 1_000)).body_hash
    changed = record | {"quantity": 1_000} | ({"body_hash": body_hash} if hashed_anew else {})
    stores.run.records[-1] = (epoch, changed)
    assert subjects(stores.judged(), "altered") == {stores.act.act_id}


def test_a_record_that_is_no_act_is_altered(stores: Stores) -> None:
    epoch, record = stores.run.records[-1]
    stores.run.records[-1] = (epoch, record | {"quantity": "many"})
    assert subjects(stores.judged(), "altered") == {stores.act.act_id}


def own_acts() -> list[dict[str, Any]]:
    """Acts as a store makes them by itself, by its own rules."""
    payment, refund, key = str(uuid.uuid4()), str(uuid.uuid4()), TicketKey(ORDER, 1, "wok")
    item = type("Item", (), {"ingredient_id": "fish", "changed_seq": 3})()
    return [
        Act(derived_id(payment, "done"), "system", RefundOutcome(payment, "done")).record(AT_MS),
        Act(derived_id(payment, "parties/done"), "system", PartiesOutcome(payment, "done")).record(AT_MS),
        Act(derived_id(payment, "refund"), "system", GiveRefund(payment, 5, "too late", refund)).record(AT_MS),
        Act(derived_id(ORDER, f"cancelled/{ORDER}/0/2"), "platform", Void(ORDER, ORDER, 0, 2, "cancelled", 10)).record(
            AT_MS
        ),
        bump_again(key, 1, "kitchen").record(AT_MS),
        fire_in_time(ORDER, 2).record(AT_MS),
        escalate(key).record(AT_MS),
        from_downlink(ReturnRights("fish", 2, 7)).record(AT_MS),
        from_downlink(SettleRights(8, 4)).record(AT_MS),
        balancing_act(item, GrantRights("fish", 4)).record(AT_MS),
        printing_record(SlipDue(3, Job("ticket/x/1/kitchen", 0)), 2, AT_MS),
        printed_record(SlipDue(3, Job("ticket/x/1/kitchen", 0)), AT_MS),
    ]


@pytest.mark.parametrize("record", own_acts(), ids=lambda record: str(record["act"]))
def test_what_a_store_does_by_itself_is_known_by_its_key(record: dict[str, Any]) -> None:
    assert is_the_stores_own(record, 9)
    assert content_hash(record) == record["body_hash"]
    assert not is_the_stores_own(record | {"act_id": str(uuid.uuid4())}, 9)
