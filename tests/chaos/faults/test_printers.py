"""A printer in trouble, as a fault: proven by what it says and does, and put right at the end."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from chaos.faults.base import Target
from chaos.faults.printers import BREAKS, PrinterTroubled
from refsystem.ordering.printer_status import parse_status
from refsystem.ordering.slip import STATUS_REQUESTS
from refsystem.stack import Stack, StackSettings, StoreSettings

pytestmark = pytest.mark.slow


def answers(stack: Stack) -> str | None:
    """What a sender is told: the trouble, "ready", or None when there is no answer."""
    try:
        with socket.create_connection(("127.0.0.1", stack.port("s1.printer.paper")), timeout=1) as connection:
            connection.sendall(STATUS_REQUESTS)
            told = connection.recv(4, socket.MSG_WAITALL)
    except OSError:
        return None
    return parse_status(told).trouble or "ready"


def test_every_trouble_is_proven_and_ends(tmp_path: Path) -> None:
    stack = Stack(StackSettings(tmp_path, (StoreSettings("s1", printer=True),), Path("menu.json"), "postgresql://h/x"))
    stack.reserve()
    try:
        printer = stack._printer("s1.printer")
        stack._python = {"s1.printer": printer}
        printer.start()
        asyncio.run(printer.wait_ready())
        for trouble in BREAKS:
            fault = PrinterTroubled(stack, "s1.printer", trouble, Target("printer", "printer"))
            assert not asyncio.run(fault.prove()).proven, f"{trouble} before it began"
            asyncio.run(fault.begin())
            proof = asyncio.run(fault.prove())
            assert proof.proven, f"{trouble}: {proof.evidence}"
            assert answers(stack) != "ready"
            asyncio.run(fault.undo())
            assert answers(stack) == "ready", trouble
    finally:
        stack.stop()
