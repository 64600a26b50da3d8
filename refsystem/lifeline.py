"""`python -m refsystem.lifeline MODULE`: run a module of the stack that is killed when whoever started it ends.

So no process outlives its launcher, however the launcher ends. The launcher's process id comes in `RUSHPROOF_PARENT_PID`.
When the module has returned, its files are closed and its log is flushed, so the process ends without taking the
interpreter apart, which on a busy machine takes longer than everything else that a stop does.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from typing import NoReturn

PR_SET_PDEATHSIG = 1
PARENT_VARIABLE = "RUSHPROOF_PARENT_PID"


def die_with_parent(parent_pid: int) -> None:
    """Have this process killed when the thread that started it ends; at once if it has ended already."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")
    if os.getppid() != parent_pid:
        sys.exit(1)


def main() -> NoReturn:
    """Tie this process to its parent, become the module named, and end with its exit code."""
    die_with_parent(int(os.environ[PARENT_VARIABLE]))
    module = sys.argv.pop(1)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        _end(end.code or 0)
    _end(0)


def _end(exit_code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    main()
