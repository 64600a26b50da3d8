"""Keeps rights to what is escrowed balanced between the store and the cloud (P18), while this device is primary. Decides nothing.

How much either side should hold is `stock_rights.balance`'s to say. One act of an ingredient is under way at a time: the next
waits until the cloud is known to have the last one, so that a store that is cut off gives nothing more away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from refsystem.edge.cashier_desk import wall_ms
from refsystem.ordering.stock_rights import balance, balancing_act
from refsystem.ordering.store_acts import StoreAct
from refsystem.protocol.device import Device

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
LOOKS_BETWEEN = 4
"""How many looks an ingredient is left alone after an act, so that the cloud's answer comes before the next question."""


class StockKeeper:
    """Looks at one device's stock now and then. `pump` lets the machine do what is to be done after an act."""

    def __init__(self, device: Device, pump: Callable[[], None]) -> None:
        self._device = device
        self._pump = pump
        self._looks = 0
        self._asked: dict[str, int] = {}
        self._portions: dict[str, int] = {}
        for recipe in device.settings.menu.recipes.values():
            for name, each in recipe:
                self._portions[name] = max(each, self._portions.get(name, 1))

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._looks += 1
            acts = self.acts_due()
            for act in acts:
                self._asked[act.content.ingredient_id] = self._looks
                why = self._device.admission.take_act(act, wall_ms())
                if why is not None:
                    logger.info("rights to stock stay as they are: %s", why)
            if acts:
                self._pump()

    def acts_due(self) -> list[StoreAct]:
        """What would be asked for now; nothing while the cloud does not have the last change of an ingredient."""
        device, stock = self._device, self._device.views.stock
        cursor = device.feeds["uplink"].cursor
        if not device.is_primary or cursor is None or stock.fork_epoch or not stock.keeps_any:
            return []
        acts = []
        for ingredient in stock.menu.ingredients:
            item = stock.item(ingredient.ingredient_id)
            if ingredient.policy != "escrow" or not item.kept or item.changed_seq > cursor.seq:
                continue
            if self._looks - self._asked.get(ingredient.ingredient_id, -LOOKS_BETWEEN) < LOOKS_BETWEEN:
                continue
            portion = self._portions.get(ingredient.ingredient_id, 1)
            content = balance(item, ingredient, stock.rules.cloud_share_basis_points, portion)
            if content is not None:
                act = balancing_act(item, content)
                if device.replica.log.key(act.act_id) is None:
                    acts.append(act)
        return acts
