"""Recorded capacity of a link in Mahimahi's format, and the budget that it makes.

A line of the file is a time in whole ms from the start: at that moment one packet of 1500 bytes can pass. Several equal lines
are several packets. At the end the recording begins anew; its length is its last time.
"""

from __future__ import annotations

import gzip
import stat
import zlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from chaos.proxy.toxics.metered import Piece

SLOT_BYTES = 1500
TRACE_BYTES_MAX = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Recording:
    """The times of the slots, in ms, rising; ValueError, in one sentence, if they cannot be a recording."""

    slots_ms: Sequence[int]

    def __post_init__(self) -> None:
        if not self.slots_ms:
            raise ValueError("it holds no slots; a line is a time in ms at which 1500 bytes can pass")
        if self.slots_ms[0] < 0:
            raise ValueError("its first time lies below 0")
        for number in range(1, len(self.slots_ms)):
            if self.slots_ms[number] < self.slots_ms[number - 1]:
                raise ValueError(f"its times must rise, and number {number + 1} is less than the one before")
        if self.slots_ms[-1] == 0:
            raise ValueError("its last time, which is its length, must be above 0")

    @property
    def length_ms(self) -> int:
        """After this time it begins anew."""
        return self.slots_ms[-1]

    @property
    def mean_bytes_s(self) -> float:
        """What passes in the mean."""
        return SLOT_BYTES * len(self.slots_ms) * 1000 / self.length_ms


def read_recording(path: str) -> Recording:
    """A recording from a file, which may be compressed (`.gz`); ValueError, in one sentence, if it is none."""
    try:
        facts = Path(path).stat()
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError(f"{path} is no file")
        return _read(path, facts.st_mtime_ns, facts.st_size)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error


@lru_cache(maxsize=16)
def _read(path: str, _changed_ns: int, _length_bytes: int) -> Recording:
    opened = gzip.open(path) if path.endswith(".gz") else open(path, "rb")  # noqa: SIM115
    try:
        with opened as file:
            content = file.read(TRACE_BYTES_MAX + 1)
    except (EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if len(content) > TRACE_BYTES_MAX:
        raise ValueError(f"{path} is longer than {TRACE_BYTES_MAX} bytes")
    try:
        return Recording([_time_ms(number, line) for number, line in enumerate(content.split(), start=1)])
    except ValueError as error:
        raise ValueError(f"{path} is no recording of capacity: {error}") from error


def _time_ms(number: int, text: bytes) -> int:
    if not text.isdigit() or len(text) > 15:
        raise ValueError(f"entry {number} is not a time in whole ms")
    return int(text)


class RecordedBudget:
    """Gives out the slots of a recording that began at `began_at`; a slot that nobody uses in time is lost."""

    def __init__(self, recording: Recording, began_at: float) -> None:
        self._slots_ms = recording.slots_ms
        self._length_ms = recording.length_ms
        self._began_at = began_at
        self._slot = -1
        self._slot_at = began_at
        self._left_bytes = 0

    def reserve(self, ready_at: float, length_bytes: int) -> Piece:
        """What is left of the slot in use, if its time has not been before the data; else of the next slot."""
        if not self._left_bytes or self._slot_at < ready_at:
            self._slot = max(self._slot + 1, self._first_from(ready_at))
            self._slot_at = self._at(self._slot)
            self._left_bytes = SLOT_BYTES
        granted_bytes = min(length_bytes, self._left_bytes)
        self._left_bytes -= granted_bytes
        return Piece(granted_bytes, self._slot_at)

    def _at(self, slot: int) -> float:
        rounds, index = divmod(slot, len(self._slots_ms))
        return self._began_at + (rounds * self._length_ms + self._slots_ms[index]) / 1000

    def _first_from(self, time: float) -> int:
        """The first slot at or after a time."""
        rounds, rest_ms = divmod(max(0.0, (time - self._began_at) * 1000), self._length_ms)
        slot = int(rounds) * len(self._slots_ms) + bisect_left(self._slots_ms, rest_ms - 1e-3)
        while self._at(slot) < time:
            slot += 1
        return slot
