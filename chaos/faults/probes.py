"""One exchange over a link of the stack, by which it is seen what the link carries and how fast."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from chaos.faults.toxics import KBIT_PER_KB
from refsystem.ordering.slip import STATUS_REQUESTS

PROBE_TIMEOUT_S = 8.0
STALLING_PROBE_TIMEOUT_S = 20.0
SILENCE_PROBE_S = 1.0
SHOWN_MS = 150
"""How long a padded probe shall take at the rate that it is to show."""
HEADER_BYTES_MAX = 32_000
FRAME_BYTES_MAX = 32_000
STARTUP_BYTES_MAX = 9_000
"""PostgreSQL takes 10,000 bytes at most before a client has said who it is."""
ANSWER_BYTES_MAX = 65_536
POSTGRES_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
POSTGRES_NO_SUCH_VERSION = bytes.fromhex("00630000")
INITIALIZE_PRINTER = b"\x1b@"
PRINTER_BYTES_MAX = 32_000
OVERLONG_FRAME = b"\xff\xff\xff\xff"


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange that was answered, or hung up on."""

    took_ms: float
    sent_bytes: int
    received_bytes: int


async def exchange(host: str, port: int, sent: bytes, timeout_s: float, *, whole: bool) -> Exchange | None:
    """Connect, send, and read the first bytes or (`whole`) to the end; None if there was no answer in time or no connection."""
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(sent)
                received_bytes = await _read(reader, whole=whole)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return None
    return Exchange((time.monotonic() - began_s) * 1000, len(sent), received_bytes)


async def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        async with asyncio.timeout(SILENCE_PROBE_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


def probe_bytes(kind: str, rate_kbit_s: float | None = None) -> bytes:
    """Something that every upstream of this kind answers, or hangs up on, at once when it has all of it.

    With a rate it is so long that it takes `SHOWN_MS` at that rate, as far as the upstream takes so much.
    """
    padding = 0 if rate_kbit_s is None else max(1, round(rate_kbit_s * SHOWN_MS / KBIT_PER_KB))
    if kind == "edge_edge":
        length = min(padding, FRAME_BYTES_MAX)
        return OVERLONG_FRAME if length == 0 else length.to_bytes(4, "big") + b"\xff" * length
    if kind == "cloud_database":
        length = min(padding, STARTUP_BYTES_MAX)
        if length == 0:
            return POSTGRES_SSL_REQUEST
        return (8 + length).to_bytes(4, "big") + POSTGRES_NO_SUCH_VERSION + bytes(length)
    if kind == "edge_printer":
        return INITIALIZE_PRINTER * (min(padding, PRINTER_BYTES_MAX) // len(INITIALIZE_PRINTER)) + STATUS_REQUESTS
    header = f"X-Padding: {'x' * min(padding, HEADER_BYTES_MAX)}\r\n" if padding else ""
    return f"GET /health HTTP/1.1\r\nHost: localhost\r\n{header}Connection: close\r\n\r\n".encode()


async def _read(reader: asyncio.StreamReader, *, whole: bool) -> int:
    """How many bytes were received."""
    received_bytes = 0
    while received_bytes < ANSWER_BYTES_MAX:
        try:
            part = await reader.read(ANSWER_BYTES_MAX if whole else 1)
        except ConnectionResetError:
            break
        received_bytes += len(part)
        if not part or not whole:
            break
    return received_bytes
