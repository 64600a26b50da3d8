"""What is known to be impossible about the links of a scenario, told before anything starts."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.faults.toxics import toxics_of
from chaos.faults.toxiproxy import ProxyServer
from chaos.proxy.toxics.capacity import read_recording
from simulator.network import LinkProfile
from simulator.scenario import HttpErrors, LinkWeak, Scenario, fault_label

ORIGINAL_TOXICS = frozenset(
    {"latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data", "noop"}
)


class LinkCheckError(ValueError):
    """A link cannot be what the scenario says; one sentence."""


def check_links(scenario: Scenario, toxiproxy_url: str | None) -> None:
    """Raise `LinkCheckError` if a recording cannot be read, or the Toxiproxy server at the URL cannot render a link."""
    for place, profile in _profiles(scenario):
        for trace in {profile.trace_to, profile.trace_from} - {None}:
            try:
                read_recording(str(trace))
            except ValueError as error:
                raise LinkCheckError(f"{place}: {error}") from error
    if toxiproxy_url is None:
        return
    beyond = list(_beyond_the_original(scenario))
    if beyond and not ProxyServer(toxiproxy_url).is_own():
        place, toxic = beyond[0]
        more = f" (and {len(beyond) - 1} more)" if len(beyond) > 1 else ""
        raise LinkCheckError(
            f"{place} needs the toxic {toxic}{more}, which the Toxiproxy server at {toxiproxy_url} does not have; "
            "leave --toxiproxy out or start one with `rushproof proxy`"
        )


def _profiles(scenario: Scenario) -> Iterator[tuple[str, LinkProfile]]:
    """Every state that a link is in at some time, and where the scenario says so."""
    for link, state in scenario.links.items():
        yield f"links.{link}", scenario.link_profile(state)
    for fault in scenario.faults:
        if isinstance(fault, LinkWeak):
            yield f"fault {fault_label(fault)!r}", scenario.link_profile(fault)


def _beyond_the_original(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """What only the server of this project can render: where, and the first toxic."""
    for place, profile in _profiles(scenario):
        beyond = [toxic.kind for toxic in toxics_of(profile) if toxic.kind not in ORIGINAL_TOXICS]
        if beyond:
            yield place, beyond[0]
    for fault in scenario.faults:
        if isinstance(fault, HttpErrors):
            yield f"fault {fault_label(fault)!r}", "http_status"
