"""What the models of a scenario are made of: their base, and the figures that many of them have."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]
LatencyMs = Annotated[
    float, Field(ge=0, le=60_000, description="One-way latency added in each direction, in milliseconds.")
]
JitterMs = Annotated[
    float, Field(ge=0, le=60_000, description="The most that is added to or taken from each latency, in milliseconds.")
]
RateKbitS = Annotated[
    float, Field(gt=0, le=10_000_000, description="Bandwidth in each direction, in kilobits per second.")
]
LossPercent = Annotated[float, Field(ge=0, le=90, description="Share of packets lost in each direction, in percent.")]
BurstPackets = Annotated[
    float,
    Field(ge=1, le=1_000, description="Mean length of a burst of losses, in packets; left out: independent losses."),
]


class Strict(BaseModel):
    """No unknown fields, no silent conversion, no change after reading."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=False
    )
