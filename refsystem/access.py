"""Tokens that say who asks: one for each table, as its QR code holds it, and one for each member of the staff.

A token is signed with the store's own secret, so that nobody makes one up or changes the table in it. It names the store, so
that it is worth nothing in another one. A table's token is as durable as the printed code; a person's ends.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

from refsystem.ordering.errors import TOKEN_INVALID, OrderRejected

Role = Literal["diner", "waiter", "cashier", "manager", "kitchen", "stock"]
STAFF_ROLES: tuple[Role, ...] = ("waiter", "cashier", "manager", "kitchen", "stock")
TOKEN_CHARACTERS_MAX = 1_000
SCHEME = "Bearer "


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks. A diner has a `table`, and is known by nothing else."""

    role: Role
    who: str
    table: str = ""

    @property
    def is_staff(self) -> bool:
        """Whether it is no diner."""
        return self.role != "diner"


def table_token(secret: bytes, store: str, table: str) -> str:
    """The token in the QR code of `table`."""
    return _signed(secret, {"store": store, "table": table})


def staff_token(secret: bytes, store: str, who: str, role: Role, until_s: int) -> str:
    """The token of a member of the staff, good until `until_s` (Unix time)."""
    assert role in STAFF_ROLES, f"{role} is no role of the staff"
    return _signed(secret, {"store": store, "who": who, "role": role, "until_s": until_s})


def person_of(secret: bytes | None, store: str, header: str | None, now_s: int) -> Person:
    """Who sent the header `Authorization`; raises `OrderRejected` that says what is wrong with it.

    `secret` None: this device was given none, and knows nobody.
    """
    if secret is None:
        raise OrderRejected(TOKEN_INVALID, "this device has no secret to check tokens with")
    if header is None or not header.startswith(SCHEME):
        raise OrderRejected(TOKEN_INVALID, "send the table's or your own token as Authorization: Bearer TOKEN")
    said = _content(secret, header.removeprefix(SCHEME).strip())
    if said is None or said.get("store") != store:
        raise OrderRejected(TOKEN_INVALID, "this is no token of this store")
    if "table" in said:
        return Person("diner", f"table {said['table']}", str(said["table"]))
    if said.get("role") not in get_args(Role) or not isinstance(said.get("until_s"), int):
        raise OrderRejected(TOKEN_INVALID, "this is no token of this store")
    if now_s >= said["until_s"]:
        raise OrderRejected(TOKEN_INVALID, "this token has ended; sign in again")
    return Person(said["role"], f"{said['role']} {said['who']}")


def _signed(secret: bytes, said: dict[str, Any]) -> str:
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    body = base64.urlsafe_b64encode(text).decode().rstrip("=")
    return f"{body}.{_signature(secret, body)}"


def _content(secret: bytes, token: str) -> dict[str, Any] | None:
    body, _, signature = token.partition(".")
    if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
        return None
    if not hmac.compare_digest(_signature(secret, body).encode(), signature.encode()):
        return None
    try:
        said = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, binascii.Error):
        return None
    return said if isinstance(said, dict) else None


def _signature(secret: bytes, body: str) -> str:
    return hmac.new(secret, f"rushproof-token.{body}".encode(), hashlib.sha256).hexdigest()
