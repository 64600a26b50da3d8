"""How verdicts are told: in words to a person, as `verdict.json` to a program."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from chaos.judge import Verdict

STYLES = {"pass": "bold green", "fail": "bold red", "unknown": "bold yellow"}


def print_verdict(verdict: Verdict, run: Path, *, as_json: bool) -> None:
    """The verdict on standard output; with `as_json` the words go to standard error."""
    if as_json:
        sys.stdout.write(json.dumps(verdict.to_json(), indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    console = Console(stderr=as_json, highlight=False)
    console.print(Text(verdict.verdict.upper(), STYLES[verdict.verdict]), Text(verdict.cause), soft_wrap=True)
    console.print(Text(_figures(verdict)), soft_wrap=True)
    for check in verdict.checks:
        if check.verdict in ("fail", "unknown"):
            console.print(Text(f"  {check.verdict:8}{check.name}: {check.detail}"), soft_wrap=True)
    for name in ("report.html", "verdict.json"):
        if (run / name).exists():
            console.print(Text(f"  {run / name}"), soft_wrap=True)


def _figures(verdict: Verdict) -> str:
    said = verdict.to_json()
    counts, acknowledged = said["counts"], said["acknowledged"]
    levels = ", ".join(f"{level} {count}" for level, count in acknowledged.items())
    latency = said["latency_ms"]["response"]
    failover = ", ".join(str(ms) for ms in said["failover_ms"]) or "none"
    bound = said["loss_rate_upper_bound_95"]
    return (
        f"{counts['attempted']} orders attempted, {sum(acknowledged.values())} acknowledged ({levels}), "
        f"{counts['exposed']} exposed, {counts['lost']} lost"
        + (f" (at most {bound:.2%} with 95 % confidence)" if bound is not None else "")
        + f"; response p50 {_ms(latency['p50'])}, p99 {_ms(latency['p99'])}; failover ms: {failover}"
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
