"""What the record of an act says by itself: its content's hash, and whether a store makes such a one without being asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from refsystem.ordering import fields
from refsystem.ordering.check_acts import CHECK_ACTS, derived_id, read_act
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.print_acts import PRINTED, PRINTING
from refsystem.ordering.stock_acts import ReturnRights, SettleRights
from refsystem.ordering.store_acts import STORE_ACTS, bump_again, escalate, fire_in_time, from_downlink
from refsystem.ordering.ticket import TicketKey

_SLIPS = {PRINTING: ("slip", "slip_seq", "copy", "done_seq"), PRINTED: ("slip", "copy", "done_seq")}
_BALANCES = ("grant_rights", "ask_rights")


def content_hash(record: Mapping[str, Any]) -> str | None:
    """The hash of what was given with the act, made anew from the record; None if that holds no content of any act."""
    name = record.get("act")
    try:
        if name in CHECK_ACTS:
            return read_act(dict(record)).body_hash
        if name in STORE_ACTS:
            return fields.hash_of_given(str(name), fields.read_fields(STORE_ACTS[str(name)], record, exact=False))
        if name in _SLIPS:
            text = json.dumps(
                [name, {each: record[each] for each in _SLIPS[str(name)]}], sort_keys=True, separators=(",", ":")
            )
            return hashlib.sha256(text.encode()).hexdigest()[:16]
    except (OrderRejected, fields.FieldError, KeyError, TypeError, ValueError):
        return None
    return None


def is_the_stores_own(record: Mapping[str, Any], seq: int) -> bool:
    """Whether nobody need have asked for the act at `seq`: its key follows from what it is for, like those of a store's own."""
    try:
        return any(key == record["act_id"] for key in _own_keys(record, seq))
    except (KeyError, TypeError, ValueError):
        return False


def _own_keys(record: Mapping[str, Any], seq: int) -> Iterator[str]:
    """The keys that the store would give such an act."""
    match record["act"]:
        case "payment_outcome":
            yield derived_id(record["attempt_id"], record["outcome"])
        case "parties_outcome":
            yield derived_id(record["attempt_id"], f"parties/{record['outcome']}")
        case "refund_outcome":
            yield derived_id(record["refund_id"], record["outcome"])
        case "refund":  # of what was captured after it was given up
            yield derived_id(record["attempt_id"], "refund")
        case "void":  # of an order that its delivery platform cancelled
            what = f"cancelled/{record['check_id']}/{record['line']}/{record['quantity']}"
            yield derived_id(record["order_id"], what)
        case "fire":
            yield fire_in_time(record["order_id"], record["course"]).act_id
        case "bump":
            yield bump_again(_ticket(record), record["round"], "").act_id
        case "escalate":
            yield escalate(_ticket(record)).act_id
        case "return_rights":
            given = (record["ingredient_id"], record["quantity"], record["number"])
            yield from_downlink(ReturnRights(*given)).act_id
        case "settle_rights":
            yield from_downlink(SettleRights(record["number"], record["fork_epoch"])).act_id
        case name if name in _BALANCES:  # after any entry that changed what there is
            for changed_seq in range(seq - 1, -1, -1):
                yield derived_id(f"{record['ingredient_id']}/{changed_seq}", "balance")
        case name if name in _SLIPS:
            yield derived_id(record["slip"], f"{name}/{record['copy']}")


def _ticket(record: Mapping[str, Any]) -> TicketKey:
    return TicketKey(record["order_id"], record["version"], record["station"])
