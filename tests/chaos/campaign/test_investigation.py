"""A failing seed is made small, traced and kept; what is kept can be replayed, and what is not right is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stand_in
from stand_in import InOneProcess, simulation

from chaos.campaign.accounts import strike_lines
from chaos.campaign.investigation import Exhibit, ScheduleFileError, investigate, load, save
from chaos.campaign.judging import Failure
from chaos.campaign.replay import replay
from chaos.campaign.results import run_and_judge
from chaos.campaign.telling import exhibit_lines


def exhibit_of(run: Any, seed: int, variant: str | None = None, *, shrinking: bool = True) -> Exhibit:
    schedule = stand_in.draw(seed)
    _, judgement = run_and_judge(simulation(run), schedule, variant)
    assert judgement.failure is not None
    return investigate(simulation(run), schedule, variant, judgement.failure, shrinking=shrinking)


def test_the_schedule_shrinks_to_what_breaks_the_same_invariant() -> None:
    exhibit = exhibit_of(stand_in.broken, 9)
    assert [strike.number for strike in exhibit.schedule.strikes] == [2]
    assert [order.number for order in exhibit.schedule.orders] == [5]
    assert exhibit.failure == Failure("commit never goes back", "seed 9", 4_321)
    assert len(exhibit.trace) == 1


def test_the_lines_name_strikes_times_and_the_command_that_replays() -> None:
    text = "\n".join(exhibit_lines(exhibit_of(stand_in.broken, 9), "runs/fuzz-9/schedule.json", whole_trace=False))
    assert "to 1 of 6 strikes and 1 of 20 orders (nothing more can be taken away)" in text
    assert "ms  device crash at store 1 device a for 1.0 ms" in text
    assert "commit never goes back at 4.3 ms: seed 9" in text
    assert "rushproof fuzz --replay runs/fuzz-9/schedule.json" in text


def test_unshrunken_it_stays_as_it_was_drawn() -> None:
    exhibit = exhibit_of(stand_in.broken, 9, shrinking=False)
    assert exhibit.schedule == stand_in.draw(9)
    assert exhibit.shrunken.runs == 0


def test_an_exception_shrinks_to_the_same_exception() -> None:
    exhibit = exhibit_of(stand_in.raising, 4)
    assert exhibit.schedule.strikes == exhibit.schedule.orders == ()
    assert exhibit.failure.name == "crashed by ZeroDivisionError"
    assert exhibit.trace == ()


def test_what_is_kept_is_loaded_as_it_was(tmp_path: Path) -> None:
    exhibit = exhibit_of(stand_in.sound, 9, "no-claim")
    path = save(exhibit, tmp_path / "new" / "folder")
    stored = load(path)
    assert (stored.schedule, stored.variant, stored.broken) == (exhibit.schedule, "no-claim", "commit never goes back")
    assert (path.parent / "trace.txt").read_text(encoding="utf-8").splitlines() == list(exhibit.trace)


def test_a_replay_fails_the_same_way(tmp_path: Path) -> None:
    workers: Any = InOneProcess(stand_in.sound)
    stored = load(save(exhibit_of(stand_in.sound, 9, "no-claim"), tmp_path))
    replayed = replay(workers.simulation, stored.schedule, stored.variant, workers)
    assert replayed is not None
    assert replayed.result.failure is not None
    assert replayed.result.failure.name == stored.broken
    assert replayed.trace


def _change(**changes: Any) -> Any:
    def change(content: dict[str, Any]) -> Any:
        content.update(changes)
        return content

    return change


def _in_schedule(**changes: Any) -> Any:
    def change(content: dict[str, Any]) -> Any:
        content["schedule"].update(changes)
        return content

    return change


def _strike(**changes: Any) -> Any:
    def change(content: dict[str, Any]) -> Any:
        content["schedule"]["strikes"][0].update(changes)
        return content

    return change


def _order(**changes: Any) -> Any:
    def change(content: dict[str, Any]) -> Any:
        content["schedule"]["orders"][0].update(changes)
        return content

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: [], "not a schedule that 'rushproof fuzz' has written"),
        (_change(kind="something else"), "not a schedule that 'rushproof fuzz' has written"),
        (_change(version=99), "of version 99"),
        (_change(schedule={}), "the schedule lacks the field seed"),
        (_change(schedule=3), "the schedule must be a JSON object, not 3"),
        (_change(schedule=[]), r"the schedule must be a JSON object, not \[\]"),
        (_change(variant=["no-claim", "two-doors"]), "there is no broken variant .'no-claim', 'two-doors'."),
        (_change(variant="no-such"), "there is no broken variant 'no-such'"),
        (_change(broken=7), "'broken' must be a text, not 7"),
        (_change(version={}), "of version {}"),
        (_in_schedule(surprise=1), "surprise"),
        (_in_schedule(strikes=[{"number": 1}]), r"strikes\[0\] lacks the field at_us"),
        (_in_schedule(strikes=[[1]]), r"strikes\[0\] must be a JSON object"),
        (_in_schedule(strikes="many"), "strikes must be a list"),
        (_in_schedule(orders={}), "orders must be a list"),
        (_in_schedule(seed="9"), "seed must be a whole number from 0 to [0-9]+, not '9'"),
        (_in_schedule(seed=True), "seed must be a whole number"),
        (_in_schedule(stores=0), "stores must be a whole number from 1"),
        (_in_schedule(policy=None), "policy must be one of available, require_r2, not None"),
        (_in_schedule(window_us=1e400), "window_us must be a whole number from 0 to [0-9]+, not inf"),
        (
            _in_schedule(window_us=10**4000),
            "window_us must be a whole number from 0 to [0-9]+, not a number of 13288 bits",
        ),
        (_strike(at_us="soon"), r"strikes\[0\].at_us must be a whole number from 0 to [0-9]+, not 'soon'"),
        (_strike(at_us=2.5), r"strikes\[0\].at_us must be a whole number"),
        (_strike(at_us=59_000_000), r"strikes\[0\].at_us is 59000000, and the window ends at"),
        (_strike(kind="meteor"), r"strikes\[0\].kind must be one of .*, not 'meteor'"),
        (_strike(kind=["wan cut"]), r"strikes\[0\].kind must be one of"),
        (_strike(target="c"), r"strikes\[0\].target must be one of a, b, not 'c'"),
        (_strike(store=-1), r"strikes\[0\].store must be"),
        (_order(quantity=0), r"orders\[0\].quantity must be"),
        (_order(asks_at_us="x" * 5000), r"orders\[0\].asks_at_us must be .* not 'x+…"),
    ],
)
def test_a_file_that_is_no_schedule_is_refused_in_one_sentence(tmp_path: Path, change: Any, words: str) -> None:
    path = save(exhibit_of(stand_in.broken, 9), tmp_path)
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    with pytest.raises(ScheduleFileError, match=words) as refusal:
        load(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"seed": ' + "9" * 5_000 + "}", "a number of thousands of digits"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff\xfe", "not UTF-8 text"),
    ],
    ids=["digits", "nested", "bytes"],
)
def test_a_file_that_the_reader_itself_trips_over_is_refused(tmp_path: Path, text: str | bytes, words: str) -> None:
    path = tmp_path / "odd.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ScheduleFileError, match=words) as refusal:
        load(path)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_or_not_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScheduleFileError, match="no such file"):
        load(tmp_path / "absent.json")
    (tmp_path / "half.json").write_text('{"kind": ', encoding="utf-8")
    with pytest.raises(ScheduleFileError, match="cannot be read as JSON"):
        load(tmp_path / "half.json")
    with pytest.raises(ScheduleFileError, match="cannot be read"):
        load(tmp_path)


def test_strikes_are_told_in_the_order_of_time() -> None:
    drawn = stand_in.draw(8)
    later_first = replace(drawn, strikes=drawn.strikes[::-1])
    assert strike_lines(later_first) == strike_lines(drawn) == [strike.describe() for strike in drawn.strikes]
