"""Orders of a delivery platform: each test spoils one thing in a run in which platform and store agree."""

from __future__ import annotations

import re
from typing import Any

import pytest

from chaos.judge import judge_run
from chaos.judge.verdict import Verdict
from refsystem.ordering.book import Book
from refsystem.ordering.check_acts import Act, Void, derived_id
from refsystem.ordering.menu import DEMO_MENU
from refsystem.platform_messages import platform_order_id, read_platform_order

AT_US = 5_000_500_000


class Deliveries:
    """A run that is being built, with the platform's list; a platform order is accepted and kept, unless it is said otherwise."""

    def __init__(self, run: Any) -> None:
        self.run = run
        self.rows: list[dict[str, Any]] = []
        run.scenario["delivery"] = {"orders_per_s": 1, "misbehaviour": [{"kind": "webhook_twice"}]}
        self.struck = {"webhook_twice": 4}

    def row(self, state: str = "accepted", **changes: Any) -> dict[str, Any]:
        number = len(self.rows) + 1
        answered = state in ("accepted", "rejected")
        row = {
            "number": number,
            "store": "s1",
            "items": [{"item_id": "mapo-tofu", "quantity": 2}],
            "total_minor": 5_600,
            "note": f"rp-built-p{number}",
            "state": state,
            "placed_at_us": AT_US + number,
            "answered_at_us": AT_US + 90_000 if answered else None,
            "store_order_id": platform_order_id("platform", number) if answered else None,
            "cancelled_by": "diner" if state == "cancelled" else None,
            "cancelled_at_us": AT_US + 95_000 if state == "cancelled" else None,
        }
        self.rows.append(row | changes)
        return self.rows[-1]

    def keep(self, row: dict[str, Any]) -> str:
        """The store takes the order of this row."""
        order = read_platform_order("platform", row).order
        attempt = self.run.attempt(
            12 + row["number"],
            order_id=order.order_id,
            marker=order.note,
            channel=order.channel,
            table=order.table,
            items=order.items,
            total_minor=order.total_minor,
            body_hash=order.body_hash,
        )
        self.run.attempts.remove(attempt)  # nobody but the platform knows of it
        self.run.downlink_number += 1
        self.run.keep(attempt, origin="cloud", downlink_number=self.run.downlink_number)
        return order.order_id

    def void(self, order_id: str, who: str = "platform") -> None:
        book = Book(DEMO_MENU)
        for seq, (_, record) in enumerate(self.run.records, start=1):
            book.apply(seq, record)
        check = book.check_of_order(order_id)
        content = Void(check.check_id, order_id, 0, check.lines[0].quantity, "cancelled there")
        act = Act(derived_id(order_id, "cancelled"), who, content)
        self.run.records.append((3, book.decide(act, 1_700_000_000_000)))

    def judge(self) -> Verdict:
        folder = self.run.write()
        for number in (1, 2):
            path = folder / "reads" / str(number) / "s1" / "delivery_platform.json"
            path.write_text("{}", encoding="utf-8")
        read = {"platform": "platform", "orders": self.rows, "struck": self.struck}
        self.run.edit_reads("delivery_platform", lambda _: read)
        return judge_run(folder)


@pytest.fixture
def deliveries(run: Any) -> Deliveries:
    """One order accepted, one cancelled and voided, one rejected."""
    made = Deliveries(run)
    made.keep(made.row())
    made.void(made.keep(made.row("cancelled")))
    made.row("rejected", reason="price-changed")
    return made


def found(verdict: Verdict, name: str) -> list[tuple[str, str]]:
    return [(finding.place, finding.evidence) for finding in verdict.audit.by_class[name]]


def test_platform_and_store_that_agree_pass_and_the_list_counts_as_attempts(deliveries: Deliveries) -> None:
    verdict = deliveries.judge()
    assert verdict.verdict == "pass", verdict.cause
    assert verdict.audit.acknowledged["RC"] == 3, "one of them is the platform's, two came by mini-program"
    assert verdict.audit.count("surfaced") == 1
    assert verdict.audit.count("voided") == 1


def test_an_order_that_was_accepted_and_is_nowhere_is_lost(deliveries: Deliveries) -> None:
    deliveries.row()
    verdict = deliveries.judge()
    assert {place for place, _ in found(verdict, "lost")} == {"edge", "cloud", "kitchen"}
    assert verdict.verdict == "fail"


def test_an_order_that_was_cancelled_and_still_stands_is_unbacked(deliveries: Deliveries) -> None:
    deliveries.keep(deliveries.row("cancelled", cancelled_by="deadline"))
    verdict = deliveries.judge()
    told = "number 4 was cancelled by the deadline, and stands on a check of the store"
    assert found(verdict, "unbacked") == [("platform", told)]
    assert verdict.verdict == "fail"


def test_an_order_that_is_accepted_there_and_voided_as_cancelled_is_lost(deliveries: Deliveries) -> None:
    order_id = deliveries.keep(deliveries.row())
    deliveries.void(order_id)
    assert [place for place, _ in found(deliveries.judge(), "lost")] == ["platform"]


def test_what_the_staff_voids_is_no_loss(deliveries: Deliveries) -> None:
    order_id = deliveries.keep(deliveries.row())
    deliveries.void(order_id, who="manager Wu")
    assert deliveries.judge().verdict == "pass"


def test_an_order_that_was_rejected_and_is_made_is_unexpected(deliveries: Deliveries) -> None:
    deliveries.keep(deliveries.row("rejected", reason="sold-out"))
    assert "nothing was written (sold-out)" in found(deliveries.judge(), "unexpected")[0][1]


def test_an_answer_under_another_id_is_altered(deliveries: Deliveries) -> None:
    deliveries.keep(deliveries.row(store_order_id="another"))
    assert "answered under the id another" in found(deliveries.judge(), "altered")[0][1]


def test_the_same_order_under_a_second_key_is_duplicated(deliveries: Deliveries) -> None:
    deliveries.keep(deliveries.row(note="rp-built-p1"))
    assert deliveries.judge().audit.count("duplicated") == 1


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda made: made.struck.clear(), r"was to misbehave \(webhook_twice\) and never did"),
        (lambda made: made.rows.clear(), "none was accepted"),
        (lambda made: made.rows[0].update(items=[]), "delivery_platform cannot be read whole"),
        (lambda made: made.rows[0].update(number="one"), "delivery_platform"),
    ],
)
def test_what_says_nothing_is_unknown_or_worse(deliveries: Deliveries, spoil: Any, cause: str) -> None:
    spoil(deliveries)
    verdict = deliveries.judge()
    assert verdict.verdict != "pass"
    assert any(re.search(cause, check.detail) for check in verdict.checks), [check.detail for check in verdict.checks]
