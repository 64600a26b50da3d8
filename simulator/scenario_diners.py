"""Who comes, by which channel, what they order, and how they and their devices ask again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from refsystem.ordering.order import LINES_MAX, QUANTITY_MAX, Channel
from simulator.arrivals import PROFILE_POINTS, Points
from simulator.scenario_fields import Share, Strict
from simulator.scenario_parties import Parties, PreOrders


class Arrivals(Strict):
    """The open arrival process, over all stores together."""

    rate_per_s: float = Field(
        gt=0, le=10_000, description="Mean arrivals per real second over the whole duration, all stores together."
    )
    profile: Literal["constant", "ramp", "lunch", "points"] = Field(
        "constant", description="How the rate changes over the duration; `points`: as given in `points`."
    )
    points: tuple[tuple[Share, Annotated[float, Field(ge=0)]], ...] | None = Field(
        None,
        description="For profile `points`: [fraction of the duration, relative rate], ascending; scaled to the mean.",
    )

    @property
    def curve(self) -> Points:
        """The relative rate over the fraction of the duration."""
        return self.points if self.points is not None else PROFILE_POINTS[self.profile]


class Channels(Strict):
    """The share of each channel; together 1."""

    qr: Share = Field(0.6, description="Share of diners who order at the table by QR code (at the edge).")
    cashier: Share = Field(0.2, description="Share of orders that a cashier enters (at the edge).")
    mini_program: Share = Field(0.2, description="Share of diners who order by mini-program (at the cloud).")
    kiosk: Share = Field(0.0, description="Share of diners who order and pay at a kiosk (at the edge).")
    waiter: Share = Field(0.0, description="Share of diners whose order a waiter enters at their table (at the edge).")

    @property
    def shares(self) -> dict[Channel, float]:
        """The shares by channel, of the channels that a store may lack only when there are any."""
        more: dict[Channel, float] = {"kiosk": self.kiosk, "waiter": self.waiter}
        always: dict[Channel, float] = {"qr": self.qr, "cashier": self.cashier, "mini_program": self.mini_program}
        return always | {channel: share for channel, share in more.items() if share}


class Basket(Strict):
    """How much one order holds."""

    lines_mean: float = Field(
        4.0,
        ge=1,
        le=LINES_MAX,
        description="Mean number of lines of an order (geometric, before the cut). [G] fast food 3, casual 6.",
    )
    by_format: bool = Field(
        False,
        description="As many lines as the store's format orders, instead of lines_mean. [G] hotpot 14 items, tea 1.6.",
    )
    lines_max: int = Field(20, ge=1, le=LINES_MAX, description="Most lines of an order.")
    quantity_max: int = Field(3, ge=1, le=QUANTITY_MAX, description="Largest quantity of a line.")


class Retries(Strict):
    """How a diner's device asks again, always under the same key."""

    attempts_max: int = Field(6, ge=1, le=100, description="Most attempts of one submission, the first included.")
    backoff_ms: int = Field(
        150, ge=1, le=60_000, description="Wait before the second attempt, in milliseconds; doubled each time."
    )
    backoff_max_ms: int = Field(1_500, ge=1, le=600_000, description="Longest wait between attempts, in milliseconds.")


class Behaviours(Strict):
    """What people do beside ordering once."""

    double_tap: Share = Field(0.03, description="Share of diners who send the same order twice at once.")
    two_doors: Share = Field(
        0.02, description="Share of diners whose order goes to the edge and to the cloud at once, under one key."
    )
    reorders: Share = Field(
        0.5, description="Share of the other diners who, on giving up, order once more under a new key."
    )


class Diners(Strict):
    """Who comes, what they order, and how long they bear it."""

    arrivals: Arrivals = Field(description="The open arrival process.")
    channels: Channels = Field(default_factory=Channels, description="Share of each channel.")
    basket: Basket = Field(default_factory=Basket, description="How much one order holds.")
    parties: Parties | None = Field(None, description="Who dines in comes in parties with one open check; null: alone.")
    pre_orders: PreOrders | None = Field(None, description="Orders by mini-program for a later pick-up; null: none.")
    think_s: float = Field(
        60.0, ge=0, le=86_400, description="Mean time from the menu to the order, in seconds, scaled."
    )
    patience_s: float = Field(
        600.0,
        gt=0,
        le=86_400,
        description="Mean time from the order until a diner without an answer gives up, in seconds, scaled.",
    )
    poll_s: float = Field(
        60.0, gt=0, le=86_400, description="Mean time between looks at the order's state, in seconds, scaled."
    )
    polls_max: int = Field(10, ge=0, le=1_000, description="Most looks at the order's state.")
    attempt_timeout_ms: int = Field(
        2_000, ge=1, le=600_000, description="How long a device waits for one answer, in milliseconds."
    )
    retries: Retries = Field(default_factory=Retries, description="How a device asks again.")
    behaviours: Behaviours = Field(default_factory=Behaviours, description="What people do beside ordering once.")
