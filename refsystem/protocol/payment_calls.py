"""What the cashier asks of the gateway and what it makes of the answers, as literal tables (P16)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from refsystem.ordering.payment import PaymentState, Shares, Step, Tender


class Op(StrEnum):
    """What the gateway is asked to do. `AUTHORIZE` and `SALE` begin a payment."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    SALE = "sale"
    QUERY = "query"
    REVERSE = "reverse"
    SPLIT = "split"
    RETURN = "return"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the gateway, to be made once. The driver answers it by `Cashier.answered` with the same `call_id`.

    `attempt_id` is the payment's id at the gateway, `key` the idempotency key of this request (a UUID): the same whenever and
    by whomever it is made again. `amount_minor` is 0 where the gateway knows it. After `timeout_ms` nobody waits for it any more.
    """

    call_id: int
    op: Op
    attempt_id: str
    key: str
    tender: Tender
    amount_minor: int = 0
    instrument: str = ""
    shares: Shares = ()
    timeout_ms: int = 0


class Result(StrEnum):
    """What an answer means. A query tells where the payment stands; other calls what they did."""

    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    WAITING = "waiting"
    """The gateway has it and waits, for the diner to confirm: ask again."""
    DECLINED = "declined"
    """Finally no: under this id nothing is ever taken. Of a refund, a split or a return: it will not be done."""
    REVERSED = "reversed"
    """Undone, or barred before it came: under this id nothing is ever taken any more."""
    UNKNOWN = "unknown"
    """The gateway does not know the id, at this moment: never final."""
    IRREVERSIBLE = "irreversible"
    """It is not reversed any more, now or later: too late, or its money was moved on. Whether it is captured is asked."""
    DONE = "done"
    REFUSED = "refused"
    """Not now: nothing was done, and the same request may come again (too early, overloaded, state forbids)."""
    NO_ANSWER = "no_answer"
    """It may have been done or not: a time-out, a reset, any 5xx, or the gateway was not reached at all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway said to a call. `reference` is the gateway's own number of the payment."""

    result: Result
    reference: str = ""
    detail: str = ""


class Known(StrEnum):
    """What this life of this device knows of a payment at the gateway. It is forgotten with the role and at every restart."""

    NOTHING_SENT = "nothing_sent"
    DOUBT = "doubt"
    UNKNOWN = "unknown"
    WAITING = "waiting"
    AUTHORIZED = "authorized"
    IRREVERSIBLE = "irreversible"


_P, _K, _R = PaymentState, Known, Result

NEXT_OP: dict[tuple[PaymentState, Known], Op | Literal["take"]] = {
    (_P.PENDING, _K.NOTHING_SENT): "take",
    (_P.PENDING, _K.DOUBT): Op.QUERY,
    (_P.PENDING, _K.UNKNOWN): "take",
    (_P.PENDING, _K.WAITING): Op.QUERY,
    (_P.PENDING, _K.AUTHORIZED): Op.QUERY,
    (_P.PENDING, _K.IRREVERSIBLE): Op.QUERY,
    (_P.AUTHORIZED, _K.NOTHING_SENT): Op.QUERY,
    (_P.AUTHORIZED, _K.DOUBT): Op.QUERY,
    (_P.AUTHORIZED, _K.UNKNOWN): "take",
    (_P.AUTHORIZED, _K.WAITING): Op.QUERY,
    (_P.AUTHORIZED, _K.AUTHORIZED): Op.CAPTURE,
    (_P.AUTHORIZED, _K.IRREVERSIBLE): Op.QUERY,
    (_P.STORED, _K.NOTHING_SENT): Op.QUERY,
    (_P.STORED, _K.DOUBT): Op.QUERY,
    (_P.STORED, _K.UNKNOWN): "take",
    (_P.STORED, _K.WAITING): Op.QUERY,
    (_P.STORED, _K.AUTHORIZED): Op.CAPTURE,
    (_P.STORED, _K.IRREVERSIBLE): Op.QUERY,
    **{(_P.UNVERIFIED, known): Op.QUERY for known in Known if known is not _K.UNKNOWN},
    (_P.UNVERIFIED, _K.UNKNOWN): "take",
    **{(state, known): Op.REVERSE for state in (_P.REVERSING, _P.EXPIRING) for known in Known},
    (_P.REVERSING, _K.IRREVERSIBLE): Op.QUERY,
    (_P.EXPIRING, _K.IRREVERSIBLE): Op.QUERY,
}
"""What to call next; "take" begins the payment, under the same id however often. A state that is not here needs no call.

An unverified wallet code is taken only while its time is not over: the diner still stands there. After that it is asked about.

`REVERSE` follows only from a state that is in the log: a reversal that nobody has written down could undo what a new primary
has seen captured meanwhile.
"""

STEP_OF: dict[tuple[PaymentState, Result], Step] = {
    (_P.PENDING, _R.AUTHORIZED): Step.AUTHORIZE,
    (_P.PENDING, _R.CAPTURED): Step.CAPTURE,
    (_P.PENDING, _R.DECLINED): Step.DECLINE,
    (_P.PENDING, _R.REVERSED): Step.REVERSE,
    (_P.AUTHORIZED, _R.CAPTURED): Step.CAPTURE,
    (_P.AUTHORIZED, _R.DECLINED): Step.DECLINE,
    (_P.AUTHORIZED, _R.REVERSED): Step.REVERSE,
    (_P.STORED, _R.CAPTURED): Step.CAPTURE,
    (_P.STORED, _R.DECLINED): Step.LOSE,
    (_P.STORED, _R.REVERSED): Step.LOSE,
    (_P.UNVERIFIED, _R.CAPTURED): Step.CAPTURE,
    (_P.UNVERIFIED, _R.DECLINED): Step.DECLINE,
    (_P.UNVERIFIED, _R.REVERSED): Step.REVERSE,
    (_P.REVERSING, _R.REVERSED): Step.REVERSE,
    (_P.REVERSING, _R.DECLINED): Step.REVERSE,
    (_P.EXPIRING, _R.REVERSED): Step.LOSE,
    (_P.EXPIRING, _R.DECLINED): Step.LOSE,
}
"""What an answer makes of a payment. One that is not here is knowledge for the next call only.

"Captured" settles nothing while a payment is to be undone, for a reversal may be on its way; only when the gateway has said that
it reverses it no more (`STEP_WHEN_IRREVERSIBLE`).
"""

STEP_WHEN_IRREVERSIBLE: dict[tuple[PaymentState, Result], Step] = {
    (_P.REVERSING, _R.CAPTURED): Step.IRREVERSIBLE,
    (_P.EXPIRING, _R.CAPTURED): Step.IRREVERSIBLE,
}
"""What an answer makes of a payment besides, when it is known to be beyond reversal."""

KNOWN_AFTER: dict[Result, Known] = {
    Result.AUTHORIZED: Known.AUTHORIZED,
    Result.WAITING: Known.WAITING,
    Result.UNKNOWN: Known.UNKNOWN,
    Result.IRREVERSIBLE: Known.IRREVERSIBLE,
}
"""What is known after an answer; after every other one, doubt."""


Partner = Literal["gateway", "coupons"]
PARTNER_OF: dict[Tender, Partner] = {
    "card": "gateway",
    "wallet_code": "gateway",
    "coupon": "coupons",
    "stored_value": "coupons",
}
"""Who settles a tender: one may be away while the other answers. Cash is settled by nobody."""


@dataclass(frozen=True, slots=True)
class CashierLimits:
    """Times in milliseconds. The first ones, up to `coupon_later_ms`, are business time; the others are never scaled."""

    wallet_stop_ms: int = 30_000
    """A wallet code that has no result by then is undone."""
    reverse_after_ms: int = 15_000
    """A wallet payment is reversed no sooner than this."""
    stored_age_ms: int = 86_400_000
    """What was stored for longer is not captured any more."""
    coupon_retry_ms: int = 5_000
    """Between the first tries to verify a coupon; there are `coupon_first_tries` of them."""
    coupon_later_ms: int = 40_000
    """Between the later ones."""
    coupon_first_tries: int = 5
    coupon_tries_max: int = 14
    """A coupon that could not be verified in so many tries is given up, and undone."""
    call_timeout_ms: int = 5_000
    retry_ms: int = 1_000
    """The first pause after a call without an answer; doubled each time."""
    retry_max_ms: int = 30_000
    ask_again_ms: int = 1_000
    """Between two questions about a payment that waits for its diner."""
    offline_after_ms: int = 8_000
    """The gateway is away when it has answered nobody for that long: more than one call's time-out, so that one does not tell."""
    act_retry_ms: int = 1_000
    """When an act that did not come back through the log is proposed again."""
    calls_max: int = 32
    """Calls under way at once (P20)."""

    def scaled(self, time_scale: float) -> CashierLimits:
        """With business times divided by the scenario's `time_scale`."""
        return replace(
            self,
            wallet_stop_ms=max(1, round(self.wallet_stop_ms / time_scale)),
            reverse_after_ms=round(self.reverse_after_ms / time_scale),
            stored_age_ms=max(1, round(self.stored_age_ms / time_scale)),
            coupon_retry_ms=max(1, round(self.coupon_retry_ms / time_scale)),
            coupon_later_ms=max(1, round(self.coupon_later_ms / time_scale)),
        )
