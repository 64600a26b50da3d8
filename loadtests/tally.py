"""What one load process counts about itself, on disk: for the live view once a second, and for the judge at the end.

The judge must know whether the load was really driven as planned: how many starts were late or dropped, and whether the
process ran out of CPU. The file says "not finished" until the very end, so that a killed process cannot look complete.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import psutil

from loadtests.plan import LoadPlan, replace_text
from simulator.history import Outcome


class Tally:
    """The counters of one load process; written to `<metrics>/load-<process>.json` and `progress-<process>.json`."""

    def __init__(self, plan: LoadPlan, process: str, planned: int) -> None:
        self.process, self.planned = process, planned
        self.started = self.dropped_starts = self.broken_journeys = 0
        self.outcomes: dict[Outcome, int] = {"ok": 0, "fail": 0, "indefinite": 0}
        self.in_flight = 0
        self.finished = False
        self.skipped: Counter[str] = Counter()
        """Steps that the adapter of the driven system cannot do, by name."""
        self._late_after_us = plan.late_after_ms * 1000
        self._late_diners: set[int] = set()
        self._lateness_us_max = 0
        self._cpu_percent_max = 0.0
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first reading only sets the mark to measure from
        self._folder = Path(plan.metrics)
        self._folder.mkdir(parents=True, exist_ok=True)

    def woke(self, diner: int, lateness_us: int) -> None:
        """The process came `lateness_us` after a moment of the timetable; a diner counts as late once."""
        self._lateness_us_max = max(self._lateness_us_max, lateness_us)
        if lateness_us > self._late_after_us:
            self._late_diners.add(diner)

    def sample_cpu(self) -> None:
        """Note the share of one CPU that the process used since the last sample."""
        self._cpu_percent_max = max(self._cpu_percent_max, self._process.cpu_percent())

    def write(self) -> None:
        """Write both files, each in one step."""
        self._replace(f"load-{self.process}.json", self._for_the_judge())
        self._replace(f"progress-{self.process}.json", self._for_the_view())

    def _for_the_judge(self) -> dict[str, object]:
        return {
            "process": self.process,
            "planned": self.planned,
            "started": self.started,
            "late_starts": len(self._late_diners),
            "dropped_starts": self.dropped_starts,
            "lateness_ms_max": -(-self._lateness_us_max // 1000),
            "cpu_percent_max": round(self._cpu_percent_max, 1),
            "finished": self.finished,
            "late_after_ms": self._late_after_us // 1000,
            **({"skipped": dict(self.skipped)} if self.skipped else {}),
        }

    def _for_the_view(self) -> dict[str, object]:
        return {
            "planned": self.planned,
            "started": self.started,
            "ok": self.outcomes["ok"],
            "fail": self.outcomes["fail"],
            "indefinite": self.outcomes["indefinite"],
            "in_flight": self.in_flight,
            "late_starts": len(self._late_diners),
            "dropped_starts": self.dropped_starts,
            "broken_journeys": self.broken_journeys,
        }

    def _replace(self, name: str, content: dict[str, object]) -> None:
        replace_text(self._folder / name, json.dumps(content))
