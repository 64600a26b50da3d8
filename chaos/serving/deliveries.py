"""Somebody orders from a served store at the delivery platform, every so often: what its staff see of such orders."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from uuid import uuid4

import httpx

from refsystem.ordering.menu import Menu
from refsystem.problems import ProblemBody

LINES_MAX = 3
TIMEOUT_S = 5.0


class Deliveries:
    """The diners of the platform at `url`; one orders every `every_s` seconds, 0: nobody does."""

    def __init__(
        self, url: str, store: str, menu: Menu, every_s: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url, self._store, self._menu, self._every_s = url, store, menu, every_s
        self._transport = transport
        self._draw = random.Random()
        self._trouble = ""

    async def run(self, say: Callable[[str], None]) -> None:
        """Order again and again, and tell why the platform takes no order, once for each reason. Ends only by cancellation."""
        if not self._every_s:
            return
        async with httpx.AsyncClient(
            base_url=self._url, trust_env=False, timeout=TIMEOUT_S, transport=self._transport
        ) as http:
            while True:
                await asyncio.sleep(self._every_s)
                trouble = await self._order(http)
                if trouble != self._trouble:
                    say(f"delivery platform: {trouble or 'orders are taken again'}")
                self._trouble = trouble

    async def _order(self, http: httpx.AsyncClient) -> str:
        """One order of a few dishes; why it was not taken, or ""."""
        dishes = self._draw.sample(self._menu.items, min(self._draw.randint(1, LINES_MAX), len(self._menu.items)))
        items = [{"item_id": dish.item_id, "quantity": 1} for dish in dishes]
        body = {"store": self._store, "items": items, "total_minor": sum(dish.price_minor for dish in dishes)}
        try:
            answer = await http.post("/v1/orders", json=body, headers={"Idempotency-Key": str(uuid4())})
        except httpx.TransportError as error:
            return f"it does not answer ({type(error).__name__})"
        return "" if answer.is_success else _why(answer)


def _why(answer: httpx.Response) -> str:
    try:
        return ProblemBody.model_validate_json(answer.content).detail
    except ValueError:
        return f"it answers {answer.status_code}"
