"""Rights to promise what is escrowed (P18): the cloud's side, and how much either side should hold.

The store holds what `StockItem.edge_rights` says. Grants reach the cloud as committed records by the uplink, each once (P14);
what the cloud gives back takes a number of the downlink and is one record of the store (P15). At every moment

    the store's rights + the cloud's + what is on its way  ≤  what is there

so that whatever is lost, repeated or late, both together never promise more than there is. A fork (P19) may take grants out of
the log that the cloud has used: the store promises nothing then, and the cloud gives up all that it holds, until that is settled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from refsystem.ordering import fields
from refsystem.ordering.check_acts import SYSTEM, derived_id
from refsystem.ordering.errors import OrderRejected
from refsystem.ordering.fields import given
from refsystem.ordering.kitchen_errors import ITEM_SOLD_OUT
from refsystem.ordering.money import BASIS_POINTS
from refsystem.ordering.recipe import ID, Ingredient, Needs
from refsystem.ordering.stock_acts import AskRights, GrantRights, ReturnRights, SettleRights
from refsystem.ordering.stock_item import StockItem
from refsystem.ordering.store_acts import StoreAct

OUTCOMES = ("duplicate_of", "conflict", "refused")


@dataclass(frozen=True, slots=True)
class Known:
    """What a record names as an ingredient."""

    ingredient_id: str = given(ID)


@dataclass(frozen=True, slots=True)
class WantsNumber:
    """What the cloud has to send to the store under its next number: `ingredient_id` and `quantity`, or a fork to be settled."""

    ingredient_id: str = ""
    quantity: int = 0
    fork_epoch: int = 0

    def content(self, number: int) -> ReturnRights | SettleRights:
        """The record's content under `number`."""
        if self.fork_epoch:
            return SettleRights(number, self.fork_epoch)
        return ReturnRights(self.ingredient_id, self.quantity, number)


class CloudRights:
    """The cloud's rights to one store's stock. Every call belongs into the transaction of what it is about.

    `rights` and `reserved` are its whole state, for whoever stores it: quantities by ingredient, 0 of what the store keeps in
    stock and has granted nothing of; and what the orders took that
    have a number and have not come back in the store's log, by that number.
    """

    def __init__(self, rights: dict[str, int] | None = None, reserved: dict[int, Needs] | None = None) -> None:
        self.rights = dict(rights or {})
        self.reserved = dict(reserved or {})

    def check(self, needs: Needs, escrowed: Iterable[str]) -> None:
        """Raises `OrderRejected` if the cloud may not promise what is escrowed of `needs`."""
        for name in escrowed:
            if needs.get(name, 0) > self.rights.get(name, 0):
                raise OrderRejected(ITEM_SOLD_OUT, f"{self.rights.get(name, 0)} of {name} are left to be promised")

    def reserve(self, number: int, needs: Needs, escrowed: Iterable[str]) -> None:
        """The order that gets `number` takes its part; raises `OrderRejected`, and changes nothing, when there is not as much."""
        escrowed = tuple(escrowed)
        self.check(needs, escrowed)
        part = {name: needs[name] for name in escrowed if needs.get(name)}
        for name, quantity in part.items():
            self.rights[name] -= quantity
        if part:
            self.reserved[number] = part

    def apply(self, record: dict[str, Any], epoch: int) -> tuple[WantsNumber, ...]:
        """A committed entry of the store, in order and once. What it returns is to get numbers in the same transaction."""
        kind, number = record.get("kind"), record.get("downlink_number", 0)
        if kind == "fork":
            # What the branch that was left had granted is not in the log any more. All that was promised has its number already.
            self.rights.clear()
            self.reserved.clear()
            return (WantsNumber(fork_epoch=epoch),)
        if kind == "order":
            self.reserved.pop(number, None)
        elif kind in OUTCOMES:
            for name, quantity in self.reserved.pop(number, {}).items():
                self.rights[name] = self.rights.get(name, 0) + quantity
        elif kind == "act":
            return self._act(record)
        return ()

    def _act(self, record: dict[str, Any]) -> tuple[WantsNumber, ...]:
        match record.get("act"):
            case "receive" | "count":  # from now on the store keeps it in stock
                self.rights.setdefault(fields.read_fields(Known, record, exact=False).ingredient_id, 0)
            case "grant_rights":
                granted = fields.read_fields(GrantRights, record, exact=False)
                self.rights[granted.ingredient_id] = self.rights.get(granted.ingredient_id, 0) + granted.quantity
            case "ask_rights":
                asked = fields.read_fields(AskRights, record, exact=False)
                return self._spare(asked.ingredient_id, asked.quantity)
        return ()

    def _spare(self, name: str, asked: int) -> tuple[WantsNumber, ...]:
        """What is given back of what the store asked for: it is taken from the rights at once."""
        quantity = min(asked, self.rights.get(name, 0))
        if not quantity:
            return ()
        self.rights[name] -= quantity
        return (WantsNumber(name, quantity),)


def balance(
    item: StockItem, ingredient: Ingredient, cloud_share_basis_points: int, portion: int = 1
) -> GrantRights | AskRights | None:
    """What the store should do about rights to an escrowed ingredient: grant some, ask for some, or leave them.

    The cloud should hold its share of what is there. It gets more when it has less than half of that; the store asks when it has
    less than half of its own, or less than a `portion`, so that the last ones are not left over on both sides. The cloud's share
    is a whole number of portions.
    """
    assert ingredient.policy == "escrow", "only what is escrowed has rights"
    cloud_share = max(0, item.on_hand) * cloud_share_basis_points // BASIS_POINTS // portion * portion
    store_share = max(0, item.on_hand) - cloud_share
    missing = cloud_share - item.cloud_rights
    if missing > 0 and 2 * item.cloud_rights < cloud_share:
        quantity = min(missing, item.edge_rights)
        return GrantRights(item.ingredient_id, quantity) if quantity > 0 else None
    if missing < 0 and (2 * item.edge_rights < store_share or item.edge_rights < portion):
        return AskRights(item.ingredient_id, -missing)
    return None


def balancing_act(item: StockItem, content: GrantRights | AskRights) -> StoreAct:
    """The act for it. Its key follows from the entry that last changed the item: it is asked for once, whoever is primary."""
    return StoreAct(derived_id(f"{item.ingredient_id}/{item.changed_seq}", "balance"), SYSTEM, content)
