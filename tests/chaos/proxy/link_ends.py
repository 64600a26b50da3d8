"""What stands at both ends of a link: requests, answers, and how to wait for them or for nothing."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Upstream


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /good HTTP/1.1\r\nHost: x\r\n\r\n"
BAD = b"GET /bad HTTP/1.1\r\nHost: x\r\n\r\n"


def receive(sock: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length and (part := sock.recv(65536)):
        parts += part
    return bytes(parts)


def ends(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def silent(sock: socket.socket, for_s: float = 0.2) -> bool:
    sock.settimeout(for_s)
    try:
        return sock.recv(1) is None
    except TimeoutError:
        return True
    finally:
        sock.settimeout(10)


def is_dialled(upstream: Upstream, within_s: float) -> bool:
    upstream.listener.settimeout(within_s)
    try:
        sock, _peer = upstream.listener.accept()
    except TimeoutError:
        return False
    finally:
        upstream.listener.settimeout(10)
    upstream.sockets.append(sock)
    return True


def send_aside(sock: socket.socket, data: bytes) -> threading.Thread:
    thread = threading.Thread(target=sock.sendall, args=(data,))
    thread.start()
    return thread


def answer(listen: str, upstream: Upstream, *requests: bytes) -> tuple[socket.socket, socket.socket, bytes]:
    """A connection on which the server answers what reaches it; and what the client was told."""
    client, server = upstream.connect(listen)
    told = b""
    for request in requests:
        client.sendall(request)
        if request == GET:
            assert receive(server, len(GET)) == GET
            server.sendall(OK)
            told += receive(client, len(OK))
    return client, server, told
