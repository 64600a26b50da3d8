"""All proxies of a server, and what the API does to them: create, update, delete, populate, reset.

Addresses are resolved, and files read, before anything is touched; from there to the end an operation is one step of the event
loop.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from chaos.proxy import errors
from chaos.proxy.address import AddressError, ListenAddress, resolve_listen
from chaos.proxy.decoding import UNCHANGED, ProxyInput, ToxicChange, ToxicInput
from chaos.proxy.events import EventLog
from chaos.proxy.metrics import TrafficCollector
from chaos.proxy.proxy import Proxy
from chaos.proxy.toxics import TOXIC_TYPES, Direction, Toxic

READS_FILES = frozenset({"trace"})
T = TypeVar("T")


class ProxyCollection:
    """The proxies by name. Every method raises `errors.ApiError` when it refuses.

    `traffic`, if there is one, is told before a proxy leaves its addresses.
    """

    def __init__(self, seed: int, events: EventLog | None = None) -> None:
        self.seed = seed
        self.events = EventLog() if events is None else events
        self.traffic: TrafficCollector | None = None
        self._proxies: dict[str, Proxy] = {}

    def all(self) -> list[Proxy]:
        """Every proxy, by name."""
        return [self._proxies[name] for name in sorted(self._proxies)]

    def get(self, name: str) -> Proxy:
        """The proxy of that name."""
        try:
            return self._proxies[name]
        except KeyError:
            raise errors.proxy_not_found() from None

    async def create(self, wanted: ProxyInput) -> Proxy:
        """A new proxy, enabled unless said otherwise."""
        _require(wanted, "")
        if wanted.name in self._proxies:
            raise errors.proxy_exists()
        toxics = await _aside(_read_files(wanted), partial(_new_toxics, wanted))
        address = await _resolve_to_bind(wanted.listen) if wanted.enabled else None
        if wanted.name in self._proxies:
            raise errors.proxy_exists()
        return self._add(wanted, toxics, address)

    async def update(self, name: str, change: ProxyInput) -> Proxy:
        """Move a proxy, enable or disable it; it restarts only if the resolved listen or the upstream differs."""
        proxy = self.get(name)
        address = await _resolve(change.listen)
        if self._proxies.get(name) is not proxy:
            raise errors.proxy_not_found()
        if _differs(proxy, address, change.upstream):
            self._leaving(proxy)
            proxy.stop()
            proxy.listen, proxy.upstream = change.listen, change.upstream
        if change.enabled and not proxy.enabled:
            _start(proxy, address)
        elif not change.enabled:
            proxy.disable(address)
        return proxy

    def delete(self, name: str) -> None:
        """Close a proxy and forget it."""
        proxy = self.get(name)
        self._leaving(proxy)
        proxy.close()
        del self._proxies[name]

    async def populate(self, wanted: list[ProxyInput], done: list[Proxy]) -> None:
        """Create or replace proxies, one after the other; `done` receives them, also those before a failure.

        A proxy that is there already with the same listen and upstream is left alone, toxics and all.
        """
        toxics: list[list[Toxic]] = []
        for number, each in enumerate(wanted, start=1):
            _require(each, f" at proxy {number}")
            make = partial(_new_toxics, each, f"proxy {number}, ")
            toxics.append(await _aside(_read_files(each), make))
        for each, its_toxics in zip(wanted, toxics, strict=True):
            done.append(await self._add_or_replace(each, its_toxics))

    async def _add_or_replace(self, wanted: ProxyInput, toxics: list[Toxic]) -> Proxy:
        resolve = _resolve if wanted.name in self._proxies else _resolve_to_bind
        address = await resolve(wanted.listen) if wanted.enabled or wanted.name in self._proxies else None
        existing = self._proxies.get(wanted.name)
        if existing is not None and address is not None:
            if not _differs(existing, address, wanted.upstream):
                return existing
            self._leaving(existing)
            existing.stop()
        proxy = self._add(wanted, toxics, address if wanted.enabled else None)
        if existing is not None:
            existing.close()
        return proxy

    async def reset(self) -> None:
        """Enable every proxy and remove every toxic; stops at the first proxy that cannot be started."""
        for proxy in self.all():
            if not proxy.enabled:
                address = await _resolve_to_bind(proxy.listen)
                if not proxy.enabled:
                    _start(proxy, address)
            proxy.remove_all_toxics()

    def close(self) -> None:
        """Close every proxy."""
        for proxy in self._proxies.values():
            proxy.close()

    # -- toxics

    def toxic(self, name: str, toxic_name: str) -> Toxic:
        """One toxic of one proxy."""
        toxic = self.get(name).toxic(toxic_name)
        if toxic is None:
            raise errors.toxic_not_found()
        return toxic

    async def add_toxic(self, name: str, wanted: ToxicInput) -> Toxic:
        """Add a toxic at the end of its chain."""
        proxy = self.get(name)
        there = {toxic.name: toxic for toxic in proxy.toxic_list()}
        toxic = await _aside(wanted.type in READS_FILES, partial(_new_toxic, wanted, there.get))
        if self.get(name) is not proxy:
            raise errors.proxy_not_found()
        if proxy.toxic(toxic.name) is not None:
            raise errors.toxic_exists()
        proxy.add_toxic(toxic)
        return toxic

    async def update_toxic(self, name: str, toxic_name: str, change: ToxicChange) -> Toxic:
        """Merge attributes into a toxic, change its toxicity, and give it a schedule or take that away."""
        old = self.toxic(name, toxic_name)
        while True:
            given = old.attributes
            attributes = await _aside(old.type in READS_FILES, partial(change.attributes_over, given))
            old = self.toxic(name, toxic_name)
            if old.attributes is given:
                break
        toxicity = old.toxicity if change.toxicity is None else change.toxicity
        schedule = old.schedule if change.schedule is UNCHANGED else change.schedule
        toxic = dataclasses.replace(old, toxicity=toxicity, attributes=attributes, schedule=schedule)
        self.get(name).update_toxic(toxic)
        return toxic

    def remove_toxic(self, name: str, toxic_name: str) -> None:
        """Remove a toxic; what it holds is flushed."""
        self.get(name).remove_toxic(self.toxic(name, toxic_name))

    def _add(self, wanted: ProxyInput, toxics: list[Toxic], address: ListenAddress | None) -> Proxy:
        """Make a proxy, start it at `address` if there is one, and give it its toxics, all before its first connection."""
        seed = self.seed if wanted.seed is None else wanted.seed
        proxy = Proxy(wanted.name, wanted.listen, wanted.upstream, seed, self.events)
        proxy.own_seed = wanted.seed
        if address is not None:
            _start(proxy, address)
        self._proxies[proxy.name] = proxy
        for toxic in toxics:
            proxy.add_toxic(toxic)
        return proxy

    def _leaving(self, proxy: Proxy) -> None:
        """A proxy is about to leave its addresses."""
        if self.traffic is not None:
            self.traffic.settle(proxy)


async def _aside(reads_files: bool, make: Callable[[], T]) -> T:
    """What `make` makes: in a thread if it reads files, so that nobody waits for them."""
    return await asyncio.to_thread(make) if reads_files else make()


def _read_files(wanted: ProxyInput) -> bool:
    return any(each.type in READS_FILES for each in wanted.with_toxics)


def _new_toxics(wanted: ProxyInput, where: str = "") -> list[Toxic]:
    """The toxics that a new proxy is to start with."""
    toxics: dict[str, Toxic] = {}
    for number, each in enumerate(wanted.with_toxics, start=1):
        try:
            toxic = _new_toxic(each, toxics.get)
        except errors.ApiError as error:
            raise error.at(f"{where}toxic {number}") from error
        toxics[toxic.name] = toxic
    return list(toxics.values())


def _new_toxic(wanted: ToxicInput, named: Callable[[str], Toxic | None]) -> Toxic:
    """A toxic as wanted; `named` gives the proxy's toxic of a name."""
    try:
        direction = Direction(wanted.stream.lower())
    except ValueError:
        raise errors.stream_invalid() from None
    kind = TOXIC_TYPES.get(wanted.type)
    if kind is None:
        raise errors.toxic_type_invalid()
    name = wanted.name or f"{wanted.type}_{wanted.stream}"
    if named(name) is not None:
        raise errors.toxic_exists()
    attributes = wanted.attributes_over(kind())
    return Toxic(name, wanted.type, wanted.stream, direction, wanted.toxicity, attributes, wanted.schedule)


def _require(wanted: ProxyInput, where: str) -> None:
    for field in ("name", "upstream"):
        if not getattr(wanted, field):
            raise errors.missing_field(field + where)


def _differs(proxy: Proxy, address: ListenAddress, upstream: str) -> bool:
    return proxy.listen != str(address) or proxy.upstream != upstream


async def _resolve(listen: str) -> ListenAddress:
    try:
        return await resolve_listen(listen)
    except AddressError as error:
        raise errors.internal(str(error)) from error


async def _resolve_to_bind(listen: str) -> ListenAddress:
    """The same, with the words that Go has for an address that was to be bound."""
    try:
        return await resolve_listen(listen)
    except AddressError as error:
        raise errors.internal(f"listen tcp: {error}") from error


def _start(proxy: Proxy, address: ListenAddress) -> None:
    try:
        proxy.start(address)
    except AddressError as error:
        raise errors.internal(str(error)) from error
