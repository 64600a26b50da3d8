"""The seam between the load and whatever ordering system is driven: requests go out, replies come back as answers.

An adapter is an `OrderingApi`: it turns what a diner wants into an HTTP request, and a reply into an `Answer` whose
outcome is one of three. It does no I/O. `ReferenceApi` is the adapter of the reference stack; another system's
adapter is named in `load.json` as "module:Class".

What counts as which outcome decides what the audit may conclude, so it is strict:

- `ok`: a 2xx that can be read and is about this order.
- `fail`: it definitely did not happen. A 4xx (429 too: it was turned away), a 503 whose problem type is known to be
  definite, or a connection that was never made, so that not one byte of the request left (`Trouble.sent` is false).
- `indefinite`: everything else. A time-out or a reset after the first byte, any other 5xx, a redirect, an unreadable
  reply.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast, runtime_checkable

from refsystem.ordering.check_acts import Act
from refsystem.ordering.errors import NOT_PRIMARY, PROBLEMS, TYPE_PREFIX
from refsystem.ordering.order import Order
from refsystem.ordering.store_acts import StoreAct
from simulator.history import Door, Kind, Level, Outcome

LEVELS: tuple[Level, ...] = ("R2", "R1", "RC")
IDENTITIES: Mapping[str, str] = {"act": "act_id", "check": "check_id"}
"""The field of a reply that says what it is about; of orders it is `order_id`."""
ASKED_AGAIN_4XX = frozenset({408, 425, 429})
"""The client errors that speak of the moment, not of the request."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, without the place that it goes to. `path` begins with a slash."""

    method: Literal["GET", "POST"]
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP reply. The names in `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Trouble:
    """No complete reply came. `sent` is false only if it is sure that not one byte of the request was sent."""

    problem: Literal[
        "connection-refused", "connect-timeout", "connect-failed", "timeout", "connection-lost", "reply-unreadable"
    ]
    sent: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client was told.

    `problem` is the slug of one of our problems, a foreign problem's type as sent, or the trouble of the transport. `check` is
    what a look at a check, or of the staff at something else, has shown, `result` what an act has made (of a split:
    `new_check_ids`).
    """

    outcome: Outcome
    status: int | None = None
    problem: str | None = None
    level: Level | None = None
    node_id: str | None = None
    epoch: int | None = None
    seq: int | None = None
    served: bool = False
    primary_hint: str | None = None
    total_minor: int | None = None
    retry_after_ms: int | None = None
    check: Mapping[str, Any] | None = None
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asks_again(self) -> bool:
        """Whether asking again may give another answer; False for a yes and for a refusal of the request itself."""
        if self.outcome == "ok":
            return False
        return self.status is None or self.status >= 500 or self.status < 400 or self.status in ASKED_AGAIN_4XX

    @property
    def elsewhere(self) -> bool:
        """Whether to try the other device next: this one is not the primary, or is not to be reached."""
        return self.outcome != "ok" and (self.status is None or self.problem == NOT_PRIMARY.slug)


class OrderingApi(Protocol):
    """What an ordering system must offer to be driven: a menu, orders under a key, and reads of an order."""

    def menu(self, door: Door, store: str) -> Request:
        """The request for the menu of `store`."""
        ...

    def order(self, door: Door, store: str, order: Order) -> Request:
        """The request that submits `order`; sent again, unchanged, for every retry."""
        ...

    def read(self, door: Door, store: str, order_id: str) -> Request:
        """The request that asks how an order stands."""
        ...

    def answer(self, kind: Kind, order_id: str, reply: Reply) -> Answer:
        """What `reply` to a request of `kind` about `order_id` tells the client. Must not raise, whatever came."""
        ...


@runtime_checkable
class PayingApi(Protocol):
    """What an ordering system must offer besides if its checks are to be paid. `token` says who asks."""

    def check(self, check_id: str, token: str) -> Request:
        """The request that asks how a check stands."""
        ...

    def act(self, act: Act | StoreAct, token: str) -> Request:
        """The request that submits `act`; sent again, unchanged, for every retry."""
        ...


@runtime_checkable
class CheckApi(PayingApi, Protocol):
    """What an ordering system must offer besides if several orders are put on one check, which is split, merged and changed."""

    def order_on(self, store: str, order: Order, token: str) -> Request:
        """The request that submits `order` at the edge, on the check that it names; sent again, unchanged, for every retry."""
        ...


@runtime_checkable
class StaffApi(PayingApi, Protocol):
    """What an ordering system must offer besides if its staff do errands: looks whose replies are like the reference stack's."""

    def open_checks(self, token: str) -> Request:
        """The request that asks for all open checks, with their lines."""
        ...

    def kitchen_order(self, order_id: str, token: str) -> Request:
        """The request that asks for the tickets of an order."""
        ...

    def stock(self, token: str) -> Request:
        """The request that asks what there is of every ingredient."""
        ...


class ReferenceApi:
    """The adapter of the reference stack."""

    def menu(self, door: Door, store: str) -> Request:
        """`GET /v1/menu`."""
        return Request("GET", "/v1/menu")

    def order(self, door: Door, store: str, order: Order) -> Request:
        """`POST /v1/orders` under the header `Idempotency-Key`; the cloud is also told the store."""
        body: dict[str, Any] = {
            "channel": order.channel,
            "table": order.table,
            "items": [{"item_id": item_id, "quantity": quantity} for item_id, quantity in order.items],
            "total_minor": order.total_minor,
            "note": order.note,
        }
        if order.pickup_at_s:
            body["pickup_at_s"] = order.pickup_at_s
        if door == "cloud":
            body["store"] = store
        if order.check_id:
            body["check_id"] = order.check_id
        headers = {"Content-Type": "application/json", "Idempotency-Key": order.order_id}
        return Request("POST", "/v1/orders", headers, json.dumps(body, ensure_ascii=False).encode())

    def order_on(self, store: str, order: Order, token: str) -> Request:
        """As `order`, with the token of the table or of a waiter."""
        request = self.order("edge", store, order)
        return dataclasses.replace(request, headers={**request.headers, "Authorization": f"Bearer {token}"})

    def read(self, door: Door, store: str, order_id: str) -> Request:
        """`GET /v1/orders/{order_id}`."""
        return Request("GET", f"/v1/orders/{order_id}")

    def check(self, check_id: str, token: str) -> Request:
        """`GET /v1/checks/{check_id}`."""
        return Request("GET", f"/v1/checks/{check_id}", {"Authorization": f"Bearer {token}"})

    def act(self, act: Act | StoreAct, token: str) -> Request:
        """`POST /v1/acts` under the header `Idempotency-Key`."""
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": act.act_id,
            "Authorization": f"Bearer {token}",
        }
        body = act.request_body() if isinstance(act, Act) else act.body
        return Request("POST", "/v1/acts", headers, json.dumps(body, ensure_ascii=False).encode())

    def open_checks(self, token: str) -> Request:
        """`GET /v1/checks`."""
        return Request("GET", "/v1/checks", {"Authorization": f"Bearer {token}"})

    def kitchen_order(self, order_id: str, token: str) -> Request:
        """`GET /v1/kitchen/orders/{order_id}`."""
        return Request("GET", f"/v1/kitchen/orders/{order_id}", {"Authorization": f"Bearer {token}"})

    def stock(self, token: str) -> Request:
        """`GET /v1/stock`."""
        return Request("GET", "/v1/stock", {"Authorization": f"Bearer {token}"})

    def answer(self, kind: Kind, order_id: str, reply: Reply) -> Answer:
        """As `classify` says."""
        return classify(kind, order_id, reply)


def classify(kind: Kind, identity: str, reply: Reply) -> Answer:
    """What a reply of the reference stack tells the client; see the module's text for the three outcomes.

    `identity` is the id of the order, the act or the check that was asked about.
    """
    if 200 <= reply.status < 300:
        return Answer("ok", reply.status) if kind == "menu" else _told_yes(kind, identity, reply)
    document = _json_object(reply.body) or {}
    problem_type = document.get("type")
    known = PROBLEMS.get(problem_type) if isinstance(problem_type, str) else None
    definite = 400 <= reply.status < 500 or (reply.status == 503 and known is not None and known.definite)
    return Answer(
        outcome="fail" if definite else "indefinite",
        status=reply.status,
        problem=_slug(problem_type, reply.status),
        primary_hint=_text(document.get("primary_hint")),
        retry_after_ms=_retry_after_ms(reply.headers.get("retry-after")),
    )


def answer_to_trouble(trouble: Trouble) -> Answer:
    """What a client knows that got no complete reply: nothing happened if nothing was sent, else nothing is known."""
    return Answer("indefinite" if trouble.sent else "fail", problem=trouble.problem)


def load_api(name: str) -> OrderingApi:
    """The adapter called "module:Class"; raises `ValueError` that names it if there is none."""
    module_name, _, class_name = name.partition(":")
    try:
        made = getattr(importlib.import_module(module_name), class_name)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"adapter {name!r}: not a class that can be made as module:Class ({error})") from error
    return cast(OrderingApi, made)


def _told_yes(kind: Kind, identity: str, reply: Reply) -> Answer:
    document = _json_object(reply.body)
    if document is None:
        return Answer("indefinite", reply.status, "reply-unreadable")
    if kind == "look":
        return Answer("ok", reply.status, check=document)
    if document.get(IDENTITIES.get(kind, "order_id")) != identity:
        return Answer("indefinite", reply.status, "reply-about-another-order")
    if kind == "check":
        return Answer("ok", reply.status, check=document)
    level, result = document.get("level"), document.get("result")
    return Answer(
        outcome="ok",
        status=reply.status,
        level=cast(Level, level) if level in LEVELS else None,
        node_id=_text(document.get("node_id")),
        epoch=_integer(document.get("epoch")),
        seq=_integer(document.get("seq")),
        served=document.get("status") == "served",
        total_minor=_integer(document.get("total_minor")),
        result=result if isinstance(result, dict) else {},
    )


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _slug(problem_type: object, status: int) -> str:
    if not isinstance(problem_type, str):
        return f"http-{status}"
    return problem_type.removeprefix(TYPE_PREFIX)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _retry_after_ms(header: str | None) -> int | None:
    try:
        return max(0, round(float(header or "") * 1000))
    except (ValueError, OverflowError):  # an HTTP date, which nobody here sends, is passed over like no header
        return None
