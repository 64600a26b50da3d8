"""What only mutation testing showed to be missing: each test here fails for a mutant that all others let pass."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from conversation import Conversation, log_of, tell

from refsystem.ordering.errors import BREAK_GLASS_INVALID, BreakGlassRefused
from refsystem.ordering.menu import DEMO_MENU
from refsystem.protocol.arbiter import allowed_step
from refsystem.protocol.branch import BranchAnswer, BranchQuestion
from refsystem.protocol.break_glass import BreakGlass, GlassStatus, Intention
from refsystem.protocol.claims import Claims, Pending, Purpose
from refsystem.protocol.device import Device, DeviceSettings
from refsystem.protocol.flushing import Flushing
from refsystem.protocol.glass import WAY_OUT, Glass
from refsystem.protocol.log import GENESIS, encode_record
from refsystem.protocol.messages import (
    Append,
    Appended,
    Join,
    Register,
    RegisterRead,
    RegisterState,
    RegisterSwap,
    Rejected,
    SetAside,
)
from refsystem.protocol.replica import DurableState
from refsystem.protocol.roles import TRANSITIONS, Role
from refsystem.protocol.shipping import Shipping
from refsystem.protocol.timing import DEFAULT_TIMING
from refsystem.protocol.uplink import StaleSender

PAIR = "log L = 2:k1\nboot a1 log=L epoch=2 commit=1\nregister 2 a1 a1,b1 earlier\ngranted\npersisted\n"
MATCHED = PAIR + "appended 3 b1 matched=1\n"
ALONE = "log L = 2:k1\nboot a1 log=L epoch=2 commit=1\nregister 2 a1 a1 earlier\ngranted\npersisted\n"
STANDBY = "log L = 2:k1\nboot b1 log=L epoch=2 commit=1\nregister 2 a1 a1,b1 other\n"
JOINING = "log B = 2:k1 2:x\nboot b1 log=B epoch=2 commit=1\nregister 3 a1 a1 other\npersisted\n"
WORD = BreakGlass(("a1",), "Li", "burnt down")


def played(text: str) -> Conversation:
    conversation = Conversation()
    for line in text.strip().splitlines():
        conversation.put(line.strip())
    return conversation


def reconciling(more: str = "") -> Conversation:
    """B is named at epoch 4 and the cloud has not answered yet."""
    return played(JOINING + "glass a1\npersisted\nregister 3 a1 a1 other\ngranted\npersisted\n" + more)


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


# --- questions to the arbiter ------------------------------------------------------------------------------------------


def test_p21_what_is_asked_of_the_arbiter_says_all_that_it_has_to() -> None:
    claims, base = Claims("b1", "life"), Register(3, "a1", ("a1",), "x", 2)
    claims.read(Purpose.CONFIRM_ROLE, 1)
    claims.swap(Purpose.GROW, base, ("b1", "a1"), 2)
    claims.break_glass(base, "Li", 3)
    claims.break_glass(base, "Li", 4)
    read, grow, glass, other = claims.take_requests()
    assert read == RegisterRead("b1/life/1", "b1")
    assert grow == RegisterSwap("b1/life/3", "b1", 3, Register(4, "b1", ("b1", "a1"), "b1/life/2", 2))
    assert glass == RegisterSwap("b1/life/5", "b1", 3, Register(4, "b1", ("b1",), "b1/life/4", 4), "Li")
    assert isinstance(other, RegisterSwap)
    assert other.register.claim == "b1/life/6"
    assert isinstance(glass, RegisterSwap)
    assert claims.made(glass.register)
    claims.swap_again(Purpose.BREAK_GLASS, glass, 5)
    again = RegisterSwap("b1/life/8", "b1", 3, glass.register, "Li")
    assert claims.take_requests() == [again]
    assert claims.pending == Pending("b1/life/8", Purpose.BREAK_GLASS, 5, again)


def test_p21_an_answer_that_settles_nothing_keeps_the_request_and_is_asked_about_after_the_usual_wait() -> None:
    conversation = played(STANDBY + "time +700\nregister 2 a1 a1,b1 other")
    pending = conversation.device.replica._claims.pending
    assert pending is not None
    conversation.put("wait +50")
    conversation.put("register none")
    kept = conversation.device.replica._claims.pending
    assert kept == Pending("", Purpose.PROMOTE, 750_000, pending.swap)
    conversation.device.receive(RegisterState(pending.request_id, Register(3, "c1", ("c1",), "z")), 750_000)
    assert conversation.device.replica._claims.pending == kept
    assert "send read the register" in conversation.put("time +400")


def test_p21_a_question_that_asks_for_no_change_is_dropped_at_a_fence_and_asked_anew() -> None:
    conversation = reconciling("time +500\nglass a1 without_cloud=yes\npersisted")
    assert conversation.device.is_primary
    assert conversation.device.replica._claims.pending is not None
    conversation.put("rejected 9 c1")
    assert conversation.device.replica._claims.pending is None
    assert "send read the register" in conversation.put("time +0")


def test_p7_a_grow_that_was_sent_again_can_still_be_raced_by_a_shrink() -> None:
    grow = ALONE + "join 3 b1 log=L\nappended 3 b1 matched=1\ntime +400\nregister 3 a1 a1 mine-1\n"
    conversation = played(grow)
    pending = conversation.device.replica._claims.pending
    assert pending is not None
    assert pending.purpose is Purpose.GROW
    assert "send swap 3 -> (4, a1, a1) claim #3" in conversation.put("time +500")


# --- break glass -------------------------------------------------------------------------------------------------------


def test_p19_the_word_again_must_be_well_formed_too() -> None:
    device = reconciling().device
    with pytest.raises(BreakGlassRefused) as refused:
        device.break_glass(BreakGlass(("a1",), "", "burnt down", without_cloud=True), 0)
    assert refused.value.problem is BREAK_GLASS_INVALID


def test_p19_nothing_is_asked_for_while_only_an_earlier_flush_is_through() -> None:
    conversation = played(JOINING.replace("persisted\n", "") + "glass a1")
    earlier, later = conversation._tokens[-2].token, conversation._tokens[-1].token
    assert "send read the register" not in conversation.put(f"persisted {earlier}")
    assert conversation.device.glass.stage == "storing"
    assert "send read the register" in conversation.put(f"persisted {later}")
    assert conversation.device.glass == GlassStatus("asking", Intention(WORD, 4, 0), 0, None)


def test_p19_a_word_that_is_not_handed_to_the_disk_yet_is_not_taken_for_flushed() -> None:
    glass = Glass(None)
    glass.begin(WORD, 4, 0)
    assert not glass.flushed(9)
    glass.flush_begins(10)
    assert not glass.flushed(9)
    glass.flush_begins(11)
    assert glass.flushed(10)
    assert not glass.flushed(11)


@pytest.mark.parametrize(
    ("register", "hindrance"),
    [
        (Register(3, "a1", ("a1",), "x"), None),
        (Register(4, "c1", ("c1",), "x"), "the register names c1 at epoch 4"),
        (Register(3, "a1", ("a1", "c1"), "x"), "the members are a1, c1"),
        (Register(3, "a1", ("b1",), "x"), "the members are b1"),
    ],
)
def test_p19_what_was_overtaken_is_not_pursued(register: Register, hindrance: str | None) -> None:
    assert Glass(Intention(WORD, 4, 0)).hindrance(register, "b1") == hindrance


def test_p11_a_stored_intention_is_asked_for_again_before_anything_is_compared() -> None:
    state = DurableState("b1", 1, break_glass=Intention(WORD, 2, 0))
    device = Device(DeviceSettings("s1", DEMO_MENU), state, "life", 0)
    assert device.glass == GlassStatus("asking", Intention(WORD, 2, 0))
    assert device.branch_question() is None


def test_p19_a_refusal_names_every_member() -> None:
    said = tell("boot c1 epoch=2\nregister 3 a1 a1,b1 other\npersisted\nglass a1")
    assert said[-1] == "refused: 409 members-differ, the members are a1, b1"


def test_p19_a_device_that_reconciles_reads_the_register_at_a_pace_and_again_and_again() -> None:
    conversation = reconciling()
    assert "send read the register" not in conversation.put("time +399")
    assert "send read the register" in conversation.put("time +1")
    assert not [line for line in conversation.put("register 4 b1 b1 mine forked=4") if line.startswith("role")]
    assert conversation.device.glass.stage == "reconciling"


def test_p21_a_question_whether_the_intention_may_be_pursued_is_asked_again() -> None:
    said = tell(JOINING + "glass a1\npersisted\ntime +399\ntime +1")
    assert said.count("send read the register") == 3


def test_p19_a_word_that_is_without_the_cloud_from_the_first_leads_straight_to_the_fork() -> None:
    conversation = played(JOINING + "glass a1 without_cloud=yes\npersisted\nregister 3 a1 a1 other\ngranted\npersisted")
    replica = conversation.device.replica
    assert replica.role is Role.PRIMARY
    assert replica.log.entry(3).content() == {
        "kind": "fork",
        "from_seq": 2,
        "hash": replica.log.entry(1).hash,
        "who": "Li",
        "why": "burnt down",
        "off": ["a1"],
        "cloud": "unreachable",
    }


@pytest.mark.parametrize(("forked", "from_seq"), [(0, 2), (1, 1), (3, 1)])
def test_p19_commits_of_a_branch_that_was_left_without_its_knowledge_may_differ(forked: int, from_seq: int) -> None:
    conversation = played(
        f"log B = 2:k1 2:x\nboot b1 log=B epoch=2 commit=1\nregister 3 a1 a1 other forked={forked}\npersisted\n"
        f"glass a1 without_cloud=yes\npersisted\nregister 3 a1 a1 other forked={forked}\ngranted\npersisted"
    )
    assert conversation.device.replica.log.entry(3).content()["from_seq"] == from_seq


def test_p19_the_question_to_the_cloud_says_who_asks() -> None:
    device = reconciling().device
    log = device.replica.log
    assert device.branch_question() == BranchQuestion("s1", 4, "b1", (log.cursor(2), log.cursor(1)))


def answer(epoch: int = 4, *, log: str = "2:k1 3:y") -> BranchAnswer:
    held = log_of(log)
    return BranchAnswer(epoch, held.cursor(1), held.slice(2, len(held), len(held)), held.last, 3)


@pytest.mark.parametrize("story", [JOINING, JOINING + "glass a1\npersisted"])
def test_p19_an_answer_of_the_cloud_that_nobody_waits_for_changes_nothing(story: str) -> None:
    device = played(story).device
    before = device.replica.log.last
    device.branch_answered(answer(device.replica.epoch), 0)
    assert device.replica.log.last == before
    assert device.replica.role is Role.JOINING


@pytest.mark.parametrize(
    ("strange", "trouble"),
    [(answer(3), False), (answer(log="2:z 3:y"), True)],
    ids=["earlier epoch", "nothing shared"],
)
def test_p19_an_answer_to_another_question_changes_nothing(strange: BranchAnswer, trouble: bool) -> None:
    device = reconciling().device
    device.branch_answered(strange, 0)
    assert device.glass.compared_seq == 0
    assert (device.glass.trouble is not None) is trouble


def test_p19_the_cloud_is_asked_no_more_when_all_is_compared_and_a_late_answer_changes_nothing() -> None:
    conversation = reconciling()
    device = conversation.device
    device.branch_answered(answer(), 7_000)
    assert device.branch_question() is None
    device.branch_answered(answer(log="2:k1 3:other"), 8_000)
    assert device.replica.log.last == log_of("2:k1 3:y").last


def test_p19_the_time_of_the_clouds_answer_counts() -> None:
    device = reconciling("branch B").device
    assert device.is_primary
    device = reconciling().device
    device.branch_answered(BranchAnswer(4, GENESIS, (), GENESIS, 0), 7_000)
    assert device.is_primary
    assert device.deadline_us() == 107_000


def test_p19_trouble_with_the_clouds_answer_is_told_until_an_answer_can_be_followed() -> None:
    device = reconciling().device
    broken = answer(log="2:k1 3:y 3:z")
    device.branch_answered(BranchAnswer(4, broken.shared, broken.entries[1:], broken.end, 3), 0)
    assert device.glass.trouble == (
        f"the cloud's entries do not hold together: entry 3 stands where 2 belongs; {WAY_OUT}"
    )
    device.branch_answered(answer(), 0)
    assert device.glass.trouble is None


def test_p13_a_device_that_reconciles_too_late_says_so_and_reads_the_register() -> None:
    conversation = reconciling()
    device = conversation.device
    device.branch_answered(StaleSender(4), 0)
    assert device.glass.trouble is None
    assert device.take_ready(0).send == ()
    device.branch_answered(StaleSender(5), 0)
    assert device.glass.trouble == "the cloud has seen a sender of epoch 5"
    (read,) = device.take_ready(0).send
    assert isinstance(read, RegisterRead)
    device.tick(399_000)
    assert not _reads(device)
    device.tick(400_000)
    assert _reads(device)


def _reads(device: Any) -> list[RegisterRead]:
    return [message for message in device.take_ready(0).send if isinstance(message, RegisterRead)]
