"""The toxics: for each type its attributes and the stage that applies it to one direction of one connection.

Attributes that would be harmful elsewhere are refused (negative numbers) or do nothing (a slicer of size 0).
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.proxy.schedule import Phase, Schedule
from chaos.proxy.toxics.bandwidth import Bandwidth
from chaos.proxy.toxics.base import CHUNK_BYTES_MAX, Attributes, Chunk, Closing, Direction, Item, Stage
from chaos.proxy.toxics.burst_loss import BurstLoss
from chaos.proxy.toxics.closings import LimitData, ResetPeer, SlowClose, Timeout
from chaos.proxy.toxics.connecting import HalfOpen, SlowConnect
from chaos.proxy.toxics.http_status import HttpStatus
from chaos.proxy.toxics.latency import Latency
from chaos.proxy.toxics.noop import Noop
from chaos.proxy.toxics.slicer import Slicer
from chaos.proxy.toxics.trace import Trace

__all__ = [
    "CHUNK_BYTES_MAX",
    "TOXIC_TYPES",
    "Attributes",
    "Bandwidth",
    "BurstLoss",
    "Chunk",
    "Closing",
    "Direction",
    "HalfOpen",
    "HttpStatus",
    "Item",
    "Latency",
    "LimitData",
    "Noop",
    "ResetPeer",
    "Slicer",
    "SlowClose",
    "SlowConnect",
    "Stage",
    "Timeout",
    "Toxic",
    "Trace",
]

TOXIC_TYPES: dict[str, type[Attributes]] = {
    "bandwidth": Bandwidth,
    "burst_loss": BurstLoss,
    "half_open": HalfOpen,
    "http_status": HttpStatus,
    "latency": Latency,
    "limit_data": LimitData,
    "noop": Noop,
    "reset_peer": ResetPeer,
    "slicer": Slicer,
    "slow_close": SlowClose,
    "slow_connect": SlowConnect,
    "timeout": Timeout,
    "trace": Trace,
}

ALWAYS = Phase(on=True, round=1)


@dataclass(frozen=True, slots=True)
class Toxic:
    """One toxic of one proxy, as the API shows it.

    `stream` stands as the client typed it ("Upstream" is valid); `direction` is what it means. `toxicity` is the share
    of connections that it hits, not checked for its range. `phase` is how things stand with its `schedule`: the proxy sets
    it; a toxic without a schedule always acts.
    """

    name: str
    type: str
    stream: str
    direction: Direction
    toxicity: float
    attributes: Attributes
    schedule: Schedule | None = None
    phase: Phase = ALWAYS

    @property
    def attributes_now(self) -> Attributes:
        """The attributes as far as a ramp has come."""
        return self.attributes if self.phase.share >= 1 else self.attributes.ramped(self.phase.share)
