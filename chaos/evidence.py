"""Evidence files: what was run, when, on which commit, and what was counted. The guarantees table is made from them."""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
EVIDENCE = "tests/evidence"
UNKNOWN = "unknown"
GIT_TIMEOUT_S = 20.0


def write_evidence(path: Path, kind: str, command: str, counts: Mapping[str, Any]) -> None:
    """Write the evidence file at `path`, whole or not at all. Raises `OSError`.

    Absolute paths in `command` are cut to their last part: an evidence file names no machine.
    """
    content = {
        "kind": kind,
        "command": shlex.join(_without_folders(word) for word in shlex.split(command)),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": project_commit(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "counts": dict(counts),
    }
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def project_commit(project: Path = PROJECT) -> str:
    """The commit of the project's folder, with "-dirty" if other files than evidence differ from it; "unknown" if it has none."""
    top = _git(project, "rev-parse", "--show-toplevel")
    if top is None or Path(top) != project:
        return UNKNOWN
    commit = _git(project, "rev-parse", "HEAD")
    if commit is None:
        return UNKNOWN
    changes = _git(project, "status", "--porcelain", "--untracked-files=no", "--", ".", f":(exclude){EVIDENCE}")
    return commit if changes == "" else f"{commit}-dirty"


def _without_folders(word: str) -> str:
    option, equals, value = word.rpartition("=")
    return f"{option}{equals}{Path(value).name}" if value.startswith(("/", "~")) else word


def _git(project: Path, *arguments: str) -> str | None:
    """What git says, or None if it cannot."""
    command = ["git", "-C", str(project), "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
