"""All proxies of a server, and what the API does to them: create, update, delete, populate, reset.

Addresses are resolved before anything is touched; from there to the end an operation is one step of the event loop.
"""

from __future__ import annotations

import dataclasses

from chaos.proxy import errors
from chaos.proxy.address import AddressError, ListenAddress, resolve_listen
from chaos.proxy.decoding import ProxyInput, ToxicChange, ToxicInput
from chaos.proxy.events import EventLog
from chaos.proxy.proxy import Proxy
from chaos.proxy.toxics import TOXIC_TYPES, Direction, Toxic


class ProxyCollection:
    """The proxies by name. Every method raises `errors.ApiError` when it refuses."""

    def __init__(self, seed: int, events: EventLog | None = None) -> None:
        self.seed = seed
        self.events = EventLog() if events is None else events
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
        address = await _resolve(wanted.listen) if wanted.enabled else None
        if wanted.name in self._proxies:
            raise errors.proxy_exists()
        proxy = self._new(wanted)
        if address is not None:
            _start(proxy, address)
        self._proxies[proxy.name] = proxy
        return proxy

    async def update(self, name: str, change: ProxyInput) -> Proxy:
        """Move a proxy, enable or disable it; it restarts only if the resolved listen or the upstream differs."""
        proxy = self.get(name)
        address = await _resolve(change.listen)
        if self._proxies.get(name) is not proxy:
            raise errors.proxy_not_found()
        if _differs(proxy, address, change.upstream):
            proxy.stop()
            proxy.listen, proxy.upstream = change.listen, change.upstream
        if change.enabled and not proxy.enabled:
            _start(proxy, address)
        elif not change.enabled:
            proxy.disable(address)
        return proxy

    def delete(self, name: str) -> None:
        """Close a proxy and forget it."""
        self.get(name).close()
        del self._proxies[name]

    async def populate(self, wanted: list[ProxyInput], done: list[Proxy]) -> None:
        """Create or replace proxies, one after the other; `done` receives them, also those before a failure.

        A proxy that is there already with the same listen and upstream is left alone, toxics and all.
        """
        for number, each in enumerate(wanted, start=1):
            _require(each, f" at proxy {number}")
        for each in wanted:
            address = await _resolve(each.listen)
            existing = self._proxies.get(each.name)
            if existing is not None and not _differs(existing, address, each.upstream):
                done.append(existing)
                continue
            if existing is not None:
                existing.close()
            proxy = self._new(each)
            if each.enabled:
                _start(proxy, address)
            self._proxies[proxy.name] = proxy
            done.append(proxy)

    async def reset(self) -> None:
        """Enable every proxy and remove every toxic; stops at the first proxy that cannot be started."""
        for proxy in self.all():
            if not proxy.enabled:
                address = await _resolve(proxy.listen)
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

    def add_toxic(self, name: str, wanted: ToxicInput) -> Toxic:
        """Add a toxic at the end of its chain."""
        proxy = self.get(name)
        try:
            direction = Direction(wanted.stream.lower())
        except ValueError:
            raise errors.stream_invalid() from None
        kind = TOXIC_TYPES.get(wanted.type)
        if kind is None:
            raise errors.toxic_type_invalid()
        toxic_name = wanted.name or f"{wanted.type}_{wanted.stream}"
        if proxy.toxic(toxic_name) is not None:
            raise errors.toxic_exists()
        attributes = wanted.attributes_over(kind())
        toxic = Toxic(toxic_name, wanted.type, wanted.stream, direction, wanted.toxicity, attributes)
        proxy.add_toxic(toxic)
        return toxic

    def update_toxic(self, name: str, toxic_name: str, change: ToxicChange) -> Toxic:
        """Merge attributes into a toxic, and change its toxicity."""
        old = self.toxic(name, toxic_name)
        toxicity = old.toxicity if change.toxicity is None else change.toxicity
        toxic = dataclasses.replace(old, toxicity=toxicity, attributes=change.attributes_over(old.attributes))
        self.get(name).update_toxic(toxic)
        return toxic

    def remove_toxic(self, name: str, toxic_name: str) -> None:
        """Remove a toxic; what it holds is flushed."""
        self.get(name).remove_toxic(self.toxic(name, toxic_name))

    def _new(self, wanted: ProxyInput) -> Proxy:
        return Proxy(wanted.name, wanted.listen, wanted.upstream, self.seed, self.events)


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


def _start(proxy: Proxy, address: ListenAddress) -> None:
    try:
        proxy.start(address)
    except AddressError as error:
        raise errors.internal(str(error)) from error
