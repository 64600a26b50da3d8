"""What was varied or said and made no difference, so that nobody takes equal figures for an answer."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.model.settings import ModelSettings
from simulator.scenario import Scenario
from simulator.sweeps import Point


def not_modelled(points: Sequence[Point]) -> list[str]:
    """The sections and faults of any of these designs that the model leaves out."""
    return list(dict.fromkeys(name for point in points for name in point.found.not_modelled()))


def without_effect(points: Sequence[Point]) -> list[str]:
    """A sentence for each field that was varied and changed nothing: the same events and figures, whatever the others were."""
    fields = dict.fromkeys(path for point in points for path in point.settings)
    return [_sentence(path, points) for path in fields if _is_idle(path, points)]


def _is_idle(path: str, points: Sequence[Point]) -> bool:
    """Whether designs that differ in this field alone, of which there are some, have all found the same."""
    alike: dict[str, list[Point]] = {}
    for point in points:
        alike.setdefault(_others(path, point.settings), []).append(point)
    pairs = [pair for group in alike.values() for pair in itertools.pairwise(group)]
    compared = [(one, other) for one, other in pairs if one.settings[path] != other.settings[path]]
    return bool(compared) and all(list(one.found.units) == list(other.found.units) for one, other in compared)


def _others(path: str, settings: Mapping[str, Any]) -> str:
    return repr([(name, value) for name, value in settings.items() if name != path])


def _sentence(path: str, points: Sequence[Point]) -> str:
    why = _why(path, points[0].found.scenario)
    return f"{path} has no effect in this scenario: each value gives the same events{f' ({why})' if why else ''}"


def _why(path: str, scenario: Scenario) -> str | None:
    """What is missing that would give a field an effect, if that is known."""
    said = scenario.model or ModelSettings()
    parts = path.split(".")
    if parts[0] == "stores" and parts[-1] == "tables" and said.seating is None:
        return "model.seating is missing"
    if parts[0] == "stores" and parts[-1] == "kitchen_seconds" and said.kitchen:
        return "model.kitchen says how long tickets take"
    return None
