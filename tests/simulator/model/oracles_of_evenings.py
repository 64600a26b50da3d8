"""Oracles of an evening that is not steady: its load varies, a fault slows it, or it is only just filling."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from oracle_bench import IN_STORE, US, Bench, Claim, tables_of
from scipy import stats

from simulator import queueing
from simulator.model.records import ABSENT, Run

SWING = tuple((place / 64, 1.0 + 0.8 * math.sin(4 * math.pi * place / 64)) for place in range(65))
"""Two turns of a sinusoid over the evening."""
EVENING_S = 60.0
MOMENTS = tuple(float(at) for at in range(2, 60, 2))


def infinite(bench: Bench) -> Iterator[Claim]:
    """A kitchen with as many cooks as tickets, at a constant rate: once full, Poisson with mean λE[S] at every moment."""
    rate, moments = 4.0, tuple(at for at in MOMENTS if at > 30)
    counts = _tickets(bench, rate, moments, None, "lognormal", 0.5)
    yield from _poisson("M/G/inf", moments, counts, [4.0 * rate] * len(moments), (38.0, 52.0))


def varying_infinite(bench: Bench) -> Iterator[Claim]:
    """The same with a varying rate: Poisson at every moment, with the mean that theory integrates."""
    rate, shown = 4.0, (20.0, 38.0, 52.0)
    frequency = 4 * math.pi / EVENING_S
    late = tuple(at for at in MOMENTS if at >= 20)  # in closed form for an evening without beginning
    means = [queueing.infinite_servers_sinusoid(rate, 0.8 * rate, frequency, 4.0, at) for at in late]
    yield from _poisson("M_t/M/inf", late, _tickets(bench, rate, late, SWING, "exponential", 1.0), means, shown)
    curve, stays = _rate(rate), _lognormal_stays(4.0, 0.5)
    means = [queueing.infinite_servers(curve, stays, at, steps=1_000) for at in MOMENTS]
    yield from _poisson("M_t/G/inf", MOMENTS, _tickets(bench, rate, MOMENTS, SWING, "lognormal", 0.5), means, shown)


def _tickets(
    bench: Bench, rate: float, moments: Sequence[float], points: Any, shape: str, variation: float
) -> npt.NDArray[np.int64]:
    """How many tickets are cooked at each of these moments (columns), evening by evening."""
    cook = {"name": "wok", "cooks": 0, "setup_s": 4.0, "shape": shape, "variation": variation}
    runs = bench.runs(rate, EVENING_S, points=points, kitchen=[cook])
    return np.array([_inside(run, "shown_0", "served_0", moments) for _, run in runs])


def _inside(run: Run, come: str, go: str, moments: Sequence[float]) -> npt.NDArray[np.int64]:
    at = np.array(moments) * US
    came, gone = (np.searchsorted(np.sort(run.column(name)), at, side="right") for name in (come, go))
    return np.asarray(came - gone)


def _poisson(
    name: str, moments: Sequence[float], counts: npt.NDArray[np.int64], means: Sequence[float], shown: Sequence[float]
) -> Iterator[Claim]:
    """The mean of all moments together, and mean and variance at those `shown`."""
    yield Claim(f"{name} number over the evening", float(np.mean(means)), counts.mean(axis=1).tolist())
    for at in shown:
        place = moments.index(at)
        mean, found = means[place], counts[:, place]
        yield Claim(f"{name} number at {at:g} s", mean, found.tolist())
        yield Claim(f"{name} variance of the number at {at:g} s", mean, ((found - mean) ** 2).tolist())


def _rate(rate: float) -> Callable[[float], float]:
    places, heights = zip(*SWING, strict=True)
    return lambda at: rate * float(np.interp(at / EVENING_S, places, heights))


def _lognormal_stays(mean: float, variation: float) -> Callable[[float], float]:
    sigma = math.sqrt(math.log1p(variation**2))
    law = stats.lognorm(s=sigma, scale=mean * math.exp(-(sigma**2) / 2))
    grid = np.linspace(0, 70, 20_001)
    values = law.sf(grid)
    return lambda time: float(np.interp(time, grid, values))


def peak(bench: Bench) -> Iterator[Claim]:
    """M_t/M/c+M over a whole peak, empty at the start: the best oracle for a rush."""
    rate, service, leaving, servers = 4.0, 0.4, 0.1, 8
    runs = bench.runs(
        rate, EVENING_S, points=SWING, tables=servers, diners=IN_STORE,
        **tables_of(1 / service, patience_s=1 / leaving, patience_shape="exponential"),
    )  # fmt: skip
    counts = np.array([_inside(run, "at", "left", MOMENTS) for _, run in runs])
    chances = _varying(rate, service, ((0.0, servers),), leaving, MOMENTS)[:, 0]
    means = chances @ np.arange(chances.shape[1])
    yield Claim("M_t/M/c+M number over the peak", float(means.mean()), counts.mean(axis=1).tolist())
    for at in (14.0, 22.0, 32.0, 46.0, 58.0):
        place = MOMENTS.index(at)
        yield Claim(f"M_t/M/c+M number at {at:g} s", float(means[place]), counts[:, place].tolist())
    for at in (22.0, 32.0, 58.0):
        place = MOMENTS.index(at)
        waiting = float(chances[place, servers + 1 :].sum())
        waits = counts[:, place] > servers
        yield Claim(f"M_t/M/c+M somebody waits at {at:g} s", waiting, waits.astype(float).tolist())


def sections(bench: Bench) -> Iterator[Claim]:
    """M_t/M/c_t+M over the same peak: a section of tables opens before its second half and closes in the middle of it."""
    rate, service, leaving, least, more, opens, closes = 4.0, 0.4, 0.1, 5, 4, 25.0, 41.0
    section = {"name": "terrace", "tables": more, "at_s": opens, "for_s": closes - opens}
    runs = bench.runs(
        rate, EVENING_S, points=SWING, tables=least, diners=IN_STORE,
        **tables_of(1 / service, patience_s=1 / leaving, patience_shape="exponential", sections=[section]),
    )  # fmt: skip
    evenings = [run for _, run in runs]
    counts = np.array([_inside(run, "at", "left", MOMENTS) for run in evenings])
    sitting = np.array([_sitting(run, MOMENTS) for run in evenings])
    servers = ((0.0, least), (opens, least + more), (closes, least))
    chances = _varying(rate, service, servers, leaving, MOMENTS)
    inside, beyond = np.meshgrid(np.arange(chances.shape[2]), np.arange(chances.shape[1]))
    means = (chances * inside).sum(axis=(1, 2))
    yield Claim("M_t/M/c_t+M number over the peak", float(means.mean()), counts.mean(axis=1).tolist())
    for at in (22.0, 26.0, 40.0, 42.0, 46.0):
        place = MOMENTS.index(at)
        yield Claim(f"M_t/M/c_t+M number at {at:g} s", float(means[place]), counts[:, place].tolist())
    for at, there in ((26.0, least + more), (42.0, least)):  # soon after the change, while it still shows
        place = MOMENTS.index(at)
        served = float((chances[place] * np.minimum(inside, there + beyond)).sum())
        yield Claim(f"M_t/M/c_t+M tables taken at {at:g} s", served, sitting[:, place].tolist())


def _sitting(run: Run, moments: Sequence[float]) -> npt.NDArray[np.int64]:
    at, seated, left = np.array(moments) * US, run.column("seated"), run.column("left")
    sat = seated != ABSENT
    came, gone = (np.searchsorted(np.sort(each[sat]), at, side="right") for each in (seated, left))
    return np.asarray(came - gone)


@cache
def _varying(
    rate: float, service: float, servers: tuple[tuple[float, int], ...], leaving: float, moments: tuple[float, ...]
) -> npt.NDArray[np.float64]:
    return queueing.varying_queue(_rate(rate), service, servers, leaving, moments, places=90)


def slowed(bench: Bench) -> Iterator[Claim]:
    """M/M/1 at the cloud, which a fault makes too slow for a third of the evening: it fills, and empties again."""
    cloud = {"workers": 1, "menu_ms": 400, "order_ms": 0, "shape": "exponential"}
    fault = {"fault": "process_slow", "process": "cloud", "at_s": 20.0, "for_s": 20.0, "slow_factor": 2}
    many = replace(bench, evenings=5 * bench.evenings)  # evenings differ much here
    runs = many.runs(
        1.5, EVENING_S, cloud=cloud, faults=[fault], diners={"think_s": 80_000}, think_shape="deterministic"
    )
    counts = np.array([_inside(run, "at", "menu_told", MOMENTS) for _, run in runs])
    chances = queueing.server_of_speeds(1.5, [(0.0, 2.5), (20.0, 1.25), (40.0, 2.5)], MOMENTS, places=90)
    means = chances @ np.arange(chances.shape[1])
    yield Claim("M/M/1 slowed, number over the evening", float(means.mean()), counts.mean(axis=1).tolist())
    for at in (18.0, 22.0, 38.0, 42.0, 58.0):
        place = MOMENTS.index(at)
        yield Claim(f"M/M/1 slowed, number at {at:g} s", float(means[place]), counts[:, place].tolist())
        busy = (counts[:, place] > 0).astype(float).tolist()
        yield Claim(f"M/M/1 slowed, busy at {at:g} s", 1 - float(chances[place, 0]), busy)
