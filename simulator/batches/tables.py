"""The tables that people open: one Parquet file of all figures in order, and both kinds of file as pandas frames."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.batches.folder import CHUNKS, META, Kept, figures_table, kept_files, parquet, read_chunk, write_whole
from simulator.batches.series import FORMAT, Series, Values, digest
from simulator.batches.version import model_version
from simulator.batches.workers import BatchError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Design:
    """A series with the settings that tell it from its neighbours, and the figures of its units from 0 on."""

    settings: Mapping[str, Any]
    series: Series
    values: Sequence[Values]


def write_figures(path: Path, designs: Sequence[Design]) -> None:
    """All figures in one file: the same bytes whoever worked them out. Raises `BatchError`."""
    import pyarrow as pa

    tables = []
    for number, design in enumerate(designs):
        table = figures_table(design.series, 0, design.values)
        table = table.add_column(0, "design", pa.array([number] * len(table), type=pa.int64()))
        tables.append(table)
    whole = pa.concat_tables(tables)
    for place, name in enumerate(designs[0].settings, start=1):
        said = [design.settings[name] for design in designs for _ in design.values]
        whole = whole.add_column(place, name, _column(said))
    meta = {
        "format": FORMAT,
        "kind": "batch",
        "model": model_version(),
        "unit": designs[0].series.unit,
        "designs": [
            {
                "digest": digest(design.series), "units": len(design.values), "settings": design.settings,
                "identity": design.series.identity(),
            }
            for design in designs
        ],
    }  # fmt: skip
    write_whole(path, parquet(whole, meta))


def _column(said: Sequence[Any]) -> pa.Array:
    """Numbers as numbers; whatever is not all of one kind as text."""
    import pyarrow as pa

    kinds = {type(each) for each in said}
    if kinds <= {int} or kinds <= {float} or kinds <= {bool} or kinds <= {str}:
        return pa.array(said)
    if kinds <= {int, float}:
        return pa.array([float(each) for each in said])
    return pa.array([each if isinstance(each, str) else json.dumps(each) for each in said])


def read_figures(path: Path | str) -> pd.DataFrame:
    """A file of figures: one row for each replication (or store) of each design. Raises `BatchError`."""
    frame: pd.DataFrame = _whole(Path(path))[0].to_pandas()
    return frame


def read_diners(path: Path | str, designs: Sequence[int] | None = None) -> pd.DataFrame:
    """The diners behind a file of figures, in order: design, replication (or store), store, and `records.FIELDS`; times are
    microseconds, -1 is never. They lie in `chunks` beside it, if they were kept (`--rows`). Raises `BatchError`."""
    import pandas as pd

    path = Path(path)
    _, meta = _whole(path)
    there = kept_files(path.parent) if (path.parent / CHUNKS).is_dir() else {}
    frames = []
    for number in range(len(meta["designs"])) if designs is None else designs:
        if not 0 <= number < len(meta["designs"]):
            raise BatchError(f"{path}: has the designs 0 to {len(meta['designs']) - 1}, not {number}")
        said = meta["designs"][number]
        for table, unit in _diners(
            path, there.get((said["digest"], "diners"), ()), said["digest"], meta["unit"], said["units"]
        ):
            frame = table.to_pandas()
            frame["store"] = frame["store"].astype(str)
            frame.insert(0, "design", number)
            frames.append(frame[frame[meta["unit"]] >= unit])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _whole(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, page_checksum_verification=True)
        meta: dict[str, Any] = json.loads((table.schema.metadata or {}).get(META, b"{}"))
    except FileNotFoundError as error:
        raise BatchError(f"{path}: there is no such file; `--out FOLDER` writes one when a run is done") from error
    except (OSError, ValueError) as error:
        raise BatchError(f"{path}: is no readable Parquet file ({str(error).splitlines()[0]})") from error
    if meta.get("kind") != "batch" or meta.get("format") != FORMAT:
        raise BatchError(f"{path}: is not a file of figures that `--out FOLDER` wrote")
    return table, meta


def _diners(path: Path, there: Sequence[Kept], name: str, unit: str, units: int) -> Iterator[tuple[pa.Table, int]]:
    """The tables of a series that cover its units, each with the first unit that is to be taken from it."""
    import pyarrow.compute as pc

    reached = 0
    for kept in _covering(there):
        if kept.first > reached or reached >= units:
            break
        table = read_chunk(kept, name, None)
        yield table.filter(pc.less(table[unit], units)), reached
        reached = kept.after
    if reached < units:
        raise BatchError(
            f"{path}: the diners of {unit} {reached} are not kept; run the same command with --rows to have them"
        )


def _covering(files: Sequence[Kept]) -> Iterator[Kept]:
    """Files by their first unit, without those that add nothing."""
    reached = 0
    for kept in files:
        if kept.after > reached:
            yield kept
            reached = kept.after
