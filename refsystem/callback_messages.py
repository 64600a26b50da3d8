"""How a payment gateway's callback is signed, for whoever sends (gateway) and receives (edge, cloud).

The signature covers the moment and the body, so that neither can be changed and an old callback cannot be sent anew later.
"""

from __future__ import annotations

import hashlib
import hmac

SIGNATURE_HEADER = "Rushproof-Signature"


def sign(secret: bytes, at_s: int, body: bytes) -> str:
    """The header's value for `body` sent at `at_s` (Unix time)."""
    digest = hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


def is_genuine(secret: bytes, header: str, body: bytes, now_s: int, tolerance_s: int = 300) -> bool:
    """Whether `header` is the signature of `body`, made at most `tolerance_s` from now."""
    at, _, _ = header.removeprefix("t=").partition(",")
    if not (at.isascii() and at.isdecimal() and len(at) <= 12) or abs(now_s - int(at)) > tolerance_s:
        return False
    return hmac.compare_digest(sign(secret, int(at), body).encode(), header.encode())
