"""What a drill receives into stock before its load is in its history, every try of it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import httpx
import pytest

from chaos.opening_history import OpeningHistory
from refsystem.ordering.stock_acts import Receive
from refsystem.ordering.store_acts import StoreAct
from simulator.history import read_history

KEY = "0192aaaa-0000-4000-8000-000000000001"
BODY = {"act": "receive", "ingredient_id": "fish", "lot_id": "opening", "quantity": 10}


def test_every_try_is_a_row_and_one_without_an_answer_stays_indefinite(tmp_path: Path) -> None:
    rows_when_sent: list[int] = []

    def device(request: httpx.Request) -> httpx.Response:
        rows_when_sent.append(len(read_history(tmp_path)))
        if len(rows_when_sent) == 1:
            raise httpx.ReadTimeout("nothing came", request=request)
        if len(rows_when_sent) == 2:
            return httpx.Response(503, json={"type": "urn:rushproof:not-primary", "status": 503})
        told = {"act_id": KEY, "level": "R2", "node_id": "n-a", "epoch": 1, "seq": 4}
        return httpx.Response(201, json=told)

    async def receive() -> None:
        headers = {"Idempotency-Key": KEY}
        with contextlib.closing(OpeningHistory(tmp_path)) as history:
            async with httpx.AsyncClient(transport=httpx.MockTransport(device)) as http:
                with pytest.raises(httpx.ReadTimeout):
                    await history.post(http, "http://a/v1/acts", "s1", BODY, headers)
                for _ in range(2):
                    await history.post(http, "http://a/v1/acts", "s1", BODY, headers)

    asyncio.run(receive())
    assert rows_when_sent == [1, 2, 3], "each was written before it was sent"
    attempts = read_history(tmp_path)
    assert [(row.attempt, row.outcome) for row in attempts][::2] == [(1, "indefinite"), (3, "ok")]
    assert (attempts[2].level, attempts[2].seq, attempts[2].act) == ("R2", 4, "receive")
    assert {row.body_hash for row in attempts} == {StoreAct(KEY, "", Receive("fish", "opening", 10)).body_hash}
