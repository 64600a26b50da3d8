"""Whole drills as commands, in folders of their own."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DRILL_TIMEOUT_S = 280


@dataclass(frozen=True)
class DrillResult:
    """What one `rushproof drill` left: exit code, run folder, `verdict.json`, what it printed."""

    exit_code: int
    folder: Path
    verdict: dict[str, Any]
    stdout: str
    stderr: str

    def check(self, name: str) -> str:
        (verdict,) = [check["verdict"] for check in self.verdict["checks"] if check["name"] == name]
        return str(verdict)

    def explain(self) -> str:
        worse = [check for check in self.verdict["checks"] if check["verdict"] != "pass"]
        return f"exit {self.exit_code}: {self.verdict['cause']}\n{worse}\n{self.verdict['counts']}"


@pytest.fixture
def drill(tmp_path: Path) -> Callable[..., DrillResult]:
    """Run `rushproof drill` with these arguments."""

    numbers = itertools.count(1)

    def run(*arguments: str, timeout_s: float = DRILL_TIMEOUT_S, **environment: str) -> DrillResult:
        folder = tmp_path / f"run-{next(numbers)}"
        done = subprocess.run(
            [sys.executable, "-m", "chaos.cli", "drill", *arguments, "--out", str(folder), "--json"],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            cwd=tmp_path,
            env=os.environ | environment,
            check=False,
        )
        assert done.returncode in (0, 1, 3), done.stderr
        verdict = json.loads(done.stdout)
        retries = sorted(tmp_path.glob(f"{folder.name}-retry-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        folder = retries[-1] if retries else folder
        assert verdict == json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
        return DrillResult(done.returncode, folder, verdict, done.stdout, done.stderr)

    return run
