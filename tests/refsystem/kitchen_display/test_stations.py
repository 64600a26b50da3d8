"""The display of a kitchen with stations: it shows what the rules make of the log; what cooks ask goes back through it."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import apsw
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refsystem.feed_messages import batch_json
from refsystem.kitchen_display.act_box import WAITING_MAX
from refsystem.kitchen_display.app import KitchenSettings, create_app
from refsystem.kitchen_display.shown import Shown
from refsystem.kitchen_display.store import Bump, KitchenStore
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.kitchen import Kitchen
from refsystem.ordering.kitchen_acts import EightySix, Fire, Recall, Restore, Rush
from refsystem.ordering.menu_formats import HOTPOT
from refsystem.ordering.store_acts import StoreAct, bump_again, escalate, fire_in_time, parse_store_act
from refsystem.ordering.store_rules import DEMO_RULES
from refsystem.ordering.ticket import TicketKey
from refsystem.protocol.break_glass import BreakGlass, fork_record
from refsystem.protocol.log import GENESIS, Log, chain, encode_record
from refsystem.protocol.uplink import Accepted, Batch, Forked

RULES = DEMO_RULES["hotpot"].kitchen
MINUTE_US = 60_000_000
ITEMS = {"split-base": 1, "tripe": 2, "ice-jelly": 1}


def uuid(number):
    return str(UUID(int=number))


def order(number, items=None, **changes):
    items = list((items or ITEMS).items())
    record = {
        "kind": "order",
        "order_id": uuid(number),
        "body_hash": "00",
        "table": "4",
        "channel": "qr",
        "note": "",
        "version": 1,
    }
    return record | {"items": [list(item) for item in items], "total_minor": 0, "version": 1} | changes


def bump(number, version, station):
    return {"kind": "bump", "order_id": uuid(number), "version": version, "station": station}


def act(number, content):
    return StoreAct(uuid(number), "Li", content).record(0)


def void(number, line, quantity):
    known = {"act_id": uuid(5000 + 100 * number + line), "body_hash": "00", "who": "Li", "at_ms": 0}
    return {"kind": "act", "act": "void", "order_id": uuid(number), "line": line, "quantity": quantity} | known


def log_of(*records, epoch=1):
    return chain(epoch, GENESIS, [encode_record(record) for record in records])


def batch(log, from_seq, to_seq, epoch=1):
    prev_hash = log[from_seq - 2].hash if from_seq > 1 else ""
    return Batch("s1", epoch, "node-a", from_seq, prev_hash, log[from_seq - 1 : to_seq])


def opened(folder):
    return KitchenStore(folder, kitchen_us=0, synchronous="NORMAL", menu=HOTPOT, rules=RULES)


@pytest.fixture
def store(tmp_path):
    store = opened(tmp_path)
    yield store
    store.close()


def keys(store, station="", now_us=0):
    return [(row["order_id"][-1], row["version"], row["station"]) for row in store.open_tickets(99, station, now_us)]


def test_stations_see_their_own_tickets_and_courses_come_when_their_time_is(store):
    log = log_of(order(1), bump(1, 1, "broth"))
    store.receive(batch(log, 1, 1), now_us=0)
    assert keys(store) == [("1", 1, "broth")]
    assert keys(store, "meat") == []
    ((_, held),) = store.orders.held()
    assert [line.item_id for line in held.held_lines()] == ["tripe", "ice-jelly"]
    store.receive(batch(log, 2, 2), now_us=5)
    assert keys(store, "meat") == [("1", 2, "meat")]
    rows = {(row["version"], row["station"]): row for row in store.audit_tickets(0, 9)}
    assert (rows[1, "broth"]["bumped_at_us"], rows[2, "meat"]["shown_at_us"]) == (5, 5)
    assert rows[2, "meat"]["seq"] == 2, "the entry that fired it backs the ticket"
    assert rows[2, "meat"]["hash"] == log[1].hash


def test_a_void_takes_a_ticket_off_the_display_and_shows_what_is_left(store):
    log = log_of(order(1, {"tripe": 2, "lamb-slices": 1}), void(1, 0, 1))
    store.receive(batch(log, 1, 1), now_us=0)
    assert store.ask_bump(Bump(uuid(1), 1, "meat"), 1) == "pending"
    store.receive(batch(log, 2, 2), now_us=2)
    assert keys(store) == [("1", 2, "meat")]
    (row,) = store.open_tickets(9)
    assert [(line["quantity"], line["cancelled"]) for line in row["detail"]["lines"]] == [(1, 1), (1, 0)]
    assert row["detail"]["replaces"] == 1
    assert store.pending_bumps(10) == [], "the old one is not bumped any more"
    assert store.ask_bump(Bump(uuid(1), 1, "meat"), 3) == "superseded"
    assert (store.counts(), store.waiting()) == ((2, 0, 1), 1)


def test_a_recalled_ticket_is_made_again_by_a_kitchen_that_works_by_itself(tmp_path):
    store = KitchenStore(tmp_path, kitchen_us=100, synchronous="NORMAL", menu=HOTPOT, rules=RULES)
    key = TicketKey(uuid(1), 1, "meat")
    recalls = [act(number, Recall(*key)) for number in (8, 9)]
    again = [bump_again(key, rounds, "kitchen display") for rounds in (1, 2)]
    bumped = bump(1, 1, "meat")
    log = log_of(order(1, {"tripe": 1}), bumped, recalls[0], again[0].record(0), recalls[1], again[1].record(0))
    store.receive(batch(log, 1, 2), now_us=150)
    assert store.pending_acts(400) == [], "it is done"
    store.receive(batch(log, 3, 3), now_us=500)
    assert (store.pending_acts(500), store.pending_acts(599)) == ([], []), (
        "the time counts from the recall, not from the order"
    )
    assert [each["act_id"] for each in store.pending_acts(600)] == [again[0].act_id]
    store.receive(batch(log, 4, 4), now_us=610)
    assert (store.pending_acts(900), store.waiting()) == ([], 0)
    store.receive(batch(log, 5, 5), now_us=900)
    assert store.pending_acts(950) == []
    assert [each["act_id"] for each in store.pending_acts(1_050)] == [again[1].act_id], "each recall has its own time"
    store.receive(batch(log, 6, 6), now_us=1_060)
    assert store.waiting() == 0
    store.close()


def test_a_recalled_ticket_stands_there_again_and_its_second_bump_is_an_act(tmp_path):
    store = opened(tmp_path)
    key = TicketKey(uuid(1), 1, "meat")
    recall = StoreAct(uuid(9), "kitchen display", Recall(*key))
    again = bump_again(key, 1, "kitchen display")
    log = log_of(order(1, {"tripe": 1}), bump(1, 1, "meat"), recall.record(0), again.record(0))
    store.receive(batch(log, 1, 1), now_us=0)
    with pytest.raises(OrderRejected, match="no recall"):
        store.ask_act(recall, 1)
    store.receive(batch(log, 2, 2), now_us=1)
    assert [row["order_id"] for row in store.bumped_tickets(9, "meat")] == [uuid(1)]
    assert store.ask_act(recall, 2).status == "pending"
    assert store.ask_act(recall, 3).status == "pending"
    assert [each["act_id"] for each in store.pending_acts(4)] == [recall.act_id]
    store.close()
    store = opened(tmp_path)
    (sent,) = store.pending_acts(5)
    assert parse_store_act(sent["act_id"], sent["who"], sent["body"]) == recall, "what is sent says the same"
    store.receive(batch(log, 3, 3), now_us=6)
    assert store.ask_act(recall, 6).status == "logged"
    assert keys(store) == [("1", 1, "meat")]
    assert store.ask_bump(Bump(*key), 7) == "pending"
    assert store.pending_bumps(8) == [], "the log would take a second bump for a repeat"
    assert [each["act_id"] for each in store.pending_acts(8)] == [again.act_id]
    store.receive(batch(log, 4, 4), now_us=9)
    assert (keys(store), store.pending_acts(9), store.waiting()) == ([], [], 0)
    store.close()


def test_an_act_that_the_store_refuses_says_why_and_is_not_sent_again(store):
    store.receive(batch(log_of(order(1)), 1, 1), now_us=0)
    fire = StoreAct(uuid(9), "kitchen display", Fire(uuid(1), 2))
    store.ask_act(fire, 1)
    store.acts_refused([(fire.act_id, "fired already")])
    assert store.pending_acts(2) == []
    answer = store.ask_act(fire, 3)
    assert (answer.status, answer.why) == ("refused", "fired already")
    with pytest.raises(OrderRejected, match="used for another"):
        store.ask_act(StoreAct(uuid(9), "kitchen display", Fire(uuid(1), 3)), 4)


def test_no_more_acts_wait_than_there_is_room_for(store):
    store.receive(batch(log_of(order(1)), 1, 1), now_us=0)
    for number in range(WAITING_MAX):
        store.ask_act(StoreAct(uuid(100 + number), "kitchen display", Rush(uuid(1), 1)), 1)
    with pytest.raises(OrderRejected, match="wait for the store"):
        store.ask_act(StoreAct(uuid(99), "kitchen display", Rush(uuid(1), 1)), 1)
    assert len(store.pending_acts(60 * MINUTE_US)) == 50, "what is due waits for room, and the feed goes on"


def test_what_is_due_is_asked_for_once(store):
    rush = act(30, Rush(uuid(1), 0))
    store.receive(batch(log_of(order(1), rush), 1, 1), now_us=0)
    store.receive(batch(log_of(order(1), rush), 2, 2), now_us=5 * MINUTE_US)
    assert store.pending_acts(9 * MINUTE_US) == []
    assert [each["act_id"] for each in store.pending_acts(10 * MINUTE_US)] == [fire_in_time(uuid(1), 2).act_id]
    assert len(store.pending_acts(11 * MINUTE_US)) == 1
    due = store.pending_acts(20 * MINUTE_US)
    assert due[1]["act_id"] == escalate(TicketKey(uuid(1), 1, "broth")).act_id
    told = escalate(TicketKey(uuid(1), 1, "broth"))
    log = log_of(order(1), rush, fire_in_time(uuid(1), 2).record(0), told.record(0))
    store.receive(batch(log, 3, 4), now_us=21 * MINUTE_US)
    assert store.pending_acts(21 * MINUTE_US) == []
    assert [row["escalated"] for row in store.open_tickets(9)] == [True, False]


def test_after_a_reboot_tickets_go_on_to_age(tmp_path):
    """The clock that ages are counted by starts from 0 when a box starts."""
    store = opened(tmp_path)
    log = log_of(order(1), order(2, {"tripe": 1}))
    store.receive(batch(log, 1, 1), now_us=100 * MINUTE_US)
    store.receive(batch(log, 2, 2), now_us=109 * MINUTE_US)
    store.close()
    store = opened(tmp_path)
    store.clock_starts(2 * MINUTE_US)
    assert [(3 * MINUTE_US - row["shown_at_us"]) // MINUTE_US for row in store.open_tickets(9)] == [10, 1]
    assert len(store.pending_acts(2 * MINUTE_US)) == 0
    assert len(store.pending_acts(3 * MINUTE_US)) == 1, "ten minutes in all: the course is due"
    store.clock_starts(200 * MINUTE_US)
    assert len(store.pending_acts(3 * MINUTE_US)) == 1, "a clock that goes on changes nothing"
    store.close()


def test_red_ones_first_then_priority_then_age(store):
    log = log_of(*(order(number, {"tripe": 1}, priority=number % 3) for number in range(1, 5)))
    store.receive(batch(log, 1, 1), now_us=0)
    store.receive(batch(log, 2, 4), now_us=10 * MINUTE_US)
    assert [key[0] for key in keys(store, now_us=14 * MINUTE_US)] == ["2", "1", "4", "3"]
    assert [key[0] for key in keys(store, now_us=15 * MINUTE_US)] == ["1", "2", "4", "3"]


def test_a_pre_order_is_held_until_its_pick_up_is_near_and_says_when_it_is(store, monkeypatch):
    now_s = 1_000_000
    monkeypatch.setattr("refsystem.kitchen_display.store.wall_us", lambda: now_s * 1_000_000)
    monkeypatch.setattr("refsystem.kitchen_display.shown.wall_us", lambda: now_s * 1_000_000)
    ahead = order(1, pickup_at_s=now_s + 3600, channel="mini_program")
    ahead |= Kitchen(HOTPOT, RULES).order_fields(
        [tuple(item) for item in ahead["items"]], "mini_program", ahead["pickup_at_s"]
    )
    assert ahead["fires_at_s"] == now_s + 3600 - RULES.pickup_lead_s
    fire = fire_in_time(uuid(1), 1)
    log = log_of(ahead, fire.record(0))
    store.receive(batch(log, 1, 1), now_us=0)
    assert (keys(store), store.pending_acts(20 * MINUTE_US)) == ([], []), "nothing is made, nor due by its age"
    shown = Shown(HOTPOT, RULES)
    base, dishes, _ = shown.held(store.orders.held(), "", 20 * MINUTE_US)
    assert (base["course"], base["fires_in_s"], base["pickup_at_s"]) == (1, 3000, now_s + 3600)
    assert dishes["fires_in_s"] == 3000 + RULES.at_latest_s(2), "what follows counts from then on"
    now_s += 2999
    assert store.pending_acts(70 * MINUTE_US) == []
    now_s += 1
    assert [each["act_id"] for each in store.pending_acts(70 * MINUTE_US)] == [fire.act_id]
    store.receive(batch(log, 2, 2), now_us=70 * MINUTE_US)
    (ticket,) = store.open_tickets(9)
    assert (ticket["station"], shown.ticket(ticket, 70 * MINUTE_US)["pickup_at_s"]) == ("broth", now_s + 600)


def test_what_a_left_branch_did_to_the_kitchen_is_taken_back(store):
    """P19: fires, voids, recalls and what was sold out go with the branch; what cooks have done is told to the new one."""
    shared = [order(1), order(2, {"tripe": 1}), bump(2, 1, "meat"), act(21, EightySix("tripe"))]
    old = [bump(1, 1, "broth"), act(20, Recall(uuid(2), 1, "meat")), act(22, Restore("tripe")), void(1, 1, 1)]
    trunk = Log(log_of(*shared))
    left, new = Log(trunk.slice(1, 4, 4)), Log(trunk.slice(1, 4, 4))
    left.extend(chain(3, left.last, [encode_record(record) for record in old]))
    word = BreakGlass(("a-1",), "Li", "burnt down")
    fork = encode_record(fork_record(word, 5, trunk.last.hash, "unreachable"))
    new.extend(chain(4, new.last, [fork, encode_record(bump(1, 1, "broth"))]))
    store.ask_act(StoreAct(uuid(22), "kitchen display", EightySix("lamb-slices")), 0)
    store.receive(Batch("s1", 3, "a", 1, "", left.slice(1, 8, 8)), now_us=1)
    assert store.orders.sold_out("tripe") is None
    assert store.pending_acts(1) == []
    assert keys(store) == [("2", 1, "meat"), ("1", 3, "meat")]
    told = Batch("s1", 4, "b", 5, trunk.last.hash, new.slice(5, 5, 5), new.forks_told(len(new)))
    assert isinstance(store.receive(told, now_us=2)[0], Forked)
    assert store.orders.sold_out("tripe") is not None
    assert [each["act_id"] for each in store.pending_acts(2)] == [uuid(22)]
    assert store.pending_bumps(2) == [Bump(uuid(1), 1, "broth")]
    marked = [(row["order_id"][-1], row["version"], row["given_up"]) for row in store.open_tickets(9)]
    assert marked == [("1", 3, True)], "the recall is gone, the fired course is asked about"
    more = Batch("s1", 4, "b", 6, new.cursor(5).hash, new.slice(6, 6, 6), new.forks_told(len(new)))
    assert isinstance(store.receive(more, now_us=3)[0], Accepted)
    marked = [(row["order_id"][-1], row["version"], row["given_up"]) for row in store.open_tickets(9)]
    assert marked == [("1", 2, False), ("1", 3, True)]
    (fired,) = [row for row in store.open_tickets(9) if not row["given_up"]]
    assert fired["items"] == [["tripe", 2]], "as the new branch has it"


def test_a_file_of_an_earlier_version_is_followed_by_its_keys(tmp_path, records):
    store = KitchenStore(tmp_path, kitchen_us=0)
    log = records.log(records.order("a"), records.bump("a"), records.order("b"))
    store.receive(batch(log, 1, 1), 1)
    store.close()
    connection = apsw.Connection(str(tmp_path / "kitchen.sqlite3"))
    for table in ("kitchen_orders", "sold_out", "acts"):
        connection.execute(f"DROP TABLE {table}")
    for column in ("priority", "rounds", "superseded", "escalated", "detail"):
        connection.execute(f"ALTER TABLE tickets DROP COLUMN {column}")
    connection.close()
    store = KitchenStore(tmp_path, kitchen_us=0)
    assert store.open_tickets(9)[0]["items"] == [["mapo-tofu", 2]]
    store.receive(batch(log, 2, 3), 2)
    assert [row["bumped_at_us"] for row in store.audit_tickets(0, 9)] == [2, None]
    store.close()


def evening(seed, length):
    """A log of any evening: orders, bumps of tickets that are there, acts, voids, and repeats of them."""
    draw, kitchen, log = random.Random(seed), Kitchen(HOTPOT, RULES), []
    for seq in range(1, length + 1):
        tickets = [TicketKey(o.order_id, t.version, t.station) for o in kitchen.orders for t in o.tickets]
        orders = [each.order_id for each in kitchen.orders]
        kinds = [order(seq, dict(draw.sample(sorted(ITEMS.items()), draw.randint(1, 3))))]
        if orders:
            check_id = draw.choice(kitchen.orders).check_id
            kinds.append(order(seq, {"tripe": 1}, check_id=check_id))
            kinds.append(void(UUID(draw.choice(orders)).int, draw.randint(0, 2), draw.randint(1, 2)))
            kinds.append(act(1000 + seq, Fire(draw.choice(orders), draw.randint(2, 3))))
            kinds.append({"kind": "act", "act": "transfer", "check_id": check_id, "table": str(draw.randint(1, 9))})
        if tickets:
            key = draw.choice(tickets)
            kinds += [{"kind": "bump", **key._asdict()}] * 3 + [act(2000 + seq, Recall(*key))] * 2
            kinds.append(bump_again(key, draw.randint(0, 2), "x").record(0))
        record = draw.choice(kinds)
        log.append(record)
        kitchen.apply(seq, record)
    return log, kitchen


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from((1, 4, 9, 30)), st.booleans())
def test_however_the_log_comes_the_display_shows_what_the_rules_say(seed, size, restart):
    """Any evening, in batches of any size, repeated in part, with restarts between them."""
    length = 30
    records, kitchen = evening(seed, length)
    log = log_of(*records)
    with TemporaryDirectory() as folder:
        store = opened(Path(folder))
        for first in range(1, length + 1, size):
            store.receive(batch(log, max(1, first - 2), min(length, first + size - 1)), first)
            if restart and first == 1:
                store.close()
                store = opened(Path(folder))
        shown = {TicketKey(row["order_id"], row["version"], row["station"]): row for row in store.open_tickets(999)}
        assert set(shown) == {key for key, _ in kitchen.open_tickets()}
        for key, ticket in kitchen.open_tickets():
            assert shown[key]["table"] == kitchen.order(key.order_id).table
            assert [line["quantity"] for line in shown[key]["detail"]["lines"]] == [
                each.quantity for each in ticket.lines
            ]
        assert {each.order_id: each for _, each in store.orders.held()} == {
            o.order_id: o for o in kitchen.orders if o.held
        }
        seqs = {(o.order_id, t.version, t.station): t.seq for o in kitchen.orders for t in o.tickets}
        audited = {(row["order_id"], row["version"], row["station"]): row["seq"] for row in store.audit_tickets(0, 999)}
        assert audited == seqs, "every ticket was shown once, backed by its entry"
        store.close()


# --- over HTTP -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def display(tmp_path):
    app = create_app(KitchenSettings("s1", tmp_path, menu=HOTPOT, rules=RULES))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://kitchen") as client,
    ):
        yield client


def test_cooks_fire_recall_and_sell_out_over_http(tmp_path):
    async def conversation():
        async with display(tmp_path) as client:
            log = log_of(order(1), act(7, EightySix("tripe", "none left")))
            await client.post("/v1/feed", json=batch_json(batch(log, 1, 1)))
            kitchen = (await client.get("/v1/kitchen")).json()
            assert [station["id"] for station in kitchen["stations"]] == [
                "broth",
                "meat",
                "vegetables",
                "drinks",
                "kitchen",
            ]
            assert [course["name_zh"] for course in kitchen["courses"]] == ["锅底和饮品", "菜品", "主食和甜点"]
            page = (await client.get("/v1/tickets", params={"station": "meat"})).json()
            assert page["tickets"] == []
            (held,) = page["held"]
            assert (held["course"], held["fires"], held["fires_in_s"]) == (2, "after_previous", 600)
            assert held["items"][0]["name_zh"] == "鲜毛肚"
            wanted = {"act": "eighty_six", "item_id": "tripe", "reason": "none left"}
            answer = await client.post("/v1/acts", json=wanted, headers={"Idempotency-Key": uuid(7)})
            assert answer.json() == {"status": "pending", "why": ""}
            fed = (await client.post("/v1/feed", json=batch_json(batch(log, 2, 1)))).json()
            assert fed["acts"] == [{"act_id": uuid(7), "who": "kitchen display", "body": wanted}]
            await client.post("/v1/feed", json=batch_json(batch(log, 2, 2)))
            answer = await client.post("/v1/acts", json=wanted, headers={"Idempotency-Key": uuid(7)})
            assert answer.json()["status"] == "logged"
            items = {item["id"]: item for item in (await client.get("/v1/kitchen")).json()["items"]}
            assert (items["tripe"]["sold_out"], items["tripe"]["reason"]) == (True, "none left")
            fire = {"act": "fire", "order_id": uuid(1), "course": 2}
            await client.post("/v1/acts", json=fire, headers={"Idempotency-Key": uuid(8)})
            assert (await client.get("/v1/tickets")).json()["acts_waiting"] == 1
            refused = [{"act_id": uuid(8), "why": "fired already"}]
            fed = await client.post("/v1/feed", json=batch_json(batch(log, 3, 2)) | {"refused": refused})
            assert fed.json()["acts"] == []
            answer = await client.post("/v1/acts", json=fire, headers={"Idempotency-Key": uuid(8)})
            assert answer.json() == {"status": "refused", "why": "fired already"}

    asyncio.run(conversation())


@pytest.mark.parametrize(
    ("body", "key", "status", "problem"),
    [
        ({"act": "fire", "order_id": uuid(5), "course": 2}, uuid(9), 404, "ticket-unknown"),
        ({"act": "fire", "order_id": uuid(1), "course": 1}, uuid(9), 409, "course-not-held"),
        ({"act": "escalate", "order_id": uuid(1), "version": 1, "station": "broth"}, uuid(9), 422, "act-invalid"),
        ({"act": "eighty_six", "item_id": "pizza"}, uuid(9), 422, "item-unknown"),
        ({"act": "restore", "item_id": "tripe"}, uuid(9), 409, "item-state"),
        ({"act": "recall", "order_id": uuid(1), "version": 1, "station": "broth"}, uuid(9), 409, "ticket-state"),
        ({"act": "fire", "order_id": uuid(1), "course": 2}, "x", 400, "key-missing"),
        ([], uuid(9), 422, "act-invalid"),
    ],
)
def test_what_cooks_cannot_do_is_a_problem(tmp_path, body, key, status, problem):
    async def conversation():
        async with display(tmp_path) as client:
            await client.post("/v1/feed", json=batch_json(batch(log_of(order(1)), 1, 1)))
            answer = await client.post("/v1/acts", json=body, headers={"Idempotency-Key": key})
            assert (answer.status_code, answer.json()["type"]) == (status, f"urn:rushproof:problem:{problem}")
            assert answer.json()["detail"]
            assert (await client.get("/v1/tickets")).json()["acts_waiting"] == 0

    asyncio.run(conversation())
