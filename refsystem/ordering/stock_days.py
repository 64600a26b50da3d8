"""Which lots must be used first, and which ones are past their day: by the store's own calendar and the rules of its stock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from refsystem.ordering.stock_item import FIRST, Lot
from refsystem.ordering.store_rules import StockRules

LotState = Literal["ok", "expiring", "expired"]


@dataclass(frozen=True, slots=True)
class StockDays:
    """`today`, and the last day (both YYYYMMDD) of whose lots people are warned."""

    today: int
    warned: int

    @classmethod
    def at(cls, now: datetime, rules: StockRules) -> StockDays:
        """At `now`, the store's local time: a lot's last day is warned of `expiry_warning_s` before it begins."""
        return cls(_day(now), _day(now + timedelta(seconds=rules.expiry_warning_s)))

    def state(self, lot: Lot) -> LotState:
        """How near the end of a lot is. One that is used up, or that keeps, is `ok`; so is what was found without a lot."""
        if lot.quantity <= 0 or lot.use_by <= FIRST:
            return "ok"
        if lot.use_by < self.today:
            return "expired"
        return "expiring" if lot.use_by <= self.warned else "ok"


def _day(moment: datetime) -> int:
    return (moment.year * 100 + moment.month) * 100 + moment.day
