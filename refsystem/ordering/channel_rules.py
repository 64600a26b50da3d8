"""When a channel pauses, and when it opens again by itself: its path is down, the queue is too long, or it has its share.

Pure: times and loads come in as arguments. Without rules nothing ever pauses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from refsystem.ordering.errors import Problem
from refsystem.ordering.order import CHANNELS, Channel

CHANNEL_PAUSED = Problem("channel-paused", 503, "This channel takes no orders now; nothing was written", True)
THROUGH_CLOUD: frozenset[Channel] = frozenset({"mini_program", "delivery"})
"""Channels whose orders reach a store over the WAN."""
RESUME_PERCENT = 80
"""A channel that paused for its load opens again below this part of what made it pause."""
TICKETS_MAX = 100_000

Reason = Literal["", "path_down", "queue_too_long", "share_used_up"]


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """Of one channel: pauses at `queue_max` open tickets of the store; has `share_percent` of them while the kitchen is busy."""

    queue_max: int | None = None
    share_percent: int | None = None


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """Of one store. Shares count from `busy_from` open tickets on. Times are real: they are about networks and clients.

    A channel through the cloud pauses when the other end was not heard for `path_silent_ms`. Whoever pauses stays so for
    `hold_ms` at least, lest it flutter.
    """

    rules: Mapping[Channel, ChannelRule] = field(default_factory=dict)
    busy_from: int = 20
    path_silent_ms: int = 3_000
    hold_ms: int = 1_000

    def rule(self, channel: Channel) -> ChannelRule:
        """The rule of one channel."""
        return self.rules.get(channel, ChannelRule())


@dataclass(frozen=True, slots=True)
class Load:
    """Of one store now: its open tickets by channel, and for how long the other end of the WAN was not heard."""

    open_tickets: Mapping[str, int]
    silent_ms: int = 0

    @property
    def total(self) -> int:
        """All open tickets."""
        return sum(self.open_tickets.values())


@dataclass(frozen=True, slots=True)
class ChannelState:
    """One channel: open, or paused for a `reason`, told in `detail`, since `since_ms`; ask again after `retry_after_s`."""

    channel: Channel
    reason: Reason = ""
    detail: str = ""
    since_ms: int = 0
    retry_after_s: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it takes orders."""
        return not self.reason


class ChannelBoard:
    """The channels of one store as one place sees them. Without `rules` all are open for ever."""

    def __init__(self, rules: ChannelRules | None) -> None:
        self._rules = rules
        self._states: dict[Channel, ChannelState] = {channel: ChannelState(channel) for channel in CHANNELS}

    @property
    def states(self) -> tuple[ChannelState, ...]:
        """Every channel, as it was at the last look."""
        return tuple(self._states.values())

    def state(self, channel: Channel) -> ChannelState:
        """One channel, as it was at the last look."""
        return self._states[channel]

    def look(self, load: Load, now_ms: int) -> tuple[ChannelState, ...]:
        """Pause and open what is to be paused and opened now; every channel."""
        if self._rules is not None:
            for channel, state in self._states.items():
                self._states[channel] = _next(self._rules, state, load, now_ms)
        return self.states


def _next(rules: ChannelRules, state: ChannelState, load: Load, now_ms: int) -> ChannelState:
    resuming = not state.is_open
    reason, detail = _reason(rules, state.channel, load, RESUME_PERCENT if resuming else 100)
    if resuming and not reason and now_ms - state.since_ms < rules.hold_ms:
        return state
    if reason == state.reason:
        return ChannelState(state.channel, reason, detail, state.since_ms, _retry_after_s(rules, reason))
    return ChannelState(state.channel, reason, detail, now_ms, _retry_after_s(rules, reason))


def _reason(rules: ChannelRules, channel: Channel, load: Load, percent: int) -> tuple[Reason, str]:
    """Why a channel is to be paused, if it is; limits count by `percent` of them."""
    rule = rules.rule(channel)
    if channel in THROUGH_CLOUD and load.silent_ms >= rules.path_silent_ms:
        return "path_down", f"store and cloud have not heard each other for {load.silent_ms // 1000} s"
    if rule.queue_max is not None and load.total * 100 >= rule.queue_max * percent:
        return "queue_too_long", f"{load.total} tickets are open; this channel pauses at {rule.queue_max}"
    own = load.open_tickets.get(channel, 0)
    busy = load.total >= rules.busy_from
    if rule.share_percent is not None and busy and own * 10_000 >= rule.share_percent * load.total * percent:
        told = f"{own} of {load.total} open tickets are of this channel, whose share is {rule.share_percent} %"
        return "share_used_up", told
    return "", ""


def _retry_after_s(rules: ChannelRules, reason: Reason) -> int:
    return max(1, -(-rules.hold_ms // 1000)) if reason else 0


def read_channel_rules(text: str) -> ChannelRules | None:
    """The rules in a JSON text: `busy_from`, `path_silent_ms`, `hold_ms`, `channels` {name: {queue_max, share_percent}}.

    None for an empty text; raises `ValueError` that names the field.
    """
    if not text:
        return None
    try:
        said: Any = json.loads(text)
    except ValueError as error:
        raise ValueError(f"is not JSON ({error})") from error
    if not isinstance(said, dict) or set(said) - {"busy_from", "path_silent_ms", "hold_ms", "channels"}:
        raise ValueError(
            "must be an object with busy_from, path_silent_ms, hold_ms and channels, each of which may be left out"
        )
    channels = said.get("channels", {})
    if not isinstance(channels, dict) or set(channels) - set(CHANNELS):
        raise ValueError(f"channels must name some of {', '.join(CHANNELS)}")
    return ChannelRules(
        {name: _rule(name, rule) for name, rule in channels.items()},
        _whole("busy_from", said.get("busy_from", 20), 0, TICKETS_MAX),
        _whole("path_silent_ms", said.get("path_silent_ms", 3_000), 1, 3_600_000),
        _whole("hold_ms", said.get("hold_ms", 1_000), 0, 3_600_000),
    )


def _rule(name: str, said: Any) -> ChannelRule:
    if not isinstance(said, dict) or set(said) - {"queue_max", "share_percent"}:
        raise ValueError(f"channels.{name} must be an object with queue_max or share_percent")
    queue_max, share = said.get("queue_max"), said.get("share_percent")
    return ChannelRule(
        None if queue_max is None else _whole(f"channels.{name}.queue_max", queue_max, 1, TICKETS_MAX),
        None if share is None else _whole(f"channels.{name}.share_percent", share, 0, 100),
    )


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
    return value
