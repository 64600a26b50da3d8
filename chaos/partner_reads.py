"""The delivery platform as the drill looks at it from outside: what it waits for, its own list, and that it behaves again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import httpx

from refsystem.stack import Stack
from refsystem.stack_coupons import PROCESS as COUPONS
from refsystem.stack_delivery import NAME, PROCESS

MISBEHAVIOUR = "/v1/operator/misbehaviour"
READ_TIMEOUT_S = 10.0

Json = dict[str, Any]
Pages = Callable[[str, str], Awaitable[list[Json]]]


async def heal_platforms(stack: Stack, http: httpx.AsyncClient) -> bool:
    """Let the platforms that there are behave well from now on; False if one cannot be told so."""
    there = [name for name, is_there in ((PROCESS, stack.has_delivery), (COUPONS, stack.has_coupons)) if is_there]
    healed = True
    for name in there:
        try:
            answer = await http.delete(stack.url(name) + MISBEHAVIOUR, timeout=READ_TIMEOUT_S)
            healed = healed and answer.status_code == httpx.codes.OK
        except httpx.HTTPError:
            healed = False
    return healed


async def platform_differences(stack: Stack, http: httpx.AsyncClient, stores: Iterable[str]) -> list[str]:
    """What stands between this moment and a platform at rest, in words."""
    if not stack.has_delivery:
        return []
    try:
        status = await _get(http, f"{stack.url(PROCESS)}/v1/status")
        told = await _get(http, f"{stack.url('cloud')}/v1/platforms/{NAME}/status")
        found = [
            f"{count} {what}"
            for count, what in (
                (status["pending"], "orders wait at the delivery platform"),
                (status["webhooks_due"], "webhooks of the delivery platform are to be sent"),
                (told["untold"], "orders are to be answered to the delivery platform"),
            )
            if count
        ]
        for store in stores:
            url = f"{stack.url('cloud')}/v1/stores/{store}/cancellations"
            left = (await _get(http, url, stack.chain_headers()))["orders"]
            if left:
                found.append(f"{len(left)} cancelled orders are not voided in {store}")
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        return [f"the delivery platform or the cloud does not answer ({type(error).__name__})"]
    return found


async def read_platform(stack: Stack, pages: Pages, http: httpx.AsyncClient, store: str) -> Json:
    """The platform's own list of the store's orders, its webhooks about them, and how often it has misbehaved in what way."""
    url = stack.url(PROCESS)
    orders = [row for row in await pages(f"{url}/v1/audit/orders", "orders") if row["store"] == store]
    webhooks = await pages(f"{url}/v1/audit/webhooks", "webhooks")
    told = await _get(http, url + MISBEHAVIOUR)
    return {
        "platform": NAME,
        "orders": orders,
        "webhooks": [row for row in webhooks if row["body"]["order"]["store"] == store],
        "struck": told["struck"],
    }


async def _get(http: httpx.AsyncClient, url: str, headers: dict[str, str] | None = None) -> Json:
    answer = await http.get(url, headers=headers, timeout=READ_TIMEOUT_S)
    answer.raise_for_status()
    body: Json = answer.json()
    return body
