"""Who pays goes on until the check is closed: the same key after a lost answer, another tender after a decline."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtests.contract import Answer, ReferenceApi, Reply, Request, classify
from loadtests.ledger import Ledger
from loadtests.paying import Payer
from loadtests.plan import LoadPlan, monotonic_us
from refsystem.access import person_of
from refsystem.ordering.check_acts import Act, Pay, Split, parse_act
from refsystem.ordering.menu import DEMO_MENU
from simulator.diners import Diner, make_timetable
from simulator.history import Attempt, read_history
from simulator.scenario import find_scenario, load_scenario, with_changes

SECRET = b"what the store signs tokens with"
CHECK = "0192aaaa-0000-7000-8000-000000000001"


def diner(**changes: Any) -> Diner:
    scenario = with_changes(load_scenario(find_scenario("calm")), {"payments": {}})
    made = next(diner for diner in make_timetable(scenario, DEMO_MENU, 1) if diner.channel == "qr")
    return replace(made, **{"tender": "wallet_code", "pay_patience_us": 2_000_000, "poll_us": 1_000, **changes})


class Shop:
    """Stands for a device and the store behind it: `says` answers each act; the check is what they make of it."""

    def __init__(self, says: Callable[[dict[str, Any]], str]) -> None:
        self.api = ReferenceApi()
        self.door = "edge"
        self.says = says
        self.payments: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self.looks = 0
        self.owed_minor = 5_900
        self.closed = False

    @property
    def due_minor(self) -> int:
        covered = sum(payment["amount_minor"] for payment in self.payments if payment["state"] == "captured")
        return self.owed_minor - covered

    def ask(self, kind: str, request: Request, rows: Any, intended_at_us: int, deadline_us: int) -> Answer:
        row = rows.invoke(kind, intended_at_us)
        person = person_of(SECRET, "s1", request.headers["Authorization"], 0)
        answer = self._look() if kind == "check" else self._act(request, person.role)
        rows.complete(row, answer)
        return answer

    def _look(self) -> Answer:
        self.looks += 1
        check = {
            "check_id": CHECK,
            "status": "closed" if self.closed or (self.payments and self.due_minor == 0) else "open",
            "due_minor": self.due_minor,
            "payments": self.payments,
        }
        return classify("check", CHECK, Reply(200, {}, json.dumps(check).encode()))

    def _act(self, request: Request, role: str) -> Answer:
        act_id, body = request.headers["Idempotency-Key"], json.loads(request.body)
        parse_act(act_id, role, body)
        self.requests.append((act_id, role, body))
        said = self.says(body)
        if said == "lost":
            return Answer("indefinite", problem="timeout")
        if body["act"] == "close":
            self.closed = True
        elif body["act"] == "cancel_payment":
            self.payments[-1] |= {"state": "reversed", "settled": True}
        elif body["act"] == "accept_payment" and said == "refused":
            return classify("act", act_id, Reply(409, {}, b"{}"))
        elif body["act"] == "accept_payment":  # it is captured when the gateway has been asked again
            self.payments[-1] |= {"state": "captured", "settled": True}
        elif act_id not in {payment["attempt_id"] for payment in self.payments}:
            pending = said in ("unverified", "pending")
            payment = {"attempt_id": act_id, "tender": body["tender"], "amount_minor": body["amount_minor"]}
            self.payments.append({**payment, "state": said, "settled": not pending})
        told = {"act_id": act_id, "level": "R2", "node_id": "a-1", "epoch": 1, "seq": 2}
        return classify("act", act_id, Reply(201, {}, json.dumps(told).encode()))


def paid(tmp_path: Path, shop: Shop, who: Diner, **said: Any) -> tuple[Answer, list[Attempt]]:
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "access").write_bytes(SECRET + b"\n")
    plan = LoadPlan("r1", 7, monotonic_us(), {}, access_secret=str(tmp_path / "access"), **said)
    with Ledger(tmp_path / "history", "locust-0") as ledger:
        answer = Payer(who, plan, shop, ledger, "intent", CHECK).run()  # type: ignore[arg-type]
    return answer, read_history(tmp_path / "history")


def test_a_diner_pays_what_is_due_and_the_history_tells_of_it(tmp_path: Path) -> None:
    shop = Shop(lambda _: "captured")
    answer, history = paid(tmp_path, shop, diner())
    assert (answer.outcome, answer.check and answer.check["status"]) == ("ok", "closed")
    ((act_id, role, body),) = shop.requests
    assert (role, body["tender"], body["amount_minor"]) == ("diner", "wallet_code", 5_900)
    assert [row.kind for row in history] == ["check", "act", "check"]
    act = history[1]
    assert (act.act, act.act_id, act.order_id, act.total_minor, act.outcome) == ("pay", act_id, CHECK, 5_900, "ok")
    assert (act.level, act.seq, act.identity) == ("R2", 2, act_id)


def test_a_payment_whose_answer_is_lost_is_sent_again_under_its_key(tmp_path: Path) -> None:
    said = iter(["lost", "lost", "captured"])
    shop = Shop(lambda _: next(said))
    answer, _ = paid(tmp_path, shop, diner())
    assert answer.outcome == "ok"
    assert len({act_id for act_id, _, _ in shop.requests}) == 1
    assert len({json.dumps(body) for _, _, body in shop.requests}) == 1
    assert len(shop.requests) == 3


def test_what_came_to_nothing_is_paid_with_the_next_tender_and_cash_by_a_waiter(tmp_path: Path) -> None:
    shop = Shop(lambda body: "captured" if body["tender"] == "cash" else "declined")
    answer, _ = paid(tmp_path, shop, diner())
    assert answer.outcome == "ok"
    assert [(role, body["tender"]) for _, role, body in shop.requests] == [
        ("diner", "wallet_code"),
        ("diner", "card"),
        ("waiter", "cash"),
    ]
    assert shop.requests[-1][2]["given_minor"] == 6_000
    assert len({act_id for act_id, _, _ in shop.requests}) == 3


def test_a_code_that_stays_unverified_is_given_up_by_the_cashier(tmp_path: Path) -> None:
    shop = Shop(lambda body: {"wallet_code": "unverified"}.get(body.get("tender", ""), "captured"))
    answer, _ = paid(tmp_path, shop, diner())
    assert answer.outcome == "ok"
    assert [(role, body["act"]) for _, role, body in shop.requests] == [
        ("diner", "pay"),
        ("cashier", "cancel_payment"),
        ("diner", "pay"),
    ]


def test_a_code_that_is_taken_on_trust_is_asked_for_once_and_given_up_where_the_stores_limits_refuse_it(
    tmp_path: Path,
) -> None:
    shop = Shop(lambda body: "unverified" if body["act"] == "pay" else "stored")
    answer, _ = paid(tmp_path / "taken", shop, diner(), accepts_unverified=1.0)
    assert answer.outcome == "ok"
    assert [(role, body["act"]) for _, role, body in shop.requests] == [("diner", "pay"), ("cashier", "accept_payment")]
    said = {"wallet_code": "unverified", "card": "captured"}
    limited = Shop(lambda body: said[body["tender"]] if body["act"] == "pay" else "refused")
    answer, _ = paid(tmp_path / "limited", limited, diner(), accepts_unverified=1.0)
    assert answer.outcome == "ok"
    assert [body["act"] for _, _, body in limited.requests] == ["pay", "accept_payment", "cancel_payment", "pay"]


def test_who_waits_in_vain_leaves_when_patience_ends(tmp_path: Path) -> None:
    shop = Shop(lambda _: "pending")
    answer, _ = paid(tmp_path, shop, diner(pay_patience_us=60_000))
    assert (answer.outcome, answer.problem) == ("fail", "check-not-closed")
    assert len(shop.requests) == 1


def test_at_the_till_the_staff_pay(tmp_path: Path) -> None:
    shop = Shop(lambda _: "captured")
    paid(tmp_path, shop, diner(channel="cashier"))
    assert [role for _, role, _ in shop.requests] == ["waiter"]


def test_rows_without_acts_are_written_as_they_were(tmp_path: Path) -> None:
    shop = Shop(lambda _: "captured")
    paid(tmp_path, shop, diner())
    rows = [json.loads(line) for line in (tmp_path / "history" / "locust-0.jsonl").read_text("utf-8").splitlines()]
    assert {row["kind"]: "act_id" in row for row in rows} == {"check": False, "act": True}


@pytest.mark.parametrize("content", [Pay(CHECK, "cash", 5, 5), Split(CHECK, ((CHECK, 0, 1),)), Split(CHECK, ways=2)])
def test_the_body_of_an_act_is_read_as_it_was_meant(content: Any) -> None:
    act = Act(CHECK, "Li", content)
    body = json.loads(json.dumps(act.request_body()))
    assert parse_act(CHECK, "Li", body) == act


def test_with_two_tenders_half_is_paid_first_and_the_rest_with_the_second(tmp_path: Path) -> None:
    shop = Shop(lambda _: "captured")
    (tmp_path / "access").write_bytes(SECRET)
    plan = LoadPlan("r1", 7, monotonic_us(), {}, access_secret=str(tmp_path / "access"))
    with Ledger(tmp_path / "history", "locust-0") as ledger:
        answer = Payer(diner(), plan, shop, ledger, "intent", CHECK, "cash").run()  # type: ignore[arg-type]
    assert answer.outcome == "ok"
    assert [(role, body["tender"], body["amount_minor"]) for _, role, body in shop.requests] == [
        ("diner", "wallet_code", 2_950),
        ("waiter", "cash", 2_950),
    ]


def test_a_kiosk_is_paid_at_by_the_diner_and_a_check_without_anything_left_is_closed_by_the_staff(
    tmp_path: Path,
) -> None:
    shop = Shop(lambda _: "captured")
    paid(tmp_path / "kiosk", shop, diner(channel="kiosk", table="kiosk 1"))
    assert [role for _, role, _ in shop.requests] == ["diner"]
    empty = Shop(lambda _: "captured")
    empty.owed_minor = 0
    answer, _ = paid(tmp_path / "empty", empty, diner())
    assert answer.outcome == "ok"
    assert [(role, body["act"]) for _, role, body in empty.requests] == [("waiter", "close")]
