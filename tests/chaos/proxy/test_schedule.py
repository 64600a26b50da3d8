"""Schedules: the phases in virtual time, their JSON, and toxics that come and go on real connections."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from random import Random
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as some

from chaos.proxy.draws import draws_for
from chaos.proxy.events import EventLog, EventName
from chaos.proxy.link import Link, Traffic
from chaos.proxy.schedule import SCHEDULE_MS_MAX, Phase, Schedule, decode_schedule
from chaos.proxy.toxics import (
    Attributes,
    Bandwidth,
    Direction,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
)

PATIENCE_S = 10.0

# -- phases


def test_a_toxic_waits_for_its_time_and_stays_for_good() -> None:
    schedule = Schedule(at_ms=100)
    assert schedule.phase(0) == schedule.phase(99.9) == Phase(False, 0, until_ms=100)
    assert schedule.phase(100) == schedule.phase(1e9) == Phase(True, 1)


def test_a_toxic_leaves_after_its_time() -> None:
    schedule = Schedule(at_ms=100, for_ms=50)
    assert schedule.phase(149) == Phase(True, 1, until_ms=150)
    assert schedule.phase(150) == schedule.phase(1e9) == Phase(False, 1)


def test_a_toxic_comes_back_every_so_often() -> None:
    schedule = Schedule(at_ms=100, for_ms=50, every_ms=200)
    assert [schedule.phase(ms).on for ms in (99, 100, 149, 150, 299, 300, 349, 350)] == [
        *(False, True, True, False, False),
        *(True, True, False),
    ]
    assert schedule.phase(310) == Phase(True, 2, until_ms=350)
    assert schedule.phase(350) == Phase(False, 2, until_ms=500)
    assert schedule.phase(100 + 200 * 1000 + 10) == Phase(True, 1001, until_ms=200_150)


def test_a_ramp_grows_in_each_round() -> None:
    schedule = Schedule(at_ms=100, for_ms=50, every_ms=200, ramp_ms=40)
    assert [schedule.phase(began + into).share for began in (100, 300) for into in (10, 20, 40, 49)] == [
        *(0.25, 0.5, 1.0, 1.0),
        *(0.25, 0.5, 1.0, 1.0),
    ]
    assert 0 < schedule.phase(100).share < 0.001
    assert schedule.phase(310).until_ms == 340


@some.composite
def schedules(draw: Any) -> Schedule:
    for_ms = draw(some.none() | some.integers(1, 1000))
    every_ms = None if for_ms is None else draw(some.none() | some.integers(max(10, for_ms + 1), 3000))
    ramp_ms = draw(some.integers(0, 1000 if for_ms is None else for_ms))
    return Schedule(draw(some.integers(0, 1000)), for_ms, every_ms, ramp_ms)


@given(schedules(), some.integers(0, 20_000))
def test_a_phase_holds_until_it_says_and_no_longer(schedule: Schedule, elapsed_ms: int) -> None:
    phase = schedule.phase(elapsed_ms)
    if phase.until_ms is None:
        later = schedule.phase(elapsed_ms + 10**7)
        assert (later.on, later.round, later.share) == (phase.on, phase.round, phase.share)
        return
    assert phase.until_ms > elapsed_ms
    just_before = schedule.phase(phase.until_ms - 0.5)
    assert (just_before.on, just_before.round) == (phase.on, phase.round)
    after = schedule.phase(phase.until_ms)
    assert (after.on, after.share >= 1) != (phase.on, phase.share >= 1) or after.round == phase.round + 1


@given(schedules())
def test_a_schedule_is_the_same_after_json(schedule: Schedule) -> None:
    assert decode_schedule(schedule.fields()) == schedule


# -- JSON


def test_what_was_given_is_shown() -> None:
    said = {"AT_MS": 5, "for_ms": 10, "every_ms": None}
    schedule = decode_schedule(said)
    assert schedule == Schedule(at_ms=5, for_ms=10)
    assert schedule.fields() == {"at_ms": 5, "for_ms": 10}
    assert decode_schedule(None) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, 'schedule: must be an object such as {"at_ms": 1000, "for_ms": 5000}'),
        ({"at": 5}, "schedule: at is not known; there are at_ms, every_ms, for_ms, ramp_ms"),
        ({"at_ms": 1.5}, "schedule: at_ms must be a whole number of milliseconds"),
        ({"at_ms": True}, "schedule: at_ms must be a whole number of milliseconds"),
        ({"at_ms": -1}, f"schedule: at_ms must lie between 0 and {SCHEDULE_MS_MAX}"),
        ({"for_ms": 0}, f"schedule: for_ms must lie between 1 and {SCHEDULE_MS_MAX}"),
        ({"every_ms": 100}, "schedule: every_ms needs a for_ms that is shorter, or the toxic would never pause"),
        (
            {"every_ms": 100, "for_ms": 100},
            "schedule: every_ms needs a for_ms that is shorter, or the toxic would never pause",
        ),
        ({"ramp_ms": 9, "for_ms": 8}, "schedule: ramp_ms must not be longer than for_ms (8), not 9"),
        ({"at_ms": 10**30}, f"schedule: at_ms must lie between 0 and {SCHEDULE_MS_MAX}"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused_in_one_sentence(value: Any, text: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the text is compared as a whole
        decode_schedule(value)
    assert str(refused.value) == text


# -- ramps


@pytest.mark.parametrize(
    ("full", "half"),
    [
        (Latency(latency=100, jitter=11), Latency(latency=50, jitter=6)),
        (SlowClose(delay=100), SlowClose(delay=50)),
        (Bandwidth(rate=100), Bandwidth(rate=200)),
        (Bandwidth(rate=0), Bandwidth(rate=0)),
        (LimitData(bytes=1000), LimitData(bytes=2000)),
        (Slicer(average_size=10, size_variation=2, delay=100), Slicer(average_size=10, size_variation=2, delay=50)),
        (Timeout(timeout=100), Timeout(timeout=100)),
        (ResetPeer(timeout=100), ResetPeer(timeout=100)),
    ],
)
def test_half_way_up_a_ramp_the_effect_is_half_as_strong(full: Attributes, half: Attributes) -> None:
    assert full.ramped(0.5) == half
    assert full.ramped(1.0) == full
    full.ramped(1e-6)  # never beyond what an attribute may be


# -- on real connections


async def round_trip_ms(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
    began = time.monotonic()
    writer.write(b"x")
    assert await reader.readexactly(1) == b"x"
    return 1000 * (time.monotonic() - began)


def toxic(attributes: Attributes, schedule: Schedule, toxicity: float = 1.0) -> Toxic:
    return Toxic("t", "t", "downstream", Direction.DOWNSTREAM, toxicity, attributes, schedule)


def steps(log: EventLog) -> list[tuple[str, int]]:
    return [
        (each.event.value, each.details["round"]) for each in log.page() if each.event.value.startswith("schedule_")
    ]


def test_a_toxic_comes_and_goes_on_a_live_connection_and_on_new_ones(echoing: Callable[..., Any]) -> None:
    async def main() -> None:
        async with echoing() as world:
            proxy, log = world.proxy, world.log
            live = await world.connect()
            await round_trip_ms(*live)
            proxy.add_toxic(toxic(Latency(latency=400), Schedule(at_ms=300, for_ms=1000, every_ms=3_600_000)))
            assert await round_trip_ms(*live) < 300
            await world.until(lambda: steps(log) == [("schedule_on", 1)], "the toxic's coming")
            fresh = await world.connect()
            assert min(await asyncio.gather(round_trip_ms(*live), round_trip_ms(*fresh))) >= 400
            await world.until(lambda: steps(log) == [("schedule_on", 1), ("schedule_off", 1)], "the toxic's going")
            assert await round_trip_ms(*live) < 400
            assert await round_trip_ms(*fresh) < 400
            of_live = [each.event.value for each in log.page() if each.connection == 1 and each.toxic]
            assert of_live == ["toxic_applied", "toxic_acted", "toxic_removed"]
            for _reader, writer in (live, fresh):
                writer.close()
            on, off = [each.at_ms for each in log.page() if each.event.value.startswith("schedule_")]
            (added,) = [each.at_ms for each in log.page() if each.event is EventName.TOXIC_ADDED]
            assert 300 <= on - added < 1300
            assert 1300 <= off - added < 2300

    asyncio.run(main())


def test_a_repeated_toxic_hits_the_same_connections_in_every_round(echoing: Callable[..., Any]) -> None:
    async def main() -> None:
        async with echoing() as world:
            proxy, log = world.proxy, world.log
            pairs = [await world.connect() for _ in range(20)]
            await world.until(
                lambda: len([each for each in log.page() if each.event is EventName.CONNECTION_DIALLED]) == 20,
                "the connections",
            )
            proxy.add_toxic(toxic(Latency(latency=1), Schedule(for_ms=20, every_ms=40), toxicity=0.5))
            await world.until(lambda: ("schedule_off", 3) in steps(log), "three rounds")
            applied: dict[int, int] = {}
            for each in log.page():
                if each.event is EventName.TOXIC_APPLIED and each.connection is not None:
                    applied[each.connection] = applied.get(each.connection, 0) + 1
            rolls = {n: draws_for(1, "p", n, Direction.DOWNSTREAM, "t").random() for n in range(1, 21)}
            assert set(applied) == {n for n, roll in rolls.items() if roll < 0.5}
            assert len(set(applied.values())) == 1
            missed = [each.connection for each in log.page() if each.event is EventName.TOXIC_MISSED]
            assert sorted(missed) == sorted(set(rolls) - set(applied))
            for _reader, writer in pairs:
                writer.close()

    asyncio.run(main())


def test_a_later_round_has_draws_of_its_own() -> None:
    key: dict[str, Any] = {"seed": 1, "proxy": "p", "connection": 1, "direction": Direction.UPSTREAM, "toxic": "t"}
    assert draws_for(**key, round_number=1).random() == draws_for(**key).random()
    assert len({draws_for(**key, round_number=number).random() for number in (1, 2, 3)}) == 3


def test_the_first_round_decides_who_is_hit_and_each_round_draws_anew() -> None:
    asked: list[tuple[str, int]] = []

    def draws(name: str, round_number: int = 1, /) -> Random:
        asked.append((name, round_number))
        return Random(round_number)

    transport: Any = asyncio.Transport()
    link = Link(Direction.DOWNSTREAM, transport, transport, Traffic(), draws, Mock(), Mock())
    came_in_round_2 = dataclasses.replace(toxic(Slicer(), Schedule(for_ms=1, every_ms=10)), phase=Phase(True, 2))
    link.add([came_in_round_2])
    assert asked == [("t", 1), ("t", 2)]
    link.update(dataclasses.replace(came_in_round_2, phase=Phase(False, 2)))
    link.update(dataclasses.replace(came_in_round_2, phase=Phase(True, 3)))
    assert asked == [("t", 1), ("t", 2), ("t", 3)]


def test_a_ramp_is_climbed_on_a_live_connection(echoing: Callable[..., Any]) -> None:
    async def main() -> None:
        async with echoing() as world:
            proxy, log = world.proxy, world.log
            pair = await world.connect()
            await round_trip_ms(*pair)
            proxy.add_toxic(toxic(Latency(latency=300), Schedule(ramp_ms=600)))
            seen = []
            while ("schedule_ramped", 1) not in steps(log):
                seen.append(await round_trip_ms(*pair))
            assert seen[0] < 150
            assert await round_trip_ms(*pair) >= 300
            assert any(75 <= each < 290 for each in seen)
            updates = [each for each in log.page() if each.event is EventName.TOXIC_UPDATED]
            assert updates == []
            pair[1].close()

    asyncio.run(main())


def test_a_change_of_attributes_leaves_the_schedule_running_and_another_schedule_begins_now(
    echoing: Callable[..., Any],
) -> None:
    async def main() -> None:
        async with echoing() as world:
            proxy, log = world.proxy, world.log
            schedule = Schedule(at_ms=600)
            proxy.add_toxic(toxic(Latency(latency=1), schedule))
            (added,) = [each.at_ms for each in log.page() if each.event is EventName.TOXIC_ADDED]
            await asyncio.sleep(0.4)
            proxy.update_toxic(toxic(Latency(latency=2), schedule))
            await world.until(lambda: steps(log) == [("schedule_on", 1)], "the toxic's coming")
            assert log.page()[-1].at_ms - added < 1000
            proxy.update_toxic(toxic(Latency(latency=2), Schedule(at_ms=100)))
            shown = proxy.toxic("t")
            assert shown is not None
            assert not shown.phase.on
            await world.until(lambda: len(steps(log)) == 2, "the toxic's coming again")

    asyncio.run(main())


def test_a_deleted_toxic_s_schedule_ends_with_it(echoing: Callable[..., Any]) -> None:
    async def main() -> None:
        async with echoing() as world:
            proxy, log = world.proxy, world.log
            proxy.add_toxic(toxic(Latency(), Schedule(for_ms=5, every_ms=10)))
            await world.until(lambda: len(steps(log)) > 2, "some rounds")
            proxy.remove_all_toxics()
            before = len(log)
            await asyncio.sleep(0.1)
            assert len(log) == before

    asyncio.run(main())


def test_a_scheduled_toxic_keeps_its_place_in_the_chain(echoing: Callable[..., Any]) -> None:
    async def main() -> None:
        async with echoing() as world:
            proxy, log = world.proxy, world.log
            pair = await world.connect()
            await round_trip_ms(*pair)
            proxy.add_toxic(toxic(LimitData(bytes=3), Schedule(at_ms=50)))
            last = Toxic("last", "slicer", "downstream", Direction.DOWNSTREAM, 1.0, Slicer(average_size=1, delay=1000))
            proxy.add_toxic(last)
            await world.until(lambda: steps(log) == [("schedule_on", 1)], "the toxic's coming")
            pair[1].write(b"abcdef")
            assert await pair[0].read() == b"abc"
            (slicer,) = [each for each in log.page() if each.event is EventName.TOXIC_COUNTED and each.toxic == "last"]
            assert slicer.details["counts"] == {"cut": 2}
            pair[1].close()

    asyncio.run(main())
