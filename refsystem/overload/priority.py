"""What is served first: who pays, then who orders, then who looks. Everything else is not governed at all.

Questions before an order, and reads of kitchen, stock and channels, are looks too.

Health, status, metrics, the audit's reads, the feeds between processes and what staff do with a device itself are few and
never refused: to be blind or cut off in an overload makes it worse.
"""

from __future__ import annotations

from enum import IntEnum


class Priority(IntEnum):
    """The most important first."""

    PAYMENT = 0
    SUBMIT = 1
    BROWSE = 2


PRIORITIES = tuple(Priority)
_LOOKS = (
    "/v1/menu",
    "/v1/orders/",
    "/v1/checks",
    "/v1/tables/",
    "/v1/kitchen/orders/",
    "/v1/channels",
    "/v1/alerts",
    "/v1/scan",
    "/v1/stock",
)
_POSTS = {
    "/v1/acts": Priority.PAYMENT,
    "/v1/orders": Priority.SUBMIT,
    "/v1/questions": Priority.BROWSE,
    "/v1/instruments": Priority.BROWSE,
}


def priority_of(method: str, path: str) -> Priority | None:
    """The priority of a diner's or cashier's request; None for one that is not governed.

    Acts on checks count as payments: nearly all are, and the rest ends a visit sooner too.
    """
    if method == "POST":
        return _POSTS.get(path)
    if method == "GET" and path.startswith(_LOOKS):
        return Priority.BROWSE
    return None
