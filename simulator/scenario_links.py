"""How a link of a scenario is: figures, a profile, or a recording."""

from __future__ import annotations

from pydantic import Field

from simulator.network import LinkProfile, symmetric
from simulator.scenario_fields import BurstPackets, JitterMs, LatencyMs, LossPercent, RateKbitS, Strict


class LinkState(Strict):
    """How a link is: the name of a profile, or figures that hold in both directions, or a recording of its capacity."""

    profile: str | None = Field(None, description="Name of a link profile, built in or of this file's `profiles`.")
    latency_ms: LatencyMs | None = None
    jitter_ms: JitterMs | None = None
    rate_kbit_s: RateKbitS | None = None
    loss_percent: LossPercent | None = None
    burst_packets: BurstPackets | None = None
    trace: str | None = Field(
        None,
        min_length=1,
        max_length=4_096,
        description="File with recorded capacity (Mahimahi's format, .gz too), of the download if trace_up is given as well.",
    )
    trace_up: str | None = Field(
        None, min_length=1, max_length=4_096, description="File with the recorded capacity of the upload (`to`)."
    )

    @property
    def has_figures(self) -> bool:
        """Whether any figure is given."""
        figures = (self.latency_ms, self.jitter_ms, self.rate_kbit_s, self.loss_percent, self.burst_packets)
        return any(figure is not None for figure in figures)

    def figures(self, name: str) -> LinkProfile:
        """The figures as a profile with this name; what is not given adds nothing and limits nothing."""
        figures = symmetric(
            name,
            self.latency_ms or 0.0,
            self.jitter_ms or 0.0,
            self.rate_kbit_s,
            "this scenario",
            loss_percent=self.loss_percent or 0.0,
            burst_packets=self.burst_packets,
        )
        return self.replayed(figures)

    def replayed(self, profile: LinkProfile) -> LinkProfile:
        """A profile with the recorded capacity that is given, if one is."""
        return profile if self.trace is None else profile.replaying(self.trace_up or self.trace, self.trace)


class ProfileFigures(Strict):
    """A link profile of this scenario's own, the same in both directions."""

    latency_ms: LatencyMs = 0.0
    jitter_ms: JitterMs = 0.0
    rate_kbit_s: RateKbitS | None = Field(
        None, description="Bandwidth in each direction, in kilobits per second; none: unlimited."
    )
    loss_percent: LossPercent = 0.0
    burst_packets: BurstPackets | None = None
