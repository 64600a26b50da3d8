"""An installed wheel works from an empty folder: SQL, pages and scenarios are inside it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TRACKED_DATA = ("*.sql", "*.html", "*.yaml", "*.json", "py.typed", "*.j2", "*.css", "*.js")

pytestmark = [pytest.mark.slow, pytest.mark.drill, pytest.mark.unhurried, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("rushproof-*.whl")
    return path


def test_the_wheel_holds_every_data_file_of_the_packages(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    packages = ("refsystem", "simulator", "loadtests", "chaos")
    needed = {
        str(path.relative_to(ROOT))
        for package in packages
        for pattern in (*TRACKED_DATA, "*.py")
        for path in (ROOT / package).rglob(pattern)
        if "__pycache__" not in path.parts
    }
    assert needed - inside == set()
    assert not [name for name in inside if name.startswith(("tests/", "notebooks/"))]


def test_an_installed_wheel_drills_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "empty"
    work.mkdir()
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)],
        check=True,
        capture_output=True,
    )
    environment = os.environ | {"PYTHONPATH": str(site)}
    where = subprocess.run(
        [sys.executable, "-c", "import chaos, refsystem; print(chaos.__file__, refsystem.__file__)"],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(path.startswith(str(site)) for path in where.stdout.split())
    done = subprocess.run(
        [sys.executable, "-m", "chaos.cli", "drill", "calm", "--duration", "4", "--retry-unknown", "2"],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (work / "runs" / "latest" / "report.html").is_file()
