"""`bench overload` without its drills: what it makes of two run folders, the picture, and options that cannot be."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chaos.bench import overload
from chaos.bench.overload_run import read_storm
from chaos.bench.result import BenchError
from simulator.history import Attempt, HistoryWriter

START_US = 5_000_000


def run_folder(folder: Path, served_per_s: list[int], load: str = "pass", lost: int = 0) -> Path:
    """A judged run in which 40 people a second come, of whom so many are served in each second."""
    writer = HistoryWriter(folder / "history", "locust-0")
    for second, served in enumerate(served_per_s):
        for number in range(40):
            meant_us = START_US + second * 1_000_000 + number * 25_000
            name = f"{second}-{number}"
            row = dict.fromkeys(("table", "channel", "marker", "body_hash"), "x")
            attempt = Attempt(
                process="locust-0",
                op=writer.next_op(),
                store="s1",
                intent_id=name,
                order_id=name,
                attempt=1,
                kind="order",
                intended_at_us=meant_us,
                invoked_at_us=meant_us,
                completed_at_us=meant_us + 1_000 if number % 40 < served else None,
                outcome="ok" if number % 40 < served else "indefinite",
                **row,
            )
            writer.invoke(attempt)
            if attempt.completed_at_us is not None:
                writer.complete(attempt)
    writer.close()
    (folder / "environment.json").write_text(json.dumps({"start_us": START_US}), encoding="utf-8")
    verdict = {
        "counts": {"lost": lost, "late": 3},
        "checks": [{"name": "load_generator", "verdict": load, "detail": "it came late"}],
        "latency_ms": {"response": {"p95": 12.5}},
    }
    (folder / "verdict.json").write_text(json.dumps(verdict), encoding="utf-8")
    return folder


def options(**changes: Any) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    overload.add_arguments(parser)
    return argparse.Namespace(**{**vars(parser.parse_args([])), **changes})


def test_what_two_drills_have_shown_is_figures_goals_curves_and_a_picture(tmp_path: Path) -> None:
    storms = {
        "with": read_storm(run_folder(tmp_path / "with", [40] * 11)),
        "without": read_storm(run_folder(tmp_path / "without", [40] * 5 + [4] * 6)),
    }
    scenarios = {
        name: overload._scenario(options(capacity=60), off) for name, off in (("with", ()), ("without", ("all",)))
    }
    said = overload.result(storms, scenarios).to_json()
    assert [(goal["got"], goal["met"]) for goal in said["goals"]] == [(1.0, True), (0.1, True), (0, True)]
    assert said["capacity_per_s"] == 60
    assert said["figures"]["without"]["least, of what was possible"]["median"] == 10
    assert said["curves"]["without"][6] == {"at_s": 6.0, "offered_per_s": 40.0, "goodput_per_s": 4.0}
    for suffix in (".svg", ".png"):
        picture = tmp_path / f"goodput{suffix}"
        overload.draw(picture, storms, 60.0, "all")
        assert picture.stat().st_size > 5_000
    assert "<dc:date>" not in (tmp_path / "goodput.svg").read_text(encoding="utf-8")


def test_a_load_generator_that_was_late_and_a_lost_order_are_told(tmp_path: Path) -> None:
    storms = {
        "with": read_storm(run_folder(tmp_path / "with", [40] * 6, load="unknown")),
        "without": read_storm(run_folder(tmp_path / "without", [40] * 6, lost=1)),
    }
    scenarios = {name: overload._scenario(options(), ("all",)) for name in storms}
    said = overload.result(storms, scenarios).to_json()
    assert [(goal["got"], goal["met"]) for goal in said["goals"]] == [(None, None), (1.0, False), (1, False)]
    assert said["notes"] == ["with the remedies: it came late"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"capacity": 70}, "--capacity must be a multiple of 20 from 20 to 1000, not 70"),
        ({"picture": Path("goodput.gif")}, "--picture must end in .svg or .png, not 'goodput.gif'"),
        ({"picture": Path("/nowhere/at/all.svg")}, "--picture: there is no folder /nowhere/at"),
        ({"off": ["dedline"]}, r"--off: there is no remedy 'dedline' \(did you mean 'deadline'\?\)"),
        ({"keep": Path("/")}, "--keep: / is there already; name a new folder"),
    ],
)
def test_what_cannot_be_is_one_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError, match=said):
        overload.count_steps(options(**changes))


def test_the_command_refuses_with_2_and_no_traceback() -> None:
    command = [sys.executable, "-m", "chaos.cli", "bench", "overload", "--capacity", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("rushproof: --capacity must be a multiple of 20")
    assert "Traceback" not in done.stderr
