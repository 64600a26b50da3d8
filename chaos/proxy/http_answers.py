"""Answers some requests of one connection in place of the server, each in its turn; everything else passes unchanged.

Bytes go in, bytes come out: no I/O. Requests are taken out of what goes to the server; their answers are put into what goes to
the client behind the responses to all earlier requests (pipelining), and before those to later ones. As soon as something is
not HTTP/1, or cannot be framed, the rest of the connection passes untouched.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from chaos.proxy.http_framing import (
    HEAD_BYTES_MAX,
    Body,
    FramingError,
    Head,
    begins_request,
    head_length,
    may_begin_request,
    request_body,
    request_head,
    response_body,
    response_head,
)

SWITCHING_PROTOCOLS = 101


class Output(NamedTuple):
    """What goes on: to the server, to the client, and whether the connection is to be closed behind it."""

    to_server: bytes = b""
    to_client: bytes = b""
    closes: bool = False


class Answer(Protocol):
    """Makes the answer to a request that was taken; called when its turn has come."""

    def __call__(self, *, to_head: bool, connection: str | None) -> bytes:
        """See `HttpStatus.answer`."""


Decide = Callable[[str, str], Answer | None]


@dataclass(slots=True)
class Turn:
    """One request whose response is due. `answer` is None for one that went to the server; `ready`: it may be told."""

    method: str
    switches: bool = False
    answer: Callable[[], bytes] | None = None
    ready: bool = False
    closes: bool = False

    @property
    def is_open_answer(self) -> bool:
        """Whether its request is answered here and has not come to its end."""
        return self.answer is not None and not self.ready


class Requests(enum.Enum):
    """What the bytes from the client are at the moment."""

    UNKNOWN = "unknown"
    HEAD = "head"
    BODY = "body"
    SWITCHING = "switching"
    UNTOUCHED = "untouched"
    DROPPED = "dropped"


class HttpAnswers:
    """One connection. `decide` is asked once for each request, with its method and path.

    `answers_due` is how many answers wait for their turn.
    A connection that was open before (`from_start` false) is watched from the next piece of data that begins a request.
    """

    def __init__(self, decide: Decide, *, from_start: bool = True) -> None:
        self.answers_due = 0
        self._decide = decide
        self._state = Requests.HEAD if from_start else Requests.UNKNOWN
        self._held = b""
        self._body: Body | None = None
        self._turns: deque[Turn] = deque()
        self._response_head = b""
        self._response_body: Body | None = None
        self._responses_untouched = False
        self._refused_switch = False
        self._to_server = bytearray()
        self._to_client = bytearray()
        self._closes = False

    # -- from the client

    def from_client(self, data: bytes) -> Output:
        """Take in what the client has sent."""
        self._held += data
        self._go_on()
        return self._output()

    def client_ends(self) -> Output:
        """The client sends no more: what was held in the hope of a whole request goes on."""
        if self._state is not Requests.DROPPED:
            self._pass_untouched()
        return self._output()

    def _go_on(self) -> None:
        """Deal with what is held, as far as it goes."""
        try:
            while self._held and self._step():
                pass
        except FramingError:
            self._pass_untouched()

    def _step(self) -> bool:
        """Deal with one part of what is held; False if it needs more."""
        match self._state:
            case Requests.UNTOUCHED:
                self._pass_untouched()
            case Requests.DROPPED:
                self._held = b""
            case Requests.UNKNOWN:
                if not begins_request(self._held):
                    self._forward(len(self._held))
                self._state = Requests.HEAD if self._held else Requests.UNKNOWN
            case Requests.SWITCHING:
                if len(self._held) > HEAD_BYTES_MAX:
                    self._pass_untouched()
                return False
            case Requests.BODY:
                self._body_step()
            case Requests.HEAD:
                return self._head_step()
        return True

    def _head_step(self) -> bool:
        blank = len(self._held) - len(self._held.lstrip(b"\r\n"))
        if blank:
            self._forward(blank)
            return True
        if not may_begin_request(self._held):
            raise FramingError("no request begins here")
        if b"\n" in self._held and not begins_request(self._held):
            raise FramingError("the first line is no request's")
        length = head_length(self._held)
        if length is None:
            return False
        head = request_head(self._held[:length])
        body = request_body(head)
        self._begin(head, body, length)
        return True

    def _begin(self, head: Head, body: Body, length: int) -> None:
        """A request begins: ask whether it is to be answered here."""
        method, target, minor = head.first
        made = self._decide(method, _path(target))
        if made is None:
            switches = method == "CONNECT" or "upgrade" in head.fields
            self._turns.append(Turn(method, switches=switches))
            self._forward(length)
        else:
            connection = head.tokens("connection")
            waits = "100-continue" in head.tokens("expect")
            stays = "close" not in connection and (minor == "1" or "keep-alive" in connection) and not waits
            says = ("keep-alive" if minor == "0" else None) if stays else "close"
            answer = partial(made, to_head=method == "HEAD", connection=says)
            self._turns.append(Turn(method, answer=answer, ready=waits, closes=not stays))
            self.answers_due += 1
            self._held = self._held[length:]
            if waits:  # the client must not send the body after a final answer, so nothing can be framed behind it
                self._state, self._held = Requests.DROPPED, b""
                self._tell_answers()
                return
        self._state, self._body = Requests.BODY, body
        self._end_of_request(body)

    def _body_step(self) -> None:
        body = self._body
        assert body is not None, "a request has a body, if an empty one"
        length = body.feed(self._held)
        if self._turns and self._turns[-1].is_open_answer:
            self._held = self._held[length:]
        else:
            self._forward(length)
        self._end_of_request(body)

    def _end_of_request(self, body: Body) -> None:
        if not body.done:
            return
        last = self._turns[-1] if self._turns else None
        self._state = Requests.HEAD
        if last is not None and last.is_open_answer:
            last.ready = True
            if last.closes:
                self._state, self._held = Requests.DROPPED, b""
            self._tell_answers()
        elif last is not None and last.switches:
            self._state = Requests.SWITCHING

    def _forward(self, length: int) -> None:
        self._to_server += self._held[:length]
        self._held = self._held[length:]

    def _pass_untouched(self) -> None:
        self._state = Requests.UNTOUCHED
        self._forward(len(self._held))

    # -- from the server

    def from_server(self, data: bytes) -> Output:
        """Take in what the server has sent."""
        while data and not self._closes:
            if self._responses_untouched or not self._turns:
                self._to_client += data
                break
            try:
                length = self._response_step(data)
            except FramingError:
                self._closes = any(turn.answer is not None for turn in self._turns)  # they have lost their place
                self._end_answering()
                length = 0
            self._to_client += data[:length]
            data = data[length:]
            self._tell_answers()
            if self._refused_switch:
                self._refused_switch = False
                self._go_on()
        return self._output()

    def server_ends(self) -> Output:
        """The server sends no more: no request can be answered any more."""
        self._end_answering()
        return self._output()

    def _response_step(self, data: bytes) -> int:
        """How many bytes belong to the part of the response that is passing by."""
        if self._response_body is not None:
            length = self._response_body.feed(data)
            self._end_of_response(self._response_body)
            return length
        before = len(self._response_head)
        self._response_head += data
        end = head_length(self._response_head)
        if end is None:
            return len(data)
        head = response_head(self._response_head[:end])
        self._response_head = b""
        self._on_response_head(head)
        return end - before

    def _on_response_head(self, head: Head) -> None:
        status = int(head.first[1])
        turn = next((turn for turn in self._turns if turn.answer is None), None)
        if turn is None:  # a response that nobody asked for
            raise FramingError("there is no request for this response")
        switched = status == SWITCHING_PROTOCOLS or (turn.method == "CONNECT" and 200 <= status < 300)
        if switched:
            self._responses_untouched = True
            self._pass_untouched()
        elif status >= 200:
            body = response_body(head, turn.method)
            self._response_body = body
            self._end_of_response(body)
            turn.switches = False
            if self._state is Requests.SWITCHING:
                self._state = Requests.HEAD
                self._refused_switch = True  # what is held goes on behind this head

    def _end_of_response(self, body: Body) -> None:
        if not body.done:
            return
        self._response_body = None
        turn = next(turn for turn in self._turns if turn.answer is None)
        self._turns.remove(turn)

    # -- both

    def _end_answering(self) -> None:
        """Nothing can have its turn any more: everything passes untouched, but for what was begun to be answered."""
        in_answered = self._state is Requests.BODY and bool(self._turns) and self._turns[-1].is_open_answer
        self._responses_untouched = True
        self._turns.clear()
        self.answers_due = 0
        if in_answered:
            self._state, self._held = Requests.DROPPED, b""
        elif self._state is not Requests.DROPPED:
            self._pass_untouched()

    def _tell_answers(self) -> None:
        """Tell the answers whose turn has come."""
        while self._turns and self._turns[0].answer is not None and self._turns[0].ready and not self._closes:
            turn = self._turns.popleft()
            assert turn.answer is not None, "the loop has looked"
            self.answers_due -= 1
            self._to_client += turn.answer()
            self._closes = turn.closes

    def _output(self) -> Output:
        output = Output(bytes(self._to_server), bytes(self._to_client), self._closes)
        self._to_server.clear()
        self._to_client.clear()
        return output


def _path(target: str) -> str:
    """The path of a request's target, which may be a whole address."""
    if not target.startswith("/"):
        try:
            target = urlsplit(target).path or "/"
        except ValueError:
            return "/"
    return target.partition("?")[0]
