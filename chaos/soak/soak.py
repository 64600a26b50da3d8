"""The soak itself: drill after drill until the time, the seeds or the budget are used up."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaos.soak.accounts import Soak, SoakedDrill, soaked
from chaos.soak.drills import DrillInterrupted, run_drill
from chaos.soak.plan import SoakPlan

SUMMARY = "soak.json"
INTERRUPTED = "interrupted"

RunDrill = Callable[[str, int, Path, Callable[[], bool]], tuple[dict[str, Any] | None, str]]
"""Runs the drill of (source, seed, folder, watch): see `chaos.soak.drills.run_drill`."""


class SoakRun:
    """Runs a plan. `watch` is called all the while with the soak so far and the seed that is being run."""

    def __init__(
        self,
        plan: SoakPlan,
        interrupted: Callable[[], bool],
        watch: Callable[[Soak, int], None],
        drill: RunDrill = run_drill,
    ) -> None:
        self._plan = plan
        self._interrupted = interrupted
        self._watch = watch
        self._drill = drill
        self._soak = Soak(plan.base, plan.first_seed)
        self._began_s = time.monotonic()

    def run(self, done: Callable[[Soak], None] = lambda _: None) -> Soak:
        """Until something stops it; `done` is called after each drill. The summary lies in the soak's folder all the time."""
        soak, seed = self._soak, self._plan.first_seed
        self._write()
        while not (reason := self._reason_to_stop(seed)):
            try:
                soak.drills.append(self._one(seed))
            except DrillInterrupted:
                reason = INTERRUPTED
                break
            finally:
                soak.elapsed_s = time.monotonic() - self._began_s
            self._write()
            done(soak)
            seed += 1
        soak.stopped_by = reason
        self._write()
        return soak

    def _one(self, seed: int) -> SoakedDrill:
        """The drill of a seed, again while it is unknown and may be tried again."""
        unknown: list[str] = []
        began_s = time.monotonic()
        while True:
            folder = self._plan.folder / (f"seed-{seed}" if not unknown else f"seed-{seed}-retry-{len(unknown)}")
            verdict, trouble = self._drill(self._plan.source, seed, folder, lambda: self._told_to_end(seed))
            drill = soaked(seed, verdict, trouble, time.monotonic() - began_s, unknown)
            drill = self._kept(drill, folder)
            if drill.verdict != "unknown" or len(unknown) >= self._plan.retries:
                return drill
            unknown.append(drill.cause)

    def _told_to_end(self, seed: int) -> bool:
        self._soak.elapsed_s = time.monotonic() - self._began_s
        self._watch(self._soak, seed)
        return self._interrupted()

    def _kept(self, drill: SoakedDrill, folder: Path) -> SoakedDrill:
        """Remove the run folder, and the log beside it, unless it is one that is kept."""
        keep = self._plan.keep
        if keep == "all" or drill.verdict == "fail" or (keep == "not-passing" and drill.verdict == "unknown"):
            return replace(drill, folder=str(folder))
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_name(f"{folder.name}.log").unlink(missing_ok=True)
        return drill

    def _reason_to_stop(self, seed: int) -> str:
        """Why no further drill is begun; empty if one is."""
        soak, plan, budget = self._soak, self._plan, self._plan.budget
        elapsed_s = time.monotonic() - self._began_s
        longest_s = max((drill.took_s for drill in soak.drills), default=0.0)
        if self._interrupted():
            return INTERRUPTED
        if soak.count("fail") >= budget.failures:
            return f"budget: {budget.failures} failed"
        if soak.count("unknown") >= budget.unknowns:
            return f"budget: {budget.unknowns} unknown"
        if plan.seeds_max is not None and seed >= plan.first_seed + plan.seeds_max:
            return f"seeds: all {plan.seeds_max} run"
        if plan.for_s is not None and elapsed_s + longest_s > plan.for_s:
            return f"time: {plan.for_s:g} s"
        used_bytes = sum(path.stat().st_size for path in plan.folder.rglob("*") if path.is_file())
        if used_bytes > budget.disk_bytes:
            return f"budget: the kept runs take {used_bytes / 1e6:.1f} MB"
        return ""

    def _write(self) -> None:
        path = self._plan.folder / SUMMARY
        draft = path.with_suffix(".partial")
        draft.write_text(json.dumps(self._soak.to_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(path)
