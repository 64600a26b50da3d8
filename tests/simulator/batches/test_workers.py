"""The same figures from one process, several, or a Dask cluster; and whatever is interrupted goes on where it was."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from simulator.batches.folder import Folder
from simulator.batches.runner import Runner
from simulator.batches.series import OtherModel, Piece, Values, work_out
from simulator.batches.tables import Design, read_diners, write_figures
from simulator.batches.version import model_version
from simulator.batches.workers import BatchError, Workers
from simulator.model.figures import columns_of
from simulator.model.records import FIELDS
from simulator.model.replications import Replications, evenings, forecasts, interval
from simulator.model.stopping import AT_LEAST
from simulator.replaced_fields import with_field
from simulator.scenario import load_scenario

pytestmark = pytest.mark.slow

EVENING = """\
name: evening
duration_s: 4
stores: [{name: s1, tables: 6, kitchen_seconds: 1}, {name: s2, tables: 4, kitchen_seconds: 1}]
diners: {arrivals: {rate_per_s: 2}, channels: {qr: 0.8, cashier: 0.0, mini_program: 0.2}, think_s: 1, polls_max: 1, poll_s: 2}
model: {seating: {dining_s: 2, patience_s: 2}}
"""
DESIGNS = [Replications(with_field(load_scenario(EVENING), "stores.tables", tables), "simpy") for tables in (3, 9)]
PRECISION = 0.1
WATCHED = ("told_yes", "answer_p95")


def _found(runner: Runner | None, replications: int | None) -> list[list[Values]]:
    found = forecasts(DESIGNS, replications, precision=PRECISION, watched=WATCHED, runner=runner)
    return [list(each.units) for each in found]


@pytest.fixture(scope="module")
def expected() -> list[list[Values]]:
    """Each replication run by itself, in order, until the rule says that it is enough: no batch has a part in it."""
    found: list[list[Values]] = []
    for design in DESIGNS:
        units: list[Values] = []
        for evening in evenings(design.scenario, "simpy"):
            units.append({**columns_of(evening), "events": sum(run.events for run in evening.runs)})
            columns = [[value for unit in units if (value := unit[name]) is not None] for name in WATCHED]
            if len(units) >= AT_LEAST and all(interval(each).is_narrow(PRECISION) for each in columns):  # type: ignore[arg-type]
                break
        found.append(units)
    return found


def _alike(found: list[list[Values]], expected: list[list[Values]]) -> None:
    assert [[{**unit, "hash": 0} for unit in units] for units in found] == [
        [{**unit, "hash": 0} for unit in units] for units in expected
    ]


@pytest.mark.parametrize(("count", "chunk_s"), [(1, 60.0), (2, 0.001), (3, 0.05)])
def test_any_number_of_workers_finds_the_same_and_as_many_replications(
    count: int, chunk_s: float, expected: list[list[Values]], tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not here: pip install 'rushproof[parquet]'")
    before = set(psutil.Process().children(recursive=True))
    lengths = [len(units) for units in expected]
    assert lengths[0] != lengths[1], "the rule ends the two designs at different replications"
    assert any(length % 10 for length in lengths), "and not only where a round does"
    with Runner(Workers(count, chunk_s=chunk_s), Folder(tmp_path), rows=True) as runner:
        found = _found(runner, None)
    _alike(found, expected)
    assert [len({unit["hash"] for unit in units}) for units in found] == lengths
    write_figures(tmp_path / "all.parquet", [Design({}, *each) for each in zip(DESIGNS, found, strict=True)])
    diners = read_diners(tmp_path / "all.parquet")
    evening = (each.runs for each in evenings(DESIGNS[1].scenario, "simpy"))
    rows = np.concatenate([run.rows for _ in range(lengths[1]) for run in next(evening)])
    assert diners[diners["design"] == 1][list(FIELDS)].to_numpy().tolist() == rows.tolist()
    left = set(psutil.Process().children(recursive=True)) - before
    assert all("resource_tracker" in " ".join(each.cmdline()) for each in left), (
        "of loky nothing is left but what looks after its semaphores"
    )


def test_a_worker_with_another_model_is_refused() -> None:
    with pytest.raises(OtherModel, match="install the same version"):
        work_out([(Piece(0, 0, 1), DESIGNS[0])], "another", rows=False)
    assert re.fullmatch("[0-9a-f]{16}", model_version())


def test_a_dask_cluster_finds_the_same(expected: list[list[Values]]) -> None:
    distributed = pytest.importorskip("distributed", reason="distributed is not here: pip install 'rushproof[dask]'")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    try:
        with Runner(Workers(backend="dask", scheduler=cluster.scheduler_address, chunk_s=0.05)) as runner:
            _alike(_found(runner, None), expected)
        pids = [worker.pid for worker in cluster.workers.values()]
        assert runner.computed >= sum(map(len, expected))
    finally:
        cluster.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_dask_scheduler_that_does_not_answer_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="distributed is not here: pip install 'rushproof[dask]'")
    monkeypatch.setattr("simulator.batches.workers.CONNECT_S", 0.5)
    with (
        pytest.raises(BatchError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9; start one"),
        Runner(Workers(backend="dask", scheduler="tcp://127.0.0.1:9")) as runner,
    ):
        _found(runner, 2)


LONG = EVENING.replace("duration_s: 4", "duration_s: 80")


class Interrupted:
    """A command on two workers that was ended by a signal when it had finished some chunks."""

    def __init__(self, folder: Path, how: Callable[[int], None]) -> None:
        pytest.importorskip("pyarrow", reason="pyarrow is not here: pip install 'rushproof[parquet]'")
        self.scenario, self.out = folder / "evening.yaml", folder / "out"
        self.scenario.write_text(LONG, encoding="utf-8")
        run = subprocess.Popen(
            self.command(1000, self.out, 2), stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            until = time.monotonic() + 120
            while len(self._chunks()) < 3:
                assert run.poll() is None, run.communicate()
                assert time.monotonic() < until, "no chunks are kept"
                time.sleep(0.02)
            workers = psutil.Process(run.pid).children(recursive=True)
            assert len(workers) >= 2
            how(run.pid)
            _, self.said = run.communicate(timeout=60)
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
        self.code = run.returncode
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert not alive, "workers outlive the run"
        ranges = [name.split("-")[1:3] for name in self._chunks()]
        self.kept = sum(int(last) - int(first) + 1 for first, last in ranges)

    def _chunks(self) -> list[str]:
        return [path.name for path in (self.out / "chunks").glob("*.figures.parquet")]

    def command(self, replications: int, folder: Path, workers: int) -> list[str]:
        program = [sys.executable, "-m", "chaos.cli", "simulate", str(self.scenario), "--engine", "simpy", "--rows"]
        return [*program, "--workers", str(workers), "--replications", str(replications), "--out", str(folder)]


def test_a_run_that_was_killed_goes_on_from_what_it_finished_to_the_same_bytes(tmp_path: Path) -> None:
    run = Interrupted(tmp_path, lambda pid: os.kill(pid, signal.SIGKILL))
    assert 0 < run.kept < 1000
    wanted, whole = run.kept + 2, tmp_path / "whole"
    again, other = (
        subprocess.run(run.command(wanted, folder, workers), capture_output=True, text=True, check=True).stdout
        for folder, workers in ((run.out, 2), (whole, 1))
    )
    before = re.search(rf"^{wanted} replications, (\d+) of them kept from before", again, re.MULTILINE)
    assert before is not None
    assert run.kept / 2 < int(before[1]) <= run.kept
    assert "kept from before" not in other
    mine, theirs = run.out / "simulate-evening.parquet", whole / "simulate-evening.parquet"
    assert mine.read_bytes() == theirs.read_bytes()
    assert read_diners(mine).equals(read_diners(theirs))


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path: Path) -> None:
    run = Interrupted(tmp_path, lambda pid: os.killpg(pid, signal.SIGINT))
    assert run.code == 130
    kept = re.search(
        r"^rushproof: (\d+) replications are kept in .*/out; the same command goes on from there\nrushproof: interrupted\n",
        run.said,
        re.MULTILINE,
    )
    assert "Traceback" not in run.said, run.said
    assert kept is not None, run.said
    assert 0 < int(kept[1]) <= run.kept
