"""The kinds of faults: each is told in the README, and each that puts the primary out of action is known to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

import chaos.faults
from chaos.faults.base import Target
from chaos.faults.planned import StackFault, calls_for_failover, injected_fault, loses_disk, needs_control
from refsystem.stack import Stack, StackSettings, StoreSettings
from simulator.scenario import Fault, shipped_scenarios

FIGURES: dict[str, dict[str, Any]] = {
    "clock_offset": {"offset_s": 1.0},
    "clock_drift": {"drift_ppm": 1.0},
    "printer_trouble": {"trouble": "jam"},
    "partner_misbehaves": {"partner": "gateway", "rules": ({"kind": "slow"},)},
}
OWN_TARGET = ("connections_exhausted", "printer_trouble", "partner_misbehaves")
"""Kinds that hit no process by its name."""


def kind_of(model: Any) -> str:
    (kind,) = get_args(model.model_fields["fault"].annotation)
    return str(kind)


KINDS = {kind_of(model): model for model in get_args(Fault)}


def planned(kind: str, **figures: Any) -> Any:
    target = {} if kind in OWN_TARGET else {"process": "edge_a"}
    length = {} if kind == "process_restarted" else {"for_s": 2.0}
    return KINDS[kind](fault=kind, at_s=1.0, **target, **length, **FIGURES.get(kind, {}), **figures)


STACK_KINDS = [kind_of(model) for model in get_args(StackFault)]


def test_the_readme_tells_every_kind_and_no_other() -> None:
    readme = Path(chaos.faults.__file__).with_name("README.md").read_text(encoding="utf-8")
    table = readme.partition("## Kinds")[2].partition("###")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(KINDS)


def test_scenarios_that_the_readme_names_are_shipped() -> None:
    readme = Path(chaos.faults.__file__).with_name("README.md").read_text(encoding="utf-8")
    gray = readme.partition("### Gray failures")[2].partition("## Beside")[0]
    rows = re.findall(r"\| ([^|]*) \|$", gray, re.MULTILINE)[1:]
    others = gray.partition("Further scenarios")[2].partition("Run one")[0]
    named = set(re.findall(r"`(\w+)`", " ".join([*rows, others])))
    assert len(named) >= 5
    assert named <= set(shipped_scenarios())


@pytest.mark.parametrize("kind", STACK_KINDS)
def test_every_kind_of_a_process_can_be_injected(kind: str, tmp_path: Path) -> None:
    stack = Stack(StackSettings(tmp_path, (StoreSettings("s1"),), Path("menu.json")))
    process: Any = type("Process", (), {"name": "s1.edge_a", "pid": None})()
    stack._python = {"s1.edge_a": process}
    target = Target("edge_a", "edge_a")
    fault = injected_fault(planned(kind), stack, ["s1.edge_a"], target)
    assert fault.target is target


def test_which_faults_put_a_primary_out_of_action_lose_its_disk_or_need_control() -> None:
    faults = [planned(kind) for kind in STACK_KINDS if kind != "connections_exhausted"]
    assert {fault.fault for fault in faults if not calls_for_failover(fault)} == {
        "process_slow",
        "disk_slow",
        "clock_offset",
        "clock_drift",
        "descriptors_exhausted",
        "memory_exhausted",
        "partner_misbehaves",
    }
    assert not calls_for_failover(planned("disk_erring", operation="read"))
    assert {fault.fault for fault in faults if loses_disk(fault)} == {"disk_lost", "disk_dead"}
    assert {fault.fault for fault in faults if needs_control(fault)} == {
        "disk_full",
        "disk_slow",
        "disk_erring",
        "disk_dead",
        "clock_offset",
        "clock_drift",
    }
