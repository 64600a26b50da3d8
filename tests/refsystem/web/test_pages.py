"""The pages of a whole store in a real browser: an evening, a store that falls silent, two tabs, screens, keyboard, axe."""

from __future__ import annotations

import json
import os
import signal
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import httpx
import pytest
from browser import Browser, Page, find_browser
from serving import Store, choose, click, open_page, picture, press, says, type_into, waiting

from refsystem.ordering.menu_formats import HOTPOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no browser is installed"),
]
SCREENS = ((360, 740), (820, 1180), (1366, 768))
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"), "--format", "hotpot", "--tables", "8", "--restart-after", "8")
    yield store
    assert store.close() == 0


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path)
    yield browser
    browser.close()


def test_an_evening_of_a_table(store, browser):
    """A diner orders, the kitchen cooks, the waiter adds, the till takes cash, the check closes; a kiosk guest pays alone."""
    diner, kitchen, waiter, till = browser, browser.person(), browser.person(), browser.person()
    diner.screen(390, 844)
    open_page(diner, store.told["tables"]["3"])
    choose(diner, "split-base", "tripe", "tripe")
    picture(diner, "diner_menu")
    press(diner, "3")  # the bar below: three pieces
    type_into(diner, "#note", "No coriander, please")
    picture(diner, "diner_order")
    click(diner, "#send")
    diner.wait(says("¥188.00", "#checks"))
    diner.wait(says("In the kitchen"))

    kitchen.screen(1280, 800)
    kitchen.call("Page.navigate", url=store.told["kitchen"])
    kitchen.wait("latest.tickets.length > 0")
    kitchen.wait(says("No coriander, please", "#tickets"))

    waiter.screen(1024, 768)
    open_page(waiter, store.staff("manager"))
    waiter.wait(says("¥188.00", "#tables"))
    picture(waiter, "waiter_tables")
    waiter.run("[...document.querySelectorAll('button.table')].find(b => b.innerText.startsWith('3')).click()")
    press(waiter, "Add", "#checks")
    choose(waiter, "plum-juice")
    click(waiter, "#send")
    waiter.wait(says("¥206.00", "#checks"))
    waiter.wait("document.querySelectorAll('#outbox li').length === 0")
    picture(waiter, "waiter_table")
    # one of two is voided, with a reason
    waiter.run(
        "[...document.querySelectorAll('#checks li')].find(li => li.innerText.includes('tripe')).querySelector('button').click()"
    )
    type_into(waiter, "dialog [name=reason]", "dropped")
    press(waiter, "OK", "dialog")
    waiter.wait(says("¥148.00", "#checks"))

    # the juice goes on a check of its own, and back
    press(waiter, "Split by dishes", "#checks")
    type_into(waiter, "dialog [name=line2]", "1")
    press(waiter, "OK", "dialog")
    waiter.wait("document.querySelectorAll('#checks .check').length === 2")
    assert sorted(check["total_minor"] for check in store.checks("3")) == [1800, 13000]
    press(waiter, "Move table", "#checks .check:last-child")
    waiter.run("document.querySelector('dialog select').value = '8'")
    press(waiter, "OK", "dialog")
    waiter.wait("document.querySelectorAll('#checks .check').length === 1")
    press(waiter, "Merge", "#checks")
    press(waiter, "OK", "dialog")
    waiter.wait(says("¥148.00", "#checks"))

    press(waiter, "Fire a course", "#checks")
    press(waiter, "OK", "dialog")
    kitchen.wait("latest.held.length === 0 && latest.tickets.some(ticket => ticket.station === 'meat')")
    for _ in range(10):  # every course as it is fired
        if kitchen.run("latest.tickets.length + latest.held.length") == 0:
            break
        kitchen.run("[...document.querySelectorAll('#tickets button')].forEach(button => button.click())")
        kitchen.wait("outbox.length === 0")
        kitchen.run("refresh()")
    diner.wait(says("Served", "#orders"))
    diner.wait(says("¥148.00", "#checks"))
    picture(diner, "diner_table")

    till.screen(1366, 768)
    open_page(till, store.staff("cashier"))
    choose(till, "ice-jelly")
    picture(till, "till_order")
    choose(till, "ice-jelly")
    click(till, "#cart_lines button")
    press(till, "Table 3", "#open_checks")
    till.wait(says("¥148.00", "#pay_check"))
    till.wait("!document.querySelector('#cash_notes button').disabled")
    picture(till, "till_pay")
    press(till, "¥150.00", "#cash_notes")
    till.wait("document.body.dataset.view === 'print'")
    assert till.run("document.getElementById('change').textContent") == "Change ¥2.00"
    picture(till, "till_print")
    diner.wait(says("Paid", "#checks"))

    (check,) = (check for check in store.checks("3") if check["status"] != "merged")
    assert check["status"] == "closed"
    assert [(paid["tender"], paid["amount_minor"], paid["state"]) for paid in check["payments"]] == [
        ("cash", 14800, "captured")
    ]
    assert {line["item_id"]: line["quantity"] for line in check["lines"]} == {
        "split-base": 1,
        "tripe": 1,
        "plum-juice": 1,
    }

    # ten of it are given back by a cashier, to be paid in another way: due again, and the till says who else can end that
    press(till, "Payments and refunds")
    press(till, "Refund", "#pay_check")
    type_into(till, "dialog [name=amount]", "10")
    type_into(till, "dialog [name=reason]", "cold")
    press(till, "OK", "dialog")
    till.wait(says("¥10.00 given back", "#pay_check"))
    (check,) = (check for check in store.checks("3") if check["status"] != "merged")
    assert (check["status"], check["due_minor"]) == ("open", 1000)
    till.wait(says("A manager takes a dish off", "#pay_state"))
    # a manager signs in there, gives a discount, and gives a dish back: the check is closed both times, with nothing due
    open_page(till, f"{store.staff('cashier').partition('#')[0]}#{store.staff('manager').partition('#')[2]}")
    press(till, "Discount", "#pay_check")
    type_into(till, "dialog [name=amount]", "10")
    type_into(till, "dialog [name=reason]", "cold")
    press(till, "OK", "dialog")
    till.wait("document.body.dataset.view === 'print'")
    press(till, "Payments and refunds")
    press(till, "Refund", "#pay_check")
    till.run(
        "(() => { const what = document.querySelector('dialog [name=what]');"
        "what.value = [...what.options].find(each => each.text.includes('tripe')).value; })()"
    )
    type_into(till, "dialog [name=reason]", "a hair in it")
    picture(till, "till_refund")
    press(till, "OK", "dialog")
    till.wait(says("¥58.00 given back", "#pay_check"))
    till.wait("!Object.keys(localStorage).some(name => name.includes('.out.'))")
    (check,) = (check for check in store.checks("3") if check["status"] != "merged")
    assert (check["status"], check["due_minor"], check["total_minor"]) == ("closed", 0, 8000)
    assert [(line["item_id"], line["comped"]) for line in check["lines"] if line["comped"]] == [("tripe", 1)]
    open_page(till, store.staff("cashier") + "x")
    till.wait(says("Your token is no longer good", "#banner"))

    kiosk = browser.person()
    kiosk.screen(960, 1100)
    open_page(kiosk, store.told["kiosk"])
    press(kiosk, "Begin")
    choose(kiosk, "tomato-base", "beef-slices")
    picture(kiosk, "kiosk")
    type_into(kiosk, "#note", MARKUP)
    click(kiosk, "#send")
    press(kiosk, "Wallet code", "#pay_choices")
    kiosk.wait("document.body.dataset.view === 'done'", 40)
    kitchen.wait(says(MARKUP, "#tickets"))
    assert kitchen.run("document.querySelectorAll('#tickets img').length") == 0, "what was typed is text"
    (paid,) = store.checks("K1")
    assert (paid["status"], paid["total_minor"], len(paid["payments"])) == ("closed", 11400, 1)


def test_what_the_kitchen_takes_off_the_menu_no_page_offers_and_a_delivery_is_received_by_scan(store, browser):
    diner, kitchen, cellar = browser, browser.person(), browser.person()
    open_page(diner, store.told["tables"]["7"])
    kitchen.call("Page.navigate", url=f"{store.told['kitchen']}?lang=en")
    kitchen.wait("latest !== null")
    press(kitchen, "Sold out", "header")
    kitchen.wait(says("Frozen tofu", "#rows"))
    kitchen.run(
        "[...document.querySelectorAll('#rows li')].find(li => li.innerText.includes('tofu')).querySelector('button').click()"
    )

    cellar.screen(1024, 768)
    open_page(cellar, store.staff("stock"))
    row = "[...document.querySelectorAll('#levels tr')].find(row => row.innerText.includes('Greens'))"
    cellar.wait(f"{row}.innerText.includes('15,000 g')")
    picture(cellar, "stock")
    press(cellar, "Receive")
    barcode = HOTPOT.ingredients_by_id["greens"].barcode.zfill(14)
    type_into(cellar, "#scan", f"(01){barcode}(3103)001500(10)T-77(17)270131")
    press(cellar, "Read", "#scan_form")
    cellar.wait(says("Greens: check", "#scan_said"))
    picture(cellar, "stock_receive")
    press(cellar, "Take in")
    press(cellar, "Levels")
    cellar.wait(f"{row}.innerText.includes('16,500 g')")
    cellar.run(f"{row}.querySelector('button').click()")
    type_into(cellar, "dialog [name=counted]", "16000")
    press(cellar, "OK", "dialog")
    cellar.wait(f"{row}.innerText.includes('16,000 g')")
    taken = "Object.keys(localStorage).filter(name => name.includes('.done.')).map(name => JSON.parse(localStorage[name]).body)"
    assert cellar.run(f"{taken}.find(body => body.act === 'count').known_seq") > 0, "a count says when it was made"

    diner.wait("document.querySelector('[data-item=\"frozen-tofu\"]').classList.contains('sold-out')")
    assert diner.run('document.querySelector(\'[data-item="frozen-tofu"] [data-step="1"]\').disabled')

    # eleven of one thing is asked about, and left
    choose(diner, *["pulled-noodles"] * 11)
    click(diner, "#send")
    diner.wait("document.querySelector('dialog[open]') !== null")
    assert diner.run("document.querySelector('dialog').innerText").startswith("Is this right?")
    press(diner, "Cancel", "dialog")
    diner.wait(says("¥110.00", "#cart_lines"))
    assert store.checks("7") == []


def test_a_typed_order_outlives_a_silent_store_a_reload_and_two_tabs_and_is_sent_once(store, browser):
    """Both devices fall silent. The same cart is sent from two tabs, one of which is loaded again; then the store is back."""
    one = browser
    one.screen(390, 844)
    open_page(one, store.told["tables"]["5"])
    one.run("navigator.serviceWorker.ready.then(() => true)")
    one.wait("navigator.serviceWorker.controller !== null || (location.reload(), false)")
    one.wait("document.documentElement.dataset.ready === 'true'")
    two = browser.tab()
    open_page(two, store.told["tables"]["5"])
    choose(one, "lamb-slices", "ice-jelly")
    two.wait("document.querySelectorAll('#cart_lines li').length === 2")
    order_id = one.run("JSON.parse(localStorage['rushproof.s1.cart.table.5']).order_id")

    store.signal_devices(signal.SIGSTOP)
    try:
        for tab in (one, two):
            tab.run("document.getElementById('send').click()")
        one.call("Page.bringToFront")
        one.wait(f"localStorage['rushproof.s1.out.{order_id}'] !== undefined")
        one.wait(says("cannot be reached", "#banner"), 40)
        picture(one, "diner_offline")
        one.call("Page.reload")
        one.wait("document.documentElement.dataset.ready === 'true'")
        press(one, "My table")
        one.wait(says("Sliced lamb", "#outbox"))
        assert waiting(one) == 1, "one order, under one key"
    finally:
        store.signal_devices(signal.SIGCONT)
    one.wait("!Object.keys(localStorage).some(name => name.includes('.out.'))", 60)
    one.wait(says("¥62.00", "#checks"))
    (check,) = store.checks("5")
    assert {line["order_id"] for line in check["lines"]} == {order_id}, "neither lost nor doubled, with its first key"
    two.call("Page.bringToFront")
    two.wait(says("¥62.00", "#checks"))
    assert two.run("document.querySelectorAll('#cart_lines li').length") == 0


def test_a_guest_with_a_keyboard_orders_and_pays_by_card(store, browser):
    browser.screen(1366, 768)
    open_page(browser, store.told["tables"]["6"])

    def walk_to(found: str) -> None:
        for _ in range(120):
            if browser.run(f"Boolean(document.activeElement && document.activeElement.matches({json.dumps(found)}))"):
                break
            browser.press("Tab")
        else:
            raise AssertionError(f"the keyboard does not reach {found}")
        shown = browser.run("getComputedStyle(document.activeElement).outlineStyle")
        assert shown != "none", "the focus is seen"

    walk_to('[data-item="pulled-noodles"] [data-step="1"]')
    browser.press("Enter")
    browser.press("Space")
    browser.wait(says("¥20.00", "#cart_lines"))
    walk_to("#note")
    walk_to("#send")
    browser.press("Enter")
    browser.wait(says("¥20.00", "#checks"))
    walk_to('[data-focus^="card "]')
    browser.press("Enter")
    browser.wait("document.querySelector('dialog[open]') !== null")
    walk_to("dialog .primary")
    browser.press("Enter")
    browser.wait(says("Paid", "#checks"), 40)
    (check,) = store.checks("6")
    assert [(paid["tender"], paid["state"]) for paid in check["payments"]] == [("card", "captured")]


def test_pages_go_on_at_the_other_device_when_their_own_is_killed(store, browser):
    diner, waiter = browser, browser.person()
    primary, devices = store.primary(), store.told["devices"]
    for page, url in ((diner, store.told["tables"]["4"]), (waiter, store.staff("waiter"))):
        open_page(page, url.replace(devices["a"], devices[primary]))
    choose(diner, "tomato-base")
    os.kill(store.told["processes"][f"s1.edge_{primary}"], signal.SIGKILL)
    click(diner, "#send")
    diner.wait(says("¥58.00", "#checks"), 40)
    with pytest.raises(httpx.ConnectError):  # it was not its own device that took it after all
        store.http.get(devices[primary])
    (check,) = store.checks("4")
    assert [line["quantity"] for line in check["lines"]] == [1]
    waiter.wait(says("One of the store's two devices is missing", "#banner"))
    waiter.wait(says("¥58.00", "#tables"))
    waiter.wait("document.getElementById('banner').hidden", 60)  # it was started again, and has caught up


FAULTS = """
(() => {
  const seen = [...document.querySelectorAll('button, a[href], input, select, textarea')]
    .filter(each => each.checkVisibility() && !each.matches('.skip') && each.getBoundingClientRect().width > 1);
  return { wide: document.documentElement.scrollWidth - innerWidth,
    small: seen.filter(each => each.getBoundingClientRect().height < 43.5 || each.getBoundingClientRect().width < 43.5)
      .map(each => each.outerHTML.slice(0, 100)) };
})()
"""

AXE = """
;axe.run(document, {resultTypes: ['violations']})
  .then(all => all.violations.map(each => [each.id, each.nodes.map(node => node.html.slice(0, 120))]))
"""


def test_every_page_fits_every_screen_and_passes_axe(store, browser):
    """No sideways scrolling, targets for a finger, and no violation that axe-core finds, with something in each page."""
    axe = axe_source()
    pages = {"order": store.told["tables"]["8"], "kiosk": store.told["kiosk"]}
    pages |= {"cashier": store.staff("cashier"), "waiter": store.staff("manager"), "stock": store.staff("stock")}
    found = []
    for name, url in pages.items():
        for lang, screens in (("zh", SCREENS[:1]), ("en", SCREENS)):
            open_page(browser, url, lang)
            if name == "stock":
                browser.wait("document.querySelectorAll('#levels tr').length > 0")
            for (width, height), view in product(screens, views(browser)):
                browser.screen(width, height)
                browser.run(f"document.body.dataset.view = {json.dumps(view)}")
                faults = browser.run(FAULTS)
                if faults["wide"] > 0 or faults["small"]:
                    found.append((name, lang, view, width, faults))
                if lang == "en" and width == 360:
                    found += [(name, view, *broken) for broken in browser.run(axe + AXE)]
            if (name, lang) == ("order", "zh"):
                browser.run("document.body.dataset.view = 'menu'")
                picture(browser, "diner_zh")
    assert not found, "\n".join(map(str, found))


def views(page: Page) -> list[str]:
    """The names of a page's views."""
    found: list[str] = page.run(
        "[...new Set([...document.querySelectorAll('.view')].map(each => each.classList[1].slice(5)))]"
    )
    return found


def axe_source() -> str:
    """axe-core, as the package for development brings it."""
    spec = find_spec("axe_core_python")
    assert spec is not None, "axe-core-python is not installed: pip install -e '.[dev]'"
    assert spec.origin is not None
    return Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")
