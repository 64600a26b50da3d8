"""What a run is judged to be, and what is found in it."""

from __future__ import annotations

from typing import Any

from chaos.judge import Verdict, judge_run

SECOND_US = 1_000_000


def judged(run: Any) -> Verdict:
    return judge_run(run.write())


def subjects(verdict: Verdict, name: str) -> set[str]:
    return {finding.subject for finding in verdict.audit.by_class[name]}


def check(verdict: Verdict, name: str) -> str:
    return next(check.verdict for check in verdict.checks if check.name == name)
