"""The toxic that replays the recorded capacity of a link, of a mobile network for instance."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Self

from chaos.proxy.toxics.base import Attributes, Stage
from chaos.proxy.toxics.capacity import RecordedBudget, Recording, read_recording
from chaos.proxy.toxics.fields import attribute, inner_state
from chaos.proxy.toxics.metered import MeteredStage


@dataclass(frozen=True, slots=True)
class Trace(Attributes):
    """A recording in Mahimahi's format: the `path` of a file on the server's host, or the times themselves as `slots`.

    Each connection and direction meets the recording from `start_ms` on; without that, from a place of its own that the seed
    decides. At its end it begins anew.
    """

    path: str = attribute("", only_if_set=True)
    slots: tuple[int, ...] = attribute((), only_if_set=True)
    start_ms: int | None = attribute(None)
    recording: Recording | None = inner_state()  # noqa: RUF009 - it is a field, not a shared default

    def __post_init__(self) -> None:
        super(Trace, self).__post_init__()
        if self.path and self.slots:
            raise ValueError("give either path, a file on the server's host, or slots, the times themselves")
        if self.recording is None and (self.path or self.slots):
            object.__setattr__(self, "recording", self._read())

    def _read(self) -> Recording:
        if self.path:
            return read_recording(self.path)
        try:
            return Recording(self.slots)
        except ValueError as error:
            raise ValueError(f"slots is no recording of capacity: {error}") from error

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Of the two ways to give a recording, the one that is given takes the other's place."""
        if changes.keys() & {"path", "slots"}:
            changes = {"path": "", "slots": (), "recording": None} | dict(changes)
        new = dataclasses.replace(self, **changes)
        if new.recording is None:
            raise ValueError("a trace needs path, a file on the server's host, or slots, the times themselves")
        return new

    def ramped(self, share: float) -> Self:
        """Itself: a recording is what it is."""
        return self

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A stage that lets data pass in the slots of the recording."""
        return TraceStage(self, now, draws.random())


class TraceStage(MeteredStage[Trace]):
    """Fills the slots; `place` is where in the recording the connection begins, from 0 to 1, unless that is given."""

    def __init__(self, attributes: Trace, now: float, place: float) -> None:
        self._place = place
        super().__init__(attributes, now, self._budget_from(attributes, now))

    def update(self, attributes: Attributes, now: float) -> None:
        """Begin with the recording anew, unless it is the same."""
        old = self.attributes
        super().update(attributes, now)
        if old != self.attributes or old.recording is not self.attributes.recording:
            self._budget = self._budget_from(self.attributes, now)
            self._ready_at = max(self._ready_at, now)
            self._reserve()

    def _budget_from(self, attributes: Trace, now: float) -> RecordedBudget:
        recording = attributes.recording
        assert recording is not None, "the API takes no trace without a recording"
        start_ms = self._place * recording.length_ms if attributes.start_ms is None else attributes.start_ms
        return RecordedBudget(recording, now - start_ms / 1000)
