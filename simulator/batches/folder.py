"""A folder of finished chunks, as Parquet: a run that is begun again takes what is there and works out what is missing.

A file's name is the digest of its series, which is made of everything the figures depend on, its first and last unit, and a hash
of its own bytes. So a changed scenario, seed or model finds nothing, and a damaged file is known before it is read: it is
removed, and its units are worked out again. A file is written under another name first.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from simulator.batches.series import FORMAT, Chunk, Series, Unit, Value, Values, digest
from simulator.batches.version import model_version
from simulator.batches.workers import BatchError

if TYPE_CHECKING:
    import pyarrow as pa

CHUNKS = "chunks"
PARTIAL = ".partial"
LOCK = ".lock"
META = b"rushproof"
_NAME = re.compile(r"^([0-9a-f]{32})-(\d{7,})-(\d{7,})-([0-9a-f]{16})\.(figures|diners)\.parquet$")


class Kept(NamedTuple):
    """A file of the units `first` … `after - 1` of one series, and the hash of its bytes."""

    path: Path
    first: int
    after: int
    check: str


class Folder:
    """Use as a context manager: one run at a time writes to a folder. `on_trouble` is told of a file that could not be used."""

    def __init__(self, path: Path, on_trouble: Callable[[str], None] = lambda said: None) -> None:
        if find_spec("pyarrow") is None:
            raise BatchError("keeping results needs pyarrow; install the extra: pip install 'rushproof[parquet]'")
        self.path = path
        self._on_trouble = on_trouble
        self._stack = ExitStack()
        self._kept: dict[tuple[str, str], list[Kept]] = {}

    def __enter__(self) -> Folder:
        try:
            (self.path / CHUNKS).mkdir(parents=True, exist_ok=True)
            lock = self._stack.enter_context((self.path / LOCK).open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in (self.path / CHUNKS).glob(f"*{PARTIAL}"):
                path.unlink()
            self._kept = kept_files(self.path)
        except BlockingIOError as error:
            self._stack.close()
            raise BatchError(
                f"{self.path}: another run is writing there; wait for it or name another folder"
            ) from error
        except OSError as error:
            self._stack.close()
            raise BatchError(f"{self.path}: cannot be written ({error.strerror}); name a folder that can") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def read(self, series: Series, first: int, after: int, *, rows: bool) -> dict[int, Values]:
        """The figures kept of units `first` … `after - 1`, by number; with `rows` only of those whose diners are kept, too."""
        name = digest(series)
        there: set[int] = set()
        if rows:
            for kept in self._kept.get((name, "diners"), ()):
                if kept.first < after and first < kept.after and self._table(kept, name, None) is not None:
                    there.update(range(kept.first, kept.after))
        found: dict[int, Values] = {}
        for kept in self._kept.get((name, "figures"), ()):
            if kept.first < after and first < kept.after:
                table = self._table(kept, name, figures_schema(series))
                if table is not None:
                    for number, values in enumerate(table.drop_columns([series.unit]).to_pylist(), start=kept.first):
                        if first <= number < after and (not rows or number in there):
                            found[number] = values
        return found

    def _table(self, kept: Kept, name: str, schema: pa.Schema | None) -> pa.Table | None:
        """The file's content; None (and the file is gone) if it is not what it should be."""
        try:
            return read_chunk(kept, name, schema)
        except BatchError as error:
            self._on_trouble(f"{error}; it is worked out again")
            with suppress(OSError):
                kept.path.unlink()
            return None

    def write(self, series: Series, chunk: Chunk, *, rows: bool) -> None:
        """Keep a chunk: the diners first, so that figures are never without them. Raises `BatchError`."""
        name, piece = digest(series), chunk.piece
        meta = {
            "format": FORMAT, "digest": name, "model": model_version(), "unit": series.unit, "first": piece.first,
            "after": piece.after, "identity": series.identity(),
        }  # fmt: skip
        if rows:
            self._write(meta, "diners", diners_table(series, piece.first, chunk.units))
        self._write(meta, "figures", figures_table(series, piece.first, [unit.values for unit in chunk.units]))

    def _write(self, meta: Mapping[str, Any], kind: str, table: pa.Table) -> None:
        content = parquet(table, {**meta, "kind": kind})
        units = f"{meta['first']:07d}-{meta['after'] - 1:07d}"
        write_whole(self.path / CHUNKS / f"{meta['digest']}-{units}-{_check(content)}.{kind}.parquet", content)


def _check(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def kept_files(folder: Path) -> dict[tuple[str, str], list[Kept]]:
    """All files by digest and kind, each list by the first unit. Files with other names are nobody's business."""
    found: dict[tuple[str, str], list[Kept]] = {}
    for path in (folder / CHUNKS).iterdir():
        match = _NAME.match(path.name)
        if match is not None and int(match[2]) <= int(match[3]):
            kept = Kept(path, int(match[2]), int(match[3]) + 1, match[4])
            found.setdefault((match[1], match[5]), []).append(kept)
    for each in found.values():
        each.sort(key=lambda kept: (kept.first, kept.after))
    return found


def read_chunk(kept: Kept, name: str, schema: pa.Schema | None) -> pa.Table:
    """A file's content; raises `BatchError` if it is damaged or another's."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = kept.path.read_bytes()
    except OSError as error:
        raise BatchError(f"{kept.path}: cannot be read ({error.strerror})") from error
    if _check(content) != kept.check:
        raise BatchError(f"{kept.path}: is damaged")
    try:
        table = pq.read_table(pa.BufferReader(content), use_threads=False)
        meta = json.loads((table.schema.metadata or {}).get(META, b"{}"))
    except ValueError as error:
        raise BatchError(f"{kept.path}: is not a chunk of this program") from error
    said = tuple(meta.get(key) for key in ("format", "digest", "first", "after"))
    if said != (FORMAT, name, kept.first, kept.after) or f".{meta.get('kind')}." not in kept.path.name:
        raise BatchError(f"{kept.path}: does not hold what its name says")
    if schema is not None and not table.schema.equals(schema):
        raise BatchError(f"{kept.path}: has other columns than these figures")
    return table


def figures_schema(series: Series) -> pa.Schema:
    """The columns of a series' figures: the unit's number first."""
    import pyarrow as pa

    types = {"float": pa.float64(), "integer": pa.int64(), "unsigned": pa.uint64(), "integers": pa.list_(pa.int64())}
    columns = [(series.unit, pa.int64()), *((name, types[kind]) for name, kind in series.columns.items())]
    return pa.schema(columns)


def figures_table(series: Series, first: int, values: Sequence[Values]) -> pa.Table:
    """One row for each unit."""
    import pyarrow as pa

    rows: list[dict[str, Value]] = [{series.unit: number, **each} for number, each in enumerate(values, start=first)]
    return pa.Table.from_pylist(rows, schema=figures_schema(series))


def diners_table(series: Series, first: int, units: Sequence[Unit]) -> pa.Table:
    """One row for each diner: unit, store, and the columns of `records.FIELDS`."""
    import numpy as np
    import pyarrow as pa

    from simulator.model.records import FIELDS

    blocks = [(number, store, rows) for number, unit in enumerate(units, start=first) for store, rows in unit.rows]
    stores = list(dict.fromkeys(store for _, store, _ in blocks))
    places = {store: place for place, store in enumerate(stores)}
    lengths = [len(rows) for _, _, rows in blocks]
    whole = np.concatenate([rows for _, _, rows in blocks]) if blocks else np.zeros((0, len(FIELDS)), dtype=np.int64)
    store = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(np.array([places[name] for _, name, _ in blocks], dtype=np.int32), lengths)),
        pa.array(stores, type=pa.string()),
    )
    columns = {
        series.unit: pa.array(np.repeat(np.array([number for number, _, _ in blocks], dtype=np.int64), lengths)),
        "store": store,
        **{name: pa.array(np.ascontiguousarray(whole[:, place])) for place, name in enumerate(FIELDS)},
    }
    return pa.table(columns)


def parquet(table: pa.Table, meta: Mapping[str, Any]) -> bytes:
    """A file's content: the same for the same table and `meta`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    said = json.dumps(meta, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    out = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata({META: said.encode()}), out, compression="zstd", write_page_checksum=True
    )
    return bytes(out.getvalue())


def write_whole(path: Path, content: bytes) -> None:
    """Write under another name, then rename. Raises `BatchError`."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise BatchError(f"{path}: cannot be written ({error.strerror}); name a folder that can") from error
