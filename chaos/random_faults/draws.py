"""Draws of one seed, each keyed by its purpose: the same on every machine, whatever else is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from simulator.streams import Streams

Choice = TypeVar("Choice")


@dataclass
class Draws:
    """The draws under one purpose, `within` which others may be opened. Times come in tenths of a second."""

    streams: Streams
    purpose: str = "random faults"
    _uses: dict[str, int] = field(default_factory=dict)

    def within(self, purpose: str) -> Draws:
        """Draws of their own, apart from these."""
        return Draws(self.streams, f"{self.purpose}, {purpose}")

    def uniform(self, purpose: str) -> float:
        """A number in (0, 1)."""
        index = self._uses.get(purpose, 0)
        self._uses[purpose] = index + 1
        return self.streams.uniform(f"{self.purpose}: {purpose}", index=index)

    def chance(self, purpose: str, share: float) -> bool:
        """True in this share of the draws."""
        return self.uniform(purpose) < share

    def choice(self, purpose: str, choices: Sequence[Choice]) -> Choice:
        """One of `choices`, each equally likely."""
        return choices[int(self.uniform(purpose) * len(choices))]

    def whole(self, purpose: str, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        return least + int(self.uniform(purpose) * (most - least + 1))

    def seconds(self, purpose: str, least_s: float, most_s: float) -> float:
        """A time from `least_s` to `most_s`, in tenths of a second."""
        return self.whole(purpose, round(least_s * 10), round(most_s * 10)) / 10

    def shuffled(self, purpose: str, choices: Sequence[Choice]) -> list[Choice]:
        """All of `choices` in a drawn order."""
        keyed = [(self.uniform(purpose), number) for number in range(len(choices))]
        return [choices[number] for _, number in sorted(keyed)]
