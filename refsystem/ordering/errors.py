"""Every problem that the stack reports over HTTP: its stable type, its status, and whether nothing was written.

A problem is *definite* when the server can promise that this request left no trace. A client may give up on a definite
refusal, or try elsewhere; after an indefinite one it must ask again under the same key.
"""

from __future__ import annotations

from dataclasses import dataclass

TYPE_PREFIX = "urn:rushproof:problem:"


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of problem document (RFC 9457): `type` is `TYPE_PREFIX + slug`."""

    slug: str
    status: int
    title: str
    definite: bool

    @property
    def type(self) -> str:
        """The stable URI of this kind of problem."""
        return TYPE_PREFIX + self.slug


NOT_PRIMARY = Problem("not-primary", 503, "This device is not the primary; nothing was written", True)
OVERLOADED = Problem("overloaded", 503, "Too many requests are waiting; nothing was written", True)
STANDBY_REQUIRED = Problem(
    "standby-required", 503, "Two devices are required and one is missing; nothing was written", True
)
OUTCOME_UNKNOWN = Problem(
    "outcome-unknown", 503, "It is not known whether the order was kept; ask again, same key", False
)
NOT_CONFIRMED = Problem(
    "not-confirmed", 503, "It could not be confirmed now whether the order exists; ask again", False
)
STORAGE_UNAVAILABLE = Problem("storage-unavailable", 503, "The storage did not answer; nothing was written", True)
KEY_MISSING = Problem("key-missing", 400, "The header Idempotency-Key must hold the order's UUID", True)
KEY_REUSED = Problem("key-reused", 422, "This key was used for an order with other content", True)
ORDER_INVALID = Problem("order-invalid", 422, "The order is not well formed", True)
ITEM_UNKNOWN = Problem("item-unknown", 422, "An item is not on the menu", True)
PRICE_CHANGED = Problem("price-changed", 409, "The total differs from what the menu says", True)
ORDER_UNKNOWN = Problem("order-unknown", 404, "There is no such order", True)
STORE_UNKNOWN = Problem("store-unknown", 404, "There is no such store", True)
BREAK_GLASS_INVALID = Problem("break-glass-invalid", 422, "The request to break glass is not well formed", True)
BREAK_GLASS_NOT_NEEDED = Problem(
    "break-glass-not-needed", 409, "This device is the primary or a member; nothing was done", True
)
BREAK_GLASS_RUNNING = Problem("break-glass-running", 409, "Glass is being broken on this device already", True)
MEMBERS_DIFFER = Problem("members-differ", 409, "Those said to be off are not the store's members", True)
MEMBER_HEARD = Problem("member-heard", 409, "One that is said to be off was heard just now", True)
REGISTER_NOT_READ = Problem("register-not-read", 503, "This device has not read the register yet; ask again", True)
ACT_INVALID = Problem("act-invalid", 422, "The act is not well formed", True)
CHECK_UNKNOWN = Problem("check-unknown", 404, "There is no such check", True)
CHECK_CLOSED = Problem("check-closed", 409, "The check is closed, being paid, or merged into another", True)
CHECK_NOT_CLOSED = Problem("check-not-closed", 409, "Only a closed check can be reopened", True)
CHECK_NOT_COVERED = Problem("check-not-covered", 409, "What is paid does not cover the check", True)
CHECK_HAS_PAYMENTS = Problem("check-has-payments", 409, "Money was taken on the check that would be merged", True)
CHECK_PREPAID = Problem("check-prepaid", 409, "The check is paid at the delivery platform", True)
LINE_UNKNOWN = Problem("line-unknown", 422, "The check has no such line", True)
QUANTITY_TOO_LARGE = Problem("quantity-too-large", 409, "There are fewer left on that line", True)
TOTAL_TOO_LOW = Problem("total-too-low", 409, "The total would be below what is paid, or below zero", True)
COUPON_USED = Problem("coupon-used", 409, "This coupon was used already", True)
AMOUNT_OVER_DUE = Problem("amount-over-due", 409, "The amount is more than what is due", True)
PAYMENT_UNKNOWN = Problem("payment-unknown", 404, "There is no such payment", True)
PAYMENT_PENDING = Problem("payment-pending", 409, "An earlier payment with this tender has no final outcome yet", True)
PAYMENT_STATE = Problem("payment-state", 409, "The payment's state does not allow this", True)
REFUND_TOO_LARGE = Problem(
    "refund-too-large", 409, "The refund is more than what was captured and not yet refunded", True
)
OFFLINE_LIMIT = Problem("offline-limit", 409, "The payment is over what may be taken while the gateway is away", True)
TENDER_UNAVAILABLE = Problem("tender-unavailable", 409, "Nobody settles this tender for the store", True)
TOKEN_INVALID = Problem("token-invalid", 401, "The header Authorization must hold a token of this store", True)
NOT_ALLOWED = Problem("not-allowed", 403, "Whoever has this token may not do this", True)

PROBLEMS: dict[str, Problem] = {
    problem.type: problem
    for problem in (
        NOT_PRIMARY,
        OVERLOADED,
        STANDBY_REQUIRED,
        OUTCOME_UNKNOWN,
        NOT_CONFIRMED,
        STORAGE_UNAVAILABLE,
        KEY_MISSING,
        KEY_REUSED,
        ORDER_INVALID,
        ITEM_UNKNOWN,
        PRICE_CHANGED,
        ORDER_UNKNOWN,
        STORE_UNKNOWN,
        BREAK_GLASS_INVALID,
        BREAK_GLASS_NOT_NEEDED,
        BREAK_GLASS_RUNNING,
        MEMBERS_DIFFER,
        MEMBER_HEARD,
        REGISTER_NOT_READ,
        ACT_INVALID,
        CHECK_UNKNOWN,
        CHECK_CLOSED,
        CHECK_NOT_CLOSED,
        CHECK_NOT_COVERED,
        CHECK_HAS_PAYMENTS,
        CHECK_PREPAID,
        LINE_UNKNOWN,
        QUANTITY_TOO_LARGE,
        TOTAL_TOO_LOW,
        COUPON_USED,
        AMOUNT_OVER_DUE,
        PAYMENT_UNKNOWN,
        PAYMENT_PENDING,
        PAYMENT_STATE,
        REFUND_TOO_LARGE,
        OFFLINE_LIMIT,
        TENDER_UNAVAILABLE,
        TOKEN_INVALID,
        NOT_ALLOWED,
    )
}


class OrderRejected(Exception):
    """The order was refused before anything was written; `item_id`: for which item of the menu, if for one."""

    def __init__(self, problem: Problem, detail: str, item_id: str = "") -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
        self.item_id = item_id


class BreakGlassRefused(Exception):
    """A person's request to break glass (P19) was refused, and nothing was done."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
