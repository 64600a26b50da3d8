"""Acts on checks and payments: what a person or the store's own machines ask for, and the record that enters the log.

An act has a key of its own (P6) and a content. The content's fields are of two kinds: *given* ones, which the asker sends and
which the body's hash covers, and *derived* ones, which the rules fill in when the act is decided (a void's amount, a split's new
checks), so that the log alone says what every act did, whatever the menu says later.
"""

# ruff: noqa: RUF009 (each of these calls returns a `dataclasses.field`)

from __future__ import annotations

import dataclasses
import hashlib
import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from refsystem.ordering.errors import ACT_INVALID, OrderRejected
from refsystem.ordering.money import AMOUNT_MINOR_MAX, BASIS_POINTS
from refsystem.ordering.order import LINES_MAX, QUANTITY_MAX, TABLE_CHARACTERS_MAX
from refsystem.ordering.payment import GATEWAY_STEPS, TENDERS, RefundStep, Shares, Step, Tender

TEXT_CHARACTERS_MAX = 200
WAYS_MAX = 50
SYSTEM = "system"
_NAMESPACE = UUID("6f6b4d4a-5a3c-5d0e-9c2f-0d7a54a1c5b2")

Reader = Callable[[str, Any], Any]
LineTaken = tuple[str, int, int]
"""`(order_id, line, quantity)`; lines count from 0."""


def derived_id(of: str, what: str) -> str:
    """The id of something that follows from `of`: the same whoever makes it, so that two primaries make one."""
    return str(uuid5(_NAMESPACE, f"{of}/{what}"))


def _invalid(name: str, wanted: str) -> OrderRejected:
    return OrderRejected(ACT_INVALID, f"{name} must be {wanted}")


def _uuid(name: str, value: Any) -> str:
    try:
        return str(UUID(value if isinstance(value, str) else ""))
    except ValueError:
        raise _invalid(name, "a UUID") from None


def _text(characters_max: int, least: int = 0) -> Reader:
    def read(name: str, value: Any) -> str:
        if not isinstance(value, str) or not least <= len(value.strip()) <= len(value) <= characters_max:
            raise _invalid(name, f"a text of {least} to {characters_max} characters")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
            raise _invalid(name, "a text without control characters")
        return value

    return read


def _whole(least: int, most: int) -> Reader:
    def read(name: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise _invalid(name, f"a whole number from {least} to {most}")
        return value

    return read


def _one_of(*choices: str) -> Reader:
    def read(name: str, value: Any) -> str:
        if value not in choices:
            raise _invalid(name, f"one of {', '.join(choices)}, not {value!r}")
        return str(value)

    return read


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _invalid(name, "true or false")
    return value


def _list(of: Reader, most: int, least: int = 0) -> Reader:
    def read(name: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            raise _invalid(name, f"a list of {least} to {most}")
        return tuple(of(f"{name}[{index}]", item) for index, item in enumerate(value))

    return read


def _share(name: str, value: Any) -> tuple[str, int]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise _invalid(name, "a pair of party and amount")
    return _NAME(name, value[0]), _AMOUNT(name, value[1])


def _line_taken(name: str, value: Any) -> LineTaken:
    if isinstance(value, dict):
        value = [value.get(part) for part in ("order_id", "line", "quantity")]
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise _invalid(name, "an object of order_id, line and quantity")
    order_id, line, quantity = value
    return _uuid(f"{name}.order_id", order_id), _LINE(f"{name}.line", line), _QUANTITY(f"{name}.quantity", quantity)


_NAME, _FREE_TEXT, _REASON = _text(TABLE_CHARACTERS_MAX, 1), _text(TEXT_CHARACTERS_MAX), _text(TEXT_CHARACTERS_MAX, 1)
_AMOUNT, _SUM = _whole(1, AMOUNT_MINOR_MAX), _whole(0, AMOUNT_MINOR_MAX)
_LINE, _QUANTITY = _whole(0, LINES_MAX - 1), _whole(1, QUANTITY_MAX)


def _given(read: Reader, **default: Any) -> Any:
    return field(metadata={"read": read, "derived": False}, **default)


def _derived(read: Reader, default: Any) -> Any:
    return field(metadata={"read": read, "derived": True}, default=default)


@dataclass(frozen=True, slots=True)
class Transfer:
    """The check moves to another table."""

    check_id: str = _given(_uuid)
    table: str = _given(_NAME)


@dataclass(frozen=True, slots=True)
class Merge:
    """All of check `other_check_id` moves onto this one."""

    check_id: str = _given(_uuid)
    other_check_id: str = _given(_uuid)


@dataclass(frozen=True, slots=True)
class Split:
    """Either `lines` move to one new check, or what is due is split `ways` evenly, the first share staying here."""

    check_id: str = _given(_uuid)
    lines: tuple[LineTaken, ...] = _given(_list(_line_taken, LINES_MAX), default=())
    ways: int = _given(_whole(0, WAYS_MAX), default=0)
    new_check_ids: tuple[str, ...] = _derived(_list(_uuid, WAYS_MAX), ())
    shares_minor: tuple[int, ...] = _derived(_list(_AMOUNT, WAYS_MAX), ())


@dataclass(frozen=True, slots=True)
class Void:
    """A quantity of a line is cancelled. `discount_cut_minor` comes off its discounts, lest the total be negative."""

    check_id: str = _given(_uuid)
    order_id: str = _given(_uuid)
    line: int = _given(_LINE)
    quantity: int = _given(_QUANTITY)
    reason: str = _given(_REASON)
    amount_minor: int = _derived(_SUM, 0)
    discount_cut_minor: int = _derived(_SUM, 0)


@dataclass(frozen=True, slots=True)
class Comp:
    """A quantity of a line stays on the check, free. See `Void` for `discount_cut_minor`."""

    check_id: str = _given(_uuid)
    order_id: str = _given(_uuid)
    line: int = _given(_LINE)
    quantity: int = _given(_QUANTITY)
    reason: str = _given(_REASON)
    amount_minor: int = _derived(_SUM, 0)
    discount_cut_minor: int = _derived(_SUM, 0)


@dataclass(frozen=True, slots=True)
class GiveDiscount:
    """Money off: `amount_minor`, or `basis_points` of the total; at most what is due. `code` is a coupon's, used once."""

    check_id: str = _given(_uuid)
    reason: str = _given(_REASON)
    code: str = _given(_FREE_TEXT, default="")
    amount_minor: int = _given(_SUM, default=0)
    basis_points: int = _given(_whole(0, BASIS_POINTS), default=0)
    value_minor: int = _derived(_SUM, 0)


@dataclass(frozen=True, slots=True)
class Pay:
    """A payment attempt. Its id is the act's own key: a retry of the request is the same attempt, never a second one (P16)."""

    check_id: str = _given(_uuid)
    tender: Tender = _given(_one_of(*TENDERS))
    amount_minor: int = _given(_AMOUNT)
    given_minor: int = _given(_SUM, default=0)
    instrument: str = _given(_FREE_TEXT, default="")
    attempt_id: str = _derived(_uuid, "")
    change_minor: int = _derived(_SUM, 0)
    parties: Shares = _derived(_list(_share, 8), ())


@dataclass(frozen=True, slots=True)
class CancelPayment:
    """A person gives up an attempt that has no final outcome, or one that is stored: it is undone at the gateway."""

    attempt_id: str = _given(_uuid)
    reason: str = _given(_REASON)


@dataclass(frozen=True, slots=True)
class AcceptPayment:
    """A person takes an unverified wallet code on trust; it then counts as stored."""

    attempt_id: str = _given(_uuid)
    reason: str = _given(_REASON)


@dataclass(frozen=True, slots=True)
class GiveRefund:
    """Money back of one payment. Its id at the gateway is the act's own key. `returned` is what the parties give back first."""

    attempt_id: str = _given(_uuid)
    amount_minor: int = _given(_AMOUNT)
    reason: str = _given(_REASON)
    refund_id: str = _derived(_uuid, "")
    returned: Shares = _derived(_list(_share, 8), ())


@dataclass(frozen=True, slots=True)
class Close:
    """A person closes a check that is covered, or on which nothing is owed."""

    check_id: str = _given(_uuid)


@dataclass(frozen=True, slots=True)
class Reopen:
    """A person opens a closed check again: to give money back, or to put something on it."""

    check_id: str = _given(_uuid)
    reason: str = _given(_REASON)


@dataclass(frozen=True, slots=True)
class PaymentOutcome:
    """What became of an attempt at the gateway."""

    attempt_id: str = _given(_uuid)
    outcome: Step = _given(lambda name, value: Step(_one_of(*sorted(GATEWAY_STEPS))(name, value)))
    reference: str = _derived(_FREE_TEXT, "")
    detail: str = _derived(_FREE_TEXT, "")


@dataclass(frozen=True, slots=True)
class RefundOutcome:
    """What became of a refund; `parties_returned`: whether the parties had given back theirs when it failed."""

    refund_id: str = _given(_uuid)
    outcome: RefundStep = _given(_one_of("done", "failed"))
    parties_returned: bool = _derived(_flag, True)
    detail: str = _derived(_FREE_TEXT, "")


@dataclass(frozen=True, slots=True)
class PartiesOutcome:
    """A captured sum was split between its parties; or not, and it is all the store's."""

    attempt_id: str = _given(_uuid)
    outcome: str = _given(_one_of("done", "failed"))
    detail: str = _derived(_FREE_TEXT, "")


Content = (
    Transfer
    | Merge
    | Split
    | Void
    | Comp
    | GiveDiscount
    | Pay
    | CancelPayment
    | AcceptPayment
    | GiveRefund
    | Close
    | Reopen
    | PaymentOutcome
    | RefundOutcome
    | PartiesOutcome
)

STAFF_ACTS: dict[str, type[Content]] = {
    "transfer": Transfer,
    "merge": Merge,
    "split": Split,
    "void": Void,
    "comp": Comp,
    "discount": GiveDiscount,
    "pay": Pay,
    "cancel_payment": CancelPayment,
    "accept_payment": AcceptPayment,
    "refund": GiveRefund,
    "close": Close,
    "reopen": Reopen,
}
SYSTEM_ACTS: dict[str, type[Content]] = {
    "payment_outcome": PaymentOutcome,
    "refund_outcome": RefundOutcome,
    "parties_outcome": PartiesOutcome,
}
CHECK_ACTS = STAFF_ACTS | SYSTEM_ACTS
"""Every act of this module by its name in a record; a record with another name is none of the book's business."""
ACT_NAMES: dict[type[Content], str] = {kind: name for name, kind in CHECK_ACTS.items()}


@dataclass(frozen=True, slots=True)
class Act:
    """One act: its key, who asks for it, and what for."""

    act_id: str
    who: str
    content: Content

    @property
    def name(self) -> str:
        """Its name in the record."""
        return ACT_NAMES[type(self.content)]

    @property
    def body_hash(self) -> str:
        """Equal for equal given content under one key (P6), whoever asks."""
        text = json.dumps([self.name, self._given()], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def request_body(self) -> dict[str, Any]:
        """The body of a request that asks for it, as `parse_act` reads it."""
        return {"act": self.name, **self._given()}

    def _given(self) -> dict[str, Any]:
        fields = dataclasses.fields(self.content)
        return {each.name: getattr(self.content, each.name) for each in fields if not each.metadata["derived"]}

    def record(self, at_ms: int) -> dict[str, Any]:
        """The log record; `at_ms` is the wall clock. Decided acts only: `Book.decide` calls this."""
        envelope = {"kind": "act", "act_id": self.act_id, "act": self.name, "who": self.who, "at_ms": at_ms}
        return {**envelope, "body_hash": self.body_hash, **dataclasses.asdict(self.content)}


def parse_act(act_id: str, who: str, body: Any) -> Act:
    """The act in a request body `{"act": NAME, …given fields}`; raises `OrderRejected` that names the field.

    `act_id` is the Idempotency-Key (see `order.parse_key`), `who` the person as the server knows them, never the body's word.
    """
    if not isinstance(body, dict):
        raise OrderRejected(ACT_INVALID, "the body must be a JSON object")
    kind = STAFF_ACTS[_one_of(*STAFF_ACTS)("act", body.get("act"))]
    given = {each.name: each for each in dataclasses.fields(kind) if not each.metadata["derived"]}
    for name in body:
        if name != "act" and name not in given:
            raise OrderRejected(
                ACT_INVALID, f"{name} is no field of the act {body['act']}; it takes {', '.join(given)}"
            )
    return Act(act_id, who, _content(kind, {name: body[name] for name in body if name != "act"}, with_derived=False))


def read_act(record: dict[str, Any]) -> Act:
    """The act that a log record holds; raises `OrderRejected` when it is none of this module's, or damaged."""
    kind = CHECK_ACTS[_one_of(*CHECK_ACTS)("act", record.get("act"))]
    act_id, who = _uuid("act_id", record.get("act_id")), _FREE_TEXT("who", record.get("who"))
    return Act(act_id, who, _content(kind, record, with_derived=True))


def _content(kind: type[Content], values: dict[str, Any], with_derived: bool) -> Content:
    read: dict[str, Any] = {}
    for each in dataclasses.fields(kind):
        if each.metadata["derived"] and not with_derived:
            continue
        if each.name in values:
            read[each.name] = each.metadata["read"](each.name, values[each.name])
        elif each.default is dataclasses.MISSING:
            raise OrderRejected(ACT_INVALID, f"{each.name} is missing")
    return kind(**read)
