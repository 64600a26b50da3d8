"""`python -m refsystem.partners.receipt_printer`: one printer, set up by environment variables (see `PrinterSettings`)."""

from __future__ import annotations

import sys

from refsystem.partners.partner_process import serve_partner
from refsystem.partners.receipt_printer.app import create_app
from refsystem.partners.receipt_printer.settings import PrinterSettings


def main() -> int:
    """Serve until a signal; returns the exit code."""
    return serve_partner("receipt printer", PrinterSettings.from_environment, create_app)


if __name__ == "__main__":
    sys.exit(main())
