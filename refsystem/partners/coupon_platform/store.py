"""What the coupon platform holds, in SQLite: a request and the value that it moves are one transaction."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from refsystem.partners.coupon_platform.rules import Instrument, Kind, Payment, refunded, reversed_, sale
from refsystem.partners.coupon_platform.settings import Limits
from refsystem.partners.partner_store import PartnerStore, named
from refsystem.partners.payment_gateway import problems
from refsystem.problems import ProblemError
from refsystem.sqlite import load_queries

DEMO = re.compile(r"demo-([0-9]{1,9})-.+")
LEDGER_FIELDS = ("movement", "kind", "attempt_id", "request_id", "merchant", "instrument", "amount_minor", "at_us")
PAYMENT_FIELDS = ("number", *Payment.__dataclass_fields__)

queries = load_queries("refsystem.partners.coupon_platform")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request. `kind` and `instrument` only of a sale, `merchant` also of a reversal; `amount_minor` 0 of a reversal."""

    operation: Literal["sale", "reverse", "refund"]
    attempt_id: str
    merchant: str = ""
    amount_minor: int = 0
    kind: Kind = "voucher"
    instrument: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a caller is told of its request, now and every time it asks again."""

    request_id: str
    operation: str
    attempt_id: str
    status: str
    amount_minor: int
    decline_code: str | None
    at_us: int


class CouponStore(PartnerStore):
    """The platform's database in `folder`. With `demo`, instruments called `demo-VALUE-anything` are issued when first seen."""

    def __init__(self, folder: Path, limits: Limits, *, demo: bool = False) -> None:
        self._limits = limits
        self._demo = demo
        super().__init__(folder / "coupons.sqlite3", queries.create_schema)

    def issue(self, kind: Kind, instrument: str, value_minor: int) -> Instrument:
        """Issue a voucher, or open a member's balance; what was issued stays as it is."""
        with self._transaction():
            queries.issue(self._connection, instrument=instrument, kind=kind, value_minor=value_minor)
            found = self._instrument(instrument)
            assert found is not None, "it was issued"
            return found

    def perform(self, request_id: str, wanted: Wanted, now_us: int, *, declined: bool = False) -> tuple[Kept, bool]:
        """Do what is asked, once: the answer, and whether it had been done before. Raises `ProblemError`, and stores nothing."""
        content = json.dumps(asdict(wanted), sort_keys=True)
        with self._transaction():
            row = queries.request(self._connection, request_id=request_id)
            if row is not None:
                operation, attempt_id, known, *told = row
                if known != content:
                    raise ProblemError(problems.KEY_REUSED)
                return Kept(request_id, operation, attempt_id, *told), True
            match wanted.operation:
                case "sale":
                    kept = self._sale(request_id, wanted, now_us, declined=declined)
                case "reverse":
                    kept = self._reverse(request_id, wanted, now_us)
                case "refund":
                    kept = self._refund(request_id, wanted, now_us)
            queries.insert_request(self._connection, content=content, **asdict(kept))
            return kept, False

    def payment(self, attempt_id: str) -> Payment | None:
        """A payment as it stands."""
        row = queries.payment(self._connection, attempt_id=attempt_id)
        return None if row is None else Payment(*row)

    def audit_ledger(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Value moved, behind number `after`."""
        return named(LEDGER_FIELDS, queries.audit_ledger(self._connection, after=after, limit=limit))

    def audit_payments(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Payments behind number `after`, as they stand."""
        return named(PAYMENT_FIELDS, queries.audit_payments(self._connection, after=after, limit=limit))

    def instrument(self, instrument: str) -> Instrument | None:
        """A voucher or a member."""
        return self._instrument(instrument)

    def worth(self, kind: Kind, instrument: str) -> Instrument | None:
        """A voucher or a member of that kind, as a store asks for it before it takes anything."""
        with self._transaction():
            self._issue_demo(kind, instrument)
        found = self._instrument(instrument)
        return found if found is not None and found.kind == kind else None

    # --- inside ---

    def _issue_demo(self, kind: Kind, instrument: str) -> None:
        demo = DEMO.fullmatch(instrument) if self._demo else None
        if demo is not None:
            queries.issue(self._connection, instrument=instrument, kind=kind, value_minor=int(demo.group(1)))

    def _instrument(self, instrument: str) -> Instrument | None:
        row = queries.instrument(self._connection, instrument=instrument)
        return None if row is None else Instrument(*row)

    def _sale(self, request_id: str, wanted: Wanted, now_us: int, *, declined: bool) -> Kept:
        barred = self.payment(wanted.attempt_id)
        if barred is not None:  # it was reversed before it came
            return Kept(request_id, "sale", wanted.attempt_id, "declined", wanted.amount_minor, "reversed", now_us)
        if wanted.amount_minor > self._limits.amount_max_minor:
            raise ProblemError(problems.AMOUNT_OVER_LIMIT)
        self._issue_demo(wanted.kind, wanted.instrument)
        found = self._instrument(wanted.instrument)
        asked = Payment(
            wanted.attempt_id, wanted.merchant, wanted.instrument, wanted.amount_minor, "captured", None, 0, now_us
        )
        payment = sale(asked, wanted.kind, None if declined else found)
        self._put(payment)
        if payment.status == "captured" and found is not None:
            self._take(found, payment.amount_minor, payment.attempt_id)
            self._move("capture", request_id, payment, payment.amount_minor, now_us)
        status = "succeeded" if payment.status == "captured" else "declined"
        return Kept(request_id, "sale", payment.attempt_id, status, payment.amount_minor, payment.decline_code, now_us)

    def _reverse(self, request_id: str, wanted: Wanted, now_us: int) -> Kept:
        before = self.payment(wanted.attempt_id)
        if before is None:
            self._put(Payment(wanted.attempt_id, wanted.merchant, "", 0, "reversed", None, 0, now_us))
            return Kept(request_id, "reverse", wanted.attempt_id, "succeeded", 0, None, now_us)
        if before.merchant != wanted.merchant:
            raise ProblemError(problems.PAYMENT_UNKNOWN)
        found = self._instrument(before.instrument)
        after = reversed_(before, found, self._limits, now_us)
        back_minor = before.amount_minor if after is not before else 0
        if back_minor:
            self._give_back(found, after, back_minor)
            self._move("reversal", request_id, after, back_minor, now_us)
        return Kept(request_id, "reverse", wanted.attempt_id, "succeeded", back_minor, None, now_us)

    def _refund(self, request_id: str, wanted: Wanted, now_us: int) -> Kept:
        before = self.payment(wanted.attempt_id)
        if before is None:
            raise ProblemError(problems.PAYMENT_UNKNOWN)
        found = self._instrument(before.instrument)
        after = refunded(before, found, wanted.amount_minor, self._limits, now_us)
        self._give_back(found, after, wanted.amount_minor)
        self._move("refund", request_id, after, wanted.amount_minor, now_us)
        return Kept(request_id, "refund", wanted.attempt_id, "succeeded", wanted.amount_minor, None, now_us)

    def _take(self, found: Instrument, amount_minor: int, attempt_id: str) -> None:
        if found.kind == "voucher":
            queries.use_voucher(self._connection, instrument=found.instrument, attempt_id=attempt_id)
        else:
            queries.change_balance(self._connection, instrument=found.instrument, change_minor=-amount_minor)

    def _give_back(self, found: Instrument | None, payment: Payment, amount_minor: int) -> None:
        assert found is not None, "what was captured had an instrument"
        self._put(payment)
        if found.kind == "voucher":
            queries.use_voucher(self._connection, instrument=found.instrument, attempt_id=None)
        else:
            queries.change_balance(self._connection, instrument=found.instrument, change_minor=amount_minor)

    def _put(self, payment: Payment) -> None:
        queries.put_payment(self._connection, **asdict(payment))

    def _move(self, kind: str, request_id: str, payment: Payment, amount_minor: int, now_us: int) -> None:
        queries.insert_movement(
            self._connection,
            kind=kind,
            attempt_id=payment.attempt_id,
            request_id=request_id,
            merchant=payment.merchant,
            instrument=payment.instrument,
            amount_minor=amount_minor,
            at_us=now_us,
        )
