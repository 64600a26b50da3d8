"""`python -m refsystem.partners.coupon_platform`: one platform, set up by environment variables (see `CouponSettings`)."""

from __future__ import annotations

import os
import sys

import apsw

from refsystem.partners.coupon_platform.app import create_app
from refsystem.partners.coupon_platform.settings import CouponSettings
from refsystem.serving import serve
from refsystem.telemetry import configure_logging


def main() -> int:
    """Serve until a signal; returns the exit code."""
    configure_logging(json_lines=os.environ.get("RUSHPROOF_LOG") == "json")
    try:
        settings = CouponSettings.from_environment(os.environ)
        serve(create_app(settings), settings.host, settings.port, ready_file=settings.ready_file)
    except (ValueError, OSError, apsw.Error) as error:
        sys.stderr.write(f"the coupon platform cannot start: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
