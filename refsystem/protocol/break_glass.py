"""Break glass (P19): what a person asks when the only member is gone for good, and what a device keeps of it on its disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from refsystem.ordering.errors import BREAK_GLASS_INVALID, BreakGlassRefused

WHO_CHARACTERS_MAX = 100
WHY_CHARACTERS_MAX = 500
OFF_MAX = 4


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """A person's word: the devices `off` (their node_ids) are off and stay off; this one is to go on.

    `without_cloud`: the cloud cannot be reached either, go on without what it holds.
    """

    off: tuple[str, ...]
    who: str
    why: str
    without_cloud: bool = False

    def check(self) -> None:
        """Raises `BreakGlassRefused` if it is not well formed."""
        if not 1 <= len(self.off) <= OFF_MAX or not all(self.off):
            raise BreakGlassRefused(BREAK_GLASS_INVALID, f"off must name 1 to {OFF_MAX} devices")
        for name, text, characters_max in (
            ("who", self.who, WHO_CHARACTERS_MAX),
            ("why", self.why, WHY_CHARACTERS_MAX),
        ):
            if not text.strip() or len(text) > characters_max:
                raise BreakGlassRefused(
                    BREAK_GLASS_INVALID, f"{name} must be a text of 1 to {characters_max} characters"
                )


@dataclass(frozen=True, slots=True)
class Intention:
    """A person's word as the device keeps it until its record of the fork is in the log.

    `epoch` is the one that it asks for; `forked_epoch` that of the last break glass before, as the register told it;
    `cloud_differs_at` the entry at which the cloud's log was seen to differ in a way that cannot be followed, 0 if none was.
    """

    word: BreakGlass
    epoch: int
    forked_epoch: int
    cloud_differs_at: int = 0


CloudOutcome = Literal["copied", "unreachable"]
GlassStage = Literal["none", "storing", "asking", "reconciling"]


@dataclass(frozen=True, slots=True)
class GlassStatus:
    """How far breaking glass has come on a device, for people.

    `storing`: the intention is not on the disk yet; `asking`: the arbiter has not shown it yet; `reconciling`: the cloud's log
    is compared, up to `compared_seq` so far, and until it answers or a person says `without_cloud` nothing is served;
    `none`: nothing is under way. `trouble` is what stands in the way and what gets the device out, or why the last attempt was
    dropped.
    """

    stage: GlassStage = "none"
    intention: Intention | None = None
    compared_seq: int = 0
    trouble: str | None = None


def fork_record(word: BreakGlass, from_seq: int, previous_hash: str, cloud: CloudOutcome) -> dict[str, Any]:
    """The log record of a fork: from `from_seq` on the branches may differ; `previous_hash` is of the entry before it."""
    return {
        "kind": "fork",
        "from_seq": from_seq,
        "hash": previous_hash,
        "who": word.who,
        "why": word.why,
        "off": list(word.off),
        "cloud": cloud,
    }
