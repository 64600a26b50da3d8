"""`waiting_bound`: a queue bounded by how long requests wait in it, not by how many they are.

CoDel (Nichols and Jacobson 2012) as services use it (Maurer, "Fail at Scale", 2015): a queue in which even the oldest
request waits less than the target from time to time does its work, however long a burst makes it. One whose oldest
request never waited less than the target during an interval stands: then whoever has waited twice the target is refused.
"""

from __future__ import annotations

TARGET_US = 50_000
INTERVAL_US = 100_000


class WaitingBound:
    """The state of one queue. Tell it at every look how long the oldest request has waited (0: none waits)."""

    def __init__(self, target_us: int = TARGET_US, interval_us: int = INTERVAL_US) -> None:
        self._target_us, self._interval_us = target_us, interval_us
        self._interval_ends_us = 0
        self._least_us = 0
        self.standing = False

    def look(self, oldest_waits_us: int, now_us: int) -> None:
        """Note how long the oldest request has waited."""
        if now_us >= self._interval_ends_us:
            self.standing = self._least_us > self._target_us
            self._interval_ends_us = now_us + self._interval_us
            self._least_us = oldest_waits_us
            return
        self._least_us = min(self._least_us, oldest_waits_us)

    def refuses(self, waited_us: int) -> bool:
        """Whether a request that has waited so long is to be refused now."""
        return self.standing and waited_us > 2 * self._target_us
