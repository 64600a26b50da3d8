"""The cooks' page in a real browser, with a display that is killed and a store that answers by its rules."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from browser import Browser, find_browser

from refsystem.access import staff_token
from refsystem.feed_messages import batch_json
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.kitchen import Kitchen
from refsystem.ordering.menu_formats import HOTPOT
from refsystem.ordering.store_acts import parse_store_act
from refsystem.ordering.store_rules import DEMO_RULES
from refsystem.protocol.log import GENESIS, Entry, chain, encode_record
from refsystem.protocol.uplink import Batch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no browser is installed"),
]
RULES = DEMO_RULES["hotpot"]
SECRET = b"the secret of this store"


class Store:
    """A store's log, and what its primary does with the display's answers."""

    def __init__(self, url: str) -> None:
        self.kitchen = Kitchen(HOTPOT, RULES.kitchen)
        self.log: list[Entry] = []
        self.client = httpx.Client(base_url=url, timeout=10, trust_env=False)
        self.refused: list[dict[str, str]] = []

    def append(self, record: dict[str, Any]) -> None:
        self.log += chain(1, self.log[-1].cursor if self.log else GENESIS, [encode_record(record)])
        self.kitchen.apply(len(self.log), record)

    def order(self, number: int, items: dict[str, int], **changes: Any) -> str:
        order_id = str(UUID(int=number))
        record = {
            "kind": "order",
            "order_id": order_id,
            "table": str(number),
            "channel": "qr",
            "note": "",
            "version": 1,
        }
        fields = self.kitchen.order_fields(items.items(), "qr")
        self.append(record | {"items": [list(item) for item in items.items()]} | fields | changes)
        return order_id

    def feed(self) -> None:
        """Send what is new, and log what the cooks want."""
        for _ in range(3):
            at = self.client.post("/v1/feed", json=batch_json(Batch("s1", 1, "a", 1, "", ()))).json()["cursor"]["seq"]
            previous = self.log[at - 1].hash if at else ""
            batch = batch_json(Batch("s1", 1, "a", at + 1, previous, tuple(self.log[at:])))
            reply = self.client.post("/v1/feed", json=batch | {"refused": self.refused}).json()
            self.refused = []
            for bump in reply["bumps"]:
                self.append({"kind": "bump", **bump})
            for act in reply["acts"]:
                wanted = parse_store_act(act["act_id"], act["who"], act["body"])
                try:
                    self.append(self.kitchen.decide(wanted, 0))
                except OrderRejected as refusal:
                    self.refused.append({"act_id": wanted.act_id, "why": refusal.detail})


class Display:
    """The display's process on a port that stays its own."""

    def __init__(self, folder: Path) -> None:
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reservation.bind(("127.0.0.1", 0))
        port = self._reservation.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.page = f"{self.url}/#{staff_token(SECRET, 's1', 'Ma', 'kitchen', 2**40)}"
        menu, rules, secret = folder / "menu.json", folder / "rules.json", folder / "secret"
        secret.write_bytes(SECRET)
        menu.write_text(HOTPOT.to_json(), encoding="utf-8")
        rules.write_text(json.dumps(asdict(RULES)), encoding="utf-8")
        self._environment = {
            **os.environ,
            "RUSHPROOF_KITCHEN_PORT": str(port),
            "RUSHPROOF_KITCHEN_DATA": str(folder / "data"),
            "RUSHPROOF_KITCHEN_STORE": "s1",
            "RUSHPROOF_MENU": str(menu),
            "RUSHPROOF_STORE_RULES": str(rules),
            "RUSHPROOF_ACCESS_SECRET_FILE": str(secret),
        }
        self._log = (folder / "display.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "refsystem.kitchen_display"]
        self._process = subprocess.Popen(command, env=self._environment, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + 30
        while True:
            try:
                if httpx.get(f"{self.url}/ready", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self._process.poll() is None, "the display ended at its start"
            assert time.monotonic() < deadline, "the display did not get ready"
            time.sleep(0.05)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self._log.close()
        self._reservation.close()


@pytest.fixture
def display(tmp_path):
    display = Display(tmp_path)
    try:
        display.start()
        yield display
    finally:
        display.close()


@pytest.fixture
def store(display):
    store = Store(display.url)
    yield store
    store.client.close()


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path)
    yield browser
    browser.close()


def cards(browser: Browser) -> list[str]:
    """The text of each card, on one line."""
    found: list[str] = browser.run(
        "[...document.querySelectorAll('#tickets > li')].map(li => li.innerText.replace(/\\s+/g, ' '))"
    )
    return found


def press(browser: Browser, text: str, within: str = "body") -> None:
    browser.run(
        f"[...document.querySelector('{within}').querySelectorAll('button')].find(b => b.textContent === '{text}').click()"
    )


def press_on(browser: Browser, text: str, rows: str) -> None:
    """Press the button of the row or card that says `text`."""
    found = f"[...document.querySelectorAll('{rows}')].find(row => row.innerText.includes('{text}'))"
    browser.run(f"{found}.querySelector('button').click()")


def settle(browser: Browser, store: Store) -> None:
    """Let the store take what was tapped, however long the browser needs to send it."""
    deadline = time.monotonic() + 30
    while browser.run("outbox.length"):
        store.feed()
        assert time.monotonic() < deadline, browser.run("JSON.stringify(outbox)")


def has(text: str, within: str = "#tickets") -> str:
    return f"document.querySelector('{within}').innerText.includes('{text}')"


def picture(browser: Browser, name: str) -> None:
    folder = os.environ.get("RUSHPROOF_SCREENSHOTS")
    if folder:
        shot = browser.call("Page.captureScreenshot")["data"]
        (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(shot))


def test_an_evening_in_the_kitchen(display, store, browser):
    """Courses, a void, a recall, sold out, two languages, a phone; a reload and a killed display forget no tap."""
    first = store.order(1, {"split-base": 1, "tripe": 2, "crown-daisy": 1}, note="no coriander")
    store.order(2, {"plum-juice": 2, "tripe": 1}, priority=3)
    store.feed()
    browser.screen(1280, 800)
    browser.call("Page.navigate", url=display.page)
    browser.wait(has("Two broths"))
    if browser.run("document.documentElement.lang") != "en":
        press(browser, "English")
    browser.wait("document.title === 'Kitchen · 厨房' && document.documentElement.lang === 'en'")
    browser.wait(has("Later, Dishes"))
    assert "Table 2" in cards(browser)[0], "the rush stands first"
    assert "Rush" in cards(browser)[0]
    picture(browser, "kitchen")

    # A course is fired by hand, and a void shows what is left.
    browser.run("[...document.querySelectorAll('li.held button')][0].click()")
    settle(browser, store)
    browser.wait("latest.tickets.some(ticket => ticket.station === 'meat' && ticket.version === 2)")
    store.append({"kind": "act", "act": "void", "order_id": first, "line": 1, "quantity": 1})
    store.feed()
    browser.wait(has("Changed."))
    assert browser.run("document.querySelector('#tickets s').textContent") == "Beef tripe"

    # A tap while the display is away is kept over a reload, and sent when it is back.
    display.kill()
    browser.wait("!document.querySelector('#trouble').hidden")
    press_on(browser, "Two broths", "#tickets > li")
    browser.wait("JSON.parse(localStorage['kitchen.outbox']).length === 1")
    display.start()
    browser.call("Page.reload")
    browser.wait("typeof outbox !== 'undefined' && outbox.length === 0")
    browser.wait("latest && !" + has("Two broths"))
    store.feed()
    assert store.kitchen.order(first).tickets[0].state == "bumped"

    # What was done is recalled; what is sold out is sold out in the store.
    press(browser, "Recall", "header")
    browser.wait(has("Two broths", "#rows"))
    browser.run("document.querySelector('#rows button').click()")
    settle(browser, store)
    browser.wait(has("Recalled"))
    press(browser, "Close", "dialog")
    press(browser, "Sold out", "header")
    browser.wait(has("Shrimp paste", "#rows"))
    press_on(browser, "Shrimp", "#rows > li")
    settle(browser, store)
    browser.wait(has("Back again", "#rows"))
    picture(browser, "kitchen_sold_out")
    assert [each.item_id for each in store.kitchen.all_sold_out] == ["shrimp-paste"]
    press(browser, "Close", "dialog")

    # One station, on a phone, in Chinese.
    browser.screen(375, 700)
    browser.run("(() => { const s = byId('station'); s.value = 'meat'; s.dispatchEvent(new Event('change')); })()")
    press(browser, "中文", "header")
    browser.wait(has("鲜毛肚"))
    browser.wait("!" + has("鸳鸯锅底"))
    assert browser.run("document.documentElement.scrollWidth") <= 375, "nothing is cut off"
    small = browser.run(
        "[...document.querySelectorAll('button, select')].filter(b => b.offsetHeight && b.offsetHeight < 44).length"
    )
    assert small == 0, "everything can be hit by a finger"
    picture(browser, "kitchen_phone")


def test_a_new_ticket_rings_once_and_a_reload_rings_for_nothing_that_was_there(display, store, browser):
    store.order(1, {"spicy-base": 1})
    store.feed()
    browser.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="window.tones = []; const was = OscillatorNode.prototype.start;"
        "OscillatorNode.prototype.start = function (at) { tones.push(this.frequency.value); return was.call(this, at); };",
    )
    browser.call("Page.navigate", url=display.page)
    browser.wait(has("Spicy") + " || " + has("麻辣"))
    browser.run("startSound()")
    browser.wait("audio && audio.state === 'running'")
    assert browser.run("tones.length") == 0, "what was there at the start rings for nobody"
    store.order(2, {"tomato-base": 1})
    store.feed()
    browser.wait("tones.length === 2")
    browser.call("Page.reload")
    browser.wait("typeof latest !== 'undefined' && latest !== null && latest.tickets.length === 2")
    browser.run("startSound()")
    browser.wait("audio && audio.state === 'running'")
    browser.run("refresh()")
    assert browser.run("tones.length") == 0
    browser.run("byId('sound').click()")
    assert browser.run("sound") is False
    store.order(3, {"tomato-base": 1})
    store.feed()
    browser.wait("latest.tickets.length === 3")
    assert browser.run("tones.length") == 0, "switched off"


def test_what_the_store_does_not_take_is_said(display, store, browser):
    first = store.order(1, {"split-base": 1, "tripe": 1})
    store.feed()
    browser.call("Page.navigate", url=display.url)
    browser.wait("latest && latest.held.length === 1")
    store.append(
        store.kitchen.decide(
            parse_store_act(str(UUID(int=99)), "Li", {"act": "fire", "order_id": first, "course": 2}), 0
        )
    )
    browser.run("document.querySelector('li.held button').click()")
    browser.wait("!byId('trouble').hidden")
    assert browser.run("byId('trouble').innerText === WORDS[language].unknown && outbox.length") == 1, (
        "kept until a cook is here"
    )
    assert store.client.post("/v1/acts", json={}).status_code == 401
    browser.call("Page.navigate", url="about:blank")
    browser.call("Page.navigate", url=display.page)
    browser.wait("typeof token !== 'undefined' && token && !location.hash")
    settle(browser, store)
    browser.wait("!byId('message').hidden")
    assert "Dishes). The course was fired already" in browser.run("byId('message').innerText")
    assert browser.run("outbox.length") == 0
    assert len(store.kitchen.order(first).tickets) == 2
    press(browser, "Rush", "#tickets")
    settle(browser, store)
    assert store.kitchen.order(first).priority == 9
    browser.wait("latest.tickets.length && latest.tickets.every(ticket => ticket.priority === 9)")
    browser.wait("![...document.querySelectorAll('#tickets button')].some(b => b.textContent === 'Rush')")
    assert browser.run("document.querySelector('#tickets .mark').innerText") == "Rush"
