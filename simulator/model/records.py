"""What a run of the model leaves: one row for each diner, counters of each server, and the hash of all events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.model.vocabulary import NODES, event_name

FIELDS = (
    "at",  # arrival
    "outcome",  # vocabulary.Outcome
    "seated",  # got a table, or began without one; -1 never (as all times below)
    "menu_told",  # the menu was there, or given up
    "meant",  # intended start of the order
    "told",  # first yes
    "level",  # of that yes
    "which",  # 1: it is the second order's
    "attempts",  # requests that were sent
    "committed_0",  # first order: in the store's log
    "committed_1",  # second order
    "shown_0",  # on the kitchen's display
    "shown_1",
    "served_0",  # all its tickets done
    "served_1",
    "stored_0",  # in the cloud
    "stored_1",
    "paid",  # the check is closed
    "left",  # end of the visit
    "placed",  # at a delivery platform; whoever comes by themselves: never
    "wanted_table",  # 1: came for a table, got or not
)
PLACE = {name: place for place, name in enumerate(FIELDS)}
(
    AT, OUTCOME, SEATED, MENU_TOLD, MEANT, TOLD, LEVEL, WHICH, ATTEMPTS, COMMITTED_0, COMMITTED_1, SHOWN_0, SHOWN_1,
    SERVED_0, SERVED_1, STORED_0, STORED_1, PAID, LEFT, PLACED, WANTED_TABLE,
) = range(len(FIELDS))  # fmt: skip
ABSENT = -1

COUNTERS = ("arrived", "done", "refused", "dropped", "waited", "stayed", "busy", "waiting_most", "busy_in_load")
"""Of each server: requests that came; were worked off; were answered 503; were dropped unworked; ticks they waited and stayed
altogether; ticks its workers were at work on what was worked off; the longest queue; of the ticks at work, those in which load
was offered."""
ARRIVED, DONE, REFUSED, DROPPED, WAITED, STAYED, BUSY, WAITING_MOST, BUSY_IN_LOAD = range(len(COUNTERS))


@dataclass(frozen=True)
class Run:
    """One replication of one store. `rows` has a row for each diner and a column for each of FIELDS; times are ticks.

    `servers` has a row for each node; `events` is how many there were, `hash` that of all of them in order; `ended` the tick of
    the last one. `trace` holds (tick, key) of every event if that was asked for.
    """

    rows: npt.NDArray[np.int64]
    servers: npt.NDArray[np.int64]
    events: int
    hash: int
    ended: int
    trace: npt.NDArray[np.int64] | None = None

    def column(self, name: str) -> npt.NDArray[np.int64]:
        """One column of the rows."""
        return self.rows[:, PLACE[name]]


def empty_servers() -> npt.NDArray[np.int64]:
    """Counters at nought."""
    return np.zeros((NODES, len(COUNTERS)), dtype=np.int64)


def first_difference(one: Run, other: Run) -> str | None:
    """Where two runs part, in one sentence; None if they are equal. Both traces make it the first event."""
    if one.hash == other.hash and one.events == other.events and np.array_equal(one.rows, other.rows):
        return None if np.array_equal(one.servers, other.servers) else "the servers' counters differ, all else is equal"
    if one.trace is not None and other.trace is not None:
        length = min(len(one.trace), len(other.trace))
        unequal = np.flatnonzero((one.trace[:length] != other.trace[:length]).any(axis=1))
        if len(unequal):
            place = int(unequal[0])
            here, there = (event_name(int(run.trace[place][0]), int(run.trace[place][1])) for run in (one, other))  # type: ignore[index]
            return f"event {place}: {here}, and {there}"
        if len(one.trace) != len(other.trace):
            longer = one if len(one.trace) > len(other.trace) else other
            assert longer.trace is not None
            said = event_name(int(longer.trace[length][0]), int(longer.trace[length][1]))
            return f"event {length}: only one of them has {said}"
    if one.rows.shape != other.rows.shape:
        return f"{len(one.rows)} diners and {len(other.rows)}"
    rows, columns = np.nonzero(one.rows != other.rows)
    if len(rows):
        name = FIELDS[int(columns[0])]
        values = one.rows[rows[0], columns[0]], other.rows[rows[0], columns[0]]
        return f"diner {rows[0]}: {name} is {values[0]} and {values[1]}"
    return f"hash {one.hash:016x} of {one.events} events, and {other.hash:016x} of {other.events}"
