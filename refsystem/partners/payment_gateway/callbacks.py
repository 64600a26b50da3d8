"""When a merchant's callback is tried again."""

from __future__ import annotations

from refsystem.partners.draws import draw
from refsystem.partners.outbox import DuePost
from refsystem.partners.payment_gateway.settings import Limits

BACK_OFF_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10_800, 10_800, 10_800, 21_600, 21_600)
"""Business time between tries, as a wallet does it; then no more."""
JITTER_SHARE = 0.1


def again_after_us(post: DuePost, limits: Limits, seed: int) -> int | None:
    """How long after a try that failed; None: never."""
    if post.tries >= len(BACK_OFF_S):
        return None
    jitter = JITTER_SHARE * draw(seed, "back-off", post.event_id, post.tries)
    return int(limits.scaled_us(BACK_OFF_S[post.tries]) * (1 + jitter))
