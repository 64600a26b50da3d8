"""What only mutation testing showed to be missing of questions to the arbiter and of break glass."""

from __future__ import annotations

from typing import Any

import pytest
from beginnings import ALONE, JOINING, STANDBY, WORD, played, reconciling
from conversation import log_of, tell

from refsystem.ordering.errors import BREAK_GLASS_INVALID, BreakGlassRefused
from refsystem.ordering.menu import DEMO_MENU
from refsystem.protocol.branch import BranchAnswer, BranchQuestion
from refsystem.protocol.break_glass import BreakGlass, GlassStatus, Intention
from refsystem.protocol.claims import Claims, Pending, Purpose
from refsystem.protocol.device import Device, DeviceSettings
from refsystem.protocol.glass import WAY_OUT, Glass
from refsystem.protocol.log import GENESIS
from refsystem.protocol.messages import Register, RegisterRead, RegisterState, RegisterSwap
from refsystem.protocol.replica import DurableState
from refsystem.protocol.roles import Role
from refsystem.protocol.uplink import StaleSender

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
