"""Where messages of HTTP/1 begin and end: heads, and bodies by Content-Length, in chunks, or up to the close (RFC 9112).

Nothing here changes a byte or does I/O. What cannot be framed raises `FramingError`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_BYTES_MAX = 64 * 1024
LINE_BYTES_MAX = 8 * 1024
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")

_REQUEST_LINE = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.([01])")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: .*)?")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*")
_BEGINNINGS = tuple(f"{method} ".encode() for method in METHODS)


class FramingError(ValueError):
    """What came is not HTTP/1, or not framed as it must be."""


def may_begin_request(data: bytes) -> bool:
    """Whether these first bytes may be, or become, a request."""
    return any(data.startswith(each) or each.startswith(data) for each in _BEGINNINGS)


def begins_request(data: bytes) -> bool:
    """Whether a whole request line stands at the beginning."""
    return data.startswith(_BEGINNINGS) and _REQUEST_LINE.fullmatch(data.partition(b"\n")[0].rstrip(b"\r")) is not None


def head_length(data: bytes) -> int | None:
    """How many bytes the head takes that stands at the beginning; None if its end has not come."""
    found = _END_OF_HEAD.search(data)
    if found is None:
        if len(data) > HEAD_BYTES_MAX:
            raise FramingError("the head is too long")
        return None
    return found.end()


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of a message, cut in its parts, and its fields with names in small letters."""

    first: tuple[str, ...]
    fields: dict[str, list[str]]

    def tokens(self, name: str) -> list[str]:
        """The members of a field that is a list, in small letters."""
        return [token.strip().lower() for line in self.fields.get(name, []) for token in line.split(",")]

    def content_length(self) -> int | None:
        """The length that is given; `FramingError` if it is no length, or there are two."""
        found = set(self.tokens("content-length"))
        if not found:
            return None
        (text, *more) = found
        if more or not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise FramingError("Content-Length is no length")
        return int(text)


def request_head(raw: bytes) -> Head:
    """A request's head: method, target, minor version."""
    return _head(raw, _REQUEST_LINE)


def response_head(raw: bytes) -> Head:
    """A response's head: minor version, status."""
    return _head(raw, _STATUS_LINE)


def _head(raw: bytes, first_line: re.Pattern[bytes]) -> Head:
    lines = [line.rstrip(b"\r") for line in raw.rstrip(b"\r\n").split(b"\n")]
    first = first_line.fullmatch(lines[0])
    if first is None:
        raise FramingError("the first line is none of HTTP/1")
    fields: dict[str, list[str]] = {}
    for line in lines[1:]:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise FramingError("a line of the head is no field")
        fields.setdefault(field[1].decode("ascii").lower(), []).append(field[2].decode("latin-1"))
    return Head(tuple(part.decode("latin-1") for part in first.groups()), fields)


class Body:
    """A body that is passing by. `done` from the beginning if it is empty."""

    done: bool = False

    def feed(self, data: bytes) -> int:
        """How many of the bytes belong to the body."""
        raise NotImplementedError


class BodyOfLength(Body):
    """A body of a known length."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0

    def feed(self, data: bytes) -> int:
        """As many as are left."""
        taken = min(self._left, len(data))
        self._left -= taken
        self.done = self._left == 0
        return taken


class BodyToTheClose(Body):
    """A body that ends with the connection."""

    def feed(self, data: bytes) -> int:
        """All of them."""
        return len(data)


class ChunkedBody(Body):
    """A body in chunks, and the trailer behind it."""

    def __init__(self) -> None:
        self._line = b""
        self._left = 0
        self._reads = self._size

    def feed(self, data: bytes) -> int:
        """Those up to the empty line behind the last chunk."""
        at = 0
        while at < len(data) and not self.done:
            if self._left:
                taken = min(self._left, len(data) - at)
                self._left -= taken
                at += taken
                continue
            end = data.find(b"\n", at)
            self._line += data[at : len(data) if end < 0 else end + 1]
            if len(self._line) > LINE_BYTES_MAX:
                raise FramingError("a line between chunks is too long")
            if end < 0:
                return len(data)
            at = end + 1
            line, self._line = self._line.rstrip(b"\r\n"), b""
            self._reads(line)
        return at

    def _size(self, line: bytes) -> None:
        text = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", text):
            raise FramingError("a chunk has no size")
        self._left = int(text, 16)
        self._reads = self._end_of_chunk if self._left else self._trailer

    def _end_of_chunk(self, line: bytes) -> None:
        if line:
            raise FramingError("a chunk is longer than its size")
        self._reads = self._size

    def _trailer(self, line: bytes) -> None:
        self.done = not line


def request_body(head: Head) -> Body:
    """The body behind a request's head."""
    codings = head.tokens("transfer-encoding")
    if codings:
        if codings[-1] != "chunked":
            raise FramingError("the end of the request's body cannot be seen")
        return ChunkedBody()
    return BodyOfLength(head.content_length() or 0)


def response_body(head: Head, method: str) -> Body:
    """The body behind a response's head, which answers a request of that method."""
    status = int(head.first[1])
    if method == "HEAD" or status in (204, 304) or status < 200:
        return BodyOfLength(0)
    codings = head.tokens("transfer-encoding")
    if codings:
        return ChunkedBody() if codings[-1] == "chunked" else BodyToTheClose()
    length = head.content_length()
    return BodyToTheClose() if length is None else BodyOfLength(length)
