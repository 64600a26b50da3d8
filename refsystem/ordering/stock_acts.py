"""Acts on the stock: receiving, counts, waste, and rights that move between the store and the cloud (P18).

Rights are moved, never made: each of these records takes from one side what it gives to the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from refsystem.ordering import fields
from refsystem.ordering.fields import derived, given
from refsystem.ordering.recipe import AMOUNT, ID, QUANTITY, QUANTITY_MAX

DAY_MAX = 99_991_231
LOT = fields.text(80, 1)
DAY = fields.whole(0, DAY_MAX)
REASON = fields.text(200, 1)
NUMBER = fields.whole(1, 2**62)


@dataclass(frozen=True, slots=True)
class Receive:
    """A delivery of one lot. `use_by` is a day as YYYYMMDD; 0: it keeps."""

    ingredient_id: str = given(ID)
    lot_id: str = given(LOT)
    quantity: int = given(QUANTITY)
    use_by: int = given(DAY, default=0)
    supplier: str = given(fields.text(80), default="")


@dataclass(frozen=True, slots=True)
class Count:
    """Somebody has counted: `counted` was there when the log was known up to `known_seq`; `expected` is what it said then.

    What was sold behind `known_seq` is not in the count, so only the difference is applied; what somebody received, threw away
    or counted behind it makes the count stale. 0: it was counted now.
    """

    ingredient_id: str = given(ID)
    counted: int = given(AMOUNT)
    known_seq: int = given(fields.whole(0, 2**62), is_later=True, default=0)
    expected: int = derived(fields.whole(-QUANTITY_MAX, QUANTITY_MAX), 0)


@dataclass(frozen=True, slots=True)
class Waste:
    """Something is thrown away: of `lot_id`, or of what would be used first."""

    ingredient_id: str = given(ID)
    quantity: int = given(QUANTITY)
    reason: str = given(REASON)
    lot_id: str = given(fields.text(80), default="")


@dataclass(frozen=True, slots=True)
class GrantRights:
    """The store gives rights to the cloud; they are the cloud's when its ingest has this record."""

    ingredient_id: str = given(ID)
    quantity: int = given(QUANTITY)


@dataclass(frozen=True, slots=True)
class AskRights:
    """The store would like rights back; the cloud answers by the downlink with what it can spare."""

    ingredient_id: str = given(ID)
    quantity: int = given(QUANTITY)


@dataclass(frozen=True, slots=True)
class ReturnRights:
    """The cloud gave rights back: number `number` of its downlink, which made this one record (P15)."""

    ingredient_id: str = given(ID)
    quantity: int = given(QUANTITY)
    number: int = given(NUMBER)


@dataclass(frozen=True, slots=True)
class SettleRights:
    """After a fork (P19) the cloud gave up all rights that it held, of every ingredient: number `number` of its downlink.

    `fork_epoch` is the epoch of the fork that it has followed: no other entry of kind `fork` has the same.
    """

    number: int = given(NUMBER)
    fork_epoch: int = given(NUMBER)


@dataclass(frozen=True, slots=True)
class ThawRights:
    """A person sells what is escrowed before the cloud has settled after a fork. What is oversold by it is counted."""

    reason: str = given(REASON)


StockContent = Receive | Count | Waste | GrantRights | AskRights | ReturnRights | SettleRights | ThawRights

STOCK_ACTS: dict[str, type[StockContent]] = {
    "receive": Receive,
    "count": Count,
    "waste": Waste,
    "grant_rights": GrantRights,
    "ask_rights": AskRights,
    "return_rights": ReturnRights,
    "settle_rights": SettleRights,
    "thaw_rights": ThawRights,
}
