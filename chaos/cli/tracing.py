"""What the commands of the model have in common about a table of real orders in place of drawn diners."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterable
from datetime import time
from pathlib import Path
from typing import Any

from chaos.cli.errors import CommandError
from simulator.model.replications import Replay
from simulator.replays import EVENINGS, evening_by_evening, pinned, refuse_fields, replayed_in
from simulator.scenario import Scenario
from simulator.trace_table import TraceError, read_trace

CLOCK = "time_scale"
_OF_EVENINGS = ("evenings", "starts_at")


def add_trace_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command that runs the model."""
    parser.add_argument(
        "--trace", type=Path, metavar="FILE",
        help="a table of real orders in place of drawn diners: CSV (comma, semicolon or tab), .gz too, a row for each line of an "
        "order, with the columns order, ordered_at (2018-04-29T18:30), item, quantity, unit_price. Replication n replays as much "
        "of the n-th busiest evening as the scenario lasts (duration_s times time_scale), on one clock with people and kitchen",
    )  # fmt: skip
    parser.add_argument(
        "--evenings", type=int, metavar="N",
        help=f"with --trace: replay the N busiest evenings (default: as many as replications, with auto {EVENINGS}; auto replays "
        "each once)",
    )  # fmt: skip
    parser.add_argument(
        "--starts-at", metavar="HH:MM",
        help="with --trace: replay each evening from this time on (default: its busiest stretch)",
    )  # fmt: skip
    parser.add_argument(
        "--rate-factor", type=float, metavar="F",
        help="with --trace: replay the whole table as a drill does, one evening behind the other, so many times faster than "
        "real, the same in each replication (default, and with the scenario's own time_scale: evening by evening)",
    )  # fmt: skip
    parser.add_argument(
        "--copies", type=int, default=1, metavar="N",
        help="with --trace: each order comes so many times at once, which is so many times the load (default: 1)",
    )  # fmt: skip


def read_replay(
    options: argparse.Namespace, scenario: Scenario, varied: Iterable[str] = (), replications: int | None = None
) -> Replay | None:
    """The table that the options name, the same orders or evenings for all designs; CommandError if that cannot be.

    `replications`: how many were asked for; None is auto.
    """
    if options.trace is None:
        if (options.rate_factor, options.copies, options.evenings, options.starts_at) != (None, 1, None, None):
            raise CommandError(
                "--rate-factor, --copies, --evenings and --starts-at go with --trace, which names a table of orders"
            )
        return None
    if options.evenings is not None and options.evenings < 1:
        raise CommandError(f"--evenings takes a number from 1 on, not {options.evenings}")
    starts_at = None if options.starts_at is None else _time(options.starts_at)
    squeezed = options.rate_factor is not None and not math.isclose(options.rate_factor, scenario.time_scale)
    if squeezed and any(getattr(options, name) is not None for name in _OF_EVENINGS):
        raise CommandError(
            f"--evenings and --starts-at replay evening by evening, at the scenario's time_scale of {scenario.time_scale:g}; "
            f"leave out --rate-factor {options.rate_factor:g}"
        )
    fields = list(varied)
    try:
        refuse_fields(fields)
        replay = Replay(read_trace(options.trace), options.rate_factor, options.copies)
        if squeezed:
            replay = pinned(replay, scenario)
        else:
            if CLOCK in fields:
                raise CommandError(
                    f"{CLOCK} is the clock of the replayed evenings, too; vary another field, or give a --rate-factor"
                )
            replay = evening_by_evening(replay, scenario, _count(options.evenings, replications), starts_at)
            _check_evenings(options.evenings, replay)
        replayed_in(replay, scenario)
    except TraceError as error:
        raise CommandError(str(error)) from error
    return replay


def _count(evenings: int | None, replications: int | None) -> int:
    """How many evenings; CommandError if some of them would never come."""
    if evenings is None:
        return EVENINGS if replications is None else replications
    if replications is not None and replications < evenings:
        raise CommandError(f"--evenings {evenings} needs as many --replications, not {replications}")
    return evenings


def _check_evenings(evenings: int | None, replay: Replay) -> None:
    there = len(replay.starts)
    if evenings is not None and evenings > there:
        raise CommandError(
            f"--evenings {evenings} are more than the {there:,} of the table in which somebody ordered then"
        )


def _time(text: str) -> time:
    """A time of day."""
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", text, re.ASCII)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise CommandError(f"--starts-at takes a time of day like 17:30, not {text!r}")
    return time(int(match[1]), int(match[2]))


def told_of(replay: Replay | None, scenario: Scenario, replications: int | None = None) -> list[str]:
    """How much of the table comes, as lines of the result; none without a table. `replications`: of each design, if all had so
    many."""
    if replay is None:
        return []
    found = replayed_in(replay, scenario)
    return [str(found), *found.remarks(replications)]


def replayed_json(replay: Replay | None, scenario: Scenario) -> dict[str, Any]:
    """The same for a program."""
    return {"replayed": None if replay is None else replayed_in(replay, scenario).to_json()}
