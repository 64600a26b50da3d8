"""Opening a store: everything that its menu takes is received once, so that pages have something to sell and to count."""

from __future__ import annotations

import asyncio
import time
from datetime import date, timedelta
from uuid import UUID, uuid5

import httpx

from refsystem.access import staff_token
from refsystem.ordering.menu import Menu
from refsystem.ordering.recipe import Ingredient
from refsystem.processes import StackError

NAMESPACE = UUID("0b7c2c1e-6b0e-5b43-9a0b-7d5f6e0a4a11")
PATIENCE_S = 20.0
TOKEN_S = 300


async def receive_opening_stock(device_url: str, store: str, menu: Menu, secret: bytes) -> None:
    """Receive every ingredient up to its par; a key for each, so that doing it again does nothing. Raises `StackError`."""
    token = staff_token(secret, store, "opening", "stock", int(time.time()) + TOKEN_S)
    async with httpx.AsyncClient(
        base_url=device_url, trust_env=False, timeout=5, headers={"Authorization": f"Bearer {token}"}
    ) as http:
        for ingredient in menu.ingredients:
            body = {"act": "receive", "ingredient_id": ingredient.ingredient_id, "lot_id": "opening"}
            key = str(uuid5(NAMESPACE, f"{store}/{ingredient.ingredient_id}"))
            more = {"quantity": ingredient.par, "use_by": _use_by(ingredient), "supplier": "demo"}
            await _put(http, key, body | more)


def _use_by(ingredient: Ingredient) -> int:
    """The day as YYYYMMDD until which it keeps if it came in today; 0: it keeps."""
    if not ingredient.shelf_days:
        return 0
    day = date.today() + timedelta(days=ingredient.shelf_days)
    return (day.year * 100 + day.month) * 100 + day.day


async def _put(http: httpx.AsyncClient, key: str, body: dict[str, object]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        answer = await http.post("/v1/acts", json=body, headers={"Idempotency-Key": key})
        if answer.status_code == httpx.codes.CREATED:
            return
        if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR or time.monotonic() > deadline_s:
            raise StackError(f"the opening stock of {body['ingredient_id']} was not taken: {answer.text[:200]}")
        await asyncio.sleep(0.1)
