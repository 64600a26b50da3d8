"""What a command says when it cannot do what was asked, and the exit codes of all commands."""

from __future__ import annotations

EXIT_USAGE = 2
EXIT_UNKNOWN = 3
EXIT_INTERRUPTED = 130


class CommandError(Exception):
    """Usage or environment: the message is one clear sentence, the exit code is 2."""
