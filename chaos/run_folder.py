"""Where a run's files lie: `runs/<time>-<scenario>/`, with `runs/latest` leading to the newest."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

RUNS = "runs"
ATTEMPTS_MAX = 100


class RunFolderError(ValueError):
    """The folder for a run cannot be used."""


def new_run_folder(scenario: str, out: Path | None = None) -> Path:
    """A fresh folder; two runs that start in the same second get two. Raises `RunFolderError`."""
    if out is not None:
        return _given(out)
    runs = Path.cwd() / RUNS
    stem = f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{scenario}"
    try:
        runs.mkdir(exist_ok=True)
        for number in range(1, ATTEMPTS_MAX + 1):
            folder = runs / (stem if number == 1 else f"{stem}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            _point_latest(runs, folder)
            return folder
    except OSError as error:
        raise RunFolderError(f"{runs}: cannot be written ({error.strerror}); choose another place by --out") from error
    raise RunFolderError(f"{runs}: {ATTEMPTS_MAX} runs began in one second")


def _given(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise RunFolderError(f"{out}: not empty; --out takes a new or empty folder")
        probe = out / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunFolderError(f"{out}: cannot be written ({error.strerror}); choose another place by --out") from error
    return out.resolve()


def _point_latest(runs: Path, folder: Path) -> None:
    draft = runs / f".latest-{folder.name}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(folder.name)
    draft.replace(runs / "latest")
