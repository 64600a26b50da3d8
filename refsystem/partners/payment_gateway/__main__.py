"""`python -m refsystem.partners.payment_gateway`: one gateway, set up by environment variables (see `GatewaySettings`)."""

from __future__ import annotations

import sys

from refsystem.partners.partner_process import serve_partner
from refsystem.partners.payment_gateway.app import create_app
from refsystem.partners.payment_gateway.settings import GatewaySettings


def main() -> int:
    """Serve until a signal; returns the exit code."""
    return serve_partner("payment gateway", GatewaySettings.from_environment, create_app)


if __name__ == "__main__":
    sys.exit(main())
