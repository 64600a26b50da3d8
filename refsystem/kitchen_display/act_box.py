"""What the cooks asked for: each act waits here until it comes back through the store's log, or is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import apsw

from refsystem.kitchen_display.queries import queries
from refsystem.ordering.errors import KEY_REUSED, OVERLOADED, OrderRejected
from refsystem.ordering.store_acts import StoreAct

WAITING_MAX = 200
SENT_MAX = 50

ActStatus = Literal["pending", "logged", "refused"]


@dataclass(frozen=True, slots=True)
class ActAnswer:
    """Where an act stands; `why` it was refused."""

    status: ActStatus
    why: str = ""


class ActBox:
    """The acts of one display. Every call is made within the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def status(self, act: StoreAct) -> ActAnswer | None:
        """Where an act that was asked for stands; None if it was not. Raises `OrderRejected` if its key was used for another."""
        row = queries.act(self._connection, act_id=act.act_id)
        if row is None:
            return None
        body, logged_seq, refused = row
        if json.loads(body) != act.body:
            raise OrderRejected(KEY_REUSED, "this key was used for another act")
        if logged_seq is not None:
            return ActAnswer("logged")
        return ActAnswer("pending") if refused is None else ActAnswer("refused", refused)

    def waiting(self) -> int:
        """How many acts are not settled."""
        count: int = queries.acts_waiting(self._connection)
        return count

    def room(self) -> int:
        """How many more acts may wait (P20)."""
        return max(0, WAITING_MAX - self.waiting())

    def ask(self, act: StoreAct, now_us: int) -> None:
        """Keep an act for the store; raises `OrderRejected` when too many wait. A second time changes nothing."""
        if not self.room():
            raise OrderRejected(OVERLOADED, f"{WAITING_MAX} acts wait for the store")
        body = json.dumps(act.body, ensure_ascii=False)
        queries.ask_act(self._connection, act_id=act.act_id, who=act.who, body=body, at_us=now_us)

    def pending(self) -> list[dict[str, Any]]:
        """Acts to be sent to the store, the oldest first: `act_id`, `who`, and the body that `parse_store_act` reads."""
        rows = list(queries.pending_acts(self._connection, limit=SENT_MAX))
        return [{"act_id": act_id, "who": who, "body": json.loads(body)} for act_id, who, body in rows]

    def logged(self, acts: Iterable[tuple[str, int]]) -> None:
        """Acts that came back: `(act_id, seq)`."""
        rows = [{"act_id": act_id, "seq": seq} for act_id, seq in acts]
        if rows:
            queries.act_logged(self._connection, rows)

    def refused(self, acts: Iterable[tuple[str, str]]) -> None:
        """Acts that the store refused: `(act_id, why)`."""
        rows = [{"act_id": act_id, "why": why} for act_id, why in acts]
        if rows:
            queries.act_refused(self._connection, rows)

    def leave_branch(self, shared_seq: int) -> None:
        """P19: acts of the branch that is left are told to the new one."""
        queries.take_acts_back(self._connection, shared_seq=shared_seq)
