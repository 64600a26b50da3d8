"""The pages' modules at their edges, in a real browser: a store that a test plays, and what goes wrong beside it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from bench import PREFIX, Answer, Bench, check, taken
from browser import Browser, Page, find_browser
from serving import choose, click, says

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no browser is installed"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.person()
    page.screen(1366, 768)
    yield page
    page.call("Page.navigate", url="about:blank")


def token(**said: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=") + ".signature"


def opened(page: Page, bench: Bench, name: str, said: dict[str, str]) -> None:
    page.call("Page.navigate", url="about:blank")
    page.call("Page.navigate", url=f"{bench.url}/{name}#{token(**said)}")
    page.wait("document.documentElement.dataset.ready === 'true'")


def kept(page: Page, start: str) -> list[Any]:
    name = json.dumps(PREFIX + start)
    found: list[Any] = page.run(
        f"Object.keys(localStorage).filter(name => name.startsWith({name})).sort().map(name => JSON.parse(localStorage[name]))"
    )
    return found


LI = {"who": "Li", "role": "waiter"}


def test_an_order_goes_to_the_table_that_was_chosen_at_the_tap(bench: Bench, page: Page) -> None:
    """The waiter taps another table, half typed, while the store is asked whether the order is odd."""
    asked, go = threading.Event(), threading.Event()

    def questions(_: dict[str, Any]) -> Answer:
        asked.set()
        go.wait(5)
        return 200, {"questions": []}

    checks = [check("c5", "5", 100), check("c7", "7", 200)]
    bench.answers |= {
        "GET /v1/checks": lambda _: (200, {"checks": checks, "closed": []}),
        "POST /v1/questions": questions,
        "POST /v1/orders": taken,
    }
    opened(page, bench, "waiter", LI)

    def to(table: str) -> None:
        page.run(f"[...document.querySelectorAll('button.table')].find(b => b.innerText.startsWith('{table}')).click()")

    page.wait(says("¥2.00", "#tables"))
    to("7")
    choose(page, "tripe", "tripe")
    to("5")
    choose(page, "ice-jelly")
    click(page, "#send")
    assert asked.wait(5)
    to("7")
    go.set()
    page.wait(f"Object.keys(localStorage).some(name => name.startsWith('{PREFIX}done.'))")
    (order,) = bench.sent("/v1/orders")
    assert (order["body"]["table"], order["body"]["check_id"]) == ("5", "c5")
    assert [line["item_id"] for line in order["body"]["items"]] == ["ice-jelly"]
    (typed,) = kept(page, "cart.waiter.7")
    assert typed["items"] == {"tripe": 2}, "what was half typed stays"
    assert page.run("document.querySelectorAll('#cart_lines li').length") == 1
