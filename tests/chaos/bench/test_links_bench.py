"""How exact links are: the stages in virtual time against what the benchmark asks for, and what it makes of figures."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import statistics
from random import Random

import pytest

from chaos.bench import links
from chaos.bench.link_load import Wire
from chaos.bench.result import BenchError, Figure
from chaos.proxy.server import ProxyServer
from chaos.proxy.toxics import TOXIC_TYPES, Attributes, Chunk, Stage

SEEDS = itertools.count(100)
CHUNK_BYTES = 32_768


def stages_of(trial: links.Trial, count: int) -> list[Stage[Attributes]]:
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in trial.attributes.items()}
    attributes = TOXIC_TYPES[trial.toxic]().changed(given)
    return [attributes.stage(Random(next(SEEDS)), 0.0) for _ in range(count)]


def delays_ms(stage: Stage[Attributes], messages: int) -> list[float]:
    """The delays of single messages, one after the other, when the stage is asked exactly when it is due."""
    now, found = 0.0, []
    for _ in range(messages):
        began, item = now, None
        stage.put(Chunk(b"x", now), now)
        while item is None:
            item = stage.take(now)
            if item is None:
                due = stage.due()
                assert due is not None
                now = max(due, now + 1e-9)
        found.append((now - began) * 1000)
        now += 0.001
    return found


def transfer_s(stages: list[Stage[Attributes]], length_bytes: int, late_s: float) -> float:
    """How long it takes until each stage has let so much pass, each asked up to `late_s` after it is due."""
    rng = Random(5)
    to_put, left = [length_bytes] * len(stages), [length_bytes] * len(stages)
    now = 0.0
    while any(left):
        for number, stage in enumerate(stages):
            while to_put[number] and not stage.full:
                part = min(CHUNK_BYTES, to_put[number])
                stage.put(Chunk(bytes(part), now), now)
                to_put[number] -= part
        dues = [due for stage in stages if (due := stage.due()) is not None]
        now = max(now, min(dues)) + rng.uniform(0, late_s)
        for number, stage in enumerate(stages):
            while (item := stage.take(now)) is not None:
                assert isinstance(item, Chunk)
                left[number] -= len(item.data)
    return now


def got_in_virtual_time(trial: links.Trial) -> dict[str, float]:
    """What the benchmark would measure if sockets and timers took no time."""
    stages = stages_of(trial, trial.connections)
    match sorted(trial.asked):
        case ["delay"]:
            return {"delay": statistics.median(delays_ms(stages[0], 20))}
        case ["jitter", "mean"]:
            found = delays_ms(stages[0], 4000)
            return {"mean": statistics.fmean(found), "jitter": statistics.pstdev(found) * math.sqrt(3)}
        case ["burst", "loss"]:
            found = delays_ms(stages[0], 60_000)
            losses = [round(math.log2(delay / links.RTO_MS + 1)) for delay in found]
            bursts = [number for number in losses if number]
            return {"loss": 100 * sum(bursts) / (sum(bursts) + len(losses)), "burst": statistics.fmean(bursts)}
        case ["rate"]:
            length_bytes = round(trial.asked["rate"][0] * 1000 / len(stages))
            took_s = transfer_s(stages, length_bytes, 0.0015)
            return {"rate": length_bytes * len(stages) / took_s / 1000}
        case ["capacity", "time of two rounds"]:
            slots = len(trial.attributes["slots"])
            took_s = transfer_s(stages, 2 * slots * 1500, 0.0015)
            return {"time of two rounds": took_s * 1000, "capacity": 3 * slots / took_s}
        case other:
            raise AssertionError(f"no way to look at {other} in virtual time")


@pytest.mark.parametrize("name", list(links.trials()))
def test_every_link_of_the_benchmark_is_exact_in_virtual_time(name: str) -> None:
    trial = links.trials()[name]
    got = got_in_virtual_time(trial)
    measured = {name: {quantity: Figure(trial.asked[quantity][1], (value,)) for quantity, value in got.items()}}
    told = links.result({name: trial}, measured, 1)
    assert all(told.headline["within"].values()), told.headline["errors_percent"]
    assert set(told.headline["within"]) == {f"{name}: {quantity}" for quantity in trial.asked}


def told_of(got: float, wanted: float, unit: str) -> links.BenchResult:
    async def none(_ends: object) -> dict[str, float]:
        return {}

    trial = links.Trial("latency", {}, 1, none, {"delay": (wanted, unit)})
    return links.result({"case": trial}, {"case": {"delay": Figure(unit, (got,))}}, 1)


@pytest.mark.parametrize(
    ("got", "wanted", "unit", "within"),
    [
        (2.9, 2.0, "ms", True),
        (3.1, 2.0, "ms", False),
        (104.0, 100.0, "ms", True),
        (94.0, 100.0, "ms", False),
        (104.0, 100.0, "KB/s", True),
        (1.07, 1.0, "packets", False),
    ],
)
def test_an_error_is_small_if_it_is_under_five_percent_or_a_millisecond(
    got: float, wanted: float, unit: str, within: bool
) -> None:
    told = told_of(got, wanted, unit)
    assert told.headline["within"] == {"case: delay": within}
    assert told.goals[0].met is within
    assert told.notes == ([] if within else ["not within: case: delay"])
    assert told.headline["errors_percent"]["case: delay"] == pytest.approx(100 * (got - wanted) / wanted)
    assert told.figures["asked"]["case: delay"].median == wanted


def test_the_benchmark_measures_over_sockets() -> None:
    """A latency through a real server: at least what was asked for, which a wrong end or toxic would not give."""

    async def main() -> dict[str, float]:
        async with ProxyServer(seed=1) as server:
            trial = links.trials()["latency 50"]
            async with Wire(server.address).connections(2, trial.toxic, trial.attributes) as ends:
                assert [toxic.type for toxic in server.proxies.all()[0].toxic_list()] == ["latency"]
                return dict(await trial.run(ends))

    assert 49 <= asyncio.run(main())["delay"] < 500


@pytest.mark.parametrize("rounds", [0, 1001])
def test_options_that_make_no_sense_are_refused(rounds: int) -> None:
    with pytest.raises(BenchError, match="--rounds must be from 1 to 1000"):
        links.count_steps(argparse.Namespace(rounds=rounds))
