"""What the cloud tells a device that breaks the glass (P19): the last place that both hold, and its own entries behind it."""

from __future__ import annotations

from refsystem.cloud.database import Connection, Database, queries
from refsystem.ordering.errors import STORE_UNKNOWN
from refsystem.problems import ProblemError
from refsystem.protocol.branch import ENTRIES_MAX, BranchAnswer, BranchQuestion, judge_branch
from refsystem.protocol.log import FORKS_TOLD_MAX, Cursor, Entry, ForkPlace
from refsystem.protocol.uplink import Held, StaleSender


class BranchReads:
    """Answers the question. From the answer on no sender of a lower epoch adds anything."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def answer(self, question: BranchQuestion) -> BranchAnswer | StaleSender:
        """The answer; the sender's epoch is the highest seen, in the same transaction. Raises `ProblemError`."""
        async with self._database.transaction() as connection:
            row = await queries.lock_store(connection, store=question.store)
            if row is None:
                raise ProblemError(STORE_UNKNOWN, f"there is no store {question.store!r}")
            held = await self._held(connection, question)
            shared = judge_branch(question, row["highest_epoch"], held.get)
            if isinstance(shared, StaleSender):
                return shared
            await queries.raise_highest_epoch(connection, store=question.store, sender_epoch=question.sender_epoch)
            end = Cursor(row["cursor_seq"], row["cursor_hash"])
            return await self._behind(connection, question, shared, end)

    async def _held(self, connection: Connection, question: BranchQuestion) -> dict[int, Held]:
        seqs = [place.seq for place in question.known]
        rows = queries.held_at(connection, store=question.store, seqs=seqs)
        return {row["seq"]: Held(row["hash"], row["epoch"]) async for row in rows}

    async def _behind(
        self, connection: Connection, question: BranchQuestion, shared: Cursor, end: Cursor
    ) -> BranchAnswer:
        store = question.store
        rows = queries.entries_behind(connection, store=store, seq=shared.seq, limit=ENTRIES_MAX)
        entries = tuple([Entry(*row) async for row in rows])
        last = [row async for row in queries.held_at(connection, store=store, seqs=[end.seq])]
        end_epoch = last[0]["epoch"] if last else 0
        told = [Entry(*row) async for row in queries.fork_entries(connection, store=store, limit=FORKS_TOLD_MAX)]
        forks = tuple(fork for entry in reversed(told) if (fork := _fork(entry)) is not None)
        return BranchAnswer(question.sender_epoch, shared, entries, end, end_epoch, forks)


def _fork(entry: Entry) -> ForkPlace | None:
    """The fork of an entry that looks like the record of one; None if it is none, for entries are kept whatever they hold."""
    try:
        content = entry.content()
    except (ValueError, RecursionError):
        return None
    from_seq = content.get("from_seq") if isinstance(content, dict) and content.get("kind") == "fork" else None
    return ForkPlace(from_seq, entry.seq, entry.epoch) if isinstance(from_seq, int) and from_seq >= 1 else None
