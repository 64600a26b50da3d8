"""The chain's own secret: who of its machines may send to the cloud and to the kitchen display, and read what they hold.

It is one text in a file, the same for the cloud, the devices, the kitchen displays and whoever audits them, sent as
`Authorization: Bearer SECRET`. People have tokens (`refsystem/access.py`); this is for processes. Where none is configured,
these routes are open, and the log says so.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request

from refsystem.access import SCHEME
from refsystem.ordering.errors import TOKEN_INVALID, OrderRejected
from refsystem.settings import CHAIN_SECRET_VARIABLE

logger = logging.getLogger(__name__)

Guard = Callable[[Request], Awaitable[None]]


def chain_headers(secret: bytes | None) -> dict[str, str]:
    """What a process of the chain sends; nothing without a secret."""
    return {} if secret is None else {"Authorization": SCHEME + secret.decode("ascii")}


def chain_guard(secret: bytes | None, what: str) -> Guard:
    """For routes that only processes of the chain may use; `what` names them in the log where there is no secret."""
    if secret is None:
        logger.warning("no %s is set: whoever reaches this port may use %s", CHAIN_SECRET_VARIABLE, what)

    async def must_know(request: Request) -> None:
        if secret is None:
            return
        said = request.headers.get("Authorization", "").encode("latin-1", "replace")
        if not hmac.compare_digest(said, SCHEME.encode() + secret):
            raise OrderRejected(
                TOKEN_INVALID, "this is for the chain's own processes: send its secret as a bearer token"
            )

    return must_know


def without_instrument(record: dict[str, Any]) -> dict[str, Any]:
    """A record for somebody whom nobody knows: `instrument` (a wallet code, a card) is a fingerprint."""
    instrument = record.get("instrument")
    if not instrument:
        return record
    return {**record, "instrument": f"sha256:{hashlib.sha256(str(instrument).encode()).hexdigest()[:16]}"}
