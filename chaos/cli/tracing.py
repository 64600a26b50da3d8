"""What the commands of the model have in common about a table of real orders in place of drawn diners."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chaos.cli.errors import CommandError
from simulator.model.replications import Replay
from simulator.replays import pinned, refuse_fields, replayed_in
from simulator.scenario import Scenario
from simulator.trace_table import TraceError, read_trace


def add_trace_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command that runs the model."""
    parser.add_argument(
        "--trace", type=Path, metavar="FILE",
        help="a table of real orders in place of drawn diners: CSV, .gz too, a row for each line of an order, with the columns "
        "order, ordered_at (2018-04-29T18:30), item, quantity, unit_price",
    )  # fmt: skip
    parser.add_argument(
        "--rate-factor", type=float, metavar="F",
        help="with --trace: how many times faster than real it is replayed; 60 puts an hour into a minute (default: so that "
        "1,600 orders, or a tenth more than the scenario's least_acknowledged, fill its duration)",
    )  # fmt: skip
    parser.add_argument(
        "--copies", type=int, default=1, metavar="N",
        help="with --trace: each order comes so many times at once, which is so many times the load (default: 1)",
    )  # fmt: skip


def read_replay(options: argparse.Namespace, scenario: Scenario, varied: Iterable[str] = ()) -> Replay | None:
    """The table that the options name, at one rate factor for all designs; CommandError if that cannot be."""
    if options.trace is None:
        if options.rate_factor is not None or options.copies != 1:
            raise CommandError("--rate-factor and --copies go with --trace, which names a table of orders")
        return None
    try:
        refuse_fields(varied)
        replay = pinned(Replay(read_trace(options.trace), options.rate_factor, options.copies), scenario)
        replayed_in(replay, scenario)
    except TraceError as error:
        raise CommandError(str(error)) from error
    return replay


def told_of(replay: Replay | None, scenario: Scenario) -> list[str]:
    """How much of the table comes, as a line of the result; no line without a table."""
    return [] if replay is None else [str(replayed_in(replay, scenario))]


def replayed_json(replay: Replay | None, scenario: Scenario) -> dict[str, Any]:
    """The same for a program."""
    return {"replayed": None if replay is None else replayed_in(replay, scenario).to_json()}
