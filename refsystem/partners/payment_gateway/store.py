"""What the gateway holds, in SQLite: a request, the money that it moves and the callback about it are one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from refsystem.partners.outbox import Outbox, Posting
from refsystem.partners.partner_store import PartnerStore, named
from refsystem.partners.payment_gateway import problems
from refsystem.partners.payment_gateway.records import Decision, Dispute, Movement, Outcome, Payment, Situation
from refsystem.partners.payment_gateway.requests import (
    AnswerDispute,
    GatewayRequest,
    Reverse,
    RuleDispute,
    Sale,
    Split,
    SplitReturn,
    code_hash,
    content_hash,
)
from refsystem.partners.payment_gateway.rules import close_dispute, decide, expired, settle
from refsystem.partners.payment_gateway.settings import Limits
from refsystem.problems import ProblemError
from refsystem.sqlite import load_queries

SETTLED_AT_ONCE_MAX = 200
PAYMENT_FIELDS = tuple(field.name for field in fields(Payment))
MOVEMENT_FIELDS = (
    "movement",
    "kind",
    "attempt_id",
    "request_id",
    "merchant",
    "amount_minor",
    "currency",
    "at_us",
    "reference",
)
queries = load_queries("refsystem.partners.payment_gateway")


@dataclass(frozen=True, slots=True)
class Kept:
    """A request as it is kept: what the caller is told, now and every time it asks again."""

    request_id: str
    operation: str
    attempt_id: str
    content_hash: str
    outcome: Outcome
    at_us: int


@dataclass(frozen=True, slots=True)
class PayerConduct:
    """What the payer of a new payment will do: be declined, and confirm after some time (None: never)."""

    declined: bool = False
    confirm_after_us: int | None = 0


class GatewayStore(PartnerStore):
    """The gateway's database in `folder`. `posting` says how the callback of an event is to be sent."""

    def __init__(self, folder: Path, limits: Limits, posting: Callable[[str], Posting] = lambda _: Posting()) -> None:
        self._limits = limits
        super().__init__(folder / "gateway.sqlite3", queries.create_schema)
        self.outbox = Outbox(self._connection, posting)

    # --- requests ---

    def perform(
        self, request_id: str, request: GatewayRequest, now_us: int, conduct: Callable[[], PayerConduct] = PayerConduct
    ) -> tuple[Kept, bool]:
        """Do what is asked, once: the answer, and whether it had been done before. A new one asks for the payer's `conduct`.

        Raises `ProblemError` if the id was used for something else, or if the request is refused; then nothing is stored.
        """
        with self._transaction():
            self._settle_due(now_us)
            known = self.request(request_id)
            digest = content_hash(request)
            if known is not None:
                if known.content_hash != digest:
                    raise ProblemError(problems.KEY_REUSED)
                return known, True
            situation = self._situation(request, conduct())
            decision = decide(request, request_id, situation, self._limits, now_us)
            kept = Kept(request_id, request.operation, decision.payment.attempt_id, digest, decision.outcome, now_us)
            self._keep_request(kept)
            self._apply(request_id, decision, now_us)
            if isinstance(request, Reverse) and situation.payment is not None and situation.payment.status == "pending":
                self._finish(request.attempt_id, Outcome("declined", 0, "reversed"))
            if isinstance(request, Sale):
                queries.use_code(
                    self._connection, code_hash=code_hash(request.payment_code), attempt_id=request.attempt_id
                )
            if isinstance(request, Split | SplitReturn):
                self._keep_shares(request)
            return kept, False

    def request(self, request_id: str) -> Kept | None:
        """A request that was done."""
        row = queries.request(self._connection, request_id=request_id)
        if row is None:
            return None
        _, operation, attempt_id, digest, status, amount_minor, decline_code, at_us = row
        return Kept(request_id, operation, attempt_id, digest, Outcome(status, amount_minor, decline_code), at_us)

    def payment(self, attempt_id: str, now_us: int) -> Payment | None:
        """A payment as it stands now."""
        self.settle_due(now_us)
        found = self._payment(attempt_id)
        return None if found is None else expired(found, self._limits, now_us)

    def dispute(self, dispute_id: str) -> Dispute | None:
        """A dispute as it is stored."""
        row = queries.dispute(self._connection, dispute_id=dispute_id)
        return None if row is None else Dispute(*row)

    def dispute_now(self, dispute_id: str, now_us: int) -> Dispute | None:
        """A dispute, after time has done its part."""
        self.settle_due(now_us)
        return self.dispute(dispute_id)

    def settle_due(self, now_us: int) -> None:
        """Let happen what time brings: diners confirm, unanswered disputes are lost."""
        with self._transaction():
            self._settle_due(now_us)

    def next_change_us(self) -> int | None:
        """When time brings something next."""
        at_us: int | None = queries.next_change_us(self._connection)
        return at_us

    # --- reads for an audit ---

    def audit_ledger(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Movements of money behind number `after`, each with its postings."""
        found = queries.audit_ledger(self._connection, after=after, limit=limit)
        rows = named(MOVEMENT_FIELDS, found)
        if not rows:
            return []
        postings: dict[int, list[dict[str, Any]]] = {row["movement"]: [] for row in rows}
        first, last = rows[0]["movement"], rows[-1]["movement"]
        for movement, account, amount in queries.audit_postings(
            self._connection, from_movement=first, to_movement=last
        ):
            postings[movement].append({"account": account, "amount_minor": amount})
        return [{**row, "postings": postings[row["movement"]]} for row in rows]

    def audit_payments(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Payments behind number `after`, as they stand."""
        names = (*PAYMENT_FIELDS, "number")
        found = queries.audit_payments(self._connection, after=after, limit=limit)
        return named(names, found)

    def audit_callbacks(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Callbacks behind number `after`, and how often each was tried and taken."""
        rows = self.outbox.audit(after, limit)
        return [{"callback": row.pop("number"), "merchant": row.pop("receiver"), **row} for row in rows]

    def balances(self) -> dict[str, int]:
        """What every account has; together zero."""
        return dict(queries.audit_balances(self._connection))

    # --- inside ---

    def _situation(self, request: GatewayRequest, conduct: PayerConduct) -> Situation:
        dispute = self.dispute(request.dispute_id) if isinstance(request, AnswerDispute | RuleDispute) else None
        if isinstance(request, AnswerDispute | RuleDispute):
            attempt_id = "" if dispute is None else dispute.attempt_id
        else:
            attempt_id = request.attempt_id
        code_used = isinstance(request, Sale) and (
            queries.attempt_of_code(self._connection, code_hash=code_hash(request.payment_code)) is not None
        )
        return Situation(
            self._payment(attempt_id),
            dispute,
            queries.count_requests(self._connection, attempt_id=attempt_id, operation="refund"),
            dict(queries.shares(self._connection, attempt_id=attempt_id)),
            code_used,
            conduct.declined,
            conduct.confirm_after_us,
        )

    def _settle_due(self, now_us: int) -> None:
        found = queries.payments_to_settle(self._connection, now_us=now_us, limit=SETTLED_AT_ONCE_MAX)
        for payment in [Payment(*row) for row in found]:
            decision = settle(payment)
            self._finish(payment.attempt_id, decision.outcome)
            self._apply(payment.attempt_id, decision, payment.settle_at_us or now_us)
        overdue = queries.disputes_overdue(self._connection, now_us=now_us, limit=SETTLED_AT_ONCE_MAX)
        for dispute in [Dispute(*row) for row in overdue]:
            disputed = self._payment(dispute.attempt_id)
            assert disputed is not None
            self._apply(dispute.dispute_id, close_dispute(disputed, dispute, "overdue"), dispute.answer_by_us)

    def _payment(self, attempt_id: str) -> Payment | None:
        row = queries.payment(self._connection, attempt_id=attempt_id)
        return None if row is None else Payment(*row)

    def _keep_request(self, kept: Kept) -> None:
        queries.insert_request(
            self._connection,
            request_id=kept.request_id,
            operation=kept.operation,
            attempt_id=kept.attempt_id,
            content_hash=kept.content_hash,
            at_us=kept.at_us,
            **asdict(kept.outcome),
        )

    def _finish(self, request_id: str, outcome: Outcome) -> None:
        queries.finish_request(
            self._connection, request_id=request_id, status=outcome.status, decline_code=outcome.decline_code
        )

    def _apply(self, request_id: str, decision: Decision, now_us: int) -> None:
        queries.put_payment(self._connection, **asdict(decision.payment))
        if decision.dispute is not None:
            queries.put_dispute(self._connection, **asdict(decision.dispute))
        if decision.movement is not None:
            self._move(request_id, decision.payment, decision.movement, now_us)
        if decision.event is not None:
            self._call_back(request_id, decision.event, decision, now_us)

    def _move(self, request_id: str, payment: Payment, movement: Movement, now_us: int) -> None:
        number = queries.insert_movement(
            self._connection,
            kind=movement.kind,
            attempt_id=payment.attempt_id,
            request_id=request_id,
            merchant=payment.merchant,
            amount_minor=sum(amount for _, amount in movement.postings if amount > 0),
            currency=payment.currency,
            at_us=now_us,
        )
        for account, amount in movement.postings:
            queries.insert_posting(self._connection, movement=number, account=account, amount_minor=amount)

    def _keep_shares(self, request: Split | SplitReturn) -> None:
        sign = 1 if isinstance(request, Split) else -1
        for party, amount in request.shares:
            queries.add_to_share(
                self._connection, attempt_id=request.attempt_id, party=party, amount_minor=sign * amount
            )

    def _call_back(self, request_id: str, event: str, decision: Decision, now_us: int) -> None:
        payment = decision.payment
        if self.outbox.url(payment.merchant) is None:
            return
        event_id = f"{request_id}/{event}"
        body = {
            "event_id": event_id,
            "event": event,
            "request_id": request_id,
            "amount_minor": decision.outcome.amount_minor,
            "payment": payment_document(payment),
            "dispute": None if decision.dispute is None else asdict(decision.dispute),
            "at_us": now_us,
        }
        self.outbox.put(event_id, payment.merchant, body, now_us)


def payment_document(payment: Payment) -> dict[str, Any]:
    """A payment as its merchant may see it: not what the payer is about to do."""
    document = asdict(payment)
    del document["settle_at_us"], document["settle_event"]
    if payment.status != "declined":
        document["decline_code"] = None
    return document
