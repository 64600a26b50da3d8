"""What a scenario says: stores, diners, links, faults and budgets, as strict and frozen models.

Times that people, kitchens and partners take, and their deadlines, are *scaled*: divided by `time_scale`. Times of the
load, of faults, networks and clients' time-outs are real and never scaled.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from refsystem.ordering.store_rules import Format
from simulator.model.settings import ModelSettings
from simulator.network import BUILT_IN_PROFILES, LinkProfile, symmetric
from simulator.scenario_channels import ChannelPauses
from simulator.scenario_checks import flaws
from simulator.scenario_delivery import Delivery
from simulator.scenario_diners import Diners
from simulator.scenario_faults import PlannedFault
from simulator.scenario_fields import Name, Share, Strict
from simulator.scenario_links import LinkState, ProfileFigures
from simulator.scenario_overload import DeclaredDelay, Overload
from simulator.scenario_payments import Payments
from simulator.scenario_staff import Staff
from simulator.scenario_steady_state import BlastRadius, PlannedProbe, steady_state_flaws
from simulator.scenario_stock import StockLevels
from simulator.scenario_targets import LinkName


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
