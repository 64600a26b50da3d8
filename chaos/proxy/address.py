"""Addresses as Toxiproxy writes them: `host:port`, `[v6]:port`, `:port`; an empty text means any free port."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from dataclasses import dataclass

RESOLVE_TIMEOUT_S = 5.0
BACKLOG = 1024


class AddressError(Exception):
    """An address that cannot be parsed, resolved or bound; the text names it."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A resolved address to listen at; `host` is an IP literal, or empty for every interface."""

    host: str
    port: int

    def __str__(self) -> str:
        return join_address(self.host, self.port)


def split_address(text: str) -> tuple[str, str]:
    """The host and the port of `host:port`, brackets removed; AddressError if there is no port."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    if not colon or "[" in host or "]" in text:
        raise AddressError(f"address {text}: missing port in address")
    if ":" in host:
        raise AddressError(f"address {text}: too many colons in address")
    return host, port


def join_address(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 literal."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def resolve_listen(text: str) -> ListenAddress:
    """What a `listen` text means: a name becomes an IP literal. AddressError if it means nothing."""
    host, port = _host_and_port(text) if text else ("", 0)
    if not host or _is_literal(host):
        return ListenAddress(host, port)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:  # a ValueError is told about a name that no look-up can take
        raise AddressError(
            f"lookup {host}: {'timed out' if isinstance(error, TimeoutError) else 'no such host'}"
        ) from error
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return ListenAddress(str(found[0][4][0]), port)


def dial_target(text: str) -> tuple[str, int]:
    """The host and the port to connect to; without a host, this one."""
    host, port = _host_and_port(text)
    return host or "localhost", port


def bind_socket(address: ListenAddress) -> socket.socket:
    """A non-blocking socket bound to `address`, not yet listening; AddressError, worded as Go words it, if it is taken.

    The port of a listener that was just closed can be bound again at once.
    """
    any_host = address.host in ("", "::")  # as Go has it, both mean IPv4 too
    wants_v6 = ":" in address.host or (any_host and socket.has_dualstack_ipv6())
    family = socket.AF_INET6 if wants_v6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if any_host else 1)
        sock.bind((address.host, address.port))
    except OSError as error:
        sock.close()
        raise AddressError(_told(address, error)) from error
    return sock


def listen_on(sock: socket.socket, address: ListenAddress) -> socket.socket:
    """Let a bound socket listen, and return it; AddressError, and the socket closed, if somebody else does."""
    try:
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise AddressError(_told(address, error)) from error
    return sock


def bound_address(sock: socket.socket) -> str:
    """The address that a listening socket has, as `host:port`."""
    host, port = sock.getsockname()[:2]
    return join_address(host, port)


def _host_and_port(text: str) -> tuple[str, int]:
    host, port_text = split_address(text)
    if not (port_text.isascii() and port_text.isdigit()):
        raise AddressError(f"lookup tcp/{port_text}: unknown port")
    if len(port_text.lstrip("0")) > 5 or int(port_text) >= 65536:
        raise AddressError(f"address {port_text}: invalid port")
    return host, int(port_text)


def _told(address: ListenAddress, error: OSError) -> str:
    return f"listen tcp {address}: bind: {os.strerror(error.errno or 0).lower()}"


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
