"""What was ordered at each table lately: the same from another phone there is asked about. Forgotten with the process."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from refsystem.ordering.order import Order
from refsystem.ordering.order_guards import EarlierOrder

KEPT_MAX = 500
"""More than a store takes within the minute that the guards look back; the oldest go first."""


@dataclass(frozen=True, slots=True)
class _Taken:
    at_s: float
    order: Order


class RecentOrders:
    """The last orders that this device has acknowledged. Times are any clock's that never goes back, in seconds."""

    def __init__(self) -> None:
        self._taken: deque[_Taken] = deque(maxlen=KEPT_MAX)

    def note(self, order: Order, now_s: float) -> None:
        """`order` was acknowledged, for the first time. Those of no table are different people's."""
        if order.table:
            self._taken.append(_Taken(now_s, order))

    def at(self, table: str, now_s: float, within_s: float) -> tuple[EarlierOrder, ...]:
        """The orders of the last `within_s` at `table`, the latest first."""
        return tuple(
            EarlierOrder(taken.order.order_id, taken.order.items, int(now_s - taken.at_s))
            for taken in reversed(self._taken)
            if taken.order.table == table and now_s - taken.at_s <= within_s
        )
