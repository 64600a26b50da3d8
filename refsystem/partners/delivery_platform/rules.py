"""What becomes of an order at the platform: the only ways from one state to the next, as a literal table."""

from __future__ import annotations

from enum import StrEnum


class OrderState(StrEnum):
    """Where an order stands at the platform."""

    PENDING = "pending"
    """Placed and paid for; its store has not answered."""
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What happens to an order."""

    ACCEPT = "accept"
    REJECT = "reject"
    CANCEL = "cancel"
    """The diner does not want it any more, before or after its store took it."""
    EXPIRE = "expire"
    """The store has not answered in time."""


_S, _E = OrderState, Event
TRANSITIONS: dict[tuple[OrderState, Event], OrderState] = {
    (_S.PENDING, _E.ACCEPT): _S.ACCEPTED,
    (_S.PENDING, _E.REJECT): _S.REJECTED,
    (_S.PENDING, _E.CANCEL): _S.CANCELLED,
    (_S.PENDING, _E.EXPIRE): _S.CANCELLED,
    (_S.ACCEPTED, _E.CANCEL): _S.CANCELLED,
}
CANCELLED_BY: dict[Event, str] = {Event.CANCEL: "diner", Event.EXPIRE: "deadline"}
