"""What a batch is made of: series of units, each of which can be worked out alone, on any machine, in any order."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from simulator.batches.version import model_version

FORMAT = 1
"""Of the files; another one is not read."""

Kind = Literal["float", "integer", "unsigned", "integers"]
"""float: may be missing; integer: 64 bits; unsigned: 64 bits; integers: a list of them."""
Value: TypeAlias = float | int | list[int] | None
Values: TypeAlias = Mapping[str, Value]
Rows: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Unit:
    """What was found for one unit: its figures and, if they were asked for, the rows of its diners by store."""

    values: Values
    rows: Sequence[tuple[str, Rows]] = ()


class Series(Protocol):
    """Units numbered from 0, each the same whoever works it out. It is sent to the workers, so it must be picklable."""

    @property
    def unit(self) -> str:
        """What one unit is, as the name of a column: `replication`."""
        ...

    @property
    def columns(self) -> Mapping[str, Kind]:
        """The figures of a unit."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """Everything that the units depend on beside the model's sources, as JSON."""
        ...

    def load(self) -> None:
        """Get ready what is not part of the work, such as a compiled engine."""
        ...

    def units(self, first: int, after: int, *, rows: bool) -> Iterator[Unit]:
        """The units `first` … `after - 1`."""
        ...


def digest(series: Series) -> str:
    """The name of a series by its content: equal if and only if figures and rows are to be equal. 32 hexadecimal digits."""
    content = {"format": FORMAT, "model": model_version(), "unit": series.unit, "identity": series.identity()}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Piece(NamedTuple):
    """The units `first` … `after - 1` of the series at `place` in a batch."""

    place: int
    first: int
    after: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece that is worked out, and how long that took."""

    piece: Piece
    units: Sequence[Unit]
    seconds: float


class OtherModel(RuntimeError):
    """A worker has another version of the model, so its figures would be others; install the same version of rushproof there."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def work_out(work: Sequence[tuple[Piece, Series]], version: str, rows: bool) -> list[Chunk]:
    """Work out some pieces; this is what runs in a worker. Raises `OtherModel`."""
    if model_version() != version:
        raise OtherModel
    found = []
    for piece, series in work:
        series.load()
        begin = time.perf_counter()
        units = list(series.units(piece.first, piece.after, rows=rows))
        found.append(Chunk(piece, units, time.perf_counter() - begin))
    return found
