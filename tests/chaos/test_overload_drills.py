"""A storm of retries on real processes: ridden out with the remedies, a collapse that outlives its cause without them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from chaos.judge.goodput import goodput, windows
from chaos.judge.orders import fold
from simulator.history import read_history
from simulator.scenario import dump_scenario, find_scenario, load_scenario, with_changes

pytestmark = [pytest.mark.slow, pytest.mark.drill, pytest.mark.timeout(900)]

ALWAYS = ("lost", "duplicated", "unbacked", "unexpected", "contradicted", "altered", "split", "stale", "mischarged")


def test_with_the_remedies_goodput_stays_within_a_tenth_of_its_peak(drill: Callable[..., Any]) -> None:
    result = drill("retry_storm", "--retry-unknown", "2", timeout_s=800)
    assert result.exit_code == 0, result.explain()
    assert result.check("goodput") == "pass"
    assert {name: result.verdict["counts"][name] for name in ALWAYS} == dict.fromkeys(ALWAYS, 0)
    refused = [row for row in read_history(result.folder / "history") if row.problem == "overloaded"]
    assert len(refused) > 500, "twice the capacity was really asked for"
    assert {row.outcome for row in refused} == {"fail"}, "a refusal is definite"


@pytest.mark.unhurried
def test_without_them_goodput_falls_and_stays_down_when_the_storm_is_over(
    drill: Callable[..., Any], tmp_path: Any
) -> None:
    scenario = with_changes(load_scenario(find_scenario("retry_storm")), {"overload": {"off": ["all"]}})
    path = tmp_path / "storm.yaml"
    path.write_text(dump_scenario(scenario), encoding="utf-8")
    result = drill(str(path), timeout_s=800)
    assert result.exit_code in (1, 3), result.explain()
    assert result.check("goodput") != "pass"
    assert {name: result.verdict["counts"][name] for name in ALWAYS} == dict.fromkeys(ALWAYS, 0)
    start_us = json.loads((result.folder / "environment.json").read_text(encoding="utf-8"))["start_us"]
    stories = fold(read_history(result.folder / "history")).values()
    found = goodput(stories, start_us)
    assert found is not None
    assert found.least_ratio < 0.5
    over = [window for window in windows(stories, start_us, 5.0) if window.at_s >= 20]
    assert sum(window.told_yes for window in over) < 0.6 * sum(window.offered for window in over)
