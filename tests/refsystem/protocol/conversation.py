"""Conversations with the protocol's machines as text: what is put in, and what a driver would have to do, line by line.

A line at the margin is an input; the lines indented below it are the outputs. `#` begins a comment. Inputs:

    log L = 1:k1 1:k2 2:x         entries epoch:key, chained; `k1!` is an order of other content under the key k1;
                                  `3:fork@2` the record of a fork from entry 2 on, without the cloud; `3:copied@2` with it
    boot a1 [log=L] [epoch=2] [commit=1] [policy=require_r2] [variant=NAME] [KEY=N ...]   KEY: a field of Timing, times in ms
    restart                       the same device boots again, in a new life, with what has been flushed
    time +100                     milliseconds pass, then tick;   wait +100: they pass and nothing is called
    register 2 a1 a1,b1 CLAIM     the arbiter answers the last question (`granted`: it did what it was asked last,
                                  CLAIM `mine`: the last one asked for, `mine-1` the one before it); `register none`;
                                  [forked=3] the epoch of the last break glass
    append 2 b1 log=L from=2 to=3 [commit=1] [members=a1,b1] [for=a1] [round=0]     `to` below `from`: a heartbeat behind `from`-1
    appended 2 b1 matched=3 [round=0]      join 2 b1 [log=L]      rejected 3 b1
    glass a1 [without_cloud=yes]  a person says that a1 is off and names this device;  `glass` how far that has come
    branch L [max=2] [seen=4]     the cloud, which holds L and has seen a sender of epoch 4, is asked and answers with at
                                  most 2 entries;  `branch again` its last answer comes once more
    submit k1 / read k1 / bump k1 / downlink 1:k1 2:k2!
    downlink asks                 it asks for the cloud's orders;  `downlink 2:k1 last=3` answers that: 3 numbers were given
    persisted                     all that is to be flushed has been;  persisted 3: only up to that token
    kitchen / uplink              what the feed would send;  `kitchen at L 2` its receiver answers the cursor at 2 of log L,
                                  `kitchen stale 5`, `kitchen gap`, `kitchen bumps k1 at L 2`, `kitchen mismatch`
    receiver [log=L] [seen=2]     a receiver of a feed, empty, or one that holds L;  `batch 2 a1 log=L from=1 to=2` reaches it
    arbiter 3 a1 a1,b1            an arbiter with that register;  `swap 3 4 a1 a1 [person=Li] [forked=4]` asks it (expected
                                  epoch, new register)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

from refsystem.ordering.errors import BreakGlassRefused
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.order import Order
from refsystem.protocol import arbiter as arbiter_rule
from refsystem.protocol.branch import BranchAnswer, judge_branch
from refsystem.protocol.break_glass import BreakGlass, fork_record
from refsystem.protocol.broken import parts_for
from refsystem.protocol.device import Device, DeviceSettings, FeedAnswer, Parts
from refsystem.protocol.downlink import order_record
from refsystem.protocol.log import Entry, ForkPlace, Log, chain, encode_record
from refsystem.protocol.messages import (
    Append,
    Appended,
    Join,
    PersistOp,
    Ready,
    Register,
    RegisterState,
    RegisterSwap,
    Rejected,
    SetAside,
    StoreBreakGlass,
    StoreCommit,
    StoreEntries,
    StoreEpoch,
)
from refsystem.protocol.replica import DurableState
from refsystem.protocol.returns import DownlinkQuestion
from refsystem.protocol.timing import DEFAULT_TIMING, Timing
from refsystem.protocol.uplink import (
    Accepted,
    Batch,
    Forked,
    Gap,
    HashMismatch,
    Held,
    Matched,
    StaleSender,
    judge_batch,
)

MS = 1_000


def order_of(key: str) -> Order:
    """The order under a key; a `!` behind the key is other content, a `?` a wrong price."""
    table = "5" if key.endswith("!") else "4"
    return Order(key.rstrip("!?"), "qr", table, (("steamed-rice", 1),), 299 if key.endswith("?") else 300)


def log_of(text: str) -> Log:
    """The log that `epoch:key ...` describes."""
    log = Log()
    for part in text.split():
        epoch, key = part.split(":")
        kind, _, from_seq = key.partition("@")
        record = _fork_of(log, kind, int(from_seq)) if from_seq else order_record(order_of(key), "edge")
        log.extend(chain(int(epoch), log.last, [encode_record(record)]))
    return log


def _fork_of(log: Log, kind: str, from_seq: int) -> dict[str, Any]:
    return fork_record(
        _word("a1"), from_seq, log.cursor(from_seq - 1).hash, "copied" if kind == "copied" else "unreachable"
    )


def _word(off: str, *, without_cloud: bool = False) -> BreakGlass:
    return BreakGlass(tuple(off.split(",")), "Li", "burnt down", without_cloud)


def held_in(log: Log) -> Callable[[int], Held | None]:
    """What a place that holds `log` holds at a seq."""

    def held(seq: int) -> Held | None:
        entry = log.entry(seq) if 1 <= seq <= len(log) else None
        return None if entry is None else Held(entry.hash, entry.epoch)

    return held


class Disk:
    """What has been flushed."""

    def __init__(self, state: DurableState) -> None:
        self._state = state
        self._log = Log(state.entries)

    def state(self) -> DurableState:
        """What the next life finds."""
        return replace(self._state, entries=self._log.slice(1, len(self._log), len(self._log)))

    def apply(self, op: Any) -> None:
        """One more thing is on the disk."""
        match op:
            case StoreEpoch(epoch):
                self._state = replace(self._state, epoch=epoch)
            case StoreCommit(commit_seq):
                self._state = replace(self._state, commit_seq=commit_seq)
            case StoreBreakGlass(intention):
                self._state = replace(self._state, break_glass=intention)
            case SetAside(from_seq):
                self._log.set_aside(from_seq)
            case StoreEntries(entries):
                self._log.extend(entries)


class Conversation:
    """One device, one receiver and one arbiter, as far as the text speaks of them."""

    def __init__(self) -> None:
        self.now_us = 0
        self.device: Device
        self._disk: Disk
        self._settings: DeviceSettings
        self._parts: Parts
        self._lives = 0
        self._branch_answer: Any = None
        self._downlink_question: DownlinkQuestion | None = None
        self._logs: dict[str, Log] = {"empty": Log()}
        self._asked: list[Any] = []
        self._claims: list[RegisterSwap] = []
        self._tokens: list[Ready] = []
        self._requests: dict[int, str] = {}
        self._told_role = ""
        self._receiver: tuple[Log, int] = (Log(), 0)
        self._register: Register | None = None

    def put(self, line: str) -> list[str]:
        """Put a line in; the outputs."""
        words = line.split("#")[0].split()
        options = dict(word.split("=", 1) for word in words[1:] if "=" in word and words[0] != "log")
        plain = words if words[0] == "log" else [word for word in words if "=" not in word]
        try:
            result = getattr(self, f"_do_{plain[0]}")(plain[1:], options)
        except AssertionError as error:
            if "(P" not in str(error):
                raise
            return [f"stops: {error}"]
        return list(result) if result is not None else list(self._ready())

    # --- the device's inputs -------------------------------------------------------------------------------------------

    def _do_log(self, words: list[str], _: dict[str, str]) -> list[str]:
        assert words[1] == "="
        self._logs[words[0]] = log_of(" ".join(words[2:]))
        return []

    def _do_boot(self, words: list[str], options: dict[str, str]) -> None:
        log = self._logs[options.pop("log", "empty")]
        epoch = int(options.pop("epoch", "0"))
        policy: Any = options.pop("policy", "available")
        self._parts = parts_for(options.pop("variant", None))
        state = DurableState(words[0], epoch, int(options.pop("commit", "0")), log.slice(1, len(log), len(log)))
        timing = replace(DEFAULT_TIMING, **{name: _limit(name, value) for name, value in options.items()})
        self._settings = DeviceSettings("s1", DEMO_MENU, policy, timing)
        self._disk, self._lives = Disk(state), 0
        self._live()

    def _do_restart(self, _: list[str], __: dict[str, str]) -> None:
        self._live()

    def _live(self) -> None:
        self._lives += 1
        state = self._disk.state()
        self.device = Device(self._settings, state, f"life{self._lives}", self.now_us, self._parts)
        self._told_role, self._tokens = "", []
        self.device.tick(self.now_us)

    def _do_time(self, words: list[str], _: dict[str, str]) -> None:
        self.now_us += int(words[0]) * MS
        self.device.tick(self.now_us)

    def _do_wait(self, words: list[str], _: dict[str, str]) -> list[str]:
        self.now_us += int(words[0]) * MS
        return []

    def _do_granted(self, _: list[str], __: dict[str, str]) -> None:
        swap = self._asked[-1]
        assert isinstance(swap, RegisterSwap), "nothing was asked for"
        self.device.receive(RegisterState(swap.request_id, swap.register), self.now_us)

    def _do_register(self, words: list[str], options: dict[str, str]) -> None:
        self.device.receive(RegisterState(self._asked[-1].request_id, self._register_of(words, options)), self.now_us)

    def _do_late(self, words: list[str], options: dict[str, str]) -> None:
        """The answer to the question before the last one comes after it."""
        self.device.receive(RegisterState(self._asked[-2].request_id, self._register_of(words, options)), self.now_us)

    def _register_of(self, words: list[str], options: dict[str, str]) -> Register | None:
        if words == ["none"]:
            return None
        epoch, primary, members, claim = words
        if claim.startswith("mine"):
            back = int(claim[4:] or "0")
            claim = self._claims[-1 + back].register.claim
        return Register(int(epoch), primary, tuple(members.split(",")), claim, int(options.get("forked", "0")))

    def _do_append(self, words: list[str], options: dict[str, str]) -> None:
        log, first = self._logs[options["log"]], int(options["from"])
        entries = log.slice(first, int(options["to"]), len(log))
        prev = log.cursor(first - 1)
        epoch, sender = int(words[0]), words[1]
        members = tuple(options.get("members", f"{sender},{self._node_id}").split(","))
        to, commit, round_ = (
            options.get("for", self._node_id),
            int(options.get("commit", "0")),
            int(options.get("round", "0")),
        )
        forks = log.forks_told(len(log))
        message = Append(epoch, sender, to, prev.seq, prev.hash, entries, commit, round_, members, forks)
        self.device.receive(message, self.now_us)

    def _do_appended(self, words: list[str], options: dict[str, str]) -> None:
        message = Appended(int(words[0]), words[1], int(options["matched"]), int(options.get("round", "0")))
        self.device.receive(message, self.now_us)

    def _do_join(self, words: list[str], options: dict[str, str]) -> None:
        log = self._logs[options.get("log", "empty")]
        known = tuple(log.cursor(seq) for seq in range(len(log), 0, -1))
        self.device.receive(Join(int(words[0]), words[1], known), self.now_us)

    def _do_rejected(self, words: list[str], _: dict[str, str]) -> None:
        self.device.receive(Rejected(int(words[0]), words[1]), self.now_us)

    def _do_submit(self, words: list[str], _: dict[str, str]) -> None:
        self.device.submit(self._request(f"submit {words[0]}"), order_of(words[0]), self.now_us)

    def _do_read(self, words: list[str], _: dict[str, str]) -> None:
        self.device.read(self._request(f"read {words[0]}"), words[0], self.now_us)

    def _do_bump(self, words: list[str], _: dict[str, str]) -> None:
        self.device.admission.bump(words[0], 1, "kitchen")

    def _do_downlink(self, words: list[str], options: dict[str, str]) -> list[str] | None:
        if words == ["asks"]:
            self._downlink_question = self.device.downlink_question()
            return [] if self._downlink_question is not None else ["nothing is asked"]
        pairs = [word.split(":") for word in words]
        orders = [(int(number), order_of(key)) for number, key in pairs]
        if "last" in options:
            assert self._downlink_question is not None
            self.device.downlink_answered(self._downlink_question, orders, int(options["last"]))
        else:
            self.device.take_downlink(orders)
        return None

    def _do_glass(self, words: list[str], options: dict[str, str]) -> list[str] | None:
        if not words:
            status = self.device.glass
            told = [f"{status.stage}, compared to {status.compared_seq}"]
            return told + ([f"trouble: {status.trouble}"] if status.trouble else [])
        try:
            self.device.break_glass(_word(words[0], without_cloud="without_cloud" in options), self.now_us)
        except BreakGlassRefused as refusal:
            return [f"refused: {refusal.problem.status} {refusal.problem.slug}, {refusal.detail}"]
        return None

    def _do_branch(self, words: list[str], options: dict[str, str]) -> list[str]:
        if words == ["again"]:
            self.device.branch_answered(self._branch_answer, self.now_us)
            return list(self._ready())
        question = self.device.branch_question()
        if question is None:
            return ["nothing is asked"]
        log = self._logs[words[0]]
        shared = judge_branch(question, int(options.get("seen", "0")), held_in(log))
        said = [
            f"asks at epoch {question.sender_epoch}, knowing {' '.join(str(place.seq) for place in question.known)}"
        ]
        if isinstance(shared, StaleSender):
            self._branch_answer = shared
        else:
            entries = log.slice(shared.seq + 1, len(log), int(options.get("max", "200")))
            end_epoch = log.entry(len(log)).epoch if len(log) else 0
            self._branch_answer = BranchAnswer(
                question.sender_epoch, shared, entries, log.last, end_epoch, log.forks_told(len(log))
            )
            said.append(f"answered {_entries(entries)} behind {shared.seq}, end {log.last.seq}")
        self.device.branch_answered(self._branch_answer, self.now_us)
        return said + list(self._ready())

    def _do_persisted(self, words: list[str], _: dict[str, str]) -> list[str]:
        upto = int(words[0]) if words else 10**9
        done = [ready for ready in self._tokens if ready.token <= upto]
        self._tokens = [ready for ready in self._tokens if ready.token > upto]
        said: list[str] = []
        for ready in done:
            for op in ready.persist:
                self._disk.apply(op)
            self.device.persisted(ready.token, self.now_us)
            said += [f"send {self._message(message)}" for message in ready.send_after_persist]
        return said + list(self._ready())

    def _request(self, text: str) -> int:
        self._requests[len(self._requests) + 1] = text
        return len(self._requests)

    @property
    def _node_id(self) -> str:
        return self.device.replica.node_id

    # --- feeds, receiver, arbiter --------------------------------------------------------------------------------------

    def _do_kitchen(self, words: list[str], options: dict[str, str]) -> list[str] | None:
        return self._feed("kitchen", words)

    def _do_uplink(self, words: list[str], options: dict[str, str]) -> list[str] | None:
        return self._feed("uplink", words)

    def _feed(self, name: Any, words: list[str]) -> list[str] | None:
        match words:
            case []:
                batch = self.device.feed_batch(name)
                return [f"batch {_batch(batch)}" if batch else "nothing"]
            case ["at", log, seq]:
                answer = FeedAnswer(self._logs[log].cursor(int(seq)))
            case ["bumps", key, "at", log, seq]:
                answer = FeedAnswer(self._logs[log].cursor(int(seq)), ((key, 1, "kitchen"),))
            case ["stale", epoch]:
                answer = FeedAnswer(highest_epoch=int(epoch))
            case ["gap"]:
                answer = FeedAnswer()
            case _:
                answer = FeedAnswer(mismatch="the hash does not fit")
        self.device.feed_answered(name, answer)
        said = list(self._ready())
        mismatch = self.device.feeds[name].mismatch
        return said + ([f"alarm {mismatch}"] if mismatch else [])

    def _do_receiver(self, _: list[str], options: dict[str, str]) -> list[str]:
        held = self._logs[options.get("log", "empty")]
        self._receiver = (Log(held.slice(1, len(held), len(held))), int(options.get("seen", "0")))
        return []

    def _do_batch(self, words: list[str], options: dict[str, str]) -> list[str]:
        log, first = self._logs[options["log"]], int(options["from"])
        prev = log.cursor(first - 1)
        entries = log.slice(first, int(options["to"]), len(log))
        held, highest = self._receiver
        batch = Batch("s1", int(words[0]), words[1], first, prev.hash, entries, log.forks_told(len(log)))
        judgement = judge_batch(held.last, highest, batch, held_in(held))
        if not isinstance(judgement, StaleSender):
            self._receiver = (held, max(highest, int(words[0])))
        match judgement:
            case Accepted(fresh, place):
                held.extend(fresh)
                return [f"stores {_entries(fresh)}, cursor {place.seq}"]
            case Matched(place):
                return [f"holds all that, answers {place.seq}"]
            case Forked(shared, fresh, place):
                forked = held.set_aside(shared.seq + 1)
                held.extend(fresh)
                return [f"forked {_entries(forked)}, stores {_entries(fresh)}, cursor {place.seq}"]
            case Gap(expected_seq):
                return [f"gap, expects {expected_seq}"]
            case StaleSender(highest_epoch):
                return [f"stale sender, {highest_epoch} was seen"]
            case HashMismatch(seq, detail):
                return [f"alarm at {seq}: {detail}"]

    def _do_arbiter(self, words: list[str], _: dict[str, str]) -> list[str]:
        self._register = None if words == ["none"] else self._register_of([*words, "before"], {})
        return []

    def _do_swap(self, words: list[str], options: dict[str, str]) -> list[str]:
        new = self._register_of([*words[1:], "asked"], options)
        assert new is not None
        before = self._register
        request = RegisterSwap("1", new.primary, int(words[0]), new, options.get("person", ""))
        self._register = arbiter_rule.swap(before, request)
        return ["refused" if self._register is before else "done"]

    # --- outputs -------------------------------------------------------------------------------------------------------

    def _ready(self) -> Iterator[str]:
        ready = self.device.take_ready(self.now_us)
        replica = self.device.replica
        role = f"{replica.role} at epoch {replica.epoch}"
        role += f", members {','.join(replica.members)}" if replica.members else ""
        if role != self._told_role:
            self._told_role = role
            yield f"role {role}"
        for message in ready.send:
            yield f"send {self._message(message)}"
        if ready.needs_flush:
            self._tokens.append(ready)
            what = "; ".join(map(_op, ready.persist)) or "nothing"
            then = "".join(f"; then send {message.kind}" for message in ready.send_after_persist)
            yield f"flush #{ready.token}: {what}{then}"
        if ready.apply:
            yield f"committed {_entries(ready.apply)}"
        for reply in ready.replies:
            yield f"reply to {self._requests[reply.request_id]}: {_reply(reply)}"

    def _message(self, message: Any) -> str:
        match message:
            case RegisterSwap(_, _, expect, register, person):
                self._asked.append(message)
                if message.register not in [swap.register for swap in self._claims]:
                    self._claims.append(message)
                members = ",".join(register.members)
                claim = [swap.register for swap in self._claims].index(register) + 1
                word = f", on the word of {person}" if person else ""
                return f"swap {expect} -> ({register.epoch}, {register.primary}, {members}) claim #{claim}{word}"
            case Append() as append:
                kind = _entries(append.entries) if append.entries else "heartbeat"
                members = ",".join(append.members)
                text = f"append {append.epoch} to {append.to_node_id}: {kind} behind {append.prev_seq}"
                round_ = f", round {append.round}" if append.round else ""
                forks = f", forks {_forks(append.forks)}" if append.forks else ""
                return f"{text}, commit {append.commit_seq}, members {members}{round_}{forks}"
            case Appended() as appended:
                return f"appended {appended.epoch} matched {appended.matched_seq}" + (
                    f", round {appended.round}" if appended.round else ""
                )
            case Join() as join:
                return f"join {join.epoch} knowing {' '.join(str(place.seq) for place in join.known) or 'nothing'}"
            case Rejected() as rejected:
                return f"rejected, {rejected.epoch} is stored here"
            case _:
                self._asked.append(message)
                return "read the register"


def _limit(name: str, value: str) -> int:
    assert name in {field.name for field in fields(Timing)}, f"no {name} in Timing"
    return int(value) * MS if name.endswith("_us") else int(value)


def _entries(entries: tuple[Entry, ...]) -> str:
    return " ".join(f"{entry.seq}={_record(entry)}@{entry.epoch}" for entry in entries) or "none"


def _record(entry: Entry) -> str:
    content = entry.content()
    if content["kind"] == "order":
        return str(content["order_id"]) + ("!" if content["table"] == "5" else "")
    if content["kind"] == "fork":
        return f"fork(from {content['from_seq']}, cloud {content['cloud']})"
    return f"{content['kind']}({content['order_id']})"


def _op(op: PersistOp) -> str:
    match op:
        case StoreEpoch(epoch):
            return f"epoch {epoch}"
        case SetAside(from_seq, _, given_up_to):
            return f"set aside from {from_seq}" + (f", given up to {given_up_to}" if given_up_to else "")
        case StoreBreakGlass(intention):
            if intention is None:
                return "no intention"
            cloud = ", without the cloud" if intention.word.without_cloud else ""
            cloud += f", the cloud differs at {intention.cloud_differs_at}" if intention.cloud_differs_at else ""
            return f"intention of {intention.word.who} to epoch {intention.epoch}{cloud}"
        case StoreEntries(entries):
            return f"entries {_entries(entries)}"
        case StoreCommit(commit_seq):
            return f"commit {commit_seq}"


def _batch(batch: Batch) -> str:
    forks = f", forks {_forks(batch.forks)}" if batch.forks else ""
    return f"of epoch {batch.sender_epoch} behind {batch.from_seq - 1}: {_entries(batch.entries)}{forks}"


def _forks(forks: tuple[ForkPlace, ...]) -> str:
    return " ".join(f"{fork.seq} from {fork.from_seq}" for fork in forks)


def _reply(reply: Any) -> str:
    if reply.problem is not None:
        return f"{reply.problem.status} {reply.problem.slug}"
    flags = (", replayed" if reply.replayed else "") + (", served" if reply.served else "")
    return f"yes, {reply.level} at {reply.entry.seq}, epoch {reply.epoch}{flags}"


def tell(text: str) -> list[str]:
    """Play a text of inputs; every output in order. Lines that are indented below the first one's margin are not allowed."""
    conversation = Conversation()
    said: list[str] = []
    for line in text.strip().splitlines():
        if re.sub(r"#.*", "", line).strip():
            said += conversation.put(line.strip())
    return said


def play(text: str) -> str:
    """The same text with its outputs written anew."""
    conversation = Conversation()
    lines: list[str] = []
    header = True
    for line in text.splitlines():
        header = header and bool(line.strip())
        if header or not line.strip() or line.startswith("#"):
            lines.append(line)
        elif not line.startswith(" "):
            lines.append(line)
            lines += [f"    {said}" for said in conversation.put(line)]
    return "\n".join(lines) + "\n"
