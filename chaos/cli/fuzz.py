"""`rushproof fuzz`: hundreds of fault schedules a minute in virtual time, each judged by the audit."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaos.campaign.accounts import campaign_counts, campaign_json, catches_counts, replay_json
from chaos.campaign.campaign import CHECK_TWICE_SHARE, Campaign, CampaignPlan, CampaignVerdict, run_campaign
from chaos.campaign.catches import Catch, catch_all
from chaos.campaign.commands import replay_command
from chaos.campaign.investigation import Exhibit, ScheduleFile, ScheduleFileError, investigate, load, save
from chaos.campaign.judging import CRASHED
from chaos.campaign.progress import Progress
from chaos.campaign.replay import Replayed, replay
from chaos.campaign.results import SeedResult
from chaos.campaign.simulation import VIRTUAL_CLUSTER
from chaos.campaign.telling import campaign_lines, catch_line, exhibit_lines, failure_line, replay_lines
from chaos.campaign.workers import Workers
from chaos.cli.errors import EXIT_INTERRUPTED, CommandError
from chaos.cli.output import STYLES
from chaos.evidence import write_evidence
from chaos.interruption import Interruption
from chaos.judge import EXIT_CODES
from chaos.run_folder import RUNS
from chaos.worker_pool import WorkersDied
from simulator.cluster.schedule_checks import SEED_LIMIT, shown
from simulator.cluster.variants import VARIANTS

SIMULATION = VIRTUAL_CLUSTER
SEEDS = 1_000
SEEDS_MAX = 10_000_000
SEED = re.compile(r"[0-9]{1,30}")
WORKERS_MAX = 256
LIST, ALL = "list", "all"

DESCRIPTION = """\
Run the store protocol in virtual time under drawn faults, and judge every run.

Each seed draws a schedule: about 100 orders, and strikes of a few kinds (cuts, crashes, lost disks, pauses, power
cuts, ...). The protocol's own objects run through it; then everything is healed, every order must be answered and every
place must come to agree. Invariants are watched during the run, and the audit that judges a drill judges its history.

  rushproof fuzz                          1,000 seeds, a minute or two on two cores
  rushproof fuzz --seeds 50 --first 7000  other seeds
  rushproof fuzz --replay 4711            one seed again, twice, with the trace around what it broke
  rushproof fuzz --break list             the broken variants of the protocol
  rushproof fuzz --break no-claim         look for a seed that catches one, and shrink it
  rushproof fuzz --break all              how many seeds it takes to catch each of them
"""
EPILOG = """\
A failure names its seed, the broken invariant or class of the audit, the command that replays it, and the smallest
schedule that fails alike; that schedule and its trace are kept in runs/fuzz-SEED/.

Exit code: 0 pass, 1 fail (with --break NAME: the variant was caught, as with 'drill'), 2 usage or environment,
3 unknown (a goal was never reached: run more seeds), 130 interrupted; what was counted is told all the same.
With --break all: 0 if every variant was caught, 1 if one was not.
"""


class _Once(argparse.Action):
    """An option that is said once: of two values one would be passed over in silence."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Keep the value."""
        if getattr(namespace, self.dest) is not None:
            raise CommandError(f"{option_string} is said twice, and takes one value")
        setattr(namespace, self.dest, values)


def _whole(text: str) -> int:
    """A whole number on the command line, of a size that can be read."""
    if not re.fullmatch(r"[+-]?[0-9]{1,30}", text):
        raise argparse.ArgumentTypeError(f"must be a whole number, not {shown(text)}")
    return int(text)


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "fuzz",
        help="hundreds of fault schedules in virtual time, each audited",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=_whole, metavar="N", help=f"how many seeds are run at most (default {SEEDS})")
    parser.add_argument("--first", type=_whole, metavar="K", help="the first seed (default 1)")
    parser.add_argument(
        "--break",
        dest="variant",
        action=_Once,
        metavar="NAME|list|all",
        help="look for a seed that catches this broken variant of the protocol; list them; or try each of them",
    )
    parser.add_argument(
        "--replay",
        metavar="SEED|FILE",
        action=_Once,
        help="run one schedule twice: a seed's, or one that a failure has left",
    )
    parser.add_argument("--workers", type=_whole, metavar="N", help="processes (default: one for each CPU)")
    parser.add_argument(
        "--check-twice",
        type=float,
        metavar="SHARE",
        help=f"share of the seeds run twice, to see that they go the same way (default {CHECK_TWICE_SHARE:g})",
    )
    parser.add_argument("--no-shrink", action="store_true", help="leave a failing schedule as it was drawn")
    parser.add_argument("--trace", action="store_true", help="print the whole trace, not only its end")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where a failing schedule is kept (default runs/fuzz-SEED)"
    )
    parser.add_argument(
        "--evidence", type=Path, metavar="FILE", help="write the counts of a whole campaign, or of --break all, there"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document to standard output, all else to standard error"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.variant == LIST:
        _list_variants()
        return 0
    _check(options)
    stored = _stored(options)
    with Interruption() as interruption:
        try:
            if stored is not None:
                return _run_replay(options, stored, interruption)
            if options.variant == ALL:
                return _run_all_variants(options, interruption)
            return _run_campaign(options, interruption)
        except WorkersDied as error:
            raise CommandError(str(error)) from error


def _run_campaign(options: argparse.Namespace, interruption: Interruption) -> int:
    plan = _plan(options)
    broken = "" if plan.variant is None else f", broken: {plan.variant}"
    last = plan.first_seed + plan.seeds - 1
    title = f"rushproof: fuzz seeds {plan.first_seed} to {last}{broken}"
    with Progress(title) as progress, Workers(SIMULATION, _workers(options), interruption) as workers:
        campaign = run_campaign(plan, SIMULATION, workers, progress.watch)
    exhibit, saved = None, None
    if campaign.failures:
        exhibit, saved = _exhibit(campaign.failures[0], options, interruption)
    if options.evidence is not None and not campaign.interrupted:
        _write_evidence(options, "fuzz", campaign_counts(campaign) | {"verdict": campaign.verdict})
    if options.json:
        _print_json(campaign_json(campaign, exhibit, saved, whole_trace=options.trace))
    _tell_campaign(options, campaign, exhibit, saved)
    return EXIT_INTERRUPTED if interruption.noted else EXIT_CODES[campaign.verdict]


def _tell_campaign(options: argparse.Namespace, campaign: Campaign, exhibit: Exhibit | None, saved: str | None) -> None:
    lines = list(campaign_lines(campaign))
    if exhibit is not None:
        lines += exhibit_lines(exhibit, saved, whole_trace=options.trace)
    _tell(options, campaign.verdict, campaign.cause, lines)


def _exhibit(result: SeedResult, options: argparse.Namespace, interruption: Interruption) -> tuple[Exhibit, str | None]:
    """The first failing seed made small, and the file that keeps it (None if it cannot be written)."""
    assert result.failure is not None
    variant = options.variant
    shrinking = not options.no_shrink and not interruption.noted
    if shrinking:
        what = f"seed {result.seed} breaks {result.failure.name}"
        sys.stderr.write(f"rushproof: {what}; looking for the smallest schedule\n")
    exhibit = investigate(
        SIMULATION,
        SIMULATION.draw(result.seed),
        variant,
        result.failure,
        shrinking=shrinking,
        interrupted=lambda: interruption.noted,
    )
    name = f"fuzz-{result.seed}" if variant is None else f"fuzz-{variant}-{result.seed}"
    folder = options.out if options.out is not None else Path(RUNS) / name
    try:
        return exhibit, str(save(exhibit, folder))
    except OSError as error:
        sys.stderr.write(f"rushproof: {folder}: the schedule cannot be kept there ({error.strerror})\n")
        return exhibit, None


def _run_replay(options: argparse.Namespace, stored: ScheduleFile, interruption: Interruption) -> int:
    with Workers(SIMULATION, 1, interruption) as workers:
        replayed = replay(SIMULATION, stored.schedule, stored.variant, workers)
    if replayed is None:
        return EXIT_INTERRUPTED
    failure = replayed.result.failure
    if options.json:
        _print_json(replay_json(replayed, whole_trace=options.trace))
    _tell(
        options,
        "pass" if failure is None else "fail",
        _replay_cause(replayed),
        replay_lines(replayed, stored.broken, whole_trace=options.trace),
    )
    return EXIT_CODES["pass" if failure is None else "fail"]


def _replay_cause(replayed: Replayed) -> str:
    result = replayed.result
    which = f"seed {result.seed}" + ("" if replayed.variant is None else f" with {replayed.variant}")
    if result.failure is not None:
        return f"{which} breaks {failure_line(result.failure)}"
    return f"{which} breaks nothing; it ended {result.end}, twice alike"


def _run_all_variants(options: argparse.Namespace, interruption: Interruption) -> int:
    first_seed, seeds_max = _first(options), _seeds(options)
    catches: list[Catch] = []
    title = f"rushproof: fuzz each of {len(VARIANTS)} broken variants, {seeds_max} seeds at most"
    with Progress(title) as progress, Workers(SIMULATION, _workers(options), interruption) as workers:
        for catch in catch_all(VARIANTS, first_seed, seeds_max, SIMULATION, workers, progress.watch):
            catches.append(catch)
            progress.say(catch_line(catch))
    missed = [catch.variant for catch in catches if not catch.caught]
    whole = len(catches) == len(VARIANTS)
    counts = catches_counts(catches, first_seed, seeds_max)
    verdict: CampaignVerdict = "fail" if missed else "pass" if whole else "unknown"
    if options.evidence is not None and whole:
        _write_evidence(options, "fuzz-variants", counts)
    if options.json:
        _print_json({"kind": "fuzz-variants", "verdict": verdict, "interrupted": not whole, **counts})
    said = f"{counts['caught']} of {len(VARIANTS)} broken variants were caught"
    named = f"; not caught in {seeds_max} seeds: {', '.join(missed)}" if missed else ""
    crashed = [
        catch.variant for catch in catches if catch.failure is not None and catch.failure.name.startswith(CRASHED)
    ]
    lines = [f"caught only by a crash, which may be the program's own: {', '.join(crashed)}"] if crashed else []
    lines += [replay_command(catch.seed, catch.variant) for catch in catches if catch.caught]
    _tell(options, verdict, said + named, lines)
    return EXIT_INTERRUPTED if interruption.noted else EXIT_CODES[verdict]


def _check(options: argparse.Namespace) -> None:
    """Refuse what cannot be, before anything is run."""
    if options.variant is not None and options.variant != ALL and options.variant not in VARIANTS:
        raise CommandError(
            f"there is no broken variant {shown(options.variant)}; the variants are {', '.join(VARIANTS)}"
        )
    if options.replay is not None:
        for name in ("seeds", "first", "check_twice", "evidence", "out"):
            if getattr(options, name) is not None:
                flag = f"--{name.replace('_', '-')}"
                raise CommandError(f"{flag} does not go with --replay, which runs one schedule twice")
        if options.variant == ALL:
            raise CommandError("--replay takes one broken variant, not --break all")
    if options.evidence is not None and options.variant not in (None, ALL):
        raise CommandError("--evidence goes with a campaign on the sound protocol or with --break all")
    seeds, first = _seeds(options), _first(options)
    if not 1 <= seeds <= SEEDS_MAX:
        raise CommandError(f"--seeds must be from 1 to {SEEDS_MAX}, not {seeds}")
    if not 0 <= first <= SEED_LIMIT - seeds:
        raise CommandError(f"--first must be from 0 to {SEED_LIMIT - seeds}, not {first}")
    if not 1 <= _workers(options) <= WORKERS_MAX:
        raise CommandError(f"--workers must be from 1 to {WORKERS_MAX}, not {options.workers}")
    if options.check_twice is not None and not 0 <= options.check_twice <= 1:
        raise CommandError(f"--check-twice must be from 0 to 1, not {options.check_twice:g}")
    if options.out is not None and options.out.exists() and not options.out.is_dir():
        raise CommandError(f"{options.out}: not a folder; --out takes one")
    if options.evidence is not None and (options.evidence.is_dir() or not options.evidence.parent.is_dir()):
        raise CommandError(f"{options.evidence}: cannot be written; --evidence takes a file in a folder that exists")


def _stored(options: argparse.Namespace) -> ScheduleFile | None:
    """The schedule to be replayed, or None. A file brings its variant along."""
    said: str | None = options.replay
    if said is None:
        return None
    if re.fullmatch(r"[+-]*[0-9]+", said):
        if not SEED.fullmatch(said) or int(said) >= SEED_LIMIT:
            raise CommandError(f"--replay takes a seed from 0 to {SEED_LIMIT - 1} or a file, not {shown(said)}")
        return ScheduleFile(SIMULATION.draw(int(said)), options.variant, "")
    try:
        stored = load(Path(said))
    except ScheduleFileError as error:
        raise CommandError(str(error)) from error
    if options.variant not in (None, stored.variant):
        return ScheduleFile(stored.schedule, options.variant, "")
    return stored


def _plan(options: argparse.Namespace) -> CampaignPlan:
    share = CHECK_TWICE_SHARE if options.check_twice is None else options.check_twice
    return CampaignPlan(
        _first(options), _seeds(options), options.variant, share, until_caught=options.variant is not None
    )


def _seeds(options: argparse.Namespace) -> int:
    return SEEDS if options.seeds is None else int(options.seeds)


def _first(options: argparse.Namespace) -> int:
    return 1 if options.first is None else int(options.first)


def _workers(options: argparse.Namespace) -> int:
    return (os.cpu_count() or 1) if options.workers is None else int(options.workers)


def _write_evidence(options: argparse.Namespace, kind: str, counts: dict[str, Any]) -> None:
    try:
        write_evidence(options.evidence, kind, shlex.join(["rushproof", *sys.argv[1:]]), counts)
    except OSError as error:
        raise CommandError(f"{options.evidence}: cannot be written ({error.strerror})") from error


def _print_json(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _tell(options: argparse.Namespace, verdict: str, cause: str, lines: Iterable[str]) -> None:
    """The verdict and its lines; with `--json` on standard error."""
    console = Console(stderr=options.json, highlight=False)
    console.print(Text(verdict.upper(), STYLES[verdict]), Text(cause), soft_wrap=True)
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=True)


def _list_variants() -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("variant", "what it breaks"):
        table.add_column(column, no_wrap=column == "variant")
    for variant in VARIANTS.values():
        table.add_row(variant.name, variant.breaks)
    Console(highlight=False).print(table)
