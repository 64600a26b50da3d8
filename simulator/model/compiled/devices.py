"""A diner's devices (lanes): attempts, rounds and pauses, as `processes.devices` has them."""

from __future__ import annotations

from typing import Any

from simulator.model import purposes
from simulator.model.compiled.calendar import at, draw, fails_on_its_way, given_up_at, time_out_at, trip
from simulator.model.compiled.gate import gate_request
from simulator.model.compiled.jit import compiled, inlined
from simulator.model.compiled.memory import (
    ATTEMPT_TIMEOUT,
    ATTEMPTS_MAX,
    BACKOFF,
    BACKOFF_MAX,
    BUDGET_LEFT,
    G_STATE,
    G_USEFUL,
    GATED,
    GATED_SIZE,
    GATES,
    L_ACTIVE,
    L_ATTEMPTS,
    L_CODE,
    L_DEADLINE,
    L_DOOR,
    L_HINTED,
    L_ITEM,
    L_KIND,
    L_NODE,
    L_PHASE,
    L_ROUND,
    L_TOKENS_AT,
    L_VALUE,
    L_WAKES,
    L_WHICH,
    LANE_SIZE,
    LANES,
    MANNERS,
    NOW,
    R_ATTEMPT,
    R_KIND,
    R_NODE,
    REQUEST_SIZE,
    REQUESTS,
    RETRY_BUDGET,
    RETRY_BURST,
    ROWS,
    TIMETABLE,
)  # fmt: skip
from simulator.model.compiled.server import answer, arrive, new_request
from simulator.model.laws import NEVER, longer, pause
from simulator.model.links import DINER_CLOUD, DINER_EDGE, TO
from simulator.model.overload import (
    COME_BACK_SPREAD,
    HAS_BUDGET,
    NOT_SAID,
    RECONNECT_SPREAD,
    SAYS_DEADLINE,
    SPREADS_COME_BACK,
    SPREADS_RECONNECT,
    TOKEN_US,
    TOKENS,
)
from simulator.model.people import COLUMNS, FIRST_EDGE
from simulator.model.records import ATTEMPTS, FIELDS, TOLD, WHICH
from simulator.model.vocabulary import A_REPLY, CLOUD, NO_REPLY, REQUEST_BYTES, Code, Event, Kind

IDLE, ASKING, PAUSING, THINKING, POLLING, PAY_WAITING, RETAPPING = range(7)
"""What a lane is at: waiting for an answer, or for a waking and then: the next round, the order, a look, a look at the check, the
second tap."""
TOO_LATE, ELSEWHERE, TROUBLE = int(Code.TOO_LATE), int(Code.ELSEWHERE), int(Code.TROUBLE)
FENCED = int(Code.FENCED)
ORDER = int(Kind.ORDER)
E_REQUEST, E_WAKE = int(Event.REQUEST), int(Event.WAKE)
N_FIELDS = len(FIELDS)


@compiled
def sleep_until(m: Any, number: int, phase: int, tick: int) -> None:
    """A lane waits for a moment."""
    lane = m[LANES] + number * LANE_SIZE
    m[lane + L_WAKES] += 1
    m[lane + L_PHASE] = phase
    at(m, tick, E_WAKE, number, m[lane + L_WAKES], 0)


@compiled
def go_to(m: Any, number: int, door: int) -> None:
    """A lane uses this door from now on."""
    lane = m[LANES] + number * LANE_SIZE
    m[lane + L_DOOR] = door
    m[lane + L_NODE] = CLOUD if door == 1 else m[m[TIMETABLE] + (number >> 1) * COLUMNS + FIRST_EDGE]


@inlined
def has_yes(m: Any, diner: int, which: int) -> bool:
    """Whether this order of a diner was told yes."""
    row = m[ROWS] + diner * N_FIELDS
    return bool(m[row + TOLD] >= 0 and m[row + WHICH] == which)


@compiled
def attempt(m: Any, f: Any, number: int, hinted: int) -> bool:
    """Send one request; False if it is too late."""
    lane = m[LANES] + number * LANE_SIZE
    left = m[lane + L_DEADLINE] - m[NOW]
    if left <= 0:
        return False
    m[lane + L_ATTEMPTS] += 1
    m[m[ROWS] + (number >> 1) * N_FIELDS + ATTEMPTS] += 1
    which, node = m[lane + L_ATTEMPTS], m[lane + L_NODE]
    m[lane + L_ACTIVE], m[lane + L_HINTED], m[lane + L_PHASE] = which, hinted, ASKING
    until = m[NOW] + min(left, m[ATTEMPT_TIMEOUT])
    link = DINER_CLOUD if node == CLOUD else DINER_EDGE
    arrives = trip(m, f, link, TO, REQUEST_BYTES, purposes.REQUEST_TRIP, number, which)
    if arrives < NEVER:
        request = new_request(m, m[lane + L_KIND], number, which, m[lane + L_ITEM], until, node, 1)
        if m[GATES] != 0:
            g = m[GATED] + request * GATED_SIZE
            m[g + G_STATE], m[g + G_USEFUL] = 0, NOT_SAID
            if m[MANNERS] & SAYS_DEADLINE:
                m[g + G_USEFUL] = (until - m[NOW]) // 1_000 * 1_000
        at(m, arrives, E_REQUEST, number, which, request)
    time_out_at(m, given_up_at(m, link, until), number, which)
    return True


@compiled
def begin_ask(m: Any, f: Any, number: int, kind: int, item: int, deadline: int, which: int) -> bool:
    """Begin to ask; False if it is too late for any attempt, and so done."""
    lane = m[LANES] + number * LANE_SIZE
    m[lane + L_KIND], m[lane + L_ITEM], m[lane + L_DEADLINE], m[lane + L_WHICH] = kind, item, deadline, which
    m[lane + L_ROUND], m[lane + L_CODE], m[lane + L_VALUE] = 0, TOO_LATE, 0
    if m[RETRY_BUDGET] >= 0:
        m[BUDGET_LEFT] = min(m[RETRY_BURST], m[BUDGET_LEFT] + m[RETRY_BUDGET])
    return attempt(m, f, number, 0)


@compiled
def request_arrives(m: Any, f: Any, number: int, request: int) -> None:
    """A device's request reaches the end of its link."""
    r = m[REQUESTS] + request * REQUEST_SIZE
    link = DINER_CLOUD if m[r + R_NODE] == CLOUD else DINER_EDGE
    if fails_on_its_way(m, f, link, m[r + R_KIND] == ORDER, purposes.HTTP_ERROR, number, m[r + R_ATTEMPT]):
        answer(m, f, request, TROUBLE, A_REPLY)
    elif m[GATES] != 0:
        gate_request(m, f, request)
    else:
        arrive(m, f, request)


@compiled
def _takes_token(m: Any, lane: int) -> bool:
    """Whether this device may ask again; a token is spent. To be sent on to the primary is no retry."""
    if m[lane + L_CODE] == ELSEWHERE or m[lane + L_CODE] == FENCED:
        return True
    if m[lane + L_TOKENS_AT] - m[NOW] > (TOKENS - 1) * TOKEN_US:
        return False
    m[lane + L_TOKENS_AT] = max(m[lane + L_TOKENS_AT], m[NOW]) + TOKEN_US
    return True


@compiled
def _next_round(m: Any, number: int) -> bool:
    lane = m[LANES] + number * LANE_SIZE
    following = m[lane + L_ROUND] + 1
    if following >= m[ATTEMPTS_MAX]:
        return True
    if m[MANNERS] & HAS_BUDGET and not _takes_token(m, lane):
        return True
    u = draw(m, purposes.BACKOFF, number, m[lane + L_ATTEMPTS])
    code, value = m[lane + L_CODE], m[lane + L_VALUE]
    time = pause(following, m[BACKOFF], m[BACKOFF_MAX], value if value > A_REPLY else 0, u)
    if code == TROUBLE and value == NO_REPLY and m[MANNERS] & SPREADS_RECONNECT:
        time = longer(time, RECONNECT_SPREAD, draw(m, purposes.SPREAD, number, m[lane + L_ATTEMPTS]))
    elif value > A_REPLY and m[MANNERS] & SPREADS_COME_BACK:
        time = longer(time, COME_BACK_SPREAD, draw(m, purposes.SPREAD, number, m[lane + L_ATTEMPTS]))
    wakes_at = m[NOW] + time
    if wakes_at >= m[lane + L_DEADLINE]:
        return True
    if m[RETRY_BUDGET] >= 0:
        if m[BUDGET_LEFT] < 1_000:
            return True
        m[BUDGET_LEFT] -= 1_000
    m[lane + L_ROUND] = following
    sleep_until(m, number, PAUSING, wakes_at)
    return False


@compiled
def told(m: Any, f: Any, number: int, code: int, value: int) -> bool:
    """An answer, or a time-out; whether the ask is done."""
    lane = m[LANES] + number * LANE_SIZE
    m[lane + L_CODE], m[lane + L_VALUE] = code, value
    if code == ELSEWHERE and m[lane + L_HINTED] == 0 and value != m[lane + L_NODE]:
        m[lane + L_NODE] = value
        if attempt(m, f, number, 1):
            return False
    if code < ELSEWHERE:
        return True
    if (code < TROUBLE or (code == TROUBLE and value == NO_REPLY)) and m[lane + L_DOOR] == 0:
        m[lane + L_NODE] = 1 - m[lane + L_NODE]
    return _next_round(m, number)


@compiled
def try_again(m: Any, f: Any, number: int) -> bool:
    """A pause is over; whether the ask is done all the same."""
    lane = m[LANES] + number * LANE_SIZE
    if m[lane + L_WHICH] >= 0 and has_yes(m, number >> 1, m[lane + L_WHICH]):
        return True
    return not attempt(m, f, number, 0)
