"""One payment of a check, and its refunds: the only ways from one state to the next, as literal tables (P16).

A payment attempt's id is in the log before its gateway hears of it. What the gateway answers comes back through the log as a
step. A state is left only by the steps that stand in `PAYMENT_TRANSITIONS`, whoever proposes them; no way leads back to an
earlier state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from refsystem.ordering.money import share_of

Tender = Literal["cash", "wallet_code", "card", "stored_value", "coupon"]
TENDERS: tuple[Tender, ...] = ("cash", "wallet_code", "card", "stored_value", "coupon")


class PaymentState(StrEnum):
    """What is known of a payment attempt in the store's log."""

    PENDING = "pending"
    """In the log; what the gateway makes of it is not known."""
    AUTHORIZED = "authorized"
    """The card's sum is held, not taken."""
    STORED = "stored"
    """Taken on trust while the gateway was silent; it covers the check, and is captured on reconnect."""
    UNVERIFIED = "unverified"
    """A wallet code that could not be asked about in time: staff decide."""
    REVERSING = "reversing"
    """To be undone at the gateway, whatever it made of it; covers nothing."""
    EXPIRING = "expiring"
    """Stored for too long: to be undone at the gateway; the check it covered stays closed."""
    CAPTURED = "captured"
    DECLINED = "declined"
    REVERSED = "reversed"
    BAD_DEBT = "bad_debt"
    """Stored, and declined afterwards: the store's loss, never the diner's lost order."""
    UNWANTED = "unwanted"
    """Captured although it was to be undone, and beyond reversal: covers nothing and is refunded whole."""
    CHARGED_BACK = "charged_back"
    """Captured, and taken back in a dispute: the store's loss."""


class Step(StrEnum):
    """What moves a payment on."""

    AUTHORIZE = "authorized"
    CAPTURE = "captured"
    DECLINE = "declined"
    REVERSE = "reversed"
    STORE = "stored"
    UNVERIFY = "unverified"
    STOP = "stopped"
    """The time of a wallet code, or of a coupon's verification, is over: it is to be undone."""
    CANCEL = "cancelled"
    """A person gives the attempt up."""
    ACCEPT = "accepted"
    """A person takes an unverified wallet code on trust."""
    EXPIRE = "expired"
    LOSE = "bad_debt"
    IRREVERSIBLE = "irreversible"
    """The gateway has captured it and does not undo it any more."""
    CHARGE_BACK = "charged_back"


GATEWAY_STEPS = frozenset(Step) - {Step.CANCEL, Step.ACCEPT}
"""The steps that come as a `payment_outcome`, never from a person."""

_P, _S = PaymentState, Step
PAYMENT_TRANSITIONS: dict[tuple[PaymentState, Step], PaymentState] = {
    (_P.PENDING, _S.AUTHORIZE): _P.AUTHORIZED,
    (_P.PENDING, _S.CAPTURE): _P.CAPTURED,
    (_P.PENDING, _S.DECLINE): _P.DECLINED,
    (_P.PENDING, _S.REVERSE): _P.REVERSED,
    (_P.PENDING, _S.STORE): _P.STORED,
    (_P.PENDING, _S.UNVERIFY): _P.UNVERIFIED,
    (_P.PENDING, _S.STOP): _P.REVERSING,
    (_P.PENDING, _S.CANCEL): _P.REVERSING,
    (_P.AUTHORIZED, _S.CAPTURE): _P.CAPTURED,
    (_P.AUTHORIZED, _S.DECLINE): _P.DECLINED,
    (_P.AUTHORIZED, _S.REVERSE): _P.REVERSED,
    (_P.AUTHORIZED, _S.STORE): _P.STORED,
    (_P.AUTHORIZED, _S.CANCEL): _P.REVERSING,
    (_P.UNVERIFIED, _S.CAPTURE): _P.CAPTURED,
    (_P.UNVERIFIED, _S.DECLINE): _P.DECLINED,
    (_P.UNVERIFIED, _S.REVERSE): _P.REVERSED,
    (_P.UNVERIFIED, _S.ACCEPT): _P.STORED,
    (_P.UNVERIFIED, _S.CANCEL): _P.REVERSING,
    (_P.STORED, _S.CAPTURE): _P.CAPTURED,
    (_P.STORED, _S.LOSE): _P.BAD_DEBT,
    (_P.STORED, _S.EXPIRE): _P.EXPIRING,
    (_P.STORED, _S.CANCEL): _P.REVERSING,
    (_P.EXPIRING, _S.LOSE): _P.BAD_DEBT,
    (_P.EXPIRING, _S.IRREVERSIBLE): _P.CAPTURED,
    (_P.REVERSING, _S.REVERSE): _P.REVERSED,
    (_P.REVERSING, _S.IRREVERSIBLE): _P.UNWANTED,
    (_P.CAPTURED, _S.CHARGE_BACK): _P.CHARGED_BACK,
}

STEP_TENDERS: dict[Step, frozenset[Tender]] = {
    Step.AUTHORIZE: frozenset({"card"}),
    Step.STORE: frozenset({"card", "stored_value"}),
    Step.UNVERIFY: frozenset({"wallet_code"}),
    Step.STOP: frozenset({"wallet_code", "coupon"}),
    Step.ACCEPT: frozenset({"wallet_code"}),
}
"""Steps that only these tenders take; a step that is not named here is open to all."""

COVERS = frozenset({_P.CAPTURED, _P.STORED, _P.EXPIRING, _P.BAD_DEBT, _P.CHARGED_BACK})
"""The attempt counts as paid on its check."""
UNDECIDED = frozenset({_P.PENDING, _P.AUTHORIZED, _P.UNVERIFIED})
"""The attempt may still count: its sum is not due again meanwhile."""
NOT_FINAL = UNDECIDED | {_P.REVERSING}
"""No second attempt of the same tender on the check (P16)."""
NEVER_TAKEN = frozenset({_P.DECLINED, _P.REVERSED})


class RefundState(StrEnum):
    """What is known of a refund."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


RefundStep = Literal["done", "failed"]
REFUND_TRANSITIONS: dict[tuple[RefundState, RefundStep], RefundState] = {
    (RefundState.PENDING, "done"): RefundState.DONE,
    (RefundState.PENDING, "failed"): RefundState.FAILED,
}

PartiesState = Literal["none", "due", "done"]
"""Whether a captured sum is to be split between store, platform and brand, and whether that is done."""
Shares = tuple[tuple[str, int], ...]
"""`(party, amount_minor)`; what is left is the store's own."""


@dataclass(frozen=True, slots=True)
class Refund:
    """Money given back of one payment. `returned` is what the parties give back before it."""

    refund_id: str
    amount_minor: int
    state: RefundState
    returned: Shares = ()

    def stepped(self, step: RefundStep, parties_returned: bool) -> Refund:
        """After the gateway's last word; raises `KeyError` for a step that its state does not take."""
        state = REFUND_TRANSITIONS[self.state, step]
        return replace(self, state=state, returned=self.returned if step == "done" or parties_returned else ())


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment attempt. `changed_seq` is the log entry that brought it to its state: before that commits, nobody acts on it.

    `at_ms` is the wall clock when it was taken. `instrument` is what the gateway charges: a payment code, a card's token, a
    member, a voucher. `detail` is what whoever settles it said last, such as why it was declined.
    """

    attempt_id: str
    tender: Tender
    amount_minor: int
    at_ms: int
    changed_seq: int
    state: PaymentState = PaymentState.PENDING
    instrument: str = ""
    given_minor: int = 0
    parties: Shares = ()
    parties_state: PartiesState = "none"
    refunds: tuple[Refund, ...] = ()
    reference: str = ""
    detail: str = ""

    @property
    def refunded_minor(self) -> int:
        """What was given back, or is about to be: all but failed refunds."""
        return sum(refund.amount_minor for refund in self.refunds if refund.state is not RefundState.FAILED)

    @property
    def refundable_minor(self) -> int:
        """What may still be given back of what was captured."""
        taken = self.state in (PaymentState.CAPTURED, PaymentState.UNWANTED)
        return self.amount_minor - self.refunded_minor if taken else 0

    @property
    def cover_minor(self) -> int:
        """What it adds to what is paid on its check, net of refunds; an attempt that is undecided counts whole."""
        if self.state in COVERS:
            return self.amount_minor - self.refunded_minor
        return self.amount_minor if self.state in UNDECIDED else 0

    @property
    def is_settled(self) -> bool:
        """Whether nothing more comes of it that could change the check: it may be closed."""
        return not (
            self.state in NOT_FINAL
            or any(refund.state is RefundState.PENDING for refund in self.refunds)
            or (self.state is PaymentState.UNWANTED and self.refundable_minor > 0)
        )

    @property
    def needs_gateway(self) -> bool:
        """Whether something is to be done at the gateway."""
        return (
            not self.is_settled
            or self.state in (PaymentState.STORED, PaymentState.EXPIRING)
            or (self.state is PaymentState.CAPTURED and self.parties_state == "due")
        )

    def takes(self, step: Step) -> bool:
        """Whether `step` is open to it now."""
        return (self.state, step) in PAYMENT_TRANSITIONS and self.tender in STEP_TENDERS.get(step, TENDERS)

    def stepped(self, step: Step, seq: int, reference: str = "", detail: str = "") -> Payment:
        """After `step`, logged at `seq`; it must be one that it `takes`."""
        assert self.takes(step), f"a {self.tender} payment that is {self.state} does not take {step}"
        state = PAYMENT_TRANSITIONS[self.state, step]
        return replace(self, state=state, changed_seq=seq, reference=reference or self.reference, detail=detail)

    def to_return(self, refund_minor: int) -> Shares:
        """What each party gives back before a refund of `refund_minor`: its share of all refunds, less what it gave already."""
        if self.parties_state == "none" or self.state is not PaymentState.CAPTURED:
            return ()
        back_minor = min(self.refunded_minor + refund_minor, self.amount_minor)
        due = []
        for party, share_minor in self.parties:
            given = sum(amount for refund in self.refunds for returner, amount in refund.returned if returner == party)
            due.append((party, max(0, share_of(share_minor, back_minor, self.amount_minor) - given)))
        return tuple((party, amount) for party, amount in due if amount > 0)
