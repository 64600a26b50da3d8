"""How people dine together, and ahead: parties that share one open check, and pre-orders with a pick-up time.

Figures marked [G] are guesses; the others are published (Kimes & Thompson on dining times).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from simulator.scenario_fields import Share, Strict

if TYPE_CHECKING:
    from simulator.scenario_model import Scenario

PARTY_MAX = 20


class CheckHabits(Strict):
    """What happens to checks beside ordering and paying, as shares of the parties. All are guesses [G]."""

    transfers: Share = Field(0.03, description="Share of parties that move to another table. [G]")
    merges: Share = Field(
        0.03, description="Share of parties with an order on a check apart, merged before they pay. [G]"
    )
    voids: Share = Field(0.04, description="Share of checks of which a manager voids something. [G]")
    comps: Share = Field(0.02, description="Share of checks of which a manager gives something free. [G]")
    coupons: Share = Field(0.1, description="Share of checks with a coupon, used once. [G]")
    splits_evenly: Share = Field(0.08, description="Share of parties of two and more that split the check evenly. [G]")
    splits_by_line: Share = Field(0.05, description="Share of parties of two and more that split it by lines. [G]")
    several_tenders: Share = Field(0.1, description="Share of checks paid with two tenders, one after the other. [G]")
    refunds: Share = Field(
        0.02, description="Share of paid checks of which a dish is taken off and its money given back. [G]"
    )


class Parties(Strict):
    """Who dines in (`qr`, `waiter`) comes in parties with one open check. Left out: everybody orders once, alone."""

    sizes: tuple[Share, ...] = Field(
        (0.10, 0.40, 0.20, 0.18, 0.12),
        min_length=1,
        max_length=PARTY_MAX,
        description="Share of parties of 1, 2, 3, … diners; together 1. [G] for China.",
    )
    add_ons_mean: float = Field(
        2.5, ge=0, le=20, description="Mean number of further orders on a check, by any member's phone. [G] hotpot"
    )
    add_on_lines_mean: float = Field(2.0, ge=1, le=20, description="Mean number of lines of such an order. [G]")
    dining_s: float = Field(
        2_970.0,
        gt=0,
        le=86_400,
        description="Mean time from the first order to the bill, in seconds, scaled; longer for larger parties. "
        "Casual dining 49.5 min; hotpot 90 min. [G]",
    )
    dining_deviation_s: float = Field(
        1_080.0, ge=0, le=86_400, description="Standard deviation of that time, in seconds, scaled. Hotpot 25 min. [G]"
    )
    habits: CheckHabits = Field(default_factory=CheckHabits, description="What happens to checks besides.")


class PreOrders(Strict):
    """Orders by mini-program for later. Left out: everybody waits for theirs."""

    share: Share = Field(0.4, description="Share of mini-program diners who order for a later pick-up. [G]")
    ahead_s: float = Field(
        1_200.0, gt=0, le=86_400, description="Mean time from such an order to its pick-up, in seconds, scaled. [G]"
    )


def party_flaws(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What does not fit together in the parties of `scenario`: the path of a field, and what is wrong and would be right."""
    formats = [store.format for store in scenario.stores]
    for number, each in enumerate(formats):
        if each != formats[0]:
            yield (
                ("stores", number, "format"),
                f"is {each or 'none'}, and the first store's {formats[0] or 'none'}; all diners of a scenario have one menu, "
                "so give all stores the same",
            )
    parties = scenario.diners.parties
    if parties is None:
        return
    total = math.fsum(parties.sizes)
    if not math.isclose(total, 1, abs_tol=1e-6):
        yield ("diners", "parties", "sizes"), f"the shares sum to {total:g}; all sizes together must sum to 1"
    habits = parties.habits
    if habits.splits_evenly + habits.splits_by_line > 1 + 1e-9:
        yield (
            ("diners", "parties", "habits"),
            "splits_evenly and splits_by_line are more than 1 together; lower one of them",
        )
    if habits.voids + habits.comps > 1 + 1e-9:
        yield ("diners", "parties", "habits"), "voids and comps are more than 1 together; lower one of them"
