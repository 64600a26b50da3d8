"""What can be asked of the gateway, each request under an id of its caller; the hash tells two contents under one id apart."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Literal

Winner = Literal["merchant", "payer"]


@dataclass(frozen=True, slots=True)
class Authorize:
    """Hold an amount on a card. `stored_offline`: the store took it while it was offline. `attempt_id` is the request's id."""

    operation: ClassVar[str] = "authorize"
    attempt_id: str
    merchant: str
    amount_minor: int
    currency: str
    card_token: str = field(repr=False)
    stored_offline: bool
    reference: str


@dataclass(frozen=True, slots=True)
class Sale:
    """Take an amount by the code that a diner's wallet shows. `attempt_id` is the request's id."""

    operation: ClassVar[str] = "sale"
    attempt_id: str
    merchant: str
    amount_minor: int
    currency: str
    payment_code: str = field(repr=False)
    reference: str


@dataclass(frozen=True, slots=True)
class Capture:
    """Take what was authorized, or less of it, once; the rest is released."""

    operation: ClassVar[str] = "capture"
    attempt_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Reverse:
    """Let the payment be as if it had never been, also one that has not arrived yet."""

    operation: ClassVar[str] = "reverse"
    attempt_id: str
    merchant: str


@dataclass(frozen=True, slots=True)
class Refund:
    """Give back part of what was captured, or all."""

    operation: ClassVar[str] = "refund"
    attempt_id: str
    amount_minor: int
    reason: str


@dataclass(frozen=True, slots=True)
class Split:
    """Pass parts of what was captured on to other parties: `(party, amount_minor)`."""

    operation: ClassVar[str] = "split"
    attempt_id: str
    shares: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class SplitReturn:
    """Take parts back from other parties."""

    operation: ClassVar[str] = "split_return"
    attempt_id: str
    shares: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class OpenDispute:
    """The payer disputes a payment: the amount is taken from the merchant until it is ruled. Its id is the dispute's."""

    operation: ClassVar[str] = "dispute"
    attempt_id: str
    amount_minor: int
    reason: str


@dataclass(frozen=True, slots=True)
class AnswerDispute:
    """The merchant contests a dispute with its evidence, or accepts it."""

    operation: ClassVar[str] = "dispute_answer"
    dispute_id: str
    accept: bool
    evidence: str


@dataclass(frozen=True, slots=True)
class RuleDispute:
    """The bank rules."""

    operation: ClassVar[str] = "dispute_ruling"
    dispute_id: str
    winner: Winner


GatewayRequest = (
    Authorize | Sale | Capture | Reverse | Refund | Split | SplitReturn | OpenDispute | AnswerDispute | RuleDispute
)


def content_hash(request: GatewayRequest) -> str:
    """Equal for equal content; nothing of a card or a code can be read from it."""
    content = json.dumps([request.operation, asdict(request)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def code_hash(payment_code: str) -> str:
    """What is kept of a wallet's code, to know it again."""
    return hashlib.sha256(payment_code.encode()).hexdigest()
