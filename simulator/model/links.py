"""A store's links as the engines take them: what each carries, from change to change."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.model.fault_effects import faults_of
from simulator.model.laws import NEVER
from simulator.network import LinkProfile
from simulator.scenario_faults import HttpErrors, LinkDown, LinkFault, LinkWeak
from simulator.scenario_model import Scenario, Store

LINKS = (
    "diner_edge", "diner_cloud", "edge_edge", "edge_cloud", "edge_kds", "partner_gateway", "cloud_database",
    "partner_cloud",
)  # fmt: skip
(
    DINER_EDGE, DINER_CLOUD, EDGE_EDGE, EDGE_CLOUD, EDGE_KDS, PARTNER_GATEWAY, CLOUD_DATABASE, PARTNER_CLOUD,
) = range(len(LINKS))  # fmt: skip
TO, FROM = 0, 1

# Columns of `link`: each direction's latency, nanoseconds a byte and whether it is cut; jitter; whether it refuses connections;
# whether it closes those that are open when this state begins; nanoseconds a byte of a sender that losses slow down.
LATENCY, BYTE_NS, CUT, JITTER, REFUSING, CLOSING, PACED_NS, LINK_COLUMNS = 0, 2, 4, 6, 7, 8, 9, 10


def link_span(fault: LinkFault, duration_s: float) -> tuple[int, int]:
    """First and last tick of a link's fault."""
    end_s = duration_s if fault.for_s is None else fault.at_s + fault.for_s
    return round(fault.at_s * 1e6), round(max(fault.at_s, end_s) * 1e6)


def planned_links(scenario: Scenario, store: Store) -> dict[str, Any]:
    """The fields of `Plan` about links; rows are filled up with NEVER."""
    rows = [_Link(scenario, store, name).states() for name in LINKS]
    width = max(len(row) for row in rows)
    begins = np.full((len(LINKS), width), NEVER, dtype=np.int64)
    link = np.zeros((len(LINKS), width, LINK_COLUMNS), dtype=np.int64)
    loss, error_share = np.zeros((len(LINKS), width)), np.zeros((len(LINKS), width))
    only = np.zeros((len(LINKS), width), dtype=np.int64)
    for number, row in enumerate(rows):
        for place, (begin, figures, lost, failing, orders) in enumerate(row):
            begins[number, place], link[number, place] = begin, figures
            loss[number, place], error_share[number, place], only[number, place] = lost, failing, orders
    return {
        "link_at": begins, "link": link, "link_loss": loss, "link_error": error_share, "link_error_orders_only": only
    }  # fmt: skip


def after_round_trips(scenario: Scenario, store: Store, link: str, begin: int, count: int) -> int:
    """The tick at which so many exchanges over a link have been made, one after the other, from `begin` on."""
    found, now = _Link(scenario, store, link), begin
    for _ in range(count):
        profile = found.profile(now)
        now += round((profile.latency_to_ms + profile.latency_from_ms) * 1_000)
    return now


class _Link:
    """One link of a store, with the faults that hit it."""

    def __init__(self, scenario: Scenario, store: Store, name: str) -> None:
        self._scenario, self._name = scenario, name
        self._spans = [
            (*link_span(fault, scenario.duration_s), fault)
            for fault in faults_of(scenario, store)
            if isinstance(fault, LinkFault) and fault.link == name
        ]

    def states(self) -> list[tuple[int, list[int], float, float, int]]:
        """From when on, the columns, the share of packets that is lost and of requests that fail, and whether orders only do."""
        spans = self._spans
        return [self._state(at) for at in sorted({0, *(begin for begin, _, _ in spans), *(end for _, end, _ in spans)})]

    def profile(self, at: int) -> LinkProfile:
        """What the link is like: that of the last fault, or its own."""
        profile = LinkProfile("none", 0, 0, 0, None, None, "")
        if self._name in self._scenario.links:
            profile = self._scenario.link_profile(self._scenario.links[self._name])
        for fault in self._active(at):
            if isinstance(fault, LinkWeak):
                profile = self._scenario.link_profile(fault)
        return profile

    def _active(self, at: int) -> list[LinkFault]:
        return [fault for begin, end, fault in self._spans if begin <= at < end]

    def _state(self, at: int) -> tuple[int, list[int], float, float, int]:
        profile, cut, refusing, error, orders_only = self.profile(at), [0, 0], 0, 0.0, 0
        for fault in self._active(at):
            if isinstance(fault, LinkDown):
                cut[TO] |= fault.direction in ("both", "to")
                cut[FROM] |= fault.direction in ("both", "from")
                refusing |= fault.direction == "both"
            elif isinstance(fault, HttpErrors):
                error, orders_only = fault.share, int(fault.path.startswith("/v1/orders"))
        columns = [
            round(profile.latency_to_ms * 1_000),
            round(profile.latency_from_ms * 1_000),
            _byte_ns(profile.rate_to_kbit_s),
            _byte_ns(profile.rate_from_kbit_s),
            *cut,
            round(profile.jitter_ms * 1_000),
            refusing,
            int(self._closes(at)),
            _byte_ns(profile.rate_with_losses_kbit_s),
        ]
        return at, columns, profile.loss_percent / 100, error, orders_only

    def _closes(self, at: int) -> bool:
        """A proxy that is switched off closes what is open; one that swallowed a direction does when it stops."""
        return any(
            at == (begin if fault.direction == "both" else end)
            for begin, end, fault in self._spans
            if isinstance(fault, LinkDown)
        )


def _byte_ns(rate_kbit_s: float | None) -> int:
    return 0 if rate_kbit_s is None else round(8_000_000 / rate_kbit_s)
