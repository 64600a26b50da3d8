"""What stores and messages share in reality and each has for itself in the model, as lines for those who read its figures."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.model.fault_effects import faults_of
from simulator.model.links import LINKS
from simulator.scenario_faults import LinkWeak
from simulator.scenario_model import Scenario


def unshared(scenario: Scenario) -> list[str]:
    """That of several stores each has a cloud of its own, and that a link's rate is each message's own; none where neither is."""
    said = []
    stores = len(scenario.stores)
    if stores > 1:
        said.append(
            f"one cloud for all stores: each of the {stores} has one of its own here; cloud_busy is the mean of these"
        )
    limited = dict.fromkeys(_limited(scenario))
    if limited:
        said.append(
            f"the shared rate of a link ({', '.join(limited)}): each message has all of it, however many are on the way"
        )
    return said


def _limited(scenario: Scenario) -> Iterator[str]:
    """The links whose rate the scenario says as a figure, from the beginning or by a fault.

    A published profile's rate is what one device measured, so it is each device's own already.
    """
    weak = [each for store in scenario.stores for each in faults_of(scenario, store) if isinstance(each, LinkWeak)]
    for name, state in [*scenario.links.items(), *((fault.link, fault) for fault in weak)]:
        own = scenario.profiles.get(state.profile or "")
        if name in LINKS and (state.rate_kbit_s is not None or (own is not None and own.rate_kbit_s is not None)):
            yield name
