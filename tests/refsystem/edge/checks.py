"""Who may ask for a check, and how to open and close one."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx

from refsystem.access import staff_token, table_token
from refsystem.protocol.payment_calls import CashierLimits

from .conftest import ACCESS_SECRET

PREFIX = "urn:rushproof:problem:"
FAR_S = 4_000_000_000
TABLE, OTHER_TABLE = table_token(ACCESS_SECRET, "s1", "7"), table_token(ACCESS_SECRET, "s1", "8")
WAITER, CASHIER, MANAGER = (
    staff_token(ACCESS_SECRET, "s1", "Li", role, FAR_S)  # type: ignore[arg-type]
    for role in ("waiter", "cashier", "manager")
)
QUICK = CashierLimits(
    wallet_stop_ms=10_000,
    reverse_after_ms=50,
    call_timeout_ms=400,
    retry_ms=20,
    retry_max_ms=100,
    ask_again_ms=30,
    offline_after_ms=1_000,
)


def key() -> str:
    return str(uuid.uuid4())


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("type", "").removeprefix(PREFIX)


def code() -> str:
    return f"{uuid.uuid4().int % 10**18:018d}"


async def until(condition: Callable[[], Any], what: str) -> None:
    deadline_s = time.monotonic() + 20
    while not await condition():
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        await asyncio.sleep(0.02)


async def opened(alone: Any) -> str:
    """A check of table 7 with its first order."""
    order_id = key()
    assert (await alone.post(order_id)).status_code == 201
    return order_id


async def closed(alone: Any, check_id: str) -> None:
    async def is_closed() -> bool:
        return bool((await alone.get(CASHIER, f"/v1/checks/{check_id}")).json()["status"] == "closed")

    await until(is_closed, "the check is closed")
