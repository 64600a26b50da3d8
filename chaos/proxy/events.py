"""What happened to which connection: a log of bounded size that says when each toxic met whom, and what it did.

The names of the events are the members of `EventName`. Everything that a seed decides can be compared between two runs with
`canonical`: the order in which independent connections happened to act, the times, and counts that depend on how TCP cut a
stream are left out of it. `python -m chaos.proxy.events FILE` prints a log's canonical form, so that `diff` compares two runs.
"""

from __future__ import annotations

import contextlib
import enum
import itertools
import json
import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

EVENTS_KEPT = 20_000
PEERS_DOING = frozenset({"ended", "client_gone", "server_gone", "never_joined", "unread"})
UNREPEATABLE = frozenset({"number", "at_ms", "counts", "cause"})

logger = logging.getLogger(__name__)


class EventName(enum.StrEnum):
    """Every event there is."""

    PROXY_ENABLED = "proxy_enabled"
    PROXY_DISABLED = "proxy_disabled"
    TOXIC_ADDED = "toxic_added"
    TOXIC_CHANGED = "toxic_changed"
    TOXIC_DELETED = "toxic_deleted"
    SCHEDULE_ON = "schedule_on"
    SCHEDULE_OFF = "schedule_off"
    SCHEDULE_RAMPED = "schedule_ramped"
    CONNECTION_ACCEPTED = "connection_accepted"
    CONNECTION_DIALLED = "connection_dialled"
    DIAL_FAILED = "dial_failed"
    CONNECTION_CLOSED = "connection_closed"
    TOXIC_APPLIED = "toxic_applied"
    TOXIC_MISSED = "toxic_missed"
    TOXIC_UPDATED = "toxic_updated"
    TOXIC_REMOVED = "toxic_removed"
    TOXIC_ACTED = "toxic_acted"
    TOXIC_COUNTED = "toxic_counted"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry. `number` counts from 1 and never repeats; `at_ms` counts from the start of the server.

    `connection` is its number within its proxy, from 1; `stream` and `toxic` are None where they do not apply.
    """

    number: int
    at_ms: float
    proxy: str
    connection: int | None
    stream: str | None
    event: EventName
    toxic: str | None
    details: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """As JSON shows it; the details stand beside the rest."""
        return {
            "number": self.number,
            "at_ms": self.at_ms,
            "proxy": self.proxy,
            "connection": self.connection,
            "stream": self.stream,
            "event": self.event.value,
            "toxic": self.toxic,
            **self.details,
        }


class Recorder(Protocol):
    """`EventLog.record` with what is known of the place filled in: a proxy's, a connection's or a link's."""

    def __call__(self, event: EventName, *, toxic: str | None = None, **details: Any) -> None:
        """Record an event here and now."""


class EventLog:
    """The last `kept` events, and how many older ones were dropped; with `path`, all of them as JSON lines as well.

    A file that cannot be written any more (a full disk) ends the file, not the proxy: `file_error` says why.
    """

    def __init__(
        self, kept: int = EVENTS_KEPT, path: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """OSError if `path` cannot be opened; it is appended to."""
        self.dropped = 0
        self.file_error: str | None = None
        self._events: deque[Event] = deque(maxlen=kept)
        self._numbers = itertools.count(1)
        self._clock = clock
        self._started_at = clock()
        self._file: TextIO | None = None
        if path is not None:  # written line by line, so that the file of a killed server is whole
            self._file = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)

    def __len__(self) -> int:
        return len(self._events)

    def record(
        self,
        event: EventName,
        *,
        proxy: str,
        connection: int | None = None,
        stream: str | None = None,
        toxic: str | None = None,
        **details: Any,
    ) -> None:
        """Add one event, now. Details are JSON values."""
        at_ms = round(1000 * (self._clock() - self._started_at), 3)
        entry = Event(next(self._numbers), at_ms, proxy, connection, stream, event, toxic, details)
        self.dropped += len(self._events) == self._events.maxlen
        self._events.append(entry)
        if self._file is not None:
            self._write(self._file, entry)

    def page(self, since: int = 0, limit: int | None = None) -> list[Event]:
        """The events whose number is greater than `since`, oldest first, at most `limit`."""
        oldest = self._events[0].number if self._events else 0
        first = max(0, since + 1 - oldest)  # numbers are consecutive
        end = len(self._events) if limit is None else min(len(self._events), first + limit)
        return list(itertools.islice(self._events, first, end))

    def clear(self) -> None:
        """Forget what is kept; numbers go on, and nothing counts as dropped."""
        self._events.clear()
        self.dropped = 0

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, file: TextIO, entry: Event) -> None:
        try:
            file.write(json.dumps(entry.fields(), ensure_ascii=False) + "\n")
        except OSError as error:
            self.file_error = f"{file.name}: {error.strerror}"
            self._file = None
            with contextlib.suppress(OSError):
                file.close()
            logger.error("the event log's file ends here: %s", self.file_error)


def canonical(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What two runs with the same seed and the same connections have in common, in an order that both share.

    Takes events as JSON shows them (`Event.fields`, the API's answer, lines of the file), all of a run's. Ordered by proxy,
    connection, stream and toxic, and within these as recorded; each gets its `position` there. Left out: numbers, times,
    counts of chunks, the system's error messages, and which peer closed first.
    """
    ordered = sorted(events, key=_place)
    entries: list[dict[str, Any]] = []
    for _place_of_group, group in itertools.groupby(ordered, key=_place):
        for position, event in enumerate(group, start=1):
            kept = {name: value for name, value in event.items() if name not in UNREPEATABLE}
            if kept.get("how") in PEERS_DOING:
                kept["how"] = "peers"
            entries.append({**kept, "position": position})
    return entries


def _place(event: Mapping[str, Any]) -> tuple[str, int, str, str]:
    return event["proxy"], event["connection"] or 0, event["stream"] or "", event["toxic"] or ""


def main(arguments: list[str]) -> int:
    """Print the canonical form of a log's file, an event a line; the exit code."""
    if len(arguments) != 1:
        print("python -m chaos.proxy.events: takes one file of events, as `--events FILE` writes it", file=sys.stderr)  # noqa: T201
        return 2
    try:
        with open(arguments[0], encoding="utf-8") as file:
            entries = canonical([json.loads(line) for line in file])
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not a log of events, one JSON object a line"
        print(f"python -m chaos.proxy.events: {arguments[0]}: {said}", file=sys.stderr)  # noqa: T201
        return 2
    for entry in entries:
        print(json.dumps(entry, ensure_ascii=False))  # noqa: T201 - this is its answer
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
