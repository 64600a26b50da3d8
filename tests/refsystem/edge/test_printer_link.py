"""A connection to a real printer: the fence of P13, what is left of a connection that broke off, and silence."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from refsystem.edge import printer_link
from refsystem.edge.printer_link import PrinterLink, PrinterTrouble
from refsystem.edge.printing import PrinterDesk
from refsystem.ordering.book import Book
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.printer_status import PrinterStatus
from refsystem.ordering.slip import Job, KitchenLine, KitchenSlip, render_kitchen_slip
from refsystem.protocol.device import Device
from refsystem.protocol.log import Log, chain, encode_record
from refsystem.protocol.timing import DEFAULT_TIMING
from refsystem.settings import EdgeSettings

from ..partners.conftest import PrinterProcess
from .conftest import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def printer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrinterProcess]:
    process = PrinterProcess(tmp_path_factory.mktemp("printer"))
    try:
        process.start()
        yield process
    finally:
        process.close()


def new_job() -> Job:
    return Job(f"ticket/{uuid.uuid4()}/1/kitchen")


def slip_of(job: Job) -> bytes:
    return render_kitchen_slip(
        KitchenSlip("kitchen", "4", "No. 1", "qr", "12:00", (KitchenLine("Mapo tofu", "麻婆豆腐", 1),)), job
    )


def talk(printer: PrinterProcess, conversation: Callable[[PrinterLink], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        link = await PrinterLink.open("127.0.0.1", printer.port, lambda _: None)
        try:
            return await conversation(link)
        finally:
            link.close()

    return asyncio.run(main())


def test_the_printer_keeps_the_highest_epoch_and_tells_it_to_a_lower_sender(printer: PrinterProcess) -> None:
    assert talk(printer, lambda link: link.fence(5)) == 5
    assert talk(printer, lambda link: link.fence(3)) == 5
    assert talk(printer, lambda link: link.fence(5)) == 5
    printer.restart()
    assert talk(printer, lambda link: link.fence(4)) == 5, "it survives the loss of power"


def test_a_slip_is_whole_after_a_connection_that_broke_off_anywhere_in_another(printer: PrinterProcess) -> None:
    broken = slip_of(new_job())
    for length in range(1, len(broken), 7):
        with socket.create_connection(("127.0.0.1", printer.port), timeout=5) as connection:
            connection.sendall(broken[:length])
        job = new_job()

        async def conversation(link: PrinterLink, job: Job = job) -> None:
            await link.fence(6)
            await link.print_slip(job, slip_of(job))

        talk(printer, conversation)
        last = printer.client.get("/v1/audit/paper", params={"after": 0, "limit": 5000}).json()["slips"][-1]
        assert last["job_ids"][-1] == job.job_id, length
        assert "1 x 麻婆豆腐" in last["text"].rpartition("桌")[2], length


def test_a_printer_that_hangs_is_told_from_one_that_waits_for_paper(
    printer: PrinterProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printer_link, "SILENCE_S", 0.8)
    job, seen = new_job(), list[PrinterStatus]()

    async def main() -> None:
        link = await PrinterLink.open("127.0.0.1", printer.port, seen.append)
        await link.fence(6)
        printer.change(paper_lines=2)
        printing = asyncio.create_task(link.print_slip(job, slip_of(job)))
        await asyncio.sleep(1.5)
        assert not printing.done(), "it is asked again and again, and says why it does not print"
        assert seen[-1].trouble == "out of paper"
        printer.change(hanging=True)
        began_s = time.monotonic()
        with pytest.raises(PrinterTrouble, match="does not answer"):
            await printing
        assert time.monotonic() - began_s < 2.5
        link.close()
        printer.change(hanging=False, paper_lines=20_000)

    asyncio.run(main())
    wait_until(lambda: any(job.job_id in slip["job_ids"] for slip in printer.slips()), "what it had taken")


def test_a_desk_of_a_lower_epoch_prints_nothing_and_fences_itself(printer: PrinterProcess) -> None:
    talk(printer, lambda link: link.fence(9))
    log, refused, told = Log(), list[int](), asyncio.Event()
    record = {"kind": "order", "order_id": str(uuid.uuid4()), "version": 1, "body_hash": "h"}
    log.extend(chain(8, log.last, [encode_record(record)]))
    replica = SimpleNamespace(log=log, commit_seq=1, epoch=8, fence_count=0, timing=DEFAULT_TIMING)
    replica.refused_outside = lambda epoch: (refused.append(epoch), told.set())
    settings = SimpleNamespace(printer_address=("127.0.0.1", printer.port), printer_receipts=False, broken_variant=None)
    device = SimpleNamespace(replica=replica, book=Book(DEMO_MENU), is_primary=True)
    slips = len(printer.slips())

    async def main() -> None:
        desk = PrinterDesk(cast(EdgeSettings, settings), cast(Device, device), lambda: None)
        task = asyncio.create_task(desk.run())
        await asyncio.wait_for(told.wait(), 5)
        await asyncio.sleep(0)
        assert "epoch 9" in (desk.trouble or "")
        task.cancel()
        await desk.stop()

    asyncio.run(main())
    assert refused[0] == 9
    assert len(log) == 1, "no act of its own"
    assert len(printer.slips()) == slips
