"""`rushproof power-cuts`: the power goes at any write of the real store code, and the next boot must find what was promised."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from chaos.cli.errors import EXIT_INTERRUPTED, CommandError
from chaos.cli.output import STYLES
from chaos.evidence import write_evidence
from chaos.interruption import Interruption
from chaos.judge import EXIT_CODES
from chaos.power_cuts.accounts import campaign_json, campaign_lines, replay_json
from chaos.power_cuts.campaign import Plan, run_campaign
from chaos.power_cuts.lane import Mode
from chaos.power_cuts.progress import CampaignProgress
from chaos.power_cuts.replay import replay, replay_lines
from chaos.power_cuts.workers import Workers
from chaos.worker_pool import WorkersDied

CUTS = 10_000
CUTS_MAX = 100_000_000
SEED = 1
SEED_LIMIT = 2**63
WORKERS_MAX = 256

DESCRIPTION = """\
Cut the power under the real store code, at any write, and open the store again.

The stores of an edge device, of the arbiter and of the kitchen display do what a store under faults has asked of them,
on a disk in memory that knows what was synced. At the cut every synced byte stays, and of the rest any subset: whole
sectors, torn pages, later writes without earlier ones, lost lengths and names. Then the same code opens the store:
every acknowledged transaction must be there wholly and the one under way wholly or not at all, the integrity check and
the chain of hashes must hold, and the store must take more work. Often the power goes again while it starts. Before
the cut the disk may be full, fail or stall, or the process may be killed.

  rushproof power-cuts                        10,000 cuts, a minute or two
  rushproof power-cuts --cuts 2000 --seed 7   other cuts
  rushproof power-cuts --replay 7:1234        cut 1234 of seed 7 again, told operation by operation
  rushproof power-cuts --synchronous NORMAL   commits that are not synced: losses must be found
  rushproof power-cuts --lying-disk           a disk that says "synced" and is not: losses must be found
"""
EPILOG = """\
The same seed and number make the same cut, byte for byte, on any number of workers.

Exit code: 0 pass, 1 fail (something acknowledged was lost, or a store could not be used), 2 usage or environment,
3 unknown (too few cuts to have met every kind of them), 130 interrupted; what was counted is told all the same.
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "power-cuts",
        help="cut the power at any write of the real store code",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cuts", type=int, metavar="N", help=f"how many cuts are made (default {CUTS})")
    parser.add_argument("--seed", type=int, metavar="K", help=f"seed of every draw (default {SEED})")
    parser.add_argument(
        "--synchronous",
        choices=("FULL", "NORMAL"),
        default="FULL",
        help="how the stores commit: FULL as they do (default), NORMAL to see that the losses are found",
    )
    parser.add_argument("--lying-disk", action="store_true", help="a disk that syncs nothing, to see that it is found")
    parser.add_argument("--replay", metavar="SEED:CUT", help="make one cut again and tell what happened")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one for each CPU)")
    parser.add_argument("--evidence", type=Path, metavar="FILE", help="write what was counted there")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document to standard output, all else to standard error"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    mode = Mode(options.synchronous, honest=not options.lying_disk)
    if options.replay is not None:
        return _run_replay(options, *_place(options), mode)
    plan = Plan(_whole("--seed", options.seed, SEED, 0, SEED_LIMIT - 1), _cuts(options), mode)
    workers = _whole("--workers", options.workers, os.cpu_count() or 1, 1, WORKERS_MAX)
    _check_evidence(options.evidence)
    with Interruption() as interruption:
        try:
            with CampaignProgress(plan) as progress, Workers(workers, interruption) as pool:
                campaign = run_campaign(plan, pool, progress.watch)
        except WorkersDied as error:
            raise CommandError(str(error)) from error
        said = campaign_json(campaign)
        if options.evidence is not None and not campaign.interrupted:
            _write_evidence(options.evidence, said)
        _tell(options, said, campaign_lines(campaign))
        return EXIT_INTERRUPTED if interruption.noted else EXIT_CODES[campaign.verdict]


def _run_replay(options: argparse.Namespace, seed: int, number: int, mode: Mode) -> int:
    replayed = replay(seed, number, mode)
    said = replay_json(replayed)
    result = replayed.result
    found = "every promise was kept" if result.finding is None else f"{result.store} {result.finding}: {result.detail}"
    _tell(options, said | {"cause": f"cut {number} of seed {seed}: {found}"}, replay_lines(replayed))
    return EXIT_CODES["pass" if result.finding is None else "fail"]


def _place(options: argparse.Namespace) -> tuple[int, int]:
    """The seed and the cut of `--replay`."""
    for name in ("cuts", "seed", "workers", "evidence"):
        if getattr(options, name) is not None:
            raise CommandError(f"--{name} does not go with --replay, which makes one cut")
    seed, colon, number = options.replay.partition(":")
    if not (colon and seed.isdecimal() and number.isdecimal() and int(seed) < SEED_LIMIT and int(number) < CUTS_MAX):
        raise CommandError(f"--replay takes SEED:CUT, two whole numbers such as 7:1234, not {options.replay!r}")
    return int(seed), int(number)


def _cuts(options: argparse.Namespace) -> int:
    return _whole("--cuts", options.cuts, CUTS, 1, CUTS_MAX)


def _whole(flag: str, said: int | None, default: int, low: int, high: int) -> int:
    number = default if said is None else said
    if not low <= number <= high:
        raise CommandError(f"{flag} must be from {low} to {high}, not {number}")
    return number


def _check_evidence(path: Path | None) -> None:
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise CommandError(f"{path}: cannot be written; --evidence takes a file in a folder that exists")


def _write_evidence(path: Path, said: dict[str, Any]) -> None:
    try:
        write_evidence(path, said["kind"], shlex.join(["rushproof", *sys.argv[1:]]), said)
    except OSError as error:
        raise CommandError(f"{path}: cannot be written ({error.strerror})") from error


def _tell(options: argparse.Namespace, said: dict[str, Any], lines: Iterable[str]) -> None:
    """The verdict and its lines; with `--json` the document on standard output and the rest on standard error."""
    if options.json:
        sys.stdout.write(json.dumps(said, indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    console = Console(stderr=options.json, highlight=False)
    console.print(Text(said["verdict"].upper(), STYLES[said["verdict"]]), Text(said["cause"]), soft_wrap=True)
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=True)
