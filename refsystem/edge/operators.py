"""Who may read a device's whole log, and who may say what its store goes on with: by a token, where the device knows tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refsystem.access import Role
from refsystem.chain_access import without_instrument
from refsystem.edge.check_routes import person_asking
from refsystem.edge.driver import Driver
from refsystem.ordering.errors import NOT_ALLOWED, OrderRejected


def must_be_operator(driver: Driver, headers: Mapping[str, str], *others: Role) -> None:
    """Raises `OrderRejected` unless an operator asks, or one of the roles `others`.

    A device that was given no secret for tokens knows nobody: it takes acts from nobody, and these routes are open.
    """
    if driver.settings.access_secret is None:
        return
    if person_asking(driver, headers).role not in ("operator", *others):
        raise OrderRejected(NOT_ALLOWED, f"this is for the store's {' or '.join(('operator', *others))}")


def told_record(driver: Driver, record: dict[str, Any]) -> dict[str, Any]:
    """A record as operators see it. Where no token is asked for, `instrument` (a wallet code, a card) is a fingerprint."""
    return record if driver.settings.access_secret is not None else without_instrument(record)
