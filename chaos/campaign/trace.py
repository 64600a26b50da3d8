"""The trace of a run for a person: what the cluster noted, with what clients sent and were told put in between."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.campaign.judging import Failure
from simulator.cluster.outcome import ClusterRun
from simulator.history import Attempt

TRACE_LINES = 40
TURNS = ("fault:", "arbiter:", "boots", "stops", "loses its disk", "everything heals")
"""What is worth a line in the story of an order, besides what names the order."""


def readable_trace(run: ClusterRun) -> tuple[str, ...]:
    """The lines in the order of their times. A line without a time belongs to the one before it."""
    sent = zip(run.attempts, run.places, strict=True)
    told = sorted((line for attempt, place in sent for line in _client_lines(attempt, place)), key=lambda line: line[0])
    return tuple(text for _, text in _merged(list(_timed(run.trace)), told)) if run.trace else ()


def excerpt(trace: tuple[str, ...], failure: Failure, lines: int = TRACE_LINES) -> tuple[str, ...]:
    """At most `lines` of a trace around `failure`.

    The cluster stops at a broken invariant: that is the end of the trace. What the audit finds happened earlier, to its
    subject: then it is the lines that name the subject, with the turns of the run among them.
    """
    if failure.subject and any(failure.subject in line for line in trace):
        trace = tuple(line for line in trace if failure.subject in line or any(turn in line for turn in TURNS))
    return trace[-lines:]


def _timed(trace: tuple[str, ...]) -> Iterator[tuple[float, str]]:
    at_ms = 0.0
    for line in trace:
        stamp, unit, _ = line.partition(" ms ")
        if unit and not line.startswith(" " * len(stamp)):
            at_ms = float(stamp)
        yield at_ms, line


def _merged(noted: list[tuple[float, str]], told: list[tuple[float, str]]) -> Iterator[tuple[float, str]]:
    """Both in order of time; of one moment, what clients were told comes last."""
    remaining = iter(told)
    following = next(remaining, None)
    for at_ms, line in noted:
        while following is not None and following[0] < at_ms:
            yield following
            following = next(remaining, None)
        yield at_ms, line
    if following is not None:
        yield following
    yield from remaining


def _client_lines(attempt: Attempt, place: str) -> Iterator[tuple[float, str]]:
    who = f"client: {attempt.kind} {attempt.order_id} attempt {attempt.attempt}"
    yield _line(attempt.invoked_at_us, f"{who} is sent to {place}")
    if attempt.completed_at_us is not None:
        yield _line(attempt.completed_at_us, f"{who} is told {_answer(attempt)}")


def _answer(attempt: Attempt) -> str:
    if attempt.outcome != "ok":
        return f"{attempt.outcome}: {attempt.status or 'no answer'} {attempt.problem or ''}".rstrip()
    where = f" as entry {attempt.seq} of epoch {attempt.epoch}" if attempt.seq is not None else ""
    return f"{attempt.level or 'yes'} by {attempt.node_id or 'nobody named'}{where}"


def _line(at_us: int, text: str) -> tuple[float, str]:
    at_ms = at_us / 1000
    return at_ms, f"{at_ms:10.3f} ms  {text}"
