"""The campaign: nothing is lost, what must be found is found, and the same cut is the same wherever it is made."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from chaos.faults.storage.simulated import SimulatedDisks
from chaos.interruption import Interruption
from chaos.power_cuts.accounts import campaign_lines
from chaos.power_cuts.campaign import GOALS, Campaign, Plan, run_campaign
from chaos.power_cuts.cut import CutResult, lane_of, make_cut
from chaos.power_cuts.lane import CUTS_PER_LANE, CUTS_PER_RECORDING, LANES, Lane, Mode, make_lane
from chaos.power_cuts.machine import Finding
from chaos.power_cuts.replay import replay, replay_lines
from chaos.power_cuts.workers import Chunk, LaneNote, Workers, make_chunk

SEED = 20


def campaign(cuts: int, *, seed: int = SEED, mode: Mode = Mode(), workers: int = 1) -> Campaign:  # noqa: B008
    with Workers(workers, Interruption()) as pool:
        return run_campaign(Plan(seed, cuts, mode), pool)


def told(done: Campaign) -> str:
    return "\n".join([done.cause, *campaign_lines(done)])


def test_after_two_hundred_power_cuts_nothing_is_missing() -> None:
    done = campaign(200)
    assert done.failed == 0, told(done)
    assert done.cuts == 200
    assert done.power_losses > 250, "the power goes again while the machine comes back"
    assert {name: store.cuts for name, store in done.stores.items()} == {"edge": 120, "kitchen": 40, "register": 40}
    assert done.stores["edge"].told_orders > 500
    assert done.stores["kitchen"].told_orders > 100
    for kind in ("torn", "reordered", "unsynced_lost", "truncation_lost"):
        assert done.damage[kind] > 5, told(done)


@pytest.mark.slow
def test_after_two_thousand_power_cuts_nothing_is_missing_and_every_kind_was_met() -> None:
    done = campaign(2_000, seed=3)
    assert done.failed == 0, told(done)
    rare = {goal for goal in GOALS if goal.startswith("work ")}
    assert set(done.unreached) <= rare, told(done)


@pytest.fixture(scope="module")
def unsynced_campaign() -> Campaign:
    return campaign(100, mode=Mode("NORMAL"))


def test_commits_that_are_not_synced_are_found_to_be_lost_in_every_store(unsynced_campaign: Campaign) -> None:
    assert unsynced_campaign.verdict == "fail"
    assert unsynced_campaign.findings["lost"] > 10
    assert unsynced_campaign.lost_orders > 10
    assert all(store.lost_steps for store in unsynced_campaign.stores.values()), told(unsynced_campaign)


def test_a_disk_that_syncs_nothing_is_found() -> None:
    done = campaign(60, mode=Mode(honest=False))
    assert done.verdict == "fail"
    assert done.findings["lost"] > 10, told(done)


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing() -> None:
    one, two = campaign(300), campaign(300, workers=2)
    assert one.digest == two.digest
    assert one.goals == two.goals
    assert one.stores == two.stores
    assert campaign(300, seed=SEED + 1).digest != one.digest


def test_a_cut_made_alone_is_the_cut_of_the_campaign() -> None:
    for numbers, mode in ((range(100, 104), Mode()), (range(7, 9), Mode("NORMAL"))):
        chunk = make_chunk(SEED, numbers, mode)
        assert [replay(SEED, number, mode).result for number in numbers] == list(chunk.results)
        assert len({result.image for result in chunk.results}) == len(chunk.results)


def test_a_failure_is_told_with_the_command_that_repeats_it_and_the_story_of_its_operations(
    unsynced_campaign: Campaign,
) -> None:
    first = unsynced_campaign.failures[0]
    command = f"  rushproof power-cuts --synchronous NORMAL --replay {SEED}:{first.number}"
    assert command in campaign_lines(unsynced_campaign)
    again = replay(SEED, first.number, Mode("NORMAL"))
    assert again.result == first
    story = "\n".join(replay_lines(again))
    assert f"the power goes at operation {len(again.losses[0].operations)}, {first.operation}" in story
    assert "lost" in story


def test_the_cuts_of_a_lane_are_spread_over_all_its_operations(tmp_path: Path) -> None:
    with SimulatedDisks() as disks:
        lane = make_lane(disks, tmp_path, SEED, 0, 0, Mode())
        numbers = [number for number in range(CUTS_PER_RECORDING) if lane_of(number) == (0, 0)]
        places: list[int] = []
        for number in numbers:
            make_cut(disks, tmp_path, lane, number, lambda disk, _: places.append(disk.operations))
    assert len(numbers) == CUTS_PER_LANE
    tenths = Counter(place * 10 // (lane.operations + 1) for place in places)
    assert len(tenths) >= 8, f"of {lane.operations} operations: {sorted(places)}"


def test_every_cut_belongs_to_one_lane() -> None:
    lanes = Counter(lane_of(number) for number in range(3 * CUTS_PER_RECORDING))
    assert set(lanes.values()) == {CUTS_PER_LANE}
    assert len(lanes) == 3 * LANES


def test_what_is_found_without_a_power_cut_is_a_failure_too(tmp_path: Path) -> None:
    with SimulatedDisks() as disks:
        sound = make_lane(disks, tmp_path, SEED, 0, 4, Mode())
        assert sound.finding is None
        values = {name: getattr(sound, name) for name in Lane.__dataclass_fields__}
        unsound = Lane(**values | {"finding": Finding("mixed", "by itself")})
        result = make_cut(disks, tmp_path, unsound, 4)
    assert (result.finding, result.detail, result.operation) == ("mixed", "by itself", "no power cut")


def test_a_goal_that_was_never_met_makes_a_campaign_unknown_and_a_failure_makes_it_fail() -> None:
    done = Campaign(Plan(1, 2))
    operations = [goal.removeprefix("power cut at ") for goal in GOALS if goal.startswith("power cut at ")]
    done.operations.update(operations)
    done.phases.update(goal.removeprefix("power cut in ") for goal in GOALS if goal.startswith("power cut in "))
    done.again.update(goal.removeprefix("another power cut in ") for goal in GOALS if goal.startswith("another "))
    done.damage.update(goal.removeprefix("damage ") for goal in GOALS if goal.startswith("damage "))
    troubles = [goal.removeprefix("trouble ") for goal in GOALS if goal.startswith("trouble ")]
    work = [goal.removeprefix("work ") for goal in GOALS if goal.startswith("work ")]
    done.add(Chunk((LaneNote(tuple(work), tuple(troubles[1:]), 0.0),), ()))
    assert (done.verdict, done.unreached) == ("unknown", ("trouble killed",))
    done.add(Chunk((LaneNote((), ("killed",), 2.0),), ()))
    assert done.verdict == "pass"
    done.interrupted = True
    assert done.verdict == "unknown"
    failed = CutResult(
        1, "edge", "write log", "transaction", 5, 4, finding="lost", detail="gone", lost_steps=2, lost_orders=1
    )
    done.add(Chunk((), (failed,)))
    assert done.verdict == "fail"
    assert "cut 1, edge lost: gone" in done.cause
    assert (done.stores["edge"].lost_steps, done.lost_orders) == (2, 1)
