"""`rushproof bench links`: how exactly the proxy server makes a link what was asked for."""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import uvloop

from chaos.bench.link_load import Wire, delays_ms, transfer_s
from chaos.bench.processes import Cores
from chaos.bench.proxy_servers import our_server
from chaos.bench.result import BenchError, BenchResult, Figure, Goal, rounded
from chaos.bench.rounds import ROUNDS_MAX, Measured, measure_rounds
from chaos.proxy.toxics import BurstLoss

NAME = "links"
SUMMARY = "accuracy of links: latency, jitter, rate, losses, recorded capacity, asked against got"
DESCRIPTION = """\
How exactly the proxy server makes a link what was asked for: latency, jitter, rate (of one connection, and shared by several),
losses in bursts (mean loss, mean burst, and the rate that they leave), and recorded capacity. Measured over real sockets through
a server process of its own, from both ends of the connections; several rounds, each with new connections and draws.

The aim is an error under 5 % or 1 ms, whichever is larger, of the median of the rounds. A busy machine adds to every delay.

  rushproof bench links                      about a minute and a half
  rushproof bench links --rounds 1 --json    quicker, as one JSON document
"""

ERROR_PERCENT_MAX = 5.0
ERROR_MS_MAX = 1.0
SEED = 1
RECORDING_MS = 1500
RTO_MS = 100


@dataclass(frozen=True, slots=True)
class Trial:
    """One toxic, so many connections, what is measured on them, and what that should be; each quantity with its unit."""

    toxic: str
    attributes: Mapping[str, Any]
    connections: int
    run: Callable[..., Awaitable[Measured]]
    asked: Mapping[str, tuple[float, str]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each is measured (default 3)")


def count_steps(options: argparse.Namespace) -> int:
    """One for each trial of each round."""
    _check(options)
    return int(options.rounds) * len(trials())


def measure(options: argparse.Namespace, on_step: Callable[[str], None]) -> BenchResult:
    """Run it."""
    _check(options)
    made = trials()
    units = {name: unit for trial in made.values() for name, (_value, unit) in trial.asked.items()}
    with (
        tempfile.TemporaryDirectory(prefix="rushproof-bench-") as folder,
        our_server(Cores.of_this_machine().measured, Path(folder)) as server,
    ):
        wire = Wire(server.api)
        cases = {name: partial(_run, wire, trial) for name, trial in made.items()}
        measured = measure_rounds(cases, options.rounds, units, on_step)
    return result(made, measured, options.rounds)


def result(made: Mapping[str, Trial], measured: Mapping[str, Mapping[str, Figure]], rounds: int) -> BenchResult:
    """Asked against got, with the error of the median and whether that is small enough."""
    columns: dict[str, dict[str, Figure]] = {"asked": {}, "got": {}, "error": {}, "error %": {}}
    within: dict[str, bool] = {}
    for case, figures in measured.items():
        for quantity, figure in figures.items():
            wanted, unit = made[case].asked[quantity]
            error = figure.median - wanted
            row = f"{case}: {quantity}"
            columns["asked"][row], columns["got"][row] = Figure(unit, (wanted,)), figure
            columns["error"][row], columns["error %"][row] = (
                Figure(unit, (error,)),
                Figure("%", (100 * error / wanted,)),
            )
            within[row] = abs(error) <= max(wanted * ERROR_PERCENT_MAX / 100, ERROR_MS_MAX if unit == "ms" else 0.0)
    count = sum(within.values())
    headline = {
        "errors_percent": {row: rounded(figure.median) for row, figure in columns["error %"].items()},
        "within": within,
    }
    settings = {
        "rounds": rounds,
        "seed": SEED,
        "connections": {case: trial.connections for case, trial in made.items()},
    }
    aim = f"figures with an error under {ERROR_PERCENT_MAX:g} % or {ERROR_MS_MAX:g} ms, of {len(within)}"
    goal = Goal(aim, str(len(within)), float(count), count == len(within))
    notes = [f"not within: {row}" for row, is_within in within.items() if not is_within]
    return BenchResult(NAME, settings, columns, headline, [goal], notes)


def trials() -> dict[str, Trial]:
    """What is measured, by name."""
    losses = BurstLoss(loss_percent=10, burst_packets=1.3, rto_ms=RTO_MS)
    slowed = BurstLoss(loss_percent=1, burst_packets=2, rto_ms=1, rtt_ms=50)
    slots = recorded_slots(SEED)
    found: dict[str, Trial] = {}
    for latency in (2, 50, 300):
        asked = {"delay": (float(latency), "ms")}
        found[f"latency {latency}"] = Trial("latency", {"latency": latency}, 10, partial(_delay, 8), asked)
    found["latency 60 ± 40"] = Trial(
        "latency",
        {"latency": 60, "jitter": 40},
        100,
        partial(_jitter, 12),
        {"mean": (60.0, "ms"), "jitter": (40.0, "ms")},
    )
    for rate in (50, 1_000, 20_000):
        asked = {"rate": (float(rate), "KB/s")}
        found[f"bandwidth {rate}"] = Trial("bandwidth", {"rate": rate}, 1, partial(_rate, rate * 1000), asked)
    found["bandwidth 1000 shared by 8"] = Trial(
        "bandwidth", {"rate": 1000, "shared": True}, 8, partial(_rate, 125_000), {"rate": (1000.0, "KB/s")}
    )
    found["burst_loss 10 %, 1.3"] = Trial(
        "burst_loss",
        losses.shown(),
        60,
        partial(_losses, 400),
        {"loss": (10.0, "%"), "burst": (1.3, "packets")},
    )
    mathis = slowed.rate_bytes_s
    assert mathis is not None, "there is a loss and a round trip"
    found["burst_loss 1 %, rtt 50"] = Trial(
        "burst_loss", slowed.shown(), 1, partial(_rate, round(mathis)), {"rate": (mathis / 1000, "KB/s")}
    )
    found["trace"] = Trial(
        "trace",
        {"slots": slots, "start_ms": 0},
        1,
        partial(_recorded, 2 * len(slots)),
        {
            "time of two rounds": (2.0 * RECORDING_MS, "ms"),
            "capacity": (1.5 * len(slots) / RECORDING_MS * 1000, "KB/s"),
        },
    )
    return found


def recorded_slots(seed: int) -> list[int]:
    """A recording as mobile networks make them: busy times, poor times, and a gap; its first and last slot are certain."""
    rng = Random(seed)
    busy = [rng.randrange(100, 600) for _ in range(700)]
    poor = [rng.randrange(1000, RECORDING_MS) for _ in range(60)]
    return sorted([100, *busy, *poor, RECORDING_MS])


def _run(wire: Wire, trial: Trial) -> Measured:
    async def main() -> Measured:
        async with wire.connections(trial.connections, trial.toxic, trial.attributes) as ends:
            return await trial.run(ends)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main())
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise BenchError(f"{trial.toxic} could not be measured: {error or type(error).__name__}") from error


async def _delay(each: int, ends: Any) -> Measured:
    return {"delay": statistics.median(chain.from_iterable(await delays_ms(ends, each)))}


async def _jitter(each: int, ends: Any) -> Measured:
    """A uniform draw of ± jitter has the standard deviation jitter / sqrt(3)."""
    found = list(chain.from_iterable(await delays_ms(ends, each)))
    return {"mean": statistics.fmean(found), "jitter": statistics.pstdev(found) * math.sqrt(3)}


async def _rate(length_bytes: int, ends: Any) -> Measured:
    return {"rate": length_bytes * len(ends) / await transfer_s(ends, length_bytes) / 1000}


async def _losses(each: int, ends: Any) -> Measured:
    """What the stalls of single messages tell: n losses one after the other take RTO · (2^n - 1)."""
    losses = [round(math.log2(delay / RTO_MS + 1)) for delay in chain.from_iterable(await delays_ms(ends, each))]
    bursts = [number for number in losses if number]
    if not bursts:
        raise BenchError("nothing was lost, so that bursts cannot be measured")
    return {"loss": 100 * sum(bursts) / (sum(bursts) + len(losses)), "burst": statistics.fmean(bursts)}


async def _recorded(slots: int, ends: Any) -> Measured:
    """The recording began when the connection was there; the last byte comes in its last slot."""
    took_s = await transfer_s(ends, 1500 * slots, time.perf_counter())
    return {"time of two rounds": took_s * 1000, "capacity": 1.5 * slots / took_s}


def _check(options: argparse.Namespace) -> None:
    if not 1 <= options.rounds <= ROUNDS_MAX:
        raise BenchError(f"--rounds must be from 1 to {ROUNDS_MAX}, not {options.rounds}")
