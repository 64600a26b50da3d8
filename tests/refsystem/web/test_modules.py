"""The pages' modules at their edges, in a real browser: a store that a test plays, and what goes wrong beside it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from bench import PREFIX, Answer, Bench, check, problem, taken
from browser import Browser, Page, find_browser
from serving import choose, click, press, says, type_into

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

    # of two checks of the table the dishes go on the one whose Add was tapped, and without a tap it is asked
    checks.append(check("c7-two", "7", 300))
    press(page, "Table 7", "nav")
    page.wait("document.querySelectorAll('#checks .check').length === 2")
    press(page, "Add", "#checks [data-check=c7-two]")
    page.wait(says("-TWO", "#adding_to"))
    click(page, "#send")
    page.wait(f"Object.keys(localStorage).filter(name => name.startsWith('{PREFIX}done.')).length === 2")
    assert bench.sent("/v1/orders")[-1]["body"]["check_id"] == "c7-two"
    choose(page, "plum-juice")
    click(page, "#send")
    page.wait(says("On which check?", "dialog"))
    page.run("document.querySelector('dialog select').value = 'c7'")
    press(page, "Send order", "dialog")
    page.wait(f"Object.keys(localStorage).filter(name => name.startsWith('{PREFIX}done.')).length === 3")
    assert [each["body"]["check_id"] for each in bench.sent("/v1/orders")] == ["c5", "c7-two", "c7"]


def later(page: Page, minutes: float) -> None:
    """Let time pass for a page."""
    page.run(f"(() => {{ const now = Date.now; Date.now = () => now() + {minutes * 60_000}; }})()")


DUE = f"""Object.keys(localStorage).filter(name => name.startsWith('{PREFIX}out.')).forEach(name =>
  {{ localStorage[name] = JSON.stringify({{...JSON.parse(localStorage[name]), next_ms: 0}}); }})"""


def test_a_refused_token_is_no_answer_to_an_order_that_may_have_been_taken(bench: Bench, page: Page) -> None:
    """The order was taken, its answer was lost, the shift has ended. It waits, and goes by the same person's next token."""
    checks = [check("c5", "5", 100)]
    bench.answers |= {
        "GET /v1/checks": lambda _: (200, {"checks": checks, "closed": []}),
        "POST /v1/questions": lambda _: (200, {"questions": []}),
        "POST /v1/orders": lambda _: (503, {"type": "x:outcome-unknown"}),
    }
    opened(page, bench, "waiter", LI)
    page.wait(says("¥1.00", "#tables"))
    page.run("[...document.querySelectorAll('button.table')].find(b => b.innerText.startsWith('5')).click()")
    choose(page, "ice-jelly")
    click(page, "#send")
    page.wait("document.querySelectorAll('#outbox li').length === 1")
    bench.answers["POST /v1/orders"] = lambda _: (401, problem("token-invalid"))
    page.run(DUE)
    page.wait(says("when waiter Li has signed in again", "#outbox"))
    assert [(made["state"], made["problem"]) for made in kept(page, "out.")] == [("waiting", "token-invalid")]

    bench.answers["POST /v1/orders"] = taken
    opened(page, bench, "waiter", {**LI, "until_s": "9"})
    page.run(DUE)
    page.wait(f"Object.keys(localStorage).some(name => name.startsWith('{PREFIX}done.'))")
    sent = bench.sent("/v1/orders")
    assert len({order["key"] for order in sent}) == 1
    assert (sent[0]["token"], sent[-1]["token"]) == (token(**LI), token(**LI, until_s="9"))


def test_what_is_settled_is_settled_without_room_to_remember_it(bench: Bench, page: Page) -> None:
    """The storage is full: the answer is known as long as the page is open, and nothing is sent for ever."""
    bench.answers |= {"POST /v1/questions": lambda _: (200, {"questions": []}), "POST /v1/orders": taken}
    bench.answers["POST /v1/acts"] = lambda _: (409, problem("check-closed"))
    opened(page, bench, "order", {"table": "5"})
    full = f"""(async () => {{
      const set = Storage.prototype.setItem;
      Storage.prototype.setItem = function (name, text) {{
        if (name.startsWith('{PREFIX}done.') || text.includes('"refused"')) throw new DOMException('full', 'QuotaExceededError');
        return set.call(this, name, text);
      }};
      const {{ keep, act, entry }} = await import('/web/outbox.js'), id = crypto.randomUUID();
      const body = {{ channel: 'qr', table: '5', items: [{{ item_id: 'tripe', quantity: 1 }}], total_minor: 1, note: '' }};
      keep('order', id, body);
      for (let turn = 0; turn < 100 && entry(id)?.state !== 'done'; turn++) await new Promise(go => setTimeout(go, 50));
      const never = new Promise(go => setTimeout(go, 9000, 'never'));
      const why = await Promise.race([act({{ act: 'close', check_id: 'x' }}).catch(no => no.message), never]);
      return [entry(id)?.state, entry(id)?.answer?.status, why];
    }})()"""
    assert page.run(full) == ["done", "committed", "it is check-closed"]
    assert kept(page, "out.") == []
    assert (len(bench.sent("/v1/orders")), len(bench.sent("/v1/acts"))) == (1, 1)


def test_a_refused_order_is_taken_back_with_its_note_into_a_cart_that_is_not_empty(bench: Bench, page: Page) -> None:
    bench.answers |= {
        "POST /v1/questions": lambda _: (200, {"questions": []}),
        "POST /v1/orders": lambda _: (409, problem("item-sold-out")),
    }
    opened(page, bench, "order", {"table": "5"})
    choose(page, "tripe")
    type_into(page, "#note", "PEANUT ALLERGY")
    click(page, "#send")
    page.wait(says("Not taken", "#outbox"))
    press(page, "Menu")
    choose(page, "tripe", "ice-jelly")
    type_into(page, "#note", "no ice")
    press(page, "My table")
    # more than an order holds: nothing changes, and the card stays
    many = f"localStorage['{PREFIX}cart.table.5']"
    page.run(f"window.typed = {many}; {many} = JSON.stringify({{...JSON.parse(typed), items: {{tripe: 999}}}})")
    press(page, "Change it", "#outbox")
    page.wait(says("more than fits in one order", "#banner"))
    assert [made["state"] for made in kept(page, "out.")] == ["refused"]
    page.run(f"{many} = typed")
    # without room the card stays
    page.run(
        "(() => { const was = Storage.prototype.setItem; window.room = () => { Storage.prototype.setItem = was; };"
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }; })()"
    )
    press(page, "Change it", "#outbox")
    assert [made["state"] for made in kept(page, "out.")] == ["refused"]
    page.run("window.room()")
    press(page, "Change it", "#outbox")
    (cart,) = kept(page, "cart.table.5")
    assert cart["items"] == {"tripe": 2, "ice-jelly": 1}
    assert cart["note"] == "no ice · PEANUT ALLERGY"
    assert kept(page, "out.") == []


def test_the_till_pays_the_check_that_it_shows(bench: Bench, page: Page, browser: Browser) -> None:
    """The same till is open in two tabs, each at a check of its own; and the next check is chosen while the store is silent."""
    checks = [check("c5", "5", 3000), check("c7", "7", 3000)]
    bench.answers |= {"GET /v1/checks": lambda _: (200, {"checks": checks, "closed": []}), "POST /v1/acts": taken}
    opened(page, bench, "cashier", {"who": "Li", "role": "cashier"})
    press(page, "Table 5", "#open_checks")
    page.wait(says("Table 5", "#pay_check"))
    page.run(f"localStorage['{PREFIX}cashier.check'] = JSON.stringify('c7')")  # the other tab has chosen
    press(page, "¥50.00", "#cash_notes")
    page.wait(f"Object.keys(localStorage).some(name => name.startsWith('{PREFIX}done.'))")
    press(page, "Back to orders")
    press(page, "Table 7", "#open_checks")
    press(page, "¥50.00", "#cash_notes")
    page.wait(f"Object.keys(localStorage).filter(name => name.startsWith('{PREFIX}done.')).length === 2")
    assert [act["body"]["check_id"] for act in bench.sent("/v1/acts")] == ["c5", "c7"]

    # a card whose sum is held, and not taken, can be given up
    held = {"attempt_id": "p1", "tender": "card", "amount_minor": 3000, "state": "authorized", "refunds": []}
    held["attention"] = {"code": "offline-limit", "text": "Over the cap: take cash.", "text_zh": "超过上限"}
    checks[1] |= {"payments": [held], "due_minor": 0}
    page.wait(says("Over the cap: take cash.", "#pay_check"))
    press(page, "Cancel payment", "#pay_check")
    type_into(page, "dialog [name=reason]", "pays cash")
    press(page, "OK", "dialog")
    page.wait(f"Object.keys(localStorage).filter(name => name.startsWith('{PREFIX}done.')).length === 3")
    assert bench.sent("/v1/acts")[-1]["body"]["act"] == "cancel_payment"


def test_an_order_that_nobody_may_be_waiting_for_is_asked_about(bench: Bench, page: Page) -> None:
    """Ten minutes without an answer: it is not sent any more by itself, and can be withdrawn when the store does not have it."""
    bench.answers["POST /v1/questions"] = lambda _: (200, {"questions": []})
    opened(page, bench, "order", {"table": "5"})

    def typed() -> str:
        press(page, "Menu")
        choose(page, "tripe")
        click(page, "#send")
        page.wait(f"Object.keys(localStorage).some(name => name.startsWith('{PREFIX}out.'))")
        page.wait(f"{OUT}[0].tries > 0")
        page.run(DUE)
        later(page, 11)
        page.wait(says("It is sent only if you say so", "#outbox"))
        (made,) = kept(page, "out.")
        return str(made["id"])

    order_id = typed()
    press(page, "Withdraw", "#outbox")
    page.wait(says("Not withdrawn", "#banner"))
    bench.answers[f"GET /v1/orders/{order_id}"] = lambda _: (404, problem("order-unknown"))
    bench.answers["POST /v1/orders"] = taken
    tries = len(bench.sent("/v1/orders"))
    page.run(DUE)
    page.wait(f"{OUT}[0].next_ms > 0")
    assert len(bench.sent("/v1/orders")) == tries, "the store is there again, and nothing is sent"
    press(page, "Withdraw", "#outbox")
    page.wait(says("Withdrawn", "#banner"))
    assert (kept(page, "out."), kept(page, "done.")) == ([], [])

    del bench.answers["POST /v1/orders"]
    order_id = typed()
    bench.answers["POST /v1/orders"] = taken
    press(page, "Send it now", "#outbox")
    page.wait(f"Object.keys(localStorage).some(name => name === '{PREFIX}done.{order_id}')")


OUT = f"Object.keys(localStorage).filter(name => name.startsWith('{PREFIX}out.')).map(name => JSON.parse(localStorage[name]))"


def test_what_was_received_stays_in_the_form_until_it_is_kept(bench: Bench, page: Page) -> None:
    bench.answers["GET /v1/stock"] = lambda _: (200, {"ingredients": []})
    opened(page, bench, "stock", {"who": "Li", "role": "stock"})
    press(page, "Receive")
    type_into(page, "#quantity", "1500")
    page.run(
        "(() => { const was = Storage.prototype.setItem; window.room = () => { Storage.prototype.setItem = was; };"
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }; })()"
    )
    press(page, "Take in")
    page.wait(says("no room left", "#banner"))
    assert page.run("document.getElementById('quantity').value") == "1500"
    page.run("window.room()")
    press(page, "Take in")
    page.wait("document.getElementById('quantity').value === ''")
    assert [made["body"]["quantity"] for made in kept(page, "out.")] == [1500]


def test_the_kiosk_forgets_a_guest_who_leaves_before_paying(bench: Bench, page: Page) -> None:
    bench.answers |= {"POST /v1/questions": lambda _: (200, {"questions": []}), "POST /v1/orders": taken}
    opened(page, bench, "kiosk", {"table": "K1"})
    press(page, "Begin")
    choose(page, "tripe")
    click(page, "#send")
    page.wait("document.body.dataset.view === 'pay'")
    page.wait(f"Object.keys(localStorage).some(name => name.startsWith('{PREFIX}done.'))")
    later(page, 2)
    page.wait("document.body.dataset.view === 'start'")
    assert kept(page, "kiosk.order") == []


def test_a_store_that_is_full_is_not_away_and_is_asked_again_when_it_said(bench: Bench, page: Page) -> None:
    """503 with Retry-After: the page says why, and no good answer to something else makes it send before the time."""
    full = problem("overloaded") | {"retry_after": 8}
    bench.answers |= {
        "GET /v1/menu": lambda _: (200, {"items": []}),
        "GET /v1/tables/5/checks": lambda _: (503, dict(full)),
        "POST /v1/questions": lambda _: (200, {"questions": []}),
        "POST /v1/orders": lambda _: (503, dict(full)),
    }
    opened(page, bench, "order", {"table": "5"})
    choose(page, "tripe")
    click(page, "#send")
    page.wait(says("more to do than it can take", "#outbox"))
    assert not page.run(says("cannot be reached", "#banner"))
    looks = "(async () => { const { ask } = await import('/web/store.js'); await ask('/v1/menu'); "
    looks += "const { hurry } = await import('/web/outbox.js'); hurry(); await ask('/v1/menu'); })()"
    page.run(looks)
    assert len(bench.sent("/v1/orders")) == 1
    (made,) = kept(page, "out.")
    assert made["next_ms"] - made["made_ms"] >= 8_000
    for _ in range(3):
        page.run("import('/web/store.js').then(store => store.ask('/v1/tables/5/checks')).catch(no => no.kind)")
    assert sum(each["path"] == "/v1/tables/5/checks" for each in bench.asked) == 1, "what is read again rests as well"

    bench.answers["POST /v1/orders"] = taken
    later(page, 0.15)
    page.wait(f"Object.keys(localStorage).some(name => name.startsWith('{PREFIX}done.'))")
    assert [order["key"] for order in bench.sent("/v1/orders")] == [made["id"]] * 2


def test_a_refund_is_kept_whole_before_its_first_step_is_sent(bench: Bench, page: Page) -> None:
    """Reopen, give back, on the house: the page is closed in between, and nothing stays half done; a no ends it."""
    line = {
        "order_id": "o9",
        "line": 0,
        "item_id": "tripe",
        "quantity": 2,
        "amount_minor": 5800,
        "voided": 0,
        "comped": 0,
    }
    paid = {"attempt_id": "p9", "tender": "cash", "amount_minor": 5800, "state": "captured", "refunds": []}
    closed = check("c9", "", 0, status="closed", total_minor=5800, covered_minor=5800, lines=[line], payments=[paid])
    bench.answers["GET /v1/checks"] = lambda _: (200, {"checks": [], "closed": [closed]})
    manager = {"who": "Wu", "role": "manager"}

    def give_back() -> None:
        press(page, "Number C9", "#closed_checks")
        press(page, "Payments and refunds")
        press(page, "Refund", "#pay_check")
        type_into(page, "dialog [name=reason]", "cold")
        press(page, "OK", "dialog")

    opened(page, bench, "cashier", manager)
    give_back()
    page.wait(f"{OUT}.length === 3")
    opened(page, bench, "cashier", manager)
    assert len(kept(page, "out.")) == 3
    bench.answers["POST /v1/acts"] = taken
    bench.asked.clear()
    page.run(DUE)
    page.wait(f"{OUT}.length === 0")
    bodies = [act["body"] for act in bench.sent("/v1/acts")]
    assert [body["act"] for body in bodies] == ["reopen", "refund", "comp"]
    assert (bodies[1]["amount_minor"], bodies[2]["quantity"]) == (2900, 1)

    bench.answers["POST /v1/acts"] = lambda _: (409, problem("check-not-closed"))
    press(page, "Next guest")
    give_back()
    page.wait(says("it is check-not-closed", "#banner"))
    page.wait(f"{OUT}.length === 0")
    assert [act["body"]["act"] for act in bench.sent("/v1/acts")][3:] == ["reopen"], "what follows a no is not sent"


def test_a_voucher_pays_what_it_is_worth_and_a_decline_is_told(bench: Bench, page: Page) -> None:
    declined = {"attempt_id": "p1", "tender": "coupon", "amount_minor": 3000, "state": "declined", "refunds": []}
    checks = [check("c5", "5", 3000, payments=[declined | {"detail": "voucher-used"}])]
    worth = {"known": True, "used": False, "value_minor": 2000}
    bench.answers |= {
        "GET /v1/checks": lambda _: (200, {"checks": checks, "closed": []}),
        "POST /v1/acts": taken,
        "POST /v1/instruments": lambda _: (200, worth),
    }
    opened(page, bench, "cashier", {"who": "Li", "role": "cashier"})
    press(page, "Table 5", "#open_checks")
    page.wait(says("The voucher was used before.", "#pay_check"))
    type_into(page, "#code", "V1")
    press(page, "Voucher", "#code_form")
    page.wait(f"Object.keys(localStorage).some(name => name.startsWith('{PREFIX}done.'))")
    assert [(act["body"]["tender"], act["body"]["amount_minor"]) for act in bench.sent("/v1/acts")] == [
        ("coupon", 2000)
    ]
    worth["value_minor"] = 5000
    type_into(page, "#code", "V2")
    press(page, "Voucher", "#code_form")
    page.wait(says("¥20.00 of it is lost", "dialog"))
    press(page, "Cancel", "dialog")
    worth |= {"used": True, "value_minor": 0}
    press(page, "Voucher", "#code_form")
    page.wait(says("The voucher was used before.", "#banner"))
    assert len(bench.sent("/v1/acts")) == 1


def test_a_manager_is_told_what_was_set_aside_and_enters_it_again_under_its_id(bench: Bench, page: Page) -> None:
    order = {
        "order_id": "0190-o7",
        "channel": "qr",
        "table": "7",
        "total_minor": 1800,
        "note": "no ice",
        "given_up": True,
    }
    order["items"] = [{"item_id": "plum-juice", "quantity": 1}]
    payment = {"attempt_id": "p7", "check_id": "0190-o7", "tender": "card", "amount_minor": 1800, "given_up": True}
    listed = {"node_id": "a-1", "orders": [order], "payments": [payment], "next_after": None}
    bench.answers |= {
        "GET /v1/checks": lambda _: (200, {"checks": [], "closed": []}),
        "GET /v1/recovered": lambda _: (200, listed),
        "POST /v1/orders": taken,
    }
    opened(page, bench, "cashier", {"who": "Li", "role": "cashier"})
    opened(page, bench, "cashier", {"who": "Wu", "role": "manager"})
    page.wait(says("Its guest was told that it was taken", "#recovered"))
    page.wait(says("It may have been charged", "#recovered"))
    press(page, "Enter it again", "#recovered")
    press(page, "Enter it again", "dialog")
    page.wait(f"Object.keys(localStorage).some(name => name === '{PREFIX}done.0190-o7')")
    (sent,) = bench.sent("/v1/orders")
    body = {name: order[name] for name in ("table", "items", "total_minor", "note")}
    assert (sent["key"], sent["body"]) == ("0190-o7", body | {"channel": "cashier"})
    for _ in range(2):
        press(page, "Settled", "#recovered")
    page.wait("document.getElementById('recovered').hidden")
    asked = [each for each in bench.asked if each["path"] == "/v1/recovered"]
    assert [each["token"] for each in asked] == [token(who="Wu", role="manager")], "a cashier's page does not ask"
