"""What a printer is told: where it listens, its paper, how fast it is, and what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refsystem.partners.partner_settings import PartnerReader
from refsystem.partners.receipt_printer.machine import COLUMNS
from refsystem.partners.receipt_printer.misbehaviour import WELL_BEHAVED, Plan
from refsystem.settings import HOST, SettingsError

ROLL_LINES = 20_000
"""An 80 mm roll of 80 m, at 4 mm a line."""


@dataclass(frozen=True, slots=True)
class PrinterSettings:
    """What a printer process needs to know. `line_us` is real time for a line; `idle_s` ends a silent connection."""

    data: Path
    port: int = 9100
    http_port: int = 8003
    host: str = HOST
    width_mm: int = 80
    roll_lines: int = ROLL_LINES
    line_us: int = 25_000
    idle_s: float = 90.0
    plan: Plan = WELL_BEHAVED
    ready_file: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> PrinterSettings:
        """Read `RUSHPROOF_PRINTER_DATA`, `_PORT`, `_HTTP_PORT`, `_HOST`, `_WIDTH_MM` (58 or 80), `_ROLL_LINES`,
        `_LINES_PER_SECOND`, `_IDLE_SECONDS`, `_READY_FILE`, `_MISBEHAVIOUR` (JSON, as `PUT /v1/operator/misbehaviour` takes
        it) and `RUSHPROOF_TIME_SCALE`.

        Raises `SettingsError` that names the variable.
        """
        read = PartnerReader("RUSHPROOF_PRINTER", environment)
        port, http_port = read.port("RUSHPROOF_PRINTER_PORT", "9100"), read.port("RUSHPROOF_PRINTER_HTTP_PORT", "8003")
        if port == http_port:
            raise SettingsError(f"RUSHPROOF_PRINTER_PORT and RUSHPROOF_PRINTER_HTTP_PORT must differ; both are {port}")
        lines_per_s = read.number("RUSHPROOF_PRINTER_LINES_PER_SECOND", "40", 0.1, 10_000)
        time_scale = read.time_scale()
        return cls(
            read.data(),
            port,
            http_port,
            read.host(),
            int(read.choice("RUSHPROOF_PRINTER_WIDTH_MM", tuple(str(width) for width in COLUMNS), "80")),
            int(read.number("RUSHPROOF_PRINTER_ROLL_LINES", str(ROLL_LINES), 0, 10**9)),
            max(1, int(1_000_000 / lines_per_s / time_scale)),
            read.number("RUSHPROOF_PRINTER_IDLE_SECONDS", "90", 0.01, 86_400),
            read.plan(Plan),
            read.ready_file(),
        )
