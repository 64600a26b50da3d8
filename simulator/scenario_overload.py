"""What a scenario says about overload: a declared capacity of a store, and which remedies are off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from refsystem.overload.remedies import OffName
from refsystem.overload.settings import DELAY_MS_MAX, SERVERS_MAX
from simulator.scenario_fields import Strict

if TYPE_CHECKING:
    from simulator.scenario_model import Scenario


class DeclaredDelay(Strict):
    """A declared capacity: it lets `servers * 1000 / ms` orders a second through, and stands for a store's slowest part."""

    servers: int = Field(ge=1, le=SERVERS_MAX, description="Workers of the device that takes orders.")
    ms: float = Field(
        gt=0, le=DELAY_MS_MAX, description="How long a worker is busy with an order or an act, in real milliseconds."
    )
    read_ms: float = Field(
        0.0, ge=0, le=DELAY_MS_MAX, description="How long with a look at the menu, an order or a check."
    )

    @property
    def orders_per_s(self) -> float:
        """The capacity, if nobody looks at anything."""
        return self.servers * 1_000 / self.ms


class Overload(Strict):
    """Clients take part in the remedies against overload; left out: only the store and the cloud have them."""

    off: tuple[OffName, ...] = Field(
        (), description="Remedies that are off, at the store, the cloud and the clients; `all`: every one."
    )


def declared_per_s(scenario: Scenario) -> float | None:
    """The orders a second that all stores together are declared to let through; None if one of them declares nothing."""
    delays = [store.service_delay for store in scenario.stores]
    declared = [delay.orders_per_s for delay in delays if delay is not None]
    return sum(declared) if len(declared) == len(delays) else None


def goodput_flaws(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What lacks a measure of what is good, as path and message: a run's own best is none for a store that is bad throughout."""
    budgets = scenario.budgets
    asked, said = budgets.least_goodput_ratio is not None, budgets.least_goodput_peak_per_s is not None
    if asked and not said and declared_per_s(scenario) is None:
        text = "needs a service_delay of every store, or budgets.least_goodput_peak_per_s: else nothing says what is possible"
        yield ("budgets", "least_goodput_ratio"), text
    if said and not asked:
        yield ("budgets", "least_goodput_peak_per_s"), "means nothing without budgets.least_goodput_ratio"
