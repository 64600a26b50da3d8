"""Acts on kitchen and stock as requests and as records: the same envelope as acts on checks (`check_acts.py`)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from refsystem.ordering import fields
from refsystem.ordering.check_acts import SYSTEM, derived_id
from refsystem.ordering.errors import ACT_INVALID, OrderRejected
from refsystem.ordering.fields import FieldError
from refsystem.ordering.kitchen_acts import KITCHEN_ACTS, BumpAgain, Escalate, Fire
from refsystem.ordering.stock_acts import STOCK_ACTS, ReturnRights, SettleRights
from refsystem.ordering.ticket import TicketKey

STORE_ACTS: dict[str, type[Any]] = {**KITCHEN_ACTS, **STOCK_ACTS}
"""Every act of kitchen and stock by its name in a record."""
NAMES: dict[type[Any], str] = {kind: name for name, kind in STORE_ACTS.items()}


@dataclass(frozen=True, slots=True)
class StoreAct:
    """One act: its key, who asks for it, and what for. `content` is an instance of one of the kinds in `STORE_ACTS`."""

    act_id: str
    who: str
    content: Any

    @property
    def name(self) -> str:
        """Its name in the record."""
        return NAMES[type(self.content)]

    @property
    def body_hash(self) -> str:
        """Equal for equal given content under one key (P6), whoever asks."""
        return fields.hash_of_given(self.name, self.content)

    @property
    def body(self) -> dict[str, Any]:
        """What `parse_store_act` reads: the name and the given fields."""
        given = {
            each.name: getattr(self.content, each.name)
            for each in dataclasses.fields(self.content)
            if not each.metadata["derived"]
        }
        return {"act": self.name, **given}

    def record(self, at_ms: int) -> dict[str, Any]:
        """The log record of a decided act; `at_ms` is the wall clock."""
        envelope = {"kind": "act", "act_id": self.act_id, "act": self.name, "who": self.who, "at_ms": at_ms}
        return {**envelope, "body_hash": self.body_hash, **dataclasses.asdict(self.content)}


def parse_store_act(act_id: str, who: str, body: Any) -> StoreAct:
    """The act in a request body `{"act": NAME, …given fields}`; raises `OrderRejected` that names the field."""
    if not isinstance(body, dict):
        raise OrderRejected(ACT_INVALID, "the body must be a JSON object")
    try:
        kind = STORE_ACTS[fields.one_of(*STORE_ACTS)("act", body.get("act"))]
        given = {name: value for name, value in body.items() if name != "act"}
        return StoreAct(act_id, who, fields.read_fields(kind, given, with_derived=False))
    except FieldError as error:
        raise OrderRejected(ACT_INVALID, str(error)) from None


# --- acts that the store makes by itself: their keys follow from what they are for, so that two devices make one ------


def bump_again(key: TicketKey, rounds: int, who: str) -> StoreAct:
    """A ticket that was recalled is done again."""
    return StoreAct(derived_id(str(key), f"bump/{rounds}"), who, BumpAgain(*key, rounds))


def fire_in_time(order_id: str, course: int) -> StoreAct:
    """A course is fired because its time has come."""
    return StoreAct(derived_id(order_id, f"fire/{course}"), SYSTEM, Fire(order_id, course))


def escalate(key: TicketKey) -> StoreAct:
    """The front is told of a ticket."""
    return StoreAct(derived_id(str(key), "escalate"), SYSTEM, Escalate(*key))


def from_downlink(content: ReturnRights | SettleRights) -> StoreAct:
    """What the cloud sent under a number of its downlink."""
    return StoreAct(derived_id("downlink", str(content.number)), SYSTEM, content)
