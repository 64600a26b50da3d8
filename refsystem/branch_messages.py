"""The question of a reconciling device to the cloud (P19) and its answer as JSON, for whoever asks (edge) and answers (cloud)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from refsystem.feed_messages import EntryBody, ForkBody, Number, Text, cursor_json
from refsystem.protocol.branch import ENTRIES_MAX, BranchAnswer, BranchQuestion
from refsystem.protocol.log import FORKS_TOLD_MAX, Cursor

PLACES_MAX = 100


class PlaceBody(BaseModel):
    """A place in a log: `seq` and hash of an entry; 0 and an empty text before the first."""

    model_config = ConfigDict(strict=True)

    seq: Number
    hash: Text

    def to_cursor(self) -> Cursor:
        """The protocol's value."""
        return Cursor(self.seq, self.hash)


class BranchBody(BaseModel):
    """Places in the log of a device that breaks the glass: which is the last that the cloud holds, and what is behind it?"""

    model_config = ConfigDict(strict=True)

    store: Text
    sender_epoch: Number
    sender_node_id: Text
    known: Annotated[list[PlaceBody], Field(max_length=PLACES_MAX)]

    def to_question(self) -> BranchQuestion:
        """The protocol's value."""
        known = tuple(place.to_cursor() for place in self.known)
        return BranchQuestion(self.store, self.sender_epoch, self.sender_node_id, known)


class BranchReply(BaseModel):
    """Entries of the cloud's log behind `shared`, where that log ends, and its newest forks."""

    model_config = ConfigDict(strict=True)

    sender_epoch: Number
    shared: PlaceBody
    entries: Annotated[list[EntryBody], Field(max_length=ENTRIES_MAX)]
    end: PlaceBody
    end_epoch: Number
    forks: Annotated[list[ForkBody], Field(max_length=FORKS_TOLD_MAX)]

    def to_answer(self) -> BranchAnswer:
        """The protocol's value."""
        return BranchAnswer(
            self.sender_epoch,
            self.shared.to_cursor(),
            tuple(entry.to_entry() for entry in self.entries),
            self.end.to_cursor(),
            self.end_epoch,
            tuple(fork.to_fork() for fork in self.forks),
        )


def question_json(question: BranchQuestion) -> dict[str, Any]:
    """The JSON that `BranchBody` reads."""
    known = [cursor_json(place) for place in question.known]
    return {
        "store": question.store,
        "sender_epoch": question.sender_epoch,
        "sender_node_id": question.sender_node_id,
        "known": known,
    }


def answer_json(answer: BranchAnswer) -> dict[str, Any]:
    """The JSON that `BranchReply` reads."""
    return {**asdict(answer), "shared": cursor_json(answer.shared), "end": cursor_json(answer.end)}
