"""The file of proxies that a server starts with: JSON, the same array that `POST /populate` takes."""

from __future__ import annotations

from pathlib import Path

from chaos.proxy.collection import ProxyCollection
from chaos.proxy.decoding import ProxyInput, decode_proxies
from chaos.proxy.errors import BAD_BODY, ApiError
from chaos.proxy.proxy import Proxy


class ConfigError(Exception):
    """The file cannot be read, is not what it should be, or names a proxy that cannot be created; the text says which."""


def read_config(path: Path) -> list[ProxyInput]:
    """The proxies that a file names; ConfigError if it does not."""
    try:
        body = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"config {path}: {(error.strerror or str(error)).lower()}") from error
    try:
        return decode_proxies(body)
    except ApiError as error:
        detail = error.message.removeprefix(f"{BAD_BODY}: ")
        raise ConfigError(f"config {path}: not a JSON array of proxies: {detail}") from error


async def create_proxies(path: Path, wanted: list[ProxyInput], proxies: ProxyCollection) -> int:
    """Create the proxies of a file, and return how many; ConfigError at the first that cannot be created."""
    done: list[Proxy] = []
    try:
        await proxies.populate(wanted, done)
    except ApiError as error:
        raise ConfigError(f"config {path}: {error.message}") from error
    return len(done)
