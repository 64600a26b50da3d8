"""Setting up on machines that lack something: it works another way, or is told in one clear sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WITHOUT = """
import importlib.util, runpy, sys
missing = set(sys.argv.pop(1).split(","))
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in missing else find_spec(name, *rest)
sys.argv = [".ci/make_venv.py", sys.argv[1]]
runpy.run_path(".ci/make_venv.py", run_name="__main__")
"""


def make_venv(folder: Path, missing: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, missing, str(folder)],
        cwd=ROOT,
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_python_without_venv_is_told_what_to_install(tmp_path: Path) -> None:
    result = make_venv(tmp_path / "venv", "venv,virtualenv")
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "venv" in result.stderr


@pytest.mark.slow
def test_a_virtual_environment_with_pip_is_made(tmp_path: Path) -> None:
    result = make_venv(tmp_path / "venv", "nothing")
    assert result.returncode == 0, result.stderr
    assert subprocess.call([tmp_path / "venv/bin/python", "-m", "pip", "--version"], stdout=subprocess.DEVNULL) == 0


def test_versions_are_pinned_without_addresses() -> None:
    lines = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8").split()
    assert lines
    assert all("==" in line and "/" not in line and "@" not in line for line in lines)
