"""The toxic that answers HTTP requests in place of the server: its attributes, and the answer that they make.

Which requests there are, and where an answer belongs, is found by `chaos.proxy.http_answers`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from typing import Self

from chaos.proxy.toxics.base import Attributes, Stage
from chaos.proxy.toxics.fields import attribute

WITHOUT_BODY = frozenset({204, 304})
RETRY_AFTER_S_MAX = 10**9


@dataclass(frozen=True, slots=True)
class HttpStatus(Attributes):
    """Answers a `share` of the requests whose path begins with `path` and whose method is `method` ("": any).

    The answer has the `status` (503 if not given), `Retry-After` if `retry_after_s` is given, and the `body`.
    It acts at the server's end of the connection, whichever stream it is put on; the server never sees such a request.
    """

    path: str = "/"
    method: str = attribute("", only_if_set=True)
    share: float = attribute(1.0, high=1)
    status: int = attribute(503, low=200, high=599)
    retry_after_s: int | None = attribute(None, high=RETRY_AFTER_S_MAX)
    body: str = attribute("", only_if_set=True)
    content_type: str = attribute("text/plain; charset=utf-8", only_if_set=True)

    def __post_init__(self) -> None:
        super(HttpStatus, self).__post_init__()
        if not self.path.startswith("/"):
            raise ValueError(f"path is the beginning of a request's path, such as /v1/orders, and not {self.path!r}")
        if self.method and not (self.method.isascii() and self.method.isalpha()):
            raise ValueError(f"method is a method of HTTP, such as POST, and not {self.method!r}")
        if not (self.content_type.isascii() and self.content_type.isprintable()):
            raise ValueError("content_type must be printable ASCII")

    def ramped(self, share: float) -> Self:
        """The share of the requests that are answered grows."""
        return dataclasses.replace(self, share=share * self.share)

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A stage that hands everything on, and counts what was answered at the end of the connection."""
        return Stage(self, now)

    def matches(self, method: str, path: str) -> bool:
        """Whether a request is one of those that may be answered."""
        return path.startswith(self.path) and self.method.upper() in ("", method)

    def answer(self, *, to_head: bool, connection: str | None) -> bytes:
        """The answer; `to_head`: without its body. `connection` is what its Connection field says, if it has one."""
        body = self.body.encode("utf-8", errors="replace")
        lines = [f"HTTP/1.1 {self.status} {_reason(self.status)}"]
        if self.status not in WITHOUT_BODY:
            lines += [f"Content-Type: {self.content_type}"] if body else []
            lines += [f"Content-Length: {len(body)}"]
        if self.retry_after_s is not None:
            lines += [f"Retry-After: {self.retry_after_s}"]
        if connection is not None:
            lines += [f"Connection: {connection}"]
        head = "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii")
        return head if to_head or self.status in WITHOUT_BODY else head + body


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
