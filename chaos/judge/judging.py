"""From a run folder to its verdict, and from the verdict to the files that people and machines read."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from chaos.judge.audit import Audit, audit
from chaos.judge.charges import Sums
from chaos.judge.checks import Evidence, all_checks
from chaos.judge.gate import Budgets, Outcome
from chaos.judge.junit import junit_xml
from chaos.judge.paper import paper_summary
from chaos.judge.plan import read_plan
from chaos.judge.reads import CloudRead, Convergence
from chaos.judge.runfolder import Environment, Plan, RunFiles, load_run_files
from chaos.judge.statistics import latency, orders_enough, percentiles, rate_upper_bound
from chaos.judge.steady import SteadyAccount, steady_accounts
from chaos.judge.stock_sums import optimistic_shorts
from chaos.judge.summary import summary_markdown
from chaos.judge.timing import FaultEffect, effects, offline_us
from chaos.judge.verdict import Check, Statistics, Verdict, worst


def judge_run(run: Path, overrides: Mapping[str, float | None] | None = None) -> Verdict:
    """The verdict of the run in folder `run`, with the scenario's budgets and `overrides` over them.

    Missing or broken files make it unknown. Raises `NotADirectoryError` if `run` is no folder and `BudgetError` for an
    override that cannot be.
    """
    if not run.is_dir():
        raise NotADirectoryError(f"{run} is not a run folder")
    plan = read_plan(run)
    budgets = (plan.budgets if isinstance(plan, Plan) else Budgets()).overridden(overrides or {})
    if isinstance(plan, Plan):
        plan = dataclasses.replace(plan, budgets=budgets)
    return judge_files(load_run_files(run, plan), budgets)


def judge_files(files: RunFiles, budgets: Budgets) -> Verdict:
    """The verdict of a run that is loaded already."""
    found = audit(files)
    struck = effects(files.faults, found.stories, files.samples)
    said = _statistics(found, struck, budgets)
    steady = _steady(files)
    checks = all_checks(Evidence(files, found, struck, said, budgets, steady))
    outcome, decisive = worst(checks)
    environment = files.environment if isinstance(files.environment, Environment) else None
    convergence = files.convergence if isinstance(files.convergence, Convergence) else None
    plan = files.plan if isinstance(files.plan, Plan) else None
    return Verdict(
        verdict=outcome,
        cause=_cause(outcome, decisive, found),
        scenario=plan.name if plan else (environment.scenario if environment else "") or "unknown",
        seed=plan.seed if plan else (environment.seed if environment else None),
        checks=checks,
        audit=found,
        effects=struck,
        latency=latency(found.stories.values()),
        offline=percentiles(offline_us(found.stories.values(), found.ledgers, files.samples)),
        statistics=said,
        budgets=budgets,
        drain_ms=convergence.drain_ms if convergence else None,
        notes=tuple(_notes(files, environment, found)),
        steady=steady,
        blast_radius=plan.blast_radius if plan else {},
    )


def write_outputs(run: Path, verdict: Verdict) -> None:
    """Write `verdict.json`, `junit.xml` and `summary.md` into the run folder."""
    text = json.dumps(verdict.to_json(), indent=2, ensure_ascii=False)
    (run / "verdict.json").write_text(text + "\n", encoding="utf-8")
    (run / "junit.xml").write_text(junit_xml(verdict), encoding="utf-8")
    (run / "summary.md").write_text(summary_markdown(verdict), encoding="utf-8")


def write_report(run: Path, verdict: Verdict) -> Path:
    """Write `report.html` into the run folder: one file that needs no network. Returns its path."""
    from chaos.judge.report import report_html

    path = run / "report.html"
    path.write_text(report_html(load_run_files(run, read_plan(run)), verdict), encoding="utf-8")
    return path


def _money(sums: Sums) -> str:
    """What was paid, in words."""
    lost = sums.bad_debt_minor + sums.charged_back_minor
    said = f"{sums.closed} of {sums.checks} checks are closed, with {sums.cash_minor} in cash and {sums.captured_minor} captured"
    trust = f"; {sums.stored_minor} taken on trust" if sums.stored_minor else ""
    given = f"; {sums.refunded_minor} given back" if sums.refunded_minor else ""
    return (
        said
        + given
        + trust
        + f"; the store lost {lost} (bad debt {sums.bad_debt_minor}, charge-backs {sums.charged_back_minor})"
    )


def _steady(files: RunFiles) -> tuple[SteadyAccount, ...]:
    """The accounts of the scenario's probes; healed is when the last fault had ended."""
    probes = files.plan.probes if isinstance(files.plan, Plan) else ()
    struck_us = min((fault.started_at_us for fault in files.faults), default=None)
    ends_us = [fault.ended_at_us or fault.started_at_us for fault in files.faults]
    return steady_accounts(probes, files.steady, struck_us, max(ends_us, default=files.start_us))


def _statistics(found: Audit, struck: tuple[FaultEffect, ...], budgets: Budgets) -> Statistics:
    acknowledged, lost = sum(found.acknowledged.values()), found.lost_acknowledged
    bound = rate_upper_bound(lost, acknowledged)
    failovers = sum(effect.failover_ms is not None for effect in struck)
    failover_bound = rate_upper_bound(0, failovers) if failovers and not lost else None
    enough = orders_enough(budgets.loss_rate, lost) if budgets.loss_rate is not None else None
    sentence = _sentence(acknowledged, lost, bound, failovers, failover_bound)
    return Statistics(bound, sentence, enough, failovers, failover_bound)


def _sentence(acknowledged: int, lost: int, bound: float, failovers: int, failover_bound: float | None) -> str:
    if not acknowledged:
        return "no order was acknowledged, so nothing can be said about the rate of loss"
    sentence = (
        f"{lost} of {acknowledged} acknowledged orders were lost, so the rate of loss is below {bound:.3%} "
        f"with 95 % confidence, if orders were independent"
    )
    if failover_bound is None:
        return sentence
    those = "1 failover without a loss bounds" if failovers == 1 else f"{failovers} failovers without a loss bound"
    return f"{sentence}; {those} the rate per failover only at {failover_bound:.0%}"


def _cause(outcome: Outcome, decisive: tuple[Check, ...], found: Audit) -> str:
    if outcome == "pass":
        without = {name: found.count(name) for name in ("given_up", "refused_after_rc") if found.count(name)}
        total = sum(found.acknowledged.values()) - sum(without.values())
        but = "".join(f"; {count} {name.replace('_', ' ')}, within the budget" for name, count in without.items())
        return f"All {total} acknowledged orders were found at the edge, in the cloud and in the kitchen, once and as sent{but}."
    own = [check for check in decisive if "which says little" not in check.detail] or list(decisive)
    also = f" (also: {', '.join(check.name for check in own[1:])})" if len(own) > 1 else ""
    return f"{own[0].detail[:1].upper()}{own[0].detail[1:]}{also}."


def _notes(files: RunFiles, environment: Environment | None, found: Audit) -> list[str]:
    notes = [f"{store}: {_money(sums)}" for store, sums in found.payments.items()]
    skipped = sum((Counter(load.skipped) for load in files.loads), Counter[str]())
    if skipped:
        said = ", ".join(f"{step} ({count} times)" for step, count in sorted(skipped.items()))
        notes.append(f"the adapter of the driven system cannot do all that people do; left out: {said}")
    notes += [f"{store}: {paper}" for store, ledger in found.ledgers.items() if (paper := paper_summary(ledger))]
    for store, stock in found.stocks.items():
        for name, quantity in optimistic_shorts(found.ledgers[store], stock).items():
            notes.append(f"{store}: {quantity} of {name} were promised beyond what was there, which its policy allows")
    if environment is not None and environment.broken_variant:
        notes.append(f"the stack ran as the broken variant {environment.broken_variant}")
    for store, reads in files.rounds[max(files.rounds)].items():
        if isinstance(reads.cloud, CloudRead) and reads.cloud.alarms:
            kinds = sorted({str(alarm.get("kind", "")) for alarm in reads.cloud.alarms})
            notes.append(f"{store}: the cloud raised {len(reads.cloud.alarms)} alarms ({', '.join(kinds)})")
    notes += [f"{item.place}: {item.reason}" for item in files.broken if item.place == "samples"][:1]
    return notes
