"""A campaign in figures, for `--json` and for evidence. Every count is a whole number."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

from chaos.power_cuts.campaign import Campaign
from chaos.power_cuts.cut import CutResult
from chaos.power_cuts.lane import Mode
from chaos.power_cuts.replay import Replayed, replay_lines

Json = dict[str, Any]
FAILURES_TOLD = 10


def replay_command(seed: int, number: int, mode: Mode) -> str:
    """The command that makes one cut again."""
    options = [] if mode.synchronous == "FULL" else ["--synchronous", mode.synchronous]
    lying = [] if mode.honest else ["--lying-disk"]
    return shlex.join(["rushproof", "power-cuts", *options, *lying, "--replay", f"{seed}:{number}"])


def campaign_json(campaign: Campaign) -> Json:
    """What was done and what came of it."""
    plan = campaign.plan
    return {
        "kind": "power-cuts",
        "verdict": campaign.verdict,
        "cause": campaign.cause,
        "interrupted": campaign.interrupted,
        "seed": plan.seed,
        "synchronous": plan.mode.synchronous,
        "lying_disk": not plan.mode.honest,
        "cuts_asked": plan.cuts,
        "cuts": campaign.cuts,
        "power_losses": campaign.power_losses,
        "failed": campaign.failed,
        "acknowledged_orders": campaign.told_orders,
        "lost_orders": campaign.lost_orders,
        "stores": {
            name: {
                "cuts": counts.cuts,
                "acknowledged_transactions": counts.told_steps,
                "acknowledged_orders": counts.told_orders,
                "failed": counts.failed,
                "lost_transactions": counts.lost_steps,
                "lost_orders": counts.lost_orders,
            }
            for name, counts in sorted(campaign.stores.items())
        },
        "power_went_at": dict(sorted(campaign.operations.items())),
        "power_went_in": dict(sorted(campaign.phases.items())),
        "power_went_again_in": dict(sorted(campaign.again.items())),
        "damage": dict(sorted(campaign.damage.items())),
        "workloads": campaign.lanes,
        "work": dict(sorted(campaign.work.items())),
        "troubles": dict(sorted(campaign.troubles.items())),
        "stalled_virtual_seconds": round(campaign.stalled_s),
        "unreached": list(campaign.unreached),
        "findings": dict(sorted(campaign.findings.items())),
        "failures": [_failure(result, plan.seed, plan.mode) for result in campaign.failures],
        "digest": campaign.digest,
        "seconds": round(campaign.elapsed_s, 1),
    }


def campaign_lines(campaign: Campaign) -> list[str]:
    """The same for a person, with the replay command of every failure told."""
    plan = campaign.plan
    rate_per_s = campaign.cuts / campaign.elapsed_s if campaign.elapsed_s else 0.0
    lines = [
        f"{name}: {counts.cuts} cuts, {counts.told_steps} transactions and {counts.told_orders} orders acknowledged, "
        f"{counts.lost_steps} and {counts.lost_orders} lost"
        for name, counts in sorted(campaign.stores.items())
    ]
    lines += [
        f"the power went {campaign.power_losses} times: {_counted(campaign.phases)}; again: {_counted(campaign.again)}",
        f"at: {_counted(campaign.operations)}",
        f"disks found: {_counted(campaign.damage)}",
        f"{campaign.lanes} workloads, with: {_counted(campaign.work)}; troubles: {_counted(campaign.troubles)}",
        f"{campaign.elapsed_s:.1f} s ({rate_per_s:.0f} cuts/s); digest {campaign.digest}",
    ]
    if campaign.failed > 1:
        lines.append(f"failures: {_counted(campaign.findings)}")
    for result in campaign.failures[:FAILURES_TOLD]:
        lines.append(f"cut {result.number} at {result.operation}: {result.store} {result.finding}: {result.detail}")
        lines.append(f"  {replay_command(plan.seed, result.number, plan.mode)}")
    if campaign.failed > FAILURES_TOLD:
        lines.append(f"and {campaign.failed - FAILURES_TOLD} more")
    return lines


def replay_json(replayed: Replayed) -> Json:
    """One cut."""
    lane, result = replayed.lane, replayed.result
    return {
        "kind": "power-cuts-replay",
        "verdict": "pass" if result.finding is None else "fail",
        "seed": lane.seed,
        "synchronous": lane.mode.synchronous,
        "lying_disk": not lane.mode.honest,
        **asdict(result),
        "damage": dict(sorted(result.damage.items())),
        "story": list(replay_lines(replayed)),
    }


def _failure(result: CutResult, seed: int, mode: Mode) -> Json:
    return {
        "cut": result.number,
        "store": result.store,
        "finding": result.finding,
        "detail": result.detail,
        "operation": result.operation,
        "phase": result.phase,
        "lost_transactions": result.lost_steps,
        "lost_orders": result.lost_orders,
        "image": result.image,
        "replay": replay_command(seed, result.number, mode),
    }


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
