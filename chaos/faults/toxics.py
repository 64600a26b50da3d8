"""Toxics: how a link profile is rendered on a proxy, and what an exchange over the link then takes at least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.network import LinkProfile

RTO_LEAST_MS = 200  # of Linux: what its retransmission timeout is above the round trip, at least
KBIT_PER_KB = 8
RATE_SLACK_MS = 5.0
"""What a narrow link may be ahead of its rate in one exchange: it makes up for a sender that is a little late."""


@dataclass(frozen=True, slots=True)
class Toxic:
    """A toxic to be put on a stream of a proxy."""

    kind: str
    stream: str
    attributes: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name on the server."""
        return f"{self.kind}_{self.stream}"


def toxics_of(profile: LinkProfile) -> list[Toxic]:
    """The toxics that render a profile. `to` is the upstream direction of the proxy, `from` the downstream.

    Losses stand before the rate, so that they hit whole packets. A path of a recording is made absolute: the server looks it up.
    """
    toxics: list[Toxic] = []
    for stream, latency_ms, rate_kbit_s, trace in (
        ("upstream", profile.latency_to_ms, profile.rate_to_kbit_s, profile.trace_to),
        ("downstream", profile.latency_from_ms, profile.rate_from_kbit_s, profile.trace_from),
    ):
        if latency_ms or profile.jitter_ms:
            toxics.append(
                Toxic(
                    "latency",
                    stream,
                    {"latency": round(latency_ms), "jitter": round(min(profile.jitter_ms, latency_ms))},
                )
            )
        if profile.loss_percent:
            toxics.append(Toxic("burst_loss", stream, _loss_of(profile)))
        if rate_kbit_s is not None:
            toxics.append(Toxic("bandwidth", stream, _rate_of(rate_kbit_s)))
        if trace is not None:
            toxics.append(Toxic("trace", stream, {"path": str(Path(trace).absolute())}))
    return toxics


def _rate_of(kbit_s: float) -> dict[str, Any]:
    """In whole KB a second, as the original has it; and finer, for a server that knows that, where it makes a difference."""
    rate, bytes_s = max(1, round(kbit_s / KBIT_PER_KB)), max(1, round(kbit_s * 1000 / KBIT_PER_KB))
    return {"rate": rate} if rate * 1000 == bytes_s else {"rate": rate, "rate_bytes_s": bytes_s}


def _loss_of(profile: LinkProfile) -> dict[str, Any]:
    round_trip_ms = round(profile.round_trip_ms)
    burst = {} if profile.burst_packets is None else {"burst_packets": profile.burst_packets}
    timing = {"rto_ms": RTO_LEAST_MS + round_trip_ms, "rtt_ms": round_trip_ms}
    return {"loss_percent": profile.loss_percent, **burst, **timing}


def stalls(profile: LinkProfile) -> bool:
    """Whether a link like this may carry nothing for seconds."""
    return bool(profile.loss_percent or profile.trace_to or profile.trace_from)


def least_round_trip_ms(profile: LinkProfile, kind: str, sent_bytes: int = 0, received_bytes: int = 0) -> float:
    """The shortest time that a profile allows for an exchange of so many bytes; a peer's connection carries data one way only."""
    return least_latency_ms(profile, kind) + least_transfer_ms(profile, sent_bytes, received_bytes)


def least_latency_ms(profile: LinkProfile, kind: str) -> float:
    """The shortest round trip of the smallest exchange, in ms."""
    jitter_ms = min(profile.jitter_ms, profile.latency_to_ms)
    to_ms = max(0.0, round(profile.latency_to_ms) - jitter_ms)
    from_ms = 0.0 if kind == "edge_edge" else max(0.0, round(profile.latency_from_ms) - jitter_ms)
    return to_ms + from_ms


def least_transfer_ms(profile: LinkProfile, sent_bytes: int, received_bytes: int) -> float:
    """What the rates of a profile take for so many bytes, in ms."""
    directions = ((profile.rate_to_kbit_s, sent_bytes), (profile.rate_from_kbit_s, received_bytes))
    took_ms = sum(length_bytes * KBIT_PER_KB / rate for rate, length_bytes in directions if rate is not None)
    return max(0.0, took_ms - RATE_SLACK_MS)


def least_of_all_ms(profiles: Sequence[LinkProfile], kind: str, sent_bytes: int, received_bytes: int) -> float:
    """The same for profiles that are on a link together: latencies add up, and the narrowest one sets the pace."""
    latency_ms = sum(least_latency_ms(profile, kind) for profile in profiles)
    return latency_ms + max((least_transfer_ms(each, sent_bytes, received_bytes) for each in profiles), default=0.0)
