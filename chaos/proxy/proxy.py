"""One proxy: a listener, the connections it has accepted, and the toxics that act on them.

Everything but opening a connection happens within one callback of the event loop, so that the API and the data plane
always see a proxy whole. Connections are dialled side by side.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import logging
import socket
from functools import partial
from random import Random

from chaos.proxy.address import AddressError, ListenAddress, bind_socket, bound_address, dial_target, listen_on
from chaos.proxy.connection import Connection
from chaos.proxy.draws import draws_for
from chaos.proxy.events import EventLog, EventName, Recorder
from chaos.proxy.link import Traffic
from chaos.proxy.opening import Changes, Opening, SilentClient, verdict
from chaos.proxy.schedule import Phase
from chaos.proxy.schedule_timer import ScheduleTimer
from chaos.proxy.toxics import ALWAYS, Direction, Toxic

DIAL_TIMEOUT_S = 30.0
ACCEPTS_AT_ONCE_MAX = 64
OUT_OF_FILES_PAUSE_S = 0.1

logger = logging.getLogger(__name__)


class Proxy:
    """A named way from `listen` to `upstream`.

    `listen` stands as typed until the first start, then it is the bound address. `toxics` holds each direction's chain in
    order. `traffic`, `connections_accepted` and `dials_failed` count from the proxy's creation and survive a restart.
    What happens is recorded in `events`. `own_seed` is what the API shows if the seed was asked for by the proxy's creator.
    """

    def __init__(self, name: str, listen: str, upstream: str, seed: int, events: EventLog) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.own_seed: int | None = None
        self.toxics: dict[Direction, list[Toxic]] = {direction: [] for direction in Direction}
        self.traffic = {direction: Traffic() for direction in Direction}
        self.connections_accepted = 0
        self.dials_failed = 0
        self._seed = seed
        self._record: Recorder = partial(events.record, proxy=name)
        self._schedules: dict[str, ScheduleTimer] = {}
        self._listener: socket.socket | None = None
        self._reserved: socket.socket | None = None
        self._resume_accepting: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
        self._changes = Changes()

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
        self._record(EventName.PROXY_ENABLED)
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

    def close(self) -> None:
        """Stop for good: the schedules end, too."""
        for timer in self._schedules.values():
            timer.cancel()
        self.stop()

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
            self._record(EventName.PROXY_DISABLED)
        for task in list(self._opening):
            task.cancel()
        for connection in list(self._connections):
            connection.abort("proxy_disabled")

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
        toxic = self._scheduled(toxic)
        self._record(EventName.TOXIC_ADDED, toxic=toxic.name, type=toxic.type)
        self.toxics[toxic.direction].append(toxic)
        self._changes.tell()
        for connection in list(self._connections):
            connection.add(toxic)

    def update_toxic(self, toxic: Toxic) -> None:
        """Replace the toxic of the same name, on live connections too; name, type and stream must be the same."""
        toxic = self._scheduled(toxic)
        self._record(EventName.TOXIC_CHANGED, toxic=toxic.name)
        self._replace(toxic)
        for connection in list(self._connections):
            connection.update(toxic)

    def remove_toxic(self, toxic: Toxic) -> None:
        """Take a toxic away, on live connections too; what it holds is flushed."""
        self.toxics[toxic.direction].remove(toxic)
        self._changes.tell()
        self._record(EventName.TOXIC_DELETED, toxic=toxic.name)
        timer = self._schedules.pop(toxic.name, None)
        if timer is not None:
            timer.cancel()
        for connection in list(self._connections):
            connection.remove(toxic)

    def remove_all_toxics(self) -> None:
        """Take every toxic away."""
        for toxic in self.toxic_list():
            self.remove_toxic(toxic)

    def _replace(self, toxic: Toxic) -> None:
        chain = self.toxics[toxic.direction]
        index = next(index for index, other in enumerate(chain) if other.name == toxic.name)
        chain[index] = toxic
        self._changes.tell()

    def _scheduled(self, toxic: Toxic) -> Toxic:
        """The toxic in the phase of its schedule, which begins now unless it is running already."""
        timer = self._schedules.get(toxic.name)
        if timer is not None and timer.schedule != toxic.schedule:
            timer.cancel()
            del self._schedules[toxic.name]
            timer = None
        if toxic.schedule is None:
            return dataclasses.replace(toxic, phase=ALWAYS)
        if timer is None:
            timer = ScheduleTimer(toxic.schedule, partial(self._on_phase, toxic.name))
            self._schedules[toxic.name] = timer
        return dataclasses.replace(toxic, phase=timer.phase)

    def _on_phase(self, name: str, phase: Phase) -> None:
        """Switch a toxic in or out as its schedule says, or take its ramp a step further."""
        old = self.toxic(name)
        assert old is not None, "a toxic's schedule ends with it"
        toxic = dataclasses.replace(old, phase=phase)
        self._replace(toxic)
        climbs = old.phase.on and phase.on and old.phase.round == phase.round
        if not climbs:
            step = EventName.SCHEDULE_ON if phase.on else EventName.SCHEDULE_OFF
            self._record(step, toxic=name, round=phase.round)
        elif old.phase.share < 1 <= phase.share:
            self._record(EventName.SCHEDULE_RAMPED, toxic=name, round=phase.round)
        if climbs and old.attributes_now == toxic.attributes_now:
            return
        for connection in list(self._connections):
            connection.ramp(toxic) if climbs else connection.update(toxic)

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
            self._record(EventName.CONNECTION_ACCEPTED, connection=self.connections_accepted)
            task = asyncio.get_running_loop().create_task(self._open(sock, self.connections_accepted))
            self._opening.add(task)
            task.add_done_callback(partial(self._opened, sock, self.connections_accepted))

    def _pause_accepting(self) -> None:
        assert self._listener is not None, "only a listening proxy accepts"
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        self._resume_accepting = loop.call_later(OUT_OF_FILES_PAUSE_S, self._accept_from_now)

    async def _open(self, sock: socket.socket, number: int) -> None:
        """Dial the server for an accepted client and join the two; close the client if that fails."""
        loop = asyncio.get_running_loop()
        record: Recorder = partial(self._record, connection=number)
        connection = Connection(number, self._connections.discard, record)
        opening = Opening(lambda: verdict(self.toxic_list(), partial(self._draws, number)), self._changes, record)
        try:
            if not await opening.wait():
                _transport, silent = await loop.connect_accepted_socket(SilentClient, sock)
                how = await opening.stay_silent(silent)
                opening.ends()
                record(EventName.CONNECTION_CLOSED, how=how)
                return
            host, port = dial_target(self.upstream)
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                await loop.create_connection(lambda: connection.server, host, port)
            record(EventName.CONNECTION_DIALLED)
            await loop.connect_accepted_socket(lambda: connection.client, sock)
        except BaseException as error:
            connection.abort("proxy_disabled")
            sock.close()
            opening.ends()
            if not isinstance(error, Exception):
                record(EventName.CONNECTION_CLOSED, how="proxy_disabled")
                raise
            self.dials_failed += 1
            record(EventName.DIAL_FAILED, cause=str(error) or "timed out")
            logger.debug("%s: connection %d not opened: %s", self.name, number, error or "timed out")
            return
        if connection.start(self.toxics, self.traffic, self._draws):
            self._connections.add(connection)

    def _opened(self, sock: socket.socket, number: int, task: asyncio.Task[None]) -> None:
        """The end of `_open`; one that was cancelled before its first step has closed nothing itself."""
        self._opening.discard(task)
        if task.cancelled() and sock.fileno() != -1:
            sock.close()
            self._record(EventName.CONNECTION_CLOSED, connection=number, how="proxy_disabled")

    def _draws(self, connection: int, direction: Direction, toxic: str, round_number: int = 1) -> Random:
        return draws_for(self._seed, self.name, connection, direction, toxic, round_number)
