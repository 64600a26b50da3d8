"""The probes of a scenario on the stack of a drill: each as something that can be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx

from chaos.observer import Observer, now_us
from chaos.steady_state.readings import Reading, Settled, read_figure, read_http
from chaos.steady_state.watch import Reader
from refsystem.stack import Stack
from simulator.scenario import Scenario
from simulator.scenario_steady_state import AnsweredProbe, FigureProbe, HttpProbe

REMEMBERED = 4
"""How many times as long as a probe looks back a yes is remembered: a diner's device may ask again after it."""


def drill_readers(
    scenario: Scenario, stack: Stack, observer: Observer, history: Path, http: httpx.AsyncClient
) -> dict[str, Reader]:
    """A reader for every probe of the hypothesis, by its name."""
    longest_s = max((probe.last_s for probe in scenario.steady_state if isinstance(probe, AnsweredProbe)), default=0.0)
    settled = Settled(history, round(REMEMBERED * longest_s * 1e6))
    readers: dict[str, Reader] = {}
    for probe in scenario.steady_state:
        store = probe.store or scenario.stores[0].name
        if isinstance(probe, HttpProbe):
            readers[probe.name] = _http_reader(http, probe, _urls(probe, stack, store))
        elif isinstance(probe, FigureProbe):
            readers[probe.name] = _figure_reader(probe, observer, store)
        else:
            readers[probe.name] = _answered_reader(probe, settled)
    return readers


def _urls(probe: HttpProbe, stack: Stack, store: str) -> Sequence[str]:
    """The URL, or one for every link of this kind that the store has."""
    if probe.url is not None:
        return [probe.url]
    links = [link for link in stack.links() if link.kind == probe.link and link.store in (store, None)]
    return [f"{stack.link_url(link.name)}{probe.path}" for link in links]


def _http_reader(http: httpx.AsyncClient, probe: HttpProbe, urls: Sequence[str]) -> Reader:
    async def read() -> Reading:
        readings = await asyncio.gather(*(read_http(http, url, probe.status, probe.within_ms) for url in urls))
        return next((reading for reading in readings if not reading.holds), max(readings, key=_value))

    return read


def _figure_reader(probe: FigureProbe, observer: Observer, store: str) -> Reader:
    async def read() -> Reading:
        return read_figure(probe, await observer.sample(store))

    return read


def _answered_reader(probe: AnsweredProbe, settled: Settled) -> Reader:
    async def read() -> Reading:
        return settled.read(probe, now_us())

    return read


def _value(reading: Reading) -> float:
    return reading.value or 0.0
