"""Payments: the gateway is asked when one is committed, and when it has captured, the check closes."""

from __future__ import annotations

from typing import Any

from simulator.model import purposes
from simulator.model.compiled.calendar import at, delivery, draw, next_up, random_time
from simulator.model.compiled.jit import compiled
from simulator.model.compiled.memory import (
    CONFIRM,
    DECLINE_SHARE,
    DINERS,
    I_STATE,
    ITEM_SIZE,
    ITEMS_STATE,
    NOW,
    P_PAYMENT,
    P_PAYMENTS,
    P_TENDER,
    PEOPLE,
    PERSON_SIZE,
    ROWS,
    SLOW_EXTRA,
    SLOW_SHARE,
)
from simulator.model.laws import EXPONENTIAL
from simulator.model.links import FROM, PARTNER_GATEWAY, TO
from simulator.model.plan import CARD, CASH, GATEWAY, WALLET
from simulator.model.records import FIELDS, PAID
from simulator.model.vocabulary import ABSENT, ANSWER_BYTES, ENTRY_BYTES, Event

UNPAID, UNDER_WAY, CLOSED, DECLINED = range(4)
"""How the payment of a check stands."""
E_GATEWAY = int(Event.GATEWAY)
N_FIELDS = len(FIELDS)


@compiled
def close_check(m: Any, diner: int) -> None:
    """A check is paid."""
    m[m[PEOPLE] + diner * PERSON_SIZE + P_PAYMENT] = CLOSED
    m[m[ROWS] + diner * N_FIELDS + PAID] = m[NOW]


@compiled
def call_gateway(m: Any, f: Any, diner: int) -> None:
    """Cash closes the check at once; else the gateway is on its way to decide."""
    person = m[PEOPLE] + diner * PERSON_SIZE
    number = m[person + P_PAYMENTS]
    m[person + P_PAYMENTS] += 1
    if m[person + P_TENDER] == CASH:
        close_check(m, diner)
        return
    m[person + P_PAYMENT] = UNDER_WAY
    back = delivery(m, f, PARTNER_GATEWAY, TO, ENTRY_BYTES, purposes.GATEWAY, diner, 2 * number)
    back += delivery(m, f, PARTNER_GATEWAY, FROM, ANSWER_BYTES, purposes.GATEWAY, diner, 2 * number + 1) - m[NOW]
    back += next_up(m, GATEWAY) - m[NOW]
    if f[SLOW_SHARE] > 0.0 and draw(m, purposes.SLOW_GATEWAY, diner, number) < f[SLOW_SHARE]:
        back += m[SLOW_EXTRA]
    if m[person + P_TENDER] == WALLET:
        back += random_time(m, EXPONENTIAL, f[CONFIRM], 1.0, purposes.CONFIRM, diner, number)
    at(m, back, E_GATEWAY, diner, number, 0)


@compiled
def gateway_answers(m: Any, f: Any, diner: int, number: int) -> None:
    """The payment gateway has decided."""
    person = m[PEOPLE] + diner * PERSON_SIZE
    if draw(m, purposes.DECLINE, diner, number) < f[DECLINE_SHARE]:
        m[person + P_TENDER] = CARD if m[person + P_TENDER] == WALLET else CASH
        m[person + P_PAYMENT] = DECLINED
        m[m[ITEMS_STATE] + (2 * m[DINERS] + diner) * ITEM_SIZE + I_STATE] = ABSENT
    else:
        close_check(m, diner)
