"""What the staff of a store do beside serving checks, as a scenario says it, and what payers do with theirs at the bank.

All figures are guesses [G].
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from simulator.scenario_fields import Strict

if TYPE_CHECKING:
    from simulator.scenario_model import Scenario

Often = Annotated[int, Field(ge=0, le=100)]


class Staff(Strict):
    """What the staff of every store do in a run, each at a moment that is drawn. Left out: they serve checks only."""

    sold_out: Often = Field(
        1, description="How often the kitchen takes an item off every channel, and puts it back. [G]"
    )
    sold_out_s: float = Field(
        900.0, ge=0, le=86_400, description="Mean time until such an item is there again, in seconds, scaled. [G]"
    )
    recalls: Often = Field(1, description="How often the kitchen takes back a ticket that it has bumped. [G]")
    rushes: Often = Field(1, description="How often a waiter has an order made before others. [G]")
    receives: Often = Field(2, description="How many deliveries come; an ingredient is kept in stock from then on. [G]")
    delivery_pars: float = Field(
        10.0, gt=0, le=1_000, description="How much comes, as a multiple of what the store wants at a day's start. [G]"
    )
    counts: Often = Field(1, description="How often an ingredient that is kept in stock is counted. [G]")
    wastes: Often = Field(1, description="How often some of one is thrown away. [G]")
    patience_s: float = Field(
        1_800.0, gt=0, le=86_400, description="How long somebody tries to get one of these done, in seconds, scaled."
    )


def staff_flaws(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What the staff, or the payers at the bank, would have nothing to do it with, as path and message."""
    said = scenario.staff
    if said is not None and not said.receives and not scenario.stock:
        for name in ("counts", "wastes"):
            if getattr(said, name):
                yield (
                    ("staff", name),
                    "needs something that is kept in stock; set `receives` to 1 or more, or add `stock`",
                )
    payments = scenario.payments
    if payments is not None and payments.disputes and not payments.tenders.card:
        yield (
            ("payments", "disputes"),
            "only cards are disputed, and nobody pays by card; give `tenders` a share of card",
        )
    if payments is not None and payments.accepts_unverified and not payments.tenders.wallet_code:
        what = "only wallet codes are unverified, and nobody pays by one; give `tenders` a share of wallet_code"
        yield ("payments", "accepts_unverified"), what
