"""`rushproof bench proxy`: what a connection through our proxy server costs, beside Shopify's server and beside no proxy."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from chaos.bench.processes import Cores, run_pinned
from chaos.bench.proxy_load import Load, arguments
from chaos.bench.proxy_servers import (
    SHOPIFY_VERSION,
    Server,
    given_shopify,
    install_shopify,
    our_server,
    shopify_server,
)
from chaos.bench.result import BenchError, BenchResult, Figure, Goal, rounded
from chaos.bench.rounds import ROUNDS_MAX, Case, measure_rounds

NAME = "proxy"
SUMMARY = "throughput and added latency of the proxy server, beside Shopify's"
DESCRIPTION = f"""\
What a connection through the proxy server costs: throughput (bulk transfer in both directions at once) and added latency
(small messages there and back, less what they take without a proxy), beside Shopify's server {SHOPIFY_VERSION} in one run.

Each server runs on one core and the load generator on another one; every case is measured once in each round, in an order
that moves on. Shopify's server is built with `go install` the first time, or named with --toxiproxy; without either only
ours is measured. `server_core_share` says how much of its core a server took. Where that is below 1, something else was
the limit (the load, or another process on that core), and `megabytes_per_core_s`, the work for a second of the server's
own time, says more.

  rushproof bench proxy                                    about four minutes
  rushproof bench proxy --rounds 3 --seconds 0.5 --json    quicker, as one JSON document
  rushproof bench proxy --connections 1,50 --toxiproxy ./toxiproxy-server
"""

KINDS = ("bulk", "ping", "busy")
OURS, SHOPIFY, DIRECT = "ours", "shopify", "direct"
CONNECTIONS_MAX = 2000
SECONDS_MAX = 600.0
RATIO_WANTED = 0.5
ADDED_MS_WANTED = 0.15
START_S = 60.0

RATIOS_OF = ("megabytes_per_s", "megabytes_per_core_s", "exchanges_per_s", "exchanges_per_core_s")

UNITS = {
    "megabytes_per_s": "MB/s",
    "upstream_megabytes_per_s": "MB/s",
    "downstream_megabytes_per_s": "MB/s",
    "megabytes_per_core_s": "MB/s",
    "exchanges_per_core_s": "1/s",
    "server_core_share": "cores",
    "p50_ms": "ms",
    "p99_ms": "ms",
    "exchanges_per_s": "1/s",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--connections", default="1,500", metavar="N,…", help="how many at once (default 1,500)")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="of each measurement (default 1)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="how often each is measured (default 7)")
    parser.add_argument("--toxiproxy", type=Path, metavar="BINARY", help="Shopify's server to compare with")


def count_steps(options: argparse.Namespace) -> int:
    """One for each measurement of each round, if Shopify's server is there."""
    _check(options)
    return int(options.rounds) * len(KINDS) * len(_connections(options)) * 3


def measure(options: argparse.Namespace, on_step: Callable[[str], None]) -> BenchResult:
    """Run it."""
    _check(options)
    connections = _connections(options)
    binary, missing = (given_shopify(options.toxiproxy), "") if options.toxiproxy else install_shopify()
    cores = Cores.of_this_machine()
    notes = [missing] if missing else []
    if cores.measured == cores.measuring:
        notes.append("there is one core: the server and the load share it, so that the figures say little")
    with _servers(binary, cores) as servers:
        cases = {
            f"{name} {kind} {count}": _case(kind, count, options.seconds, server, cores)
            for kind in KINDS
            for count in connections
            for name, server in servers.items()
        }
        measured = measure_rounds(cases, options.rounds, UNITS, on_step)
    figures = _by_server(measured, connections)
    ratios = _ratios(figures, connections)
    added = _added(figures, connections)
    first = str(connections[0])
    ratio = ratios.get(f"megabytes_per_s {first}")
    headline: dict[str, Any] = {
        "ratios": {SHOPIFY: ratio},
        "ratios_of": ratios,
        "added_ms_p50": added[OURS][f"p50_ms {first}"],
        "added_ms": added,
    }
    settings = {"connections": connections, "seconds": options.seconds, "rounds": options.rounds, "cores": 1}
    goals = [
        Goal(
            f"throughput of Shopify's on one core ({first} at once)",
            f">= {RATIO_WANTED}",
            ratio,
            None if ratio is None else ratio >= RATIO_WANTED,
        ),
        Goal(
            f"ms added to an exchange at p50 ({first} open)",
            f"< {ADDED_MS_WANTED}",
            headline["added_ms_p50"],
            headline["added_ms_p50"] < ADDED_MS_WANTED,
        ),
    ]
    return BenchResult(NAME, settings, figures, headline, goals, notes)


@contextmanager
def _servers(binary: Path | None, cores: Cores) -> Iterator[dict[str, Server | None]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rushproof-bench-")))
        servers: dict[str, Server | None] = {DIRECT: None}
        servers[OURS] = stack.enter_context(our_server(cores.measured, folder))
        if binary is not None:
            servers[SHOPIFY] = stack.enter_context(shopify_server(binary, cores.measured, folder))
        yield servers


def _case(kind: str, count: int, seconds: float, server: Server | None, cores: Cores) -> Case:
    load = Load(kind, count, seconds, server.api if server else None, server.pid if server else None)
    return partial(_measured, load, cores.measuring)


def _measured(load: Load, core: int) -> dict[str, float]:
    said: dict[str, float] = json.loads(run_pinned(arguments(load), core, START_S + 3 * load.seconds))
    return said


def _by_server(measured: Mapping[str, Mapping[str, Figure]], connections: list[int]) -> dict[str, dict[str, Figure]]:
    """The figures of each server; each quantity with the kind of load where that is not plain, and the connections."""
    figures: dict[str, dict[str, Figure]] = {}
    for case, quantities in measured.items():
        server, kind, count = case.split()
        for name, figure in quantities.items():
            plain = f"{kind}_{name}" if name == "server_core_share" else name
            figures.setdefault(server, {})[f"{plain} {count}"] = figure
    return figures


def _ratios(figures: Mapping[str, Mapping[str, Figure]], connections: list[int]) -> dict[str, float]:
    """Ours divided by Shopify's; the median over the rounds, in each of which both were measured."""
    if SHOPIFY not in figures:
        return {}
    names = [f"{name} {count}" for name in RATIOS_OF for count in connections]
    found = {}
    for name in names:
        pairs = zip(figures[OURS][name].values, figures[SHOPIFY][name].values, strict=True)
        found[name] = rounded(Figure("", tuple(ours / theirs for ours, theirs in pairs)).median)
    return found


def _added(figures: Mapping[str, Mapping[str, Figure]], connections: list[int]) -> dict[str, dict[str, float]]:
    """What each server adds to an exchange, against none in the same round; the median over the rounds."""
    names = [f"{name} {count}" for name in ("p50_ms", "p99_ms") for count in connections]
    found: dict[str, dict[str, float]] = {}
    for server in figures:
        if server == DIRECT:
            continue
        for name in names:
            pairs = zip(figures[server][name].values, figures[DIRECT][name].values, strict=True)
            added = Figure("ms", tuple(through - direct for through, direct in pairs)).median
            found.setdefault(server, {})[name] = rounded(added)
    return found


def _check(options: argparse.Namespace) -> None:
    if not 1 <= options.rounds <= ROUNDS_MAX:
        raise BenchError(f"--rounds must be from 1 to {ROUNDS_MAX}, not {options.rounds}")
    if not 0.05 <= options.seconds <= SECONDS_MAX:
        raise BenchError(f"--seconds must be from 0.05 to {SECONDS_MAX:.0f}, not {options.seconds}")
    _connections(options)


def _connections(options: argparse.Namespace) -> list[int]:
    words = options.connections.split(",")
    if not all(word.isascii() and word.isdecimal() and len(word) < 9 for word in words):
        raise BenchError(f"--connections takes whole numbers such as 1,500, not {options.connections!r}")
    numbers = [int(word) for word in words]
    if not all(1 <= number <= CONNECTIONS_MAX for number in numbers):
        raise BenchError(f"--connections must be from 1 to {CONNECTIONS_MAX} each, not {options.connections}")
    return list(dict.fromkeys(numbers))
