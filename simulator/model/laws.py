"""The model's arithmetic: distributions by inverse transform, delays, pauses. Written once for both engines.

Times are integer ticks of one microsecond. A float becomes ticks by `ticks`, everywhere.
"""

from __future__ import annotations

import math

from simulator.model.leaf import leaf
from simulator.network import PACKET_BYTES

TICKS_PER_S = 1_000_000
NEVER = 1 << 61

DETERMINISTIC, EXPONENTIAL, LOGNORMAL, UNIFORM = range(4)
"""Shapes of a random time."""

RETRANSMISSION_US = 200_000
RETRANSMISSIONS_MAX = 6
"""A lost packet is sent again after a round trip and this time, doubled each time (RFC 6298's least timeout on Linux: 200 ms)."""


@leaf
def ticks(value: float) -> int:
    """The nearest whole tick, halves upward."""
    return int(math.floor(value + 0.5))  # noqa: RUF046 -- compiled code rounds to a float


@leaf
def normal_quantile(p: float) -> float:
    """The standard normal quantile (Wichura, algorithm AS 241, PPND16; relative accuracy about 1e-16)."""
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        a = 2509.0809287301226727
        a = a * r + 33430.575583588128105
        a = a * r + 67265.770927008700853
        a = a * r + 45921.953931549871457
        a = a * r + 13731.693765509461125
        a = a * r + 1971.5909503065514427
        a = a * r + 133.14166789178437745
        a = a * r + 3.3871328727963666080
        b = 5226.4952788528545610
        b = b * r + 28729.085735721942674
        b = b * r + 39307.895800092710610
        b = b * r + 21213.794301586595867
        b = b * r + 5394.1960214247511077
        b = b * r + 687.18700749205790830
        b = b * r + 42.313330701600911252
        b = b * r + 1.0
        return q * a / b
    r = p if q < 0 else 1.0 - p
    r = math.sqrt(-math.log(r))
    if r <= 5.0:
        r -= 1.6
        a = 7.7454501427834140764e-4
        a = a * r + 0.0227238449892691845833
        a = a * r + 0.24178072517745061177
        a = a * r + 1.27045825245236838258
        a = a * r + 3.64784832476320460504
        a = a * r + 5.76949722146069140550
        a = a * r + 4.63033784615654529590
        a = a * r + 1.42343711074968357734
        b = 1.05075007164441684324e-9
        b = b * r + 5.475938084995344946e-4
        b = b * r + 0.0151986665636164571966
        b = b * r + 0.14810397642748007459
        b = b * r + 0.68976733498510000455
        b = b * r + 1.67638483018380384940
        b = b * r + 2.05319162663775882187
        b = b * r + 1.0
    else:
        r -= 5.0
        a = 2.01033439929228813265e-7
        a = a * r + 2.71155556874348757815e-5
        a = a * r + 0.00124266094738807843860
        a = a * r + 0.026532189526576123093
        a = a * r + 0.29656057182850489123
        a = a * r + 1.78482653991729133580
        a = a * r + 5.46378491116411436990
        a = a * r + 6.65790464350110377720
        b = 2.04426310338993978564e-15
        b = b * r + 1.42151175831644588870e-7
        b = b * r + 1.84631831751005468180e-5
        b = b * r + 7.86869131145613259100e-4
        b = b * r + 0.0148753612908506148525
        b = b * r + 0.13692988092273580531
        b = b * r + 0.59983220655588793769
        b = b * r + 1.0
    return -a / b if q < 0 else a / b


@leaf
def spread_of(shape: int, variation: float) -> float:
    """What `drawn` wants to know of a coefficient of variation: the logarithm's standard deviation, or half the width."""
    if shape == LOGNORMAL:
        return math.sqrt(math.log1p(variation * variation))
    return math.sqrt(3.0) * variation


@leaf
def drawn(shape: int, mean: float, spread: float, u: float) -> float:
    """A random time of this shape with this mean, by inverse transform; monotone in `u`.

    An exponential time has coefficient of variation 1 whatever `spread` says; a uniform one reaches from mean (1 - spread) to
    mean (1 + spread), below 0 cut off.
    """
    if shape == DETERMINISTIC or mean <= 0.0:
        return mean
    if shape == EXPONENTIAL:
        return -mean * math.log(1.0 - u)
    if shape == LOGNORMAL:
        return mean * math.exp(spread * (normal_quantile(u) - 0.5 * spread))
    return max(0.0, mean * (1.0 + spread * (2.0 * u - 1.0)))


@leaf
def decay_of(mean: float) -> float:
    """What `geometric` wants to know of a mean: the logarithm of the share that each number leaves to those above it."""
    return math.log1p(-1.0 / mean) if mean > 1.0 else -math.inf


@leaf
def geometric(u: float, decay: float, largest: int) -> int:
    """A whole number from 1 to `largest`, geometric before the cut."""
    return min(largest, 1 + int(math.floor(math.log(1.0 - u) / decay)))  # noqa: RUF046


@leaf
def transfer(
    latency: int,
    jitter: int,
    byte_ns: int,
    paced_ns: int,
    size: int,
    loss: float,
    round_trip: int,
    u_jitter: float,
    u_loss: float,
) -> int:
    """How long a message of `size` bytes takes over a link: latency and jitter, its bytes, and retransmissions.

    Its packets leave one by one at the sender's pace (`paced_ns` a byte) and pass the link at the link's (`byte_ns`).
    """
    time = max(0, latency + ticks((2.0 * u_jitter - 1.0) * jitter))
    time += (size * max(byte_ns, paced_ns) + min(size, PACKET_BYTES) * min(byte_ns, paced_ns)) // 1000
    if loss <= 0.0:
        return time
    return time + stall(
        -(-size // PACKET_BYTES), PACKET_BYTES * paced_ns // 1000, RETRANSMISSION_US + round_trip, loss, u_loss
    )


@leaf
def stall(packets: int, packet_us: int, timeout: int, loss: float, u: float) -> int:
    """How much later the last of some packets arrives because each may be lost, by inverse transform; falls with `u`.

    They leave one by one, each `packet_us` after the one before; one that was lost n times comes (2^n - 1) time-outs later.
    """
    late = 0
    while True:
        all_by_then, next_late = 1.0, NEVER
        for behind in range(packets):
            times, lost_so_often = 1, loss
            while times <= RETRANSMISSIONS_MAX and timeout * ((1 << times) - 1) - behind * packet_us <= late:
                times, lost_so_often = times + 1, lost_so_often * loss
            if times <= RETRANSMISSIONS_MAX:
                all_by_then *= 1.0 - lost_so_often
                next_late = min(next_late, timeout * ((1 << times) - 1) - behind * packet_us)
        if u >= 1.0 - all_by_then:
            return late
        late = next_late


@leaf
def pause(round_number: int, backoff: int, backoff_max: int, retry_after: int, u: float) -> int:
    """The pause of a device before round 1, 2, …: doubled each time, jittered, at least as long as it was told."""
    ceiling = backoff_max if round_number > 30 else min(backoff_max, backoff << (round_number - 1))
    time = ticks((0.5 + 0.5 * u) * ceiling)
    if retry_after > 0:
        time = max(time, min(retry_after, backoff_max))
    return time


@leaf
def longer(time: int, share: float, u: float) -> int:
    """A pause that is up to this share of itself longer, so that not all come back at once."""
    return ticks(time * (1.0 + share * u))


@leaf
def cooking(setup: int, per_item: int, items: int, shape: int, spread: float, u: float) -> int:
    """How long one ticket of `items` portions takes at a station."""
    return ticks(drawn(shape, float(setup + per_item * items), spread, u))
