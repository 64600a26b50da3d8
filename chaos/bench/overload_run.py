"""One drill of a storm as a process of its own, and what became of its orders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.bench.result import BenchError, rounded
from chaos.judge.findings import CLASSES
from chaos.judge.goodput import Window, goodput, windows
from chaos.judge.orders import fold
from chaos.judge.runfolder import Environment
from refsystem.lifeline import PARENT_VARIABLE
from simulator.history import read_history
from simulator.scenario import Scenario, dump_scenario

JUDGED = (0, 1, 3)
DRILL_TIMEOUT_S = 900.0
END_TIMEOUT_S = 60.0
CURVE_S = 1.0
ALWAYS = frozenset(audit_class.name for audit_class in CLASSES if audit_class.rule == "always")


@dataclass(frozen=True, slots=True)
class Storm:
    """What one drill showed. `trouble` says why its curve means little; empty if it means what it shows."""

    slots: tuple[Window, ...]
    peak_per_s: float
    least_ratio: float
    quantities: Mapping[str, tuple[str, float]]
    violations: int
    trouble: str = ""

    def curve(self) -> list[dict[str, float]]:
        """Second by second, for a document."""
        return [
            {"at_s": slot.at_s, "offered_per_s": slot.offered / CURVE_S, "goodput_per_s": slot.told_yes / CURVE_S}
            for slot in self.slots
        ]


def run_storm(scenario: Scenario, folder: Path) -> Storm:
    """Run the drill into `folder`, which must be new. BenchError if it leaves no verdict."""
    log = folder.with_name(f"{folder.name}.log")
    source = folder.with_name(f"{folder.name}.yaml")
    source.write_text(dump_scenario(scenario), encoding="utf-8")
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "refsystem.lifeline", "chaos.cli", "drill", str(source), "--out", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=os.environ | {PARENT_VARIABLE: str(os.getpid())},
            start_new_session=True,  # so that Ctrl-C reaches the benchmark only, which ends the drill in order
        )
    try:
        process.wait(DRILL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise BenchError(f"the drill did not end within {DRILL_TIMEOUT_S:g} s") from None
    finally:
        _end(process)
    if process.returncode not in JUDGED:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise BenchError(
            f"the drill ended with exit code {process.returncode}: {said[-1] if said else 'it said nothing'}"
        )
    return read_storm(folder)


def read_storm(folder: Path) -> Storm:
    """What a judged run folder shows."""
    attempts = read_history(folder / "history")
    stories = fold(attempts)
    environment = Environment.model_validate_json((folder / "environment.json").read_text(encoding="utf-8"))
    verdict: dict[str, Any] = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    found = goodput(stories.values(), environment.start_us)
    if found is None:
        raise BenchError("too few orders were told yes for a peak, so nothing says what was possible")
    sent = sum(len(story.attempts) for story in stories.values())
    slots = windows(stories.values(), environment.start_us, CURVE_S)
    told = [slot.told_yes / CURVE_S for slot in slots]
    quantities = {
        "peak": ("orders/s", found.peak_per_s),
        "least, of what was possible": ("%", found.least_ratio * 100),
        "mean goodput": ("orders/s", rounded(sum(told) / max(1, len(told)))),
        "orders wanted": ("orders", float(len({story.intent_id for story in stories.values()}))),
        "submissions sent": ("requests", float(sent)),
        "95th percentile of a yes": ("ms", float(verdict["latency_ms"]["response"]["p95"] or 0)),
    }
    violations = sum(verdict["counts"].get(name, 0) for name in ALWAYS)
    return Storm(slots, found.peak_per_s, found.least_ratio, quantities, violations, _trouble(verdict))


def _trouble(verdict: Mapping[str, Any]) -> str:
    """Why the load generator, and not the store, may have made the curve."""
    for check in verdict["checks"]:
        if check["name"] == "load_generator" and check["verdict"] != "pass":
            return str(check["detail"])
    return ""


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
