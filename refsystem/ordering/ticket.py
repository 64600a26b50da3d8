"""The ticket: the kitchen's slip, keyed by `(order_id, version, station)` (P17), and how it ages.

Every slip that an order makes at a station is a ticket of its own: the course that is fired first, the next one, and what
is left after a void. So a key never changes what it says, and a display that has shown it need not look again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, NamedTuple

from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.kitchen_errors import TICKET_STATE
from refsystem.ordering.store_rules import KitchenRules


class TicketState(StrEnum):
    """Where a ticket stands."""

    OPEN = "open"
    BUMPED = "bumped"
    SUPERSEDED = "superseded"
    """Something of it was voided before it was done: a newer version says what is left."""


class TicketEvent(StrEnum):
    """What may happen to a ticket."""

    BUMP = "bump"
    RECALL = "recall"
    SUPERSEDE = "supersede"


TICKET_TRANSITIONS: dict[tuple[TicketState, TicketEvent], TicketState] = {
    (TicketState.OPEN, TicketEvent.BUMP): TicketState.BUMPED,
    (TicketState.BUMPED, TicketEvent.RECALL): TicketState.OPEN,
    (TicketState.OPEN, TicketEvent.SUPERSEDE): TicketState.SUPERSEDED,
}

Colour = Literal["fresh", "yellow", "red"]


class TicketKey(NamedTuple):
    """What a ticket goes by."""

    order_id: str
    version: int
    station: str

    def __str__(self) -> str:
        return f"{self.order_id}/{self.version}/{self.station}"


@dataclass(frozen=True, slots=True)
class TicketLine:
    """`quantity` to be made of line `line` of the order; `cancelled` of it were voided, and are shown struck out."""

    line: int
    item_id: str
    quantity: int
    course: int
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class Ticket:
    """One slip. `seq` is the entry that made it, `rounds` how often it was bumped, `bumped_seq` where it was last.

    `replaces` is the version that it takes the place of. One that is `after_made` says that what was made already was voided:
    there is nothing to make, only to know.
    """

    version: int
    station: str
    lines: tuple[TicketLine, ...]
    seq: int
    state: TicketState = TicketState.OPEN
    rounds: int = 0
    bumped_seq: int = 0
    replaces: int = 0
    after_made: bool = False
    escalated: bool = False

    @property
    def has_work(self) -> bool:
        """Whether something of it is still to be made."""
        return self.state is TicketState.OPEN and any(line.quantity for line in self.lines)

    @property
    def is_late(self) -> bool:
        """Whether the front was told that it waits, and it still does."""
        return self.escalated and self.has_work

    def on(self, event: TicketEvent, seq: int) -> Ticket:
        """The ticket after `event`, logged at `seq`; raises `OrderRejected` when its state does not allow it."""
        after = TICKET_TRANSITIONS.get((self.state, event))
        if after is None:
            raise OrderRejected(TICKET_STATE, f"the ticket is {self.state}: there is no {event} of it")
        if event is TicketEvent.BUMP:
            return replace(self, state=after, rounds=self.rounds + 1, bumped_seq=seq)
        return replace(self, state=after, bumped_seq=0)


def colour_of(waited_s: int, rules: KitchenRules) -> Colour:
    """What a ticket that has waited for so long looks like."""
    if waited_s >= rules.red_s:
        return "red"
    return "yellow" if waited_s >= rules.yellow_s else "fresh"


def is_timed_out(waited_s: int, rules: KitchenRules) -> bool:
    """Whether the front is to be told of a ticket that has waited for so long."""
    return 0 < rules.escalate_s <= waited_s


def rank(priority: int, waited_s: int, seq: int, rules: KitchenRules) -> tuple[bool, int, int]:
    """The place of a ticket on the display, least first: red ones, then by priority, then by age."""
    return colour_of(waited_s, rules) != "red", -priority, seq
