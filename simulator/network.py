"""Link profiles: weak and good networks as data, each with units, direction and the source of its figures.

A link has two directions. *to* leads from the end named first to the end named second and carries requests: the
upload of a diner or of a store. *from* carries the answers back: the download. Latency is one-way; a source that
gives a round trip is split over the two directions. Jitter is the most that is added to or taken from each latency.

Loss of packets is not rendered yet: `loss_percent` documents what the source says and nothing applies it. (Through a
TCP proxy a lost segment would be a stall, never missing bytes.) A profile with loss is therefore kinder here than its
source.

Sources: Apple's Network Link Conditioner, Chrome DevTools, WebPageTest, Facebook's Augmented Traffic Control (ATC)
and the tool "Comcast", as collected by their vendors; "[G]" marks a guess of this project.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkProfile:
    """The state of a link. A rate of None is unlimited; `loss_percent` is documentation only (see the module)."""

    name: str
    latency_to_ms: float
    latency_from_ms: float
    jitter_ms: float
    rate_to_kbit_s: float | None
    rate_from_kbit_s: float | None
    source: str
    loss_percent: float = 0.0


def symmetric(name: str, latency_ms: float, jitter_ms: float, rate_kbit_s: float | None, source: str) -> LinkProfile:
    """A profile that is the same in both directions; `latency_ms` is one-way."""
    return LinkProfile(name, latency_ms, latency_ms, jitter_ms, rate_kbit_s, rate_kbit_s, source)


def _profile(
    name: str,
    one_way_ms: float | tuple[float, float],
    down_up_kbit_s: tuple[float | None, float | None],
    source: str,
    *,
    jitter_ms: float = 0.0,
    loss_percent: float = 0.0,
) -> LinkProfile:
    """A profile as the sources write it: rates as (down, up), latency one-way or as (down, up)."""
    latency_from_ms, latency_to_ms = one_way_ms if isinstance(one_way_ms, tuple) else (one_way_ms, one_way_ms)
    rate_from, rate_to = down_up_kbit_s
    return LinkProfile(name, latency_to_ms, latency_from_ms, jitter_ms, rate_to, rate_from, source, loss_percent)


_APPLE = "Apple Network Link Conditioner"
_CHROME = "Chrome DevTools"
_WEBPAGETEST = "WebPageTest"
_ATC = "Facebook ATC"
_COMCAST = "Comcast (the tool)"

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
        _profile("wifi", 1, (40_000, 33_000), f"{_APPLE}: Wi-Fi"),
        _profile("3g_average", 100, (780, 330), f"{_APPLE} and {_ATC}: 3G average"),
        _profile("3g_good", 90, (850, 420), f"{_APPLE}: 3G good"),
        _profile("3g_slow", 100, (780, 330), f"{_WEBPAGETEST}: 3G slow, RTT 200"),
        _profile("3g_fast", 75, (1_600, 768), f"{_WEBPAGETEST}: 3G fast, RTT 150"),
        _profile("edge_average", (400, 440), (240, 200), f"{_APPLE}: Edge average"),
        _profile("edge_lossy", (400, 440), (240, 200), f"{_APPLE} and {_ATC}: Edge lossy", loss_percent=1),
        _profile("very_bad_network", 500, (1_000, 1_000), f"{_APPLE}: Very Bad Network", loss_percent=10),
        _profile("chrome_3g", 1_000, (400, 400), f"{_CHROME}: 3G, RTT 2000"),
        _profile("slow_4g", 281.25, (1_440, 675), f"{_CHROME}: Slow 4G, RTT 562.5"),
        _profile("fast_4g", 82.5, (8_100, 1_350), f"{_CHROME}: Fast 4G, RTT 165"),
        _profile("2g", 650, (35, 32), f"{_WEBPAGETEST}: 2G, RTT 1300"),
        _profile("2g_rural", 650, (20, 18), f"{_ATC}: 2G rural", loss_percent=2),
        _profile("gprs", 500, (50, 50), f"{_COMCAST}: GPRS", loss_percent=2),
        _profile("poor_dsl", 70, (2_000, 2_000), f"{_COMCAST}: poor DSL", loss_percent=2),
        _profile("satellite", 20, (None, None), f"{_COMCAST}: satellite", loss_percent=2.5),
    )
}
