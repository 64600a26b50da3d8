"""The guarantees table: what stands behind each row of the protocol's "Survivable faults", counted from the evidence files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.cluster.goals import Row

BEGIN, END = "<!-- guarantees: made by `rushproof guarantees` -->", "<!-- end of guarantees -->"
NOTHING = "none"
KINDS = {"fuzz.json": "fuzz", "drills.json": "drills", "power_cuts.json": "power-cuts"}


@dataclass(frozen=True, slots=True)
class Guarantee:
    """One row: what the fault does to orders, the drills that cause it, the stores whose power cuts belong to it."""

    row: Row
    orders: str
    drills: tuple[str, ...] = ()
    power_cuts: tuple[str, ...] = ()


GUARANTEES: tuple[Guarantee, ...] = (
    Guarantee(
        Row.ONE_OF_TWO,
        "continue at R1 after the time-out, then R2 again",
        ("primary_killed", "standby_lost", "primary_disk_lost", "lunch_rush"),
        ("edge",),
    ),
    Guarantee(Row.DISK_GONE_WITH_REQUEST, "may need break glass; nothing is lost while the other disk is whole"),
    Guarantee(
        Row.PAUSED_AND_REPLACED,
        "the paused device commits nothing that the other lacks",
        ("primary_paused", "lunch_rush"),
    ),
    Guarantee(Row.PEER_CUT, "exactly one device goes on", ("store_link_cut", "switch_failure")),
    Guarantee(Row.WAN_CUT, "continue; the cloud gets the rest later", ("wan_outage", "lunch_rush")),
    Guarantee(Row.ARBITER_DOWN, "continue at R2", ("arbiter_lost",)),
    Guarantee(Row.ARBITER_DOWN_THEN_DEVICE, "refused until the arbiter is back", ("arbiter_and_primary_lost",)),
    Guarantee(Row.ONLY_MEMBER_DOWN, "refused until that device is back", ("only_member_down",)),
    Guarantee(
        Row.WHOLE_STORE,
        "the store goes on by itself when power is back",
        ("store_power_cut",),
        ("edge", "register", "kitchen"),
    ),
    Guarantee(
        Row.ONLY_MEMBER_DESTROYED,
        "a person breaks glass; R1 orders held nowhere else are given up, each named",
        ("break_glass",),
    ),
)


class EvidenceMissing(ValueError):
    """An evidence file that the table is made from is not there or cannot be read."""


def guarantees_table(folder: Path) -> str:
    """The table in Markdown, from `fuzz.json`, `drills.json` and `power_cuts.json` in `folder`. Raises `EvidenceMissing`."""
    fuzz, drills, power = (_read(folder / name) for name in KINDS)
    lines = [
        "| fault, from members {A,B}, A primary | orders | schedules | real drills passed | power cuts of a store file |",
        "|---|---|---|---|---|",
    ]
    lines += [_line(guarantee, fuzz, drills, power) for guarantee in GUARANTEES]
    lines += ["", _sentence(fuzz, drills, power)]
    return "\n".join(lines)


def put_table(readme: str, table: str) -> str:
    """`readme` with the table between its marks. Raises `ValueError` if they are not there."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the marks {BEGIN!r} and {END!r} are not there")
    return f"{head}{BEGIN}\n\n{table}\n\n{END}{tail}"


def _line(guarantee: Guarantee, fuzz: Mapping[str, Any], drills: Mapping[str, Any], power: Mapping[str, Any]) -> str:
    schedules = fuzz["rows"].get(guarantee.row, {}).get("schedules", 0)
    cuts = sum(power["stores"].get(store, {}).get("cuts", 0) for store in guarantee.power_cuts)
    cells = (
        guarantee.row,
        guarantee.orders,
        f"{schedules:,}",
        _runs(guarantee.drills, drills),
        f"{cuts:,}" if cuts else NOTHING,
    )
    return "| " + " | ".join(cells) + " |"


def _runs(scenarios: Sequence[str], drills: Mapping[str, Any]) -> str:
    passed = [run["scenario"] for run in drills["runs"] if run["verdict"] == "pass"]
    counted = {scenario: passed.count(scenario) for scenario in scenarios}
    return ", ".join(f"`{scenario}` {count}" for scenario, count in counted.items() if count) or NOTHING


def _sentence(fuzz: Mapping[str, Any], drills: Mapping[str, Any], power: Mapping[str, Any]) -> str:
    runs = drills["runs"]
    told = sum(fuzz["acknowledged"].values())
    told_in_drills = sum(sum(run["acknowledged"].values()) for run in runs)
    passed = sum(run["verdict"] == "pass" for run in runs)
    broken = sum(run["always_classes"] for run in runs)
    given_up = sum(run["given_up"] for run in runs)
    schedules = (
        f"{fuzz['seeds']:,} schedules with {fuzz['disks_lost']:,} lost disks and {told:,} acknowledged orders: "
        f"{fuzz['failed']:,} failed, {fuzz['given_up']:,} R1 orders given up by break glass."
    )
    real = (
        f"{len(runs):,} real drills with {told_in_drills:,} acknowledged orders: {passed:,} passed, {broken:,} cases in a class "
        f"that must be 0, {given_up:,} R1 orders given up."
    )
    told_at_cuts = power["acknowledged_orders"]
    cuts = f"{power['cuts']:,} power cuts with {told_at_cuts:,} acknowledged orders: {power['lost_orders']:,} lost."
    return f"{schedules} {real} {cuts}"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        kind, counts = content["kind"], content["counts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvidenceMissing(f"{path} cannot be read as evidence ({type(error).__name__})") from error
    if kind != KINDS[path.name]:
        raise EvidenceMissing(f"{path} holds evidence of kind {kind!r}, not {KINDS[path.name]!r}")
    found: Mapping[str, Any] = counts
    return found
