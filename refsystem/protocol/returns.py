"""Which orders may still come back from the cloud after the glass was broken (P19), so that none is "not there" yet.

The branch that was left may stand in the cloud; or the cloud has set it aside already for a fork whose record never came, and
gave its orders numbers. Only when the cloud has followed the newest fork, and all that had a number there by then has come
down, is an order that the log lacks not there.
"""

from __future__ import annotations

from dataclasses import dataclass

from refsystem.protocol.log import Log


@dataclass(frozen=True, slots=True)
class DownlinkQuestion:
    """A primary's question for the orders behind number `after`.

    `epoch` is the primary's; `followed_seq` is how far of its log the cloud was known to hold when it was asked.
    """

    epoch: int
    after: int
    followed_seq: int


class Returns:
    """What one primary knows of them. It begins anew with each time that it becomes primary: `forget`."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._last_number: int | None = None

    @property
    def outstanding(self) -> bool:
        """Whether the cloud may hold an order that this log lacks and will hand down."""
        if not self._log.forks:
            return False
        return self._last_number is None or self._log.downlink_cursor < self._last_number

    def answered(self, question: DownlinkQuestion, epoch: int, last_number: int) -> None:
        """The cloud told the last number that it has given: what it sends back is among them if it had followed the fork."""
        forks = self._log.forks
        followed = question.epoch == epoch and (not forks or question.followed_seq >= forks[-1].seq)
        if followed and self._last_number is None:
            self._last_number = last_number

    def forget(self) -> None:
        """This device stopped being primary."""
        self._last_number = None
