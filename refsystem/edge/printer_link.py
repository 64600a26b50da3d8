"""One connection to a printer: asks, waits for its answers, and says in words what is wrong. Decides nothing about slips.

While anything is awaited, the status is asked for again and again: a printer that answers that is there, however long it stands
without paper; one that is silent hangs or is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

from refsystem.ordering.printer_answers import Answer, AnswerReader, HeldEpoch, Printed
from refsystem.ordering.printer_fence import ACKNOWLEDGE, ASK_EPOCH, store_epoch
from refsystem.ordering.printer_status import PrinterStatus
from refsystem.ordering.slip import COMPLETE_COMMAND, STATUS_REQUESTS, Job

CONNECT_S = 3.0
ASK_AGAIN_S = 0.25
SILENCE_S = 3.0
READ_BYTES = 4096

Found = TypeVar("Found")


class PrinterTrouble(Exception):
    """The printer does not do what it is asked; the text says why, for the staff."""


class PrinterLink:
    """A connection. `looked` is told every status that comes; it may raise, which ends what is awaited."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, looked: Callable[[PrinterStatus], None]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._looked = looked
        self._answers = AnswerReader()

    @classmethod
    async def open(cls, host: str, port: int, looked: Callable[[PrinterStatus], None]) -> PrinterLink:
        """Connect; raises `PrinterTrouble`."""
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            raise PrinterTrouble(f"cannot be reached ({type(error).__name__})") from error
        link = cls(reader, writer, looked)
        await link._send(COMPLETE_COMMAND)
        return link

    async def fence(self, epoch: int) -> int:
        """The highest epoch of a sender that the printer has seen, this one's included (P13); raises `PrinterTrouble`.

        A higher one than `epoch` means that nothing may be printed.
        """
        held = await self._ask_epoch()
        if held >= epoch:
            return held
        await self._send(store_epoch(epoch))
        if await self._ask_epoch() != epoch:
            raise PrinterTrouble("does not keep the epoch of its sender")
        return epoch

    async def status(self) -> PrinterStatus:
        """How it is now; raises `PrinterTrouble`."""
        return await self._until(lambda answer: answer if isinstance(answer, PrinterStatus) else None)

    async def print_slip(self, job: Job, content: bytes) -> None:
        """Print `content`, which is `job`; returns when it is on paper. Raises `PrinterTrouble`: then it may be."""
        await self._send(content)

        def found(answer: Answer) -> bool | None:
            return True if isinstance(answer, Printed) and answer.process_id == job.process_id else None

        await self._until(found)

    def close(self) -> None:
        """Hang up at once; what was not sent yet is not sent any more."""
        self._writer.transport.abort()

    async def _ask_epoch(self) -> int:
        await self._send(ASK_EPOCH)
        epoch = await self._until(lambda answer: answer.epoch if isinstance(answer, HeldEpoch) else None)
        await self._send(ACKNOWLEDGE)
        return epoch

    async def _until(self, find: Callable[[Answer], Found | None]) -> Found:
        """What `find` finds in the answers that come."""
        heard_s = time.monotonic()
        while True:
            await self._send(STATUS_REQUESTS)
            asked_s = time.monotonic()
            while (left_s := asked_s + ASK_AGAIN_S - time.monotonic()) > 0:
                data = await self._read(left_s)
                if data:
                    heard_s = time.monotonic()
                found = self._find(data, find)
                if found is not None:
                    return found
            if time.monotonic() - heard_s > SILENCE_S:
                raise PrinterTrouble("does not answer")

    def _find(self, data: bytes, find: Callable[[Answer], Found | None]) -> Found | None:
        """The first that is found; every status is told all the same."""
        first: Found | None = None
        for answer in self._answers.feed(data):
            if isinstance(answer, PrinterStatus):
                self._looked(answer)
            first = find(answer) if first is None else first
        return first

    async def _read(self, timeout_s: float) -> bytes:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                try:
                    data = await self._reader.read(READ_BYTES)
                except OSError as error:
                    raise PrinterTrouble(f"hung up ({type(error).__name__})") from error
                if not data:
                    raise PrinterTrouble("hung up")
                return data
        return b""

    async def _send(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            async with asyncio.timeout(SILENCE_S):
                await self._writer.drain()
        except TimeoutError as error:
            raise PrinterTrouble("takes nothing more") from error
        except OSError as error:
            raise PrinterTrouble(f"hung up ({type(error).__name__})") from error
