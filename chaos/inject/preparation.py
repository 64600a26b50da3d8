"""From a scenario and a map to faults on the user's system: everything is found and checked before anything is touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from chaos.faults.base import FaultError, Injected, Target
from chaos.faults.held_proxy import HeldProxy
from chaos.faults.processes import Paused
from chaos.faults.restarts import RestartLoop
from chaos.faults.slowness import Slowed
from chaos.faults.toxiproxy import ProxyServer
from chaos.inject.journal import LinkRollback, ProcessRollback, Rollback
from chaos.inject.links import OwnLink, OwnLinkCut, OwnLinkWeakened
from chaos.inject.processes import OwnKilled, OwnProcess
from chaos.inject.targets import InjectError, InjectMap, check_loopback
from simulator import scenario as planned
from simulator.scenario import Fault, Scenario, fault_label, fault_target
from simulator.scenario_overlaps import same_time
from simulator.scenario_steady_state import HttpProbe

LINK_FAULTS = planned.LinkWeak | planned.LinkDown
ENDING_FAULTS = planned.ProcessKilled | planned.ProcessRestarted | planned.RestartLoop
STOPPING_FAULTS = planned.ProcessPaused | planned.ProcessSlow
KINDS = "link_weak, link_down, process_killed, process_restarted, restart_loop, process_paused and process_slow"


@dataclass(frozen=True)
class Prepared:
    """A fault that can be injected, and what its rollback needs, which another process in its place changes."""

    fault: Fault
    make: Callable[[], Injected]
    rollback: Callable[[], Rollback]
    process: OwnProcess | None = None


@dataclass(frozen=True)
class Preparation:
    """All faults that are to be injected, those that are left out (with the reason), and the probes of the hypothesis."""

    faults: tuple[Prepared, ...]
    skipped: Mapping[str, str]
    probes: tuple[tuple[HttpProbe, str], ...]
    links: tuple[OwnLink, ...]


def prepare(
    scenario: Scenario, given: InjectMap, run: str, *, allow_remote: bool = False, only_mapped: bool = False
) -> Preparation:
    """Find every link and process that the scenario's faults hit. Raises `InjectError` or `ToxiproxyError`.

    With `only_mapped` faults on what the map does not name, or of a kind that needs our stack, are left out, not refused.
    """
    chosen, skipped = _choose(scenario, given, only_mapped=only_mapped)
    if not chosen:
        raise InjectError(
            f"{scenario.name}: none of its faults hits what the map names; map one of {_targets(scenario)}"
        )
    _check_blast_radius(chosen, given)
    _check_apart(chosen, scenario, given)
    links = _links(chosen, scenario, given, allow_remote=allow_remote)
    processes = _processes(chosen, given)
    faults = tuple(
        _on_link(fault, scenario, links, f"rushproof_{run}_{number}")
        if isinstance(fault, LINK_FAULTS)
        else _on_process(fault, processes[fault_target(fault)])
        for number, fault in enumerate(chosen)
    )
    probes, unasked = _probes(scenario, given, links, allow_remote=allow_remote)
    return Preparation(faults, skipped | unasked, probes, tuple(links.values()))


def _choose(scenario: Scenario, given: InjectMap, *, only_mapped: bool) -> tuple[list[Fault], dict[str, str]]:
    chosen: list[Fault] = []
    skipped: dict[str, str] = {}
    for fault in scenario.faults:
        target, label = fault_target(fault), fault_label(fault)
        if not isinstance(fault, LINK_FAULTS | ENDING_FAULTS | STOPPING_FAULTS):
            reason = f"{fault.fault} needs the reference stack; on a system of your own there are {KINDS}"
        elif target not in (given.links if isinstance(fault, LINK_FAULTS) else given.processes):
            kind = "link" if isinstance(fault, LINK_FAULTS) else "process"
            reason = f"the {kind} {target} is not in the map; add it (--{kind} {target}=…)"
        elif isinstance(fault, ENDING_FAULTS) and given.processes[target].start is None:
            reason = f"nobody would start {target} again; say how (start: in the map, or --start {target}=COMMAND)"
        else:
            chosen.append(fault)
            continue
        if not only_mapped:
            raise InjectError(f"{scenario.name}: {label!r}: {reason}, or leave such faults out (--only-mapped)")
        skipped[label] = reason
    return chosen, skipped


def _check_blast_radius(chosen: Sequence[Fault], given: InjectMap) -> None:
    if not given.blast_radius:
        hit = ",".join(dict.fromkeys(fault_target(fault) for fault in chosen))
        raise InjectError(
            f"the blast radius is not named; say what may be touched (blast_radius: in the map, or --blast-radius {hit})"
        )
    for fault in chosen:
        if fault_target(fault) not in given.blast_radius:
            raise InjectError(
                f"{fault_label(fault)!r} hits {fault_target(fault)}, which is outside of the blast radius "
                f"({', '.join(given.blast_radius)})"
            )


def _check_apart(chosen: Sequence[Fault], scenario: Scenario, given: InjectMap) -> None:
    """No two names for one proxy, and of the faults on one proxy or process none that undoes another while it lasts.

    What the scenario has as two, of two stores perhaps, may be one here.
    """
    named: dict[str, str] = {}
    for fault in chosen:
        if isinstance(fault, LINK_FAULTS):
            name = fault_target(fault)
            other = named.setdefault(given.links[name].proxy, name)
            if other != name:
                raise InjectError(
                    f"links {other} and {name} are one: the proxy {given.links[name].proxy}; map each to its own"
                )
    for later, fault in enumerate(chosen):
        for former in chosen[:later]:
            if (
                fault_target(fault) == fault_target(former)
                and same_time(scenario, fault, former)
                and (fault.fault == former.fault or not isinstance(fault, LINK_FAULTS))
            ):
                raise InjectError(
                    f"{fault_label(fault)!r} hits {fault_target(fault)} while {fault_label(former)!r} still lasts; "
                    "let one end before the other begins"
                )


def _links(chosen: Sequence[Fault], scenario: Scenario, given: InjectMap, *, allow_remote: bool) -> dict[str, OwnLink]:
    asked = [probe.link for probe in (*given.probes, *scenario.steady_state) if isinstance(probe, HttpProbe)]
    hit = [fault_target(fault) for fault in chosen if isinstance(fault, LINK_FAULTS)]
    names = [
        name for name in dict.fromkeys([*hit, *(link for link in asked if link is not None)]) if name in given.links
    ]
    server = ProxyServer(given.toxiproxy)
    if names and not allow_remote:
        check_loopback(given.toxiproxy, "the Toxiproxy server")
    found: dict[str, OwnLink] = {}
    for name in names:
        target = given.links[name]
        attached = server.attach(target.proxy)
        if not attached.enabled:
            raise InjectError(f"link {name}: the proxy {target.proxy} is closed already; open it first")
        if not allow_remote:
            check_loopback(_host_of(attached.host, attached.port), f"the proxy {target.proxy}")
            check_loopback(attached.upstream, f"the upstream of the proxy {target.proxy}")
        found[name] = OwnLink(name, target, attached, HeldProxy(server, target.proxy))
    return found


def _processes(chosen: Sequence[Fault], given: InjectMap) -> dict[str, OwnProcess]:
    processes: dict[str, OwnProcess] = {}
    taken: dict[int | None, str] = {}
    for fault in chosen:
        name = fault_target(fault)
        if isinstance(fault, LINK_FAULTS) or name in processes:
            continue
        process = processes[name] = OwnProcess(name, given.processes[name])
        process.attach()
        if process.pid in taken:
            raise InjectError(f"processes {taken[process.pid]} and {name} are one: {process.pid}; map each to its own")
        taken[process.pid] = name
    return processes


def _on_link(fault: Fault, scenario: Scenario, links: Mapping[str, OwnLink], prefix: str) -> Prepared:
    link = links[fault_target(fault)]
    target = Target(fault_target(fault), f"proxy {link.target.proxy}")
    if isinstance(fault, planned.LinkDown):
        cut = OwnLinkCut(link, fault.direction, prefix, target)
        rollback = LinkRollback(link.target.proxy, tuple(cut.names), reopen=fault.direction == "both")
        return Prepared(fault, lambda: cut, lambda: rollback)
    assert isinstance(fault, planned.LinkWeak)
    weak = OwnLinkWeakened(link, scenario.link_profile(fault), prefix, target)
    toxics = LinkRollback(link.target.proxy, tuple(weak.names), reopen=False)
    return Prepared(fault, lambda: weak, lambda: toxics)


def _on_process(fault: Fault, process: OwnProcess) -> Prepared:
    target = Target(fault_target(fault), f"process {process.pid}")

    def make() -> Injected:
        target.resolved = f"process {process.pid}"
        match fault:
            case planned.ProcessKilled():
                return OwnKilled(process, target, at_once=False)
            case planned.ProcessRestarted():
                return OwnKilled(process, target, at_once=True)
            case planned.RestartLoop():
                return RestartLoop(process, fault.every_s, target, process.find_running)
            case planned.ProcessPaused():
                return Paused(process, target)
            case planned.ProcessSlow():
                return Slowed(process, fault.slow_factor, target)
        raise FaultError(f"{fault.fault} is no fault of a process of one's own")

    def rollback() -> Rollback:
        origin = None if process.origin is None else asdict(process.origin)
        said = process.target.model_dump(mode="json", exclude_none=True)
        return ProcessRollback(process.name, said, origin=origin, **process.identity)

    return Prepared(fault, make, rollback, process)


def _probes(
    scenario: Scenario, given: InjectMap, links: Mapping[str, OwnLink], *, allow_remote: bool
) -> tuple[tuple[tuple[HttpProbe, str], ...], dict[str, str]]:
    """The probes of map and scenario with the URL that each asks, and those that cannot be asked here."""
    asked: dict[str, tuple[HttpProbe, str]] = {}
    unasked: dict[str, str] = {}
    for probe in (*given.probes, *scenario.steady_state):
        if not isinstance(probe, HttpProbe):
            unasked[probe.name] = f"the probe {probe.probe} needs the reference stack"
        elif probe.url is None and probe.link not in links:
            unasked[probe.name] = f"the link {probe.link} is not in the map"
        else:
            url = probe.url or _url(links[str(probe.link)], probe.path)
            if not allow_remote:
                check_loopback(url, f"the probe {probe.name!r}")
            asked.setdefault(probe.name, (probe, url))
    return tuple(asked.values()), unasked


def _url(link: OwnLink, path: str) -> str:
    return f"http://{_host_of(link.found.host, link.found.port)}{path}"


def _host_of(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _targets(scenario: Scenario) -> str:
    return ", ".join(dict.fromkeys(fault_target(fault) for fault in scenario.faults)) or "its links and processes"
