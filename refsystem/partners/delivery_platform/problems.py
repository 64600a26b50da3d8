"""Every refusal of the delivery platform. A definite one left no trace."""

from __future__ import annotations

from refsystem.ordering.errors import Problem

KEY_MISSING = Problem("key-missing", 400, "The header Idempotency-Key must hold the order's UUID", True)
KEY_REUSED = Problem("key-reused", 422, "This key was used for an order with other content", True)
PLATFORM_INVALID = Problem("platform-request-invalid", 422, "The request is not well formed", True)
PLATFORM_ORDER_UNKNOWN = Problem("platform-order-unknown", 404, "The platform has no order of this number", True)
ORDER_CANCELLED = Problem("order-cancelled", 409, "The order was cancelled; it must not be made", True)
ALREADY_DECIDED = Problem("already-decided", 409, "The store has answered otherwise before; nothing was done", True)
STORE_PAUSED = Problem("store-paused", 503, "The store takes no orders of this platform now", True)
SOLD_OUT = Problem("sold-out", 409, "An item is sold out in this store", True)
PLATFORM_STUCK = Problem("platform-timeout", 504, "The platform did not answer in time; send it again", False)
PLATFORM_FAILED = Problem("platform-failed", 500, "The platform failed; send it again", False)
