"""Two devices and a printer as processes: every committed order is on paper once, and whatever is printed again says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from refsystem.access import staff_token

from ..partners.conftest import PrinterProcess
from .conftest import ACCESS_SECRET, Pair, new_key, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def printer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrinterProcess]:
    process = PrinterProcess(tmp_path_factory.mktemp("printer"), RUSHPROOF_PRINTER_IDLE_SECONDS="1")
    try:
        process.start()
        yield process
    finally:
        process.close()


@pytest.fixture(scope="module")
def printing_pair(
    make_pair: Callable[..., AbstractContextManager[Pair]],
    printer: PrinterProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    secret = tmp_path_factory.mktemp("secrets") / "access"
    secret.write_bytes(ACCESS_SECRET)
    settings = {
        "RUSHPROOF_PRINTER_ADDRESS": f"127.0.0.1:{printer.port}",
        "RUSHPROOF_PRINTER_RECEIPTS": "1",
        "RUSHPROOF_ACCESS_SECRET_FILE": str(secret),
    }
    with make_pair(**settings) as made:
        yield made


@pytest.fixture
def store(printing_pair: Pair, printer: PrinterProcess) -> Iterator[Pair]:
    """The module's pair, whole again after each test, with all that it had to print on paper."""
    yield printing_pair
    printer.change(paper_lines=20_000, jammed=False, hanging=False, cover_open=False, power=True)
    printing_pair.heal()
    wait_until(lambda: printing_pair.status(printing_pair.primary)["slips_waiting"] == 0, "all slips on paper")


def copies(printer: PrinterProcess, order_id: str) -> list[tuple[str, bool]]:
    """The slips of an order: the code of each, and whether it says REPRINT."""
    slips = [slip for slip in printer.slips() if any(order_id in job for job in slip["job_ids"])]
    return [(slip["job_ids"][-1].rpartition("/")[2], "REPRINT" in slip["text"]) for slip in slips]


def settled(store: Pair) -> bool:
    status = store.status(store.primary)
    return status["slips_waiting"] == 0 and status["last_seq"] == status["commit_seq"]


def test_each_order_is_on_paper_once_with_what_was_ordered(store: Pair, printer: PrinterProcess) -> None:
    keys = [new_key() for _ in range(6)]
    for key in keys:
        assert store.post(store.primary, key).status_code == 201
    wait_until(lambda: settled(store), "six slips")
    assert [copies(printer, key) for key in keys] == [[("0", False)]] * 6
    slip = next(slip for slip in printer.slips() if keys[0] in slip["job_ids"][0])
    assert {"2 x 麻婆豆腐", "1 x 米饭"} <= set(slip["large"])
    assert "no chilli" in slip["text"]
    assert keys[0].replace("-", "")[-8:].upper() in slip["text"]


@pytest.mark.parametrize(
    ("trouble", "cure", "alarm"),
    [
        ({"paper_lines": 3}, {"paper_lines": 20_000}, "out of paper"),
        ({"jammed": True}, {"jammed": False}, "its cutter is jammed"),
        ({"hanging": True}, {"hanging": False}, "does not answer"),
        ({"power": False}, {"power": True}, "cannot be reached"),
    ],
    ids=["paper", "jam", "hang", "power"],
)
def test_a_printer_in_trouble_delays_slips_and_no_order(
    store: Pair, printer: PrinterProcess, trouble: dict[str, Any], cure: dict[str, Any], alarm: str
) -> None:
    printer.change(**trouble)
    keys = [new_key() for _ in range(3)]
    began_s = time.monotonic()
    for key in keys:
        assert store.post(store.primary, key).status_code == 201
    assert time.monotonic() - began_s < 2
    wait_until(lambda: alarm in (store.status(store.primary)["printer_alarm"] or ""), f"the alarm {alarm!r}")
    assert store.status(store.primary)["slips_waiting"] == 3
    printer.change(**cure)
    wait_until(lambda: settled(store), "three slips")
    wait_until(lambda: store.status(store.primary)["printer_alarm"] is None, "no alarm any more")
    for key in keys:
        assert sum(not marked for _, marked in copies(printer, key)) <= 1
        assert copies(printer, key), key


def test_who_takes_over_prints_on_and_marks_what_may_be_on_paper(store: Pair, printer: PrinterProcess) -> None:
    first, second = store.primary, store.standby
    printer.change(paper_lines=12)
    keys = [new_key() for _ in range(3)]
    for key in keys:
        assert store.post(first, key).status_code == 201
    wait_until(lambda: printer.change()["paper_lines"] == 0, "a slip that is half-way")
    store.processes[first].kill()
    wait_until(lambda: store.status(second)["role"] == "primary", "the standby takes over")
    printer.change(paper_lines=20_000)
    wait_until(lambda: settled(store), "all slips")
    assert copies(printer, keys[0])[-1] == ("1", True)
    assert [copies(printer, key) for key in keys[1:]] == [[("0", False)]] * 2


def test_a_paused_primary_that_comes_back_prints_nothing(store: Pair, printer: PrinterProcess) -> None:
    first, second = store.primary, store.standby
    printer.change(jammed=True)
    keys = [new_key() for _ in range(3)]
    for key in keys:
        assert store.post(first, key).status_code == 201
    store.processes[first].pause()
    wait_until(lambda: store.status(second)["role"] == "primary", "the standby takes over")
    printer.change(jammed=False)
    wait_until(lambda: store.status(second)["slips_waiting"] == 0, "all slips by the new primary")
    store.processes[first].resume()
    wait_until(lambda: settled(store), "the store at rest")
    for key in keys:
        told = copies(printer, key)
        assert sum(not marked for _, marked in told) <= 1, told
        assert told, key


def test_a_check_that_closes_gets_its_receipt(store: Pair, printer: PrinterProcess) -> None:
    order, token = new_key(), staff_token(ACCESS_SECRET, "s1", "Li", "cashier", 4_000_000_000)
    assert store.post(store.primary, order).status_code == 201
    url = f"{store.url(store.primary)}/v1/acts"
    for minor, given_minor in ((900, 900), (5_000, 10_000)):
        pay = {"act": "pay", "check_id": order, "tender": "cash", "amount_minor": minor, "given_minor": given_minor}
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": new_key()}
        answer = store.http.post(url, json=pay, headers=headers)
        assert answer.status_code == 201, answer.text
    wait_until(lambda: settled(store), "a slip and a receipt")
    (receipt,) = [slip for slip in printer.slips() if f"receipt/{order}/1/0" in slip["job_ids"]]
    lines = [" ".join(line.split()) for line in receipt["text"].splitlines()]
    assert {"2 x 麻婆豆腐 56.00", "合计 Total 59.00", "cash 9.00", "cash 50.00", "找零 Change 50.00"} <= set(lines)
