"""What a private PostgreSQL server leaves behind when it, or the drill that started it, was killed, is removed here."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import stat
from pathlib import Path

FOLDER_PREFIX = "rushproof-pgdata-"
IPC_RMID = 0


def hold(folder: Path) -> int:
    """Mark `folder` as in use until the descriptor returned is closed. The mark appears locked, never unlocked."""
    lock_fd = os.open(folder / "lock.new", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock_fd, fcntl.LOCK_EX)
    (folder / "lock.new").rename(folder / "lock")
    return lock_fd


def sweep(base: Path) -> None:
    """Remove data folders of ours under `base` whose drill has ended without removing them.

    Whoever uses a folder holds a lock on a file in it, which the kernel takes back when the process ends.
    """
    for folder in base.glob(f"{FOLDER_PREFIX}*"):
        with contextlib.suppress(
            OSError
        ):  # Somebody else removes it now, or it is not ours: either way not our business.
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                continue
            lock_fd = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_shared_memory(folder / "data")
                shutil.rmtree(folder)
            finally:
                os.close(lock_fd)


def remove_shared_memory(data: Path) -> None:
    """Remove the small System V segment that a killed server leaves; one that ended by itself has removed it."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="ascii").splitlines()
        server_pid, key, segment = int(lines[0]), *(int(word) for word in lines[6].split())
        rows = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    except (OSError, ValueError, IndexError):
        return
    for row in rows:
        fields = [int(field) for field in row.split()]
        if (fields[0], fields[1], fields[4]) == (key, segment, server_pid):
            ctypes.CDLL(None).shmctl(segment, IPC_RMID, None)
