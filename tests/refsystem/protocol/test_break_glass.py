"""The traps of break glass (P19), one by one; the conversations are in `transcripts/p19_*`."""

from __future__ import annotations

import json

import pytest
from conversation import Conversation, held_in, log_of, tell

from refsystem.ordering.errors import BREAK_GLASS_INVALID, BreakGlassRefused
from refsystem.ordering.menu import DEMO_MENU
from refsystem.protocol import wire
from refsystem.protocol.branch import BranchAnswer, BranchQuestion, judge_branch
from refsystem.protocol.break_glass import BreakGlass, Intention
from refsystem.protocol.device import Device, DeviceSettings, FeedAnswer
from refsystem.protocol.glass import WAY_OUT
from refsystem.protocol.log import FORKS_TOLD_MAX, ForkPlace
from refsystem.protocol.messages import Append, Register, RegisterState, StoreBreakGlass
from refsystem.protocol.replica import DurableState
from refsystem.protocol.uplink import Accepted, Batch, Forked, Matched, StaleSender, judge_batch

NAMED = """
    register 3 a1 a1 other {forked}
    persisted
    glass a1 {word}
    persisted
    register 3 a1 a1 other {forked}
    granted
    persisted
"""


def named(own: str, commit: int, cloud: str, *, forked: int = 0, word: str = "", more: str = "") -> list[str]:
    """B, with `own` log, is named at epoch 4; the cloud holds `cloud`. All that is said after that."""
    told = f"log B = {own}\nlog C = {cloud}\nboot b1 log=B epoch=2 commit={commit}\n"
    before = told + NAMED.format(forked=f"forked={forked}" if forked else "", word=word)
    return tell(before + more)[len(tell(before)) :]


def flushes(said: list[str]) -> list[str]:
    return [line.split(": ", 1)[1] for line in said if line.startswith("flush")]


def test_the_clouds_log_is_a_prefix_of_the_own_and_the_tail_is_kept() -> None:
    """The tail may have been R2 with the device that is gone (P10)."""
    said = named("2:k1 2:k2 2:x", 2, "2:k1", more="branch C\npersisted")
    assert flushes(said) == ["entries 4=fork(from 3, cloud copied)@4; no intention"]
    assert said[-1] == "committed 3=x@2 4=fork(from 3, cloud copied)@4"


def test_the_cloud_knows_of_commits_that_the_device_did_not_and_they_are_not_in_doubt() -> None:
    said = named("2:k1 2:k2 2:x", 1, "2:k1 2:k2", more="branch C")
    assert "committed 2=k2@2" in said
    assert flushes(said)[0].startswith("entries 4=fork(from 3, cloud copied)@4")


def test_an_empty_cloud_and_an_empty_device_begin_at_the_beginning() -> None:
    assert flushes(named("", 0, "", more="branch C")) == ["entries 1=fork(from 1, cloud copied)@4; no intention"]


def test_an_earlier_fork_that_the_cloud_has_not_followed_is_kept() -> None:
    own = "1:k1 1:x 2:fork@2 2:k7"
    said = named(own, 4, "1:k1 1:k3 1:k4 1:k5 1:k6", forked=2, more="branch C")
    assert flushes(said) == ["entries 5=fork(from 5, cloud copied)@4; no intention"]


def test_a_tail_younger_than_what_was_committed_in_its_place_does_not_win() -> None:
    """A primary restarted without an entry that its standby held, and wrote another in its place, which only it flushed; its
    standby was promoted and committed the first one. By the epochs of the two entries the tail would win.
    """
    said = named("1:k1 2:y", 1, "1:k1 1:k2 3:k3", more="branch C")
    assert flushes(said)[0].startswith("set aside from 2; entries 2=k2@1 3=k3@3;")


def test_known_commits_of_a_branch_that_the_cloud_has_left_are_given_up() -> None:
    said = named("1:k1 1:k3 1:k4", 3, "1:k1 1:x 2:fork@2 2:k9", forked=2, more="branch C\npersisted")
    given_up, fork = flushes(said)
    assert given_up.startswith("set aside from 2, given up to 3; commit 1; entries 2=x@1 3=fork(from 2")
    assert fork.startswith("entries 5=fork(from 5, cloud copied)@4")


def test_known_commits_are_not_given_up_without_a_fork() -> None:
    more = "branch C\nglass\nbranch C\nglass a1 without_cloud=yes"
    said = named("1:k1 1:k3 1:k4", 3, "1:k1 2:z", more=more)
    assert (
        f"trouble: entry 2 is known to be committed here, and the cloud holds another without a fork; {WAY_OUT}" in said
    )
    assert flushes(said) == [
        "intention of Li to epoch 4, the cloud differs at 2",
        "intention of Li to epoch 4, without the cloud, the cloud differs at 2; "
        "entries 4=fork(from 2, cloud unreachable)@4; no intention",
    ]


def test_a_cloud_that_could_not_be_followed_follows_once_a_person_has_gone_on_without_it() -> None:
    """So neither the device nor its uplink waits for ever; where the cloud differs is not forgotten in a restart."""
    more = (
        "branch C\npersisted\nrestart\nregister 4 b1 b1 before forked=4\ngranted\npersisted\nglass a1 without_cloud=yes"
    )
    conversation = Conversation()
    told = "log B = 1:k1 1:k3 1:k4\nlog C = 1:k1 2:z\nboot b1 log=B epoch=2 commit=3\n" + NAMED.format(
        forked="", word=""
    )
    for line in f"{told}\n{more}\npersisted".splitlines():
        if line.strip():
            conversation.put(line)
    device, cloud = conversation.device, log_of("1:k1 2:z")
    assert device.is_primary
    assert device.replica.log.forks == (ForkPlace(2, 4, 5),)
    for _ in range(4):
        batch = device.feed_batch("uplink")
        assert batch is not None
        judgement = judge_batch(cloud.last, 4, batch, held_in(cloud))
        assert isinstance(judgement, Accepted | Matched | Forked), judgement
        if isinstance(judgement, Forked):
            cloud.set_aside(judgement.shared.seq + 1)
        cloud.extend(() if isinstance(judgement, Matched) else judgement.entries)
        device.feed_answered("uplink", FeedAnswer(judgement.cursor))
    assert cloud.last == device.replica.log.last
    assert device.feeds["uplink"].mismatch is None


def test_an_answer_behind_an_entry_that_is_not_held_is_told_as_trouble() -> None:
    conversation = Conversation()
    told = "log B = 1:k1 1:k3\nlog C = 1:k1\nboot b1 log=B epoch=2 commit=1\n" + NAMED.format(forked="", word="")
    for line in told.splitlines():
        if line.strip():
            conversation.put(line)
    other = log_of("1:q1 1:q2")
    conversation.device.branch_answered(BranchAnswer(4, other.cursor(2), (), other.last, 1, ()), 0)
    status = conversation.device.glass
    assert status.stage == "reconciling"
    assert status.trouble == f"the cloud tells what stands behind an entry 2 that is not held here; {WAY_OUT}"


def test_entries_of_the_cloud_that_do_not_hold_together_are_trouble() -> None:
    conversation = Conversation()
    for line in [
        "log B = 2:k1",
        "log C = 2:k1 3:k2 3:k3",
        "boot b1 log=B epoch=2 commit=1",
        *NAMED.format(forked="", word="").split("\n"),
    ]:
        conversation.put(line) if line.strip() else None
    question = conversation.device.branch_question()
    assert question is not None
    conversation.put("branch C max=0")
    torn = log_of("2:k1 3:k2 3:k3")
    answer = conversation._branch_answer
    conversation.device.branch_answered(
        type(answer)(4, answer.shared, (torn.entry(3),), answer.end, 3, ()), conversation.now_us
    )
    assert conversation.device.glass.trouble is not None
    assert "do not hold together" in conversation.device.glass.trouble
    assert conversation.device.glass.stage == "reconciling"


@pytest.mark.parametrize(
    ("own", "commit", "forked", "from_seq"),
    [
        pytest.param("1:k1 1:k3", 2, 0, 3, id="glass was never broken before"),
        pytest.param("1:k1 1:k3", 2, 2, 1, id="it was, and this log does not hold the record of that"),
        pytest.param("1:k1 2:fork@2 2:k3", 3, 2, 4, id="it was, and this log follows that branch"),
        pytest.param("1:k1 1:fork@2 1:k3", 3, 2, 1, id="this log follows an earlier one only"),
    ],
)
def test_what_may_differ_begins_where_it_is_certain_that_nothing_does(
    own: str, commit: int, forked: int, from_seq: int
) -> None:
    said = named(own, commit, "", forked=forked, word="without_cloud=yes")
    assert not flushes(said)
    told = tell(
        f"log B = {own}\nboot b1 log=B epoch=2 commit={commit}\n"
        + NAMED.format(forked=f"forked={forked}" if forked else "", word="without_cloud=yes")
    )
    assert any(f"fork(from {from_seq}, cloud unreachable)" in line for line in flushes(told))


def test_once_the_cloud_was_asked_the_old_primary_can_add_nothing() -> None:
    log = log_of("2:k1 3:k2")
    question = BranchQuestion("s1", 4, "b1", (log.cursor(1),))
    highest = 3
    assert judge_branch(question, highest, held_in(log)) == log.cursor(1)
    highest = question.sender_epoch
    late = log_of("2:k1 3:k2 3:k3")
    batch = Batch("s1", 3, "a1", 3, late.cursor(2).hash, (late.entry(3),))
    assert judge_batch(log.last, highest, batch, held_in(log)) == StaleSender(4)
    assert judge_branch(BranchQuestion("s1", 3, "a1", ()), highest, held_in(log)) == StaleSender(4)


def test_an_answer_to_the_question_of_an_earlier_epoch_is_passed_over() -> None:
    more = (
        "branch C max=1\npersisted\nrestart\nregister 4 b1 b1 before forked=4\ngranted\npersisted\nbranch again\nglass"
    )
    said = named("2:k1", 1, "2:k1 3:k2 3:k3", more=more)
    assert said[-1] == "reconciling, compared to 0"


def test_p17_a_bump_of_an_order_that_only_the_branch_that_was_left_holds_makes_no_record() -> None:
    """The kitchen tells it before it has heard of the fork; it tells it again when the order has come back."""
    more = "branch C\npersisted\nkitchen bumps gone at C 1\nsubmit gone\npersisted\nkitchen bumps gone at C 1\n"
    said = named("2:k1", 1, "2:k1", more=more)
    assert [line for line in flushes(said) if "bump" in line] == ["entries 4=bump(gone)@4; commit 3"]


def test_an_order_that_the_cloud_sends_back_is_priced_like_any_other_order() -> None:
    """It had its price in the branch that was left; what the menu says now counts for it as for a new one (P15)."""
    more = "persisted\ndownlink 1:cheap? 2:gone\npersisted\nsubmit dear?\nsubmit gone"
    said = named("2:k1", 1, "2:k1", more=f"branch C\n{more}")
    assert "entries 3=refused(cheap)@4 4=gone@4; commit 2" in flushes(said)
    assert "reply to submit dear?: 409 price-changed" in said
    assert "reply to submit gone: yes, R1 at 4, epoch 4, replayed" in said


def test_p5_an_order_that_the_cloud_gave_a_number_for_a_fork_that_was_lost_is_not_denied() -> None:
    """The cloud has left the branch that held k9 for another device's fork, half: its record never came, and is not copied."""
    read = "read k9\nregister 4 b1 b1 mine forked=4\n"
    copied = "branch C\npersisted\npersisted\n" + read + "uplink at F 3\ndownlink asks\ndownlink last=1\n" + read
    down = "downlink asks\ndownlink 1:k9 last=1\npersisted\nread k9\nread nobody\nregister 4 b1 b1 mine forked=4"
    conversation = "log F = 2:k1 2:x 4:copied@1\n" + copied + down
    said = named("2:k1", 1, "2:k1 2:x", forked=2, more=conversation)
    assert [line for line in said if line.startswith("reply to read")] == [
        "reply to read k9: 503 not-confirmed",
        "reply to read k9: 503 not-confirmed",
        "reply to read k9: yes, R1 at 4, epoch 4",
        "reply to read nobody: 404 order-unknown",
    ]


@pytest.mark.parametrize("shared", [0, 1, 333, 800])
def test_a_long_divergence_is_compared_in_bounded_steps(shared: int) -> None:
    """The own tail is as long as what the cloud holds; places are told sparsely, so entries are compared that agree."""
    agreed = [f"2:k{seq}" for seq in range(1, shared + 1)]
    conversation = Conversation()
    conversation.put(f"log B = {' '.join([*agreed, *(f'2:x{seq}' for seq in range(700))])}")
    conversation.put(f"log C = {' '.join([*agreed, *(f'3:y{seq}' for seq in range(500))])}")
    conversation.put("boot b1 log=B epoch=2 commit=0")
    for line in NAMED.format(forked="", word="").split("\n"):
        if line.strip():
            conversation.put(line)
    rounds = 0
    while conversation.device.glass.stage == "reconciling":
        question = conversation.device.branch_question()
        if question is not None:
            assert len(question.known) <= 41
            conversation.put("branch C max=37")
        conversation.put("persisted")
        rounds += 1
        assert rounds <= (shared + 500) // 37 + 3
    log, cloud = conversation.device.replica.log, conversation._logs["C"]
    assert log.slice(1, len(cloud), len(cloud)) == cloud.slice(1, len(cloud), len(cloud))
    assert log.forks == (ForkPlace(len(cloud) + 1, len(cloud) + 1, 4),)


def test_an_intention_whose_record_is_in_the_log_is_not_pursued_again() -> None:
    """Whoever stores may tear the two apart: the record is what counts."""
    log = log_of("2:k1 4:fork@2")
    word = BreakGlass(("a1",), "Li", "burnt down")
    state = DurableState("b1", 4, 1, log.slice(1, 2, 2), Intention(word, 4, 0))
    device = Device(DeviceSettings("s1", DEMO_MENU), state, "life", 0)
    device.tick(0)
    ready = device.take_ready(0)
    assert StoreBreakGlass(None) in ready.persist
    assert device.glass.stage == "none"


def restarted_while_it_compares(variant: str) -> list[str]:
    said = tell(
        f"log B = 2:k1 2:x\nboot b1 log=B epoch=2 commit=1 variant={variant}\n"
        + NAMED.format(forked="", word="")
        + "restart\nregister 4 b1 b1 before forked=4\ngranted\npersisted"
    )
    return [line for line in said if line.startswith("committed 2=x")]


def test_p11_a_restart_does_not_skip_the_comparison() -> None:
    assert not restarted_while_it_compares("none")
    assert restarted_while_it_compares("restart-skips-reconciling")


def test_p20_forks_that_are_told_are_bounded_and_the_newest() -> None:
    log = log_of(" ".join(f"{epoch}:fork@{epoch}" for epoch in range(1, 31)))
    told = log.forks_told(29)
    assert len(log.forks) == 30
    assert len(told) == FORKS_TOLD_MAX
    assert told[-1] == ForkPlace(29, 29, 29)


@pytest.mark.parametrize(
    "word",
    [
        BreakGlass((), "Li", "burnt"),
        BreakGlass(("",), "Li", "burnt"),
        BreakGlass(("a", "b", "c", "d", "e"), "Li", "burnt"),
        BreakGlass(("a1",), " ", "burnt"),
        BreakGlass(("a1",), "Li", ""),
        BreakGlass(("a1",), "L" * 101, "burnt"),
        BreakGlass(("a1",), "Li", "b" * 501),
    ],
)
def test_a_word_that_names_nobody_or_nothing_is_refused(word: BreakGlass) -> None:
    device = Device(DeviceSettings("s1", DEMO_MENU), DurableState("b1"), "life", 0)
    with pytest.raises(BreakGlassRefused) as refused:
        device.break_glass(word, 0)
    assert refused.value.problem is BREAK_GLASS_INVALID
    assert not [op for op in device.take_ready(0).persist if isinstance(op, StoreBreakGlass)]


def test_messages_of_a_peer_that_knows_of_no_forks_are_read() -> None:
    append = Append(2, "a1", "b1", 0, "", (), 0, 0, ("a1",), (ForkPlace(1, 2, 3),))
    (read,) = wire.FrameReader().feed(wire.encode_frame(append))
    assert read == append
    old = json.loads(wire.encode_frame(append)[4:])
    del old["forks"]
    body = json.dumps(old).encode()
    (read,) = wire.FrameReader().feed(len(body).to_bytes(4, "big") + body)
    assert isinstance(read, Append)
    assert read.forks == ()
    state = RegisterState("1", Register(3, "a1", ("a1",), "x", 2))
    assert wire.decode_state(wire.encode_state(state)) == state
    told = json.loads(wire.encode_state(state))
    del told["register"]["forked_epoch"]
    register = wire.decode_state(json.dumps(told).encode()).register
    assert register is not None
    assert register.forked_epoch == 0
