"""A soak goes on until its time, seeds or budget are used up, and keeps what did not pass."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.cli import main
from chaos.drill_evidence import EvidenceError
from chaos.soak import drills as drills_module
from chaos.soak.accounts import Soak, add_soak, read_soak
from chaos.soak.drills import DrillInterrupted, run_drill
from chaos.soak.plan import SoakBudget, SoakPlan, SoakPlanError, parse_budget, parse_length
from chaos.soak.soak import INTERRUPTED, SoakRun


def verdict(outcome: str) -> dict[str, Any]:
    return {
        "verdict": outcome,
        "cause": f"it is {outcome}",
        "acknowledged": {"R2": 200, "R1": 20, "RC": 30},
        "counts": {"exposed": 7, "given_up": 1, "lost": 2 if outcome == "fail" else 0, "split": 0},
        "failover_ms": [900],
        "details": {"faults": [{"name": "primary killed"}, {"name": "slow peers"}]},
    }


class Drills:
    """Stands for real drills: the outcomes of each seed, one for each attempt; the last one stays."""

    def __init__(self, outcomes: Mapping[int, Sequence[str]], files_bytes: int = 10) -> None:
        self.outcomes = outcomes
        self.files_bytes = files_bytes
        self.run: list[int] = []

    def __call__(
        self, source: str, seed: int, folder: Path, watch: Callable[[], bool]
    ) -> tuple[dict[str, Any] | None, str]:
        if watch():
            raise DrillInterrupted
        attempt = self.run.count(seed)
        self.run.append(seed)
        outcomes = self.outcomes.get(seed, ("pass",))
        outcome = outcomes[min(attempt, len(outcomes) - 1)]
        if outcome == "broken":
            return None, "the drill ended with exit code 2: no PostgreSQL"
        folder.mkdir(parents=True)
        (folder / "history.jsonl").write_bytes(b"x" * self.files_bytes)
        return verdict(outcome), ""


def soak(tmp_path: Path, drills: Drills, interrupted: Callable[[], bool] = lambda: False, **changes: Any) -> Soak:
    plan = SoakPlan("calm", "calm", **{"first_seed": 1, "folder": tmp_path, "seeds_max": 5} | changes)
    return SoakRun(plan, interrupted, lambda _soak, _seed: None, drills).run()


def kept(tmp_path: Path) -> set[str]:
    return {path.name for path in tmp_path.iterdir() if path.is_dir()}


def test_all_seeds_are_run_and_the_summary_lies_in_the_folder(tmp_path: Path) -> None:
    found = soak(tmp_path, drills := Drills({}))
    assert drills.run == [1, 2, 3, 4, 5]
    assert (found.verdict, found.stopped_by) == ("pass", "seeds: all 5 run")
    summary = json.loads((tmp_path / "soak.json").read_text())
    assert summary == json.loads(json.dumps(found.to_json()))
    assert summary["counts"] == {"drills": 5, "pass": 5, "fail": 0, "unknown": 0}
    assert summary["failing_rate_upper_bound_95"] == pytest.approx(1 - 0.05 ** (1 / 5))
    row = summary["drills"][0]
    assert (row["seed"], row["acknowledged"], row["exposed"], row["given_up"]) == (1, 250, 7, 1)
    assert row["faults"] == ["primary killed", "slow peers"]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("failing", {"seed-2"}),
        ("not-passing", {"seed-2", "seed-4"}),
        ("all", {"seed-1", "seed-2", "seed-3", "seed-4", "seed-5"}),
    ],
)
def test_only_the_run_folders_asked_for_are_kept(tmp_path: Path, keep: str, expected: set[str]) -> None:
    found = soak(tmp_path, Drills({2: ["fail"], 4: ["unknown"]}), keep=keep)
    assert kept(tmp_path) == expected
    assert {Path(drill.folder).name for drill in found.drills if drill.folder} == expected
    assert found.verdict == "fail"
    assert found.cause == "5 random drills: 3 pass, 1 fail, 1 unknown; the first, seed 2: it is fail"


def test_an_unknown_drill_is_run_again_and_both_causes_are_told(tmp_path: Path) -> None:
    found = soak(tmp_path, drills := Drills({2: ["unknown", "unknown", "pass"]}), retries=2, keep="failing")
    assert drills.run == [1, 2, 2, 2, 3, 4, 5]
    assert found.verdict == "pass"
    assert found.drills[1].unknown_before == ("it is unknown", "it is unknown")
    assert kept(tmp_path) == set()


def test_a_drill_that_cannot_be_run_is_unknown_and_says_why(tmp_path: Path) -> None:
    found = soak(tmp_path, Drills({3: ["broken"]}))
    assert (found.verdict, found.drills[2].cause) == ("unknown", "the drill ended with exit code 2: no PostgreSQL")
    assert found.count("pass") == 4


@pytest.mark.parametrize(
    ("outcome", "budget", "reason"),
    [
        ("fail", SoakBudget(failures=2), "budget: 2 failed"),
        ("unknown", SoakBudget(unknowns=2), "budget: 2 unknown"),
        ("fail", SoakBudget(failures=99, disk_bytes=2_000), "budget: the kept runs take 0.0 MB"),
    ],
)
def test_a_budget_ends_it(tmp_path: Path, outcome: str, budget: SoakBudget, reason: str) -> None:
    drills = Drills({seed: [outcome] for seed in range(1, 6)}, files_bytes=1_000)
    found = soak(tmp_path, drills, budget=budget)
    assert len(drills.run) == 2
    assert found.stopped_by == reason


def test_a_drill_that_would_not_end_in_time_is_not_begun(tmp_path: Path) -> None:
    class Slow(Drills):
        def __call__(self, *arguments: Any) -> tuple[dict[str, Any] | None, str]:
            time.sleep(0.3)
            return super().__call__(*arguments)

    found = soak(tmp_path, drills := Slow({}), seeds_max=None, for_s=0.8)
    assert 1 <= len(drills.run) <= 2
    assert found.stopped_by == "time: 0.8 s"
    assert found.elapsed_s <= 0.8


def test_an_interrupted_soak_keeps_what_was_measured(tmp_path: Path) -> None:
    drills = Drills({})
    found = soak(tmp_path, drills, interrupted=lambda: len(drills.run) >= 2)
    assert (found.stopped_by, len(found.drills), found.verdict) == (INTERRUPTED, 2, "pass")
    assert json.loads((tmp_path / "soak.json").read_text())["counts"]["drills"] == 2


def test_without_a_single_drill_nothing_is_known(tmp_path: Path) -> None:
    found = soak(tmp_path, Drills({}), interrupted=lambda: True)
    assert (found.verdict, found.cause) == ("unknown", "no drill was run (interrupted)")


def test_drills_are_added_to_the_evidence_and_a_seed_run_again_replaces_the_former(tmp_path: Path) -> None:
    path = tmp_path / "random.json"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    add_soak(path, "rushproof soak --seeds 5", soak(tmp_path / "a", Drills({2: ["unknown"]})))
    add_soak(path, "rushproof soak --seeds 3", soak(tmp_path / "b", Drills({}), first_seed=2, seeds_max=5))
    counts = json.loads(path.read_text())["counts"]
    assert {key: counts[key] for key in ("drills", "pass", "fail", "unknown")} == {
        "drills": 6,
        "pass": 6,
        "fail": 0,
        "unknown": 0,
    }
    assert [run["seed"] for run in counts["runs"]] == [1, 2, 3, 4, 5, 6]
    assert all(run["base"] == "calm" and "folder" not in run for run in counts["runs"])
    path.write_text('{"kind": "drills", "counts": {"runs": []}}')
    with pytest.raises(EvidenceError, match="not of random drills"):
        read_soak(path)


@pytest.mark.parametrize(("text", "length_s"), [("2h", 7200), ("1h30m", 5400), ("90s", 90), ("1H1m1s", 3661)])
def test_lengths(text: str, length_s: float) -> None:
    assert parse_length(text) == length_s


@pytest.mark.parametrize("text", ["", "2", "0h", "h", "two hours", "-1h", "1s2h"])
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(SoakPlanError, match="no length of time"):
        parse_length(text)


def test_budgets() -> None:
    assert parse_budget("failures=1") == SoakBudget(failures=1)
    assert parse_budget("unknowns=4, disk=1.5GB,failures=2") == SoakBudget(2, 4, 1_500_000_000)


@pytest.mark.parametrize(
    "text", ["", "failures", "failures=0", "losses=1", "disk=2", "disk=0MB", "failures=1,,", "unknowns=٣"]
)
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(SoakPlanError, match="budget"):
        parse_budget(text)


def test_a_drill_that_does_not_start_leaves_its_last_words(tmp_path: Path) -> None:
    said, trouble = run_drill("no_such_scenario", 1, tmp_path / "seed-1", lambda: False)
    assert said is None
    assert trouble.startswith("the drill ended with exit code 2: rushproof: no_such_scenario: there is no shipped")


@pytest.mark.slow
def test_a_drill_is_ended_in_order_when_the_soak_is_told_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUSHPROOF_TEST_MARK", str(tmp_path))
    log = tmp_path / "seed-1.log"

    def watch() -> bool:
        return log.exists() and "setting up" in log.read_text(encoding="utf-8")

    with pytest.raises(DrillInterrupted):
        run_drill("calm", 1, tmp_path / "seed-1", watch)
    assert marked(tmp_path) == []
    assert "interrupted" in (tmp_path / "seed-1" / "logs" / "drill.log").read_text(encoding="utf-8")


def marked(tmp_path: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RUSHPROOF_TEST_MARK") == str(tmp_path) and process.pid != os.getpid():
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def test_a_drill_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drills_module, "DRILL_TIMEOUT_S", 0.2)
    said, trouble = run_drill("calm", 1, tmp_path / "seed-1", lambda: False)
    assert (said, trouble) == (None, "the drill did not end within 0.2 s")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("--for", "--seeds")),
        (("--for", "soon"), ("soon", "2h")),
        (("--seeds", "0"), ("--seeds",)),
        (("--seeds", "1", "--seed", "-1"), ("--seed",)),
        (("--seeds", "1", "--budget", "losses=1"), ("losses=1", "failures=3")),
        (("lunch_rusch", "--seeds", "1"), ("lunch_rush",)),
        (("--seeds", "1", "--evidence", "nowhere/file.json"), ("nowhere",)),
        (("--seeds", "1", "--retry-unknown", "99"), ("--retry-unknown",)),
    ],
)
def test_what_cannot_be_soaked_is_one_sentence(
    arguments: tuple[str, ...], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["soak", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("rushproof: ")
    assert said.count("\n") == 1
    assert all(word in said for word in words), said


BASE = "name: short\nduration_s: 13\ntime_scale: 60\ndiners:\n  arrivals: {rate_per_s: 8}\n"


@pytest.mark.slow
@pytest.mark.unhurried
@pytest.mark.drill
def test_a_random_drill_passes_and_replays_from_its_scenario(tmp_path: Path) -> None:
    """Seed 10 kills the primary on this base; the run's own scenario.yaml holds what was drawn."""
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")
    command = [sys.executable, "-m", "chaos.cli", "soak", "base.yaml", "--seed", "10", "--seeds", "1"]
    command += ["--keep", "all", "--retry-unknown", "2", "--out", "soak", "--evidence", "random.json", "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=tmp_path, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout)
    assert summary["counts"] == {"drills": 1, "pass": 1, "fail": 0, "unknown": 0}
    (row,) = summary["drills"]
    folder = tmp_path / row["folder"]
    replayed = subprocess.run(
        [sys.executable, "-m", "chaos.cli", "scenarios", "check", str(folder / "scenario.yaml")],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert replayed.returncode == 0
    rows = [json.loads(line) for line in (folder / "faults.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == len(row["faults"]) > 0
    assert all(fault["took_effect"] and fault["undone"] for fault in rows)
    assert json.loads((tmp_path / "random.json").read_text())["counts"]["pass"] == 1


@pytest.mark.slow
def test_ctrl_c_ends_the_running_drill_and_tells_what_was_measured(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "chaos.cli", "soak", "--seeds", "1", "--out", "soak", "--json"]
    environment = os.environ | {"RUSHPROOF_TEST_MARK": str(tmp_path)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    )
    try:
        deadline_s = time.monotonic() + 60
        while not any("setting up" in path.read_text() for path in (tmp_path / "soak").glob("seed-*.log")):
            assert time.monotonic() < deadline_s
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, errors
    assert json.loads(out)["stopped_by"] == INTERRUPTED
    assert "Traceback" not in errors
    assert marked(tmp_path) == []
