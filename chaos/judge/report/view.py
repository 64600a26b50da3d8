"""What the report's page shows, as plain values: the template only lays them out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chaos.judge.findings import CLASSES, AuditClass, Finding
from chaos.judge.orders import LEVELS
from chaos.judge.runfolder import Environment, Plan, RunFiles
from chaos.judge.statistics import OUTCOMES, Percentiles
from chaos.judge.timing import FaultEffect
from chaos.judge.verdict import LISTED_MAX, Check, CheckVerdict, Verdict, level_names

_WORDS = {
    "pass": "Pass: every promise was kept, and the run could have shown otherwise",
    "fail": "Fail: a promise was broken",
    "unknown": "Unknown: this run can neither confirm nor deny the promises",
}
_OUTCOME_NAMES = {"ok": "told yes", "indefinite": "not known", "fail": "refused"}
_RULES = {
    "always": "one case fails the run",
    "budget": "by budget",
    "counted": "counted only",
    "not_exercised": "cannot occur in this stack",
}
_PLACES = ("edge", "cloud", "kitchen", "printer")


@dataclass(frozen=True)
class Tile:
    """A key figure."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class ClassRow:
    """A class of the audit with its findings, cut off."""

    name: str
    definition: str
    rule: str
    count: int
    verdict: CheckVerdict
    findings: Sequence[Finding]
    more: int


@dataclass(frozen=True)
class Table:
    """A table: heads and rows of text."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class View:
    """The page."""

    title: str
    scenario: str
    verdict: str
    words: str
    cause: str
    made: str
    tiles: Sequence[Tile]
    statistics: str
    classes: Sequence[ClassRow]
    lost_by: Table | None
    checks: Sequence[Check]
    latency: Table
    faults: Table | None
    environment: Sequence[tuple[str, str]]
    command: str
    seed: str
    notes: Sequence[str]


def view_of(files: RunFiles, verdict: Verdict) -> View:
    """The page of a run."""
    environment = files.environment if isinstance(files.environment, Environment) else None
    title = files.plan.title if isinstance(files.plan, Plan) else ""
    checks = {check.name: check for check in verdict.checks}
    counts = verdict.counts
    return View(
        title=title or verdict.scenario,
        scenario=verdict.scenario,
        verdict=verdict.verdict,
        words=_WORDS[verdict.verdict],
        cause=verdict.cause,
        made=_made(environment),
        tiles=_tiles(verdict, counts),
        statistics=verdict.statistics.sentence + ".",
        classes=[_class_row(c, counts[c.name], checks[c.name], verdict.audit.by_class[c.name]) for c in CLASSES],
        lost_by=_lost_by(verdict),
        checks=[check for check in verdict.checks if check.name not in counts],
        latency=_latency(verdict),
        faults=_faults(verdict.effects),
        environment=_environment(environment),
        command=_command(environment),
        seed=str(verdict.seed) if verdict.seed is not None else "not known",
        notes=[*verdict.notes, *_undecided(verdict)],
    )


def _made(environment: Environment | None) -> str:
    if environment is None or not environment.started_at:
        return ""
    try:
        return datetime.fromisoformat(environment.started_at).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return environment.started_at


def _tiles(verdict: Verdict, counts: Mapping[str, int]) -> list[Tile]:
    acknowledged = verdict.audit.acknowledged
    times = verdict.latency.response["ok"]
    levels = ", ".join(f"{level} {acknowledged[level]:,}" for level in LEVELS)
    failovers = sorted(verdict.failover_ms)
    median = f"{failovers[len(failovers) // 2]:,} ms" if failovers else "none"
    bound = verdict.statistics.loss_rate_upper_bound_95
    rate = f"rate below {bound:.3%} at 95 %" if bound < 1 else "nothing known of the rate"
    return [
        Tile("Orders attempted", f"{counts['attempted']:,}", f"{counts['ok']:,} told yes"),
        Tile("Acknowledged", f"{sum(acknowledged.values()):,}", levels),
        Tile("Lost", f"{counts['lost']:,}", rate),
        Tile("In flight at a fault", f"{counts['exposed']:,}", f"{verdict.budgets.least_exposed} asked for"),
        Tile("Response time p99", _ms(times.p99), f"median {_ms(times.p50)}"),
        Tile("Failover, median", median, f"{len(failovers)} measured"),
    ]


def _class_row(audit_class: AuditClass, count: int, check: Check, findings: Sequence[Finding]) -> ClassRow:
    shown = findings[:LISTED_MAX]
    rule = _RULES[audit_class.rule]
    more = len(findings) - len(shown)
    return ClassRow(audit_class.name, audit_class.definition, rule, count, check.verdict, shown, more)


def _lost_by(verdict: Verdict) -> Table | None:
    table = verdict.audit.lost_by
    if not table:
        return None
    rows = [[level, *(str(table[level].get(p, 0)) for p in _PLACES)] for level in level_names() if level in table]
    return Table(("level told", *_PLACES), rows)


def _latency(verdict: Verdict) -> Table:
    kinds = (
        ("response, from the intended start", verdict.latency.response),
        ("service, from the send", verdict.latency.service),
    )
    rows = [
        [f"{name}: {_OUTCOME_NAMES[outcome]}", f"{times[outcome].count:,}", *_quantiles(times[outcome])]
        for name, times in kinds
        for outcome in OUTCOMES
    ]
    person = verdict.latency.person
    rows.append(["a person's wait, from the first order to the first yes", f"{person.count:,}", *_quantiles(person)])
    rows.append(
        ["in the store alone, before the cloud had it", f"{verdict.offline.count:,}", *_quantiles(verdict.offline)]
    )
    rows += [
        [
            f"shown in the kitchen, from the first yes: {times.channel}",
            f"{times.shown.count:,}",
            *_quantiles(times.shown),
        ]
        for times in verdict.audit.kitchen
    ]
    return Table(("time, ms", "count", "p50", "p95", "p99", "max"), rows)


def _faults(effects: Sequence[FaultEffect]) -> Table | None:
    if not effects:
        return None
    heads = ("fault", "target", "took effect", "evidence", "undone", "in flight", "failover", "drain")
    rows = [
        [
            effect.fault.name,
            effect.fault.resolved or effect.fault.target,
            "yes" if effect.fault.took_effect else "no",
            effect.fault.evidence,
            f"{'yes' if effect.fault.undone else 'no'} {effect.fault.undo_detail}".strip(),
            str(len(effect.exposed)),
            _ms(effect.failover_ms),
            _ms(effect.drain_ms),
        ]
        for effect in effects
    ]
    return Table(heads, rows)


def _environment(environment: Environment | None) -> list[tuple[str, str]]:
    if environment is None:
        return [("environment", "not known: the run left no environment.json")]
    memory = f"{environment.memory_bytes / 2**30:.1f} GiB" if environment.memory_bytes else ""
    rows = [
        ("rushproof", environment.rushproof_version),
        ("Python", environment.python),
        ("platform", environment.platform),
        ("CPUs", str(environment.cpus or "")),
        ("memory", memory),
        ("Toxiproxy", environment.toxiproxy),
        ("load processes", str(environment.workers)),
        ("broken variant", environment.broken_variant or "none"),
    ]
    return [(name, value) for name, value in rows if value]


def _command(environment: Environment | None) -> str:
    if environment is None:
        return ""
    return environment.command if isinstance(environment.command, str) else shlex.join(environment.command)


def _undecided(verdict: Verdict) -> list[str]:
    places = [item.place for item in verdict.audit.undecided]
    return [
        f"of {places.count(place)} orders the {place} could not say whether it holds them"
        for place in sorted(set(places))
    ]


def _quantiles(times: Percentiles) -> list[str]:
    return [f"{value:,.1f}" if value is not None else "" for value in (times.p50, times.p95, times.p99, times.max)]


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f} ms"
