"""Messages as bytes: JSON bodies behind a four-byte length between devices, plain JSON to the arbiter."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from refsystem.protocol.messages import ArbiterRequest, PeerMessage, RegisterState

FRAME_BYTES_MAX = 16 * 1024 * 1024
_peer: TypeAdapter[PeerMessage] = TypeAdapter(Annotated[PeerMessage, Field(discriminator="kind")])
_request: TypeAdapter[ArbiterRequest] = TypeAdapter(Annotated[ArbiterRequest, Field(discriminator="kind")])
_state: TypeAdapter[RegisterState] = TypeAdapter(RegisterState)


class WireError(ValueError):
    """The bytes are not a message of this protocol."""


def encode_frame(message: PeerMessage) -> bytes:
    """One message between devices, with its length before it."""
    body = _peer.dump_json(message)
    return len(body).to_bytes(4, "big") + body


class FrameReader:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[PeerMessage]:
        """The messages that `data` completes; raises `WireError` on a length over the limit or a body that is none."""
        self._buffer += data
        messages: list[PeerMessage] = []
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if length > FRAME_BYTES_MAX:
                raise WireError(f"a frame of {length} bytes is over the limit of {FRAME_BYTES_MAX}")
            if len(self._buffer) < 4 + length:
                break
            body = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            messages.append(_decode(_peer, body))
        return messages


def encode_request(request: ArbiterRequest) -> bytes:
    """A request to the arbiter."""
    return _request.dump_json(request)


def decode_request(body: bytes) -> ArbiterRequest:
    """The request in `body`; raises `WireError`."""
    return _decode(_request, body)  # type: ignore[no-any-return]


def encode_state(state: RegisterState) -> bytes:
    """An answer of the arbiter."""
    return _state.dump_json(state)


def decode_state(body: bytes) -> RegisterState:
    """The answer in `body`; raises `WireError`."""
    return _decode(_state, body)  # type: ignore[no-any-return]


def _decode(adapter: TypeAdapter[Any], body: bytes) -> Any:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise WireError(f"not a message: {error.errors()[0]['msg']}") from error
