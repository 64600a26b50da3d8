"""The open arrival process: when diners come, whatever becomes of those before them.

Arrivals are a Poisson process whose rate varies over the duration, made by inversion: unit exponential gaps, one
keyed draw each, are laid along the cumulated rate and read back as times (Cinlar's method). A higher rate squeezes
the same gaps. The relative rate is piecewise linear; the cumulated rate is then piecewise quadratic and inverted in
closed form.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from simulator.distributions import exponential
from simulator.streams import Streams

Points = Sequence[tuple[float, float]]

ARRIVALS_MAX = 1_000_000

PROFILE_POINTS: dict[str, Points] = {
    "constant": ((0.0, 1.0), (1.0, 1.0)),
    # From a tenth of the end's rate straight up.
    "ramp": ((0.0, 0.1), (1.0, 1.0)),
    # [G] The two hours around noon: a steep rise, a long plateau, a quick fall (press: peaks 11:30-13:30).
    "lunch": ((0.0, 0.35), (0.18, 0.9), (0.28, 1.25), (0.82, 1.25), (0.92, 0.6), (1.0, 0.4)),
}


def arrival_times_s(streams: Streams, rate_per_s: float, duration_s: float, points: Points) -> list[float]:
    """The arrivals within `duration_s`, ascending, in seconds. `rate_per_s` is the mean rate over the whole duration.

    `points` holds (fraction of the duration, relative rate) and is scaled to a mean of 1; before the first and after
    the last point the rate stays as there. Raises `ValueError` beyond `ARRIVALS_MAX` arrivals.
    """
    curve = _normalised(points)
    edges = [0.0, *accumulate((a[1] + b[1]) / 2 * (b[0] - a[0]) for a, b in pairwise(curve))]
    expected = rate_per_s * duration_s
    if expected > ARRIVALS_MAX:
        raise ValueError(f"{expected:.0f} arrivals are more than the {ARRIVALS_MAX} that one timetable may hold")
    times: list[float] = []
    segment = 0
    for reached in _unit_arrivals(streams):
        share = reached / expected if expected else math.inf
        if share >= edges[-1]:
            return times
        while edges[segment + 1] <= share:
            segment += 1
        times.append(duration_s * _invert(curve[segment], curve[segment + 1], share - edges[segment]))
    raise AssertionError("unit arrivals never end")


def _unit_arrivals(streams: Streams) -> Iterator[float]:
    """The times of a Poisson process of rate 1, without end."""
    reached, number = 0.0, 0
    while True:
        reached += exponential(streams.uniform("arrival", diner=number), 1.0)
        yield reached
        number += 1


def _normalised(points: Points) -> list[tuple[float, float]]:
    """The points with ends at 0 and 1 and a mean rate of 1."""
    curve = list(points)
    if curve[0][0] > 0:
        curve.insert(0, (0.0, curve[0][1]))
    if curve[-1][0] < 1:
        curve.append((1.0, curve[-1][1]))
    mean = math.fsum((a[1] + b[1]) / 2 * (b[0] - a[0]) for a, b in pairwise(curve))
    if mean <= 0:
        raise ValueError("a profile needs a rate above 0 somewhere")
    return [(fraction, rate / mean) for fraction, rate in curve]


def _invert(start: tuple[float, float], end: tuple[float, float], area: float) -> float:
    """The fraction at which the area under the line from `start` reaches `area`."""
    width, rise = end[0] - start[0], end[1] - start[1]
    slope = rise / width
    root = math.sqrt(max(0.0, start[1] ** 2 + 2 * slope * area))
    denominator = start[1] + root
    return min(end[0], start[0] + (2 * area / denominator if denominator > 0 else 0.0))
