"""`rushproof power-cuts`: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import chaos.cli.power_cuts as command
import chaos.power_cuts.workers as workers
from chaos.cli import main
from chaos.evidence import project_commit
from chaos.power_cuts.campaign import Campaign


@dataclass(frozen=True)
class Result:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        return json.loads(self.stdout)


@pytest.fixture
def power_cuts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Result]:
    """Run the command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        exit_code = main(["power-cuts", *arguments])
        said = capsys.readouterr()
        return Result(exit_code, said.out, said.err)

    return run


def test_too_few_cuts_are_unknown_and_told_by_store_operation_and_damage(power_cuts: Callable[..., Result]) -> None:
    result = power_cuts("--cuts", "20", "--seed", "5", "--workers", "1", "--json")
    assert result.exit_code == 3
    said = result.document
    assert (said["kind"], said["verdict"], said["seed"], said["cuts"]) == ("power-cuts", "unknown", 5, 20)
    assert (said["synchronous"], said["lying_disk"], said["interrupted"]) == ("FULL", False, False)
    assert said["failed"] == said["lost_orders"] == 0
    assert said["unreached"]
    assert {name: store["cuts"] for name, store in said["stores"].items()} == {"edge": 12, "kitchen": 4, "register": 4}
    assert sum(said["power_went_at"].values()) == sum(said["power_went_in"].values()) == 20
    assert said["power_losses"] == 20 + sum(said["power_went_again_in"].values())
    assert sum(said["damage"].values()) >= said["power_losses"]
    assert "UNKNOWN nothing was lost, but 20 power cuts are too few" in result.stderr
    assert "rushproof: power cuts, seed 5, synchronous FULL" in result.stderr


def test_commits_that_are_not_synced_fail_with_the_command_that_repeats_them(power_cuts: Callable[..., Result]) -> None:
    result = power_cuts("--cuts", "40", "--workers", "1", "--synchronous", "NORMAL")
    assert result.exit_code == 1
    first, *lines = result.stdout.splitlines()
    assert first.startswith("FAIL ")
    assert "acknowledged orders lost" in first
    (again, *_) = [line.strip() for line in lines if "--replay" in line]
    assert again.startswith("rushproof power-cuts --synchronous NORMAL --replay 1:")
    replayed = power_cuts(*again.split()[2:])
    assert replayed.exit_code == 1
    assert replayed.stdout.startswith("FAIL cut ")
    assert "the power goes at operation" in replayed.stdout
    assert power_cuts(*again.split()[2:]) == replayed


def test_a_disk_that_lies_fails(power_cuts: Callable[..., Result]) -> None:
    result = power_cuts("--cuts", "20", "--workers", "1", "--lying-disk", "--json")
    assert result.exit_code == 1
    assert result.document["lying_disk"] is True
    assert all("--lying-disk" in failure["replay"] for failure in result.document["failures"])


def test_one_cut_is_told_as_json(power_cuts: Callable[..., Result]) -> None:
    result = power_cuts("--replay", "5:3", "--json")
    assert result.exit_code == 0
    said = result.document
    assert (said["kind"], said["verdict"], said["seed"], said["number"]) == ("power-cuts-replay", "pass", 5, 3)
    assert said["finding"] is None
    assert len(said["image"]) == 64
    assert any("the power goes at operation" in line for line in said["story"])


def test_evidence_is_what_json_says_and_when_and_on_what(power_cuts: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "power_cuts.json"
    result = power_cuts("--cuts", "10", "--workers", "1", "--json", "--evidence", str(path))
    evidence = json.loads(path.read_text(encoding="utf-8"))
    assert evidence["kind"] == "power-cuts"
    assert evidence["counts"] == result.document
    assert evidence["commit"] == project_commit()


def test_an_interrupted_campaign_tells_what_it_counted_and_is_no_evidence(
    power_cuts: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(_: object, campaign: Campaign) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(command.CampaignProgress, "watch", interrupt)
    monkeypatch.setattr(workers, "CUTS_PER_RECORDING", 4)
    result = power_cuts("--cuts", "1000", "--workers", "1", "--json", "--evidence", str(tmp_path / "e.json"))
    assert result.exit_code == 130
    said = result.document
    assert (said["interrupted"], said["verdict"], said["cuts"]) == (True, "unknown", 4)
    assert not (tmp_path / "e.json").exists()


def test_the_help_teaches(power_cuts: Callable[..., Result], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        power_cuts("--help")
    text = capsys.readouterr().out
    for words in ("rushproof power-cuts --replay 7:1234", "--synchronous NORMAL", "Exit code", "byte for byte"):
        assert words in text
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "rushproof power-cuts " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--cuts", "0"), ("--cuts", "1")),
        (("--cuts", "many"), ("--cuts", "many")),
        (("--seed", "-1"), ("--seed",)),
        (("--seed", str(2**63)), ("--seed",)),
        (("--workers", "0"), ("--workers",)),
        (("--workers", "100000"), ("--workers",)),
        (("--synchronous", "OFF"), ("--synchronous", "OFF")),
        (("--replay", "7"), ("--replay", "SEED:CUT")),
        (("--replay", "a:b"), ("--replay", "SEED:CUT")),
        (("--replay", f"{2**63}:1"), ("--replay",)),
        (("--replay", "7:1", "--cuts", "5"), ("--cuts", "--replay")),
        (("--replay", "7:1", "--evidence", "e.json"), ("--evidence", "--replay")),
        (("--evidence", "absent/e.json"), ("absent/e.json", "folder")),
        (("--evidence", "."), ("cannot be written",)),
    ],
)
def test_bad_usage_is_one_sentence(
    power_cuts: Callable[..., Result], arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    result = power_cuts(*arguments)
    assert result.exit_code == 2, result
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    for word in words:
        assert word in line
