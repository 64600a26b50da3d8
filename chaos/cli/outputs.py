"""Where a command of the model writes: whether it can is asked before the work, which may take hours."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from chaos.cli.errors import CommandError


def check_file(path: Path) -> None:
    """Make the file's folder if it is missing; CommandError unless the file can be written. What is there is left as it is."""
    if path.is_dir():
        raise CommandError(f"{path}: cannot be written (it is a folder); name a file in it")
    _make_folder(path.parent)
    if path.exists() and not path.is_file():  # a device or a pipe, which is opened once only
        if not os.access(path, os.W_OK):
            raise CommandError(f"{path}: cannot be written (Permission denied); name a file that can")
        return
    is_new = not path.exists()
    try:
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise CommandError(f"{path}: cannot be written ({error.strerror}); name a file that can") from error


def check_out(options: argparse.Namespace, stem: str) -> None:
    """The same for the two files that `--out` writes when all is done, `STEM.parquet` and `STEM.png`."""
    if options.out is None:
        return
    _make_folder(options.out)
    for suffix in ("parquet", "png"):
        check_file(options.out / f"{stem}.{suffix}")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "it is no folder" if folder.exists() else error.strerror
        raise CommandError(f"{folder}: cannot be written ({why}); name a folder that can") from error
