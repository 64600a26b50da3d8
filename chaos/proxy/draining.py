"""Waits for sockets that are being closed to send what was written to them, and gives up when their peers take nothing."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import sys
import termios
from collections.abc import Callable, Sequence

CHECKS_PER_TIMEOUT = 20


class Draining:
    """Calls `give_up` as soon as nothing of what is left has moved for `timeout_s`, and then no more."""

    def __init__(self, transports: Sequence[asyncio.Transport], timeout_s: float, give_up: Callable[[], None]) -> None:
        self._transports = transports
        self._timeout_s = timeout_s
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._left = self._unsent()
        self._moved_at = self._loop.time()
        self._timer = self._loop.call_later(timeout_s / CHECKS_PER_TIMEOUT, self._check)

    def cancel(self) -> None:
        """The sockets are gone."""
        self._timer.cancel()

    def _check(self) -> None:
        left = self._unsent()
        now = self._loop.time()
        if left != self._left:
            self._left, self._moved_at = left, now
        if now - self._moved_at >= self._timeout_s:
            self._give_up()
        else:
            self._timer = self._loop.call_later(self._timeout_s / CHECKS_PER_TIMEOUT, self._check)

    def _unsent(self) -> list[int]:
        return [transport.get_write_buffer_size() + _unsent_in_kernel(transport) for transport in self._transports]


def _unsent_in_kernel(transport: asyncio.Transport) -> int:
    """What the kernel still holds: it asks for more only when a good part of it is gone, which a slow peer may take long for.

    0 where that cannot be asked.
    """
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is None or sys.platform != "linux":
        return 0
    with contextlib.suppress(OSError, ValueError):
        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return 0
