"""The numbers behind the timeline figure: counts and times in bins of one width, on one axis of seconds since the load began."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chaos.judge.orders import LEVELS, OrderStory
from chaos.judge.runfolder import RunFiles, Sample
from chaos.judge.statistics import OUTCOMES
from chaos.judge.timing import of_store
from chaos.judge.verdict import Verdict

Numbers = NDArray[np.float64]

_BINS_MAX = 120
_WIDTHS_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0)


@dataclass(frozen=True)
class FaultSpan:
    """When a fault was in force, in seconds of the figure."""

    name: str
    start_s: float
    end_s: float
    took_effect: bool


@dataclass(frozen=True)
class Timeline:
    """Everything that the figure draws. `edges_s` bound the bins; rates are per second; latency is in ms, NaN in an empty bin."""

    end_s: float
    edges_s: Numbers
    arrivals: dict[str, Numbers]
    acknowledgements: dict[str, Numbers]
    latency_ms: dict[str, Numbers]
    faults: tuple[FaultSpan, ...]
    samples_s: Numbers
    backlog: dict[str, Numbers]
    backlog_of: str


def timeline_of(files: RunFiles, verdict: Verdict) -> Timeline:
    """The timeline of a run; every series is empty or zero where the run left nothing."""
    stories = list(verdict.audit.stories.values())
    start_us = files.start_us
    end_s = _end_s(files, stories)
    width_s = next((width for width in _WIDTHS_S if end_s / width <= _BINS_MAX), end_s / _BINS_MAX)
    edges = np.arange(0.0, end_s + width_s, width_s)
    if len(edges) < 2:
        edges = np.array([0.0, width_s])

    def rate(moments_us: Iterable[int]) -> Numbers:
        seconds = np.array([(moment - start_us) / 1e6 for moment in moments_us])
        return np.histogram(seconds, edges)[0] / width_s

    shown = files.stores[0] if files.stores else ""
    samples = [sample for sample in of_store(files.samples, shown) if start_us <= sample.at_us]
    return Timeline(
        end_s=end_s,
        edges_s=edges,
        arrivals={name: rate(s.intended_at_us for s in stories if s.outcome == name) for name in OUTCOMES},
        acknowledgements={
            name: rate(s.first_ok_us for s in stories if s.first_ok_us is not None and s.oks[0].level == name)
            for name in LEVELS
        },
        latency_ms=_latency(stories, start_us, edges),
        faults=tuple(
            FaultSpan(
                fault.name,
                (fault.started_at_us - start_us) / 1e6,
                ((fault.ended_at_us or fault.started_at_us) - start_us) / 1e6,
                fault.took_effect,
            )
            for fault in files.faults
        ),
        samples_s=np.array([(sample.at_us - start_us) / 1e6 for sample in samples]),
        backlog=_backlog(samples),
        backlog_of=shown if len(files.stores) > 1 else "",
    )


def _end_s(files: RunFiles, stories: list[OrderStory]) -> float:
    moments = [attempt.completed_at_us or attempt.invoked_at_us for story in stories for attempt in story.attempts]
    moments += [fault.ended_at_us or fault.started_at_us for fault in files.faults]
    moments += [sample.at_us for sample in files.samples]
    return max(1.0, (max(moments, default=files.start_us) - files.start_us) / 1e6)


def _latency(stories: list[OrderStory], start_us: int, edges: Numbers) -> dict[str, Numbers]:
    """Response times of accepted orders, by when they were meant to be sent."""
    bins: list[list[float]] = [[] for _ in edges[:-1]]
    for story in stories:
        if story.first_ok_us is None:
            continue
        index = int(np.searchsorted(edges, (story.intended_at_us - start_us) / 1e6, side="right")) - 1
        if 0 <= index < len(bins):
            bins[index].append((story.first_ok_us - story.intended_at_us) / 1000)
    shares = {"p50": 50, "p95": 95, "max": 100}
    return {
        name: np.array([np.percentile(times, share) if times else np.nan for times in bins])
        for name, share in shares.items()
    }


def _backlog(samples: list[Sample]) -> dict[str, Numbers]:
    rows: dict[str, list[float]] = {"to the cloud": [], "to the kitchen": [], "waiting for commit": []}
    for sample in samples:
        primary = sample.primary
        for name, feed in (("to the cloud", sample.cloud), ("to the kitchen", sample.kitchen)):
            known = primary is not None and feed is not None
            rows[name].append(max(0, primary.commit_seq - feed.cursor.seq) if known and primary and feed else np.nan)
        rows["waiting for commit"].append(primary.waiting if primary is not None else np.nan)
    return {name: np.array(values) for name, values in rows.items()}
