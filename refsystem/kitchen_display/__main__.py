"""`python -m refsystem.kitchen_display`: one kitchen display, set up by environment variables (see `KitchenSettings`)."""

from __future__ import annotations

import os
import sys

from refsystem.kitchen_display.app import KitchenSettings, create_app
from refsystem.serving import serve
from refsystem.telemetry import configure_logging


def main() -> int:
    """Serve until a signal; returns the exit code."""
    configure_logging(json_lines=os.environ.get("RUSHPROOF_LOG") == "json")
    try:
        settings = KitchenSettings.from_environment(os.environ)
        serve(create_app(settings), settings.host, settings.port, ready_file=settings.ready_file)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"the kitchen display cannot start: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
