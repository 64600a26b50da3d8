"""Payments: the gateway is asked when one is committed, and when it has captured, the check closes."""

from __future__ import annotations

from simulator.model import purposes
from simulator.model.laws import EXPONENTIAL, drawn, ticks
from simulator.model.links import FROM, PARTNER_GATEWAY, TO
from simulator.model.people import TENDER
from simulator.model.plan import CARD, CASH, GATEWAY, WALLET
from simulator.model.processes.course import Course
from simulator.model.processes.log import Log
from simulator.model.records import PAID
from simulator.model.vocabulary import ABSENT, ANSWER_BYTES, ENTRY_BYTES, Event

UNPAID, UNDER_WAY, CLOSED, DECLINED = range(4)
"""How the payment of a check stands."""


class Payments:
    """The payments of a store's diners; a payment is an entry of the log."""

    def __init__(self, course: Course, log: Log) -> None:
        self._course, self._log, self._diners = course, log, len(course.diners)
        self.states = [UNPAID] * self._diners
        self._tenders = [diner[TENDER] for diner in course.diners]
        self._payments = [0] * self._diners

    def call_gateway(self, diner: int) -> None:
        """Cash closes the check at once; else the gateway is on its way to decide."""
        course, tender, number = self._course, self._tenders[diner], self._payments[diner]
        self._payments[diner] += 1
        if tender == CASH:
            self._close(diner)
            return
        self.states[diner] = UNDER_WAY
        back = course.delivery(PARTNER_GATEWAY, TO, ENTRY_BYTES, purposes.GATEWAY, diner, 2 * number)
        back += (
            course.delivery(PARTNER_GATEWAY, FROM, ANSWER_BYTES, purposes.GATEWAY, diner, 2 * number + 1) - course.now
        )
        back += course.next_up(GATEWAY) - course.now
        slow = course.plan.slow_share
        if slow > 0.0 and course.draws.uniform(purposes.SLOW_GATEWAY, diner, number) < slow:
            back += course.plan.slow_extra
        if tender == WALLET:
            back += ticks(
                drawn(EXPONENTIAL, course.plan.confirm, 1.0, course.draws.uniform(purposes.CONFIRM, diner, number))
            )
        course.at(back, Event.GATEWAY, diner, number, lambda: self._gateway_answers(diner, number))

    def _gateway_answers(self, diner: int, number: int) -> None:
        if self._course.draws.uniform(purposes.DECLINE, diner, number) < self._course.plan.decline_share:
            self._tenders[diner] = CARD if self._tenders[diner] == WALLET else CASH
            self.states[diner] = DECLINED
            self._log.state[2 * self._diners + diner] = ABSENT
        else:
            self._close(diner)

    def _close(self, diner: int) -> None:
        self.states[diner] = CLOSED
        self._course.rows[diner][PAID] = self._course.now
