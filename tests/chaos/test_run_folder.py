"""Where a run's files lie."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chaos.run_folder import RunFolderError, new_run_folder


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_gets_a_fresh_folder_and_latest_leads_to_it(tmp_path: Path) -> None:
    folder = new_run_folder("calm")
    assert folder.parent == tmp_path / "runs"
    assert folder.name.endswith("-calm")
    assert list(folder.iterdir()) == []
    assert (tmp_path / "runs" / "latest").resolve() == folder


def test_runs_that_begin_in_one_second_get_folders_of_their_own() -> None:
    with ThreadPoolExecutor(8) as threads:
        folders = list(threads.map(lambda _: new_run_folder("calm"), range(20)))
    assert len(set(folders)) == 20
    assert Path("runs/latest").resolve() in folders


def test_latest_leads_to_the_newest_also_when_the_runs_are_moved(tmp_path: Path) -> None:
    new_run_folder("calm")
    newest = new_run_folder("lunch_rush")
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "latest").resolve() == tmp_path / "moved" / newest.name


def test_a_given_folder_is_made_or_must_be_empty(tmp_path: Path) -> None:
    given = tmp_path / "deep" / "down"
    assert new_run_folder("calm", given) == given
    assert new_run_folder("calm", given) == given, "still empty"
    (given / "file").touch()
    with pytest.raises(RunFolderError, match=r"down: not empty; --out takes a new or empty folder$"):
        new_run_folder("calm", given)
    assert not (tmp_path / "runs").exists()


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match=r"cannot be written \(Not a directory\); choose another place by --out$"):
        new_run_folder("calm", tmp_path / "file" / "out")
    with pytest.raises(
        RunFolderError, match=r"file: cannot be written \(File exists\); choose another place by --out$"
    ):
        new_run_folder("calm", tmp_path / "file")
    (tmp_path / "runs").touch()
    with pytest.raises(RunFolderError, match=r"runs: cannot be written"):
        new_run_folder("calm")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_leave_to_write_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RunFolderError, match=r"cannot be written \(Permission denied\)"):
            new_run_folder("calm")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_in_the_place_of_latest_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "runs" / "latest").mkdir(parents=True)
    with pytest.raises(RunFolderError, match=r"runs: cannot be written"):
        new_run_folder("calm")
