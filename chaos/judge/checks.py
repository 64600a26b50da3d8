"""The questions that decide a verdict. First whether the run can say anything at all, then what it says."""

from __future__ import annotations

import math
import statistics as numbers
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from chaos.judge.audit import Audit
from chaos.judge.findings import CLASSES, OF_PAYMENTS, OF_STOCK, AuditClass
from chaos.judge.gate import Budgets
from chaos.judge.goodput_checks import goodput_checks
from chaos.judge.platforms import accepted_count, never_struck
from chaos.judge.reading import disagreement
from chaos.judge.reads import ROUNDS, Convergence, GatewayRead, Unreadable
from chaos.judge.runfolder import Environment, Plan, RunFiles
from chaos.judge.statistics import orders_enough
from chaos.judge.steady import SteadyAccount
from chaos.judge.steady_checks import steady_checks
from chaos.judge.timing import FaultEffect
from chaos.judge.verdict import Check, Statistics, exposed

CPU_PERCENT_MAX = 95.0


@dataclass(frozen=True)
class Evidence:
    """Everything that the checks look at."""

    files: RunFiles
    audit: Audit
    effects: tuple[FaultEffect, ...]
    statistics: Statistics
    budgets: Budgets
    steady: tuple[SteadyAccount, ...] = ()

    @property
    def acknowledged(self) -> int:
        """The size of K."""
        return sum(self.audit.acknowledged.values())


def all_checks(evidence: Evidence) -> tuple[Check, ...]:
    """Every check, those that make a run unknown first."""
    grounds = tuple(_grounds(evidence))
    reason = next((check.detail for check in grounds if check.verdict == "unknown"), None)
    return (
        *grounds,
        *(_class_check(audit_class, evidence, reason) for audit_class in CLASSES),
        _exposure(evidence),
        _sample(evidence),
        _loss_rate(evidence),
        _failover(evidence),
        *goodput_checks(
            evidence.audit.stories.values(),
            evidence.files.start_us,
            evidence.budgets,
            reason,
            _capacity_per_s(evidence),
        ),
        *steady_checks(evidence.steady, struck=bool(evidence.files.faults)),
    )


def _grounds(evidence: Evidence) -> Iterator[Check]:
    files = evidence.files
    yield _first("data", _data(evidence), f"{len(evidence.audit.stories)} orders were attempted")
    yield _first("places", _places(files), f"every place of {', '.join(files.stores)} was read twice")
    yield _first("convergence", _convergence(evidence), "every place stands where the primary stands")
    yield _first("reads_agree", _reads_agree(files), "both rounds of reads hold the same orders")
    yield _first("load_generator", _load(files, evidence.budgets), _load_summary(files))
    yield _first("faults", _faults(files), f"{len(files.faults)} planned faults took effect and were undone")


def _capacity_per_s(evidence: Evidence) -> float | None:
    return evidence.files.plan.capacity_per_s if isinstance(evidence.files.plan, Plan) else None


def _first(name: str, reasons: Iterable[str], good: str) -> Check:
    """Unknown for the first reason, and how many more there are; pass without any."""
    every = list(reasons)
    if not every:
        return Check(name, "pass", good)
    more = f" (and {len(every) - 1} more)" if len(every) > 1 else ""
    return Check(name, "unknown", every[0] + more)


def _payment_data(evidence: Evidence) -> Iterator[str]:
    """Whether enough was paid, and went wrong, to say anything."""
    if not any(sums.closed for sums in evidence.audit.payments.values()):
        yield "checks were to be paid, and none was"
    for kind in evidence.files.plan.misbehaviour if isinstance(evidence.files.plan, Plan) else ():
        struck = [
            reads.gateway.struck.get(kind, 0)
            for reads in evidence.files.rounds[ROUNDS[-1]].values()
            if isinstance(reads.gateway, GatewayRead)
        ]
        if struck and not any(struck):
            yield f"the payment gateway was to misbehave ({kind}) and never did"


def _stock_data(evidence: Evidence, planned: Mapping[str, int]) -> Iterator[str]:
    """Whether every store received what the scenario says, and had it read."""
    for store, sums in evidence.audit.stocks.items():
        ledger = evidence.audit.ledgers[store]
        for name, quantity in planned.items():
            if ledger.primary is not None and sums.received.get(name, 0) < quantity:
                yield f"{store}: {quantity} of {name} were to be in stock, and {sums.received.get(name, 0)} were received"
        if (ledger.primary is not None and ledger.primary.stock is None) or (
            ledger.cloud and ledger.cloud.stock is None
        ):
            yield f"{store}: what the store or the cloud says of its stock was not read"


def _data(evidence: Evidence) -> Iterator[str]:
    files, acknowledged = evidence.files, evidence.acknowledged
    if isinstance(files.plan, Unreadable):
        yield f"the scenario of the run cannot be read: {files.plan.reason}"
    if not any(attempt.kind == "order" for attempt in files.attempts):
        yield "there is no data: the history holds no order"
    elif not acknowledged:
        yield "there is no data: no order was acknowledged"
    if isinstance(files.plan, Plan) and files.plan.payments:
        yield from _payment_data(evidence)
    if isinstance(files.plan, Plan) and files.plan.stock:
        yield from _stock_data(evidence, files.plan.stock)
    if isinstance(files.plan, Plan) and files.plan.delivery:
        last = tuple(files.rounds[ROUNDS[-1]].values())
        if not accepted_count(last):
            yield "orders were to be placed at the delivery platform, and none was accepted"
        yield from never_struck(files.plan.delivery_misbehaviour, last)
    if isinstance(files.environment, Unreadable):
        yield f"the environment of the run is not known: {files.environment.reason}"
    for item in files.broken:
        if item.place != "samples":
            yield f"{item.place} cannot be read whole: {item.reason}"


def _places(files: RunFiles) -> Iterator[str]:
    if not files.stores:
        yield "no final read was taken"
    for number in reversed(ROUNDS):
        for store in files.rounds[number].values():
            for place in store.unreadable:
                yield f"a place could not be read: {place.place} in read {number} ({place.reason})"
            if store.gateway is None and isinstance(files.plan, Plan) and files.plan.payments:
                yield f"a place could not be read: {store.store}/gateway in read {number} (gateway.json is missing)"
            if store.delivery_platform is None and isinstance(files.plan, Plan) and files.plan.delivery:
                missing = f"{store.store}/delivery_platform in read {number} (delivery_platform.json is missing)"
                yield f"a place could not be read: {missing}"
            if store.printer is None and isinstance(files.plan, Plan) and store.store in files.plan.printers:
                yield f"a place could not be read: {store.store}/printer in read {number} (printer.json is missing)"


def _convergence(evidence: Evidence) -> Iterator[str]:
    for ledger in evidence.audit.ledgers.values():
        if ledger.unsettled is not None:
            yield ledger.unsettled
    if not evidence.audit.ledgers and not isinstance(evidence.files.convergence, Convergence):
        yield f"convergence is not known ({evidence.files.convergence.reason})"


def _reads_agree(files: RunFiles) -> Iterator[str]:
    first, second = (files.rounds[number] for number in ROUNDS)
    if not files.stores or any(reads.unreadable for reads in (*first.values(), *second.values())):
        yield "there are no two whole rounds of reads to compare"
    for store in files.stores:
        found = disagreement(first[store], second[store])
        if found is not None:
            yield found


def _load(files: RunFiles, budgets: Budgets) -> Iterator[str]:
    workers = files.environment.workers if isinstance(files.environment, Environment) else 1
    if len(files.loads) < workers:
        yield f"a load process is missing: {len(files.loads)} of {workers} left their metrics"
    planned = sum(load.planned for load in files.loads)
    for load in files.loads:
        if not load.finished:
            yield f"the load process {load.process} did not finish its timetable"
        if load.started and load.process not in files.history_processes:
            yield f"the load process {load.process} left no history"
        if load.cpu_percent_max > CPU_PERCENT_MAX and load.late_starts:
            yield (
                f"the load process {load.process} was saturated ({load.cpu_percent_max:.0f} % CPU, "
                f"{load.late_starts} late starts)"
            )
    missed = sum(load.late_starts + load.dropped_starts for load in files.loads)
    if planned and missed / planned > budgets.late_start_share:
        yield (
            f"the load generator missed its schedule: {missed} of {planned} starts late or dropped "
            f"({missed / planned:.1%}, the budget is {budgets.late_start_share:.1%})"
        )


def _load_summary(files: RunFiles) -> str:
    planned = sum(load.planned for load in files.loads)
    missed = sum(load.late_starts + load.dropped_starts for load in files.loads)
    return f"{missed} of {planned} starts late or dropped"


def _faults(files: RunFiles) -> Iterator[str]:
    if isinstance(files.plan, Plan) and len(files.faults) < files.plan.faults_planned:
        yield f"a planned fault never ran: {len(files.faults)} of {files.plan.faults_planned} are on record"
    for fault in files.faults:
        if not fault.took_effect:
            yield f"the fault {fault.name} did not take effect ({fault.evidence or 'no evidence'})"
        if not fault.undone:
            yield f"the fault {fault.name} was not undone ({fault.undo_detail or 'no detail'})"


def _class_check(audit_class: AuditClass, evidence: Evidence, ungrounded: str | None) -> Check:
    name = audit_class.name
    has_stock = any(sums.on_hand for sums in evidence.audit.stocks.values())
    unpaid, unstocked = name in OF_PAYMENTS and not evidence.files.has_payments, name in OF_STOCK and not has_stock
    if audit_class.rule == "not_exercised" or unpaid or unstocked:
        return Check(name, "not_exercised", "not exercised: no payments/stock in this stack")
    count = evidence.audit.count(name)
    limit = {"always": 0, "budget": _limit(evidence, name)}.get(audit_class.rule)
    if limit is not None and count > limit:
        return Check(name, "fail", _case(name, count, limit, evidence.audit))
    if ungrounded is not None:
        return Check(name, "unknown", f"{count} found, which says little: {ungrounded}")
    if limit is None:
        return Check(name, "pass", f"{count}, counted only")
    return Check(name, "pass", f"{count} found" + (f", {limit} allowed" if limit else ""))


def _limit(evidence: Evidence, name: str) -> int:
    budgets = evidence.budgets
    late = budgets.late + math.floor(budgets.late_allowed * evidence.acknowledged)
    return {"given_up": budgets.given_up, "late": late, "refused_after_rc": budgets.refused_after_rc}.get(name, 0)


def _case(name: str, count: int, limit: int, audit: Audit) -> str:
    first = audit.by_class[name][0]
    allowed = f" (the budget allows {limit})" if limit else ""
    where = ""
    if name == "lost":
        cells = [f"{level} at the {place}: {n}" for level, row in audit.lost_by.items() for place, n in row.items()]
        where = f" ({', '.join(cells)})"
    things = _things(name, audit)
    cases = f"{count} {things[0] + ' is' if count == 1 else things[1] + ' are'} {name.replace('_', ' ')}"
    return f"{cases}{where}{allowed}; the first, {first.subject}: {first.evidence}"


def _things(name: str, audit: Audit) -> tuple[str, str]:
    """What the cases of a class are, one and several: orders or acts where all of them are, else just cases."""
    named = {
        "split": ("log place or epoch", "log places or epochs"),
        "mischarged": ("check or payment", "checks or payments"),
    }
    if name in named:
        return named[name]
    found = audit.by_class[name]
    orders, acts = set(audit.stories), set(audit.acts)
    for ledger in audit.ledgers.values():
        orders |= set(ledger.order_entries)
        acts |= set(ledger.acts)
    if all(finding.order_id is not None or finding.subject in orders for finding in found):
        return "order", "orders"
    return ("act", "acts") if all(finding.subject in acts for finding in found) else ("case", "cases")


def _exposure(evidence: Evidence) -> Check:
    count, least = len(exposed(evidence.effects)), evidence.budgets.least_exposed
    if count < least:
        text = f"too few orders were in flight when faults struck: {count}, and the scenario asks for {least}"
        return Check("exposure", "unknown", text)
    return Check("exposure", "pass", f"{count} orders were in flight when faults struck ({least} asked for)")


def _sample(evidence: Evidence) -> Check:
    count, least = evidence.acknowledged, evidence.budgets.least_acknowledged
    if count < least:
        text = f"too few orders were acknowledged: {count}, and the scenario asks for {least}"
        return Check("sample", "unknown", text)
    return Check("sample", "pass", f"{count} orders were acknowledged ({least} asked for)")


def _loss_rate(evidence: Evidence) -> Check:
    budget, bound = evidence.budgets.loss_rate, evidence.statistics.loss_rate_upper_bound_95
    if budget is None:
        return Check("loss_rate", "pass", f"no budget; {evidence.statistics.sentence}")
    if bound <= budget:
        return Check("loss_rate", "pass", f"{evidence.statistics.sentence}; the budget is {budget:.3%}")
    lost = evidence.audit.lost_acknowledged
    enough = orders_enough(budget, lost)
    needed = f"{enough} orders with as many losses would be enough"
    text = f"{evidence.statistics.sentence}; the budget is {budget:.3%}, for which {needed}"
    return Check("loss_rate", "fail" if lost else "unknown", text)


def _failover(evidence: Evidence) -> Check:
    budget = evidence.budgets.failover_ms_p50
    awaited = [effect for effect in evidence.effects if effect.awaits_failover]
    measured = [effect.failover_ms for effect in awaited if effect.failover_ms is not None]
    unanswered = [effect for effect in awaited if effect.failover_ms is None]
    median = numbers.median(measured) if measured else None
    seen = "no failover was measured"
    if median is not None:
        seen = f"the median time to fail over is {median:.0f} ms ({len(measured)} measured)"
    if budget is None:
        return Check("failover_ms_p50", "pass", f"no budget; {seen}")
    if median is not None and median > budget:
        return Check("failover_ms_p50", "fail", f"{seen}; the budget is {budget:.0f} ms")
    silent = [effect for effect in unanswered if not effect.answered_after]
    if silent:
        text = f"after the fault {silent[0].fault.name} no device of the store acknowledged anything any more"
        return Check("failover_ms_p50", "fail", text)
    if unanswered:
        text = f"after the fault {unanswered[0].fault.name} nothing was acknowledged under a higher epoch; {seen}"
        return Check("failover_ms_p50", "unknown", text)
    if median is None:
        return Check("failover_ms_p50", "unknown", f"{seen}, and the budget is {budget:.0f} ms")
    return Check("failover_ms_p50", "pass", f"{seen}; the budget is {budget:.0f} ms")
