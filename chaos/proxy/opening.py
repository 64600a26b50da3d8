"""What toxics do to a connection before its server is dialled: hold it back (slow_connect) or leave it silent (half_open)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from chaos.proxy.events import EventName, Recorder
from chaos.proxy.toxics import Direction, HalfOpen, SlowConnect, Toxic

LINGER_S = 30.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a connection may go on: silent toxics that keep it from being dialled, or those that hold it back, and how long.

    `missed` are those that would have done so if they had hit it.
    """

    silent: tuple[Toxic, ...] = ()
    slow: tuple[Toxic, ...] = ()
    missed: tuple[Toxic, ...] = ()
    delay_s: float = 0.0


def verdict(toxics: Iterable[Toxic], draws: Callable[[Direction, str], Random]) -> Verdict:
    """What the toxics of the moment say about one connection; the roll is the one that its links make, too."""
    silent: list[Toxic] = []
    slow: list[Toxic] = []
    missed: list[Toxic] = []
    delay_s = 0.0
    for toxic in toxics:
        attributes = toxic.attributes_now
        if not isinstance(attributes, SlowConnect | HalfOpen) or not toxic.phase.on:
            continue
        if not draws(toxic.direction, toxic.name).random() < toxic.toxicity:
            missed.append(toxic)
        elif isinstance(attributes, SlowConnect):
            slow += [toxic] if attributes.delay_ms else []
            delay_s += attributes.delay_ms / 1000
        elif not attributes.dial:
            silent.append(toxic)
    return Verdict(tuple(silent), tuple(slow), tuple(missed), delay_s)


class Opening:
    """One accepted connection on its way to be dialled. `judge` gives the verdict of the moment.

    What a toxic does here is recorded when it begins. Which toxics met a connection is told by its links, once it is
    dialled; for one that never is, it is told here.
    """

    def __init__(self, judge: Callable[[], Verdict], changes: Changes, record: Recorder) -> None:
        self._judge = judge
        self._changes = changes
        self._record = record
        self._accepted_at = time.monotonic()
        self._met: dict[str, Toxic] = {}
        self._missed: set[str] = set()
        self._acts: dict[str, dict[str, int]] = {}

    async def wait(self) -> bool:
        """Until the server may be dialled; False: not at all, the connection is to stay silent."""
        while True:
            now = self._judge()
            if now.silent:
                return False
            self._act(now.slow, "connect_delayed")
            left_s = self._accepted_at + now.delay_s - time.monotonic()
            if left_s <= 0:
                return True
            await self._changes.wait(left_s)

    async def stay_silent(self, client: SilentClient) -> str:
        """Until the client is gone, or the toxics let it be no longer: then it is closed. How it ended, for the event log."""
        try:
            while self._meet():
                if await self._changes.wait(LINGER_S, client.gone) and client.gone.is_set():
                    return "client_gone"
                if client.has_ended_for(LINGER_S):
                    return "client_gone"
            return "closed_by_toxic"
        finally:
            client.abort()

    def ends(self) -> None:
        """The connection has not been dialled and never will be: tell what its toxics have done."""
        self._meet()
        for name, toxic in self._met.items():
            if name in self._acts:
                self._tell(EventName.TOXIC_COUNTED, toxic, counts=self._acts[name])

    def _meet(self) -> bool:
        """Tell which toxics hit the connection, miss it or let go of it; whether it is to be silent."""
        now = self._judge()
        hits = {toxic.name: toxic for toxic in (*now.slow, *now.silent)}
        for name in [name for name in self._met if name not in hits]:
            counts = self._acts.pop(name, None)
            self._tell(EventName.TOXIC_REMOVED, self._met.pop(name), **({"counts": counts} if counts else {}))
        for toxic in now.missed:
            if toxic.name not in self._missed:
                self._missed.add(toxic.name)
                self._tell(EventName.TOXIC_MISSED, toxic, type=toxic.type)
        for name, toxic in hits.items():
            if name not in self._met:
                self._met[name] = toxic
                self._tell(EventName.TOXIC_APPLIED, toxic, type=toxic.type)
        self._act(now.silent, "silenced")
        return bool(now.silent)

    def _act(self, toxics: Iterable[Toxic], act: str) -> None:
        for toxic in toxics:
            counts = self._acts.setdefault(toxic.name, {})
            if act not in counts:
                counts[act] = 1
                self._tell(EventName.TOXIC_ACTED, toxic, act=act)

    def _tell(self, event: EventName, toxic: Toxic, **details: Any) -> None:
        self._record(event, stream=toxic.direction.value, toxic=toxic.name, **details)


class Changes:
    """Wakes those who wait for a change of a proxy's toxics."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Something has changed."""
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self, timeout_s: float, other: asyncio.Event | None = None) -> bool:
        """Until something changes or `other` happens; False after the time-out."""
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._next, other) if event is not None]
        try:
            done, _pending = await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            return bool(done)
        finally:
            for each in waiting:
                each.cancel()


class SilentClient(asyncio.Protocol):
    """A client's socket that is read, so that its end is noticed, and never answered. What it says is dropped."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._ended_at: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def eof_received(self) -> bool:
        """The client sends no more: whether it still listens cannot be seen."""
        self._ended_at = time.monotonic()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone."""
        self.gone.set()

    def has_ended_for(self, time_s: float) -> bool:
        """Whether the client said so long ago that it sends no more."""
        return self._ended_at is not None and time.monotonic() - self._ended_at >= time_s

    def abort(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.abort()
