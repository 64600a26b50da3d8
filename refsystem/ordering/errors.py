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
    )
}


class OrderRejected(Exception):
    """The order was refused before anything was written."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail


class BreakGlassRefused(Exception):
    """A person's request to break glass (P19) was refused, and nothing was done."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
