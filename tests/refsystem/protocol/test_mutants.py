"""What only mutation testing showed to be missing: each test here fails for a mutant that all others let pass."""

from __future__ import annotations

import itertools

import pytest
from beginnings import ALONE, MATCHED, PAIR, STANDBY, played
from conversation import log_of, tell

from refsystem.ordering.menu import DEMO_MENU
from refsystem.protocol.arbiter import allowed_step
from refsystem.protocol.break_glass import GlassStatus
from refsystem.protocol.device import Device, DeviceSettings
from refsystem.protocol.flushing import Flushing
from refsystem.protocol.log import GENESIS, encode_record
from refsystem.protocol.messages import Append, Appended, Join, Register, RegisterRead, RegisterSwap, Rejected, SetAside
from refsystem.protocol.replica import DurableState
from refsystem.protocol.roles import TRANSITIONS, Role
from refsystem.protocol.shipping import Shipping
from refsystem.protocol.timing import DEFAULT_TIMING

# --- roles and the arbiter ---------------------------------------------------------------------------------------------


def test_a_primary_leaves_its_role_only_by_a_fence_and_every_other_change_is_possible() -> None:
    changes = set(itertools.permutations(Role, 2))
    assert changes - TRANSITIONS == {(Role.PRIMARY, Role.STANDBY), (Role.PRIMARY, Role.JOINING)}
    assert changes >= TRANSITIONS


def test_a_change_of_role_that_is_not_in_the_table_raises_and_changes_nothing() -> None:
    replica = played(PAIR).device.replica
    with pytest.raises(AssertionError, match="primary may not become standby"):
        replica._become(Role.STANDBY)
    assert replica.role is Role.PRIMARY


def test_p19_without_a_person_the_arbiter_takes_no_step_of_break_glass() -> None:
    old, new = Register(3, "a1", ("a1",), "x"), Register(4, "b1", ("b1",), "y", forked_epoch=4)
    assert not allowed_step(old, new)
    assert allowed_step(old, new, "Li")


@pytest.mark.parametrize("members", [(("a1", "b1"), ("a1", "c1")), (("a1",), ("a1", "b1", "c1"))])
def test_p8_a_grow_leads_from_one_member_to_two(members: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    before, after = members
    assert not allowed_step(Register(3, "a1", before, "x"), Register(4, "a1", after, "y"))


# --- the log -----------------------------------------------------------------------------------------------------------


def test_p12_the_last_eight_places_are_told_and_then_the_steps_double() -> None:
    log = log_of(" ".join(f"2:k{number}" for number in range(40)))
    seqs = [place.seq for place in log.places(40)]
    assert seqs == [40, 39, 38, 37, 36, 35, 34, 33, 31, 27, 19, 3]
    assert [place.seq for place in log.places(3)] == [40, 39, 38]


def test_the_text_of_a_record_is_sorted_without_spaces_and_in_the_letters_it_was_given() -> None:
    assert encode_record({"note": "ohne Öl", "a": [1, 2]}) == '{"a":[1,2],"note":"ohne Öl"}'


# --- deadlines ---------------------------------------------------------------------------------------------------------

RARE = "heartbeat_us=60000"


@pytest.mark.parametrize(
    ("story", "deadline_ms"),
    [
        pytest.param(f"boot b1 {RARE}", 400, id="a question is asked again"),
        pytest.param(f"boot b1 {RARE}\nwait +100\nregister none", 500, id="a fenced device reads again"),
        pytest.param(
            f"boot b1 {RARE}\nwait +100\nregister 2 a1 a1,b1 other", 800, id="the primary is silent for too long"
        ),
        pytest.param(
            f"boot b1 {RARE} primary_timeout_us=200\nwait +100\nregister 2 a1 a1,b1 other",
            500,
            id="the register was read just now",
        ),
        pytest.param(PAIR + "wait +30\nrejected 1 b1", 100, id="a heartbeat is due"),
        pytest.param(ALONE + "wait +30\nrejected 1 b1", 130, id="nothing is due"),
    ],
)
def test_a_deadline_is_when_there_is_something_to_do(story: str, deadline_ms: int) -> None:
    assert played(story).device.deadline_us() == deadline_ms * 1_000


def test_p20_a_deadline_that_has_passed_is_a_millisecond_away() -> None:
    device = played(PAIR).device
    device.receive(Rejected(1, "b1"), 150_000)
    assert device.deadline_us() == 151_000


@pytest.mark.parametrize(
    ("story", "wait_ms", "said"),
    [
        pytest.param(STANDBY, 700, "send read the register", id="the primary is silent"),
        pytest.param(
            STANDBY.replace("epoch=2", "epoch=2 primary_timeout_us=200"), 400, "send read the register", id="pace"
        ),
        pytest.param(MATCHED, 900, "send swap 3 -> (4, a1, a1) claim #2", id="the standby is silent"),
    ],
)
def test_a_time_out_is_over_at_its_very_microsecond(story: str, wait_ms: int, said: str) -> None:
    """The driver wakes at the deadline: what is due then must not need another wake."""
    conversation = played(story)
    conversation.put("wait +" + str(wait_ms - 1))
    assert said not in conversation.put("time +0")
    assert said in conversation.put("time +1")


def test_p20_a_flush_is_slow_by_its_own_time_and_not_by_the_devices() -> None:
    conversation = played(ALONE + "time +10000\nsubmit k2\ntime +2999")
    assert conversation.device.is_primary
    conversation.put("time +1")
    assert not conversation.device.is_primary


# --- shipping and commit -----------------------------------------------------------------------------------------------


def test_what_stands_before_the_entries_set_aside_stays_flushed() -> None:
    flushing = Flushing(5)
    flushing.set_aside(3)
    assert flushing.flushed_seq == 2


def test_p5_every_round_trip_has_its_own_number() -> None:
    shipping = Shipping(log_of("2:k1"), DEFAULT_TIMING, 0)
    assert [shipping.begin_round(0) for _ in range(3)] == [1, 2, 3]


def test_p7_a_standby_that_answers_heartbeats_is_kept_while_nothing_is_ordered() -> None:
    """2 s of heartbeats, each answered: more than the time after which a silent standby is given up."""
    pair = "log L = 2:k1\nboot a1 log=L epoch=2 commit=1\nregister 2 a1 a1,b1 earlier\ngranted\npersisted\n"
    said = tell(pair + "appended 3 b1 matched=1\n" + "time +100\nappended 3 b1 matched=1\n" * 20)
    assert sum("heartbeat" in line for line in said) >= 20
    assert not any("swap 3 -> (4" in line for line in said)


def test_p7_the_time_of_a_silent_standby_runs_from_the_first_order_that_waits() -> None:
    asks = "send swap 3 -> (4, a1, a1) claim #2"
    idle = played(MATCHED + "wait +800\nrejected 1 b1\nsubmit k2")
    assert asks not in idle.put("time +899")
    assert asks in idle.put("time +1")
    busy = MATCHED + "".join(f"time +100\nsubmit k{number}\n" for number in range(2, 11))
    assert asks in tell(busy + "time +100")


def test_p9_a_standby_that_hears_its_primary_asks_for_nothing() -> None:
    heard = "time +300\nappend 2 a1 log=L from=2 to=1\n" * 10
    said = tell(STANDBY + heard)
    assert said.count("send read the register") == 1
    assert not any("swap" in line for line in said)


def test_p2_a_peer_that_answers_but_lacks_what_was_sent_is_sent_it_again() -> None:
    told = "time +100\nappended 3 b1 matched=1\n"
    sent = [line for line in tell(MATCHED + "submit k2\npersisted\n" + told * 5) if "append 3 to b1: 2=k2" in line]
    assert len(sent) == 1
    sent = [line for line in tell(MATCHED + "submit k2\npersisted\n" + told * 7) if "append 3 to b1: 2=k2" in line]
    assert len(sent) == 2


def test_p20_the_time_of_an_answer_runs_from_what_was_sent_and_not_from_the_answer_before() -> None:
    told = "time +100\nappended 3 b1 matched=1\n"
    quick = MATCHED.replace("epoch=2", "epoch=2 standby_timeout_us=5000")
    said = tell(quick + told * 20 + "submit k2\npersisted\n" + told * 5)
    assert sum("append 3 to b1: 2=k2" in line for line in said) == 1
    shipping = Shipping(log_of("2:k1"), DEFAULT_TIMING, 0)
    shipping.reset("b1", 0, GENESIS)
    assert shipping.take(0, 1_000_000)
    shipping.take(0, 1_000_000 + DEFAULT_TIMING.resend_us - 1)
    assert shipping.sent is not None
    shipping.take(0, 1_000_000 + DEFAULT_TIMING.resend_us)
    assert shipping.sent is None


def test_p12_a_volley_of_joins_is_answered_once_in_an_interval_at_any_time() -> None:
    shipping = Shipping(log_of("2:k1"), DEFAULT_TIMING, 0)
    shipping.reset("b1", 5_000_000)
    join, interval_us = Join(3, "b1", ()), DEFAULT_TIMING.join_interval_us
    shipping.on_join(join, 5_000_000)
    for since_us, answered in ((1, False), (interval_us - 1, False), (interval_us, True)):
        shipping.take(0, 5_000_000)
        assert shipping.sent == log_of("2:k1").last
        shipping.on_join(join, 5_000_000 + since_us)
        assert (shipping.sent == GENESIS) is answered


def test_p12_a_join_just_after_the_register_has_changed_is_answered_at_once() -> None:
    log = log_of("2:k1")
    shipping = Shipping(log, DEFAULT_TIMING, 0)
    shipping.reset("b1", 5_000_000, log.last)
    shipping.on_join(Join(3, "b1", ()), 5_000_000)
    assert shipping.sent == GENESIS


def test_p8_the_both_flushed_rule_is_not_taken_up_before_the_peer_has_answered() -> None:
    said = tell(ALONE + "join 3 b1 log=L\nsubmit k2\npersisted")
    assert "committed 2=k2@3" in said


def test_p8_the_lag_is_what_the_peer_lacks() -> None:
    log = " ".join(f"2:k{number}" for number in range(40))
    said = tell(
        f"log L = {log}\nboot a1 log=L epoch=2 commit=40 grow_lag_max=0\nregister 2 a1 a1 earlier\ngranted\npersisted\n"
        "join 3 b1 log=L\nappended 3 b1 matched=40"
    )
    assert "send swap 3 -> (4, a1, a1,b1) claim #2" in said


def test_messages_to_the_peer_say_all_that_they_have_to() -> None:
    conversation = played(STANDBY)
    log, device = log_of("2:k1 2:k2"), conversation.device
    device.receive(Append(2, "a1", "b1", 1, log.cursor(1).hash, (log.entry(2),), 1, 7, ("a1", "b1")), 0)
    assert device.take_ready(0).send_after_persist == (Appended(2, "b1", 2, 7),)
    device.receive(Append(2, "a1", "b1", 9, "other", (), 1, 8, ("a1", "b1")), 0)
    assert device.take_ready(0).send_after_persist == (Join(2, "b1", (log.cursor(2), log.cursor(1))),)
    other = log_of("2:k1 3:z")
    device.receive(Append(3, "c1", "b1", 1, other.cursor(1).hash, (other.entry(2),), 1, 9, ("c1", "b1")), 0)
    assert SetAside(2, 3) in device.take_ready(0).persist
    device.receive(Append(2, "a1", "b1", 1, log.cursor(1).hash, (), 1, 10, ("a1", "b1")), 0)
    assert device.take_ready(0).send_after_persist == (Rejected(3, "b1"),)
    primary = played(PAIR).device
    assert primary.replica.leader_node_id == "a1"
    primary.replica.propose([log.entry(2).record])
    primary.receive(Appended(3, "b1", 1, 0), 0)
    (append,) = primary.take_ready(0).send
    entry = primary.replica.log.entry(2)
    assert append == Append(3, "a1", "b1", 1, log.cursor(1).hash, (entry,), 1, 0, ("a1", "b1"))


# --- epochs and fences -------------------------------------------------------------------------------------------------


def test_p13_only_a_primary_is_fenced_from_outside_and_only_by_a_higher_epoch() -> None:
    standby = played(STANDBY).device.replica
    standby.refused_outside(9)
    assert standby.role is Role.STANDBY
    primary = played(PAIR).device.replica
    primary.refused_outside(3)
    assert primary.role is Role.PRIMARY
    primary.refused_outside(4)
    assert primary.role is Role.FENCED


def test_p3_a_fenced_primary_knows_of_no_leader_and_nothing_of_its_peer() -> None:
    replica = played(MATCHED + "rejected 9 b1").device.replica
    assert replica.leader_node_id is None
    assert replica.peer_matched_seq == 0


def test_p13_after_every_fence_the_feeds_ask_their_receivers_where_they_stand() -> None:
    conversation = played(ALONE)
    for epoch in (4, 6):
        conversation.put("kitchen at L 1")
        assert conversation.device.feeds["kitchen"].cursor is not None
        conversation.put(f"rejected {epoch} b1")
        assert conversation.device.feeds["kitchen"].cursor is None
        for line in ("persisted", "time +0", f"register {epoch} a1 a1 other", "granted", "persisted"):
            conversation.put(line)


def test_p1_a_device_that_was_just_started_knows_of_nobody_and_reads_at_once() -> None:
    device = Device(DeviceSettings("s1", DEMO_MENU), DurableState("b1", 2), "life", 5)
    replica = device.replica
    assert device.deadline_us() == 1_005
    assert (replica.leader_node_id, replica.alarm, replica.fence_count) == (None, None, 0)
    assert (replica.peer_matched_seq, replica.round, replica.round_answered) == (0, 0, 0)
    assert device.glass == GlassStatus()
    device.tick(5)
    assert device.take_ready(5).send == (RegisterRead("b1/life/1", "b1"),)


def test_p1_an_alarm_says_what_is_wrong_with_the_register_and_ends_with_it() -> None:
    conversation = played("boot b1 epoch=3")
    replica = conversation.device.replica
    for story, alarm in (
        ("register 2 a1 a1,b1 other", "the register is older than this device"),
        ("time +400\nregister none", "the arbiter has no register"),
        ("time +400\nregister 3 a1 a1,b1 other", None),
    ):
        for line in story.splitlines():
            conversation.put(line)
        assert replica.alarm == alarm


def test_p3_a_primary_that_hears_a_higher_epoch_follows_nobody_before_it_has_read_the_register() -> None:
    conversation = played(MATCHED)
    said = conversation.put("append 4 b1 log=L from=2 to=1")
    assert said[0] == "role fenced at epoch 4"
    assert not any("appended" in line for line in said)
    assert "send read the register" in conversation.put("time +0")


def test_p9_a_primary_that_lost_its_claim_is_fenced_before_it_joins() -> None:
    conversation = played(MATCHED + "time +900")
    assert "role joining at epoch 4" in conversation.put("register 4 b1 b1 other")
    assert conversation.device.replica.fence_count == 1


def test_p11_a_standby_that_a_claim_of_an_earlier_life_made_primary_is_fenced_and_asks_anew() -> None:
    conversation = played(STANDBY + "time +700")
    said = conversation.put("register 3 b1 b1 earlier")
    assert said[:2] == ["role fenced at epoch 3", "send swap 3 -> (4, b1, b1) claim #1"]
    assert conversation.device.replica.fence_count == 1


@pytest.mark.parametrize("epoch", [2, 3])
def test_p2_a_heartbeat_at_the_beginning_matches_nothing_that_stands_behind_it(epoch: int) -> None:
    said = tell(STANDBY + f"append {epoch} a1 log=L from=1 to=0\npersisted")
    assert f"send appended {epoch} matched 0" in said


def test_p7_the_time_of_a_standby_that_never_answers_runs_from_the_register() -> None:
    conversation = played(PAIR + "wait +899")
    asks = "send swap 3 -> (4, a1, a1) claim #2"
    assert asks not in conversation.put("time +0")
    assert asks in conversation.put("time +1")


def test_p8_nothing_is_asked_for_while_it_is_not_known_where_the_logs_agree() -> None:
    device = played(ALONE + "join 3 b1 log=L").device
    shipping = device.replica._shipping
    shipping.answered, shipping.matched_seq, shipping.sent = True, 1, None
    assert device.take_ready(0).send == ()
    shipping.sent = device.replica.log.last
    assert [type(message) for message in device.take_ready(0).send] == [RegisterSwap]


def test_p3_a_higher_epoch_does_not_replace_a_question_under_way() -> None:
    asked = played(STANDBY + "time +700\nregister 2 a1 a1,b1 other")
    pending = asked.device.replica._claims.pending
    assert pending is not None
    assert pending.swap is not None
    asked.put("append 3 a1 log=L from=2 to=1")
    assert asked.device.replica._claims.pending is pending


def test_p21_a_question_about_a_higher_epoch_is_asked_again_after_the_usual_wait() -> None:
    said = tell(STANDBY + "wait +100\nrejected 3 a1\npersisted\ntime +399\ntime +1")
    assert said[-2:].count("send read the register") == 1
    assert said.count("send read the register") == 3
