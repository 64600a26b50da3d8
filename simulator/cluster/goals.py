"""What a campaign must have seen at least once, and the rows of "Survivable faults" that a schedule can exercise."""

from __future__ import annotations

from enum import StrEnum

from simulator.cluster.schedule import FAULT_KINDS


class Row(StrEnum):
    """The rows of the protocol's table of survivable faults."""

    ONE_OF_TWO = "A or B killed, power cut, disk gone"
    DISK_GONE_WITH_REQUEST = "disk gone while that device's own register request is in flight"
    PAUSED_AND_REPLACED = "A paused, B promoted, A resumes"
    PEER_CUT = "link A-B cut, both alive"
    WAN_CUT = "WAN cut"
    ARBITER_DOWN = "arbiter down, A and B up"
    ARBITER_DOWN_THEN_DEVICE = "arbiter down, then A or B stops"
    ONLY_MEMBER_DOWN = "members {A}, A down, B up"
    WHOLE_STORE = "power cut of the whole store"
    ONLY_MEMBER_DESTROYED = "members {A}, A destroyed"


GOALS: tuple[str, ...] = (
    "a promotion",
    "a grow",
    "a shrink",
    "a restart",
    "a grow cancelled",
    "a tail set aside",
    "an answer to a claim lost",
    "a primary restarted shorter than its standby",
    "a key waiting across a failover",
    "a stale sender refused",
    "a message repeated",
    "a disk lost",
    "glass broken, the cloud copied",
    "glass broken, the cloud unreachable",
    "commits left behind by a fork",
    "known commits given up across a fork",
    "a device comes back after it was replaced",
    "a fork followed by the cloud",
    "a fork followed by the kitchen",
    "a fork half followed by the cloud",
    "a fork half followed by the kitchen",
    "a forked order sent back",
    "an order that may come back is not denied",
    "the only member switched off",
    "the only member isolated",
    "an isolated device commits what nobody is told",
    "a word without the cloud at once",
    "one key at two doors",
    "one key with two contents",
    "committed in the cloud, and nobody told",
    "told R2",
    "told R1",
    "answer not-primary",
    "answer outcome-unknown",
    "answer not-confirmed",
    "answer order-unknown",
    "answer key-reused",
    "answer overloaded",
    "answer standby-required",
    *(f"fault {kind}" for kind in FAULT_KINDS),
    *(f"row: {row}" for row in Row),
)
