"""One keep-alive HTTP connection that says, for every exchange, whether any byte of the request may have left.

Ready-made clients retry a `GET` by themselves and give a time-out for each read; here one exchange is one attempt
with one deadline, and trouble before the first byte is told apart from trouble after it. Runs under gevent, patched
or not. Proxies of the environment are never used.
"""

from __future__ import annotations

import socket as plain_socket
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import socket
from geventhttpclient.response import HTTPParseError, HTTPResponse

from loadtests.contract import Reply, Request, Trouble

RECEIVE_BYTES = 16 * 1024


class Connection:
    """A connection to one base URL, opened when it is needed and kept open between exchanges."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{base_url!r}: only plain http:// URLs can be driven")
        self._address = (parts.hostname, parts.port or 80)
        self._host = parts.netloc
        self._prefix = parts.path.rstrip("/")
        self._socket: Any = None

    def exchange(self, request: Request, timeout_us: int) -> Reply | Trouble:
        """Send `request` once and wait for the whole reply, all within `timeout_us`; trouble closes the connection."""
        sent, reply = False, None
        expired = gevent.Timeout(timeout_us / 1_000_000)
        expired.start()
        try:
            self._open()
            sent = True
            self._socket.sendall(self._bytes(request))
            reply = self._receive(request.method)
        except gevent.Timeout as error:
            if error is not expired:
                raise
            return Trouble("timeout" if sent else "connect-timeout", sent)
        except ConnectionRefusedError:
            return Trouble("connection-refused", sent)
        except OSError:
            return Trouble("connection-lost" if sent else "connect-failed", sent)
        except HTTPParseError:
            return Trouble("reply-unreadable", sent)
        finally:
            expired.close()
            if reply is None:
                self.close()
        return reply

    def close(self) -> None:
        """Close the connection; the next exchange opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> None:
        if self._socket is not None and self._was_closed_by_peer():
            self.close()
        if self._socket is None:
            self._socket = socket.create_connection(self._address)
            self._socket.setsockopt(plain_socket.IPPROTO_TCP, plain_socket.TCP_NODELAY, 1)

    def _was_closed_by_peer(self) -> bool:
        """An idle connection has nothing to read; if it has, it is an end or something out of turn."""
        self._socket.settimeout(0.0)
        try:
            self._socket.recv(1, plain_socket.MSG_PEEK)
        except BlockingIOError:
            self._socket.settimeout(None)
            return False
        except OSError:
            return True
        return True

    def _bytes(self, request: Request) -> bytes:
        lines = [f"{request.method} {self._prefix}{request.path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        if request.body or request.method == "POST":
            lines.append(f"Content-Length: {len(request.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body

    def _receive(self, method: str) -> Reply:
        body = bytearray()
        parser = _Parser(method, body)
        while not parser.complete:
            data = self._socket.recv(RECEIVE_BYTES)
            if not data:
                if parser.ends_with_the_connection:
                    break
                raise ConnectionResetError("the connection ended before the reply did")
            parser.feed(data)
        reply = Reply(parser.status_code, {name.lower(): value for name, value in parser.items()}, bytes(body))
        if parser.should_close():
            self.close()
        return reply


class _Parser(HTTPResponse):
    """A parser of one reply that keeps its body."""

    def __init__(self, method: str, body: bytearray) -> None:
        super().__init__(method)
        self._kept = body

    @property
    def complete(self) -> bool:
        """Whether the final reply, not an interim one, has been read."""
        return self.message_complete and self.status_code >= 200

    @property
    def ends_with_the_connection(self) -> bool:
        """Whether the reply gave no length, so that the end of the connection is its own end."""
        return self.headers_complete and "content-length" not in self and "transfer-encoding" not in self

    def _on_body(self, buf: bytearray) -> None:
        self._kept += buf
