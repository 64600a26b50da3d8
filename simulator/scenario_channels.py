"""When channels of the stores pause, as a scenario says it."""

from __future__ import annotations

import json

from pydantic import Field

from refsystem.ordering.channel_rules import TICKETS_MAX
from refsystem.ordering.order import Channel
from simulator.scenario_fields import Strict


class ChannelLimits(Strict):
    """The limits of one channel."""

    queue_max: int | None = Field(
        None, ge=1, le=TICKETS_MAX, description="It pauses when so many tickets are open in the store; null: never."
    )
    share_percent: int | None = Field(
        None, ge=0, le=100, description="Its share of the open tickets while the kitchen is busy; null: all of them."
    )


class ChannelPauses(Strict):
    """Channels pause, say so, and open again by themselves. Left out: none ever pauses."""

    busy_from: int = Field(20, ge=0, le=TICKETS_MAX, description="Shares count from so many open tickets on.")
    path_silent_ms: int = Field(
        3_000,
        ge=1,
        le=3_600_000,
        description="A channel through the cloud pauses when store and cloud have not heard each other for so long, real.",
    )
    hold_ms: int = Field(1_000, ge=0, le=3_600_000, description="A pause lasts at least so long, in real milliseconds.")
    channels: dict[Channel, ChannelLimits] = Field(default_factory=dict, description="Limits by channel.")

    def to_json(self) -> str:
        """As devices and cloud take it."""
        return json.dumps(self.model_dump(mode="json", exclude_none=True))
