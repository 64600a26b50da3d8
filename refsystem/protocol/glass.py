"""How far breaking glass (P19) has come in one life of a device."""

from __future__ import annotations

import math
from dataclasses import replace

from refsystem.ordering.errors import BREAK_GLASS_RUNNING, BreakGlassRefused
from refsystem.protocol.branch import BranchUnusable
from refsystem.protocol.break_glass import BreakGlass, CloudOutcome, GlassStage, GlassStatus, Intention
from refsystem.protocol.log import GENESIS
from refsystem.protocol.messages import Register

WAY_OUT = "the cloud is asked again; to go on without it, say the same word again with without_cloud"


class Glass:
    """What one life of a device knows of breaking glass: the intention, whether it is on the disk, and how far the cloud's log
    was compared. Decides nothing about roles: that is the replica's.
    """

    def __init__(self, stored: Intention | None) -> None:
        self.intention = stored
        self.stored = stored is not None
        self.reconciling_epoch = 0
        self.compared = GENESIS
        self.outcome: CloudOutcome | None = None
        self.trouble: str | None = None
        self._token: int | None = None

    @property
    def epoch(self) -> int | float:
        """The epoch that the intention asks for; none is as high when there is no intention."""
        return math.inf if self.intention is None else self.intention.epoch

    def begin(self, word: BreakGlass, epoch: int, forked_epoch: int) -> None:
        """A person's word was taken: nothing is done about it before it is on the disk."""
        self.intention = Intention(word, epoch, forked_epoch)
        self.stored, self.trouble, self._token = False, None, None

    def go_on_without_cloud(self, word: BreakGlass) -> None:
        """The word again while the first is pursued: only to say that the cloud cannot be reached. Else it is refused."""
        assert self.intention is not None
        standing = self.intention.word
        if standing.without_cloud or not word.without_cloud or sorted(word.off) != sorted(standing.off):
            raise BreakGlassRefused(BREAK_GLASS_RUNNING, f"{standing.who} asked for it, and it is under way")
        word.check()
        self.intention = replace(self.intention, word=word)

    def end(self, trouble: str | None) -> None:
        """Nothing is left to do: it is done, or given up because of `trouble`."""
        self.intention, self.trouble = None, trouble

    def flush_begins(self, token: int) -> None:
        """All that is to be stored was handed to the disk under `token`."""
        if self.intention is not None and not self.stored and self._token is None:
            self._token = token

    def flushed(self, token: int) -> bool:
        """Everything up to `token` is on the disk; True if that is news for the intention."""
        if self.intention is None or self.stored or self._token is None or token < self._token:
            return False
        self.stored = True
        return True

    def reconcile(self, epoch: int) -> None:
        """The register shows this device's claim at `epoch`: the cloud's log is compared, from the beginning."""
        if self.reconciling_epoch != epoch:
            self.reconciling_epoch, self.compared, self.outcome = epoch, GENESIS, None

    def cannot_follow(self, unusable: BranchUnusable) -> bool:
        """The cloud's answer cannot be followed; True if something of it is to be stored."""
        assert self.intention is not None
        self.trouble = f"{unusable}; {WAY_OUT}"
        if unusable.seq == self.intention.cloud_differs_at or not unusable.seq:
            return False
        self.intention = replace(self.intention, cloud_differs_at=unusable.seq)
        return True

    def hindrance(self, register: Register, node_id: str) -> str | None:
        """Why the intention cannot be pursued at a register that names another; None if it can."""
        assert self.intention is not None
        if register.epoch >= self.intention.epoch:
            return f"the register names {register.primary} at epoch {register.epoch}"
        if node_id in register.members or sorted(register.members) != sorted(self.intention.word.off):
            return f"the members are {', '.join(register.members)}"
        return None

    def status(self, *, reconciling: bool) -> GlassStatus:
        """How far it has come, for people."""
        stage: GlassStage = "none"
        if self.intention is not None:
            stage = "reconciling" if reconciling else "asking" if self.stored else "storing"
        return GlassStatus(stage, self.intention, self.compared.seq, self.trouble)
