"""Every refusal of the gateway. A definite one left no trace: the same request may be sent again, under the same key."""

from __future__ import annotations

from refsystem.ordering.errors import Problem

KEY_MISSING = Problem("key-missing", 400, "The header Idempotency-Key must hold the request's UUID", True)
KEY_REUSED = Problem("key-reused", 422, "This key was used for a request with other content", True)
PAYMENT_INVALID = Problem("payment-invalid", 422, "The request is not well formed", True)
AMOUNT_OVER_LIMIT = Problem("amount-over-limit", 422, "The amount is above what the gateway takes", True)
PAYMENT_UNKNOWN = Problem(
    "payment-unknown", 404, "There is no payment of this id now; it may still be on its way", True
)
REQUEST_UNKNOWN = Problem(
    "request-unknown", 404, "There is no request of this id now; it may still be on its way", True
)
DISPUTE_UNKNOWN = Problem("dispute-unknown", 404, "There is no such dispute", True)
STATE_FORBIDS = Problem("state-forbids", 409, "The payment's state does not allow this; nothing was done", True)
ALREADY_CAPTURED = Problem(
    "already-captured", 409, "The payment was captured under another key; nothing was done", True
)
CAPTURE_TOO_LARGE = Problem("capture-too-large", 422, "More than was authorized; nothing was done", True)
REFUND_TOO_LARGE = Problem("refund-too-large", 409, "More than is left of what was captured; nothing was done", True)
REFUND_REFUSED = Problem("refund-refused", 409, "The payment takes no further refund; nothing was done", True)
SPLIT_NOT_RETURNED = Problem(
    "split-not-returned", 409, "Shares of other parties must be returned before this refund; nothing was done", True
)
SPLIT_TOO_LARGE = Problem("split-too-large", 409, "More than may be split off; nothing was done", True)
RETURN_TOO_LARGE = Problem("return-too-large", 409, "More than the party has of this payment; nothing was done", True)
REVERSE_TOO_EARLY = Problem(
    "reverse-too-early", 409, "A wallet payment is reversed some seconds after it was asked for", True
)
REVERSE_TOO_LATE = Problem("reverse-too-late", 409, "It is too late to reverse this payment; refund it", True)
REVERSE_REFUSED = Problem("reverse-refused", 409, "Money of this payment was moved on; refund it", True)
DISPUTE_CLOSED = Problem("dispute-closed", 409, "The dispute's state does not allow this; nothing was done", True)
PAYMENTS_STUCK = Problem("gateway-timeout", 504, "The gateway did not answer in time; ask about the same id", False)
GATEWAY_FAILED = Problem("gateway-failed", 500, "The gateway failed; ask about the same id", False)
