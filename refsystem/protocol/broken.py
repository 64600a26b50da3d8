"""Broken variants: each is the protocol with one clause left out, a change of a line or two.

They exist so that the audit can be shown to find what each clause prevents. A device runs one only when it is told its name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from refsystem.ordering.stock import Stock
from refsystem.protocol.admission import Admission
from refsystem.protocol.claims import Purpose
from refsystem.protocol.device import SOUND, Parts
from refsystem.protocol.downlink import Downlink
from refsystem.protocol.glass_replica import GlassReplica
from refsystem.protocol.log import Entry, Log
from refsystem.protocol.messages import Appended, Level, Register
from refsystem.protocol.payments_broken import CASHIER_VARIANTS
from refsystem.protocol.uplink import FeedSender


class AcknowledgesBeforeStandby(GlassReplica):
    """Breaks P4: an entry counts as committed, and as R2, when this device alone has flushed it."""

    def _commit_target(self) -> int:
        return self.flushed_seq

    def level(self, seq: int) -> Level:
        """R2 whenever there are two members."""
        return "R2" if len(self.members) == 2 else "R1"


class AnswersRepeatsAtOnce(Admission):
    """Breaks P6: a repeated key is answered yes without waiting for the commit."""

    def _repeat_may_answer(self, seq: int) -> bool:
        return True

    def _level(self, seq: int) -> Level:
        return "R2" if len(self._replica.members) == 2 else "R1"


class SendsBeforeCommit(FeedSender):
    """Breaks P5: a feed shows what is not committed."""

    def visible_seq(self, log: Log, commit_seq: int) -> int:
        """All that the log holds."""
        return log.last.seq


class PromotesWithoutRegister(GlassReplica):
    """Breaks P9 and P21: a standby that hears nothing takes the next epoch without asking the arbiter."""

    def _ask_swap(self, purpose: Purpose, base: Register, members: tuple[str, ...]) -> None:
        if purpose is not Purpose.PROMOTE:
            super()._ask_swap(purpose, base, members)
            return
        self._take_primary(Register(base.epoch + 1, self.node_id, members, "taken"))


class TwoDoors(Downlink):
    """Breaks P6 on the downlink: the key of an order from the cloud is not looked up."""

    def _record(self, number: int, order: Any, taken: dict[str, str]) -> dict[str, Any]:
        return super()._record(number, order, {})

    def _known_body_hash(self, order_id: str) -> str | None:
        return None


class AnyEpochAnyRole(GlassReplica):
    """Breaks P3: the epoch of a message is not looked at."""

    def _epoch_in_order(self, epoch: int) -> bool:
        return True

    def _counts(self, message: Appended) -> bool:
        return message.node_id == self._shipping.node_id


class ShrinksEarly(GlassReplica):
    """Breaks P7: the commit rule changes when the register is asked, not when it is known to have changed."""

    def _shrink(self) -> None:
        super()._shrink()
        self._both_flushed_rule = False


class GrowsBeforeCatchUp(GlassReplica):
    """Breaks P8: a peer becomes a member as soon as it answers."""

    def _may_return_to_both(self) -> bool:
        return self._shipping.answered

    def _caught_up(self) -> bool:
        return True


class AnswersOwnLogEnd(GlassReplica):
    """Breaks P2: a peer answers the end of its own log, not what it has checked in this epoch."""

    def _matched_answer(self) -> int:
        return self.log.last.seq


class MatchesByPreviousHash(GlassReplica):
    """Breaks P12: the entry behind a shared one is taken for the same, whatever it holds."""

    def _first_disagreement(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return tuple(entry for entry in entries if entry.seq > self.log.last.seq)


class CountsAnyNode(GlassReplica):
    """Breaks P2: an answer is counted whoever gave it, a disk that is gone too."""

    def _counts(self, message: Appended) -> bool:
        return message.epoch == self.epoch


class ActsWithoutClaim(GlassReplica):
    """Breaks P21: a device named primary acts, whether or not this life has asked for it."""

    def _acts_by(self, register: Register) -> bool:
        return register.primary == self.node_id


class RestartSkipsReconciling(GlassReplica):
    """Breaks P19: a device that restarts while it compares its log with the cloud's takes up its role at once."""

    def _must_reconcile(self, register: Register) -> bool:
        return register.epoch == self._glass.epoch


class IndexOutlivesLog(Log):
    """Breaks P6: what is set aside stays in the index of keys."""

    def _unindex(self, entry: Entry) -> None:
        """Nothing is taken out."""


class SellsTheCloudsShare(Stock):
    """Breaks P18: the store promises all that is there, whatever rights it has granted to the cloud."""

    def available(self, ingredient_id: str) -> int | None:
        """All of it, if it is in escrow."""
        kept_apart = self.policy(ingredient_id) == "escrow" and self.keeps(ingredient_id)
        return max(0, self.item(ingredient_id).on_hand) if kept_apart else super().available(ingredient_id)


PROTOCOL_VARIANTS: dict[str, Parts] = {
    "acknowledge-before-standby": replace(SOUND, replica=AcknowledgesBeforeStandby),
    "repeated-key-answered-at-once": replace(SOUND, admission=AnswersRepeatsAtOnce),
    "kitchen-before-commit": replace(SOUND, kitchen_feed=SendsBeforeCommit),
    "uplink-before-commit": replace(SOUND, uplink_feed=SendsBeforeCommit),
    "promote-without-register": replace(SOUND, replica=PromotesWithoutRegister),
    "two-doors": replace(SOUND, downlink=TwoDoors),
    "any-epoch-any-role": replace(SOUND, replica=AnyEpochAnyRole),
    "early-shrink": replace(SOUND, replica=ShrinksEarly),
    "grow-before-catch-up": replace(SOUND, replica=GrowsBeforeCatchUp),
    "answer-own-log-end": replace(SOUND, replica=AnswersOwnLogEnd),
    "match-by-previous-hash": replace(SOUND, replica=MatchesByPreviousHash),
    "appended-without-node-id": replace(SOUND, replica=CountsAnyNode),
    "no-claim": replace(SOUND, replica=ActsWithoutClaim),
    "restart-skips-reconciling": replace(SOUND, replica=RestartSkipsReconciling),
    "index-outlives-log": replace(SOUND, log=IndexOutlivesLog),
}


PAYMENT_VARIANTS: dict[str, Parts] = {
    name: replace(SOUND, cashier=cashier) for name, cashier in CASHIER_VARIANTS.items()
}
"""Those of P16. They need a payment gateway to show: a drill or the search over cashiers finds them, not the campaign."""


STOCK_VARIANTS: dict[str, Parts] = {"escrow-off": replace(SOUND, stock=SellsTheCloudsShare)}
"""Those of P18. They need stock to show: a drill or the search over stocks finds them, not the campaign."""


def parts_for(variant: str | None) -> Parts:
    """The parts of a device; the sound ones unless a variant of the protocol is named."""
    return SOUND if variant is None else (PROTOCOL_VARIANTS | PAYMENT_VARIANTS | STOCK_VARIANTS).get(variant, SOUND)
