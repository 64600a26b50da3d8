"""Every broken variant in turn: is it caught, by what, and after how many seeds?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from chaos.campaign.campaign import Campaign, CampaignPlan, run_campaign
from chaos.campaign.judging import Failure
from chaos.campaign.simulation import Simulation
from chaos.campaign.workers import Workers


class Breaks(Protocol):
    """A broken variant, as the cluster lists it."""

    @property
    def name(self) -> str:
        """What it is called by."""

    @property
    def breaks(self) -> str:
        """What it breaks, in one sentence."""


@dataclass(frozen=True, slots=True)
class Catch:
    """How one variant fared. `seeds` were run, the last of them being `seed`, which failed; both None if none did."""

    variant: str
    breaks: str
    seeds: int
    seed: int | None
    failure: Failure | None

    @property
    def caught(self) -> bool:
        """Whether a seed failed."""
        return self.failure is not None


def catch_all(
    variants: Mapping[str, Breaks],
    first_seed: int,
    seeds: int,
    simulation: Simulation,
    workers: Workers,
    watch: Callable[[Campaign], None],
) -> Iterator[Catch]:
    """A campaign for each variant, up to its first failure; ends early when interrupted."""
    for name, variant in variants.items():
        plan = CampaignPlan(first_seed, seeds, name, check_twice_share=0.0, until_caught=True)
        campaign = run_campaign(plan, simulation, workers, watch)
        if campaign.interrupted:
            return
        first = campaign.failures[0] if campaign.failures else None
        yield Catch(
            name, variant.breaks, campaign.seeds, first.seed if first else None, first.failure if first else None
        )
