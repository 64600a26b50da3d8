"""What every toxic is made of: the items that flow through a link, the attributes of a type, and a stage.

A stage applies a toxic to one direction of one connection. It does no I/O and reads no clock: items and the time go in,
items come out, and `due` says when there is more to come; `link.Link` moves the bytes and keeps the timer.
Times are seconds of the monotonic clock; attributes keep the units of Toxiproxy's API.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeAlias, TypeVar

from chaos.proxy.toxics.fields import attribute_fields

CHUNK_BYTES_MAX = 32 * 1024
HELD_CHUNKS_MAX = 4096
HELD_BYTES_MAX = 32 * 1024 * 1024


class Direction(enum.Enum):
    """Which way bytes flow: `UPSTREAM` from the client to the server behind the proxy, `DOWNSTREAM` back."""

    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"


class Chunk(NamedTuple):
    """Some bytes and when the proxy received them (moved on by each delay that was applied)."""

    data: bytes
    received_at: float


class Closing(enum.Enum):
    """How a direction ends: the sender is done (`HALF`), close the connection (`FULL`), or reset it (`RESET`).

    `SILENT`: the sender is done, and the receiver is not to be told.
    """

    HALF = "half"
    SILENT = "silent"
    FULL = "full"
    RESET = "reset"


Item: TypeAlias = Chunk | Closing


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of one toxic type: its dataclass fields (see `fields`). The original's are integers from 0 on."""

    def __post_init__(self) -> None:
        for field in attribute_fields(type(self)):
            field.check(getattr(self, field.field))

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """These attributes with some fields replaced; ValueError, in one sentence, if they do not fit together."""
        return dataclasses.replace(self, **changes)

    def shown(self) -> dict[str, Any]:
        """What the API shows, by the names in JSON."""
        values: dict[str, Any] = {}
        for field in attribute_fields(type(self)):
            value = getattr(self, field.field)
            if value is None or (field.only_if_set and value == field.default):
                continue
            values[field.name] = int(value) if isinstance(value, float) and value.is_integer() else value
        return values

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A fresh stage for one direction of one connection, whose random decisions come from `draws`."""
        raise NotImplementedError

    def ramped(self, share: float) -> Self:
        """These attributes when their effect has grown to `share` (above 0, up to 1): each number from its default.

        Types in which a smaller number does more override this.
        """
        grown: dict[str, int | float] = {}
        for field in dataclasses.fields(self):
            value, start = getattr(self, field.name), field.default
            if _is_number(value) and _is_number(start):
                now = start + share * (value - start)
                grown[field.name] = round(now) if isinstance(value, int) else now
        return dataclasses.replace(self, **grown)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


A = TypeVar("A", bound=Attributes, covariant=True)


class Stage(Generic[A]):
    """One toxic at work on one direction of one connection: a bounded queue with rules for what may leave it.

    The caller puts an item only while the stage is not `full`; an item flushed from an earlier stage may exceed that.
    `acts` counts what the toxic did to the connection, by a word of its own for each kind of thing; `on_act` is called
    with the word at the first of each kind.
    """

    chunks_max: ClassVar[int] = 1

    def __init__(self, attributes: A, now: float) -> None:
        self.attributes = attributes
        self.acts: dict[str, int] = {}
        self.on_act: Callable[[str], None] | None = None
        self._since = now
        self._held: deque[Item] = deque()

    @property
    def full(self) -> bool:
        """Whether the stage wants no more items for now."""
        return len(self._held) >= self.chunks_max

    def put(self, item: Item, now: float) -> None:
        """Take in an item from the stage before."""
        self._held.append(item)

    def take(self, now: float) -> Item | None:
        """The next item that may leave by `now`; None if there is none."""
        return self._held.popleft() if self._held else None

    def due(self) -> float | None:
        """When `take` may have an item if nothing more is put in; None if never."""
        return None

    def update(self, attributes: Attributes, now: float) -> None:
        """Go on under other attributes of the same type; they act on what is held, too."""
        assert type(attributes) is type(self.attributes), "a toxic never changes its type"
        self.attributes = attributes

    def leave(self, now: float) -> None:
        """Give back what others could use: called once, before a flush or at the end of the connection."""

    def flush(self) -> list[Item]:
        """Everything in flight, in order: called once, when the toxic is removed."""
        items = list(self._held)
        self._held.clear()
        return items

    def act(self, what: str) -> None:
        """Count one thing that the toxic did."""
        count = self.acts.get(what, 0)
        self.acts[what] = count + 1
        if count == 0 and self.on_act is not None:
            self.on_act(what)
