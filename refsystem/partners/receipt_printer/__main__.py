"""`python -m refsystem.partners.receipt_printer`: one printer, set up by environment variables (see `PrinterSettings`)."""

from __future__ import annotations

import os
import sys

import apsw

from refsystem.partners.receipt_printer.app import create_app
from refsystem.partners.receipt_printer.settings import PrinterSettings
from refsystem.serving import serve
from refsystem.telemetry import configure_logging


def main() -> int:
    """Serve until a signal; returns the exit code."""
    configure_logging(json_lines=os.environ.get("RUSHPROOF_LOG") == "json")
    try:
        settings = PrinterSettings.from_environment(os.environ)
        serve(create_app(settings), settings.host, settings.http_port, ready_file=settings.ready_file)
    except (ValueError, OSError, apsw.Error) as error:
        sys.stderr.write(f"the receipt printer cannot start: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
