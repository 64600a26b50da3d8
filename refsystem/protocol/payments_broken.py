"""Cashiers with a part of P16 left out, each a change of a line or two; the tests, the campaign and the audit must find them."""

from __future__ import annotations

from refsystem.ordering.check_acts import Content, derived_id
from refsystem.ordering.payment import Payment, PaymentState
from refsystem.protocol.payment_calls import Answer, Call, Known, Op, Result
from refsystem.protocol.payments import Cashier, Work


class MakesNewIdAfterTimeout(Cashier):
    """Breaks P16: after a call without an answer the payment is tried under another id."""

    def _gateway_id(self, payment: Payment, work: Work) -> str:
        return payment.attempt_id if work.timeouts == 0 else derived_id(payment.attempt_id, f"try/{work.timeouts}")


class CallsBeforeCommit(Cashier):
    """Breaks P16: the gateway hears of a payment as soon as it is in this device's log."""

    def _is_committed(self, payment: Payment, commit_seq: int) -> bool:
        return True


class ReversesBeforeCommit(Cashier):
    """Breaks P16: a wallet code is undone when its time is over, before that is in the log."""

    def _next_op(self, payment: Payment, work: Work, now_ms: int) -> Op | None:
        too_late = now_ms >= payment.at_ms + self._limits.wallet_stop_ms
        if payment.tender == "wallet_code" and payment.state is PaymentState.PENDING and too_late:
            return Op.REVERSE
        return super()._next_op(payment, work, now_ms)

    def _timely_step(self, payment: Payment, work: Work, now_ms: int) -> None:
        return None


class TakesUnknownForFinal(Cashier):
    """Breaks P16: an id that the gateway does not know at this moment is taken for one that it will never know."""

    def _content_of(self, call: Call, answer: Answer, payment: Payment, known: Known) -> tuple[Content | None, str]:
        if call.op is Op.QUERY and answer.result is Result.UNKNOWN:
            answer = Answer(Result.DECLINED)
        return super()._content_of(call, answer, payment, known)


CASHIER_VARIANTS: dict[str, type[Cashier]] = {
    "new-id-after-timeout": MakesNewIdAfterTimeout,
    "call-before-commit": CallsBeforeCommit,
    "reverse-before-commit": ReversesBeforeCommit,
    "unknown-is-final": TakesUnknownForFinal,
}
