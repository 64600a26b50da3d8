"""The bodies that the gateway reads and writes over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator

from refsystem.partners.bodies import Body, Name, Text

AMOUNT_MAX = 10**12
Amount = Annotated[int, Field(ge=1, le=AMOUNT_MAX, description="minor units (fen)")]
CallbackUrl = Annotated[str, Field(max_length=500, pattern=r"^https?://[^\s/?#]+[^\s#]*$")]


class AuthorizationBody(Body):
    """A card payment. `card_token` stands for a card; `reference` comes back in every list (order, check, marker)."""

    merchant: Name
    amount_minor: Amount
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "CNY"
    card_token: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]
    stored_offline: bool = Field(default=False, description="the store took it while it was offline")
    reference: Text = ""


class SaleBody(Body):
    """A wallet payment. `payment_code` is what the diner's wallet shows: 16 to 24 digits, good for one payment."""

    merchant: Name
    amount_minor: Amount
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "CNY"
    payment_code: Annotated[str, Field(pattern=r"^[0-9]{16,24}$")]
    reference: Text = ""


class CaptureBody(Body):
    """How much of what was authorized is taken."""

    amount_minor: Amount


class ReversalBody(Body):
    """Whose payment is reversed: it may be one that has not arrived yet."""

    merchant: Name


class RefundBody(Body):
    """How much is given back, and why."""

    amount_minor: Amount
    reason: Text = ""


class Share(Body):
    """A party's share."""

    party: Name
    amount_minor: Amount


class SharesBody(Body):
    """Shares of a payment, one for each party."""

    shares: Annotated[list[Share], Field(min_length=1, max_length=50)]

    @field_validator("shares")
    @classmethod
    def _each_party_once(cls, shares: list[Share]) -> list[Share]:
        if len({share.party for share in shares}) < len(shares):
            raise ValueError("each party once")
        return shares


class DisputeBody(Body):
    """What a payer disputes."""

    attempt_id: Annotated[str, Field(min_length=1, max_length=64)]
    amount_minor: Amount
    reason: Text = ""


class DisputeAnswerBody(Body):
    """The merchant's answer."""

    accept: bool
    evidence: Text = ""


class RulingBody(Body):
    """The bank's ruling."""

    winner: Literal["merchant", "payer"]


class CallbackBody(Body):
    """Where a merchant wants its callbacks."""

    url: CallbackUrl


class RequestReply(BaseModel):
    """What became of a request. The same id and content get the same reply, but `pending` (a wallet payment) changes, once."""

    request_id: str
    operation: str
    attempt_id: str
    status: Literal["pending", "succeeded", "declined"]
    amount_minor: int = Field(description="of a reversal: what went back to the payer")
    decline_code: str | None = Field(description="insufficient-funds, payment-code-used, not-confirmed or reversed")
    at_us: int


class PaymentReply(BaseModel):
    """A payment as it stands. The merchant holds captured less refunded, split and disputed; `version` grows with changes."""

    attempt_id: str
    merchant: str
    tender: Literal["card", "wallet", "none"] = Field(description="none: reversed before it came")
    currency: str
    amount_minor: int
    status: Literal["pending", "authorized", "captured", "declined", "reversed", "expired"]
    created_at_us: int
    reference: str
    decline_code: str | None
    captured_minor: int
    captured_at_us: int | None
    refunded_minor: int
    split_minor: int
    disputed_minor: int
    version: int


class DisputeReply(BaseModel):
    """A dispute as it stands."""

    dispute_id: str
    attempt_id: str
    merchant: str
    amount_minor: int
    reason: str
    status: Literal["opened", "contested", "accepted", "won", "lost"]
    answer_by_us: int
    evidence: str


class LedgerPage(BaseModel):
    """Movements of money, the oldest first. Read on from `next_after` until it is null."""

    movements: list[dict[str, Any]]
    next_after: int | None
