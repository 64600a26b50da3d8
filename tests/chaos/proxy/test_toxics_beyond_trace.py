"""Recorded capacity: when bytes of a replayed link may pass."""

from __future__ import annotations

import gzip
from pathlib import Path
from random import Random

import pytest
from toxic_stages import SEED, data, run, stage_of, times

from chaos.proxy.toxics import Chunk, Closing, Trace


def test_a_slot_carries_1500_bytes_and_what_is_not_used_is_lost() -> None:
    stage = stage_of(Trace(slots=(10, 20, 20, 35, 100), start_ms=0))
    stage.put(Chunk(bytes(4000), 0.012), 0.012)
    assert [(at, len(item.data)) for at, item in run(stage, 0.09, 0.012) if isinstance(item, Chunk)] == [
        (pytest.approx(0.02), 3000),
        (pytest.approx(0.035), 1000),
    ]
    stage.put(Chunk(bytes(1), 0.05), 0.05)
    assert times(run(stage, 1.0, 0.05)) == [pytest.approx(0.1)]


def test_bytes_share_a_slot_if_they_were_there_in_time() -> None:
    stage = stage_of(Trace(slots=(10, 40, 100), start_ms=0))
    for _ in range(4):
        stage.put(Chunk(bytes(500), 0.0), 0.0)
    assert times(run(stage, 1.0)) == [
        pytest.approx(0.01),
        pytest.approx(0.01),
        pytest.approx(0.01),
        pytest.approx(0.04),
    ]
    stage.put(Chunk(bytes(500), 0.05), 0.05)
    assert times(run(stage, 1.0, 0.05)) == [pytest.approx(0.1)], "the rest of the slot at 0.04 was lost"


def test_a_recording_begins_anew_at_its_end_and_anywhere() -> None:
    stage = stage_of(Trace(slots=(10, 50), start_ms=0))
    stage.put(Chunk(bytes(7500), 0.0), 0.0)
    assert times(run(stage, 1.0)) == pytest.approx([0.01, 0.05, 0.06, 0.1, 0.11])
    stage = stage_of(Trace(slots=(10, 50), start_ms=30))
    stage.put(Chunk(bytes(3000), 0.0), 0.0)
    assert times(run(stage, 1.0)) == pytest.approx([0.02, 0.03])


def test_the_place_where_a_recording_begins_comes_from_the_draws() -> None:
    def first(seed: int) -> float:
        stage = stage_of(Trace(slots=(0, 10_000)), seed)
        stage.put(Chunk(b"a", 0.0), 0.0)
        ((at, _item),) = run(stage, 99.0)
        return at

    assert first(1) == first(1)
    found = sorted(first(seed) for seed in range(40))
    assert found[0] < 1
    assert found[-1] > 9


def test_a_recording_carries_what_it_holds_however_late_it_is_asked() -> None:
    rng = Random(SEED)
    slots = tuple(sorted(rng.randrange(2000) for _ in range(3000)))
    stage = stage_of(Trace(slots=slots, start_ms=0))
    passed, now = 0, 0.0
    while now < 20.0:
        while not stage.full:
            stage.put(Chunk(bytes(32_768), now), now)
        now += rng.uniform(0.0005, 0.004)
        while (item := stage.take(now)) is not None:
            assert isinstance(item, Chunk)
            passed += len(item.data)
    expected = 1500 * 3000 * now * 1000 / slots[-1]
    assert passed == pytest.approx(expected, rel=0.01), f"seed {SEED}"


def test_a_recording_keeps_order_and_the_end_behind_the_data() -> None:
    stage = stage_of(Trace(slots=(1, 2, 2, 3, 7)))
    sent = Random(SEED).randbytes(100_000)
    for start in range(0, len(sent), 7000):
        stage.put(Chunk(sent[start : start + 7000], 0.0), 0.0)
    stage.put(Closing.HALF, 0.0)
    out = run(stage, 99.0)
    assert data(out) == sent
    assert out[-1][1] is Closing.HALF


def test_another_recording_takes_over_where_it_is_given() -> None:
    stage = stage_of(Trace(slots=(60_000,), start_ms=0))
    stage.put(Chunk(b"a", 0.0), 0.0)
    stage.update(Trace(slots=(10,), start_ms=0), 1.0)
    assert times(run(stage, 99.0, 1.0)) == [pytest.approx(1.01)]


@pytest.mark.parametrize("name", ["lte.up", "lte.up.gz"])
def test_a_recording_is_read_from_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"10\n20\n") if name.endswith("gz") else b"10\r\n20\n\n")
    trace = Trace().changed({"path": str(path)})
    assert trace.recording is not None
    assert trace.recording.slots_ms == [10, 20]
    assert trace.shown() == {"path": str(path)}
    assert trace.changed({"slots": (5,)}).shown() == {"slots": (5,)}
    path.unlink()
    assert trace.changed({"start_ms": 3}).recording is trace.recording


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file"),
        (b"", "holds no slots"),
        (b"1\nx\n", "entry 2 is not a time in whole ms"),
        (b"1\n-2\n", "entry 2 is not a time in whole ms"),
        (b"5\n4\n", "its times must rise, and number 2 is less"),
        (b"0\n0\n", "must be above 0"),
        (b"9" * 400, "entry 1 is not a time"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "trace"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=says) as error:
        Trace().changed({"path": str(path)})
    assert str(path) in str(error.value)


def test_a_damaged_or_special_file_is_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "t.gz"
    damaged.write_bytes(gzip.compress(b"1\n2\n" * 1000)[:-12])
    with pytest.raises(ValueError, match="damaged"):
        Trace().changed({"path": str(damaged)})
    damaged.write_bytes(b"no gzip")
    with pytest.raises(ValueError, match="cannot be read"):
        Trace().changed({"path": str(damaged)})
    with pytest.raises(ValueError, match="is no file"):
        Trace().changed({"path": str(tmp_path)})
    with pytest.raises(ValueError, match="is no file"):
        Trace().changed({"path": "/dev/zero"})


def test_a_trace_needs_one_recording() -> None:
    with pytest.raises(ValueError, match="needs path"):
        Trace().changed({})
    with pytest.raises(ValueError, match="give either path"):
        Trace().changed({"path": "/x", "slots": (1,)})
