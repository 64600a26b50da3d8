"""A device refuses orders on a channel that is paused, answers keys that it knows all the same, and opens it again by itself."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from refsystem.edge.channels import EdgeChannels
from refsystem.ordering.channel_rules import ChannelRule, ChannelRules

RULES = ChannelRules({"qr": ChannelRule(queue_max=2)}, hold_ms=0, path_silent_ms=60_000)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("waited in vain")


def test_a_paused_channel_refuses_new_orders_and_answers_known_keys(run_alone: Callable[..., None]) -> None:
    async def conversation(alone: Any) -> None:
        told = (await alone.client.get("/v1/channels")).json()
        assert {row["state"] for row in told["channels"]} == {"open"}, "without rules nothing pauses"
        settings = replace(alone.driver.settings, channel_rules=RULES)
        heard_us = [10**18]
        alone.driver.channels = EdgeChannels(settings, alone.driver.device, lambda: heard_us[0])
        keys = [str(uuid.uuid4()) for _ in range(4)]
        assert [(await alone.post(key)).status_code for key in keys[:2]] == [201, 201]
        await until(lambda: alone.driver.channels.told()["open_tickets"] == {"qr": 2})
        refused = await alone.post(keys[2])
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:rushproof:problem:channel-paused")
        assert refused.json()["definite"] is True
        assert refused.headers["Retry-After"] == "1"
        assert "2 tickets are open; this channel pauses at 2" in refused.json()["detail"]
        assert (await alone.post(keys[0])).status_code == 201, "a known key is answered (P6)"
        assert (await alone.post(keys[3], channel="cashier", table="")).status_code == 201, "another channel is open"
        for order_id in keys[:2]:
            alone.driver.device.admission.bump(order_id, 1, "kitchen")
        alone.driver.pump()
        await until(lambda: alone.driver.channels.told()["open_tickets"] == {"cashier": 1})
        assert (await alone.post(keys[2])).status_code == 201
        heard_us[0] = 0

        def reasons() -> list[str]:
            told = {row["channel"]: row["reason"] for row in alone.driver.channels.told()["channels"]}
            return [told["delivery"], told["mini_program"], told["qr"]]

        await until(lambda: reasons() == ["path_down", "path_down", "queue_too_long"])

    run_alone(conversation)
