"""The verdict as a page of Markdown, for a pull request or a job's summary."""

from __future__ import annotations

import re
from collections.abc import Sequence

from chaos.judge.findings import CLASSES
from chaos.judge.verdict import Verdict, level_names

_WORDS = {"pass": "PASS", "fail": "FAIL", "unknown": "UNKNOWN"}
_PLACES = ("edge", "cloud", "kitchen", "printer")


def summary_markdown(verdict: Verdict) -> str:
    """The content of `summary.md`."""
    counts = verdict.counts
    parts = [
        f"# {_WORDS[verdict.verdict]}: {_text(verdict.scenario)} (seed {_seed(verdict)})",
        _text(verdict.cause),
        "## Orders",
        _table(("attempted", "ok", "indefinite", "fail", "exposed"), [[str(counts[name]) for name in _ORDERS]]),
        "Acknowledged: " + ", ".join(f"{level} {n}" for level, n in verdict.audit.acknowledged.items()) + ".",
        _text(verdict.statistics.sentence) + ".",
        "## Audit",
        _table(("class", "count", "verdict", "detail"), _classes(verdict)),
    ]
    if verdict.audit.lost_by:
        parts += ["## Lost by level and place", _table(("level", *_PLACES), _lost_rows(verdict))]
    parts += ["## Checks", _table(("check", "verdict", "detail"), _checks(verdict))]
    parts += ["## Latency of accepted orders, ms", _table(("time", "p50", "p95", "p99", "max"), _latency(verdict))]
    if verdict.audit.kitchen:
        heads = ("channel", "orders", "late", "p50", "p95", "p99", "max")
        parts += ["## Shown in the kitchen, ms after the first yes", _table(heads, _kitchen(verdict))]
    if verdict.effects:
        parts += ["## Faults", _table(("fault", "took effect", "exposed", "failover ms", "evidence"), _faults(verdict))]
    if verdict.notes:
        parts += ["## Notes", "\n".join(f"- {_text(note)}" for note in verdict.notes)]
    return "\n\n".join(parts) + "\n"


_ORDERS = ("attempted", "ok", "indefinite", "fail", "exposed")


def _classes(verdict: Verdict) -> list[list[str]]:
    by_name = {check.name: check for check in verdict.checks}
    return [
        [c.name, str(verdict.counts[c.name]), by_name[c.name].verdict, _text(by_name[c.name].detail)] for c in CLASSES
    ]


def _checks(verdict: Verdict) -> list[list[str]]:
    names = {audit_class.name for audit_class in CLASSES}
    return [[c.name, c.verdict, _text(c.detail)] for c in verdict.checks if c.name not in names]


def _lost_rows(verdict: Verdict) -> list[list[str]]:
    lost_by = verdict.audit.lost_by
    return [
        [level, *(str(lost_by[level].get(place, 0)) for place in _PLACES)]
        for level in level_names()
        if level in lost_by
    ]


def _latency(verdict: Verdict) -> list[list[str]]:
    rows = (
        ("response", verdict.latency.response["ok"]),
        ("service", verdict.latency.service["ok"]),
        ("person", verdict.latency.person),
    )
    return [[name, *(_number(value) for value in (t.p50, t.p95, t.p99, t.max))] for name, t in rows]


def _kitchen(verdict: Verdict) -> list[list[str]]:
    return [
        [
            times.channel,
            str(times.shown.count),
            str(times.late),
            *(_number(value) for value in (times.shown.p50, times.shown.p95, times.shown.p99, times.shown.max)),
        ]
        for times in verdict.audit.kitchen
    ]


def _faults(verdict: Verdict) -> list[list[str]]:
    return [
        [
            _text(effect.fault.name),
            "yes" if effect.fault.took_effect else "no",
            str(len(effect.exposed)),
            str(effect.failover_ms) if effect.failover_ms is not None else "",
            _text(effect.fault.evidence),
        ]
        for effect in verdict.effects
    ]


def _seed(verdict: Verdict) -> str:
    return str(verdict.seed) if verdict.seed is not None else "unknown"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _text(text: str) -> str:
    """One line in which Markdown and HTML mean nothing."""
    one_line = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", one_line)
