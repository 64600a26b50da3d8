"""`python -m refsystem.edge`: one in-store device, told by its environment (see `refsystem.settings`)."""

from __future__ import annotations

import logging
import sys
import uuid

from refsystem.edge.app import make_app
from refsystem.edge.driver import Driver, now_us
from refsystem.edge.store import EdgeStore, StoreDamaged
from refsystem.ordering.book_steps import PaymentRules
from refsystem.protocol.broken import parts_for
from refsystem.protocol.device import Device, DeviceSettings
from refsystem.protocol.payment_calls import CashierLimits
from refsystem.serving import serve
from refsystem.settings import HOST, EdgeSettings, SettingsError, edge_settings
from refsystem.telemetry import configure_logging


def main() -> int:
    """Run until SIGTERM; 2 if a setting is wrong or the disk cannot be used, which one sentence tells."""
    configure_logging()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every request to the cloud would be all there is
    try:
        _run(edge_settings())
    except (SettingsError, StoreDamaged, OSError) as error:
        print(f"rushproof edge: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _run(settings: EdgeSettings) -> None:
    new_node_id = f"{settings.slot}-{uuid.uuid4().hex[:8]}"
    store = EdgeStore(settings.data, new_node_id, volatile=settings.volatile, synchronous=settings.synchronous)
    device = Device(
        DeviceSettings(
            settings.store,
            settings.menu,
            settings.policy,
            payment_rules=PaymentRules(settings.offline, settings.parties),
            cashier_limits=CashierLimits(stored_age_ms=settings.stored_age_h * 3_600_000).scaled(settings.time_scale),
            store_rules=settings.store_rules,
        ),
        store.load(),
        uuid.uuid4().hex[:8],
        now_us(),
        parts_for(settings.broken_variant),
    )
    serve(make_app(Driver(settings, device, store)), HOST, settings.http_port)


if __name__ == "__main__":
    sys.exit(main())
