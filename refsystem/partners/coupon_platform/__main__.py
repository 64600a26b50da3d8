"""`python -m refsystem.partners.coupon_platform`: one platform, set up by environment variables (see `CouponSettings`)."""

from __future__ import annotations

import sys

from refsystem.partners.coupon_platform.app import create_app
from refsystem.partners.coupon_platform.settings import CouponSettings
from refsystem.partners.partner_process import serve_partner


def main() -> int:
    """Serve until a signal; returns the exit code."""
    return serve_partner("coupon platform", CouponSettings.from_environment, create_app)


if __name__ == "__main__":
    sys.exit(main())
