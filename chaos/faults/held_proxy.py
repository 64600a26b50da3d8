"""A proxy that several faults may hold at one time: each holds a share of its own, and takes back nothing else.

What is on the proxy follows from the shares alone, in whatever order they came: their toxics stand beside one another, it is
closed while one of them closes it, and its standing state gives way while one of them stands in its place.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chaos.faults.toxics import Toxic, toxics_of
from chaos.faults.toxiproxy import ProxyServer
from simulator.network import LinkProfile

Found = TypeVar("Found")

DISTURBED_S = 10.0
"""How long a proof waits for a moment at which no other fault is in its way."""
LOOK_EVERY_S = 0.1
STANDING = "standing_"


@dataclass(frozen=True, slots=True)
class Share:
    """What one fault asks of a proxy. A `profile` stands in place of the standing state."""

    toxics: tuple[Toxic, ...] = ()
    closes: bool = False
    profile: LinkProfile | None = None

    @property
    def cuts(self) -> bool:
        """Whether the link carries nothing in one direction at least."""
        return self.closes or any(toxic.kind == "timeout" for toxic in self.toxics)


def weakness(profile: LinkProfile) -> Share:
    """A profile in place of the standing state."""
    return Share(tuple(toxics_of(profile)), profile=profile)


@dataclass(frozen=True, slots=True)
class Condition:
    """Who holds a proxy at a moment; `changes` differs from then on if anybody came or went."""

    changes: int
    shares: Mapping[Hashable, Share]

    @property
    def profiles(self) -> list[LinkProfile]:
        """The profiles that are in force in place of the standing state."""
        return [share.profile for share in self.shares.values() if share.profile is not None]

    def cut_beside(self, holder: Hashable) -> bool:
        """Whether a fault other than this one cuts the link."""
        return any(share.cuts for other, share in self.shares.items() if other is not holder)


class HeldProxy:
    """A proxy of `server`, which is open when this object is made; toxics of others on it are left alone. Calls block.

    They raise `ToxiproxyError`; what a call that failed has left undone is made good by the next.
    """

    def __init__(self, server: ProxyServer, name: str) -> None:
        self.name = name
        self._server = server
        self._lock = threading.Lock()
        self._shares: Mapping[Hashable, Share] = {}
        self._names: dict[Hashable, dict[str, Toxic]] = {}
        self._standing: Mapping[str, Toxic] = {}
        self._put: dict[str, Toxic] = {}
        self._open: bool | None = True
        self._settled = True
        self._changes = 0

    @property
    def condition(self) -> Condition:
        """Who holds it now; does not block."""
        return Condition(self._changes, self._shares)

    def set_standing(self, profile: LinkProfile) -> None:
        """The state while no share stands in its place."""
        with self._lock:
            self._standing = {STANDING + toxic.name: toxic for toxic in toxics_of(profile)}
            self._settle()

    def begin(self, holder: Hashable, share: Share, prefix: str = "") -> None:
        """`holder` takes its share, whose toxics get names that begin so."""
        with self._lock:
            if holder not in self._shares:
                self._names[holder] = self._named(share.toxics, prefix)
                self._shares = {**self._shares, holder: share}
            self._settle()

    def end(self, holder: Hashable) -> None:
        """`holder` gives its share back, if it has one."""
        with self._lock:
            self._shares = {other: share for other, share in self._shares.items() if other is not holder}
            if self._names.pop(holder, None) is not None or not self._settled:
                self._settle()

    def missing(self, holder: Hashable) -> list[str]:
        """What the server does not say is there, of what `holder` asked for."""
        if holder not in self._shares:
            return ["what was asked for"]
        missing = sorted(set(self._names[holder]) - set(self._server.toxic_names(self.name)))
        if self._shares[holder].closes and self._server.is_open(self.name):
            missing.append("the closing")
        return missing

    def toxic_names(self) -> list[str]:
        """What the server says is on it."""
        return self._server.toxic_names(self.name)

    def _named(self, toxics: Sequence[Toxic], prefix: str) -> dict[str, Toxic]:
        """Each toxic under a name that no other share has."""
        taken = {name for names in self._names.values() for name in names}
        named: dict[str, Toxic] = {}
        for toxic in toxics:
            name, number = prefix + toxic.name, 1
            while name in taken or name in named:
                number += 1
                name = f"{prefix}{toxic.name}_{number}"
            named[name] = toxic
        return named

    def _settle(self) -> None:
        """Make the proxy what the shares say, by the changes that are needed.

        What is to come comes before what is to go: at no moment the link carries what it must carry neither before nor after.
        """
        self._changes += 1
        self._settled = False
        try:
            wanted = self._wanted()
            is_open = not any(share.closes for share in self._shares.values())
            if not is_open:
                self._set_open(False)
            listed = set(self._server.toxic_names(self.name))
            for name, toxic in wanted.items():
                if name not in listed or self._put.get(name) != toxic:
                    self._put_on(name, toxic, listed)
            for name in sorted(listed & self._put.keys() - wanted.keys()):
                self._server.remove_toxic(self.name, name)
            self._put = dict(wanted)
            if is_open:
                self._set_open(True)
            self._settled = True
        finally:
            self._changes += 1

    def _wanted(self) -> dict[str, Toxic]:
        replaced = any(share.profile is not None for share in self._shares.values())
        wanted = {} if replaced else dict(self._standing)
        for named in self._names.values():
            wanted |= named
        return wanted

    def _put_on(self, name: str, toxic: Toxic, listed: set[str]) -> None:
        if name in listed:  # of other figures
            self._server.remove_toxic(self.name, name)
        self._put[name] = toxic
        self._server.add_toxic(self.name, name, toxic.kind, toxic.stream, toxic.attributes)

    def _set_open(self, is_open: bool) -> None:
        if self._open is not is_open:
            self._open = None  # not known until the server has answered
            self._server.set_enabled(self.name, is_open)
            self._open = is_open


async def undisturbed(
    proxy: HeldProxy, holder: Hashable, look: Callable[[], Awaitable[Found]]
) -> tuple[Found, Condition] | None:
    """What `look` finds while no other fault cuts the link and none comes or goes, and who held it then.

    None if there was no such time in `DISTURBED_S`: then nothing is known of what `holder` does by itself.
    """
    deadline_s = time.monotonic() + DISTURBED_S
    while True:
        before = proxy.condition
        if not before.cut_beside(holder):
            found = await look()
            if proxy.condition.changes == before.changes:
                return found, before
        if time.monotonic() > deadline_s:
            return None
        await asyncio.sleep(LOOK_EVERY_S)
