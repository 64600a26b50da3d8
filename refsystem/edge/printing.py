"""The way to the store's printer: slips out, acts into the log, on the primary only. What is printed when, `PrintQueue` decides.

A printer that is jammed, hangs or is gone delays slips and nothing else: they wait in the log, the kitchen display shows them
all, and `GET /v1/status` says what is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from refsystem.clocks import hour_and_minute, wall_us
from refsystem.edge.printer_link import PrinterLink, PrinterTrouble
from refsystem.ordering.print_acts import PrintedSlips, SlipDue
from refsystem.ordering.printer_status import PrinterStatus
from refsystem.ordering.receipts import Receipts
from refsystem.ordering.slip import Job, Layout, render_kitchen_slip, render_receipt
from refsystem.ordering.slip_contents import order_slip, order_slip_key
from refsystem.protocol.device import Device
from refsystem.protocol.log import encode_record
from refsystem.protocol.print_queue import PRINT_VARIANTS, PrintQueue
from refsystem.settings import EdgeSettings

logger = logging.getLogger(__name__)

NOT_PRIMARY_S = 0.1
LINGER_S = 0.3
STATUS_AGAIN_S = 0.25
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 1.0


class _Deposed(Exception):
    """This device is not the primary any more, or not by the same right."""


class PrinterDesk:
    """Prints what the queue says. `pump` lets the machine do what is to be done after an act was given to it."""

    def __init__(self, settings: EdgeSettings, device: Device, pump: Callable[[], None]) -> None:
        self._settings = settings
        self._device = device
        self._pump = pump
        self._receipts = Receipts(device.book)
        self._slips = PrintedSlips(self._slip_of, self._receipts.left_out)
        make = PRINT_VARIANTS.get(settings.broken_variant or "", PrintQueue)
        self._queue = make(device.replica.log, self._slips)
        self._layout = Layout()
        self._wake = asyncio.Event()
        self._seen: tuple[int, int, bool] | None = None
        self._link: PrinterLink | None = None
        self._term = 0
        self.trouble: str | None = None
        if settings.printer_address is not None:
            device.replica.log.follow(self._slips)

    @property
    def waiting(self) -> int:
        """How many slips are not on paper; 0 unless primary."""
        return self._queue.waiting(self._device.replica.commit_seq) if self._device.is_primary else 0

    def wake(self) -> None:
        """Something may have been committed, or the role may have changed."""
        replica = self._device.replica
        seen = (replica.commit_seq, replica.fence_count, self._device.is_primary)
        if seen != self._seen:
            self._seen = seen
            self._wake.set()

    async def run(self) -> None:
        """Print for as long as this device runs; rests without a printer, and while another device is primary."""
        backoff_s = BACKOFF_FIRST_S
        while self._settings.printer_address is not None:
            self._wake.clear()
            self._lead()
            if not self._device.is_primary:
                self._hang_up()
                self.trouble = None
                await asyncio.sleep(NOT_PRIMARY_S)
                continue
            try:
                await self._step()
                backoff_s = BACKOFF_FIRST_S
            except _Deposed:
                self._hang_up()
            except PrinterTrouble as error:
                self._hang_up()
                self._tell(str(error))
                await asyncio.sleep(backoff_s)
                backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)

    async def stop(self) -> None:
        """Hang up."""
        self._hang_up()

    def _slip_of(self, seq: int, record: dict[str, Any]) -> str | None:
        """The key of the slip that an entry makes: an order's or, where they are wanted, the receipt of a check that closes."""
        receipt = self._receipts.key(seq, record) if self._settings.printer_receipts else None
        return order_slip_key(record) or receipt

    # --- one step ---

    async def _step(self) -> None:
        """Print one slip, or wait for one."""
        due = self._queue.due(self._device.replica.commit_seq)
        if due is None:
            await self._rest()
            return
        link = await self._connected()
        trouble = (await link.status()).trouble
        if trouble is not None:
            await asyncio.sleep(STATUS_AGAIN_S)
            return
        record = self._queue.begin(due, wall_us() // 1000)
        if record is not None:
            entry_seq = self._propose(record)
            if entry_seq is None:
                await asyncio.sleep(STATUS_AGAIN_S)
                return
            self._queue.begun(due, entry_seq)
            self._pump()
        await self._committed(due)
        job = self._queue.job(due)
        content = self._render(due, job)
        self._queue.sending()
        await link.print_slip(job, content)
        self._queue.printed(due)

    async def _rest(self) -> None:
        """Nothing is to be printed: say so in the log, give the printer free for others, and wait."""
        record = self._queue.last_word(self._device.replica.commit_seq, wall_us() // 1000)
        if record is not None and self._propose(record) is not None:
            self._pump()
            return
        if await self._woken(LINGER_S):
            return
        self._hang_up()
        self._tell(None)
        await self._woken(NOT_PRIMARY_S if record is not None else LINGER_S * 10)

    async def _connected(self) -> PrinterLink:
        """The connection, fenced (P13)."""
        if self._link is not None:
            return self._link
        assert self._settings.printer_address is not None
        self._link = link = await PrinterLink.open(*self._settings.printer_address, self._looked)
        epoch = self._device.replica.epoch
        highest_epoch = await link.fence(epoch)
        self._must_lead()
        if highest_epoch > epoch:
            self._device.replica.refused_outside(highest_epoch)
            self._pump()
            raise PrinterTrouble(f"has seen a sender of epoch {highest_epoch}; this one is of {epoch}")
        return link

    async def _committed(self, due: SlipDue) -> None:
        while not self._queue.may_send(due, self._device.replica.commit_seq):
            self._must_lead()
            await self._woken(NOT_PRIMARY_S)
        self._must_lead()

    def _render(self, due: SlipDue, job: Job) -> bytes:
        record = self._device.replica.log.entry(due.seq).content()
        at = hour_and_minute()
        menu = self._device.settings.menu
        if record["kind"] == "order":
            pickup_at = hour_and_minute(record["pickup_at_s"]) if "pickup_at_s" in record else ""
            return render_kitchen_slip(order_slip(record, menu, at, pickup_at), job, self._layout)
        return render_receipt(self._receipts.content(due.seq, self._settings.store, menu, at), job, self._layout)

    def _propose(self, record: dict[str, Any]) -> int | None:
        """The entry that the act became; None if the log has no room for it now (P20)."""
        self._must_lead()
        replica = self._device.replica
        if replica.log.last.seq - replica.commit_seq >= replica.timing.uncommitted_max:
            return None
        (entry,) = replica.propose([encode_record(record)])
        return entry.seq

    # --- who may ---

    def _lead(self) -> None:
        """A new time as primary begins whenever this device was fenced in between."""
        self._term = self._device.replica.fence_count
        self._queue.lead(self._term if self._device.is_primary else None)

    def _must_lead(self) -> None:
        if not self._device.is_primary or self._device.replica.fence_count != self._term:
            raise _Deposed

    def _looked(self, status: PrinterStatus) -> None:
        self._must_lead()
        self._tell(status.trouble)

    # --- parts ---

    def _tell(self, trouble: str | None) -> None:
        if trouble != self.trouble:
            logger.warning("printer: %s", trouble or "well again")
        self.trouble = trouble

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    async def _woken(self, timeout_s: float) -> bool:
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
                return True
        return False
