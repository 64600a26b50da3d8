"""The traps of the store protocol: schedules that broke earlier wordings, and those that broke this code, one by one.

Each is told to one machine line by line (see `conversation`), and where a broken variant falls into the trap, it is shown to.
"""

from __future__ import annotations

import re

import pytest
from conversation import Conversation, tell

from refsystem.protocol.messages import Append, Join, StoreEntries

PAIR = """
    log L = 2:k1
    boot a1 log=L epoch=2 commit=1 variant={variant}
    register 2 a1 a1,b1 earlier
    granted
    persisted
    appended 3 b1 matched=1
"""
ALONE = """
    log L = 2:k1
    boot a1 log=L epoch=2 commit=1
    register 2 a1 a1 earlier
    granted
    persisted
"""


def pair(variant: str = "none") -> str:
    return PAIR.format(variant=variant)


def own_log_end(variant: str) -> list[str]:
    """B holds 2=x of epoch 2; A lost it in a power cut, came back at epoch 3, and has only entry 1."""
    return tell(f"""
        log L = 2:k1 2:x
        log M = 2:k1 3:y
        boot b1 log=L epoch=2 variant={variant}
        register 3 a1 a1,b1 other
        append 3 a1 log=M from=2 to=1
        persisted
    """)


def test_p2_the_answer_is_what_was_checked_in_this_epoch_and_not_the_own_logs_end() -> None:
    assert own_log_end("none")[-1] == "send appended 3 matched 1"
    assert own_log_end("answer-own-log-end")[-1] == "send appended 3 matched 2"


def divergent(variant: str) -> list[str]:
    return tell(f"""
        log L = 2:k1 2:x
        log M = 2:k1 3:y
        boot b1 log=L epoch=2 variant={variant}
        register 3 a1 a1,b1 other
        append 3 a1 log=M from=2 to=2
        persisted
    """)


def test_p12_another_entry_behind_the_same_one_does_not_match() -> None:
    assert any("set aside from 2; entries 2=y@3" in said for said in divergent("none"))
    wrong = divergent("match-by-previous-hash")
    assert wrong[-1] == "send appended 3 matched 2"
    assert not any("set aside" in said for said in wrong)


def answer_of_a_dead_disk(variant: str) -> list[str]:
    return tell(
        pair(variant)
        + """
        submit k2
        persisted
        appended 3 b0 matched=2
        """
    )


def test_p2_a_late_answer_of_a_disk_that_is_gone_is_not_counted_for_its_replacement() -> None:
    assert not any("reply" in said for said in answer_of_a_dead_disk("none"))
    assert any("yes, R2" in said for said in answer_of_a_dead_disk("appended-without-node-id"))


def answer_of_an_earlier_epoch(variant: str) -> list[str]:
    return tell(
        pair(variant)
        + """
        submit k2
        persisted
        appended 2 b1 matched=2
        """
    )


def test_p3_an_answer_of_an_earlier_epoch_is_not_counted() -> None:
    assert not any("yes" in said for said in answer_of_an_earlier_epoch("none"))
    assert any("yes, R2" in said for said in answer_of_an_earlier_epoch("any-epoch-any-role"))


def test_p21_a_device_whose_cancel_was_asked_last_takes_two_members_if_the_grow_won() -> None:
    said = tell(
        ALONE
        + """
        join 3 b1 log=L
        appended 3 b1 matched=1
        wait +1000
        time +0
        register 4 a1 a1,b1 mine-1
        submit k2
        persisted
        """
    )
    assert "role primary at epoch 4, members a1,b1" in said
    assert not any("reply" in line for line in said)


def test_p21_only_the_answer_to_the_outstanding_question_counts() -> None:
    said = tell(
        ALONE
        + """
        join 3 b1 log=L
        appended 3 b1 matched=1
        wait +1000
        time +0
        late 4 a1 a1 mine
        """
    )
    assert "role primary at epoch 4, members a1" not in said


def test_p9_a_promotion_whose_answer_is_lost_keeps_neither_device_from_committing_at_the_old_epoch() -> None:
    said = tell(
        """
        log L = 2:k1 2:k2
        boot b1 log=L epoch=2
        register 2 a1 a1,b1 other
        time +710
        register 2 a1 a1,b1 other
        time +10
        append 2 a1 log=L from=2 to=2
        persisted
        """
    )
    assert said[-1] == "send appended 2 matched 2"
    assert not any("epoch 3" in line for line in said if line.startswith("flush"))


@pytest.mark.parametrize("first", ["submit k2", "downlink 1:k2"])
def test_p6_one_key_at_two_doors_makes_one_order(first: str) -> None:
    second = "downlink 1:k2" if first == "submit k2" else "submit k2"
    said = tell(pair() + f"{first}\n{second}")
    assert sum("=k2@3" in line for line in said if line.startswith("flush")) == 1


def test_p6_two_doors_that_look_up_only_requests_make_two_orders() -> None:
    said = tell(pair("two-doors") + "submit k2\ndownlink 1:k2")
    assert sum("=k2@3" in line for line in said if line.startswith("flush")) == 2


def test_p15_a_number_that_is_seen_before_the_one_below_it_is_not_taken() -> None:
    said = tell(pair() + "downlink 2:k3\ndownlink 1:k2 2:k3")
    assert [line for line in said if line.startswith("flush")][-1].endswith("entries 2=k2@3 3=k3@3")
    assert sum("k3@3" in line for line in said if line.startswith("flush")) == 1


def set_aside_and_promoted(variant: str) -> list[str]:
    return tell(f"""
        log L = 2:k1 2:x
        log M = 2:k1 3:y
        boot b1 log=L epoch=2 variant={variant}
        register 3 a1 a1,b1 other
        append 3 a1 log=M from=2 to=2 commit=2
        persisted
        time +710
        register 3 a1 a1,b1 other
        granted
        persisted
        submit x
    """)


def test_p6_a_key_that_was_set_aside_is_not_found() -> None:
    assert set_aside_and_promoted("none")[-1].endswith("entries 3=x@4")
    assert "yes" in set_aside_and_promoted("index-outlives-log")[-1]


def test_the_level_is_that_of_the_moment_of_the_reply_and_stands_in_no_record() -> None:
    conversation = Conversation()
    lines = [*pair().strip().splitlines(), "submit k2", "persisted", "time +910", "granted"]
    said = [said for line in lines for said in conversation.put(line.strip())]
    assert said[-1] == "reply to submit k2: yes, R1 at 2, epoch 4"
    replica = conversation.device.replica
    assert "level" not in replica.log.entry(2).content()
    again = [*conversation.put("join 4 b1 log=L"), *conversation.put("appended 4 b1 matched=2")]
    assert any("swap 4 -> (5, a1, a1,b1)" in line for line in again)
    conversation.put("granted")
    assert conversation.put("submit k2") == ["reply to submit k2: yes, R1 at 2, epoch 5, replayed"]
    conversation.put("appended 5 b1 matched=2")
    assert conversation.put("submit k2") == ["reply to submit k2: yes, R2 at 2, epoch 5, replayed"]


# --- found in this code --------------------------------------------------------------------------------------------


def test_p8_a_grow_in_flight_at_a_fence_is_settled_before_the_old_epoch_is_taken_up_again() -> None:
    """The own flush took too long; the grow, delayed, would have won after the device had gone back to `{A}`."""
    said = tell("""
        log L = 2:k1
        boot a1 log=L epoch=2 commit=1 standby_timeout_us=9000
        register 2 a1 a1 earlier
        granted
        persisted
        submit k2
        join 3 b1 log=L
        appended 3 b1 matched=1
        time +3010
        persisted
        time +400
        register 3 a1 a1 mine-1
    """)
    assert said[-1] == "send swap 3 -> (4, a1, a1,b1) claim #2"


def test_p7_an_empty_downlink_is_no_sign_of_life_of_the_standby() -> None:
    said = tell(pair() + "time +890\ndownlink 7:k9\ntime +20")
    assert any("swap 3 -> (4, a1, a1)" in line for line in said)
    assert not any("entries none" in line for line in said)


@pytest.mark.parametrize(
    "story",
    [
        pytest.param(ALONE + "time +500", id="a primary alone"),
        pytest.param(
            "log L = 2:k1\nboot b1 log=L epoch=2\nregister 2 a1 a1,b1 other\ntime +710\ntime +100",
            id="a standby whose question is not answered",
        ),
        pytest.param(ALONE + "submit k2\ntime +3010\ntime +500", id="a device whose flush hangs"),
    ],
)
def test_p20_a_device_with_nothing_to_do_does_not_wake_every_millisecond(story: str) -> None:
    conversation = Conversation()
    for line in story.strip().splitlines():
        conversation.put(line.strip())
    wait_us = conversation.device.deadline_us() - conversation.now_us
    assert 20_000 <= wait_us <= 100_000


def test_p6_a_committed_key_is_answered_at_the_limit_and_an_uncommitted_one_is_never_told_no() -> None:
    said = tell(
        "log L = 2:k1\nboot a1 log=L epoch=2 commit=1 waiting_max=1\nregister 2 a1 a1,b1 earlier\ngranted\npersisted\n"
        "appended 3 b1 matched=1\nsubmit k2\nsubmit k1\nsubmit k2\nsubmit k3"
    )
    assert [line for line in said if line.startswith("reply")] == [
        "reply to submit k1: yes, R2 at 1, epoch 3, replayed",
        "reply to submit k2: 503 outcome-unknown",
        "reply to submit k3: 503 overloaded",
    ]


def test_p6_other_content_is_refused_only_when_the_content_that_holds_the_key_has_committed() -> None:
    said = tell(pair() + "submit k2\nsubmit k2!\npersisted")
    assert not any("422" in line for line in said)
    assert "reply to submit k2!: 422 key-reused" in tell(
        pair() + "submit k2\nsubmit k2!\npersisted\nappended 3 b1 matched=2"
    )


def test_p20_what_is_not_committed_is_bounded_on_every_path_into_the_log() -> None:
    limit = "log L = 2:k1\nboot a1 log=L epoch=2 commit=1 uncommitted_max=2\nregister 2 a1 a1,b1 earlier\ngranted\n"
    said = tell(limit + "persisted\ndownlink 1:k2 2:k3 3:k4\nbump k1\nsubmit k5")
    assert [line for line in said if line.startswith(("flush #5", "reply"))] == [
        "flush #5: entries 2=k2@3 3=k3@3",
        "reply to submit k5: 503 overloaded",
    ]


def test_p20_a_silent_peer_is_sent_heartbeats_and_not_its_window_again_and_again() -> None:
    story = pair() + "submit k2\nsubmit k3\npersisted\n" + "time +100\n" * 60
    sent = [line for line in tell(story) if line.startswith("send append")]
    assert sum("k2@3" in line for line in sent) == 1


def test_p12_a_volley_of_joins_is_answered_once() -> None:
    said = tell(ALONE + "submit k2\n" + "join 3 b1\n" * 5)
    assert sum("1=k1@2" in line for line in said if line.startswith("send append")) == 1


def test_p12_a_join_is_answered_again_after_an_interval() -> None:
    said = tell(ALONE + "submit k2\njoin 3 b1\ntime +250\njoin 3 b1\n")
    assert sum("1=k1@2" in line for line in said if line.startswith("send append")) == 2


def test_p5_a_confirmation_that_does_not_confirm_is_asked_again_at_a_pace() -> None:
    story = ALONE + "submit k2\njoin 3 b1 log=L\nread nobody\nregister 2 a1 a1 old\n"
    said = tell(story)
    assert sum(line == "send read the register" for line in said) == 2
    assert sum(line == "send read the register" for line in tell(story + "time +110")) == 3


def test_p3_a_primary_that_reads_of_a_higher_epoch_for_a_404_fences_itself() -> None:
    said = tell(ALONE + "read nobody\nregister 9 b1 b1 staff")
    assert said[-2:] == ["role fenced at epoch 3", "reply to read nobody: 503 not-confirmed"]


# --- further corners -----------------------------------------------------------------------------------------------


def test_p5_a_404_that_waited_for_two_members_waits_for_the_register_when_one_is_left() -> None:
    said = tell(pair() + "time +850\nread nobody\nwait +60\ntime +0\ngranted\nappended 3 b1 matched=1 round=1")
    assert not any("404" in line for line in said)
    told = tell(pair() + "time +850\nread nobody\nwait +60\ntime +0\ngranted\nregister 4 a1 a1 mine")
    assert told[-1] == "reply to read nobody: 404 order-unknown"


def test_p5_a_round_that_began_before_a_shrink_and_a_grow_confirms_nothing_by_an_old_answer() -> None:
    """Members go from two to one and back; the answer of the first pair's epoch comes late."""
    said = tell(
        pair()
        + """
        time +850
        read nobody
        wait +60
        time +0
        granted
        join 4 b1 log=L
        appended 4 b1 matched=1
        granted
        appended 3 b1 matched=1 round=1
        appended 4 b1 matched=1 round=1
        """
    )
    assert not any("404" in line for line in said)


def test_p20_what_is_under_way_to_the_peer_is_bounded() -> None:
    log = "log L = " + " ".join(f"2:k{seq}" for seq in range(1, 31))
    limits = "entries_per_append_max=4 entries_in_flight_max=10"
    said = tell(
        f"{log}\nboot a1 log=L epoch=2 commit=30 {limits}\nregister 2 a1 a1 x\ngranted\njoin 3 b1\nappended 3 b1 matched=4"
    )
    sent = [re.findall(r"(\d+)=k", line) for line in said if line.startswith("send append") and "heartbeat" not in line]
    assert [(seqs[0], seqs[-1]) for seqs in sent] == [("1", "4"), ("5", "8"), ("9", "10"), ("11", "14")]


@pytest.mark.parametrize("shared", [0, 1, 777, 2_999, 3_000])
def test_p12_a_join_of_a_long_log_is_short_and_still_finds_a_shared_entry(shared: int) -> None:
    conversation = Conversation()
    conversation.put("log L = " + " ".join(f"2:k{seq}" for seq in range(1, 3_001)))
    other = [f"2:k{seq}" if seq <= shared else f"3:y{seq}" for seq in range(1, 3_003)]
    conversation.put("log M = " + " ".join(other))
    conversation.put("boot a1 log=L epoch=2")
    known = conversation.device.replica._join().known
    seqs = [place.seq for place in known]
    assert seqs[:8] == list(range(3_000, 2_992, -1))
    assert len(seqs) <= 40
    for line in ("boot b1 log=M epoch=3 commit=3002", "register 3 b1 b1 x", "granted"):
        conversation.put(line)
    conversation.device.receive(Join(4, "a1", known), conversation.now_us)
    sent = conversation.device.take_ready(conversation.now_us).send
    first = next(message for message in sent if isinstance(message, Append))
    best = max((seq for seq in seqs if seq <= shared), default=0)
    assert first.prev_seq == best


def test_p12_a_device_that_would_have_to_set_aside_a_commit_stops_and_stores_nothing() -> None:
    conversation = Conversation()
    for line in (
        "log L = 2:k1 2:k2",
        "log M = 2:k1 3:z",
        "boot b1 log=L epoch=2 commit=2",
        "register 3 a1 a1,b1 other",
        "persisted",
    ):
        conversation.put(line)
    assert conversation.put("append 3 a1 log=M from=2 to=2")[0].startswith("stops: entry 2 is known to be committed")
    ready = conversation.device.take_ready(conversation.now_us)
    assert not any(isinstance(op, StoreEntries) for op in ready.persist)


def test_require_r2_refuses_alone_and_waits_for_r2_with_two() -> None:
    alone = tell(
        "log L = 2:k1\nboot a1 log=L epoch=2 commit=1 policy=require_r2\nregister 2 a1 a1 x\ngranted\nsubmit k2\nsubmit k1"
    )
    assert [line for line in alone if line.startswith("reply")] == ["reply to submit k2: 503 standby-required"]
    two = tell(
        "log L = 2:k1\nboot a1 log=L epoch=2 commit=1 policy=require_r2\nregister 2 a1 a1,b1 x\ngranted\nsubmit k1\npersisted\n"
        "appended 3 b1 matched=1"
    )
    assert two[-1] == "reply to submit k1: yes, R2 at 1, epoch 3, replayed"


def test_p2_an_entry_set_aside_and_replaced_while_its_flush_is_under_way_is_not_taken_for_flushed() -> None:
    conversation = Conversation()
    for line in (
        "log L = 2:k1 2:x 2:x2",
        "log M = 2:k1 3:y",
        "boot b1 epoch=2",
        "register 2 a1 a1,b1 other",
        "append 2 a1 log=L from=1 to=3",
    ):
        conversation.put(line)
    replica = conversation.device.replica
    conversation.put("append 3 a1 log=M from=2 to=2")
    conversation.put("persisted 3")
    assert replica.flushed_seq == 1
    conversation.put("persisted")
    assert replica.flushed_seq == 2
    assert replica.log.last.seq == 2


def test_p2_what_was_matched_in_an_earlier_epoch_is_not_answered_in_a_later_one() -> None:
    said = tell("""
        log L = 2:k1 2:x
        boot b1 epoch=2
        register 2 a1 a1,b1 other
        append 2 a1 log=L from=1 to=2
        persisted
        append 3 a1 log=L from=2 to=1
        persisted
    """)
    assert [line for line in said if "matched" in line] == ["send appended 2 matched 2", "send appended 3 matched 1"]


def test_p10_a_promoted_device_commits_no_entry_before_its_own_flush_of_it() -> None:
    """Entry 2 was flushed as x; it is y now, and y is not flushed."""
    said = tell("""
        log L = 2:k1 2:x
        log M = 2:k1 3:y
        boot b1 log=L epoch=2 commit=1
        register 3 a1 a1,b1 other
        persisted
        append 3 a1 log=M from=2 to=2
        time +710
        register 3 a1 a1,b1 other
        granted
        submit y
        persisted
    """)
    assert said.index("committed 2=y@3") > said.index("send appended 3 matched 2")


def test_p5_an_order_that_comes_while_its_absence_is_confirmed_is_not_told_absent() -> None:
    said = tell(
        pair() + "read k2\nsubmit k2\nappended 3 b1 matched=1 round=1\npersisted\nappended 3 b1 matched=2 round=1"
    )
    answers = [line for line in said if line.startswith("reply")]
    assert answers == ["reply to submit k2: yes, R2 at 2, epoch 3", "reply to read k2: yes, R2 at 2, epoch 3"]


def test_p5_an_order_is_told_served_only_when_its_bump_has_committed() -> None:
    said = tell(pair() + "bump k1\nread k1\npersisted\nappended 3 b1 matched=2\nread k1\nbump k1")
    answers = [line for line in said if line.startswith("reply")]
    assert answers == ["reply to read k1: yes, R2 at 1, epoch 3", "reply to read k1: yes, R2 at 1, epoch 3, served"]
    assert sum("bump(k1)" in line for line in said if line.startswith("flush")) == 1


def test_p13_a_device_that_was_fenced_asks_its_receivers_again_where_they_stand() -> None:
    said = tell(
        ALONE + "kitchen at L 1\nkitchen\nrejected 3 b1\nkitchen stale 9\ntime +0\nregister 3 a1 a1 mine\nkitchen"
    )
    batches = [line for line in said if line.startswith("batch")]
    assert batches == ["batch of epoch 3 behind 1: none", "batch of epoch 3 behind 0: none"]


def test_p1_the_register_that_is_older_than_the_device_is_an_alarm_and_no_role_comes_of_it() -> None:
    conversation = Conversation()
    for line in ("boot a1 epoch=5", "register 4 a1 a1 earlier", "time +500", "register none"):
        said = conversation.put(line)
        assert not any("primary" in word for word in said)
    assert conversation.device.replica.alarm == "the arbiter has no register"
