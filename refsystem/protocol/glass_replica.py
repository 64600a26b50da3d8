"""A replica that a person can name when the store's members are gone for good: break glass (P19).

Until the record of the fork is in its log it stays fenced and compares its log with the cloud's, in a later life too.
"""

from __future__ import annotations

from refsystem.ordering.errors import (
    BREAK_GLASS_NOT_NEEDED,
    MEMBER_HEARD,
    MEMBERS_DIFFER,
    REGISTER_NOT_READ,
    BreakGlassRefused,
)
from refsystem.protocol.branch import BranchAnswer, BranchQuestion, BranchUnusable, compare_branch
from refsystem.protocol.break_glass import BreakGlass, CloudOutcome, GlassStatus, Intention, fork_record
from refsystem.protocol.claims import Purpose
from refsystem.protocol.glass import Glass
from refsystem.protocol.log import GENESIS, Log, encode_record
from refsystem.protocol.messages import Ready, Register, StoreBreakGlass
from refsystem.protocol.replica import DurableState, Replica
from refsystem.protocol.roles import Role
from refsystem.protocol.timing import Timing
from refsystem.protocol.uplink import StaleSender


class GlassReplica(Replica):
    """The replica of every device. `glass_status` tells people how far breaking glass has come."""

    def __init__(
        self, state: DurableState, incarnation: str, timing: Timing, now_us: int, log_class: type[Log] = Log
    ) -> None:
        super().__init__(state, incarnation, timing, now_us, log_class)
        self._glass = Glass(state.break_glass)
        if any(fork.epoch >= self._glass.epoch for fork in self.log.forks):
            self._end_break_glass(None)

    # --- a person, and the cloud ---------------------------------------------------------------------------------------

    def break_glass(self, word: BreakGlass, now_us: int) -> None:
        """A person names this device (P19). Raises `BreakGlassRefused`."""
        self._now_us = now_us
        if self._glass.intention is None:
            register = self._register_to_leave(word)
            self._glass.begin(word, register.epoch + 1, register.forked_epoch)
        else:
            self._glass.go_on_without_cloud(word)
        self._persist.append(StoreBreakGlass(self._glass.intention))
        if word.without_cloud and self._reconciling() and self._glass.outcome is None:
            self._compared("unreachable")

    @property
    def glass_status(self) -> GlassStatus:
        """How far breaking glass has come."""
        return self._glass.status(reconciling=self._reconciling())

    def branch_question(self, store: str) -> BranchQuestion | None:
        """What to ask the cloud while reconciling: where do our logs part, and what stands there?"""
        if not self._reconciling() or self._glass.outcome is not None:
            return None
        known = self.log.places(self.timing.known_places_max)
        if self._glass.compared not in (GENESIS, *known):
            known = (*known, self._glass.compared)
        return BranchQuestion(store, self.epoch, self.node_id, known)

    def branch_answered(self, answer: BranchAnswer | StaleSender, now_us: int) -> None:
        """The cloud's answer: what it holds stands in for the own from where they disagree; then the role is taken up."""
        self._now_us = now_us
        if not self._reconciling() or self._glass.outcome is not None:
            return
        if isinstance(answer, StaleSender):
            self._reconciles_too_late(answer.highest_epoch)
        elif answer.sender_epoch == self.epoch:
            self._follow_cloud(answer)

    # --- the machine ---------------------------------------------------------------------------------------------------

    def take_ready(self) -> Ready:
        """All that is to be done since the last call."""
        ready = super().take_ready()
        if ready.persist:
            self._glass.flush_begins(ready.token)
        return ready

    def persisted(self, token: int, now_us: int) -> None:
        """Everything up to the `Ready` with this token is flushed."""
        super().persisted(token, now_us)
        if self._glass.flushed(token) and self._claims.pending is None:
            self._claims.read(Purpose.CONFIRM_ROLE, now_us)
        if self._glass.outcome is not None and self._reconciling():
            self._compared(self._glass.outcome)

    def _take_up(self, register: Register) -> None:
        if self._must_reconcile(register):
            self._reconcile(register)
        else:
            super()._take_up(register)

    def _another_named(self, register: Register, purpose: Purpose) -> None:
        """Ask for the step of P19, once the intention is stored; drop what was overtaken."""
        intention = self._glass.intention
        if intention is None:
            return
        hindrance = self._glass.hindrance(register, self.node_id)
        if purpose is Purpose.BREAK_GLASS and hindrance is None:
            hindrance = "the arbiter refused the step"
        if hindrance is not None:
            self._end_break_glass(hindrance)
        elif self._glass.stored:
            self._claims.break_glass(register, intention.word.who, self._now_us)

    # --- the word ------------------------------------------------------------------------------------------------------

    def _register_to_leave(self, word: BreakGlass) -> Register:
        """The register as read, from which a person's word leads on; raises `BreakGlassRefused`."""
        register = self.register
        word.check()
        if self.role is Role.PRIMARY or (
            register is not None and self.node_id in (register.primary, *register.members)
        ):
            raise BreakGlassRefused(BREAK_GLASS_NOT_NEEDED, f"this device is {self.role}, and named in the register")
        if register is None or register.epoch < self.epoch:
            raise BreakGlassRefused(REGISTER_NOT_READ, "the arbiter has not told the members yet")
        if sorted(word.off) != sorted(register.members):
            raise BreakGlassRefused(MEMBERS_DIFFER, f"the members are {', '.join(register.members)}")
        if self.leader_node_id in word.off and not self._primary_silent():
            raise BreakGlassRefused(MEMBER_HEARD, f"{self.leader_node_id} was heard just now")
        return register

    def _end_break_glass(self, trouble: str | None) -> None:
        self._glass.end(trouble)
        self._persist.append(StoreBreakGlass(None))

    # --- reconciling ---------------------------------------------------------------------------------------------------

    def _must_reconcile(self, register: Register) -> bool:
        """Whether the record of the fork is still to be made at `register`: in a later life too (P11)."""
        return self._glass.epoch <= register.epoch

    def _reconciling(self) -> bool:
        return (
            self._glass.reconciling_epoch == self.epoch
            and self.role is Role.FENCED
            and self._glass.intention is not None
        )

    def _reconcile(self, register: Register) -> None:
        """The register shows this device's claim: still deaf, it finds out what the cloud holds before it takes up its role."""
        if register.epoch > self.epoch:
            self._store_epoch(register.epoch)
        if self.role is not Role.FENCED:
            self._fence()
            self._read_due_us = self._now_us + self.timing.register_retry_us
        self.register = register
        self._glass.reconcile(register.epoch)
        assert self._glass.intention is not None
        if self._glass.intention.word.without_cloud and self._glass.outcome is None:
            self._compared("unreachable")

    def _reconciles_too_late(self, highest_epoch: int) -> None:
        """The cloud has seen a sender above this device: the register tells who it is."""
        if highest_epoch > self.epoch:
            self._glass.trouble = f"the cloud has seen a sender of epoch {highest_epoch}"
            if self._claims.pending is None:
                self._claims.read(Purpose.CONFIRM_ROLE, self._now_us)

    def _follow_cloud(self, answer: BranchAnswer) -> None:
        try:
            comparison = compare_branch(self.log, self.commit_seq, answer)
        except BranchUnusable as unusable:
            if self._glass.cannot_follow(unusable):
                self._persist.append(StoreBreakGlass(self._glass.intention))
            return
        self._glass.trouble = None
        if comparison.fresh:
            if comparison.fresh[0].seq <= self.log.last.seq:
                self._set_aside(comparison.fresh[0].seq, answer.forks)
            self._store_entries(comparison.fresh)
        compared_seq = comparison.agreed_seq + len(comparison.fresh)
        self._glass.compared = self.log.cursor(compared_seq)
        self.commit_seq = max(self.commit_seq, compared_seq)
        if comparison.done:
            self._compared("copied")

    def _compared(self, cloud: CloudOutcome) -> None:
        """Nothing is left to compare. What is known to be committed may be told once this device has flushed it, not before."""
        self._glass.outcome = cloud
        if self.flushed_seq >= self.commit_seq:
            self._take_over(cloud)

    def _take_over(self, cloud: CloudOutcome) -> None:
        """Take up the role. The first record is that of the fork; from it on everything held is committed (P10)."""
        intention, register = self._glass.intention, self.register
        assert intention is not None
        assert register is not None
        from_seq = self._fork_from_seq(intention, cloud)
        record = fork_record(intention.word, from_seq, self.log.cursor(from_seq - 1).hash, cloud)
        self._take_primary(register)
        (fork,) = self.propose([encode_record(record)])
        self._commits_from_seq = fork.seq
        self._end_break_glass(None)

    def _fork_from_seq(self, intention: Intention, cloud: CloudOutcome) -> int:
        """The first seq at which another branch may differ: behind what is known to be committed.

        Commits that this device knows may be of a branch that was left without its knowledge, if glass was broken elsewhere since
        and its log does not hold the record of that: then any entry may differ. And where the cloud is known to differ the fork
        begins, or the cloud could never follow it.
        """
        followed_epoch = max((fork.epoch for fork in self.log.forks), default=0)
        from_seq = self.commit_seq + 1 if followed_epoch >= intention.forked_epoch else 1
        differs = cloud == "unreachable" and 0 < intention.cloud_differs_at < from_seq
        return intention.cloud_differs_at if differs else from_seq
