"""Link profiles: weak and good networks as data, each with units, direction and the source of its figures.

A link has two directions. *to* leads from the end named first to the end named second and carries requests: the
upload of a diner or of a store. *from* carries the answers back: the download. Latency is one-way; a source that
gives a round trip is split over the two directions. Jitter is the most that is added to or taken from each latency.

Loss is a share of packets, the same in both directions, and is rendered as TCP shows it: as retransmission stalls and a lower
rate. Where a source gives only the mean, losses are independent of one another, a burst of 1/(1 - loss) packets in the
mean: these tools (dummynet, netem with a plain percentage) drop each packet by itself. The losses of Wi-Fi are in the
jitter of the store profiles, because the radio repeats lost frames itself.

A `cellular_…` profile has the latency only; its capacity, which always changes, comes from a recording that a scenario names
(`trace`), in Mahimahi's format: one direction of a link, a line = the ms at which one packet of 1500 bytes can pass.

Sources: Apple's Network Link Conditioner, Chrome DevTools, WebPageTest, Facebook's Augmented Traffic Control (ATC)
and the tool "Comcast", as collected by their vendors; "[G]" marks a guess of this project.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

PACKET_BYTES = 1_500
MATHIS_CONSTANT = math.sqrt(3 / 2)


@dataclass(frozen=True, slots=True)
class LinkProfile:
    """The state of a link. A rate of None is unlimited; `burst_packets` of None: independent losses.

    `trace_to` and `trace_from` are files with recorded capacity, in place of a rate; `needs_trace`: it is nothing without them.
    """

    name: str
    latency_to_ms: float
    latency_from_ms: float
    jitter_ms: float
    rate_to_kbit_s: float | None
    rate_from_kbit_s: float | None
    source: str
    loss_percent: float = 0.0
    burst_packets: float | None = None
    trace_to: str | None = None
    trace_from: str | None = None
    needs_trace: bool = False

    @property
    def round_trip_ms(self) -> float:
        """The latency of both directions."""
        return self.latency_to_ms + self.latency_from_ms

    @property
    def rate_with_losses_kbit_s(self) -> float | None:
        """What losses leave of a sender's rate (MSS / RTT · sqrt(3/2) / sqrt(q), Mathis and others 1997); None: all of it.

        q is the number of bursts of losses for each packet, since a sender slows down once for all losses of one burst.
        """
        loss = self.loss_percent / 100
        bursts = loss * (1 - loss) if self.burst_packets is None else loss / self.burst_packets
        if not self.round_trip_ms or not bursts:
            return None
        return 8 * PACKET_BYTES / self.round_trip_ms * MATHIS_CONSTANT / math.sqrt(bursts)

    def replaying(self, trace_to: str, trace_from: str) -> LinkProfile:
        """The profile with the recorded capacity of two files in place of its rates."""
        return replace(
            self,
            trace_to=trace_to,
            trace_from=trace_from,
            rate_to_kbit_s=None,
            rate_from_kbit_s=None,
            needs_trace=False,
        )


def symmetric(
    name: str,
    latency_ms: float,
    jitter_ms: float,
    rate_kbit_s: float | None,
    source: str,
    *,
    loss_percent: float = 0.0,
    burst_packets: float | None = None,
) -> LinkProfile:
    """A profile that is the same in both directions; `latency_ms` is one-way."""
    return LinkProfile(
        name, latency_ms, latency_ms, jitter_ms, rate_kbit_s, rate_kbit_s, source, loss_percent, burst_packets
    )


def _profile(
    name: str,
    one_way_ms: float | tuple[float, float],
    down_up_kbit_s: tuple[float | None, float | None],
    source: str,
    *,
    jitter_ms: float = 0.0,
    loss_percent: float = 0.0,
    needs_trace: bool = False,
) -> LinkProfile:
    """A profile as the sources write it: rates as (down, up), latency one-way or as (down, up)."""
    latency_from_ms, latency_to_ms = one_way_ms if isinstance(one_way_ms, tuple) else (one_way_ms, one_way_ms)
    rate_from, rate_to = down_up_kbit_s
    return LinkProfile(
        name,
        latency_to_ms,
        latency_from_ms,
        jitter_ms,
        rate_to,
        rate_from,
        source,
        loss_percent,
        needs_trace=needs_trace,
    )


_APPLE = "Apple Network Link Conditioner"
_CHROME = "Chrome DevTools"
_WEBPAGETEST = "WebPageTest"
_ATC = "Facebook ATC"
_COMCAST = "Comcast (the tool)"
_CELLULAR = "[G] latency of a mobile network; capacity from the recording"

BUILT_IN_PROFILES: dict[str, LinkProfile] = {
    profile.name: profile
    for profile in (
        _profile("store_wifi_good", 3, (20_000, 20_000), "[G] a modern access point, few guests", jitter_ms=2),
        _profile("store_wifi_crowded", 35, (2_000, 1_000), "[G] a full dining room on one access point", jitter_ms=25),
        _profile("store_wifi_far_corner", 80, (500, 250), "[G] two walls away, low signal", jitter_ms=60),
        _profile("store_lan", 0.5, (100_000, 100_000), "[G] 100 Mbit/s Ethernet", jitter_ms=0.2),
        _profile("4g_fallback", 35, (12_000, 4_000), "[G] a store's mobile fallback router", jitter_ms=15),
        _profile("dsl", 25, (1_500, 384), f"{_WEBPAGETEST}: DSL, RTT 50"),
        _profile("cable", 14, (5_000, 1_000), f"{_WEBPAGETEST}: cable, RTT 28"),
        _profile("fibre", 2, (20_000, 5_000), f"{_WEBPAGETEST}: fibre, RTT 4"),
        _profile("apple_dsl", 5, (2_000, 256), f"{_APPLE}: DSL"),
        _profile("apple_cable", 2, (6_000, 1_000), f"{_APPLE}: cable"),
        _profile("wifi", 1, (40_000, 33_000), f"{_APPLE}: Wi-Fi"),
        _profile("3g_average", 100, (780, 330), f"{_APPLE} and {_ATC}: 3G average"),
        _profile("3g_good", 90, (850, 420), f"{_APPLE}: 3G good"),
        _profile("3g", 150, (1_600, 768), f"{_WEBPAGETEST}: 3G, RTT 300"),
        _profile("3g_slow", 100, (780, 330), f"{_WEBPAGETEST}: 3G slow, RTT 200"),
        _profile("3g_fast", 75, (1_600, 768), f"{_WEBPAGETEST}: 3G fast, RTT 150"),
        _profile("edge", 420, (240, 200), f"{_WEBPAGETEST}: Edge, RTT 840"),
        _profile("edge_average", (400, 440), (240, 200), f"{_APPLE}: Edge average"),
        _profile("edge_lossy", (400, 440), (240, 200), f"{_APPLE} and {_ATC}: Edge lossy", loss_percent=1),
        _profile("very_bad_network", 500, (1_000, 1_000), f"{_APPLE}: Very Bad Network", loss_percent=10),
        _profile("chrome_3g", 1_000, (400, 400), f"{_CHROME}: 3G, RTT 2000"),
        _profile("slow_4g", 281.25, (1_440, 675), f"{_CHROME}: Slow 4G, RTT 562.5"),
        _profile("fast_4g", 82.5, (8_100, 1_350), f"{_CHROME}: Fast 4G, RTT 165"),
        _profile("2g", 650, (35, 32), f"{_WEBPAGETEST}: 2G, RTT 1300"),
        _profile("2g_urban", 650, (35, 32), f"{_ATC}: 2G urban"),
        _profile("2g_rural", 650, (20, 18), f"{_ATC}: 2G rural", loss_percent=2),
        _profile("gprs", 500, (50, 50), f"{_COMCAST}: GPRS", loss_percent=2),
        _profile("comcast_edge", 300, (250, 250), f"{_COMCAST}: EDGE", loss_percent=1.5),
        _profile("comcast_3g", 250, (750, 750), f"{_COMCAST}: 3G", loss_percent=1.5),
        _profile("comcast_wifi", 40, (30_000, 30_000), f"{_COMCAST}: Wi-Fi", loss_percent=0.2),
        _profile("poor_dsl", 70, (2_000, 2_000), f"{_COMCAST}: poor DSL", loss_percent=2),
        _profile("satellite", 20, (None, None), f"{_COMCAST}: satellite", loss_percent=2.5),
        _profile("cellular_lte", 25, (None, None), _CELLULAR, jitter_ms=5, needs_trace=True),
        _profile("cellular_umts", 60, (None, None), _CELLULAR, jitter_ms=10, needs_trace=True),
        _profile("cellular_evdo", 80, (None, None), _CELLULAR, jitter_ms=15, needs_trace=True),
    )
}
