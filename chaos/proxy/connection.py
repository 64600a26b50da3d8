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
from typing import Protocol, cast

from chaos.proxy.answering import Answering
from chaos.proxy.draining import Draining
from chaos.proxy.events import EventName, Recorder
from chaos.proxy.link import Link, Traffic
from chaos.proxy.opening import LINGER_S
from chaos.proxy.toxics import Closing, Direction, HttpStatus, Toxic

CLOSE_TIMEOUT_S = 30.0


class Feeds(Protocol):
    """What a leg hands its bytes to: the link, or what stands before it."""

    def receive(self, data: bytes) -> None:
        """What the socket has sent."""

    def end(self, closing: Closing) -> None:
        """How the socket's sending ended."""


class FedBy(Protocol):
    """What a leg gets its bytes from: the link, or what stands behind it."""

    def sink_is_full(self, full: bool) -> None:
        """The socket takes no more for now, or takes more again."""

    def stop(self) -> None:
        """The socket is gone."""


class Leg(asyncio.Protocol):
    """One socket of a connection: passes its events to the link that it feeds and the link that feeds it."""

    def __init__(self, connection: Connection) -> None:
        self.transport: asyncio.Transport | None = None
        self.lost = False
        self.feeds: Feeds | None = None
        self.fed_by: FedBy | None = None
        self._connection = connection
        self._early: list[bytes] = []
        self._early_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from asyncio's

    def start(self, feeds: Feeds) -> None:
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
        self._toxics: Mapping[Direction, list[Toxic]] = {}
        self._draws: Callable[..., Random] | None = None
        self._answering: Answering | None = None
        self._draining: Draining | None = None
        self._lingering: asyncio.TimerHandle | None = None

    def start(
        self,
        toxics: Mapping[Direction, list[Toxic]],
        traffic: Mapping[Direction, Traffic],
        draws: Callable[..., Random],
    ) -> bool:
        """Join the two sockets under the toxics of the moment; False if one of them is gone already.

        `toxics` is the proxy's own: it changes as the proxy's toxics do.
        """
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
        self._toxics = toxics
        self._draws = partial(draws, self.number)
        for direction in Direction:
            for toxic in toxics[direction]:
                self._answer(toxic, from_start=True)
        self.client.start(self._links[Direction.UPSTREAM])
        self.server.start(self._answering or self._links[Direction.DOWNSTREAM])
        return True

    def add(self, toxic: Toxic) -> None:
        """Put a toxic at the end of its direction's chain; the connection must have been started."""
        self._links[toxic.direction].add([toxic])
        self._answer(toxic, from_start=False)

    def update(self, toxic: Toxic) -> None:
        """Go on under the toxic's new attributes, toxicity or phase."""
        self._links[toxic.direction].update(toxic)
        self._answer(toxic, from_start=False)

    def ramp(self, toxic: Toxic) -> None:
        """Go on at another height of the toxic's ramp."""
        self._links[toxic.direction].ramp(toxic)
        self._answer(toxic, from_start=False)

    def remove(self, toxic: Toxic) -> None:
        """Take a toxic out of its direction's chain; what it holds goes on its way."""
        if self._answering is not None:
            self._answering.remove(toxic.name)
        self._links[toxic.direction].remove(toxic.name)

    def _answer(self, toxic: Toxic, *, from_start: bool) -> None:
        """Have requests answered as the toxic says, if it is one that answers."""
        if not isinstance(toxic.attributes, HttpStatus) or self.server.transport is None:
            return
        if self._answering is None:
            assert self._draws is not None, "the connection was started"
            self._answering = Answering(
                self.server.transport, self._links, self._draws, self._place_of, from_start=from_start
            )
            self.server.fed_by = self._answering
            if self.server.feeds is not None:
                self.server.feeds = self._answering
        self._answering.apply(toxic)

    def _place_of(self, toxic: Toxic) -> int:
        """Where a toxic stands among the proxy's of the moment, the upstream ones before the others."""
        names = [each.name for direction in Direction for each in self._toxics.get(direction, [])]
        return names.index(toxic.name) if toxic.name in names else len(names)

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
        if leg is self.client and self._answering is not None:
            self._answering.client_gone()
        if self.client.lost and self.server.lost:
            self._stop_links()
            if self._draining is not None:
                self._draining.cancel()
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
        elif closing is Closing.SILENT:  # the other peer will not notice, and may never end
            self._lingering = asyncio.get_running_loop().call_later(LINGER_S, self._close, "ended")
        else:
            sink = self.server if link.direction is Direction.UPSTREAM else self.client
            if sink is self.server and self._answering is not None:
                self._answering.end_of_requests()
            if sink.transport is not None and not sink.transport.is_closing():
                sink.transport.write_eof()

    def _close(self, how: str) -> None:
        """Close both sockets when what was written has been sent."""
        self._closes(how)
        self._stop_links()
        open_ones = [leg.transport for leg in (self.client, self.server) if leg.transport is not None and not leg.lost]
        for transport in open_ones:
            transport.close()
        if self._draining is None:
            self._draining = Draining(open_ones, CLOSE_TIMEOUT_S, self._give_up)

    def _give_up(self) -> None:
        """A peer has taken nothing of what is left for too long: it must not take what it has for the whole."""
        self._how_closed = "unread"
        self.client.reset()
        self.server.reset()

    def _closes(self, how: str) -> None:
        """Remember why the connection closes: the first reason."""
        if self._how_closed is None:
            self._how_closed = how

    def _stop_links(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
        for link in self._links.values():
            link.stop()
