"""A series that costs nothing: unit n is n squared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simulator.batches.series import Kind, Unit
from simulator.model.records import FIELDS


@dataclass(frozen=True)
class Squares:
    name: str
    asked: list[int] = field(default_factory=list)

    @property
    def unit(self) -> str:
        return "number"

    @property
    def columns(self) -> Mapping[str, Kind]:
        return {"square": "float", "list": "integers", "hash": "unsigned"}

    def identity(self) -> Mapping[str, Any]:
        return {"name": self.name}

    def load(self) -> None:
        """Nothing is needed."""

    def units(self, first: int, after: int, *, rows: bool) -> Iterator[Unit]:
        for number in range(first, after):
            self.asked.append(number)
            blocks = [(f"s{store}", np.full((number % 3 + store, len(FIELDS)), number)) for store in range(2)]
            yield Unit(values(number), blocks if rows else ())


def values(number: int) -> dict[str, Any]:
    return {
        "square": None if number % 5 == 4 else float(number) ** 2 / 7,
        "list": list(range(number % 4)),
        "hash": (1 << 64) - 1 - number,
    }
