"""What a party has to post to others, in its own database: stored with what it tells of, sent until it was taken."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import apsw

from refsystem.partners.partner_store import named, queries

POST_FIELDS = (
    "number",
    "receiver",
    "event_id",
    "body",
    "made_at_us",
    "due_at_us",
    "wanted",
    "delivered",
    "tries",
    "last_status",
    "first_delivered_at_us",
)


@dataclass(frozen=True, slots=True)
class Posting:
    """How a post is to be sent: so often, so much later, or held until a later one was delivered."""

    copies: int = 1
    late_us: int = 0
    held: bool = False


@dataclass(frozen=True, slots=True)
class DuePost:
    """A post that is to be sent now."""

    number: int
    event_id: str
    body: str
    url: str
    tries: int


class Outbox:
    """The posts in the database of `connection`. `posting` says how that of an event is to be sent."""

    def __init__(self, connection: apsw.Connection, posting: Callable[[str], Posting]) -> None:
        self._connection = connection
        self._posting = posting
        with connection:
            queries.create_outbox(connection)

    def put_receiver(self, receiver: str, url: str) -> None:
        """From now on `receiver` is there."""
        with self._connection:
            queries.put_receiver(self._connection, receiver=receiver, url=url)

    def url(self, receiver: str) -> str | None:
        """Where a receiver is."""
        found: str | None = queries.receiver_url(self._connection, receiver=receiver)
        return found

    def put(self, event_id: str, receiver: str, body: dict[str, Any], now_us: int) -> None:
        """Post this; in the transaction of what it tells of."""
        how = self._posting(event_id)
        queries.insert_post(
            self._connection,
            event_id=event_id,
            receiver=receiver,
            body=json.dumps(body, ensure_ascii=False, separators=(",", ":")),
            made_at_us=now_us,
            due_at_us=now_us + how.late_us,
            held=int(how.held),
            wanted=how.copies,
        )

    def due(self, now_us: int, limit: int) -> list[DuePost]:
        """What is to be sent now, the longest due first."""
        return [DuePost(*row) for row in queries.posts_due(self._connection, now_us=now_us, limit=limit)]

    def next_us(self) -> int | None:
        """When the next one is due."""
        at_us: int | None = queries.next_post_us(self._connection)
        return at_us

    def count_due(self) -> int:
        """How many are still to be sent."""
        return int(queries.count_posts_due(self._connection))

    def note_delivery(self, number: int, status: int, now_us: int) -> None:
        """It was taken."""
        with self._connection:
            queries.note_delivery(self._connection, number=number, status=status, now_us=now_us)
            queries.release_held(self._connection, number=number, now_us=now_us)

    def note_failure(self, number: int, status: int | None, due_at_us: int | None) -> None:
        """It was not taken; it is due again then, or never."""
        with self._connection:
            queries.note_failure(self._connection, number=number, status=status, due_at_us=due_at_us)

    def audit(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Posts behind number `after`, and how often each was tried and taken."""
        rows = named(POST_FIELDS, queries.audit_posts(self._connection, after=after, limit=limit))
        return [{**row, "body": json.loads(row["body"])} for row in rows]
