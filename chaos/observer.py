"""Looks at a running stack from outside, past every disturbed link: samples, convergence, and the final reads.

It reads only what a place says of what it holds; what was promised to clients is in the history.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from chaos.partner_reads import heal_platforms, platform_differences, read_platform
from refsystem.stack import Stack
from refsystem.stack_coupons import PROCESS as COUPONS
from refsystem.stack_printer import printer_name
from refsystem.stack_settings import SLOTS

SAMPLE_TIMEOUT_S = 0.4
READ_TIMEOUT_S = 10.0
PAGE = 1_000
PAGES_MAX = 10_000

Json = dict[str, Any]


def now_us() -> int:
    """The host's monotonic clock in microseconds."""
    return time.monotonic_ns() // 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """What every place of one store said at one moment; None where it did not answer."""

    at_us: int
    store: str
    edges: Mapping[str, Json | None]
    cloud: Json | None
    kitchen: Json | None

    @property
    def primary(self) -> Json | None:
        """The status of the primary with the highest epoch."""
        primaries = [status for status in self.edges.values() if status is not None and status["role"] == "primary"]
        return max(primaries, key=lambda status: int(status["epoch"]), default=None)

    @property
    def primary_slot(self) -> str | None:
        """Which device is primary: "a" or "b"."""
        primary = self.primary
        return None if primary is None else str(primary["slot"])

    @property
    def backlog(self) -> int | None:
        """How many committed entries the cloud does not have."""
        if self.primary is None or self.cloud is None:
            return None
        return int(self.primary["commit_seq"]) - int(self.cloud["cursor"]["seq"])

    def row(self, faults: list[str]) -> Json:
        """The line of `metrics/stack.jsonl`."""
        return {
            "at_us": self.at_us,
            "store": self.store,
            "edge_a": self.edges["a"],
            "edge_b": self.edges["b"],
            "cloud": self.cloud,
            "kitchen": self.kitchen,
            "faults": faults,
        }

    def differences(self) -> list[str]:
        """What stands between this moment and convergence, in words; empty when there is nothing."""
        primary = self.primary
        if primary is None:
            return ["no device is primary"]
        standby = self.edges["b" if primary["slot"] == "a" else "a"]
        place = {"seq": primary["commit_seq"], "hash": primary["commit_hash"]}
        found: list[str] = []
        if len(primary["members"]) < len(SLOTS):
            found.append("the store has one member only")
        if primary["last_seq"] != primary["commit_seq"]:
            found.append("the primary has entries that are not committed")
        if standby is None:
            found.append("the standby does not answer")
        elif {"seq": standby["commit_seq"], "hash": standby["commit_hash"]} != place:
            found.append(f"the standby stands at {standby['commit_seq']}, the primary at {place['seq']}")
        found += self._receiver_differences(primary, place)
        if primary["waiting"]:
            found.append(f"{primary['waiting']} requests wait")
        if primary.get("slips_waiting"):
            found.append(
                f"{primary['slips_waiting']} slips are not printed ({primary.get('printer_alarm') or 'no alarm'})"
            )
        if primary.get("rights_frozen"):
            found.append("rights to the stock are not settled after a fork")
        if primary.get("payments_under_way"):
            found.append(f"{primary['payments_under_way']} payments are under way")
        return found

    def _receiver_differences(self, primary: Json, place: Json) -> Iterable[str]:
        if self.cloud is None:
            yield "the cloud does not answer"
        elif self.cloud["cursor"] != place:
            yield f"the cloud stands at {self.cloud['cursor']['seq']}, the primary at {place['seq']}"
        elif self.cloud["last_number"] != primary["downlink_cursor"]:
            yield f"the store took {primary['downlink_cursor']} of {self.cloud['last_number']} orders from the cloud"
        if self.kitchen is None:
            yield "the kitchen display does not answer"
        elif self.kitchen["cursor"] != place:
            yield f"the kitchen display stands at {self.kitchen['cursor']['seq']}, the primary at {place['seq']}"
        elif self.kitchen["waiting"]:
            yield f"{self.kitchen['waiting']} tickets are not bumped"
        elif self.kitchen.get("held"):
            yield f"{self.kitchen['held']} orders hold courses back"


@dataclass
class Observer:
    """Reads the places of a stack. Use as an async context manager."""

    stack: Stack
    _http: httpx.AsyncClient = field(init=False, repr=False)

    async def __aenter__(self) -> Observer:
        self._http = httpx.AsyncClient(trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def sample(self, store: str, timeout_s: float = SAMPLE_TIMEOUT_S) -> Sample:
        """What every place of `store` says now."""
        at_us = now_us()
        urls = [f"{self.stack.url(f'{store}.edge_{slot}')}/v1/status" for slot in SLOTS]
        urls.append(f"{self.stack.url('cloud')}/v1/stores/{store}/status")
        urls.append(f"{self.stack.url(f'{store}.kitchen')}/v1/status")
        edge_a, edge_b, cloud, kitchen = await asyncio.gather(*(self._try(url, timeout_s) for url in urls))
        return Sample(at_us, store, {"a": edge_a, "b": edge_b}, cloud, kitchen)

    async def wait_converged(
        self,
        stores: Sequence[str],
        timeout_s: float,
        more: Callable[[Observer], Awaitable[list[str]]] | None = None,
    ) -> tuple[bool, str]:
        """Wait until nothing stands in the way of the final reads, by `more` neither; says what was awaited last."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            found = await more(self) if more is not None else []
            found += await platform_differences(self.stack, self._http, stores)
            for store in stores:
                sample = await self.sample(store, timeout_s=2.0)
                found += [f"{store}: {difference}" for difference in sample.differences()]
            if not found:
                return True, "all places stand at the primary's entry"
            if time.monotonic() > deadline_s:
                return False, "; ".join(found)
            await asyncio.sleep(0.2)

    async def read_all(self, folder: Path, stores: Iterable[str]) -> None:
        """Read every place of the stores to files in `folder`; a place that cannot be read leaves a file that says why."""
        for store in stores:
            target = folder / store
            target.mkdir(parents=True, exist_ok=True)
            reads: list[tuple[str, Callable[[str], Awaitable[Json]]]] = [
                ("edge_a", lambda store: self._edge(store, "a")),
                ("edge_b", lambda store: self._edge(store, "b")),
                ("cloud", self._cloud),
                ("kitchen", self._kitchen),
            ]
            if self.stack.has_gateway:
                reads.append(("gateway", self._gateway))
            if self.stack.has_delivery:
                reads.append(("delivery_platform", self._delivery_platform))
            if self.stack.has_printer(store):
                reads.append(("printer", self._printer))
            for name, read in reads:
                try:
                    content = await read(store)
                except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                    content = {"error": f"{name} of {store} could not be read: {type(error).__name__} {error}".strip()}
                (target / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    async def entries_after(self, store: str, slot: str, seq: int) -> tuple[str, list[Json]]:
        """The node id of a device, and its committed entries behind `seq`."""
        url = f"{self.stack.url(f'{store}.edge_{slot}')}/v1/audit/entries"
        entries: list[Json] = []
        headers = self.stack.operator_headers(store)
        for _ in range(PAGES_MAX):
            page = await self._get(url, {"from_seq": seq + len(entries) + 1, "limit": PAGE}, headers)
            entries += page["entries"]
            if len(page["entries"]) < PAGE:
                return str(page["node_id"]), entries
        raise ValueError(f"more than {PAGES_MAX} pages of entries")

    async def _edge(self, store: str, slot: str) -> Json:
        url = self.stack.url(f"{store}.edge_{slot}")
        headers = self.stack.operator_headers(store)
        entries = await self._entries(f"{url}/v1/audit/entries", {}, headers)
        set_aside = await self._get(f"{url}/v1/audit/set-aside", headers=headers)
        stock = await self._get(f"{url}/v1/audit/stock", headers=headers)
        status = await self._get(f"{url}/v1/status")
        return {"status": status, "entries": entries, "set_aside": set_aside["entries"], "stock": stock}

    async def _cloud(self, store: str) -> Json:
        url, headers = self.stack.url("cloud"), self.stack.chain_headers()
        entries = await self._entries(f"{url}/v1/audit/entries", {"store": store}, headers)
        orders: list[Json] = []
        for _ in range(PAGES_MAX):
            after = orders[-1]["order_id"] if orders else ""
            query = {"store": store, "limit": PAGE} | ({"after": after} if after else {})
            page = (await self._get(f"{url}/v1/audit/orders", query, headers))["orders"]
            orders += page
            if len(page) < PAGE:
                break
        alarms = await self._get(f"{url}/v1/audit/alarms", {"store": store}, headers)
        status = await self._get(f"{url}/v1/stores/{store}/status")
        stock = await self._get(f"{url}/v1/audit/stock", {"store": store}, headers)
        return {"status": status, "orders": orders, "entries": entries, "alarms": alarms["alarms"], "stock": stock}

    async def _delivery_platform(self, store: str) -> Json:
        return await read_platform(self.stack, self._pages, self._http, store)

    async def heal_platforms(self) -> bool:
        """Let the platforms that there are behave well from now on; False if one cannot be told so."""
        return await heal_platforms(self.stack, self._http)

    async def heal_gateway(self) -> bool:
        """Let the payment gateway, if there is one, behave well from now on; False if it cannot be told so."""
        if not self.stack.has_gateway:
            return True
        url = f"{self.stack.url('gateway')}/v1/operator/misbehaviour"
        try:
            return (await self._http.delete(url, timeout=READ_TIMEOUT_S)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    async def _gateway(self, store: str) -> Json:
        """The gateway's own books of this store, and how often it has misbehaved in what way."""
        url = self.stack.url("gateway")
        ledger = await self._pages(f"{url}/v1/audit/ledger", "movements")
        payments = await self._pages(f"{url}/v1/audit/payments", "payments")
        told = await self._get(f"{url}/v1/operator/misbehaviour")
        return {
            "movements": [row for row in (*ledger, *await self._coupon_ledger()) if row["merchant"] == store],
            "payments": [row for row in payments if row["merchant"] == store],
            "struck": told["struck"],
        }

    async def _printer(self, store: str) -> Json:
        """The paper that came out of the store's printer."""
        return {"slips": await self._pages(f"{self.stack.url(printer_name(store))}/v1/audit/paper", "slips")}

    async def _coupon_ledger(self) -> list[Json]:
        """What the coupon platform moved, if there is one: it settles payments as the gateway does."""
        if not self.stack.has_coupons:
            return []
        return await self._pages(f"{self.stack.url(COUPONS)}/v1/audit/ledger", "movements")

    async def _pages(self, url: str, name: str) -> list[Json]:
        rows: list[Json] = []
        after: int | None = 0
        for _ in range(PAGES_MAX):
            page = await self._get(url, {"after": after, "limit": PAGE})
            rows += page[name]
            after = page["next_after"]
            if after is None:
                return rows
        raise ValueError(f"more than {PAGES_MAX} pages of {name}")

    async def _kitchen(self, store: str) -> Json:
        url = self.stack.url(f"{store}.kitchen")
        tickets = await self._get(f"{url}/v1/audit/tickets")
        deliveries = await self._get(f"{url}/v1/audit/deliveries")
        status = await self._get(f"{url}/v1/status")
        return {"status": status, "tickets": tickets["tickets"], "deliveries": deliveries["deliveries"]}

    async def _entries(self, url: str, query: Json, headers: dict[str, str] | None = None) -> list[Json]:
        entries: list[Json] = []
        for _ in range(PAGES_MAX):
            page = (await self._get(url, {**query, "from_seq": len(entries) + 1, "limit": PAGE}, headers))["entries"]
            entries += page
            if len(page) < PAGE:
                break
        return entries

    async def _get(self, url: str, query: Json | None = None, headers: dict[str, str] | None = None) -> Json:
        answer = await self._http.get(url, params=query, headers=headers, timeout=READ_TIMEOUT_S)
        answer.raise_for_status()
        body: Json = answer.json()
        return body

    async def _try(self, url: str, timeout_s: float) -> Json | None:
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._http.get(url, timeout=timeout_s)
            body = answer.json() if answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError, TimeoutError):
            return None
        return body if isinstance(body, dict) else None
