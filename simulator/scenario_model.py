"""What a scenario says: stores, diners, links, faults and budgets, as strict and frozen models.

Times that people, kitchens and partners take, and their deadlines, are *scaled*: divided by `time_scale`. Times of the
load, of faults, networks and clients' time-outs are real and never scaled.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from refsystem.ordering.order import LINES_MAX, QUANTITY_MAX, Channel
from refsystem.ordering.payment import Tender
from refsystem.ordering.store_rules import Format
from refsystem.partners.payment_gateway.misbehaviour import Rule
from simulator.arrivals import PROFILE_POINTS, Points
from simulator.model.settings import ModelSettings
from simulator.network import BUILT_IN_PROFILES, LinkProfile, symmetric
from simulator.scenario_channels import ChannelPauses
from simulator.scenario_checks import flaws
from simulator.scenario_delivery import Delivery
from simulator.scenario_faults import (
    BurstPackets,
    JitterMs,
    LatencyMs,
    LinkName,
    LinkState,
    LossPercent,
    PlannedFault,
    RateKbitS,
    Strict,
)
from simulator.scenario_overload import DeclaredDelay, Overload
from simulator.scenario_parties import Parties, PreOrders
from simulator.scenario_staff import Staff
from simulator.scenario_steady_state import BlastRadius, PlannedProbe, steady_state_flaws
from simulator.scenario_stock import StockLevels

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]


class ProfileFigures(Strict):
    """A link profile of this scenario's own, the same in both directions."""

    latency_ms: LatencyMs = 0.0
    jitter_ms: JitterMs = 0.0
    rate_kbit_s: RateKbitS | None = Field(
        None, description="Bandwidth in each direction, in kilobits per second; none: unlimited."
    )
    loss_percent: LossPercent = 0.0
    burst_packets: BurstPackets | None = None


class Store(Strict):
    """One store: two edge devices and an arbiter."""

    name: Name = Field(description="Name of the store: small letters, digits, `_` and `-`.")
    tables: int = Field(40, ge=1, le=2_000, description="Number of tables.")
    policy: Literal["available", "require_r2"] = Field(
        "available", description="With one device only: go on at R1 (`available`) or refuse (`require_r2`)."
    )
    arbiter: Literal["in_store", "in_cloud"] = Field("in_store", description="Where the arbiter runs.")
    format: Format | None = Field(
        None,
        description="Menu and rules of a usual format, the same for all stores; null: the demo menu, one slip an order.",
    )
    kitchen_seconds: float = Field(
        240.0,
        gt=0,
        le=86_400,
        description="From the ticket to its bump, in seconds, scaled. [G] fast food: 3 to 6 minutes.",
    )
    printer: bool = Field(False, description="Whether the slip of every order is printed, too.")
    receipts: bool = Field(False, description="With a printer: whether a receipt is printed when a check closes.")
    service_delay: DeclaredDelay | None = Field(
        None, description="A declared capacity of the store's devices; null: as fast as they are."
    )


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


class TenderShares(Strict):
    """The share of diners who pay with each tender; together 1."""

    cash: Share = Field(0.1, description="Share of checks paid in cash, to a waiter.")
    wallet_code: Share = Field(0.6, description="Share of checks paid with a wallet's payment code.")
    card: Share = Field(0.3, description="Share of checks paid by card.")
    coupon: Share = Field(0.0, description="Share of checks paid by a voucher; with any there is a coupon platform.")
    stored_value: Share = Field(0.0, description="Share of checks paid from a member's balance at the coupon platform.")

    @property
    def shares(self) -> dict[Tender, float]:
        """The shares by tender; coupons and balances only if anybody has them."""
        shares: dict[Tender, float] = {"cash": self.cash, "wallet_code": self.wallet_code, "card": self.card}
        more: dict[Tender, float] = {"coupon": self.coupon, "stored_value": self.stored_value}
        return shares | {tender: share for tender, share in more.items() if share > 0}


class Payments(Strict):
    """Checks are paid, and there is a payment gateway. Left out: nobody pays, and there is none."""

    tenders: TenderShares = Field(default_factory=TenderShares, description="Share of each tender.")
    patience_s: float = Field(
        600.0,
        gt=0,
        le=86_400,
        description="How long somebody who pays goes on until the check is closed, in seconds, scaled.",
    )
    wallet_confirm_s: float = Field(
        3.0, ge=0, le=3_600, description="Mean time in which a diner confirms a wallet payment, in seconds, scaled. [G]"
    )
    platform_basis_points: int = Field(
        0, ge=0, le=3_000, description="What a platform gets of each captured sum, in hundredths of a per cent."
    )
    misbehaviour: tuple[Rule, ...] = Field(
        (), max_length=32, description="What the gateway does wrong; times in `ms` are real."
    )
    accepts_unverified: Share = Field(
        0.0,
        description="Share of unverified wallet codes that the cashier takes on trust instead of giving them up. [G]",
    )
    disputes: Share = Field(
        0.0, description="Share of captured card payments that the payer disputes at the bank, and wins. [G]"
    )
    dispute_after_s: float = Field(
        30.0, ge=0, le=86_400, description="Mean time from the capture to such a dispute, in seconds, scaled. [G]"
    )


class Budgets(Strict):
    """What may go wrong before the gate says fail; what is not listed may never."""

    loss_rate: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="The 95 % upper bound of the share of lost orders must stay below; null: not asked.",
    )
    given_up: int = Field(0, ge=0, description="Most R1 orders given up with a lost disk.")
    late: int = Field(0, ge=0, description="Most orders that the kitchen shows too late.")
    late_after_s: float = Field(
        1_800.0, gt=0, description="Too late: this long after the acknowledgement, in seconds, scaled."
    )
    late_budget_ms: float | None = Field(
        None,
        gt=0,
        description="Too late: this long after the acknowledgement, in real milliseconds; null: late_after_s.",
    )
    late_allowed: Share = Field(0.0, description="Share of acknowledged orders that may be late, beside `late`.")
    refused_after_rc: int = Field(0, ge=0, description="Most orders taken by the cloud and then refused by the store.")
    late_start_share: Share = Field(
        0.02, description="Largest share of diners that the load generator may start late or drop."
    )
    failover_ms_p50: float | None = Field(
        None, gt=0, description="Largest median time to fail over, in milliseconds; null: not asked."
    )
    least_goodput_ratio: float | None = Field(
        None,
        ge=0,
        le=1,
        description="In every 5 s, orders told yes of those offered (at most the peak) are at least this; null: not asked.",
    )
    least_goodput_peak_per_s: float | None = Field(
        None,
        gt=0,
        description="That peak is the best 5 s, and at least this many orders a second; null: the stores' service_delay.",
    )


class Scenario(Strict):
    """One evening: drives the model, the load and the faults."""

    name: Name = Field(description="Name of the scenario: small letters, digits, `_` and `-`.")
    title: str = Field("", max_length=200, description="One line.")
    description: str = Field("", max_length=10_000, description="Several lines: what is shown and what is promised.")
    seed: int = Field(1, ge=0, lt=2**63, description="Seed of every random draw.")
    duration_s: float = Field(gt=0, le=86_400, description="How long load is offered, in real seconds.")
    time_scale: float = Field(
        1.0, gt=0, le=10_000, description="Divides what people, kitchens and partners take; nothing else."
    )
    stores: tuple[Store, ...] = Field((Store(name="s1"),), min_length=1, max_length=100, description="The stores.")
    diners: Diners = Field(description="Who comes and what they do.")
    links: dict[LinkName, LinkState] = Field(
        default_factory=dict, description="Standing state of links; not named: as good as it gets."
    )
    profiles: dict[Name, ProfileFigures] = Field(
        default_factory=dict, description="Link profiles beside the built-in ones."
    )
    payments: Payments | None = Field(None, description="How checks are paid; left out: nobody pays.")
    pauses: ChannelPauses | None = Field(None, description="When channels pause; left out: none ever does.")
    stock: StockLevels = Field(
        default_factory=dict,
        description="What every store receives before diners come, by ingredient; what is not named is not kept in stock.",
    )
    staff: Staff | None = Field(
        None,
        description="What the staff do beside serving checks; left out: nothing is sold out, taken back or counted.",
    )
    delivery: Delivery | None = Field(None, description="Orders from a delivery platform; left out: there is none.")
    overload: Overload | None = Field(
        None, description="How clients and store bear an overload; left out: clients ask again as `retries` says."
    )
    faults: tuple[PlannedFault, ...] = Field((), max_length=1_000, description="What goes wrong, and when.")
    blast_radius: BlastRadius | None = Field(
        None, description="What the faults may touch; left out: what they name. A fault outside is refused."
    )
    steady_state: tuple[PlannedProbe, ...] = Field(
        (), max_length=100, description="What must hold before the faults, and again after healing."
    )
    model: ModelSettings | None = Field(
        None, description="What the simulator needs beyond the drill, which ignores it; left out: its defaults."
    )
    budgets: Budgets = Field(default_factory=Budgets, description="What may go wrong before the gate says fail.")
    least_exposed: int = Field(
        0, ge=0, description="Fewer orders in flight when faults struck: the verdict is unknown."
    )
    least_acknowledged: int = Field(0, ge=0, description="Fewer acknowledged orders: the verdict is unknown.")
    converge_timeout_s: float = Field(
        30.0, gt=0, le=3_600, description="How long to wait for convergence after the load, in real seconds."
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Scenario:
        found = [*flaws(self), *steady_state_flaws(self)]
        if found:
            raise PydanticCustomError("inconsistent", "{first}", {"first": found[0].message, "flaws": found})
        return self

    def scaled_us(self, seconds: float) -> int:
        """A time of people, kitchens or partners in real microseconds: divided by `time_scale`."""
        return round(seconds * 1_000_000 / self.time_scale)

    def profile(self, name: str) -> LinkProfile:
        """The profile with this name, built in or of this scenario."""
        if name in BUILT_IN_PROFILES:
            return BUILT_IN_PROFILES[name]
        own = self.profiles[name]
        return symmetric(
            name,
            own.latency_ms,
            own.jitter_ms,
            own.rate_kbit_s,
            "this scenario",
            loss_percent=own.loss_percent,
            burst_packets=own.burst_packets,
        )

    def link_profile(self, state: LinkState, name: str = "figures") -> LinkProfile:
        """What a link state, or a `link_weak` fault, means: its profile, or its figures under `name`."""
        return state.figures(name) if state.profile is None else state.replayed(self.profile(state.profile))

    def store_of(self, store: str | None) -> Store:
        """The store with this name; None means the only (or first) one."""
        return next(candidate for candidate in self.stores if store is None or candidate.name == store)
