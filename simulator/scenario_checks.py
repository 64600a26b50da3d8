"""What must fit together between the fields of a scenario. Each flaw names its field and says what would be right."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from simulator.arrivals import ARRIVALS_MAX
from simulator.network import BUILT_IN_PROFILES
from simulator.scenario_coupons import coupon_flaws
from simulator.scenario_delivery import delivery_flaws
from simulator.scenario_faults import (
    ClockFault,
    ClockOffset,
    Fault,
    HttpErrors,
    LinkFault,
    LinkWeak,
    RestartLoop,
    fault_end_s,
    fault_label,
    fault_target,
)
from simulator.scenario_links import LinkState
from simulator.scenario_overlaps import overlap_flaws
from simulator.scenario_overload import goodput_flaws
from simulator.scenario_parties import party_flaws
from simulator.scenario_staff import staff_flaws
from simulator.scenario_stock import stock_flaws
from simulator.scenario_targets import SHARED_LINKS, SHARED_PROCESSES

if TYPE_CHECKING:
    from simulator.scenario_links import ProfileFigures
    from simulator.scenario_model import Scenario

Path = tuple[str | int, ...]

PRINTER_TARGETS = frozenset({"edge_printer", "printer"})
GATEWAY_TARGETS = frozenset({"partner_gateway", "gateway"})


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that does not fit: where, and a sentence without subject, "what is wrong; what would be right"."""

    path: Path
    message: str


def flaws(scenario: Scenario) -> list[Flaw]:
    """Everything that does not fit together in `scenario`."""
    return [
        *_store_flaws(scenario),
        *_diner_flaws(scenario),
        *(Flaw(path, message) for path, message in party_flaws(scenario)),
        *(Flaw(path, message) for path, message in (*stock_flaws(scenario), *staff_flaws(scenario))),
        *(Flaw(path, message) for path, message in goodput_flaws(scenario)),
        *_payment_flaws(scenario),
        *_printer_flaws(scenario),
        *(Flaw(path, message) for path, message in (*delivery_flaws(scenario), *coupon_flaws(scenario))),
        *_link_flaws(scenario),
        *_fault_flaws(scenario),
        *(Flaw(path, message) for path, message in overlap_flaws(scenario)),
    ]


def one_of(value: str, known: list[str]) -> str:
    """How to say that `value` is none of `known`, with the one that was probably meant."""
    close = get_close_matches(value, known, n=1)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    return f"{value!r} is not known{meant}; choose one of {', '.join(known)}"


def _store_flaws(scenario: Scenario) -> Iterator[Flaw]:
    seen: set[str] = set()
    for number, store in enumerate(scenario.stores):
        if store.name in seen:
            yield Flaw(
                ("stores", number, "name"), f"the name {store.name!r} is taken by another store; give each its own"
            )
        seen.add(store.name)


def _diner_flaws(scenario: Scenario) -> Iterator[Flaw]:
    diners = scenario.diners
    total = math.fsum(diners.channels.shares.values())
    if not math.isclose(total, 1, abs_tol=1e-6):
        yield Flaw(("diners", "channels"), f"the shares sum to {total:g}; all channels together must sum to 1")
    behaviours = diners.behaviours
    if behaviours.double_tap + behaviours.two_doors > 1 + 1e-9:
        yield Flaw(("diners", "behaviours"), "double_tap and two_doors are more than 1 together; lower one of them")
    if diners.retries.backoff_max_ms < diners.retries.backoff_ms:
        yield Flaw(
            ("diners", "retries", "backoff_max_ms"),
            f"is below backoff_ms; give at least {diners.retries.backoff_ms:g}",
        )
    expected = diners.arrivals.rate_per_s * scenario.duration_s
    if expected > ARRIVALS_MAX:
        yield Flaw(
            ("diners", "arrivals", "rate_per_s"),
            f"makes {expected:.0f} diners over duration_s; lower one of them, {ARRIVALS_MAX} diners are the most",
        )
    yield from _point_flaws(scenario)


def _payment_flaws(scenario: Scenario) -> Iterator[Flaw]:
    if scenario.payments is not None:
        total = math.fsum(scenario.payments.tenders.shares.values())
        if not math.isclose(total, 1, abs_tol=1e-6):
            yield Flaw(("payments", "tenders"), f"the shares sum to {total:g}; all tenders must sum to 1")
        return
    there_is_none = "is there only in a scenario with payments; add `payments: {}`"
    for number, fault in enumerate(scenario.faults):
        if fault_target(fault) in GATEWAY_TARGETS:
            field = "link" if isinstance(fault, LinkFault) else "process"
            yield Flaw(("faults", number, field), f"{fault_target(fault)} {there_is_none}")
    for link in scenario.links:
        if link in GATEWAY_TARGETS:
            yield Flaw(("links", link), there_is_none)


def _printer_flaws(scenario: Scenario) -> Iterator[Flaw]:
    printing = {store.name for store in scenario.stores if store.printer}
    for number, store in enumerate(scenario.stores):
        if store.receipts and not store.printer:
            yield Flaw(("stores", number, "receipts"), "needs a printer; add `printer: true` to the store")
    there_is_none = "is there only in a store with a printer; add `printer: true` to the store"
    for number, fault in enumerate(scenario.faults):
        if fault_target(fault) in PRINTER_TARGETS and (fault.store or scenario.stores[0].name) not in printing:
            field = "link" if isinstance(fault, LinkFault) else "process"
            yield Flaw(("faults", number, field), f"{fault_target(fault)} {there_is_none}")
    for link in scenario.links:
        if link in PRINTER_TARGETS and not printing:
            yield Flaw(("links", link), there_is_none)


def _point_flaws(scenario: Scenario) -> Iterator[Flaw]:
    arrivals, path = scenario.diners.arrivals, ("diners", "arrivals", "points")
    if arrivals.profile != "points":
        if arrivals.points is not None:
            yield Flaw(
                path, f"is not used by profile {arrivals.profile!r}; write `profile: points` or leave the points out"
            )
        return
    if not arrivals.points or len(arrivals.points) < 2:
        yield Flaw(path, "profile 'points' needs at least two points; give pairs like [0, 0.5], [1, 1]")
        return
    if any(rate > 1_000_000 for _, rate in arrivals.points):
        yield Flaw(path, "relative rates must be 1000000 at most; only their proportion counts")
    for number in range(1, len(arrivals.points)):
        if arrivals.points[number][0] < arrivals.points[number - 1][0]:
            yield Flaw((*path, number), "comes before the point above it; sort the points by fraction, from 0 to 1")
            return
    first, last = arrivals.points[0], arrivals.points[-1]
    if first[0] == last[0] or all(rate == 0 for _, rate in arrivals.points):
        yield Flaw(path, "never has a rate above 0 for any time; spread the points and give one of them a rate above 0")


def _link_flaws(scenario: Scenario) -> Iterator[Flaw]:
    for name, figures in scenario.profiles.items():
        if name in BUILT_IN_PROFILES:
            yield Flaw(("profiles", name), "is the name of a built-in profile; choose another name")
        yield from _loss_flaws(figures, ("profiles", name))
    for link, state in scenario.links.items():
        yield from _state_flaws(scenario, state, ("links", link))


def _state_flaws(scenario: Scenario, state: LinkState, path: Path) -> Iterator[Flaw]:
    yield from _trace_flaws(state, path)
    if state.profile is None:
        if not (state.has_figures or state.trace):
            yield Flaw(
                path,
                "says nothing about the link; give a profile, or latency_ms, jitter_ms, rate_kbit_s, loss_percent or trace",
            )
        yield from _loss_flaws(state, path)
        return
    if state.has_figures:
        yield Flaw((*path, "profile"), "stands beside figures; give either a profile or figures")
    known = [*scenario.profiles, *BUILT_IN_PROFILES]
    if state.profile not in known:
        yield Flaw((*path, "profile"), one_of(state.profile, known))
        return
    needs_trace = state.profile in BUILT_IN_PROFILES and BUILT_IN_PROFILES[state.profile].needs_trace
    if needs_trace and state.trace is None:
        yield Flaw((*path, "profile"), f"{state.profile} replays a recording; name its file as `trace`")
    elif state.trace is not None and not needs_trace:
        recorded = ", ".join(name for name, profile in BUILT_IN_PROFILES.items() if profile.needs_trace)
        yield Flaw(
            (*path, "trace"), f"does not go with {state.profile}, which has rates; use one of {recorded}, or figures"
        )


def _trace_flaws(state: LinkState, path: Path) -> Iterator[Flaw]:
    if state.trace is None and state.trace_up is not None:
        yield Flaw((*path, "trace_up"), "needs `trace`, the recording of the download")
    if state.trace is not None and state.rate_kbit_s is not None:
        yield Flaw((*path, "rate_kbit_s"), "stands beside a trace, which is the rate; give one of them")


def _loss_flaws(state: LinkState | ProfileFigures, path: Path) -> Iterator[Flaw]:
    if state.burst_packets is None:
        return
    if not state.loss_percent:
        yield Flaw((*path, "burst_packets"), "needs loss_percent, the mean loss")
        return
    least = state.loss_percent / (100 - state.loss_percent)
    if state.burst_packets < least:
        yield Flaw((*path, "burst_packets"), f"is too short for so much loss; it must be at least {least:g}")


def _fault_flaws(scenario: Scenario) -> Iterator[Flaw]:
    labels: set[str] = set()
    for number, fault in enumerate(scenario.faults):
        path: Path = ("faults", number)
        end_s = fault_end_s(fault, scenario.duration_s)
        if fault.at_s >= scenario.duration_s:
            yield Flaw(
                (*path, "at_s"),
                f"{fault.at_s:g} is after the end of the load; it must be below duration_s, {scenario.duration_s:g}",
            )
        elif end_s > scenario.duration_s + 1e-9:
            longest = scenario.duration_s - fault.at_s
            yield Flaw((*path, "for_s"), f"the fault would end at {end_s:g} s, after the load; {longest:g} is the most")
        if isinstance(fault, LinkWeak):
            yield from _state_flaws(scenario, fault, path)
        yield from _figure_flaws(fault, path)
        yield from _fault_store_flaws(scenario, fault, path)
        if fault.name is not None and fault.name in labels:
            yield Flaw((*path, "name"), f"the name {fault.name!r} is taken by another fault; give each its own")
        labels.add(fault_label(fault))


def _figure_flaws(fault: Fault, path: Path) -> Iterator[Flaw]:
    """What would make a fault without an effect."""
    if isinstance(fault, ClockFault):
        field = "offset_s" if isinstance(fault, ClockOffset) else "drift_ppm"
        if getattr(fault, field) == 0:
            yield Flaw((*path, field), "is 0, which changes no clock; give another number")
    if isinstance(fault, HttpErrors) and not fault.path.startswith("/"):
        yield Flaw((*path, "path"), f"{fault.path!r} is no path of a request; begin with /, as in /v1/orders")
    if isinstance(fault, RestartLoop) and fault.every_s >= fault.for_s:
        yield Flaw(
            (*path, "every_s"),
            f"is {fault.every_s:g}, so that one kill is all; it must be below for_s, {fault.for_s:g}",
        )


def _fault_store_flaws(scenario: Scenario, fault: Fault, path: Path) -> Iterator[Flaw]:
    names = [store.name for store in scenario.stores]
    target = fault_target(fault)
    if fault.store is not None:
        if fault.store not in names:
            yield Flaw((*path, "store"), one_of(fault.store, names))
    elif len(names) > 1 and target not in SHARED_LINKS | SHARED_PROCESSES:
        yield Flaw(path, f"does not say which store; add `store:` with one of {', '.join(names)}")
