"""The data plane: one link for each direction of a connection, from the socket it reads to the socket it writes.

Without a toxic a link writes what it reads, in the same callback. With toxics, chunks pass a chain of stages; the link
pulls them through as far as time and room allow and sets one timer for the next of them. Room is passed backwards: a
full chain, or a full socket, stops the reading at the other end. A link decides nothing about data: the stages do.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Protocol

from chaos.proxy.events import EventName, Recorder
from chaos.proxy.toxics import CHUNK_BYTES_MAX, Attributes, Chunk, Closing, Direction, Item, Stage, Toxic

TIMER_MIN_S = 0.001
TIMER_MAX_S = 3600.0


@dataclass(slots=True)
class Traffic:
    """What passed a proxy in one direction since it was created."""

    received_bytes: int = 0
    sent_bytes: int = 0


class Draws(Protocol):
    """Gives the generator of a toxic by its name and its round."""

    def __call__(self, toxic: str, round_number: int = 1, /) -> Random:
        """A fresh generator, always the same one for the same question."""


class Link:
    """One direction of one connection.

    `on_closing` is told how the direction ends, when everything before the end has been written; `record` is told which
    toxic met this link, and what it did.
    """

    def __init__(
        self,
        direction: Direction,
        source: asyncio.Transport,
        sink: asyncio.Transport,
        traffic: Traffic,
        draws: Draws,
        on_closing: Callable[[Link, Closing], None],
        record: Recorder,
    ) -> None:
        self.direction = direction
        self.half_closed = False
        self._source = source
        self._sink = sink
        self._traffic = traffic
        self._draws = draws
        self._on_closing = on_closing
        self._record = record
        self._names: list[str] = []
        self._stages: list[Stage[Attributes]] = []
        self._stage_of: dict[str, Stage[Attributes]] = {}
        self._rolls: dict[str, float] = {}
        self._inbox: deque[Item] = deque()
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0
        self._sink_full = False
        self._reading_paused = False
        self._source_ended = False
        self._over = False

    # -- what the sockets report

    def receive(self, data: bytes) -> None:
        """Take in what the source has sent."""
        if self._over or self._source_ended:
            return
        self._traffic.received_bytes += len(data)
        if not (self._stages or self._inbox):
            self._traffic.sent_bytes += len(data)
            self._sink.write(data)
            return
        now = time.monotonic()
        for start in range(0, len(data), CHUNK_BYTES_MAX):
            self._inbox.append(Chunk(data[start : start + CHUNK_BYTES_MAX], now))
        self._pump()

    def end(self, closing: Closing) -> None:
        """The source sends no more; the end takes its place behind what is in flight."""
        if closing is Closing.HALF and self._source_ended:
            return
        self._source_ended = True
        self._inbox.append(closing)
        self._pump()

    def sink_is_full(self, full: bool) -> None:
        """The sink's socket takes no more for now, or takes more again."""
        self._sink_full = full
        self._pump()

    @property
    def sink_full(self) -> bool:
        """Whether the sink's socket takes no more for now."""
        return self._sink_full

    @property
    def reading_paused(self) -> bool:
        """Whether the source is not read for now."""
        return self._reading_paused

    @property
    def source_ended(self) -> bool:
        """Whether the source sends no more."""
        return self._source_ended

    def detour(self, *, source: asyncio.Transport | None = None, sink: asyncio.Transport | None = None) -> None:
        """From now on read from, or write to, something that stands before the socket."""
        self._source = source or self._source
        self._sink = sink or self._sink

    def acted(self, name: str, what: str) -> None:
        """Count what a toxic did outside of its stage."""
        stage = self._stage_of.get(name)
        if stage is not None:
            stage.act(what)

    def stop(self) -> None:
        """Drop what is in flight and do nothing any more."""
        if self._over:
            return
        self._over = True
        now = time.monotonic()
        for name in self._names:
            stage = self._stage_of.get(name)
            if stage is not None:
                stage.leave(now)
            if stage is not None and stage.acts:
                self._record(EventName.TOXIC_COUNTED, toxic=name, counts=dict(stage.acts))
        self._inbox.clear()
        self._stages.clear()
        self._stage_of.clear()
        self._cancel_timer()

    # -- what the operator changes

    def add(self, toxics: Iterable[Toxic]) -> None:
        """Put toxics at the end of the chain, if their roll says that they hit this connection."""
        if self._over:
            return
        for toxic in toxics:
            self._names.append(toxic.name)
            self._apply(toxic)
        self._pump()

    def update(self, toxic: Toxic) -> None:
        """Go on under the toxic's new attributes, toxicity or phase. The roll of a connection stays the same."""
        if not self._over:
            self._apply(toxic)
            self._pump()

    def ramp(self, toxic: Toxic) -> None:
        """Go on at another height of the toxic's ramp, which is too frequent to be recorded."""
        stage = self._stage_of.get(toxic.name)
        if stage is not None and not self._over:
            stage.update(toxic.attributes_now, time.monotonic())
            self._pump()

    def remove(self, name: str) -> None:
        """Take a toxic out of the chain; what it holds goes on its way."""
        if not self._over:
            self._names.remove(name)
            self._rolls.pop(name, None)
            self._release(name)
            self._pump()

    def _apply(self, toxic: Toxic) -> None:
        name = toxic.name
        if not toxic.phase.on or not self._hits(toxic):
            self._release(name)
        elif name in self._stage_of:
            self._stage_of[name].update(toxic.attributes_now, time.monotonic())
            self._record(EventName.TOXIC_UPDATED, toxic=name)
        else:
            draws = self._draws(name, toxic.phase.round)
            draws.random()  # the roll
            stage = self._stage_of[name] = toxic.attributes_now.stage(draws, time.monotonic())
            stage.on_act = partial(self._acted, name)
            self._order_stages()
            self._record(EventName.TOXIC_APPLIED, toxic=name, type=toxic.type)

    def _hits(self, toxic: Toxic) -> bool:
        """Whether the toxic hits this link: one roll for each toxic, whatever happens to it later."""
        known = toxic.name in self._rolls
        if not known:
            self._rolls[toxic.name] = self._draws(toxic.name).random()
        hit = self._rolls[toxic.name] < toxic.toxicity
        if not (known or hit):
            self._record(EventName.TOXIC_MISSED, toxic=toxic.name, type=toxic.type)
        return hit

    def _acted(self, name: str, what: str) -> None:
        self._record(EventName.TOXIC_ACTED, toxic=name, act=what)

    def _release(self, name: str) -> None:
        stage = self._stage_of.pop(name, None)
        if stage is None:
            return
        stage.leave(time.monotonic())
        stage_flushed = stage.flush()
        self._record(EventName.TOXIC_REMOVED, toxic=name, **({"counts": dict(stage.acts)} if stage.acts else {}))
        after = self._stages[self._stages.index(stage) + 1 :]
        self._order_stages()
        for item in stage_flushed:
            if after:
                after[0].put(item, time.monotonic())
            else:
                self._write(item)

    def _order_stages(self) -> None:
        self._stages = [self._stage_of[name] for name in self._names if name in self._stage_of]

    # -- the chain

    def _pump(self) -> None:
        """Move everything on that may move now."""
        now = time.monotonic()
        while not (self._sink_full or self._over):
            item = self._pull(len(self._stages), now)
            if item is None:
                break
            self._write(item)
        if not self._over:
            self._set_timer(now)
            self._pause_or_resume_reading()

    def _pull(self, length: int, now: float) -> Item | None:
        """The next item that leaves the first `length` stages by `now`; with none, the next one received."""
        if length == 0:
            return self._inbox.popleft() if self._inbox else None
        stage = self._stages[length - 1]
        while True:
            item = stage.take(now)
            if item is not None or stage.full:
                return item
            earlier = self._pull(length - 1, now)
            if earlier is None:
                return None
            stage.put(earlier, now)

    def _write(self, item: Item) -> None:
        if self._over:
            return
        if isinstance(item, Chunk):
            self._traffic.sent_bytes += len(item.data)
            self._sink.write(item.data)
        else:
            self.half_closed = True
            self._on_closing(self, item)

    def _pause_or_resume_reading(self) -> None:
        if self._source_ended:
            return  # to resume would only make the event loop report the end again
        pause = bool(self._inbox) or (self._sink_full and not self._stages)
        if pause != self._reading_paused and not self._source.is_closing():
            self._reading_paused = pause
            if pause:
                self._source.pause_reading()
            else:
                self._source.resume_reading()

    # -- the timer

    def _set_timer(self, now: float) -> None:
        """Have `_pump` called when the next stage that has room behind it is due."""
        due = None if self._sink_full else self._next_due()
        if due is None:
            self._cancel_timer()
            return
        if self._timer is not None:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        if due <= now:
            self._timer = loop.call_soon(self._timer_fired)
        else:
            self._timer = loop.call_later(min(max(due - now, TIMER_MIN_S), TIMER_MAX_S), self._timer_fired)
        self._timer_at = due

    def _next_due(self) -> float | None:
        """When the first stage is due of those that have room behind them; a full one holds up all before it."""
        earliest: float | None = None
        for stage in reversed(self._stages):
            due = stage.due()
            if due is not None and (earliest is None or due < earliest):
                earliest = due
            if stage.full:
                break
        return earliest

    def _timer_fired(self) -> None:
        self._timer = None
        self._pump()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
