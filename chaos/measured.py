"""What drills have measured of the figures that the model predicts, to be told beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.drill_evidence import read_drills
from simulator.scenario import ScenarioError, load_scenario
from simulator.scenario_model import Scenario

QUANTILES = {"answer_p50": "p50", "answer_p95": "p95", "answer_p99": "p99"}
OF_THE_MODEL = {"model", "seed", "title", "description"}
"""What may differ between the scenario of a drill and that of the model."""


class MeasuredError(ValueError):
    """What was named holds no drill of this scenario."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One drill's figures, by the names that the model gives them."""

    name: str
    seed: int
    figures: Mapping[str, float]


def read_measured(paths: Sequence[Path], scenario: Scenario) -> list[Measured]:
    """The drills of this scenario in run folders and evidence files. Raises `MeasuredError`, `EvidenceError` or `OSError`."""
    found: list[Measured] = []
    for path in paths:
        found += [_of_folder(path, scenario)] if path.is_dir() else _of_evidence(path, scenario)
    return found


def errors(predicted: float, measured: Sequence[float]) -> tuple[float, float]:
    """How far a prediction is from the mean of what was measured, and at most one drill from it, as shares of that mean."""
    mean = sum(measured) / len(measured)
    return predicted / mean - 1, max(abs(each / mean - 1) for each in measured)


def _of_folder(path: Path, scenario: Scenario) -> Measured:
    try:
        verdict = json.loads((path / "verdict.json").read_text(encoding="utf-8"))
        run = load_scenario(path / "scenario.yaml")
        figures = _figures(verdict["details"]["people"], verdict["latency_ms"]["person"])
        measured = Measured(str(path), verdict["seed"], figures)
    except (OSError, ValueError, KeyError, TypeError, ScenarioError) as error:
        raise MeasuredError(
            f"--beside {path}: is not the folder of a finished drill that says how long people waited ({type(error).__name__}); "
            "name one that `rushproof drill` wrote, such as runs/latest, or `rushproof audit` it again"
        ) from error
    if run.name != scenario.name:
        raise MeasuredError(f"--beside {path}: is a drill of {run.name!r}, not of {scenario.name!r}")
    if _said(run) != _said(scenario):
        raise MeasuredError(
            f"--beside {path}: was run with another {scenario.name!r}; simulate {path / 'scenario.yaml'} instead"
        )
    return measured


def _of_evidence(path: Path, scenario: Scenario) -> list[Measured]:
    if not path.exists():
        raise MeasuredError(f"--beside {path}: is not there; name a drill's folder, or a file of `drill --evidence`")
    runs = [run for run in read_drills(path).values() if run["scenario"] == scenario.name]
    found = [
        Measured(f"{path}, seed {run['seed']}", run["seed"], _figures(run["people"], run["waited_ms"]))
        for run in runs
        if run["verdict"] == "pass" and run.get("waited_ms")
    ]
    if not found:
        raise MeasuredError(
            f"--beside {path}: holds no drill of {scenario.name!r} that passed and says how long people waited"
        )
    return found


def _figures(people: Mapping[str, int], waited: Mapping[str, float | None]) -> dict[str, float]:
    figures = {name: float(value) for name, part in QUANTILES.items() if (value := waited[part]) is not None}
    if people["ordered"]:
        figures["told_yes"] = people["told_yes"] / people["ordered"]
    return figures


def _said(scenario: Scenario) -> dict[str, Any]:
    return scenario.model_dump(exclude=OF_THE_MODEL)
