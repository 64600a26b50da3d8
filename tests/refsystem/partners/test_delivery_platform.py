"""The delivery platform: its deadlines and cancellations, its webhooks at least once, and what it does wrong on request."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from refsystem.callback_messages import is_genuine
from refsystem.partners.delivery_platform.rules import TRANSITIONS, OrderState
from refsystem.partners.delivery_platform.settings import WEBHOOK_BACK_OFF_S, Limits
from refsystem.partners.delivery_platform.store import CHAIN, PlatformStore, Wish
from refsystem.partners.outbox import Posting
from refsystem.problems import ProblemError

from .conftest import SECRET, PartnerProcess

WISH = Wish("s1", (("mapo-tofu", 2),), 5_600, "rp-1")
LATE_US = Limits().scaled_us(Limits().accept_within_s)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PlatformStore]:
    made = PlatformStore(tmp_path, "p", Limits())
    yield made
    made.close()


def refused(action: Any) -> str:
    with pytest.raises(ProblemError) as raised:
        action()
    return raised.value.problem.slug


def test_one_key_is_one_order(store: PlatformStore) -> None:
    placed, repeated = store.place("key", WISH, 0)
    assert (placed.state, repeated) == (OrderState.PENDING, False)
    assert store.place("key", WISH, 5) == (placed, True)
    assert refused(lambda: store.place("key", Wish("s1", (("mapo-tofu", 1),), 2_800), 5)) == "key-reused"


def test_an_order_that_nobody_accepts_in_time_is_cancelled_and_accepted_never_again(store: PlatformStore) -> None:
    number = store.place("key", WISH, 0)[0].number
    assert store.order(number, LATE_US - 1).state is OrderState.PENDING
    assert refused(lambda: store.answer(number, True, "id", "", LATE_US)) == "order-cancelled"
    cancelled = store.order(number, LATE_US)
    assert (cancelled.state, cancelled.cancelled_by) == (OrderState.CANCELLED, "deadline")
    told = [row["body"]["event"] for row in store.audit_webhooks(0, 10)]
    assert told == ["placed", "cancelled"]


def test_an_answer_may_come_again_and_not_otherwise(store: PlatformStore) -> None:
    number = store.place("key", WISH, 0)[0].number
    assert store.answer(number, True, "id", "", 1)[1] is False
    assert store.answer(number, True, "id", "", 2)[1] is True
    assert refused(lambda: store.answer(number, False, "id", "", 2)) == "already-decided"
    assert refused(lambda: store.answer(number, True, "another id", "", 2)) == "already-decided"
    assert store.cancel(number, 3).state is OrderState.CANCELLED
    assert store.cancel(number, 4).cancelled_at_us == 3, "cancelling again changes nothing"
    changed = store.changed(0, 10)
    assert [row["state"] for row in changed] == ["cancelled"]
    assert changed[0]["version"] == 3, "every change of an order has a number of its own"


def test_a_state_is_left_only_as_the_table_says(store: PlatformStore) -> None:
    steps = {
        "accept": lambda number: store.answer(number, True, "id", "", 1),
        "reject": lambda number: store.answer(number, False, "id", "", 1),
        "cancel": lambda number: store.cancel(number, 1),
        "expire": lambda _: store.expire_due(LATE_US * 2),
    }
    for first, second in itertools.product(steps, repeat=2):
        number = store.place(f"{first} {second}", WISH, 0)[0].number
        state: Any = OrderState.PENDING
        for step in (first, second):
            try:
                steps[step](number)
            except ProblemError:
                assert (state, step) not in TRANSITIONS
            state = TRANSITIONS.get((state, step), state)  # type: ignore[call-overload]
            assert store.audit_orders(number - 1, 1)[0]["state"] == state, (first, second)


def test_what_is_paused_or_sold_out_is_not_sold_and_an_old_word_changes_nothing(store: PlatformStore) -> None:
    store.put_channel("s1", "path_down: 3 s", 20)
    store.put_channel("s1", "", 19)
    assert refused(lambda: store.place("key", WISH, 0)) == "store-paused"
    store.put_channel("s1", "", 21)
    store.put_stock("s1", ["mapo-tofu"], 1)
    assert refused(lambda: store.place("key", WISH, 0)) == "sold-out"
    assert store.place("key", Wish("s2", WISH.items, 5_600), 0)[0].store == "s2"
    store.put_stock("s1", [], 2)
    assert store.place("another", WISH, 0)[1] is False


def test_a_webhook_that_is_held_goes_out_after_the_next_one(tmp_path: Path) -> None:
    postings = iter((Posting(late_us=1_000, held=True), Posting()))
    store = PlatformStore(tmp_path, "p", Limits(), lambda _: next(postings))
    try:
        store.outbox.put_receiver(CHAIN, "http://chain.example")
        store.place("first", WISH, 0)
        store.place("second", WISH, 0)
        (due,) = store.outbox.due(0, 10)
        assert json.loads(due.body)["order"]["number"] == 2
        store.outbox.note_delivery(due.number, 204, 5)
        assert [each.event_id for each in store.outbox.due(5, 10)] == ["1/placed"]
    finally:
        store.close()


class Platform(PartnerProcess):
    """A platform process whose webhooks go to `url`."""

    def __init__(self, folder: Path, url: str, **environment: str) -> None:
        (folder / "secret").write_bytes(SECRET)
        super().__init__(
            "delivery_platform",
            folder,
            lambda port: {
                "RUSHPROOF_PLATFORM_PORT": str(port),
                "RUSHPROOF_PLATFORM_DATA": str(folder / "data"),
                "RUSHPROOF_PLATFORM_SECRET_FILE": str(folder / "secret"),
                "RUSHPROOF_PLATFORM_WEBHOOK_URL": url,
                "RUSHPROOF_TIME_SCALE": "1000",
                **environment,
            },
        )

    def __enter__(self) -> Platform:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def place(self) -> int:
        body = {"store": "s1", "items": [{"item_id": "mapo-tofu", "quantity": 2}], "total_minor": 5_600}
        answer = self.client.post("/v1/orders", json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["number"])

    def webhooks(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.client.get("/v1/audit/webhooks").json()["webhooks"]
        return rows


@pytest.mark.slow
def test_webhooks_come_again_until_they_are_taken_seven_times_at_most_and_misbehaviour_strikes(
    tmp_path: Path, merchant: Any
) -> None:
    """One process for all of it: starting one is what costs."""

    def until(condition: Any, what: str) -> None:
        deadline_s = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline_s, f"waited in vain: {what}"
            time.sleep(0.01)

    with Platform(tmp_path, merchant.url) as platform:
        merchant.answers = [503, 500]
        platform.place()
        until(lambda: platform.webhooks()[0]["delivered"] == 1, "a webhook that is taken")
        assert [row["tries"] for row in platform.webhooks()] == [3]

        merchant.answers = [503] * 50
        platform.place()
        until(lambda: platform.webhooks()[1]["due_at_us"] is None, "a webhook that is given up")
        assert platform.webhooks()[1]["tries"] == len(WEBHOOK_BACK_OFF_S) + 1 == 7
        assert platform.webhooks()[1]["delivered"] == 0
        until(lambda: all(row["due_at_us"] is None for row in platform.webhooks()), "rest")
        merchant.answers = []
        merchant.received.clear()

        platform.misbehave({"kind": "wrong_signature", "times": 1})
        platform.place()
        until(lambda: any(body["event"] == "placed" for body, _, _ in merchant.received), "a webhook")
        signed = [is_genuine(SECRET, header, raw, int(time.time())) for _, header, raw in merchant.received]
        assert signed[0] is False, "this merchant looks at no signature, and took the wrong one"

        platform.misbehave({"kind": "timeout_after", "ms": 60_000, "operations": ["acceptance"], "times": 1})
        number, said = platform.place(), {"accepted": True, "store_order_id": "id"}
        with pytest.raises(httpx.ReadTimeout):
            platform.client.post(f"/v1/orders/{number}/answer", json=said, timeout=0.3)
        again = platform.client.post(f"/v1/orders/{number}/answer", json=said)
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true"), "it had been executed"

        platform.process.kill()
        platform.start()
        assert platform.client.get(f"/v1/orders/{number}").json()["state"] == "accepted", "it survives its process"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("RUSHPROOF_PLATFORM_WEBHOOK_URL", "cloud", "RUSHPROOF_PLATFORM_WEBHOOK_URL must be http://HOST:PORT"),
        (
            "RUSHPROOF_PLATFORM_MISBEHAVIOUR",
            '{"rules": [{"kind": "sulks"}]}',
            "RUSHPROOF_PLATFORM_MISBEHAVIOUR: rules.0.kind",
        ),
        ("RUSHPROOF_PLATFORM_SECRET_FILE", "", "RUSHPROOF_PLATFORM_SECRET_FILE is missing"),
    ],
)
def test_a_wrong_setting_is_a_sentence(tmp_path: Path, variable: str, value: str, said: str) -> None:
    from refsystem.partners.delivery_platform.settings import PlatformSettings

    (tmp_path / "secret").write_bytes(SECRET)
    settings = {
        "RUSHPROOF_PLATFORM_DATA": str(tmp_path),
        "RUSHPROOF_PLATFORM_SECRET_FILE": str(tmp_path / "secret"),
        "RUSHPROOF_PLATFORM_WEBHOOK_URL": "http://127.0.0.1:1",
        variable: value,
    }
    with pytest.raises(ValueError, match=said):
        PlatformSettings.from_environment(settings)
