"""The steady-state hypothesis and the blast radius of a scenario: what must hold, and what faults may touch.

The hypothesis must hold before the faults (else nothing can be learned from them) and again after healing. What it shows
while the faults last is recorded, and judged only where the probe says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from simulator.scenario_checks import Flaw, one_of
from simulator.scenario_faults import fault_label, fault_target
from simulator.scenario_fields import Strict
from simulator.scenario_reach import links_hit, store_hit
from simulator.scenario_targets import LinkName, ProcessName

if TYPE_CHECKING:
    from simulator.scenario_faults import Fault
    from simulator.scenario_model import Scenario, Store

ProbedLink = Literal["diner_edge", "diner_cloud", "edge_arbiter", "edge_cloud", "edge_kds"]
FigureName = Literal["cloud_behind", "kitchen_behind", "standby_behind", "requests_waiting", "tickets_waiting"]
TouchedProcess = Literal[ProcessName, "store", "survivor"]
EITHER_DEVICE = frozenset({"primary", "standby", "survivor"})
BOTH_DEVICES = frozenset({"edge_a", "edge_b"})

During = Annotated[
    Literal["recorded", "judged"],
    Field(description="While faults last: only written down, or part of the verdict."),
]
ProbeName = Annotated[str, Field(min_length=1, max_length=80, description="Name in reports.")]


class HttpProbe(Strict):
    """A URL, or a link of the stack, answers with the right status in time."""

    probe: Literal["http"] = Field(description="A GET is answered with the right status in time.")
    name: ProbeName
    url: str | None = Field(None, max_length=2_000, description="The URL that is asked; or give a link and a path.")
    link: ProbedLink | None = Field(None, description="The link over which is asked, with all that is on it.")
    store: str | None = Field(None, description="The store whose link it is; may be left out when there is only one.")
    path: str = Field("/health", pattern=r"^/", max_length=500, description="With a link: the path that is asked.")
    status: int = Field(200, ge=100, le=599, description="The status that must be answered.")
    within_ms: float = Field(1_000.0, gt=0, le=60_000, description="The answer must be there within, in milliseconds.")
    during: During = "recorded"


class AnsweredProbe(Strict):
    """Enough of the orders that were answered lately, one way or the other, were told yes."""

    probe: Literal["orders_answered"] = Field(description="Enough of the latest orders were told yes.")
    name: ProbeName
    share: float = Field(gt=0, le=1, description="The least share of orders told yes.")
    last_s: float = Field(
        5.0, gt=0, le=3_600, description="Of those answered, or given up waiting for, in so many of the last seconds."
    )
    store: str | None = Field(None, description="Of this store; left out: of all.")
    during: During = "recorded"


class FigureProbe(Strict):
    """A figure of the stack's own telling, of entries, requests or tickets, is not above a bound."""

    probe: Literal["figure"] = Field(description="A lag or a queue of the stack is not above a bound.")
    name: ProbeName
    figure: FigureName = Field(
        description="Entries that the cloud, the kitchen display or the standby lacks; requests or tickets that wait."
    )
    most: int = Field(ge=0, le=10_000_000, description="The most that it may be.")
    store: str | None = Field(None, description="The store; may be left out when there is only one.")
    during: During = "recorded"


SteadyProbe = HttpProbe | AnsweredProbe | FigureProbe
PlannedProbe = Annotated[SteadyProbe, Field(discriminator="probe")]


class BlastRadius(Strict):
    """What the faults of a scenario may touch; a fault outside of it is refused when the scenario is read."""

    stores: tuple[str, ...] | None = Field(None, description="The stores that may be hit; left out: all.")
    links: tuple[LinkName, ...] = Field((), description="The links that may be weakened or cut.")
    processes: tuple[TouchedProcess, ...] = Field(
        (), description="The processes that may be hit; `primary` or `standby` may be either device."
    )

    def holds(self, fault: Fault, store: Store) -> bool:
        """Whether a fault on this store stays inside, with every link that it hits there."""
        target = fault_target(fault)
        if self.stores is not None and store.name not in self.stores:
            return False
        if hasattr(fault, "link"):
            return set(links_hit(fault, store)).issubset(self.links)
        return target in self.processes or (target in EITHER_DEVICE and BOTH_DEVICES.issubset(self.processes))


def radius_of(scenario: Scenario) -> BlastRadius:
    """The blast radius that the scenario declares or, if it declares none, what its faults name."""
    if scenario.blast_radius is not None:
        return scenario.blast_radius
    links = sorted({link for fault in scenario.faults for link in links_hit(fault, store_hit(scenario, fault))})
    processes = sorted({fault.process for fault in scenario.faults if not hasattr(fault, "link")})
    stores = sorted({fault.store or scenario.stores[0].name for fault in scenario.faults})
    return BlastRadius(stores=tuple(stores), links=tuple(links), processes=tuple(processes))


def steady_state_flaws(scenario: Scenario) -> Iterator[Flaw]:
    """What does not fit in the hypothesis and the blast radius."""
    yield from _probe_flaws(scenario)
    yield from _radius_flaws(scenario)


def _probe_flaws(scenario: Scenario) -> Iterator[Flaw]:
    names: set[str] = set()
    stores = [store.name for store in scenario.stores]
    for number, probe in enumerate(scenario.steady_state):
        path = ("steady_state", number)
        if probe.name in names:
            yield Flaw((*path, "name"), f"the name {probe.name!r} is taken by another probe; give each its own")
        names.add(probe.name)
        if probe.store is not None and probe.store not in stores:
            yield Flaw((*path, "store"), one_of(probe.store, stores))
        if isinstance(probe, HttpProbe):
            if (probe.url is None) == (probe.link is None):
                yield Flaw(path, "must ask either a URL or a link; give `url:`, or `link:` and `path:`")
            elif probe.url is not None and not _is_http(probe.url):
                yield Flaw((*path, "url"), f"{probe.url!r} is no address; write http://HOST:PORT/PATH")


def _radius_flaws(scenario: Scenario) -> Iterator[Flaw]:
    radius = scenario.blast_radius
    if radius is None:
        return
    names = [store.name for store in scenario.stores]
    for number, store in enumerate(radius.stores or ()):
        if store not in names:
            yield Flaw(("blast_radius", "stores", number), one_of(store, names))
    for number, fault in enumerate(scenario.faults):
        struck = store_hit(scenario, fault)
        if not radius.holds(fault, struck):
            kind = "links" if hasattr(fault, "link") else "processes"
            hit = " and ".join(links_hit(fault, struck)) or fault_target(fault)
            yield Flaw(
                ("faults", number),
                f"{fault_label(fault)!r} hits {hit} of {fault.store or names[0]}, which is outside of the "
                f"blast radius; add it to blast_radius.{kind} or take the fault out",
            )


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
