"""What only mutation testing showed to be missing: each test here fails for a mutant that all others let pass."""

from __future__ import annotations

import itertools

import pytest
from conversation import Conversation, tell

from refsystem.protocol.flushing import Flushing
from refsystem.protocol.roles import TRANSITIONS, Role


def test_a_primary_leaves_its_role_only_by_a_fence_and_every_other_change_is_possible() -> None:
    changes = set(itertools.permutations(Role, 2))
    assert changes - TRANSITIONS == {(Role.PRIMARY, Role.STANDBY), (Role.PRIMARY, Role.JOINING)}
    assert changes >= TRANSITIONS


def test_a_change_of_role_that_is_not_in_the_table_raises_and_changes_nothing() -> None:
    conversation = Conversation()
    for line in ("boot a1", "register 2 a1 a1 earlier", "granted"):
        conversation.put(line)
    replica = conversation.device.replica
    with pytest.raises(AssertionError, match="primary may not become standby"):
        replica._become(Role.STANDBY)
    assert replica.role is Role.PRIMARY


def test_what_stands_before_the_entries_set_aside_stays_flushed() -> None:
    flushing = Flushing(5)
    flushing.set_aside(3)
    assert flushing.flushed_seq == 2


def test_p7_a_standby_that_answers_heartbeats_is_kept_while_nothing_is_ordered() -> None:
    """2 s of heartbeats, each answered: more than the time after which a silent standby is given up."""
    pair = "log L = 2:k1\nboot a1 log=L epoch=2 commit=1\nregister 2 a1 a1,b1 earlier\ngranted\npersisted\n"
    said = tell(pair + "appended 3 b1 matched=1\n" + "time +100\nappended 3 b1 matched=1\n" * 20)
    assert sum("heartbeat" in line for line in said) >= 20
    assert not any("swap 3 -> (4" in line for line in said)
