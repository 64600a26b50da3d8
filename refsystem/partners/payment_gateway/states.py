"""The states of a payment and of a dispute as literal tables: what is not in them is refused and changes nothing.

A payment that was reversed before it arrived (`None` → `reversed`) stays: when it comes after all, it is declined. So a caller
that has reversed is never charged by its own late request.
"""

from __future__ import annotations

from typing import Literal

PaymentStatus = Literal["pending", "authorized", "captured", "declined", "reversed", "expired"]
PaymentEvent = Literal[
    "authorize", "sale", "decline", "confirm", "capture", "reverse", "expire", "refund", "split", "dispute"
]
DisputeStatus = Literal["opened", "contested", "accepted", "won", "lost"]
DisputeEvent = Literal["contest", "accept", "overdue", "rule_for_merchant", "rule_for_payer"]

PAYMENT_TRANSITIONS: dict[tuple[PaymentStatus | None, PaymentEvent], PaymentStatus] = {
    (None, "authorize"): "authorized",
    (None, "sale"): "pending",
    (None, "decline"): "declined",
    (None, "reverse"): "reversed",
    ("pending", "confirm"): "captured",
    ("pending", "decline"): "declined",
    ("pending", "reverse"): "reversed",
    ("authorized", "capture"): "captured",
    ("authorized", "reverse"): "reversed",
    ("authorized", "expire"): "expired",
    ("captured", "refund"): "captured",
    ("captured", "split"): "captured",
    ("captured", "dispute"): "captured",
    ("captured", "reverse"): "reversed",
    # Said again, or of what never took money: it is so already.
    ("reversed", "reverse"): "reversed",
    ("declined", "reverse"): "declined",
    ("expired", "reverse"): "expired",
}

DISPUTE_TRANSITIONS: dict[tuple[DisputeStatus, DisputeEvent], DisputeStatus] = {
    ("opened", "contest"): "contested",
    ("opened", "accept"): "accepted",
    ("opened", "overdue"): "lost",
    ("opened", "rule_for_merchant"): "won",
    ("opened", "rule_for_payer"): "lost",
    ("contested", "rule_for_merchant"): "won",
    ("contested", "rule_for_payer"): "lost",
}
