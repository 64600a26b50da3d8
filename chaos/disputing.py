"""Payers who dispute a card payment at their bank while a drill runs, and win: the store must learn of it and bear the loss.

They stand outside of the system: what was disputed and lost is what the gateway's own ledger says, against which the audit
holds the log. A store learns of a lost dispute by a callback only, which is tried again later and later; so the drill is at
rest when the log knows of all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from chaos.observer import Observer, now_us
from simulator.distributions import exponential
from simulator.scenario import Scenario
from simulator.streams import Streams

LOOK_EVERY_S = 0.5
PAGE = 1_000
TRY_AGAIN_S = 0.3
TRIES_MAX = 40
TIMEOUT_S = 3.0


@dataclass
class Tally:
    """What became of the disputes: those that were opened, by their payments, and how they ended."""

    opened: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    gave_up: int = 0


class Disputing:
    """The disputes of one run: `run` beside the load; afterwards `untold` says what the log lacks."""

    def __init__(self, scenario: Scenario, seed: int, path: Path) -> None:
        self._scenario, self._streams, self._path = scenario, Streams(seed), path
        self._seen: set[str] = set()
        self._store_of: dict[str, str] = {}
        self._told: set[str] = set()
        self._read_seq: dict[tuple[str, str], int] = {}
        self.tally = Tally()

    async def run(self, url: str, load_ended: Callable[[], bool]) -> None:
        """Dispute at the gateway `url` what is captured, each in its time, until the load ends; writes what became of it."""
        said = self._scenario.payments
        if said is None or not said.disputes:
            return
        over = asyncio.Event()
        async with httpx.AsyncClient(trust_env=False, base_url=url, timeout=TIMEOUT_S) as http:
            try:
                async with asyncio.TaskGroup() as tasks:
                    while not load_ended():
                        for payment in await self._captured(http):
                            at_us = self._at_us(payment, said.disputes, said.dispute_after_s)
                            if at_us is not None:
                                tasks.create_task(self._dispute(http, payment, at_us, over))
                        await asyncio.sleep(LOOK_EVERY_S)
                    over.set()
            finally:
                self._path.write_text(json.dumps(asdict(self.tally)) + "\n", encoding="utf-8")

    async def untold(self, observer: Observer) -> list[str]:
        """What stands between this moment and a log that knows of every lost dispute, in words."""
        waiting = [attempt_id for attempt_id in self.tally.lost if attempt_id not in self._told]
        for store in sorted({self._store_of[attempt_id] for attempt_id in waiting}):
            await self._read(observer, store)
        count = sum(attempt_id not in self._told for attempt_id in self.tally.lost)
        return [f"{count} lost disputes are not in the log"] if count else []

    async def _captured(self, http: httpx.AsyncClient) -> Sequence[Mapping[str, Any]]:
        """The card payments that were captured since the last look; none while the gateway does not answer."""
        found: list[Mapping[str, Any]] = []
        after: int | None = 0
        try:
            while after is not None:
                answer = await http.get("/v1/audit/payments", params={"after": after, "limit": PAGE})
                answer.raise_for_status()
                page = answer.json()
                found += page["payments"]
                after = page["next_after"]
        except (httpx.HTTPError, ValueError):
            pass
        new = [
            payment
            for payment in found
            if payment["tender"] == "card"
            and payment["captured_at_us"] is not None
            and not payment["refunded_minor"]
            and payment["attempt_id"] not in self._seen
        ]
        self._seen.update(payment["attempt_id"] for payment in new)
        return new

    def _at_us(self, payment: Mapping[str, Any], share: float, after_s: float) -> int | None:
        """When its payer disputes it; None: never. Drawn by the payment's id, whenever it is seen."""
        attempt_id = payment["attempt_id"]
        if self._streams.uniform(f"disputes {attempt_id}") >= share:
            return None
        wait_s = exponential(self._streams.uniform(f"disputes after {attempt_id}"), after_s)
        return int(payment["captured_at_us"]) + self._scenario.scaled_us(wait_s)

    async def _dispute(
        self, http: httpx.AsyncClient, payment: Mapping[str, Any], at_us: int, over: asyncio.Event
    ) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), max(0.0, (at_us - now_us()) / 1e6))
            return  # its time has not come before the end
        attempt_id = str(payment["attempt_id"])
        dispute_id = self._key(f"dispute {attempt_id}")
        body = {"attempt_id": attempt_id, "amount_minor": payment["captured_minor"], "reason": "not what was ordered"}
        if not await _persistently(http, "/v1/operator/disputes", body, dispute_id):
            self.tally.gave_up += 1
            return
        self._store_of[attempt_id] = str(payment["merchant"])
        self.tally.opened.append(attempt_id)
        path = f"/v1/operator/disputes/{dispute_id}/rulings"
        if await _persistently(http, path, {"winner": "payer"}, self._key(f"ruling {attempt_id}")):
            self.tally.lost.append(attempt_id)
        else:
            self.tally.gave_up += 1

    async def _read(self, observer: Observer, store: str) -> None:
        """Read on in the primary's log; what is there is known."""
        slot = (await observer.sample(store, timeout_s=2.0)).primary_slot
        if slot is None:
            return
        seq = self._read_seq.get((store, slot), 0)
        try:
            _, entries = await observer.entries_after(store, slot, seq)
        except (httpx.HTTPError, ValueError, KeyError):
            return
        for entry in entries:
            record = entry["record"]
            if record.get("act") == "payment_outcome" and record["outcome"] == "charged_back":
                self._told.add(record["attempt_id"])
        self._read_seq[store, slot] = seq + len(entries)

    def _key(self, purpose: str) -> str:
        return str(UUID(int=self._streams.bits(128, purpose), version=4))


async def _persistently(http: httpx.AsyncClient, path: str, body: Mapping[str, Any], key: str) -> bool:
    """Whether the gateway did it; asked again under its key while it is away or misbehaves."""
    for _ in range(TRIES_MAX):
        try:
            answer = await http.post(path, json=dict(body), headers={"Idempotency-Key": key})
        except httpx.HTTPError:
            await asyncio.sleep(TRY_AGAIN_S)
            continue
        if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
            return answer.is_success
        await asyncio.sleep(TRY_AGAIN_S)
    return False
