"""The server's end of a connection whose requests may be answered in place of the server (`http_status`).

It stands between the links and the server's socket: what goes to the server comes through `write`, what the server sends through
`receive`. So an answer passes all toxics of its direction, as the server's own would. A client that does not read what it is
answered is not read any further.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from chaos.proxy.http_answers import Answer, HttpAnswers, Output
from chaos.proxy.link import Link
from chaos.proxy.toxics import Closing, Direction, HttpStatus, Toxic

SLICE_BYTES = 4096  # of small requests: what they are answered must not grow without bound before anybody looks
ANSWERS_DUE_MAX = 64  # promised behind responses that have not come; then the client is not read any further


@dataclass(slots=True)
class Rule:
    """One toxic that hits this connection; `draws` decide about each request that it matches."""

    toxic: Toxic
    attributes: HttpStatus
    draws: Random


class Answering(asyncio.Transport):
    """Towards the links it is the server's transport; towards the server's leg it is the link that it feeds and is fed by."""

    def __init__(
        self,
        server: asyncio.Transport,
        links: dict[Direction, Link],
        draws: Callable[..., Random],
        place_of: Callable[[Toxic], int],
        *,
        from_start: bool,
    ) -> None:
        """`place_of` tells where a toxic stands among the proxy's: of several that match, the first one answers."""
        super().__init__()
        self._server = server
        self._upstream = links[Direction.UPSTREAM]
        self._downstream = links[Direction.DOWNSTREAM]
        self._draws = draws
        self._place_of = place_of
        self._answers = HttpAnswers(self._decide, from_start=from_start)
        self._rules: dict[str, Rule] = {}
        self._waiting: deque[memoryview] = deque()
        self._server_full = self._upstream.sink_full
        self._client_behind = self._downstream.reading_paused
        self._client_is_gone = False
        self._upstream.detour(sink=self)
        self._downstream.detour(source=self)
        if self._downstream.source_ended:
            self._answers.server_ends()

    # -- what the operator changes

    def apply(self, toxic: Toxic) -> None:
        """Answer as the toxic says, if it acts now and its roll says that it hits this connection."""
        attributes = toxic.attributes_now
        assert isinstance(attributes, HttpStatus), "no other toxic answers"
        if not toxic.phase.on or not self._draws(toxic.direction, toxic.name).random() < toxic.toxicity:
            self.remove(toxic.name)
        elif toxic.name in self._rules:
            self._rules[toxic.name].attributes = attributes
        else:
            draws = self._draws(toxic.direction, toxic.name, toxic.phase.round)
            draws.random()  # the roll
            self._rules[toxic.name] = Rule(toxic, attributes, draws)
            self._rules = dict(sorted(self._rules.items(), key=lambda named: self._place_of(named[1].toxic)))

    def remove(self, name: str) -> None:
        """Answer no further request for this toxic; what is promised already is told in its turn."""
        self._rules.pop(name, None)

    def _decide(self, method: str, path: str) -> Answer | None:
        for rule in self._rules.values():
            if rule.attributes.matches(method, path) and rule.draws.random() < rule.attributes.share:
                return partial(self._answer, rule.toxic, rule.attributes)
        return None

    def _answer(self, toxic: Toxic, attributes: HttpStatus, *, to_head: bool, connection: str | None) -> bytes:
        """The answer, whose turn has come."""
        link = self._upstream if toxic.direction is Direction.UPSTREAM else self._downstream
        link.acted(toxic.name, "answered")
        return attributes.answer(to_head=to_head, connection=connection)

    # -- the server's transport, towards the links

    def write(self, data: Any) -> None:
        """What the client's link lets out; it waits here while the client is behind with its answers."""
        self._waiting.append(memoryview(bytes(data)))
        self._work()
        if self._waiting:
            self._tell_room()

    def end_of_requests(self) -> None:
        """The client sends no more; call it before the server is told so."""
        self._pass_on(self._answers.client_ends())

    def pause_reading(self) -> None:
        """The client's link to come is full: read neither the server nor the client any further."""
        self._client_behind = True
        self._server.pause_reading()
        self._tell_room()

    def resume_reading(self) -> None:
        """There is room again."""
        self._client_behind = False
        if not self._server.is_closing():
            self._server.resume_reading()
        asyncio.get_running_loop().call_soon(self._go_on)  # the link that calls may be in the middle of an answer

    def is_closing(self) -> bool:
        """As the server's transport."""
        return self._server.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As the server's transport."""
        return self._server.get_extra_info(name, default)

    # -- the links, towards the server's leg

    def receive(self, data: bytes) -> None:
        """What the server has sent."""
        self._pass_on(self._answers.from_server(bytes(data)))
        if self._waiting:
            self._go_on()

    def end(self, closing: Closing) -> None:
        """The server sends no more, so nothing can be answered behind it."""
        self._downstream.end(closing)
        self._pass_on(self._answers.server_ends())
        self._go_on()

    def sink_is_full(self, full: bool) -> None:
        """The server's socket takes no more for now, or takes more again."""
        self._server_full = full
        self._tell_room()

    def stop(self) -> None:
        """The server's socket is gone."""
        self._waiting.clear()
        self._upstream.stop()

    def client_gone(self) -> None:
        """The client's socket is gone: nothing that it was to be answered holds up the end any more."""
        self._client_behind = False
        self._client_is_gone = True
        self._go_on()

    def _go_on(self) -> None:
        self._work()
        self._tell_room()

    def _work(self) -> None:
        """Look at what waits, slice by slice, until the client is behind or too much waits for its turn.

        The server gets what it is to get in one piece.
        """
        to_server: list[bytes] = []
        while self._waiting and not self._client_behind:
            if self._answers.answers_due >= ANSWERS_DUE_MAX and not self._client_is_gone:
                break
            head = self._waiting.popleft()
            if len(head) > SLICE_BYTES:
                self._waiting.appendleft(head[SLICE_BYTES:])
            output = self._answers.from_client(bytes(head[:SLICE_BYTES]))
            to_server.append(output.to_server)
            self._pass_on(output._replace(to_server=b""))
        self._pass_on(Output(to_server=b"".join(to_server)))

    def _tell_room(self) -> None:
        self._upstream.sink_is_full(self._server_full or self._client_behind or bool(self._waiting))

    def _pass_on(self, output: Output) -> None:
        if output.to_server and not self._server.is_closing():
            self._server.write(output.to_server)
        if output.to_client:
            self._downstream.receive(output.to_client)
        if output.closes:
            self._downstream.end(Closing.FULL)
