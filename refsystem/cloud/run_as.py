"""Become another user, ask to be told when the parent dies, and turn into the program given.

A small program of its own rather than a hook between fork and exec, because such a hook may deadlock in a process with
threads. It is loaded while everything can still be read: `python run_as.py UID GID PARENT_PID PROGRAM ARGUMENTS…`.
The wish for a signal is made after the change of user, which forgets it, and the exec keeps it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

PR_SET_PDEATHSIG = 1
UNCHANGED = -1


def main(arguments: list[str]) -> NoReturn:
    """Turn into PROGRAM, which gets SIGQUIT when the thread that started it ends; raises `OSError` if that fails."""
    uid, gid, parent_pid = (int(argument) for argument in arguments[:3])
    program = arguments[3:]
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if uid != UNCHANGED:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if prctl(PR_SET_PDEATHSIG, int(signal.SIGQUIT), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")
    if os.getppid() != parent_pid:
        raise ProcessLookupError("the parent ended during the start")
    os.umask(0o077)
    os.execv(program[0], program)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.stderr.write(f"cannot run {' '.join(sys.argv[4:5])} as uid {sys.argv[1]}: {error}\n")
        sys.exit(126)
