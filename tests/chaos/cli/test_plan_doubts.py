"""`rushproof plan` says what contradicts its search, and where a search cannot begin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.cli import main

KITCHEN = """\
name: kitchen
duration_s: 10
stores: [{name: s1, tables: 30}]
diners: {arrivals: {rate_per_s: 3}, channels: {qr: 1.0, cashier: 0.0, mini_program: 0.0}, think_s: 1, polls_max: 0}
model:
  seating: {dining_s: 20, dining_shape: deterministic, patience_s: 5}
  kitchen: [{name: wok, cooks: 1, setup_s: 0.7, variation: 0}]
"""
ASKED = ["plan", "--engine", "simpy", "--replications", "4", "--workers", "1"]


def test_a_plan_tells_its_doubt_and_refuses_to_begin_at_no_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kitchen.yaml"
    path.write_text(KITCHEN, encoding="utf-8")
    common = [*ASKED, str(path), "--keep", "meal_p95<=2.5", "--most-reneged", "1", "--least-told", "0.5"]
    assert main([*common, "--find", "stores.tables", "--from", "2", "--to", "26", "--step", "24", "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["value"] == 2
    assert len(found["doubts"]) == 1
    assert "2 keeps the budgets and 26 does not" in found["doubts"][0]
    assert found["doubts"][0] in said.err
    assert main([*common, "--find", "model.kitchen.wok.cooks", "--from", "0", "--to", "4"]) == 2
    assert "0 means as many as there are tickets" in capsys.readouterr().err


def test_a_plan_tells_that_a_queue_still_grew_and_which_bound_that_nobody_said_is_never_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kitchen.yaml"
    path.write_text(KITCHEN.replace("patience_s: 5", "patience_s: 5000"), encoding="utf-8")
    common = [*ASKED, str(path), "--least-told", "0.9", "--find", "stores.tables"]
    assert main([*common, "--from", "50", "--to", "50", "--keep", "meal_p95<=100", "--json"]) == 0
    said = capsys.readouterr()
    growing = "at 50 the queue in the kitchen still grew when the evening ended; ask again with a longer duration_s"
    assert json.loads(said.out)["growing"] == [growing]
    assert growing in said.err
    full = ["--from", "1", "--to", "2", "--keep", "meal_p95<=100"]
    path.write_text(KITCHEN, encoding="utf-8")
    assert main([*common, *full]) == 1
    assert (
        "\nreneged<=0.05 goes with what is asked, and no trial keeps it; --most-reneged says another bound\n"
        in capsys.readouterr().out
    )
