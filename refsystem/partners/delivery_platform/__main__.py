"""`python -m refsystem.partners.delivery_platform`: one platform, set up by environment variables (see `PlatformSettings`)."""

from __future__ import annotations

import sys

from refsystem.partners.delivery_platform.app import create_app
from refsystem.partners.delivery_platform.settings import PlatformSettings
from refsystem.partners.partner_process import serve_partner


def main() -> int:
    """Serve until a signal; returns the exit code."""
    return serve_partner("delivery platform", PlatformSettings.from_environment, create_app)


if __name__ == "__main__":
    sys.exit(main())
