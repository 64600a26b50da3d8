"""The printer of a store in the stack: its process, its two ports and the way to it from each device."""

from __future__ import annotations

from collections.abc import Mapping

PRINTER_MODULE = "refsystem.partners.receipt_printer"
PAPER_PORT = "paper"
"""The listener that takes slips is called `<store>.printer.paper`; `<store>.printer` answers HTTP."""
IDLE_S = 3.0
"""A sender that is silent for so long is hung up, so that the next one is served: one that is paused keeps its connection."""


def printer_name(store: str) -> str:
    """The process."""
    return f"{store}.printer"


def printer_link(store: str, slot: str) -> str:
    """The link from a device."""
    return f"edge_printer.{store}.{slot}"


def printer_environment(data: str, http_port: int, paper_port: int, time_scale: float) -> Mapping[str, str]:
    """What the process is told."""
    return {
        "RUSHPROOF_PRINTER_DATA": data,
        "RUSHPROOF_PRINTER_PORT": str(paper_port),
        "RUSHPROOF_PRINTER_HTTP_PORT": str(http_port),
        "RUSHPROOF_PRINTER_IDLE_SECONDS": str(IDLE_S),
        "RUSHPROOF_TIME_SCALE": str(time_scale),
    }
