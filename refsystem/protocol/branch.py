"""The question of a reconciling device to the cloud (P19): where do our logs part, and what do you hold behind that place?

Both ends of it: `judge_branch` is the cloud's rule, `compare_branch` says what an answer means for the device's own log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from refsystem.protocol.log import GENESIS, Cursor, Entry, ForkPlace, Log, chain_error, fork_explains
from refsystem.protocol.timing import DEFAULT_TIMING
from refsystem.protocol.uplink import Held, StaleSender

ENTRIES_MAX = DEFAULT_TIMING.entries_per_branch_answer_max


@dataclass(frozen=True, slots=True)
class BranchQuestion:
    """Device to cloud. `known` are places in its own log, in any order; the cloud answers behind the last it shares."""

    store: str
    sender_epoch: int
    sender_node_id: str
    known: tuple[Cursor, ...]


@dataclass(frozen=True, slots=True)
class BranchAnswer:
    """Cloud to device: at most `ENTRIES_MAX` entries of its log behind `shared`, and where its log ends.

    `sender_epoch` is that of the question; `end_epoch` the epoch of the last entry; `forks` are those of the cloud's log.
    """

    sender_epoch: int
    shared: Cursor
    entries: tuple[Entry, ...]
    end: Cursor
    end_epoch: int
    forks: tuple[ForkPlace, ...] = ()


class BranchUnusable(Exception):
    """The cloud's answer cannot be followed: a person must look at it. `seq`: where the cloud is known to differ, if it is."""

    def __init__(self, detail: str, seq: int = 0) -> None:
        super().__init__(detail)
        self.seq = seq


@dataclass(frozen=True, slots=True)
class Comparison:
    """What an answer says: the same up to `agreed_seq`, then the cloud's `fresh` in place of the own; `done`: nothing is left."""

    agreed_seq: int
    fresh: tuple[Entry, ...]
    done: bool


def judge_branch(
    question: BranchQuestion, highest_epoch: int, held: Callable[[int], Held | None]
) -> Cursor | StaleSender:
    """The cloud's rule: the last place of `question` that it holds, or `StaleSender`.

    `held` tells what the cloud holds at a seq of `question.known`. Unless the answer is `StaleSender` the caller stores
    `question.sender_epoch` as the highest in the same transaction, and answers with a `BranchAnswer` of the same moment:
    so the old primary, if it is not off after all, can add nothing behind what was answered.
    """
    if question.sender_epoch < highest_epoch:
        return StaleSender(highest_epoch)
    shared = GENESIS
    for place in question.known:
        found = held(place.seq)
        if found is not None and found.hash == place.hash and place.seq > shared.seq:
            shared = place
    return shared


def compare_branch(log: Log, commit_seq: int, answer: BranchAnswer) -> Comparison:
    """What `answer` means for `log`, of which `commit_seq` entries are known to be committed. Raises `BranchUnusable`.

    The cloud's entries stand in for the own from the first that disagrees, unless the own log holds a fork that is younger than
    all that the cloud has: then the cloud has not followed it yet, and will. The epochs of the two entries decide nothing: a
    tail that its primary alone had flushed can be younger than what its standby committed when it was promoted.
    """
    if not log.holds(answer.shared):
        raise BranchUnusable(f"the cloud tells what stands behind an entry {answer.shared.seq} that is not held here")
    error = chain_error(answer.shared, answer.entries)
    if error is not None:
        raise BranchUnusable(f"the cloud's entries do not hold together: {error}")
    answered_seq = answer.shared.seq + len(answer.entries)
    done = answered_seq >= answer.end.seq
    fresh = log.first_disagreement(answer.entries)
    if not fresh:
        return Comparison(answered_seq, (), done)
    seq = fresh[0].seq
    if seq <= log.last.seq and fork_explains(log.forks, seq, answer.end_epoch):
        return Comparison(seq - 1, (), True)
    if seq <= commit_seq and not fork_explains(answer.forks, seq, log.entry(commit_seq).epoch):
        raise BranchUnusable(
            f"entry {seq} is known to be committed here, and the cloud holds another without a fork", seq
        )
    return Comparison(seq - 1, fresh, done)
