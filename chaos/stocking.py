"""Before a drill's load: what the scenario says to be in stock is received by every store, as a person would, and made known.

Each act has an id that follows from what it is for (`opening_keys.py`), so that asking again never receives anything twice.
Rights in escrow are balanced by the stores themselves; the load begins when the cloud holds some of each, or the patience
is at its end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from chaos.opening_history import OpeningHistory
from chaos.opening_keys import opening_key
from refsystem.access import staff_token
from refsystem.processes import StackError
from refsystem.stack import Stack
from refsystem.stack_settings import SLOTS

PATIENCE_S = 20.0
TOKEN_LIFE_S = 3_600
REQUEST_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Stocking:
    """One store's stock at the start: quantities by ingredient."""

    store: str
    levels: Mapping[str, int]


async def receive_stock(stack: Stack, stocking: Stocking, history: OpeningHistory) -> None:
    """Receive it, as `history` tells, and wait until the cloud knows. Raises `StackError` if that cannot be done."""
    deadline_s = time.monotonic() + PATIENCE_S
    secret = stack.secret("access").read_bytes().strip()
    token = staff_token(secret, stocking.store, "drill", "stock", int(time.time()) + TOKEN_LIFE_S)
    async with httpx.AsyncClient(trust_env=False, timeout=REQUEST_TIMEOUT_S) as http:
        for ingredient_id, quantity in stocking.levels.items():
            body = {"act": "receive", "ingredient_id": ingredient_id, "lot_id": "opening", "quantity": quantity}
            key = opening_key(secret, stocking.store, ingredient_id)
            headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
            await _until_taken(http, history, stack, stocking.store, body, headers, deadline_s)
        await _until_known(http, stack, stocking, deadline_s)


async def _until_taken(
    http: httpx.AsyncClient,
    history: OpeningHistory,
    stack: Stack,
    store: str,
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    deadline_s: float,
) -> None:
    said = ""
    while time.monotonic() < deadline_s:
        for slot in SLOTS:
            try:
                url = f"{stack.url(f'{store}.edge_{slot}')}/v1/acts"
                answer = await history.post(http, url, store, body, headers)
            except httpx.HTTPError as error:
                said = type(error).__name__
                continue
            if answer.status_code == httpx.codes.CREATED:
                return
            said = answer.text
            if answer.status_code < 500:
                raise StackError(f"store {store} does not take {body['ingredient_id']} into stock: {said}")
        await asyncio.sleep(0.1)
    raise StackError(f"store {store} did not take {body['ingredient_id']} into stock: {said}")


async def _until_known(http: httpx.AsyncClient, stack: Stack, stocking: Stocking, deadline_s: float) -> None:
    url = f"{stack.url('cloud')}/v1/audit/stock"
    lacking = "the cloud was not asked"
    while time.monotonic() < deadline_s:
        answer = await http.get(url, params={"store": stocking.store}, headers=stack.chain_headers())
        if answer.status_code == httpx.codes.OK:
            told = answer.json()
            rows = {row["ingredient_id"]: row for row in told["ingredients"]}
            escrowed = [name for name in stocking.levels if rows[name]["policy"] == "escrow"]
            known = all(rows[name]["kept"] for name in stocking.levels)
            if known and all(told["cloud_rights"].get(name) for name in escrowed):
                return
            lacking = f"it holds rights {told['cloud_rights']}"
        await asyncio.sleep(0.1)
    raise StackError(f"the cloud does not know the stock of store {stocking.store}: {lacking}")
