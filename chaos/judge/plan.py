"""What the scenario of a run asked for, as far as it matters to the judge: its budgets, stores, time scale and faults."""

from __future__ import annotations

from pathlib import Path

from chaos.judge.gate import Budgets
from chaos.judge.reads import Unreadable
from chaos.judge.runfolder import Plan
from chaos.judge.steady import PlannedProbe
from simulator.formats import format_of
from simulator.scenario import Scenario, ScenarioError, load_scenario
from simulator.scenario_steady_state import radius_of


def read_plan(run: Path) -> Plan | Unreadable:
    """The plan in `scenario.yaml` of the run folder, or why there is none."""
    try:
        return plan_of(load_scenario(run / "scenario.yaml"))
    except ScenarioError as error:
        return Unreadable("scenario", str(error))


def plan_of(scenario: Scenario) -> Plan:
    """What of a scenario matters to the judge."""
    radius = radius_of(scenario)
    budgets = Budgets(
        loss_rate=scenario.budgets.loss_rate,
        given_up=scenario.budgets.given_up,
        late=scenario.budgets.late,
        late_after_s=scenario.budgets.late_after_s,
        late_budget_ms=scenario.budgets.late_budget_ms,
        late_allowed=scenario.budgets.late_allowed,
        refused_after_rc=scenario.budgets.refused_after_rc,
        late_start_share=scenario.budgets.late_start_share,
        failover_ms_p50=scenario.budgets.failover_ms_p50,
        least_goodput_ratio=scenario.budgets.least_goodput_ratio,
        least_exposed=scenario.least_exposed,
        least_acknowledged=scenario.least_acknowledged,
    )
    return Plan(
        name=scenario.name,
        title=scenario.title,
        seed=scenario.seed,
        time_scale=scenario.time_scale,
        stores=tuple(store.name for store in scenario.stores),
        faults_planned=len(scenario.faults),
        budgets=budgets,
        probes=tuple(PlannedProbe(probe.name, probe.during == "judged") for probe in scenario.steady_state),
        blast_radius={"stores": radius.stores or (), "links": radius.links, "processes": radius.processes},
        printers=tuple(store.name for store in scenario.stores if store.printer),
        receipts=tuple(store.name for store in scenario.stores if store.receipts),
        payments=scenario.payments is not None,
        format=format_of(scenario),
        stock=scenario.stock,
        delivery=scenario.delivery is not None,
        delivery_misbehaviour=tuple(sorted({rule.kind for rule in scenario.delivery.misbehaviour}))
        if scenario.delivery
        else (),
        misbehaviour=tuple(sorted({rule.kind for rule in scenario.payments.misbehaviour})) if scenario.payments else (),
    )
