"""One connection through a proxy: the client's socket, the server's socket, and a link for each direction.

Half-close is honoured: the end of one direction leaves the other open. A socket that is lost closes the other one after
what was in flight has been written.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import cast

from chaos.proxy.events import EventName, Recorder
from chaos.proxy.link import Link, Traffic
from chaos.proxy.toxics import Closing, Direction, Toxic

CLOSE_TIMEOUT_S = 30.0


class Leg(asyncio.Protocol):
    """One socket of a connection: passes its events to the link that it feeds and the link that feeds it."""

    def __init__(self, connection: Connection) -> None:
        self.transport: asyncio.Transport | None = None
        self.lost = False
        self.feeds: Link | None = None
        self.fed_by: Link | None = None
        self._connection = connection
        self._early: list[bytes] = []
        self._early_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from asyncio's

    def start(self, feeds: Link) -> None:
        """Both sockets are there: hand on what came before, and all that comes."""
        assert self.transport is not None, "a leg starts connected"
        self.feeds = feeds
        if not self._early_end and not self.transport.is_closing():
            self.transport.resume_reading()
        for data in self._early:
            feeds.receive(data)
        self._early.clear()
        if self._early_end:
            feeds.end(Closing.HALF)

    def data_received(self, data: bytes) -> None:
        """Hand the bytes to the link; before there is one, keep them and read no more."""
        if self.feeds is not None:
            self.feeds.receive(data)
        else:
            assert self.transport is not None
            self._early.append(data)
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """The peer sends no more; the socket stays open for the other direction."""
        if self.feeds is not None:
            self.feeds.end(Closing.HALF)
        else:
            self._early_end = True
        return True

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        if self.fed_by is not None:
            self.fed_by.sink_is_full(True)

    def resume_writing(self) -> None:
        """The socket's buffer has room again."""
        if self.fed_by is not None:
            self.fed_by.sink_is_full(False)

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone: closed by us, or reset by the peer."""
        self.lost = True
        self._connection.lost(self)

    def abort(self) -> None:
        """Close the socket at once, dropping what it has not yet given to the kernel."""
        if self.transport is not None and not self.lost:
            self.transport.abort()

    def reset(self) -> None:
        """Close the socket so that the peer sees a reset."""
        if self.transport is not None and not self.lost:
            sock: socket.socket = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()


class Connection:
    """Two legs and two links; `on_closed` is called when both sockets are gone."""

    def __init__(self, number: int, on_closed: Callable[[Connection], None], record: Recorder) -> None:
        self.number = number
        self._record = record
        self._how_closed: str | None = None
        self.client = Leg(self)
        self.server = Leg(self)
        self._on_closed = on_closed
        self._links: dict[Direction, Link] = {}
        self._abort_timer: asyncio.TimerHandle | None = None

    def start(
        self,
        toxics: Mapping[Direction, list[Toxic]],
        traffic: Mapping[Direction, Traffic],
        draws: Callable[..., Random],
    ) -> bool:
        """Join the two sockets under the toxics of the moment; False if one of them is gone already."""
        if self.client.lost or self.server.lost:
            self.abort("never_joined")
            return False
        for direction, source, sink in (
            (Direction.UPSTREAM, self.client, self.server),
            (Direction.DOWNSTREAM, self.server, self.client),
        ):
            assert source.transport is not None, "the source is not connected"
            assert sink.transport is not None, "the sink is not connected"
            link = Link(
                direction,
                source.transport,
                sink.transport,
                traffic[direction],
                partial(draws, self.number, direction),
                self._ended,
                partial(self._record, stream=direction.value),
            )
            self._links[direction] = sink.fed_by = link
            link.add(toxics[direction])
        self.client.start(self._links[Direction.UPSTREAM])
        self.server.start(self._links[Direction.DOWNSTREAM])
        return True

    def link(self, direction: Direction) -> Link:
        """The link of one direction; the connection must have been started."""
        return self._links[direction]

    def abort(self, how: str) -> None:
        """Close both sockets at once; `how` is for the event log."""
        self._closes(how)
        self._stop_links()
        self.client.abort()
        self.server.abort()

    def lost(self, leg: Leg) -> None:
        """A leg's socket is gone: let what it sent arrive, then close the other leg."""
        self._closes("client_gone" if leg is self.client else "server_gone")
        if leg.fed_by is not None:
            leg.fed_by.stop()
        if self.client.lost and self.server.lost:
            self._stop_links()
            if self._abort_timer is not None:
                self._abort_timer.cancel()
            self._record(EventName.CONNECTION_CLOSED, how=self._how_closed)
            self._on_closed(self)
        elif leg.feeds is not None:
            leg.feeds.end(Closing.FULL)
        else:
            self.abort("never_joined")

    def _ended(self, link: Link, closing: Closing) -> None:
        if closing is Closing.RESET:
            self._closes("reset_by_toxic")
            self._stop_links()
            self.client.reset()
            self.server.reset()
        elif closing is Closing.FULL:
            self._close("closed_by_toxic")  # or by a lost leg, which has told
        elif all(each.half_closed for each in self._links.values()):
            self._close("ended")
        else:
            sink = self.server if link.direction is Direction.UPSTREAM else self.client
            if sink.transport is not None and not sink.transport.is_closing():
                sink.transport.write_eof()

    def _close(self, how: str) -> None:
        """Close both sockets when what was written has been sent, or after a while in any case."""
        self._closes(how)
        self._stop_links()
        for leg in (self.client, self.server):
            if leg.transport is not None:
                leg.transport.close()
        if self._abort_timer is None:
            self._abort_timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.abort, how)

    def _closes(self, how: str) -> None:
        """Remember why the connection closes: the first reason."""
        if self._how_closed is None:
            self._how_closed = how

    def _stop_links(self) -> None:
        for link in self._links.values():
            link.stop()
