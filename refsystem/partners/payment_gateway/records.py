"""What a payment gateway holds, and what a rule is told and says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from refsystem.partners.payment_gateway.states import DisputeStatus, PaymentStatus

Tender = Literal["card", "wallet", "none"]
Status = Literal["pending", "succeeded", "declined"]
MovementKind = Literal[
    "capture", "reversal", "refund", "split", "split_return", "dispute_opened", "dispute_won", "dispute_lost"
]
DISPUTED = "disputed"


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment. What the merchant holds of it is captured less refunded, split and disputed.

    `version` grows with every change, so that a receiver of callbacks knows the newest. `settle_at_us` is when a pending one is
    confirmed by its diner, or declined (`settle_event`).
    """

    attempt_id: str
    merchant: str
    tender: Tender
    currency: str
    amount_minor: int
    status: PaymentStatus
    created_at_us: int
    reference: str = ""
    decline_code: str | None = None
    captured_minor: int = 0
    captured_at_us: int | None = None
    refunded_minor: int = 0
    split_minor: int = 0
    disputed_minor: int = 0
    version: int = 0
    settle_at_us: int | None = None
    settle_event: Literal["confirm", "decline"] | None = None

    @property
    def held_minor(self) -> int:
        """What the merchant holds of it."""
        return self.captured_minor - self.refunded_minor - self.split_minor - self.disputed_minor


@dataclass(frozen=True, slots=True)
class Dispute:
    """A payer's dispute of a payment; unanswered at `answer_by_us` it is lost."""

    dispute_id: str
    attempt_id: str
    merchant: str
    amount_minor: int
    reason: str
    status: DisputeStatus
    answer_by_us: int
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Movement:
    """Money moved at once: `(account, amount_minor)`, which sum to zero."""

    kind: MovementKind
    postings: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        assert sum(amount for _, amount in self.postings) == 0, self
        assert all(amount != 0 for _, amount in self.postings), self


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the caller is told of its request; once it is not pending it never changes."""

    status: Status
    amount_minor: int
    decline_code: str | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision depends on besides the request: what is stored, and what the payer and the misbehaviour make of it."""

    payment: Payment | None = None
    dispute: Dispute | None = None
    refunds: int = 0
    shares: Mapping[str, int] | None = None
    code_used: bool = False
    declined: bool = False
    confirm_after_us: int | None = 0
    """None: the diner never confirms."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a request does. `event` is what the merchant is called back with, None: nothing that it does not know."""

    payment: Payment
    outcome: Outcome
    movement: Movement | None = None
    event: str | None = None
    dispute: Dispute | None = None
