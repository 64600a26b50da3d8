"""`rushproof fuzz` on a stand-in for the cluster: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import chaos.cli.fuzz as command
from chaos.cli import main

sys.path.insert(0, str(Path(__file__).parents[1] / "campaign"))
import stand_in

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_a_folder_of_its_own")]


@dataclass(frozen=True)
class Result:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        return json.loads(self.stdout)


@pytest.fixture
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the command in this process; `how` says how the stand-in goes."""

    def run(*arguments: str, how: Any = stand_in.sound, workers: str = "1") -> Result:
        monkeypatch.setattr(command, "SIMULATION", stand_in.simulation(how))
        exit_code = main(["fuzz", *arguments, *(["--workers", workers] if workers else [])])
        said = capsys.readouterr()
        return Result(exit_code, said.out, said.err)

    return run


def test_a_campaign_that_passes_says_so_and_leaves_nothing(fuzz: Callable[..., Result], tmp_path: Path) -> None:
    result = fuzz("--seeds", "20", workers="2")
    assert result.exit_code == 0
    assert result.stdout.startswith("PASS 20 seeds and no failure; every one of 2 goals was reached\n")
    assert "20 schedules" in result.stdout
    assert "goals: 2 of 2 reached; the rarest: a rare turn 2; a promotion 20" in result.stdout
    assert "digest " in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_unreached_goal_is_unknown(fuzz: Callable[..., Result]) -> None:
    result = fuzz("--seeds", "3")
    assert result.exit_code == 3
    assert result.stdout.startswith("UNKNOWN 1 goal never reached in 3 seeds: a rare turn")


def test_a_failure_prints_seed_command_invariant_and_shrunken_schedule(
    fuzz: Callable[..., Result], tmp_path: Path
) -> None:
    result = fuzz("--seeds", "20", "--first", "1", how=stand_in.broken)
    assert result.exit_code == 1
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines[0] == "FAIL 2 of 20 seeds failed; the first is seed 9: commit never goes back"
    assert "seed 9: commit never goes back at 4.3 ms: seed 9" in lines
    assert "rushproof fuzz --replay 9" in lines
    assert "rushproof fuzz --replay 19" in lines
    assert "rushproof fuzz --replay runs/fuzz-9/schedule.json" in lines
    assert any(
        line.startswith("seed 9 shrunk in ") and "to 1 of 6 strikes and 1 of 20 orders" in line for line in lines
    )
    assert any("device crash at store 1 device a for 1.0 ms" in line for line in lines)
    assert (tmp_path / "runs/fuzz-9/schedule.json").exists()
    assert (tmp_path / "runs/fuzz-9/trace.txt").exists()


def test_no_shrink_keeps_the_schedule_as_drawn(fuzz: Callable[..., Result], tmp_path: Path) -> None:
    result = fuzz("--seeds", "9", "--no-shrink", "--out", "here", how=stand_in.broken)
    assert result.exit_code == 1
    stored = json.loads((tmp_path / "here" / "schedule.json").read_text(encoding="utf-8"))
    assert (len(stored["schedule"]["strikes"]), len(stored["schedule"]["orders"])) == (6, 20)


def test_a_folder_that_cannot_be_written_costs_the_file_and_not_the_verdict(
    fuzz: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "runs").touch()
    result = fuzz("--seeds", "9", how=stand_in.broken)
    assert result.exit_code == 1
    assert "cannot be kept" in result.stderr
    assert "commit never goes back" in result.stdout


def test_json_is_all_that_stands_on_standard_output(fuzz: Callable[..., Result]) -> None:
    result = fuzz("--seeds", "20", "--json", how=stand_in.broken)
    said = result.document
    assert result.exit_code == 1
    assert (said["kind"], said["verdict"], said["variant"], said["interrupted"]) == ("fuzz", "fail", None, False)
    assert (said["seeds"], said["passed"], said["failed"]) == (20, 18, 2)
    assert said["failures_by_name"] == {"commit never goes back": 2}
    assert [failure["seed"] for failure in said["failures"]] == [9, 19]
    assert said["failures"][0]["replay"] == "rushproof fuzz --replay 9"
    assert said["shrunken"]["orders"] == 1
    assert len(said["shrunken"]["strikes"]) == 1
    assert said["shrunken"]["minimal"] is True
    assert said["goals"]["a rare turn"] == {"schedules": 2, "times": 2}
    assert "FAIL" in result.stderr


def test_json_of_an_interrupted_campaign_holds_what_was_counted(fuzz: Callable[..., Result]) -> None:
    result = fuzz("--seeds", "5000", "--check-twice", "0", "--json", how=stand_in.interrupting)
    assert result.exit_code == 130
    said = result.document
    assert said["interrupted"] is True
    assert 0 < said["seeds"] < said["seeds_asked"] == 5_000
    assert said["verdict"] == "unknown"


def test_a_caught_variant_is_a_failure_and_says_how_many_seeds_it_took(
    fuzz: Callable[..., Result], tmp_path: Path
) -> None:
    result = fuzz("--break", "no-claim", "--seeds", "50")
    assert result.exit_code == 1
    assert "FAIL the broken variant no-claim was caught by seed 9: commit never goes back" in result.stdout
    assert "rushproof fuzz --break no-claim --replay 9" in result.stdout
    assert (tmp_path / "runs/fuzz-no-claim-9/schedule.json").exists()
    assert fuzz("--break", "no-claim", "--seeds", "50", "--json").document["seeds"] == 9


def test_a_variant_that_is_not_caught_passes_with_a_sentence(fuzz: Callable[..., Result]) -> None:
    result = fuzz("--break", "no-claim", "--seeds", "5")
    assert result.exit_code == 0
    assert result.stdout.startswith("PASS the broken variant no-claim was not caught in 5 seeds")


def test_all_variants_in_one_go(fuzz: Callable[..., Result], tmp_path: Path) -> None:
    result = fuzz("--break", "all", "--seeds", "50", "--json", "--evidence", str(tmp_path / "variants.json"))
    assert result.exit_code == 0, result.stderr
    said = result.document
    assert said["kind"] == "fuzz-variants"
    assert said["caught"] == said["of"] == len(command.VARIANTS)
    for name, row in said["variants"].items():
        expected = {"caught": True, "by": "commit never goes back", "seeds": 9, "seed": 9}
        assert row == {"breaks": command.VARIANTS[name].breaks, **expected}
    evidence = json.loads((tmp_path / "variants.json").read_text(encoding="utf-8"))
    assert (evidence["kind"], evidence["counts"]["variants"]) == ("fuzz-variants", said["variants"])


def test_a_variant_that_is_never_caught_fails_the_round_of_all(fuzz: Callable[..., Result]) -> None:
    result = fuzz("--break", "all", "--seeds", "5")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"FAIL 0 of {len(command.VARIANTS)} broken variants were caught; not caught in 5")


def test_evidence_of_a_campaign_holds_its_counts(fuzz: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "fuzz.json"
    assert fuzz("--seeds", "20", "--evidence", str(path)).exit_code == 0
    evidence = json.loads(path.read_text(encoding="utf-8"))
    assert evidence["kind"] == "fuzz"
    assert (evidence["counts"]["seeds"], evidence["counts"]["verdict"]) == (20, "pass")
    assert evidence["counts"]["faults"] == {"device_crash": 100}


def test_an_interrupted_campaign_is_no_evidence(fuzz: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "fuzz.json"
    result = fuzz("--seeds", "5000", "--check-twice", "0", "--evidence", str(path), how=stand_in.interrupting)
    assert result.exit_code == 130
    assert not path.exists()


def test_a_seed_is_replayed_and_fails_the_same_way(fuzz: Callable[..., Result]) -> None:
    result = fuzz("--replay", "9", "--json", how=stand_in.broken)
    assert result.exit_code == 1
    said = result.document
    assert (said["kind"], said["seed"], said["verdict"], said["end"]) == ("fuzz-replay", 9, "fail", "violated")
    assert said["failure"]["broken"] == "commit never goes back"
    assert len(said["trace"]) == 6
    assert fuzz("--replay", "9", "--json", how=stand_in.broken).document == said


def test_a_seed_that_breaks_nothing_replays_with_exit_code_0(fuzz: Callable[..., Result]) -> None:
    result = fuzz("--replay", "8")
    assert result.exit_code == 0
    assert result.stdout.startswith("PASS seed 8 breaks nothing; it ended converged, twice alike")
    assert "trace, " not in result.stdout
    assert "trace, 6 of 6 lines" in fuzz("--replay", "8", "--trace").stdout


def test_a_file_is_replayed_with_its_variant(fuzz: Callable[..., Result]) -> None:
    assert fuzz("--break", "no-claim", "--seeds", "9").exit_code == 1
    result = fuzz("--replay", "runs/fuzz-no-claim-9/schedule.json")
    assert result.exit_code == 1
    assert "FAIL seed 9 with no-claim breaks commit never goes back" in result.stdout
    assert "1 strike and 1 order:" in result.stdout


def test_a_file_that_breaks_nothing_any_more_says_what_it_broke(fuzz: Callable[..., Result]) -> None:
    assert fuzz("--seeds", "9", how=stand_in.broken).exit_code == 1
    result = fuzz("--replay", "runs/fuzz-9/schedule.json", how=stand_in.sound)
    assert result.exit_code == 0
    assert "the file says that this breaks commit never goes back; now it breaks nothing" in result.stdout


def test_a_replay_that_goes_two_ways_fails(fuzz: Callable[..., Result]) -> None:
    result = fuzz("--replay", "3", how=stand_in.wandering)
    assert result.exit_code == 1
    assert "not_deterministic" in result.stdout


def test_ctrl_c_in_a_replay_is_130(fuzz: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "replay", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    assert fuzz("--replay", "3").exit_code == 130


def test_a_worker_that_dies_is_one_sentence(fuzz: Callable[..., Result]) -> None:
    result = fuzz("--seeds", "20", how=stand_in.dying)
    assert result.exit_code == 2
    assert "worker process ended" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_variants_are_listed_with_what_they_break(fuzz: Callable[..., Result]) -> None:
    result = fuzz("--break", "list", workers="")
    assert result.exit_code == 0
    for name in ("acknowledge-before-standby", "two-doors", "no-claim", "cursor-outside-transaction"):
        assert name in result.stdout


def test_the_help_teaches(fuzz: Callable[..., Result], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fuzz", "--help"])
    text = capsys.readouterr().out
    for word in ("rushproof fuzz --replay 4711", "--break list", "Exit code", "runs/fuzz-SEED"):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--seeds", "0"), ("--seeds", "1")),
        (("--seeds", "many"), ("--seeds", "many")),
        (("--first", "-1"), ("--first",)),
        (("--first", str(2**63)), ("--first",)),
        (("--workers", "0"), ("--workers",)),
        (("--workers", "100000"), ("--workers",)),
        (("--check-twice", "2"), ("--check-twice",)),
        (("--check-twice", "nan"), ("--check-twice",)),
        (("--break", "everything"), ("everything", "no-claim")),
        (("--replay", "-4"), ("--replay",)),
        (("--replay", str(2**63)), ("--replay",)),
        (("--seeds", "9" * 5_000), ("--seeds", "must be a whole number, not '999", "…")),
        (("--break", "no-claim", "--break", "two-doors"), ("--break is said twice",)),
        (("--replay", "3", "--break", "no-claim", "--break", "two-doors"), ("--break is said twice",)),
        (("--replay", "3", "--replay", "4"), ("--replay is said twice",)),
        (("--replay", "3", "--break", "no-claim,two-doors"), ("no-claim,two-doors", "there is no broken variant")),
        (("--replay", "+-5"), ("--replay", "'+-5'")),
        (("--replay", "+5"), ("--replay", "'+5'")),
        (("--replay", "7" * 5_000), ("--replay", "'777", "…")),
        (("--replay", "absent.json"), ("absent.json", "no such file")),
        (("--replay", "."), ("cannot be read",)),
        (("--replay", "3", "--seeds", "4"), ("--seeds", "--replay")),
        (("--replay", "3", "--break", "all"), ("--replay", "all")),
        (("--replay", "3", "--evidence", "x.json"), ("--evidence", "--replay")),
        (("--break", "no-claim", "--evidence", "x.json"), ("--evidence",)),
        (("--evidence", "absent/x.json"), ("absent/x.json",)),
        (("--evidence", "."), ("cannot be written",)),
        (("--out", __file__), ("not a folder",)),
    ],
)
def test_bad_usage_is_one_sentence(
    fuzz: Callable[..., Result], arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    result = fuzz(*arguments, workers="")
    assert result.exit_code == 2, result
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    for word in words:
        assert word in line
