"""What is kept is taken, what is missing or damaged is worked out, and nobody can tell the difference."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from simulator.batches.folder import CHUNKS, Folder
from simulator.batches.runner import Runner, Stretch
from simulator.batches.tables import Design, read_diners, read_figures, write_figures
from simulator.batches.workers import BatchError, Workers

from .squares import Squares, values

pytest.importorskip("pyarrow", reason="pyarrow is not here: pip install 'rushproof[parquet]'")
UNITS = 12


def _run(folder: Path, units: int = UNITS, name: str = "a", *, rows: bool = True) -> tuple[Runner, Squares, list[str]]:
    """Work out `units` units in several chunks; the runner, the series and what was said."""
    said: list[str] = []
    series = Squares(name)
    with Runner(Workers(1, chunk_s=1e-5), Folder(folder, said.append), rows=rows) as runner:
        (found,) = runner.collect([Stretch(series, 0, units)])
    assert found == [values(number) for number in range(units)]
    write_figures(folder / "all.parquet", [Design({"name": name}, series, found)])
    return runner, series, said


def _files(folder: Path, kind: str) -> list[Path]:
    return sorted((folder / CHUNKS).glob(f"*.{kind}.parquet"))


def test_each_unit_is_worked_out_once_whatever_was_kept_before_and_however_it_was_cut(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    draw = random.Random(seed)
    for number in range(8):
        folder, kept = tmp_path / str(number), [set[int](), set[int]()]
        series = [Squares("a"), Squares("b")]
        for _ in range(draw.randint(1, 4)):
            places = draw.sample((0, 1), draw.randint(1, 2))
            stretches = [
                Stretch(series[place], first := draw.randrange(20), first + draw.randrange(20)) for place in places
            ]
            for each in series:
                each.asked.clear()
            with Runner(Workers(1, chunk_s=draw.choice((0, 1e-6, 1e-5, 1e-4))), Folder(folder)) as runner:
                found = runner.collect(stretches)
            for place, stretch, there in zip(places, stretches, found, strict=True):
                wanted = set(range(stretch.first, stretch.after))
                assert there == [values(unit) for unit in range(stretch.first, stretch.after)], f"seed {seed}"
                assert sorted(series[place].asked) == sorted(wanted - kept[place]), f"seed {seed}"
                kept[place] |= wanted
    everything = [path.name for path in tmp_path.rglob("*") if path.suffix == ".partial"]
    assert not everything


def test_what_is_read_back_is_what_was_found_and_rows_are_worked_out_when_they_are_first_asked_for(
    tmp_path: Path,
) -> None:
    _run(tmp_path, rows=False)
    with pytest.raises(BatchError, match="the diners of number 0 are not kept; run the same command with --rows"):
        read_diners(tmp_path / "all.parquet")
    without = (tmp_path / "all.parquet").read_bytes()
    runner, series, _ = _run(tmp_path)
    assert runner.computed == UNITS
    assert (tmp_path / "all.parquet").read_bytes() == without
    _run(tmp_path, UNITS - 5)
    figures, diners = read_figures(tmp_path / "all.parquet"), read_diners(tmp_path / "all.parquet")
    assert figures["hash"].tolist() == [values(number)["hash"] for number in range(UNITS - 5)]
    assert figures["square"].isna().tolist() == [number % 5 == 4 for number in range(UNITS - 5)]
    assert figures["name"].unique().tolist() == ["a"]
    expected = [
        (unit.values["hash"], number, store, row.tolist())
        for number, unit in enumerate(series.units(0, UNITS - 5, rows=True))
        for store, rows in unit.rows
        for row in rows
    ]
    read = zip(diners["number"], diners["store"], diners.iloc[:, 3:].to_numpy().tolist(), strict=True)
    assert list(read) == [tuple(each[1:]) for each in expected]


@pytest.mark.parametrize("kind", ["figures", "diners"])
def test_a_damaged_file_is_named_in_a_sentence_and_worked_out_again(tmp_path: Path, kind: str) -> None:
    _run(tmp_path)
    whole = (tmp_path / "all.parquet").read_bytes()
    seed = random.randrange(2**32)
    draw = random.Random(seed)
    for harm in ("flip", "flip", "cut", "empty"):
        victim = draw.choice(_files(tmp_path, kind))
        content = bytearray(victim.read_bytes())
        if harm == "flip":
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        victim.write_bytes(bytes(content) if harm == "flip" else bytes(content[: len(content) // 2 * (harm == "cut")]))
        runner, _, said = _run(tmp_path)
        assert said == [f"{victim}: is damaged; it is worked out again"], f"seed {seed}"
        assert 0 < runner.computed < UNITS
        assert (tmp_path / "all.parquet").read_bytes() == whole
        assert len(read_diners(tmp_path / "all.parquet")) == sum(2 * (number % 3) + 1 for number in range(UNITS))


def test_a_file_of_another_series_or_another_program_is_not_taken(tmp_path: Path) -> None:
    _run(tmp_path / "other", name="b")
    _run(tmp_path)
    mine, other = _files(tmp_path, "figures")[0], _files(tmp_path / "other", "figures")[0]
    check = other.name.split("-")[3]
    renamed = mine.with_name("-".join([*mine.name.split("-")[:3], check]))
    shutil.copy(other, renamed)
    (tmp_path / CHUNKS / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / CHUNKS / f"{mine.name}.partial").write_text("half", encoding="utf-8")
    runner, _, said = _run(tmp_path)
    assert runner.computed == 0
    assert said == [f"{renamed}: does not hold what its name says; it is worked out again"]
    assert not renamed.exists()
    assert not list((tmp_path / CHUNKS).glob("*.partial"))
    assert (tmp_path / CHUNKS / "notes.txt").exists()


def test_what_cannot_be_kept_or_read_is_said_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x", encoding="utf-8")
    with pytest.raises(BatchError, match=r"file: cannot be written \(.*\); name a folder that can"), Folder(file):
        pass
    with (
        Folder(tmp_path / "one"),
        pytest.raises(BatchError, match="another run is writing there"),
        Folder(tmp_path / "one"),
    ):
        pass
    with pytest.raises(BatchError, match="is no readable Parquet file"):
        read_figures(file)
    with pytest.raises(BatchError, match="there is no such file"):
        read_figures(tmp_path / "none.parquet")
    _run(tmp_path)
    with pytest.raises(BatchError, match="has the designs 0 to 0, not 1"):
        read_diners(tmp_path / "all.parquet", [1])
    with pytest.raises(BatchError, match="is not a file of figures"):
        read_figures(_files(tmp_path, "figures")[0])
