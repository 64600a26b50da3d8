"""Orders that enter at the cloud: P6 and P15."""

from __future__ import annotations

import asyncio
import time
import uuid

from refsystem.access import staff_token, table_token
from refsystem.ordering.errors import PROBLEMS, TYPE_PREFIX
from refsystem.ordering.order import parse_order

ROLES = ("waiter", "kitchen")


def new_id() -> str:
    return str(uuid.uuid4())


def problem(answer) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) - {"item_id"} == {"type", "title", "status", "detail", "definite", "primary_hint"}
    assert body["status"] == answer.status_code
    return body["type"].removeprefix(TYPE_PREFIX)


def test_an_order_is_told_at_level_rc_and_can_be_read(with_cloud):
    async def conversation(cloud):
        key = new_id()
        answer = await cloud.order(key)
        assert answer.status_code == 201
        reply = {"order_id": key, "store": "s1", "level": "RC", "node_id": "cloud", "epoch": None, "seq": None}
        reply |= {"total_minor": 5900, "status": "committed"}
        assert answer.json() == reply
        found = await cloud.get(f"/v1/orders/{key}")
        assert found == reply | {
            "channel": "mini_program",
            "table": "7",
            "items": [{"item_id": "mapo-tofu", "quantity": 2}, {"item_id": "steamed-rice", "quantity": 1}],
            "note": f"rp-{key}",
            "pickup_at_s": 0,
        }
        row = (await cloud.orders())[key]
        assert (row["origin"], row["level_told"], row["outcome"], row["marker"]) == ("cloud", "RC", None, f"rp-{key}")

    with_cloud(conversation)


def test_a_repeated_key_gets_the_same_order_even_when_the_price_would_be_refused_now(with_cloud):
    async def conversation(cloud):
        key = new_id()
        first = await cloud.order(key)
        again = await cloud.order(key)
        assert again.status_code == 201
        assert again.json() == first.json()
        assert again.headers["Idempotency-Replayed"] == "true"
        assert "Idempotency-Replayed" not in first.headers
        assert (await cloud.get("/v1/stores/s1/status"))["last_number"] == 1

    with_cloud(conversation)


def test_an_order_for_a_table_needs_its_token_where_the_cloud_knows_the_stores_secret(with_cloud):
    secret = b"what the stores sign tokens with"
    table, waiter, kitchen = table_token(secret, "s1", "7"), *(staff_token(secret, "s1", "Li", r, 2**33) for r in ROLES)
    sent = new_id()

    async def known(cloud):
        assert (await cloud.order(sent)).status_code == 201, "without a secret it knows nobody"
        assert problem(await cloud.order(new_id(), channel="delivery")) == "not-allowed", (
            "platforms have their own door"
        )

    async def conversation(cloud):
        for token in ("", table_token(secret, "s2", "7")):
            assert problem(await cloud.order(new_id(), token)) == "token-invalid"
        for token in (table_token(secret, "s1", "8"), waiter):
            assert problem(await cloud.order(new_id(), token)) == "not-allowed"
        assert (await cloud.order(new_id(), table)).status_code == 201
        assert (await cloud.order(new_id(), table="")).status_code == 201, "it is collected"
        for token, status in ((table, 403), (kitchen, 403), (waiter, 201)):
            assert (await cloud.order(new_id(), token, channel="waiter")).status_code == status
        assert problem(await cloud.order(new_id(), waiter, channel="delivery")) == "not-allowed"
        assert (await cloud.order(sent)).headers["Idempotency-Replayed"] == "true", "a key that is known is answered"

    with_cloud(known)
    with_cloud(conversation, secret)


def test_a_key_is_looked_up_before_the_price_is_checked(with_cloud):
    async def conversation(cloud):
        key = new_id()
        await cloud.order(key)
        # The total is wrong for the menu, but what decides is that the key is held with another content.
        assert problem(await cloud.order(key, total_minor=1)) == "key-reused"
        assert problem(await cloud.order(key, store="s2")) == "key-reused"

    with_cloud(conversation)


def test_refusals_are_problem_documents_and_leave_no_trace(with_cloud):
    async def conversation(cloud):
        key = new_id()
        assert problem(await cloud.order("not-a-uuid")) == "key-missing"
        assert problem(await cloud.order(key, total_minor=1)) == "price-changed"
        assert problem(await cloud.order(key, items=[{"item_id": "gold", "quantity": 1}])) == "item-unknown"
        assert problem(await cloud.order(key, items=[])) == "order-invalid"
        assert problem(await cloud.order(key, store=None)) == "order-invalid"
        assert problem(await cloud.order(key, note="a\0b")) == "order-invalid"
        assert problem(await cloud.order(key, store="nowhere")) == "store-unknown"
        headers = {"Idempotency-Key": key}
        for body in (b"{", b'"\\ud800"', b"[" * 100_000):
            answer = await cloud.client.post("/v1/orders", content=body, headers=headers)
            assert problem(answer) in ("order-invalid", "request-too-large")
        assert problem(await cloud.client.post("/v1/orders", content=b" " * 70_000, headers=headers)) == (
            "request-too-large"
        )
        assert problem(await cloud.client.get("/v1/orders/7")) == "request-invalid"
        assert await cloud.orders() == {}
        assert (await cloud.get("/v1/stores/s1/status"))["last_number"] == 0

    with_cloud(conversation)


def test_what_the_cloud_does_not_hold_is_never_told_to_be_not_there(with_cloud):
    async def conversation(cloud):
        answer = await cloud.client.get(f"/v1/orders/{new_id()}")
        assert problem(answer) == "not-confirmed"
        assert int(answer.headers["Retry-After"]) >= 1

    with_cloud(conversation)


def test_the_same_key_twenty_times_at_once_makes_one_order(with_cloud):
    async def conversation(cloud):
        for _ in range(5):
            key = new_id()
            answers = await asyncio.gather(*(cloud.order(key) for _ in range(20)))
            assert [answer.status_code for answer in answers] == [201] * 20
            assert len({answer.text for answer in answers}) == 1
            assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
        assert len(await cloud.orders()) == 5
        assert (await cloud.get("/v1/stores/s1/status"))["last_number"] == 5

    with_cloud(conversation)


def test_numbers_have_no_hole_and_become_visible_in_order(with_cloud):
    """P15: a store that polls while 200 orders come at once never sees a number before a lower one."""

    async def conversation(cloud):
        await cloud.set_up("s1", "s2")
        keys = {store: [new_id() for _ in range(200)] for store in ("s1", "s2")}
        seen: list[int] = []
        polls = 0

        async def poll() -> None:
            nonlocal polls
            while len(seen) < 200:
                answer = await cloud.client.get(f"/v1/stores/s1/downlink?after={len(seen)}&limit=50")
                if answer.status_code == 503:
                    await asyncio.sleep(0.02)
                    continue
                page = answer.json()
                polls += 1
                # Whoever takes cursor+1 only must find exactly that, every time.
                assert [order["number"] for order in page["orders"]] == list(
                    range(len(seen) + 1, len(seen) + 1 + len(page["orders"]))
                )
                assert page["last_number"] >= len(seen) + len(page["orders"])
                seen.extend(order["number"] for order in page["orders"])

        async def place(key: str, **changes) -> int:
            """Submit until there is an answer: on a busy machine some wait longer than the cloud lets them."""
            while (answer := await cloud.order(key, **changes)).status_code == 503:
                assert problem(answer) in ("storage-unavailable", "overloaded", "outcome-unknown")
                await asyncio.sleep(0.25)  # who asks again at once, within one loop, leaves no time for an answer
            return answer.status_code

        orders = [place(key, store=store) for store in keys for key in keys[store]]
        # Some orders are refused and some repeated in between: neither may leave a hole.
        orders += [place(new_id(), total_minor=1) for _ in range(20)]
        orders += [place(key, note="other") for key in keys["s1"][:5]]
        async with asyncio.timeout(60):
            statuses, _ = await asyncio.gather(asyncio.gather(*orders), poll())
        assert sorted(set(statuses)) == [201, 409, 422]
        assert statuses.count(201) == 400
        assert seen == list(range(1, 201))
        assert polls > 1
        assert (await cloud.get("/v1/stores/s2/status"))["last_number"] == 200

    with_cloud(conversation)


def test_the_downlink_tells_all_that_a_store_needs(with_cloud):
    async def conversation(cloud):
        keys = [new_id() for _ in range(3)]
        for key in keys:
            await cloud.order(key)
        page = await cloud.get("/v1/stores/s1/downlink", after=1, limit=1)
        assert page["last_number"] == 3
        (order,) = page["orders"]
        assert order | {"body_hash": ""} == {
            "reserved": [],
            "number": 2,
            "order_id": keys[1],
            "check_id": "",
            "channel": "mini_program",
            "table": "7",
            "items": [["mapo-tofu", 2], ["steamed-rice", 1]],
            "total_minor": 5900,
            "note": f"rp-{keys[1]}",
            "pickup_at_s": 0,
            "body_hash": "",
        }
        assert len(order["body_hash"]) == 16
        assert problem(await cloud.client.get("/v1/stores/nowhere/downlink")) == "store-unknown"

    with_cloud(conversation)


def test_a_pre_order_keeps_its_time_on_the_way_to_the_store(with_cloud):
    async def conversation(cloud):
        key, soon_s = new_id(), int(time.time()) + 3600
        answer = await cloud.order(key, pickup_at_s=soon_s)
        assert answer.status_code == 201
        assert (await cloud.get(f"/v1/orders/{key}"))["pickup_at_s"] == soon_s
        (row,) = (await cloud.get("/v1/stores/s1/downlink", after=0, limit=9))["orders"]
        assert row["pickup_at_s"] == soon_s
        items = [{"item_id": item_id, "quantity": quantity} for item_id, quantity in row["items"]]
        order = parse_order(key, row | {"items": items})
        assert (order.body_hash, order.pickup_at_s) == (row["body_hash"], soon_s)
        assert problem(await cloud.order(key, pickup_at_s=soon_s + 60)) == "key-reused", (
            "another time is another content"
        )
        for wrong in ("soon", -1, 1.5, soon_s + 8 * 24 * 3600):
            assert problem(await cloud.order(new_id(), pickup_at_s=wrong)) == "order-invalid"

    with_cloud(conversation)


def test_the_audit_reads_page_by_page(with_cloud):
    async def conversation(cloud):
        keys = sorted(new_id() for _ in range(7))
        await asyncio.gather(*(cloud.order(key) for key in keys))
        found, after = [], None
        while True:
            parameters = {"after": after} if after else {}
            page = await cloud.get("/v1/audit/orders", store="s1", limit=3, **parameters)
            if not page["orders"]:
                break
            found += [row["order_id"] for row in page["orders"]]
            after = found[-1]
        assert found == keys

    with_cloud(conversation)


def test_openapi_tells_the_key_the_body_and_the_problems(with_cloud):
    async def conversation(cloud):
        document = await cloud.get("/openapi.json")
        submit = document["paths"]["/v1/orders"]["post"]
        assert submit["parameters"][0]["name"] == "Idempotency-Key"
        body = submit["requestBody"]["content"]["application/json"]["schema"]
        line = body["properties"]["items"]["items"]["$ref"].removeprefix("#/components/schemas/")
        assert line in document["components"]["schemas"]
        assert {"201", "400", "404", "409", "422", "503"} <= set(submit["responses"])
        for status in ("400", "404", "409", "422", "503"):
            assert "application/problem+json" in submit["responses"][status]["content"]
        told = " ".join(answer["description"] for answer in submit["responses"].values())
        for slug in ("key-missing", "key-reused", "price-changed", "storage-unavailable", "outcome-unknown"):
            assert TYPE_PREFIX + slug in PROBLEMS
            assert slug in told

    with_cloud(conversation)


def test_metrics_count_by_the_pattern_of_a_route(with_cloud):
    async def conversation(cloud):
        key = new_id()
        await cloud.order(key)
        await cloud.get(f"/v1/orders/{key}")
        await cloud.client.get("/nothing/here")
        text = (await cloud.client.get("/metrics")).text
        labels = 'process="cloud",route="/v1/orders/{order_id}",status="200"'
        assert f'rushproof_requests_total{{method="GET",{labels}}} 1.0' in text
        assert 'route="(none)",status="404"' in text
        assert key not in text

    with_cloud(conversation)
