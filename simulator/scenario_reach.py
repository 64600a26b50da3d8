"""What a fault of a link comes to hit: the links that its name stands for in the store it is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.scenario_faults import Fault, LinkFault
from simulator.scenario_targets import LinkName

if TYPE_CHECKING:
    from simulator.scenario_model import Scenario, Store


def link_kinds(link: LinkName, store: Store) -> tuple[LinkName, ...]:
    """An arbiter that stands in the cloud is reached over the store's WAN: what hits that, hits the way to it."""
    if link == "edge_cloud" and store.arbiter == "in_cloud":
        return ("edge_cloud", "edge_arbiter")
    return (link,)


def store_hit(scenario: Scenario, fault: Fault) -> Store:
    """The store that a fault is on: the one that it names, or the first."""
    return next((store for store in scenario.stores if store.name == fault.store), scenario.stores[0])


def links_hit(fault: Fault, store: Store) -> tuple[LinkName, ...]:
    """The links that a fault on this store hits; none if it is one of a process."""
    return link_kinds(fault.link, store) if isinstance(fault, LinkFault) else ()
