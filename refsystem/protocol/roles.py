"""The roles of a device, and the only ways from one to another."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a device is in its store now."""

    FENCED = "fenced"
    STANDBY = "standby"
    PRIMARY = "primary"
    JOINING = "joining"


TRANSITIONS: frozenset[tuple[Role, Role]] = frozenset(
    {
        (Role.FENCED, Role.JOINING),
        (Role.FENCED, Role.STANDBY),
        (Role.FENCED, Role.PRIMARY),
        (Role.JOINING, Role.STANDBY),
        (Role.JOINING, Role.PRIMARY),
        (Role.JOINING, Role.FENCED),
        (Role.STANDBY, Role.JOINING),
        (Role.STANDBY, Role.PRIMARY),
        (Role.STANDBY, Role.FENCED),
        (Role.PRIMARY, Role.FENCED),
    }
)
