"""`python -m chaos.bench.pinned CORE COMMAND …`: become a command that runs on one core and ends with its parent."""

from __future__ import annotations

import os
import sys

from refsystem.lifeline import PARENT_VARIABLE, die_with_parent


def main() -> None:
    """Pin this process, tie it to its parent, and become the command."""
    die_with_parent(int(os.environ[PARENT_VARIABLE]))
    os.sched_setaffinity(0, {int(sys.argv[1])})
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
