"""How a feed's batch and its judgement look as JSON, for whoever sends (edge) and receives (cloud, kitchen display)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from refsystem.protocol.log import FORKS_TOLD_MAX, Cursor, Entry, ForkPlace
from refsystem.protocol.uplink import Batch, Gap, HashMismatch, StaleSender

ENTRIES_MAX = 1000
RECORD_CHARACTERS_MAX = 64 * 1024
NUMBER_MAX = 2**62

Number = Annotated[int, Field(ge=0, le=NUMBER_MAX)]
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]


class EntryBody(BaseModel):
    """One entry of a store's log; `record` is the canonical JSON text that `hash` covers."""

    model_config = ConfigDict(strict=True)

    epoch: Number
    seq: Number
    hash: Text
    record: Annotated[str, Field(max_length=RECORD_CHARACTERS_MAX, pattern=r"^[^\x00]*$")]

    def to_entry(self) -> Entry:
        """The protocol's value."""
        return Entry(self.epoch, self.seq, self.hash, self.record)


class ForkBody(BaseModel):
    """Where the sender's log left another branch: from `from_seq` on they may differ; its record is entry `seq`, of `epoch`."""

    model_config = ConfigDict(strict=True)

    from_seq: Annotated[int, Field(ge=1, le=NUMBER_MAX)]
    seq: Number
    epoch: Number

    def to_fork(self) -> ForkPlace:
        """The protocol's value."""
        return ForkPlace(self.from_seq, self.seq, self.epoch)


class BatchBody(BaseModel):
    """A batch of a feed. Without entries it asks where the receiver stands."""

    model_config = ConfigDict(strict=True)

    store: Text
    sender_epoch: Number
    sender_node_id: Text
    from_seq: Annotated[int, Field(ge=1, le=NUMBER_MAX)]
    prev_hash: Text
    entries: Annotated[list[EntryBody], Field(max_length=ENTRIES_MAX)] = []
    forks: Annotated[list[ForkBody], Field(max_length=FORKS_TOLD_MAX)] = []

    def to_batch(self) -> Batch:
        """The protocol's value."""
        entries = tuple(entry.to_entry() for entry in self.entries)
        forks = tuple(fork.to_fork() for fork in self.forks)
        return Batch(self.store, self.sender_epoch, self.sender_node_id, self.from_seq, self.prev_hash, entries, forks)


def batch_json(batch: Batch) -> dict[str, Any]:
    """The JSON that `BatchBody` reads."""
    return asdict(batch)


class CursorBody(BaseModel):
    """A place in a log: `seq` and hash of an entry; 0 and an empty text before the first."""

    seq: int
    hash: str


class FeedRefusal(BaseModel):
    """Why a batch was not taken: a gap tells what is expected, a stale sender which epoch was seen."""

    judgement: str = Field(description="gap, stale-sender or hash-mismatch")
    expected_seq: int | None = None
    highest_epoch: int | None = None
    seq: int | None = None
    detail: str | None = None


def cursor_json(cursor: Cursor) -> dict[str, Any]:
    """A cursor as JSON."""
    return {"seq": cursor.seq, "hash": cursor.hash}


def refusal_response(judgement: Gap | StaleSender | HashMismatch) -> Response:
    """The 409 that answers a batch that was not taken."""
    match judgement:
        case Gap(expected_seq):
            body: dict[str, Any] = {"judgement": "gap", "expected_seq": expected_seq}
        case StaleSender(highest_epoch):
            body = {"judgement": "stale-sender", "highest_epoch": highest_epoch}
        case HashMismatch(seq, detail):
            body = {"judgement": "hash-mismatch", "seq": seq, "detail": detail}
    return JSONResponse(body, 409)
