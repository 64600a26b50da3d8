"""What a benchmark found: figures with their spread, headline numbers, goals, and where it was measured."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

DIGITS = 6


class BenchError(Exception):
    """A benchmark cannot run here as asked; the message is one clear sentence."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity, measured once in each round."""

    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest of the rounds."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest of the rounds."""
        return max(self.values)

    def to_json(self) -> dict[str, Any]:
        """As JSON shows it."""
        values = [rounded(value) for value in self.values]
        said = {"median": rounded(self.median), "low": rounded(self.low), "high": rounded(self.high)}
        return {"unit": self.unit, **said, "values": values}


@dataclass(frozen=True, slots=True)
class Goal:
    """What was aimed for and what was reached; `met` is None where it could not be measured."""

    name: str
    wanted: str
    got: float | None
    met: bool | None


@dataclass(frozen=True, slots=True)
class BenchResult:
    """All that a benchmark says. `figures` are keyed by case and quantity; `headline` stands at the top of the JSON form."""

    bench: str
    settings: Mapping[str, Any]
    figures: Mapping[str, Mapping[str, Figure]]
    headline: Mapping[str, Any] = field(default_factory=dict)
    goals: Sequence[Goal] = ()
    notes: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """One JSON document."""
        return {
            "bench": self.bench,
            **self.headline,
            "goals": [
                {"name": goal.name, "wanted": goal.wanted, "got": goal.got, "met": goal.met} for goal in self.goals
            ],
            "settings": dict(self.settings),
            "figures": {
                case: {name: figure.to_json() for name, figure in figures.items()}
                for case, figures in self.figures.items()
            },
            "notes": list(self.notes),
            "environment": environment(),
        }


def environment() -> dict[str, Any]:
    """Where and when this was measured, as far as it matters for the figures."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": [round(each, 2) for each in os.getloadavg()],
        "python": platform.python_version(),
    }


def rounded(value: float) -> float:
    """With as many digits as a measurement can have."""
    return float(f"{value:.{DIGITS}g}")


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
