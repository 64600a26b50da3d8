"""A visit, step by step: what follows when an ask is done or a lane wakes up (as `processes.visits` tells it)."""

from __future__ import annotations

from typing import Any

from simulator.model.compiled.devices import (
    IDLE,
    PAUSING,
    PAY_WAITING,
    POLLING,
    RETAPPING,
    THINKING,
    begin_ask,
    go_to,
    sleep_until,
    told,
    try_again,
)
from simulator.model.compiled.dining import leave, meal_may_be_there
from simulator.model.compiled.jit import compiled
from simulator.model.compiled.memory import (
    ATTEMPT_TIMEOUT,
    DINERS,
    L_ACTIVE,
    L_CODE,
    L_DEADLINE,
    L_DOOR,
    L_KIND,
    L_PHASE,
    L_POLLS,
    L_TOKENS_AT,
    L_VALUE,
    L_WAKES,
    L_WHICH,
    LANE_SIZE,
    LANES,
    NOW,
    P_ASKING,
    P_DECIDED,
    P_LOOKS_FROM,
    P_MEANT,
    P_PAY_DEADLINE,
    P_WHICH,
    PAY_PATIENCE,
    PEOPLE,
    PERSON_SIZE,
    POLLS_MAX,
    RETAP,
    ROWS,
    TIMETABLE,
)  # fmt: skip
from simulator.model.compiled.payments import DECLINED, UNPAID
from simulator.model.laws import NEVER
from simulator.model.people import (
    COLUMNS,
    PATIENCE,
    PICKUP,
    PLAIN,
    POLL,
    REORDERS,
    RETAPS,
    SEAT,
    SWITCHES,
    TAPS,
    TENDER,
)
from simulator.model.records import FIELDS, LEVEL, MEANT, MENU_TOLD, OUTCOME, TOLD, WHICH
from simulator.model.vocabulary import Code, Kind, Outcome

OK, DONE, ELSEWHERE, TROUBLE = int(Code.OK), int(Code.DONE), int(Code.ELSEWHERE), int(Code.TROUBLE)
TOO_LATE = int(Code.TOO_LATE)
MENU, ORDER, READ, PAY, LOOK = int(Kind.MENU), int(Kind.ORDER), int(Kind.READ), int(Kind.PAY), int(Kind.LOOK)
SERVED, UNANSWERED, REFUSED = int(Outcome.SERVED), int(Outcome.UNANSWERED), int(Outcome.REFUSED)
N_FIELDS = len(FIELDS)


@compiled
def _finish(m: Any, f: Any, number: int) -> None:
    diner = number >> 1
    if m[m[TIMETABLE] + diner * COLUMNS + SEAT] == 0:
        leave(m, f, diner)


@compiled
def _give_up(m: Any, f: Any, diner: int, code: int) -> None:
    m[m[ROWS] + diner * N_FIELDS + OUTCOME] = UNANSWERED if code == TROUBLE else REFUSED
    leave(m, f, diner)


@compiled
def _too_late(m: Any, f: Any, number: int) -> None:
    """Nothing could be sent any more: one device less; with the last the visit ends."""
    diner = number >> 1
    person = m[PEOPLE] + diner * PERSON_SIZE
    m[m[LANES] + number * LANE_SIZE + L_PHASE] = IDLE
    m[person + P_ASKING] -= 1
    if m[person + P_DECIDED] == 0 and m[person + P_ASKING] == 0:
        m[person + P_DECIDED] = 1
        _give_up(m, f, diner, TOO_LATE)


@compiled
def _submit(m: Any, f: Any, diner: int, which: int, since: int) -> None:
    """Submit an order by one device, or two."""
    wants, person = m[TIMETABLE] + diner * COLUMNS, m[PEOPLE] + diner * PERSON_SIZE
    order, deadline, own, other = 2 * diner + which, since + m[wants + PATIENCE], 2 * diner, 2 * diner + 1
    if which == 0:
        m[m[ROWS] + diner * N_FIELDS + MEANT] = since
    m[person + P_WHICH], m[person + P_DECIDED], m[person + P_ASKING] = which, 0, 1
    m[person + P_LOOKS_FROM] = since + m[wants + PICKUP]
    two = m[wants + TAPS] != PLAIN
    if two:
        m[person + P_ASKING] = 2
    first_sent = begin_ask(m, f, own, ORDER, order, deadline, which)
    second_sent = True
    if two:
        second_sent = begin_ask(m, f, other, ORDER, order, deadline, which)
    elif m[wants + RETAPS] != 0 and m[RETAP] < NEVER:
        lane = m[LANES] + other * LANE_SIZE
        m[lane + L_DEADLINE], m[lane + L_WHICH] = deadline, which
        sleep_until(m, other, RETAPPING, m[NOW] + m[RETAP])
    if not first_sent:
        _too_late(m, f, own)
    if not second_sent:
        _too_late(m, f, other)


@compiled
def _look(m: Any, f: Any, number: int) -> bool:
    """Look how the order stands; True if it is too late for this look."""
    lane, diner = m[LANES] + number * LANE_SIZE, number >> 1
    row, poll = m[ROWS] + diner * N_FIELDS, m[m[TIMETABLE] + diner * COLUMNS + POLL]
    begins = m[m[PEOPLE] + diner * PERSON_SIZE + P_LOOKS_FROM]
    deadline = begins + m[lane + L_POLLS] * poll + max(poll, m[ATTEMPT_TIMEOUT])
    return not begin_ask(m, f, number, READ, 2 * diner + m[row + WHICH], deadline, -1)


@compiled
def _look_at_check(m: Any, f: Any, number: int) -> bool:
    """Look at the check; True if patience has ended."""
    diner = number >> 1
    deadline = m[m[PEOPLE] + diner * PERSON_SIZE + P_PAY_DEADLINE]
    if m[NOW] >= deadline:
        return True
    begin_ask(m, f, number, LOOK, 2 * m[DINERS] + diner, deadline, -1)
    return False


@compiled
def _pay_later(m: Any, number: int) -> None:
    sleep_until(m, number, PAY_WAITING, m[NOW] + m[m[TIMETABLE] + (number >> 1) * COLUMNS + POLL])


@compiled
def _watched(m: Any, f: Any, number: int) -> bool:
    """No more looks: pay, if anything is to be paid here; whether all is over."""
    lane, diner = m[LANES] + number * LANE_SIZE, number >> 1
    if m[m[TIMETABLE] + diner * COLUMNS + TENDER] < 0:
        return True
    if m[lane + L_DOOR] == 1:
        go_to(m, number, 0)
        m[lane + L_TOKENS_AT] = 0
    m[m[PEOPLE] + diner * PERSON_SIZE + P_PAY_DEADLINE] = m[NOW] + m[PAY_PATIENCE]
    return _look_at_check(m, f, number)


@compiled
def _poll_on(m: Any, f: Any, number: int) -> bool:
    """Wait for the next look, or take it; whether all is over with this visit's asking."""
    lane, diner = m[LANES] + number * LANE_SIZE, number >> 1
    while m[lane + L_POLLS] < m[POLLS_MAX]:
        m[lane + L_POLLS] += 1
        begins = m[m[PEOPLE] + diner * PERSON_SIZE + P_LOOKS_FROM]
        meant = begins + m[lane + L_POLLS] * m[m[TIMETABLE] + diner * COLUMNS + POLL]
        if meant > m[NOW]:
            sleep_until(m, number, POLLING, meant)
            return False
        if not _look(m, f, number):
            return False
    return _watched(m, f, number)


@compiled
def _order_told(m: Any, f: Any, number: int) -> None:
    """One device has done with the order."""
    lane, diner = m[LANES] + number * LANE_SIZE, number >> 1
    person, row, wants = m[PEOPLE] + diner * PERSON_SIZE, m[ROWS] + diner * N_FIELDS, m[TIMETABLE] + diner * COLUMNS
    code = m[lane + L_CODE]
    m[person + P_ASKING] -= 1
    if m[person + P_DECIDED] != 0:
        return
    if code < ELSEWHERE:
        m[row + TOLD], m[row + LEVEL], m[row + WHICH] = m[NOW], m[lane + L_VALUE], m[person + P_WHICH]
        m[person + P_DECIDED], m[row + OUTCOME] = 1, SERVED
        m[person + P_LOOKS_FROM] = max(m[NOW], m[person + P_LOOKS_FROM])
        meal_may_be_there(m, diner)
        m[lane + L_POLLS] = 0
        if _poll_on(m, f, number):
            _finish(m, f, number)
    elif m[person + P_ASKING] == 0:
        m[person + P_DECIDED] = 1
        if m[person + P_WHICH] == 0 and m[wants + REORDERS] != 0 and code != TOO_LATE:
            if m[wants + SWITCHES] != 0:
                for each in (2 * diner, 2 * diner + 1):
                    go_to(m, each, 1 - m[m[LANES] + each * LANE_SIZE + L_DOOR])
            _submit(m, f, diner, 1, m[NOW])
        else:
            _give_up(m, f, diner, code)


@compiled
def _go_on(m: Any, f: Any, number: int) -> None:
    """A lane's ask is done."""
    lane, diner = m[LANES] + number * LANE_SIZE, number >> 1
    kind, code = m[lane + L_KIND], m[lane + L_CODE]
    m[lane + L_PHASE] = IDLE
    if kind == MENU:
        m[m[ROWS] + diner * N_FIELDS + MENU_TOLD] = m[NOW]
        meant = m[m[PEOPLE] + diner * PERSON_SIZE + P_MEANT]
        if m[NOW] < meant:
            sleep_until(m, number, THINKING, meant)
        else:
            _submit(m, f, diner, 0, meant)
    elif kind == ORDER:
        _order_told(m, f, number)
    elif kind == READ:
        if code == DONE:
            if _watched(m, f, number):
                _finish(m, f, number)
        elif _poll_on(m, f, number):
            _finish(m, f, number)
    elif kind == LOOK and code == DONE:
        _finish(m, f, number)
    elif kind == LOOK and code == OK and m[lane + L_VALUE] in (UNPAID, DECLINED):
        if not begin_ask(m, f, number, PAY, 2 * m[DINERS] + diner, m[lane + L_DEADLINE], -1):
            _pay_later(m, number)
    else:
        _pay_later(m, number)


@compiled
def answered(m: Any, f: Any, number: int, attempt: int, code: int, value: int) -> None:
    """An answer or a time-out reaches a lane; what comes later than the first of them is not seen."""
    lane = m[LANES] + number * LANE_SIZE
    if m[lane + L_ACTIVE] == attempt:
        m[lane + L_ACTIVE] = 0
        if told(m, f, number, code, value):
            _go_on(m, f, number)


@compiled
def wake(m: Any, f: Any, number: int, which: int) -> None:
    """A lane's moment has come."""
    lane, diner = m[LANES] + number * LANE_SIZE, number >> 1
    if m[lane + L_WAKES] != which:
        return
    phase, person = m[lane + L_PHASE], m[PEOPLE] + diner * PERSON_SIZE
    m[lane + L_PHASE] = IDLE
    if phase == PAUSING:
        if try_again(m, f, number):
            _go_on(m, f, number)
    elif phase == THINKING:
        _submit(m, f, diner, 0, m[person + P_MEANT])
    elif phase == POLLING:
        if _look(m, f, number) and _poll_on(m, f, number):
            _finish(m, f, number)
    elif phase == PAY_WAITING:
        if _look_at_check(m, f, number):
            _finish(m, f, number)
    elif phase == RETAPPING and m[person + P_DECIDED] == 0 and m[person + P_WHICH] == m[lane + L_WHICH]:
        m[person + P_ASKING] += 1
        order = 2 * diner + m[lane + L_WHICH]
        if not begin_ask(m, f, number, ORDER, order, m[lane + L_DEADLINE], m[lane + L_WHICH]):
            _go_on(m, f, number)
