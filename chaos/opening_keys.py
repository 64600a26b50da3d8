"""Keys of what is received before anybody orders: the same whenever it is asked for again, and known to nobody outside.

A key that can be computed without a secret could be used for an order first; and version 5 is the store's own (`parse_key`).
"""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID


def opening_key(secret: bytes, store: str, ingredient_id: str) -> str:
    """The Idempotency-Key of receiving an ingredient in a store, whose `secret` signs its tokens."""
    digest = hmac.digest(secret, f"opening stock/{store}/{ingredient_id}".encode(), hashlib.sha256)
    return str(UUID(bytes=digest[:16], version=4))
