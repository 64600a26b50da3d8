"""The command lines that repeat what a campaign has shown."""

from __future__ import annotations

import shlex


def replay_command(what: object, variant: str | None) -> str:
    """The command that replays a seed or a file."""
    broken = [] if variant is None else ["--break", variant]
    return shlex.join(["rushproof", "fuzz", *broken, "--replay", str(what)])
