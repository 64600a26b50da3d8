"""`python -m refsystem.lifeline MODULE`: run a module of the stack that is killed when whoever started it ends.

So no process outlives its launcher, however the launcher ends. The launcher's process id comes in `RUSHPROOF_PARENT_PID`.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1
PARENT_VARIABLE = "RUSHPROOF_PARENT_PID"


def die_with_parent(parent_pid: int) -> None:
    """Have this process killed when the thread that started it ends; at once if it has ended already."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")
    if os.getppid() != parent_pid:
        sys.exit(1)


def main() -> None:
    """Tie this process to its parent, then become the module named."""
    die_with_parent(int(os.environ[PARENT_VARIABLE]))
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
