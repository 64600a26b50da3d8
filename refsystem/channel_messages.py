"""How the states of a store's channels are told over HTTP, by its devices and by the cloud."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from refsystem.ordering.channel_rules import CHANNEL_PAUSED, ChannelState
from refsystem.problems import ProblemError


class ChannelReply(BaseModel):
    """One channel. `reason` empty: open. `paused_ms`: for how long it has been paused."""

    channel: str
    state: str
    reason: str
    detail: str
    paused_ms: int
    retry_after_s: int


class ChannelsReply(BaseModel):
    """Every channel of a store, its open tickets by channel, and for how long the other end of the WAN was not heard."""

    store: str
    channels: list[ChannelReply]
    open_tickets: dict[str, int]
    silent_ms: int


def channels_json(
    store: str, states: Iterable[ChannelState], open_tickets: dict[str, int], silent_ms: int, now_ms: int
) -> dict[str, Any]:
    """The body of `GET /v1/channels`."""
    return {
        "store": store,
        "channels": [
            {
                "channel": state.channel,
                "state": "open" if state.is_open else "paused",
                "reason": state.reason,
                "detail": state.detail,
                "paused_ms": 0 if state.is_open else max(0, now_ms - state.since_ms),
                "retry_after_s": state.retry_after_s,
            }
            for state in states
        ],
        "open_tickets": open_tickets,
        "silent_ms": silent_ms,
    }


def must_be_open(state: ChannelState) -> None:
    """Raises `ProblemError` channel-paused if the channel takes no orders."""
    if not state.is_open:
        told = f"{state.channel} is paused: {state.detail}; it opens again by itself"
        raise ProblemError(CHANNEL_PAUSED, told, retry_after_s=state.retry_after_s)
