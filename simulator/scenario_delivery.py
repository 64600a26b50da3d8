"""Orders that come from a delivery platform, as a scenario says them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from refsystem.partners.delivery_platform.misbehaviour import Rule
from simulator.scenario_faults import LinkFault, fault_target
from simulator.scenario_fields import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.scenario_model import Scenario

DELIVERY_TARGETS = frozenset({"partner_cloud", "delivery_platform"})


class Delivery(Strict):
    """A delivery platform, on which people order. Left out: there is none."""

    orders_per_s: float = Field(
        gt=0, le=100, description="Orders placed at the platform per real second, all stores together."
    )
    cancel_share: float = Field(0.02, ge=0, le=1, description="Share of them that their diners cancel. [G]")
    cancel_after_s: float = Field(
        120.0,
        gt=0,
        le=86_400,
        description="Mean time from an order to its diner's cancelling it, in seconds, scaled. [G]",
    )
    accepts: Literal["store", "cloud"] = Field(
        "store", description="An order is accepted when its store has committed it, or when the cloud has."
    )
    misbehaviour: tuple[Rule, ...] = Field(
        (), max_length=16, description="What the platform does wrong all the time; times in `ms` are real."
    )


def delivery_flaws(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is hit and is not there, as path and message."""
    if scenario.delivery is not None:
        return
    there_is_none = "is there only in a scenario with delivery; add `delivery: {orders_per_s: 1}`"
    for number, fault in enumerate(scenario.faults):
        if fault_target(fault) in DELIVERY_TARGETS:
            field = "link" if isinstance(fault, LinkFault) else "process"
            yield ("faults", number, field), f"{fault_target(fault)} {there_is_none}"
    for link in scenario.links:
        if link in DELIVERY_TARGETS:
            yield ("links", link), there_is_none
