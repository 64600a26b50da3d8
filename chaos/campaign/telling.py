"""A campaign in words: lines for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chaos.campaign.accounts import ROW, US_PER_S, strike_lines
from chaos.campaign.campaign import Campaign
from chaos.campaign.catches import Catch
from chaos.campaign.commands import replay_command
from chaos.campaign.investigation import Exhibit
from chaos.campaign.judging import Failure
from chaos.campaign.replay import Replayed
from chaos.campaign.trace import excerpt
from chaos.campaign.words import counted
from simulator.cluster.schedule import Schedule

FAILURES_LISTED = 10
RAREST_GOALS = 5


def campaign_lines(campaign: Campaign) -> Iterator[str]:
    """What was run, and every failing seed with its replay command."""
    levels = ", ".join(f"{level} {campaign.acknowledged[level]}" for level in ("R2", "R1", "RC"))
    rate_per_s = campaign.seeds / campaign.elapsed_s if campaign.elapsed_s else 0.0
    yield (
        f"{campaign.seeds} schedules, {campaign.orders} orders, "
        f"{sum(campaign.acknowledged.values())} acknowledged ({levels}), {campaign.given_up} given up; "
        f"{campaign.disks_lost} disks lost"
    )
    yield (
        f"{campaign.virtual_us // US_PER_S} s of virtual time, {campaign.events} events in {campaign.elapsed_s:.1f} s "
        f"({rate_per_s:.1f} seeds/s); run twice: {campaign.checked_twice}; digest {campaign.digest}"
    )
    if campaign.plan.variant is None:
        yield from _reached_lines(campaign)
    if campaign.failed > 1:
        yield f"failures: {_counted(campaign.failures_by_name)}"
    for result in campaign.failures[:FAILURES_LISTED]:
        if result.failure is not None:
            yield f"seed {result.seed}: {failure_line(result.failure)}"
            yield f"  {replay_command(result.seed, campaign.plan.variant)}"
    if campaign.failed > FAILURES_LISTED:
        yield f"and {campaign.failed - FAILURES_LISTED} more"


def exhibit_lines(exhibit: Exhibit, saved: str | None, *, whole_trace: bool) -> Iterator[str]:
    """The shrunken schedule and its trace."""
    shrunken, schedule = exhibit.shrunken, exhibit.schedule
    if shrunken.runs:
        end = "nothing more can be taken away" if shrunken.minimal else "stopped by its limit"
        yield (
            f"seed {exhibit.drawn.seed} shrunk in {counted(shrunken.runs, 'run')} to {len(schedule.strikes)} of "
            f"{len(exhibit.drawn.strikes)} strikes and {len(schedule.orders)} of {len(exhibit.drawn.orders)} orders ({end}):"
        )
    else:
        yield f"seed {exhibit.drawn.seed}, {_size(schedule)}:"
    yield from (f"  {line}" for line in strike_lines(schedule))
    yield f"  {failure_line(exhibit.failure)}"
    if saved is not None:
        yield f"  {replay_command(saved, None)}"
    yield from _trace_lines(exhibit.trace, exhibit.failure, whole_trace=whole_trace)


def replay_lines(replayed: Replayed, expected: str, *, whole_trace: bool) -> Iterator[str]:
    """How a replay went; `expected` is what the schedule's file says that it broke."""
    result = replayed.result
    yield f"{_size(replayed.schedule)}:"
    yield from (f"  {line}" for line in strike_lines(replayed.schedule))
    got = result.failure.name if result.failure is not None else ""
    if expected and got != expected:
        yield f"  the file says that this breaks {expected}; now it {f'breaks {got}' if got else 'breaks nothing'}"
    yield f"  {result.events} events, trace {result.trace_hash or 'none'}"
    if result.failure is not None or whole_trace:
        yield from _trace_lines(replayed.trace, result.failure or Failure("", ""), whole_trace=whole_trace)


def catch_line(catch: Catch) -> str:
    """How one variant fared."""
    if catch.failure is None:
        return f"NOT CAUGHT  {catch.variant}: {counted(catch.seeds, 'seed')} passed"
    return f"caught      {catch.variant}: after {counted(catch.seeds, 'seed')}, by {catch.failure.name} (seed {catch.seed})"


def failure_line(failure: Failure) -> str:
    """A failure in one line."""
    when = "" if failure.at_us is None else f" at {failure.at_us / 1000:.1f} ms"
    return f"{failure.name}{when}: {failure.detail}"


def _size(schedule: Schedule) -> str:
    return f"{counted(len(schedule.strikes), 'strike')} and {counted(len(schedule.orders), 'order')}"


def _reached_lines(campaign: Campaign) -> Iterator[str]:
    reached = {name: campaign.goal_schedules[name] for name in campaign.goals_wanted}
    rows = {name.removeprefix(ROW): schedules for name, schedules in reached.items() if name.startswith(ROW)}
    rarest = sorted((name for name in reached if reached[name]), key=lambda name: reached[name])[:RAREST_GOALS]
    if campaign.faults:
        yield f"faults: {_counted(campaign.faults)}"
    if rows:
        yield f"survivable faults, by schedules: {_counted(rows)}"
    if rarest:
        rare = {name: reached[name] for name in rarest}
        yield f"goals: {len(reached) - len(campaign.unreached)} of {len(reached)} reached; the rarest: {_counted(rare)}"


def _trace_lines(trace: tuple[str, ...], failure: Failure, *, whole_trace: bool) -> Iterator[str]:
    shown = trace if whole_trace else excerpt(trace, failure)
    if shown:
        yield f"trace, {len(shown)} of {len(trace)} lines:"
        yield from (f"  {line}" for line in shown)


def _counted(counts: Mapping[str, int]) -> str:
    return "; ".join(f"{name} {count}" for name, count in counts.items())
