"""A campaign in figures, for `--json` and for evidence. Every count is a whole number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chaos.campaign.campaign import Campaign
from chaos.campaign.catches import Catch
from chaos.campaign.commands import replay_command
from chaos.campaign.investigation import Exhibit
from chaos.campaign.judging import Failure
from chaos.campaign.replay import Replayed
from chaos.campaign.trace import excerpt
from simulator.cluster.schedule import Schedule

ROW = "row: "
US_PER_S = 1_000_000

Json = dict[str, Any]


def campaign_counts(campaign: Campaign) -> Json:
    """What was run and what came of it. `goals` are those that must be reached, `rows` those of "Survivable faults"."""
    names = set(campaign.goal_times) | set(campaign.goals_wanted)
    rows = sorted(name for name in names if name.startswith(ROW))
    goals = [name for name in campaign.goals_wanted if not name.startswith(ROW)]
    return {
        "first_seed": campaign.plan.first_seed,
        "seeds": campaign.seeds,
        "passed": campaign.passed,
        "failed": campaign.failed,
        "checked_twice": campaign.checked_twice,
        "orders": campaign.orders,
        "acknowledged": {level: campaign.acknowledged[level] for level in ("R2", "R1", "RC")},
        "given_up": campaign.given_up,
        "faults": dict(sorted(campaign.faults.items())),
        "disks_lost": campaign.disks_lost,
        "events": campaign.events,
        "virtual_seconds": campaign.virtual_us // US_PER_S,
        "seconds": round(campaign.elapsed_s, 1),
        "goals": _reached(campaign, goals),
        "rows": _reached(campaign, rows, ROW),
        "other_counts": _reached(campaign, sorted(names.difference(rows, goals))),
        "digest": campaign.digest,
    }


def campaign_json(campaign: Campaign, exhibit: Exhibit | None, saved: str | None, *, whole_trace: bool) -> Json:
    """What `--json` prints of a campaign."""
    return {
        "kind": "fuzz",
        "verdict": campaign.verdict,
        "cause": campaign.cause,
        "variant": campaign.plan.variant,
        "interrupted": campaign.interrupted,
        "seeds_asked": campaign.plan.seeds,
        **campaign_counts(campaign),
        "unreached": list(campaign.unreached),
        "failures_by_name": dict(sorted(campaign.failures_by_name.items())),
        "failures": [
            {
                "seed": result.seed,
                **_failure(result.failure),
                "trace_hash": result.trace_hash,
                "replay": replay_command(result.seed, campaign.plan.variant),
            }
            for result in campaign.failures
        ],
        "shrunken": None if exhibit is None else _exhibit(exhibit, saved, whole_trace=whole_trace),
    }


def replay_json(replayed: Replayed, *, whole_trace: bool) -> Json:
    """What `--json` prints of a replay."""
    result = replayed.result
    failure = result.failure or Failure("", "")
    return {
        "kind": "fuzz-replay",
        "verdict": "pass" if result.failure is None else "fail",
        "seed": result.seed,
        "variant": replayed.variant,
        "end": result.end,
        "failure": _failure(result.failure) if result.failure is not None else None,
        "trace_hash": result.trace_hash,
        "events": result.events,
        "acknowledged": dict(result.acknowledged),
        "strikes": strike_lines(replayed.schedule),
        "orders": len(replayed.schedule.orders),
        "trace": list(replayed.trace if whole_trace else excerpt(replayed.trace, failure)),
    }


def catches_counts(catches: Iterable[Catch], first_seed: int, seeds_max: int) -> Json:
    """What became of every broken variant."""
    rows = {
        catch.variant: {
            "breaks": catch.breaks,
            "caught": catch.caught,
            "by": catch.failure.name if catch.failure is not None else None,
            "seeds": catch.seeds,
            "seed": catch.seed,
        }
        for catch in catches
    }
    caught = sum(bool(row["caught"]) for row in rows.values())
    return {"first_seed": first_seed, "seeds_max": seeds_max, "caught": caught, "of": len(rows), "variants": rows}


def strike_lines(schedule: Schedule) -> list[str]:
    """A line for each strike, in the order of time."""
    return [strike.describe() for strike in sorted(schedule.strikes, key=lambda strike: (strike.at_us, strike.number))]


def _reached(campaign: Campaign, names: Iterable[str], prefix: str = "") -> Json:
    return {
        name.removeprefix(prefix): {"schedules": campaign.goal_schedules[name], "times": campaign.goal_times[name]}
        for name in names
    }


def _failure(failure: Failure | None) -> Json:
    assert failure is not None, "only what failed is told as a failure"
    return {"broken": failure.name, "detail": failure.detail, "at_us": failure.at_us, "subject": failure.subject}


def _exhibit(exhibit: Exhibit, saved: str | None, *, whole_trace: bool) -> Json:
    trace = exhibit.trace if whole_trace else excerpt(exhibit.trace, exhibit.failure)
    return {
        "seed": exhibit.drawn.seed,
        **_failure(exhibit.failure),
        "runs": exhibit.shrunken.runs,
        "minimal": exhibit.shrunken.minimal,
        "strikes_drawn": len(exhibit.drawn.strikes),
        "orders_drawn": len(exhibit.drawn.orders),
        "strikes": strike_lines(exhibit.schedule),
        "orders": len(exhibit.schedule.orders),
        "file": saved,
        "trace": list(trace),
    }
