"""The rows of what a drill itself does before its load: an act that no row tells of is one that nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from loadtests.contract import Reply, classify
from loadtests.plan import monotonic_us
from refsystem.ordering.store_acts import parse_store_act
from simulator.history import Attempt, HistoryWriter

PROCESS = "stocking"


class OpeningHistory:
    """Writes a row for each time that an act is sent, before it is sent, and again when it is answered."""

    def __init__(self, folder: Path) -> None:
        self._writer = HistoryWriter(folder, PROCESS)
        self._sent: dict[str, int] = {}

    async def post(
        self, http: httpx.AsyncClient, url: str, store: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> httpx.Response:
        """Send the act `body` to a device; what the client raises stays an attempt of which nothing is known."""
        key = headers["Idempotency-Key"]
        row = self._row(store, key, body)
        self._writer.invoke(row)
        answer = await http.post(url, json=dict(body), headers=dict(headers))
        told = classify("act", key, Reply(answer.status_code, dict(answer.headers), answer.content))
        self._writer.complete(
            replace(
                row,
                completed_at_us=monotonic_us(),
                outcome=told.outcome,
                level=told.level,
                status=told.status,
                problem=told.problem,
                node_id=told.node_id,
                epoch=told.epoch,
                seq=told.seq,
            )
        )
        return answer

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def _row(self, store: str, key: str, body: Mapping[str, Any]) -> Attempt:
        act, now_us = parse_store_act(key, "", dict(body)), monotonic_us()
        self._sent[key] = self._sent.get(key, 0) + 1
        return Attempt(
            process=PROCESS,
            op=self._writer.next_op(),
            store=store,
            table="",
            channel="",
            intent_id="",
            order_id="",
            attempt=self._sent[key],
            kind="act",
            intended_at_us=now_us,
            invoked_at_us=now_us,
            body_hash=act.body_hash,
            act=act.name,
            act_id=key,
            door="edge",
        )
