"""Moves bytes between the printer's connection, its machine and its paper, and lets its time pass.

One connection is served at a time, as printers do: the next one is accepted and waits until the first has gone or has been
silent for too long, with nothing left to print.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from dataclasses import replace

from refsystem.partners.host_time import now_us
from refsystem.partners.misbehaviour import Strikes
from refsystem.partners.receipt_printer.machine import Condition, Printer, Trouble
from refsystem.partners.receipt_printer.misbehaviour import KINDS
from refsystem.partners.receipt_printer.paper import Paper
from refsystem.partners.receipt_printer.settings import PrinterSettings
from refsystem.serving import listening_socket
from refsystem.stop_listening import stop_listening
from refsystem.telemetry import Telemetry

CONNECTIONS_MAX = 8
READ_BYTES = 4096
IDLE_WAKE_S = 5.0

logger = logging.getLogger(__name__)


class PrinterDriver:
    """A printer with its plug in: everything happens in the event loop."""

    def __init__(self, settings: PrinterSettings, telemetry: Telemetry) -> None:
        self.settings = settings
        struck = telemetry.counter("printer_misbehaviour_total", "What went wrong on request", ("kind",))
        self.misbehaviour = Strikes(settings.plan, KINDS, struck)
        self.on = False
        self.refusing = False
        self._paper = Paper(settings.data, settings.roll_lines)
        self.machine = self._new_machine(self._paper.condition())
        self._listener: socket.socket | None = listening_socket(settings.host, settings.port)
        self._server: asyncio.Server | None = None
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._moved = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self._served: asyncio.StreamWriter | None = None
        self._connections = 0
        self._loop_task: asyncio.Task[None] | None = None
        self._repairs: set[asyncio.Task[None]] = set()
        self._slips = telemetry.counter("printer_slips_total", "Slips cut off")
        self._bytes = telemetry.counter("printer_bytes_total", "Bytes received")

    def _new_machine(self, condition: Condition) -> Printer:
        return Printer(
            condition,
            width_mm=self.settings.width_mm,
            line_us=self.settings.line_us,
            slip=self._paper.slip,
            records=self._paper.records(),
            strikes=self._strikes,
        )

    async def start(self) -> None:
        """Switch it on."""
        self._loop_task = asyncio.create_task(self._print())
        await self.switch_on()

    async def stop(self) -> None:
        """Switch it off, and close what it keeps its paper in."""
        await self.switch_off()
        for task in (*self._repairs, self._loop_task):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._paper.close()

    # --- what a person does ---

    async def switch_on(self) -> None:
        """Power on: it listens."""
        if self.on:
            return
        self.on = True
        await self._listen()

    async def switch_off(self) -> None:
        """Power off: what is not on paper is lost, connections are reset."""
        if not self.on:
            return
        self.on = False
        await self._stop_listening()
        for writer in self._writers:
            writer.transport.abort()
        self.machine.switch_off()
        self._flush()

    async def set_refusing(self, refusing: bool) -> None:
        """Refuse new connections, or take them again; those that there are stay."""
        self.refusing = refusing
        if refusing:
            await self._stop_listening()
        elif self.on:
            await self._listen()

    def set_condition(self, condition: Condition) -> None:
        """Somebody has put in paper, cleared a jam, opened or shut the cover."""
        self.machine.set_condition(condition, now_us())
        self._flush()
        self._changed.set()

    def slips(self, after: int, limit: int) -> list[dict[str, object]]:
        """The paper."""
        return self._paper.slips(after, limit)

    # --- connections ---

    async def _listen(self) -> None:
        if self._server is None and not self.refusing:
            # The first one was bound when the printer was made, so that a port in use is told before anything runs.
            listener = self._listener or listening_socket(self.settings.host, self.settings.port)
            self._listener = None
            self._server = await asyncio.start_server(self._serve, sock=listener, limit=READ_BYTES)

    async def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await stop_listening(server)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        if len(self._writers) >= CONNECTIONS_MAX or self.misbehaviour.strikes("refuse", self._connections) is not None:
            writer.transport.abort()
            return
        self._writers.append(writer)
        try:
            async with self._turn:
                self._served = writer
                with contextlib.suppress(OSError):
                    await self._read(reader, writer)
        finally:
            self._writers.remove(writer)
            self._served = None if self._served is writer else self._served
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self.on and not writer.is_closing():
            while not self._can_take():
                await self._wait_for_change()
            try:
                async with asyncio.timeout(self.settings.idle_s):
                    data = await reader.read(min(READ_BYTES, self.machine.room))
            except TimeoutError:
                if self.machine.busy:
                    continue
                return
            if not data:
                return
            while not self._can_take():
                await self._wait_for_change()
            if writer.is_closing():
                return  # the power went off meanwhile: what had come in until then is lost with the rest
            self._bytes.inc(len(data))
            self.machine.receive(data, now_us())
            self._flush()
            self._changed.set()
            await writer.drain()

    def _can_take(self) -> bool:
        return self.machine.room > 0 and not self.machine.condition.hanging

    async def _wait_for_change(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_WAKE_S):
                await self._moved.wait()

    # --- printing ---

    async def _print(self) -> None:
        while True:
            self._changed.clear()
            if self.on:
                self.machine.advance(now_us())
                self._flush()
            due_us = self.machine.deadline_us() if self.on else None
            wait_s = IDLE_WAKE_S if due_us is None else max(0.0, (due_us - now_us()) / 1_000_000)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()

    def _flush(self) -> None:
        """Keep what was printed, then answer."""
        self._moved.set()
        self._moved.clear()
        ready = self.machine.take_ready()
        if ready is None:
            return
        slip = self._paper.slip
        self._paper.keep(ready, now_us())
        self._slips.inc(self._paper.slip - slip)
        if ready.answers and self._served is not None and not self._served.is_closing():
            self._served.write(ready.answers)

    # --- misbehaviour ---

    def _strikes(self, trouble: Trouble, slip: int) -> bool:
        rule = self.misbehaviour.strikes(trouble, slip)
        if rule is not None and rule.ms is not None:
            task = asyncio.get_running_loop().create_task(self._repair(trouble, rule.ms / 1000))
            self._repairs.add(task)
            task.add_done_callback(self._repairs.discard)
        return rule is not None

    async def _repair(self, trouble: Trouble, after_s: float) -> None:
        """Somebody comes and puts it right."""
        await asyncio.sleep(after_s)
        now = self.machine.condition
        match trouble:
            case "jam":
                self.set_condition(replace(now, jammed=False))
            case "paper_out":
                self.set_condition(replace(now, paper_lines=self.settings.roll_lines))
            case "hang":
                self.set_condition(replace(now, hanging=False))
