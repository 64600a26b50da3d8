"""Evidence files say what was run on which commit, and name no machine."""

from __future__ import annotations

import json
import platform
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chaos.evidence import project_commit, write_evidence


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "project"
    (folder / "tests/evidence").mkdir(parents=True)
    for name in ("code.py", "tests/evidence/fuzz.json"):
        (folder / name).write_text("1\n", encoding="utf-8")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def test_a_file_says_what_was_run_when_and_on_what(tmp_path: Path) -> None:
    path = tmp_path / "fuzz.json"
    write_evidence(path, "fuzz", "rushproof fuzz --seeds 20", {"seeds": 20})
    said = json.loads(path.read_text(encoding="utf-8"))
    assert list(said) == ["kind", "command", "date", "commit", "python", "platform", "counts"]
    assert (said["kind"], said["command"], said["counts"]) == ("fuzz", "rushproof fuzz --seeds 20", {"seeds": 20})
    assert datetime.now(UTC) - datetime.fromisoformat(said["date"]) < timedelta(minutes=1)
    assert said["commit"] == project_commit()
    assert said["python"] == platform.python_version()
    assert platform.node() not in path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("rushproof fuzz --evidence /home/me/project/e.json", "rushproof fuzz --evidence e.json"),
        ("rushproof fuzz --evidence=/home/me/e.json --seeds 2", "rushproof fuzz --evidence=e.json --seeds 2"),
        ("rushproof fuzz --out '/a b/c d'", "rushproof fuzz --out 'c d'"),
        ("rushproof fuzz --out '~/runs/one'", "rushproof fuzz --out one"),
        ("rushproof fuzz --evidence tests/evidence/e.json", "rushproof fuzz --evidence tests/evidence/e.json"),
        ("rushproof drill --toxiproxy http://127.0.0.1:8474/x", "rushproof drill --toxiproxy http://127.0.0.1:8474/x"),
    ],
)
def test_the_command_names_no_folder_of_this_machine(tmp_path: Path, command: str, expected: str) -> None:
    write_evidence(tmp_path / "e.json", "fuzz", command, {})
    assert json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))["command"] == expected


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "fuzz.json"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(TypeError):
        write_evidence(path, "fuzz", "", {"seeds": object()})
    assert path.read_text(encoding="utf-8") == "old"
    with pytest.raises(OSError, match="absent"):
        write_evidence(tmp_path / "absent" / "fuzz.json", "fuzz", "", {})
    assert list(tmp_path.iterdir()) == [path]


def test_the_commit_is_the_projects(project: Path) -> None:
    assert project_commit(project) == git(project, "rev-parse", "HEAD")


def test_changed_code_is_told_and_changed_evidence_is_not(project: Path) -> None:
    commit = git(project, "rev-parse", "HEAD")
    (project / "tests/evidence/fuzz.json").write_text("2\n", encoding="utf-8")
    (project / "new.py").touch()
    assert project_commit(project) == commit
    (project / "code.py").write_text("2\n", encoding="utf-8")
    assert project_commit(project) == f"{commit}-dirty"


def test_a_folder_inside_somebody_elses_repository_has_no_commit(project: Path, tmp_path: Path) -> None:
    assert project_commit(project / "tests") == "unknown"
    (tmp_path / "installed").mkdir()
    assert project_commit(tmp_path / "installed") == "unknown"
