"""Channels pause for a reason that they tell, and open again by themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsystem.ordering.channel_rules import (
    ChannelBoard,
    ChannelRule,
    ChannelRules,
    Load,
    read_channel_rules,
)
from refsystem.ordering.order import CHANNELS

RULES = ChannelRules(
    {"delivery": ChannelRule(share_percent=30), "mini_program": ChannelRule(queue_max=50)},
    busy_from=20,
    path_silent_ms=3_000,
    hold_ms=1_000,
)


def test_a_channel_through_the_cloud_pauses_when_the_other_end_is_silent_and_opens_when_it_is_heard() -> None:
    board = ChannelBoard(RULES)
    board.look(Load({}, silent_ms=2_999), 0)
    assert all(state.is_open for state in board.states)
    board.look(Load({}, silent_ms=3_000), 10)
    assert {state.channel for state in board.states if not state.is_open} == {"mini_program", "delivery"}
    paused = board.state("delivery")
    assert (paused.reason, paused.since_ms, paused.retry_after_s) == ("path_down", 10, 1)
    board.look(Load({}, silent_ms=0), 500)
    assert board.state("delivery").reason == "path_down", "a pause lasts a second at least"
    board.look(Load({}, silent_ms=0), 1_010)
    assert all(state.is_open for state in board.states)


def test_a_share_counts_only_while_the_kitchen_is_busy_and_leaves_room_before_it_opens_again() -> None:
    board = ChannelBoard(RULES)
    board.look(Load({"delivery": 19}), 0)
    assert board.state("delivery").is_open, "19 tickets are no busy kitchen"
    board.look(Load({"delivery": 6, "qr": 14}), 0)
    assert board.state("delivery").reason == "share_used_up"
    board.look(Load({"delivery": 5, "qr": 15}), 5_000)
    assert not board.state("delivery").is_open, "5 of 20 are above four fifths of the share"
    board.look(Load({"delivery": 4, "qr": 16}), 5_001)
    assert board.state("delivery").is_open


def test_a_queue_that_is_too_long_pauses_its_channel_alone() -> None:
    board = ChannelBoard(RULES)
    board.look(Load({"qr": 50}), 0)
    assert [state.channel for state in board.states if not state.is_open] == ["mini_program"]
    assert "50" in board.state("mini_program").detail


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(CHANNELS), st.integers(0, 60)), st.integers(0, 9_000), st.integers(0, 3_000)
        ),
        max_size=20,
    )
)
def test_nothing_stays_paused_when_all_is_well_and_nothing_pauses_without_rules(
    looks: list[tuple[dict[str, int], int, int]],
) -> None:
    board, none = ChannelBoard(RULES), ChannelBoard(None)
    now_ms = 0
    for tickets, silent_ms, pause_ms in looks:
        now_ms += pause_ms
        for state in board.look(Load(tickets, silent_ms), now_ms):
            assert bool(state.reason) == bool(state.detail) == bool(state.retry_after_s)
        assert all(state.is_open for state in none.look(Load(tickets, silent_ms), now_ms))
    board.look(Load({}), now_ms + RULES.hold_ms)
    assert all(state.is_open for state in board.states)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ('{"busy": 1}', "must be an object with busy_from"),
        ('{"busy_from": -1}', "busy_from must be a whole number from 0"),
        ('{"channels": {"drone": {}}}', "channels must name some of qr"),
        (
            '{"channels": {"qr": {"share_percent": 101}}}',
            r"channels.qr.share_percent must be a whole number from 0 to 100",
        ),
        ('{"channels": {"qr": {"share": 3}}}', "channels.qr must be an object with queue_max or share_percent"),
    ],
)
def test_wrong_rules_are_told_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_channel_rules(text)


def test_rules_are_read() -> None:
    assert read_channel_rules("") is None
    channels = '{"delivery": {"share_percent": 30}, "mini_program": {"queue_max": 50}}'
    said = f'{{"busy_from": 20, "hold_ms": 1000, "channels": {channels}}}'
    assert read_channel_rules(said) == RULES
