"""The harness of the benchmarks: rounds, figures, JSON, and how processes are started and ended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaos.bench import registry
from chaos.bench.processes import Cores, run_pinned, start_pinned, stop
from chaos.bench.result import BenchError, BenchResult, Figure, Goal
from chaos.bench.rounds import measure_rounds


def test_every_case_is_measured_once_in_each_round_in_an_order_that_moves_on() -> None:
    told: list[str] = []
    measured: list[str] = []

    def case(name: str, value: float) -> dict[str, float]:
        measured.append(name)
        return {"speed": value * len(measured)}

    cases = {name: (lambda name=name, value=value: case(name, value)) for name, value in (("a", 1.0), ("b", 10.0))}
    figures = measure_rounds(cases, 3, {"speed": "1/s"}, told.append)
    assert measured == told == ["a", "b", "b", "a", "a", "b"]
    assert figures == {
        "a": {"speed": Figure("1/s", (1.0, 4.0, 5.0))},
        "b": {"speed": Figure("1/s", (20.0, 30.0, 60.0))},
    }


def test_a_figure_has_a_median_and_its_spread() -> None:
    figure = Figure("ms", (3.0, 1.0, 10.0))
    assert (figure.median, figure.low, figure.high) == (3.0, 1.0, 10.0)
    assert figure.to_json() == {"unit": "ms", "median": 3.0, "low": 1.0, "high": 10.0, "values": [3.0, 1.0, 10.0]}


def test_a_result_is_one_json_document_with_its_headline_on_top() -> None:
    figures = {"ours": {"speed": Figure("MB/s", (1.23456789,))}}
    result = BenchResult("b", {"rounds": 1}, figures, {"ratio": 2.0}, [Goal("g", "> 1", None, None)], ["a note"])
    said = json.loads(json.dumps(result.to_json()))
    assert said.pop("environment").keys() == {"date", "platform", "processor", "cores", "load_average", "python"}
    assert said == {
        "bench": "b",
        "ratio": 2.0,
        "goals": [{"name": "g", "wanted": "> 1", "got": None, "met": None}],
        "settings": {"rounds": 1},
        "figures": {
            "ours": {"speed": {"unit": "MB/s", "median": 1.23457, "low": 1.23457, "high": 1.23457, "values": [1.23457]}}
        },
        "notes": ["a note"],
    }


def test_a_process_is_pinned_to_its_core() -> None:
    core = Cores.of_this_machine().measuring
    said = run_pinned([sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"], core, timeout_s=20)
    assert said.strip() == str({core})


def test_a_command_that_fails_is_told_by_its_last_words() -> None:
    with pytest.raises(BenchError, match="failed: ValueError: no such thing"):
        run_pinned([sys.executable, "-c", "raise ValueError('no such thing')"], Cores.of_this_machine().measuring, 20)


def test_a_command_that_hangs_is_given_up() -> None:
    with pytest.raises(BenchError, match="did not end within 0 s"):
        run_pinned([sys.executable, "-c", "input()  # " + "x" * 9, "-"], Cores.of_this_machine().measuring, 0.01)


def test_a_process_ends_when_it_is_stopped(tmp_path: Path) -> None:
    process = start_pinned(["sleep", "1000"], Cores.of_this_machine().measured, tmp_path / "log")
    stop(process)
    assert process.returncode == -signal.SIGTERM


def test_a_process_ends_with_the_benchmark_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from chaos.bench.processes import start_pinned;"
        f"p = start_pinned(['sleep', '1000'], {Cores.of_this_machine().measured}, Path({str(tmp_path / 'log')!r}));"
        "[time.sleep(0.01) for _ in iter(lambda: b'sleep' in Path(f'/proc/{p.pid}/cmdline').read_bytes()[:5], True)];"
        "print(p.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and _state(child) != "Z":
        assert time.monotonic() < deadline, "the process outlives its parent"
        time.sleep(0.01)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_two_cores_are_taken_where_there_are_two() -> None:
    cores = Cores.of_this_machine()
    assert {cores.measured, cores.measuring} <= os.sched_getaffinity(0)
    assert (cores.measured != cores.measuring) == (len(os.sched_getaffinity(0)) > 1)


def test_the_readme_names_every_benchmark_and_no_other() -> None:
    readme = (Path(registry.__file__).parent / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## What all have in common")[0]
    assert re.findall(r"(?m)^\| `([a-z_]+)` \|", table) == [bench.NAME for bench in registry.BENCHES]
