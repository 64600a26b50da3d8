"""What a scenario says about overload, in the words of the stack and of the load."""

from __future__ import annotations

from loadtests.retry_budget import CLIENT_REMEDIES
from refsystem.overload.remedies import ALL, Remedies
from refsystem.overload.settings import ServiceDelay
from simulator.scenario import Scenario
from simulator.scenario_overload import DeclaredDelay


def delay_text(said: DeclaredDelay | None) -> str:
    """A declared delay, as a device is told it."""
    return "" if said is None else ServiceDelay(said.servers, said.ms, said.read_ms).text()


def remedies_off(scenario: Scenario) -> str:
    """The remedies that are off, as processes are told them."""
    off = scenario.overload.off if scenario.overload is not None else ()
    return ALL if ALL in off else ",".join(off)


def client_remedies(scenario: Scenario) -> tuple[str, ...]:
    """The remedies in force at the clients: none unless the scenario speaks of overload."""
    if scenario.overload is None:
        return ()
    remedies = Remedies.without(*scenario.overload.off)
    return tuple(name for name in CLIENT_REMEDIES if getattr(remedies, name))
