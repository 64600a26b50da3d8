"""One proxy: a listener, the connections it has accepted, and the toxics that act on them.

Everything but opening a connection happens within one callback of the event loop, so that the API and the data plane
always see a proxy whole. Connections are dialled side by side.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from random import Random

from chaos.proxy.address import AddressError, ListenAddress, bind_socket, bound_address, dial_target, listen_on
from chaos.proxy.connection import Connection
from chaos.proxy.draws import draws_for
from chaos.proxy.link import Traffic
from chaos.proxy.toxics import Direction, Toxic

DIAL_TIMEOUT_S = 30.0
ACCEPTS_AT_ONCE_MAX = 64
OUT_OF_FILES_PAUSE_S = 0.1

logger = logging.getLogger(__name__)


class Proxy:
    """A named way from `listen` to `upstream`.

    `listen` stands as typed until the first start, then it is the bound address. `toxics` holds each direction's chain in
    order. `traffic`, `connections_accepted` and `dials_failed` count from the proxy's creation and survive a restart.
    """

    def __init__(self, name: str, listen: str, upstream: str, seed: int) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.toxics: dict[Direction, list[Toxic]] = {direction: [] for direction in Direction}
        self.traffic = {direction: Traffic() for direction in Direction}
        self.connections_accepted = 0
        self.dials_failed = 0
        self._seed = seed
        self._listener: socket.socket | None = None
        self._reserved: socket.socket | None = None
        self._resume_accepting: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()

    @property
    def enabled(self) -> bool:
        """Whether the proxy listens."""
        return self._listener is not None

    @property
    def connections_open(self) -> int:
        """How many connections pass the proxy now, those being dialled included."""
        return len(self._connections) + len(self._opening)

    def start(self, address: ListenAddress) -> None:
        """Listen at `address`; AddressError, and the proxy disabled, if it is taken."""
        assert self._listener is None, "a proxy is stopped before it is started again"
        sock, self._reserved = self._reserved, None
        if sock is not None and str(address) != bound_address(sock):
            sock.close()
            sock = None
        self._listener = listen_on(sock or bind_socket(address), address)
        self.listen = bound_address(self._listener)
        self._accept_from_now()

    def disable(self, address: ListenAddress) -> None:
        """Close the listener and both legs of every connection; toxics stay.

        The port (at `address`, where the proxy listens) stays bound, without listening, so that no outgoing connection
        of this host is given it meanwhile; a listener of somebody else may have it.
        """
        if self._listener is None:
            return
        self.stop()
        try:
            self._reserved = bind_socket(address)
        except AddressError as error:
            logger.warning("%s: the port could not be kept: %s", self.name, error)

    def stop(self) -> None:
        """Close the listener and both legs of every connection, and let the port go."""
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        if self._resume_accepting is not None:
            self._resume_accepting.cancel()
            self._resume_accepting = None
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for task in list(self._opening):
            task.cancel()
        for connection in list(self._connections):
            connection.abort()

    # -- toxics

    def toxic(self, name: str) -> Toxic | None:
        """The toxic of that name, in either direction."""
        return next((toxic for toxic in self.toxic_list() if toxic.name == name), None)

    def toxic_list(self) -> list[Toxic]:
        """All toxics: upstream first, then downstream, each in the order of its chain."""
        return [toxic for direction in Direction for toxic in self.toxics[direction]]

    def add_toxic(self, toxic: Toxic) -> None:
        """Put a toxic at the end of its direction's chain, on live connections too; its name must be new."""
        assert self.toxic(toxic.name) is None, "toxic names are unique in a proxy"
        self.toxics[toxic.direction].append(toxic)
        for connection in list(self._connections):
            connection.link(toxic.direction).add([toxic])

    def update_toxic(self, toxic: Toxic) -> None:
        """Replace the toxic of the same name, on live connections too; name, type and stream must be the same."""
        chain = self.toxics[toxic.direction]
        index = next(index for index, other in enumerate(chain) if other.name == toxic.name)
        chain[index] = toxic
        for connection in list(self._connections):
            connection.link(toxic.direction).update(toxic)

    def remove_toxic(self, toxic: Toxic) -> None:
        """Take a toxic away, on live connections too; what it holds is flushed."""
        self.toxics[toxic.direction].remove(toxic)
        for connection in list(self._connections):
            connection.link(toxic.direction).remove(toxic.name)

    def remove_all_toxics(self) -> None:
        """Take every toxic away."""
        for toxic in self.toxic_list():
            self.remove_toxic(toxic)

    # -- connections

    def _accept_from_now(self) -> None:
        self._resume_accepting = None
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        """Accept who waits, a bounded number at once."""
        for _ in range(ACCEPTS_AT_ONCE_MAX):
            if self._listener is None:
                return
            try:
                sock, _peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                logger.warning("%s: cannot accept for now: %s", self.name, error)
                self._pause_accepting()
                return
            sock.setblocking(False)
            self.connections_accepted += 1
            task = asyncio.get_running_loop().create_task(self._open(sock, self.connections_accepted))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _pause_accepting(self) -> None:
        assert self._listener is not None, "only a listening proxy accepts"
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        self._resume_accepting = loop.call_later(OUT_OF_FILES_PAUSE_S, self._accept_from_now)

    async def _open(self, sock: socket.socket, number: int) -> None:
        """Dial the server for an accepted client and join the two; close the client if that fails."""
        loop = asyncio.get_running_loop()
        connection = Connection(number, self._connections.discard)
        try:
            host, port = dial_target(self.upstream)
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                await loop.create_connection(lambda: connection.server, host, port)
            await loop.connect_accepted_socket(lambda: connection.client, sock)
        except BaseException as error:
            connection.abort()
            sock.close()
            if not isinstance(error, Exception):
                raise
            self.dials_failed += 1
            logger.debug("%s: connection %d not opened: %s", self.name, number, error or "timed out")
            return
        if connection.start(self.toxics, self.traffic, self._draws):
            self._connections.add(connection)

    def _draws(self, connection: int, direction: Direction, toxic: str) -> Random:
        return draws_for(self._seed, self.name, connection, direction, toxic)
