"""What an observer makes of a stack: samples, convergence in words, and whole reads of every place."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest

from chaos.observer import Observer, Sample
from refsystem.stack import Stack

PLACE = {"seq": 9, "hash": "nine"}


def device(slot: str, role: str = "standby", **changes: Any) -> dict[str, Any]:
    members = ["a-1", "b-1"] if role == "primary" else []
    status = {"slot": slot, "role": role, "epoch": 3, "node_id": f"{slot}-1", "members": members, "waiting": 0}
    status |= {"commit_seq": 9, "commit_hash": "nine", "last_seq": 9, "last_hash": "nine", "downlink_cursor": 2}
    return status | changes


class Places:
    """Every place of a store `s1` as one server that says what the test wants; None: it says 500."""

    has_gateway = has_coupons = has_delivery = False

    def __init__(self) -> None:
        self.statuses: dict[str, Any] = {
            "s1.edge_a": device("a", "primary"),
            "s1.edge_b": device("b"),
            "cloud": {"cursor": PLACE, "last_number": 2, "highest_epoch": 3, "alarms": 0},
            "s1.kitchen": {"cursor": PLACE, "tickets": 5, "bumped": 5, "waiting": 0, "highest_epoch": 3},
        }
        self.entries = [{"seq": seq, "epoch": 1, "hash": str(seq), "record": {}} for seq in range(1, 2502)]
        self.orders = [{"order_id": f"{number:06}"} for number in range(2000)]
        self.movements = [{"movement": number, "merchant": f"s{1 + number % 2}"} for number in range(1, 2501)]
        self.slips: list[dict[str, Any]] = []
        self.slow_s = 0.0
        self.broken: set[str] = set()
        self.asked: list[str] = []
        places = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                content = places.answer(self.path)
                time.sleep(places.slow_s)
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.send_response(500 if content is None else 200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def has_printer(self, store: str) -> bool:
        return bool(self.slips)

    def url(self, process: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{process}"

    def operator_headers(self, store: str) -> dict[str, str]:
        return {"Authorization": f"Bearer operator of {store}"}

    def chain_headers(self) -> dict[str, str]:
        return {"Authorization": "Bearer of the chain"}

    def answer(self, path: str) -> Any:
        parts = urlsplit(path)
        _, process, rest = parts.path.split("/", 2)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.asked.append(rest)
        if process in self.broken:
            return None
        if rest.endswith("status"):
            return self.statuses[process]
        if rest == "v1/audit/entries":
            from_seq, limit = int(query["from_seq"]), int(query["limit"])
            return {"entries": self.entries[from_seq - 1 : from_seq - 1 + limit]}
        if rest == "v1/audit/stock":
            return {"told_by": process}
        if rest == "v1/audit/orders":
            later = [order for order in self.orders if order["order_id"] > query.get("after", "")]
            return {"orders": later[: int(query["limit"])]}
        if rest in ("v1/audit/ledger", "v1/audit/payments"):
            name = "movements" if rest.endswith("ledger") else "payments"
            after, limit = int(query["after"]), int(query["limit"])
            page = [row for row in self.movements if row["movement"] > after][:limit]
            return {name: page, "next_after": page[-1]["movement"] if len(page) == limit else None}
        if rest == "v1/audit/paper":
            page = [slip for slip in self.slips if slip["slip"] > int(query["after"])][: int(query["limit"])]
            return {"slips": page, "next_after": page[-1]["slip"] if len(page) == int(query["limit"]) else None}
        if rest == "v1/operator/misbehaviour":
            return {"plan": {}, "struck": {"slow": 3}}
        return {"entries": [], "alarms": [], "tickets": [{"order_id": "1"}], "deliveries": []}

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def places() -> Iterator[Places]:
    made = Places()
    yield made
    made.stop()


Run = Callable[[Callable[[Observer], Awaitable[None]]], None]


@pytest.fixture
def observe(places: Places) -> Run:
    def run(conversation: Callable[[Observer], Awaitable[None]]) -> None:
        async def main() -> None:
            async with Observer(cast(Stack, places)) as observer:
                await conversation(observer)

        asyncio.run(main())

    return run


def test_a_sample_has_what_every_place_says(places: Places, observe: Run) -> None:
    async def conversation(observer: Observer) -> None:
        sample = await observer.sample("s1", 5)
        assert sample.primary_slot == "a"
        assert sample.backlog == 0
        assert sample.differences() == []
        row = sample.row(["a fault"])
        assert set(row) == {"at_us", "store", "edge_a", "edge_b", "cloud", "kitchen", "faults"}
        assert row["edge_a"] == places.statuses["s1.edge_a"]

    observe(conversation)


@pytest.mark.parametrize("said", [None, b"no json", b"[]", b"7", b"null"])
def test_a_place_that_does_not_answer_well_is_none(places: Places, observe: Run, said: Any) -> None:
    places.statuses |= {"s1.edge_b": said, "cloud": said, "s1.kitchen": said}

    async def conversation(observer: Observer) -> None:
        sample = await observer.sample("s1", 5)
        assert (sample.edges["b"], sample.cloud, sample.kitchen, sample.backlog) == (None, None, None, None)
        assert sample.differences() == [
            "the standby does not answer",
            "the cloud does not answer",
            "the kitchen display does not answer",
        ]

    observe(conversation)


def test_a_place_that_is_slow_does_not_hold_a_sample_up(places: Places, observe: Run) -> None:
    places.slow_s = 2.0

    async def conversation(observer: Observer) -> None:
        began_s = time.monotonic()
        sample = await observer.sample("s1", 0.2)
        assert time.monotonic() - began_s < 1.0
        assert (sample.primary, sample.cloud) == (None, None)

    observe(conversation)


def test_of_two_that_say_primary_the_higher_epoch_is_it() -> None:
    edges = {"a": device("a", "primary", epoch=3), "b": device("b", "primary", epoch=4)}
    assert Sample(0, "s1", edges, None, None).primary_slot == "b"
    assert Sample(0, "s1", {"a": None, "b": None}, None, None).primary_slot is None


CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("s1.edge_a", {"role": "fenced"}, "no device is primary"),
    ("s1.edge_a", {"members": ["a-1"]}, "the store has one member only"),
    ("s1.edge_a", {"last_seq": 10}, "the primary has entries that are not committed"),
    ("s1.edge_a", {"waiting": 3}, "3 requests wait"),
    ("s1.edge_a", {"payments_under_way": 2}, "2 payments are under way"),
    ("s1.edge_b", {"commit_seq": 8}, "the standby stands at 8, the primary at 9"),
    ("s1.edge_b", {"commit_hash": "other"}, "the standby stands at 9, the primary at 9"),
    ("cloud", {"cursor": {"seq": 7, "hash": "seven"}}, "the cloud stands at 7, the primary at 9"),
    ("cloud", {"cursor": {"seq": 9, "hash": "other"}}, "the cloud stands at 9, the primary at 9"),
    ("cloud", {"last_number": 4}, "the store took 2 of 4 orders from the cloud"),
    ("s1.kitchen", {"cursor": {"seq": 1, "hash": "one"}}, "the kitchen display stands at 1, the primary at 9"),
    ("s1.kitchen", {"waiting": 2}, "2 tickets are not bumped"),
]


@pytest.mark.parametrize(("place", "change", "words"), CHANGES, ids=[words for _, _, words in CHANGES])
def test_what_stands_in_the_way_of_convergence_is_said(
    places: Places, observe: Run, place: str, change: dict[str, Any], words: str
) -> None:
    places.statuses[place] = places.statuses[place] | change

    async def conversation(observer: Observer) -> None:
        assert (await observer.sample("s1", 5)).differences() == [words]
        assert await observer.wait_converged(["s1"], 0.0) == (False, f"s1: {words}")

    observe(conversation)


def test_convergence_is_awaited(places: Places, observe: Run) -> None:
    whole = places.statuses["s1.edge_b"]
    places.statuses["s1.edge_b"] = whole | {"commit_seq": 8}

    async def conversation(observer: Observer) -> None:
        waiting = asyncio.create_task(observer.wait_converged(["s1"], 10))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
        places.statuses["s1.edge_b"] = whole
        assert await waiting == (True, "all places stand at the primary's entry")

    observe(conversation)


def test_every_place_is_read_whole_however_many_pages(places: Places, observe: Run, tmp_path: Path) -> None:
    observe(lambda observer: observer.read_all(tmp_path, ["s1"]))
    read = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "s1").iterdir()}
    assert set(read) == {"edge_a", "edge_b", "cloud", "kitchen"}
    assert read["edge_a"] == {
        "status": places.statuses["s1.edge_a"],
        "entries": places.entries,
        "set_aside": [],
        "stock": {"told_by": "s1.edge_a"},
    }
    assert read["cloud"]["stock"] == {"told_by": "cloud"}
    assert read["cloud"]["orders"] == places.orders
    assert read["cloud"]["entries"] == places.entries
    assert read["kitchen"]["tickets"] == [{"order_id": "1"}]


def test_the_gateways_books_are_read_page_by_page_for_each_store(places: Places, observe: Run, tmp_path: Path) -> None:
    places.has_gateway = True
    observe(lambda observer: observer.read_all(tmp_path, ["s1"]))
    read = json.loads((tmp_path / "s1" / "gateway.json").read_text())
    assert read["movements"] == [row for row in places.movements if row["merchant"] == "s1"]
    assert read["struck"] == {"slow": 3}


def test_a_printers_paper_is_read_page_by_page_and_waited_for(places: Places, observe: Run, tmp_path: Path) -> None:
    places.slips = [{"slip": number, "lines": []} for number in range(1, 2001)]
    observe(lambda observer: observer.read_all(tmp_path, ["s1"]))
    assert json.loads((tmp_path / "s1" / "printer.json").read_text()) == {"slips": places.slips}
    places.statuses["s1.edge_a"] |= {"slips_waiting": 3, "printer_alarm": "out of paper"}

    async def conversation(observer: Observer) -> None:
        assert (await observer.sample("s1", 5)).differences() == ["3 slips are not printed (out of paper)"]

    observe(conversation)


@pytest.mark.parametrize("wrong", ["500", "no json", "another form"])
def test_a_place_that_cannot_be_read_leaves_a_file_that_says_why_and_the_others_are_read(
    places: Places, observe: Run, tmp_path: Path, wrong: str
) -> None:
    if wrong == "500":
        places.broken = {"cloud"}
    else:
        places.statuses["cloud"] = b"{" if wrong == "no json" else [1]
        places.entries = [] if wrong == "another form" else places.entries
        places.orders = cast(Any, [7]) if wrong == "another form" else places.orders
        if wrong == "another form":
            places.answer = lambda path: [] if "/cloud/" in path else {"entries": [], "tickets": [], "deliveries": []}  # type: ignore[method-assign]
    observe(lambda observer: observer.read_all(tmp_path, ["s1"]))
    read = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "s1").iterdir()}
    assert read["cloud"]["error"].startswith("cloud of s1 could not be read: ")
    assert "\n" not in read["cloud"]["error"].splitlines()[0]
    assert all("error" not in read[name] for name in ("edge_a", "edge_b", "kitchen"))


def test_reading_that_is_cancelled_leaves_nothing_unawaited(places: Places, observe: Run, tmp_path: Path) -> None:
    places.slow_s = 0.5

    async def conversation(observer: Observer) -> None:
        reading = asyncio.create_task(observer.read_all(tmp_path, ["s1"]))
        await asyncio.wait([reading], timeout=0.1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    observe(conversation)  # a coroutine that was never awaited is a warning, and warnings are errors here
