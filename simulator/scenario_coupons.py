"""When a scenario has a coupon platform: vouchers and members' balances are among its tenders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.scenario_faults import LinkFault, fault_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.scenario_model import Scenario

COUPON_TARGETS = frozenset({"partner_coupon", "coupon_platform"})


def has_coupons(scenario: Scenario) -> bool:
    """Whether anybody pays by coupon or from a member's balance."""
    shares = scenario.payments.tenders if scenario.payments is not None else None
    return shares is not None and (shares.coupon > 0 or shares.stored_value > 0)


def coupon_flaws(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is hit and is not there, as path and message."""
    if has_coupons(scenario):
        return
    there_is_none = (
        "is there only where coupons or members' balances are tenders; add `payments: {tenders: {coupon: …}}`"
    )
    for number, fault in enumerate(scenario.faults):
        if fault_target(fault) in COUPON_TARGETS:
            field = "link" if isinstance(fault, LinkFault) else "process"
            yield ("faults", number, field), f"{fault_target(fault)} {there_is_none}"
    for link in scenario.links:
        if link in COUPON_TARGETS:
            yield ("links", link), there_is_none
