"""What a diner's device and an operator see of the two devices of a store, over HTTP."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import jsonschema
import pytest

from refsystem.ordering.menu import DEMO_MENU

PREFIX = "urn:rushproof:problem:"
PROBLEM_FIELDS = {"type", "title", "status", "detail", "definite", "primary_hint"}


def key() -> str:
    return str(uuid.uuid4())


def body(**changes: Any) -> dict[str, Any]:
    return {"channel": "qr", "items": [{"item_id": "steamed-rice", "quantity": 2}], "total_minor": 600, **changes}


def problem(answer: httpx.Response) -> str:
    """The kind of a problem document, which must be complete."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert set(document) - {"item_id"} == PROBLEM_FIELDS
    assert document["status"] == answer.status_code
    assert document["title"]
    assert document["detail"]
    assert ("retry-after" in answer.headers) == (answer.status_code == 503)
    kind: str = document["type"]
    assert kind.startswith(PREFIX)
    return kind.removeprefix(PREFIX)


def test_an_order_is_acknowledged_at_r2_while_both_devices_hold_it(pair: Any) -> None:
    order_id = key()
    answer = pair.post(pair.primary, order_id)
    assert answer.status_code == 201
    told = answer.json()
    status = pair.status(pair.primary)
    assert told == {
        "order_id": order_id,
        "store": "s1",
        "level": "R2",
        "node_id": status["node_id"],
        "epoch": status["epoch"],
        "seq": status["commit_seq"],
        "total_minor": 5900,
        "status": "committed",
    }
    assert "idempotency-replayed" not in answer.headers


def test_a_repeated_order_is_the_same_order_and_says_so(pair: Any) -> None:
    order_id = key()
    first = pair.post(pair.primary, order_id)
    again = pair.post(pair.primary, order_id.upper())
    assert again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"


def test_the_same_key_at_once_from_many_is_one_order(pair: Any) -> None:
    order_id, primary = key(), pair.primary
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: pair.post(primary, order_id), range(24)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["seq"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1


def test_the_same_key_with_another_body_is_refused(pair: Any) -> None:
    order_id, primary = key(), pair.primary
    assert pair.post(primary, order_id).status_code == 201
    last_seq = pair.status(primary)["last_seq"]
    answer = pair.post(primary, order_id, body())
    assert answer.status_code == 422
    assert problem(answer) == "key-reused"
    assert answer.json()["definite"] is True
    assert pair.status(primary)["last_seq"] == last_seq


def test_a_known_key_is_looked_up_before_the_price_is_checked(pair: Any) -> None:
    order_id, primary = key(), pair.primary
    assert pair.post(primary, order_id).status_code == 201
    assert problem(pair.post(primary, order_id, body(total_minor=1))) == "key-reused"


@pytest.mark.parametrize(
    ("sent", "status", "kind"),
    [
        (body(total_minor=599), 409, "price-changed"),
        (body(items=[{"item_id": "caviar", "quantity": 1}]), 422, "item-unknown"),
        (body(items=[]), 422, "order-invalid"),
        (body(items=[{"item_id": "steamed-rice", "quantity": 1}] * 101), 422, "order-invalid"),
        (body(items=[{"item_id": "steamed-rice", "quantity": 0}]), 422, "order-invalid"),
        (body(items=[{"item_id": "steamed-rice", "quantity": True}]), 422, "order-invalid"),
        (body(items=[{"item_id": "steamed-rice", "quantity": 1.5}]), 422, "order-invalid"),
        (body(items=[{"item_id": 7, "quantity": 1}]), 422, "order-invalid"),
        (body(items="steamed-rice"), 422, "order-invalid"),
        (body(channel="carrier pigeon"), 422, "order-invalid"),
        (body(total_minor="600"), 422, "order-invalid"),
        (body(total_minor=-1), 422, "order-invalid"),
        (body(note="x" * 201), 422, "order-invalid"),
        (body(table=["7"]), 422, "order-invalid"),
        ([1, 2], 422, "order-invalid"),
        ("text", 422, "order-invalid"),
    ],
)
def test_a_bad_order_is_a_problem_of_a_stable_kind_and_leaves_no_trace(
    pair: Any, sent: Any, status: int, kind: str
) -> None:
    primary, order_id = pair.primary, key()
    last_seq = pair.status(primary)["last_seq"]
    answer = pair.post(primary, order_id, sent)
    assert (answer.status_code, problem(answer)) == (status, kind)
    assert answer.json()["definite"] is True
    assert answer.json()["primary_hint"] is None
    assert pair.status(primary)["last_seq"] == last_seq


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b'"\\ud800"', b"[" * 60_000])
def test_what_is_no_json_is_a_problem(pair: Any, raw: bytes) -> None:
    url = f"{pair.url(pair.primary)}/v1/orders"
    answer = pair.http.post(url, content=raw, headers={"Idempotency-Key": key()})
    assert (answer.status_code, problem(answer)) == (422, "order-invalid")


@pytest.mark.parametrize("sent", [None, "", "12", "not-a-uuid", "x" * 5000])
def test_an_order_needs_a_key_that_is_a_uuid(pair: Any, sent: str | None) -> None:
    answer = pair.post(pair.primary, sent)
    assert (answer.status_code, problem(answer)) == (400, "key-missing")


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_without_end_is_refused(pair: Any, announced: bool) -> None:
    url, size = f"{pair.url(pair.primary)}/v1/orders", 300_000
    content: Any = b" " * size if announced else iter([b" " * 1000] * (size // 1000))
    answer = pair.http.post(url, content=content, headers={"Idempotency-Key": key()})
    assert (answer.status_code, problem(answer)) == (413, "request-too-large")


def test_an_order_can_be_read_with_its_content(pair: Any) -> None:
    order_id, primary = key(), pair.primary
    told = pair.post(primary, order_id).json()
    found = pair.get(primary, f"/v1/orders/{order_id}")
    assert found.status_code == 200
    assert found.json() == told | {
        "channel": "qr",
        "table": "7",
        "items": [{"item_id": "mapo-tofu", "quantity": 2}, {"item_id": "steamed-rice", "quantity": 1}],
        "note": "no chilli",
        "pickup_at_s": 0,
    }


def test_an_unknown_order_is_a_definite_404(pair: Any) -> None:
    answer = pair.get(pair.primary, f"/v1/orders/{key()}")
    assert (answer.status_code, problem(answer)) == (404, "order-unknown")
    assert answer.json()["primary_hint"] is None
    assert problem(pair.get(pair.primary, "/v1/orders/7")) == "key-missing"


def test_a_standby_says_where_the_primary_is(pair: Any) -> None:
    order_id, primary, standby = key(), pair.primary, pair.standby
    pair.post(primary, order_id)
    for answer in (pair.post(standby, key()), pair.get(standby, f"/v1/orders/{order_id}")):
        assert (answer.status_code, problem(answer)) == (503, "not-primary")
        assert answer.json()["primary_hint"] == pair.url(primary)
        assert answer.json()["definite"] is True
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.slow
def test_absence_is_told_only_when_it_is_confirmed(pair: Any) -> None:
    primary, standby = pair.primary, pair.standby
    pair.processes[standby].pause()
    began_s = time.monotonic()
    answer = pair.get(primary, f"/v1/orders/{key()}")
    assert answer.status_code == 404
    assert time.monotonic() - began_s > 0.5, "nobody can have confirmed it by then"
    assert len(pair.status(primary)["members"]) == 1


@pytest.mark.slow
def test_absence_that_nobody_can_confirm_is_never_a_404(pair: Any) -> None:
    primary, standby = pair.primary, pair.standby
    pair.processes["arbiter"].pause()
    pair.processes[standby].pause()
    answer = pair.get(primary, f"/v1/orders/{key()}")
    assert (answer.status_code, problem(answer)) == (503, "not-confirmed")
    assert answer.json()["definite"] is False


@pytest.mark.slow
def test_an_order_that_cannot_be_committed_is_not_acknowledged_and_later_is_there_once(pair: Any) -> None:
    primary, standby, order_id = pair.primary, pair.standby, key()
    pair.processes["arbiter"].pause()
    pair.processes[standby].pause()
    answer = pair.post(primary, order_id)
    assert (answer.status_code, problem(answer)) == (503, "outcome-unknown")
    assert answer.json()["definite"] is False
    assert answer.json()["primary_hint"] is None
    pair.heal()
    again = pair.order_until_taken(pair.primary, order_id)
    entries = pair.get(pair.primary, "/v1/audit/entries").json()["entries"]
    assert [entry["seq"] for entry in entries if entry["record"].get("order_id") == order_id] == [again["seq"]]


def test_health_readiness_and_menu(pair: Any) -> None:
    primary, standby = pair.primary, pair.standby
    for slot in (primary, standby):
        assert pair.get(slot, "/health").json() == {"status": "ok"}
        told = {"sold_out": [], "portions": {}}
        assert pair.get(slot, "/v1/menu").json() == json.loads(DEMO_MENU.to_json()) | told
    assert (pair.get(primary, "/ready").status_code, pair.get(standby, "/ready").status_code) == (200, 503)


def test_metrics_count_orders_by_level_and_requests_by_route(pair: Any) -> None:
    primary = pair.primary
    pair.post(primary, key())
    pair.get(primary, f"/v1/orders/{key()}")
    metrics = pair.get(primary, "/metrics").text
    assert 'rushproof_orders_total{level="R2"}' in metrics
    assert 'route="/v1/orders/{order_id}",status="404"' in metrics


def test_status_and_committed_entries_agree_on_both_devices(pair: Any) -> None:
    primary, standby = pair.primary, pair.standby
    for _ in range(5):
        pair.post(primary, key())
    place = {name: pair.status(primary)[name] for name in ("commit_seq", "commit_hash", "last_seq", "last_hash")}
    deadline_s = time.monotonic() + 5
    while {name: pair.status(standby)[name] for name in place} != place and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert {name: pair.status(standby)[name] for name in place} == place
    of_primary, of_standby = (pair.get(slot, "/v1/audit/entries").json() for slot in (primary, standby))
    assert of_primary["entries"] == of_standby["entries"]
    assert of_primary["node_id"] != of_standby["node_id"]
    assert [entry["seq"] for entry in of_primary["entries"]] == list(range(1, place["commit_seq"] + 1))
    assert of_primary["entries"][-1]["hash"] == place["commit_hash"]


def test_entries_are_read_in_pages(pair: Any) -> None:
    primary = pair.primary
    for _ in range(3):
        pair.post(primary, key())
    commit_seq = pair.status(primary)["commit_seq"]
    page = pair.get(primary, f"/v1/audit/entries?from_seq={commit_seq - 1}&limit=1").json()["entries"]
    assert [entry["seq"] for entry in page] == [commit_seq - 1]
    assert pair.get(primary, f"/v1/audit/entries?from_seq={commit_seq + 1}").json()["entries"] == []
    for query in ("from_seq=0", "limit=1001", "limit=0", "from_seq=x"):
        answer = pair.get(primary, f"/v1/audit/entries?{query}")
        assert (answer.status_code, problem(answer)) == (422, "request-invalid")
    assert pair.get(primary, "/v1/audit/set-aside").json()["entries"] == []


def test_an_unknown_path_is_a_problem_document(pair: Any) -> None:
    answer = pair.get("a", "/v1/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_openapi_document_resolves_and_describes_every_problem(pair: Any) -> None:
    document = pair.get("a", "/openapi.json").json()
    for place in _references(document):
        node: Any = document
        for part in place.removeprefix("#/").split("/"):
            assert part in node, f"{place} leads nowhere"
            node = node[part]
    submit = document["paths"]["/v1/orders"]["post"]
    assert [parameter["required"] for parameter in submit["parameters"]] == [True]
    told = {201, 400, 401, 403, 409, 413, 422, 503}
    assert {int(status) for status in submit["responses"]} == told
    for kind in ("not-primary", "overloaded", "standby-required", "outcome-unknown"):
        assert PREFIX + kind in submit["responses"]["503"]["description"]
    assert "Retry-After" in submit["responses"]["503"]["headers"]
    assert "Idempotency-Replayed" in submit["responses"]["201"]["headers"]
    read = document["paths"]["/v1/orders/{order_id}"]["get"]["responses"]
    assert PREFIX + "not-confirmed" in read["503"]["description"]


def test_real_answers_are_as_the_openapi_document_says(pair: Any) -> None:
    document = pair.get("a", "/openapi.json").json()
    primary, order_id = pair.primary, key()
    submit = document["paths"]["/v1/orders"]["post"]
    schema = submit["requestBody"]["content"]["application/json"]["schema"]
    _check(document, schema, body())
    with pytest.raises(jsonschema.ValidationError):
        _check(document, schema, body(items=[{"item_id": "steamed-rice", "quantity": 0}]))
    for answer in (
        pair.post(primary, order_id),
        pair.post(primary, key(), body(total_minor=1)),
        pair.post(primary, "no"),
        pair.post(pair.standby, key()),
    ):
        described = submit["responses"][str(answer.status_code)]["content"]
        _check(document, described[answer.headers["content-type"]]["schema"], answer.json())
    found = pair.get(primary, f"/v1/orders/{order_id}")
    described = document["paths"]["/v1/orders/{order_id}"]["get"]["responses"]["200"]["content"]
    _check(document, described["application/json"]["schema"], found.json())


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [place for value in node.values() for place in _references(value)]
    if isinstance(node, list):
        return [place for value in node for place in _references(value)]
    return []


def _check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    jsonschema.validate(value, schema | {"components": document["components"]})
