"""The load on a proxy, as a process: both ends of every connection, and as little work for each byte as can be.

`python -m chaos.bench.proxy_load JSON` takes a `Load` and prints what it measured as JSON. Bytes are sent with `sendfile` from
memory and taken with `MSG_TRUNC`, which copies nothing, so that one core here can keep up with a proxy on another one.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import select
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

BLOCK_BYTES = 1024 * 1024
MESSAGE_BYTES = 200
WARM_UP_SHARE = 0.25
WARM_UP_EXCHANGES = 50
PATIENCE_S = 20.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Load:
    """What to do. `kind`: `bulk` (both directions at once), `ping` (one message at a time, on one connection after the
    other) or `busy` (every connection has a message under way). `api` is the server's host:port, None to go directly;
    `pid` is its process, whose share of a core is measured.
    """

    kind: str
    connections: int
    seconds: float
    api: str | None = None
    pid: int | None = None


def run(load: Load) -> dict[str, float]:
    """Do it; the figures by name."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener, _way_to(load.api, listener) as address:
        pairs = [_connect(address, listener) for _ in range(load.connections)]
        try:
            return {"bulk": bulk, "ping": ping, "busy": busy}[load.kind](pairs, load)
        finally:
            for pair in pairs:
                for sock in pair:
                    sock.close()


Pair = tuple[socket.socket, socket.socket]


def bulk(pairs: list[Pair], load: Load) -> dict[str, float]:
    """Send as much as goes in both directions of every connection: bytes arrived for each second."""
    source = os.memfd_create("block")
    os.ftruncate(source, BLOCK_BYTES)
    os.pwrite(source, bytes(BLOCK_BYTES), 0)  # pages of its own, as a file has
    sink = bytearray(BLOCK_BYTES)
    sockets = {sock.fileno(): sock for pair in pairs for sock in pair}
    clients = {client.fileno() for client, _server in pairs}
    with select.epoll() as epoll:
        for number, sock in sockets.items():
            sock.setblocking(False)
            epoll.register(number, select.EPOLLIN | select.EPOLLOUT)
        arrived = {True: 0, False: 0}
        clock = _Clock(load)
        while not clock.over():
            if clock.warmed_up():
                arrived = {True: 0, False: 0}
            for number, happened in epoll.poll(PATIENCE_S):
                if happened & select.EPOLLIN:
                    count = _taken(sockets[number], sink)
                    arrived[number in clients] += count
                if happened & select.EPOLLOUT:
                    _send(number, source)
    os.close(source)
    spent_s = clock.spent_s
    return {
        "megabytes_per_s": sum(arrived.values()) / spent_s / 1e6,
        "upstream_megabytes_per_s": arrived[False] / spent_s / 1e6,
        "downstream_megabytes_per_s": arrived[True] / spent_s / 1e6,
        **clock.server_work("megabytes_per_core_s", sum(arrived.values()) / 1e6),
    }


def ping(pairs: list[Pair], load: Load) -> dict[str, float]:
    """One message there and back at a time, on one connection after the other: the time of an exchange."""
    for pair in pairs:
        for sock in pair:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(True)
    message = bytes(MESSAGE_BYTES)
    took_ns: list[int] = []
    clock = _Clock(load)
    while not clock.over():
        if clock.warmed_up():
            took_ns.clear()
        for client, server in pairs:
            began = time.perf_counter_ns()
            client.sendall(message)
            _take_whole(server)
            server.sendall(message)
            _take_whole(client)
            took_ns.append(time.perf_counter_ns() - began)
            if clock.over():
                break
    hundredths = statistics.quantiles(took_ns, n=100)
    return {"p50_ms": hundredths[49] / 1e6, "p99_ms": hundredths[98] / 1e6}


def busy(pairs: list[Pair], load: Load) -> dict[str, float]:
    """Every connection has one message under way all the time: exchanges for each second."""
    message = bytes(MESSAGE_BYTES)
    clients = {client.fileno() for client, _server in pairs}
    sockets = {sock.fileno(): sock for pair in pairs for sock in pair}
    exchanges = 0
    with select.epoll() as epoll:
        for number, sock in sockets.items():
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(True)
            epoll.register(number, select.EPOLLIN)
        for client, _server in pairs:
            client.sendall(message)
        clock = _Clock(load)
        while not clock.over():
            if clock.warmed_up():
                exchanges = 0
            for number, _happened in epoll.poll(PATIENCE_S):
                sock = sockets[number]
                _take_whole(sock)
                sock.sendall(message)
                exchanges += number in clients
    return {"exchanges_per_s": exchanges / clock.spent_s, **clock.server_work("exchanges_per_core_s", exchanges)}


class _Clock:
    """The time of a measurement: a warm-up, then the time that counts."""

    def __init__(self, load: Load) -> None:
        self._pid = load.pid
        self._seconds = load.seconds
        self._began = time.perf_counter() + WARM_UP_SHARE * load.seconds
        self._counts = False
        self._server_ticks = 0
        self.spent_s = 0.0

    def warmed_up(self) -> bool:
        """Whether the time that counts begins with this call."""
        if self._counts or time.perf_counter() < self._began:
            return False
        self._counts = True
        self._began = time.perf_counter()
        self._server_ticks = self._ticks()
        return True

    def over(self) -> bool:
        """Whether the time that counts has passed."""
        if not self._counts:
            return False
        self.spent_s = time.perf_counter() - self._began
        return self.spent_s >= self._seconds

    def server_work(self, name: str, done: float) -> dict[str, float]:
        """Which share of a core the server took in the time that counts, and what it has `done` for a second of a core."""
        if self._pid is None:
            return {}
        took_s = max(1, self._ticks() - self._server_ticks) / TICKS_PER_S
        return {name: done / took_s, "server_core_share": took_s / self.spent_s}

    def _ticks(self) -> int:
        if self._pid is None:
            return 0
        with open(f"/proc/{self._pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


@contextmanager
def _way_to(api: str | None, listener: socket.socket) -> Iterator[tuple[str, int]]:
    """Where to connect: to a proxy made for this load, or to the listener itself."""
    host, port = listener.getsockname()
    if api is None:
        yield host, port
        return
    name = f"bench-{os.getpid()}"
    body = {"name": name, "listen": "127.0.0.1:0", "upstream": f"{host}:{port}"}
    listen = str(_call(api, "POST", "/proxies", body)["listen"])
    try:
        yield "127.0.0.1", int(listen.rpartition(":")[2])
    finally:
        _call(api, "DELETE", f"/proxies/{name}")


def _call(api: str, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, object]:
    connection = http.client.HTTPConnection(api, timeout=PATIENCE_S)
    try:
        connection.request(method, path, json.dumps(body) if body else None)
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path} was answered {answer.status}: {said.decode(errors='replace').strip()}")
    fields: dict[str, object] = json.loads(said) if said else {}
    return fields


def _connect(address: tuple[str, int], listener: socket.socket) -> Pair:
    client = socket.create_connection(address, timeout=PATIENCE_S)
    listener.settimeout(PATIENCE_S)
    server, _peer = listener.accept()
    server.settimeout(PATIENCE_S)
    return client, server


def _taken(sock: socket.socket, sink: bytearray) -> int:
    try:
        return sock.recv_into(sink, BLOCK_BYTES, socket.MSG_TRUNC)
    except BlockingIOError:
        return 0


def _send(number: int, source: int) -> None:
    with suppress(BlockingIOError):
        os.sendfile(number, source, 0, BLOCK_BYTES)


def _take_whole(sock: socket.socket) -> None:
    left = MESSAGE_BYTES
    while left:
        taken = sock.recv(left)
        if not taken:
            raise RuntimeError("a connection was closed under load")
        left -= len(taken)


def main() -> None:
    """Take the load from the command line; print the figures."""
    load = Load(**json.loads(sys.argv[1]))
    print(json.dumps(run(load)))  # noqa: T201 - this is its answer


def arguments(load: Load) -> list[str]:
    """The command that does a load."""
    return [sys.executable, "-m", "chaos.bench.proxy_load", json.dumps(dataclasses.asdict(load))]


if __name__ == "__main__":
    main()
