"""Ties a process to the one that started it: when the parent dies, however it dies, the kernel kills the child."""

from __future__ import annotations

import ctypes
import os
import signal

PARENT_VARIABLE = "RUSHPROOF_PARENT_PID"
"""The environment variable that tells a load process who started it."""

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """Ask Linux to kill this process when the *thread* of `parent_pid` that started it ends; exit if it already did.

    Raises `OSError` if the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != parent_pid:
        raise SystemExit(f"process {parent_pid}, which started this one, is gone")
