"""The rules against overload in virtual time: what each does, and what becomes of a store without them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_store import VirtualStore

from refsystem.overload.gate import Gate, State, Ticket
from refsystem.overload.pacing import Pace, Pacer
from refsystem.overload.priority import PRIORITIES, Priority, priority_of
from refsystem.overload.remedies import REMEDIES, Remedies, UnknownRemedy
from refsystem.overload.retry_after import SPREAD_S_MAX, retry_after_s
from refsystem.overload.settings import ServiceDelay, parse_service_delay, read_overload
from refsystem.overload.waiting_bound import INTERVAL_US, TARGET_US

DELAY = ServiceDelay(servers=4, ms=50)
CAPACITY_PER_S = 80.0
AT_THE_GATE = ("waiting_bound", "deadline", "concurrency_limit")


def storm(now_s: float) -> float:
    """Half the capacity, twice the capacity for ten seconds, then seven tenths of it."""
    return 40.0 if now_s < 5 else 160.0 if now_s < 15 else 56.0


def run(remedies: Remedies, seed: int, **settings: Any) -> VirtualStore:
    return VirtualStore(remedies, DELAY, storm, seed, **settings).run(30)


def only(*names: str) -> Remedies:
    return Remedies.without(*(name for name in REMEDIES if name not in names))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_storm_of_retries_is_ridden_out_with_the_remedies_and_outlives_its_trigger_without(seed: int) -> None:
    """The collapse is metastable: the load is back at seven tenths of the capacity, and still nobody is served."""
    with_all, without = run(Remedies(), seed), run(Remedies.without("all"), seed)
    assert with_all.served_per_s(6, 15) > 0.95 * CAPACITY_PER_S
    assert with_all.served_per_s(17, 30) > 0.9 * 56
    assert max(with_all.waits_us) < 250_000
    assert without.served_per_s(0, 5) > 0.9 * 40
    assert without.served_per_s(9, 30) < 0.02 * CAPACITY_PER_S


@pytest.mark.parametrize("remedy", AT_THE_GATE)
def test_each_rule_of_the_gate_helps_by_itself(remedy: str) -> None:
    """Half of the capacity is served in and after a storm by any one of them, where without them nothing is."""
    store = run(only(remedy), 4)
    assert store.served_per_s(9, 30) > 0.5 * CAPACITY_PER_S


def test_a_retry_budget_bounds_how_often_people_ask() -> None:
    with_budget, without = run(only("retry_budget"), 5), run(Remedies.without("all"), 5)
    assert with_budget.asked <= 3 * len(with_budget.people)
    assert without.asked > 1.8 * with_budget.asked


def test_who_pays_is_served_before_who_orders_and_who_orders_before_who_looks() -> None:
    """Of ten requests one is a payment, five are orders, and four are looks; the capacity is half of what comes."""
    kinds = [Priority.PAYMENT] + [Priority.SUBMIT] * 5 + [Priority.BROWSE] * 4

    def served(remedies: Remedies) -> list[float]:
        store = run(remedies, 6, priority=lambda number: kinds[number * 7 % 10], budget=0, retries_max=0)
        came = [person for person in store.people if 6e6 <= person.came_us < 14e6]
        return [
            sum(person.served_at_us is not None for person in came if person.priority is priority)
            / sum(person.priority is priority for person in came)
            for priority in PRIORITIES
        ]

    paid, ordered, looked = served(Remedies())
    assert paid == 1.0
    assert ordered > 0.7
    assert looked < 0.1
    alike = served(Remedies.without("priority"))
    assert max(alike) - min(alike) < 0.15


def test_when_many_are_under_way_looks_are_refused_first_and_payments_last() -> None:
    def let_in(remedies: Remedies) -> list[int]:
        gate = Gate(remedies)
        return [
            sum(gate.arrive(priority, 0).state is State.STARTED for _ in range(500))
            for priority in reversed(PRIORITIES)
        ]

    assert let_in(Remedies()) == [240, 120, 40]
    assert let_in(Remedies.without("priority")) == [400, 0, 0]
    assert let_in(Remedies.without("concurrency_limit")) == [500, 500, 0]


def test_the_limit_learns_from_what_was_served_and_not_from_a_store_that_stands_still() -> None:
    """A lost standby holds 200 orders for five seconds and refuses them; then orders are served as fast as ever."""

    def limit_after(failed: bool) -> int:
        gate, now_us = Gate(Remedies()), 0
        for _ in range(20):
            ticket = gate.arrive(Priority.SUBMIT, now_us)
            now_us += 5_000
            gate.freed(ticket, now_us, now_us)
            gate.answered(ticket, now_us)
        held = [gate.arrive(Priority.SUBMIT, now_us + number * 1_000) for number in range(250)]
        for number, ticket in enumerate(held):
            later_us = now_us + 5_000_000 + number * 20_000
            gate.freed(ticket, later_us, later_us)
            gate.answered(ticket, later_us, failed)
        return gate.limit

    assert limit_after(failed=True) == 400
    assert limit_after(failed=False) < 300


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("arrive", "arrive", "done", "tick", "abandon")),
        st.integers(0, 60_000),
        st.sampled_from(PRIORITIES),
        st.one_of(st.none(), st.integers(0, 300_000)),
    ),
    max_size=120,
)


@given(
    steps=STEPS,
    off=st.sets(st.sampled_from(REMEDIES)),
    servers=st.integers(1, 3),
    waiting_max=st.integers(1, 10),
)
def test_the_gate_refuses_nothing_that_it_has_started_and_loses_nobody(
    steps: list[tuple[str, int, Priority, int | None]], off: set[str], servers: int, waiting_max: int
) -> None:
    gate, now_us = Gate(Remedies.without(*off), servers, waiting_max), 0
    waiting: list[Ticket] = []
    at_work: list[Ticket] = []

    def note_changed() -> None:
        for ticket in gate.take_changed():
            waiting.remove(ticket)
            assert ticket.reason is None or not ticket.started_us
            if ticket.state is State.STARTED:
                at_work.append(ticket)

    for what, later_us, priority, patience_us in steps:
        now_us += later_us
        if what == "arrive":
            deadline_us = None if patience_us is None else now_us + patience_us
            ticket = gate.arrive(priority, now_us, deadline_us)
            {State.WAITING: waiting, State.STARTED: at_work, State.REFUSED: []}[ticket.state].append(ticket)
        elif what == "done" and at_work:
            done = at_work.pop(0)
            gate.freed(done, now_us, now_us)
            gate.answered(done, now_us)
        elif what == "abandon" and waiting:
            gate.abandoned(waiting.pop())
        else:
            gate.tick(now_us)
        note_changed()
        assert gate.waiting == len(waiting) <= waiting_max
        assert gate.under_way == len(waiting) + len(at_work)
        assert len(at_work) <= servers
        assert not waiting or len(at_work) == servers, "nobody waits while a server is free"
        if "priority" in off:
            assert [ticket.arrived_us for ticket in waiting] == sorted(ticket.arrived_us for ticket in waiting)
    while at_work or waiting:
        now_us += 10_000
        done = at_work.pop(0)
        gate.freed(done, now_us, now_us)
        gate.answered(done, now_us)
        note_changed()
    assert gate.under_way == 0


def test_a_line_that_stands_is_shortened_and_a_burst_is_let_wait() -> None:
    """Twenty come at once and are served one each 10 ms: a burst. Then four come each 10 ms: the line stands."""
    gate = Gate(only("waiting_bound"), servers=1)
    at_work = [gate.arrive(Priority.SUBMIT, 0)]
    refused: list[int] = []

    def serve_one(now_us: int) -> None:
        if at_work:
            gate.freed(at_work[0], now_us, now_us)
            gate.answered(at_work.pop(), now_us)
        note_changed(now_us)

    def note_changed(now_us: int) -> None:
        for ticket in gate.take_changed():
            if ticket.state is State.STARTED:
                at_work.append(ticket)
            else:
                refused.append(now_us - ticket.arrived_us)

    for _ in range(19):
        gate.arrive(Priority.SUBMIT, 0)
    for now_us in range(10_000, 250_000, 10_000):
        serve_one(now_us)
    assert refused == [], "a burst of 200 ms"
    for now_us in range(250_000, 2_000_000, 10_000):
        for _ in range(4):
            ticket = gate.arrive(Priority.SUBMIT, now_us)
            at_work += [ticket] * (ticket.state is State.STARTED)
        serve_one(now_us)
    assert len(refused) > 300
    assert max(refused) <= 2 * TARGET_US + 3 * INTERVAL_US
    assert max(refused[-50:]) <= 2 * TARGET_US + 10_000


@pytest.mark.parametrize("seed", range(3))
def test_the_pace_is_never_passed_and_leaves_ordinary_times_alone(seed: int) -> None:
    draw = random.Random(seed)
    pacer, now_us, sent = Pacer(Pace(per_s=1_000, burst=400)), 0, 0
    for _ in range(200):
        amount = draw.randint(1, 200)
        now_us += pacer.wait_us(amount, now_us) + draw.randint(0, 20_000)
        sent += amount
        assert sent <= 400 + 1_000 * now_us / 1e6 + 1
    calm = Pacer(Pace(per_s=1_000, burst=400))
    assert [calm.wait_us(200, 1_000_000 * second) for second in range(20)] == [0] * 20


@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_who_is_refused_comes_back_after_whole_seconds_the_later_the_more_are(share: float, uniform: float) -> None:
    after_s = retry_after_s(share, uniform)
    assert 1 <= after_s <= SPREAD_S_MAX
    assert after_s <= retry_after_s(1.0, uniform)
    assert retry_after_s(0.0, uniform) == 1


def test_if_half_are_refused_they_come_back_over_two_seconds_and_if_nearly_all_over_ten() -> None:
    assert {retry_after_s(0.5, uniform / 10) for uniform in range(10)} == {1, 2}
    assert {retry_after_s(0.99, uniform / 20) for uniform in range(20)} == set(range(1, 11))


def test_what_is_governed() -> None:
    assert priority_of("POST", "/v1/acts") is Priority.PAYMENT
    assert priority_of("POST", "/v1/orders") is Priority.SUBMIT
    for path in ("/v1/menu", "/v1/orders/0191", "/v1/checks", "/v1/checks/0191", "/v1/tables/7/checks"):
        assert priority_of("GET", path) is Priority.BROWSE
    for path in ("/v1/kitchen/orders/0191", "/v1/channels", "/v1/scan", "/v1/stock"):
        assert priority_of("GET", path) is Priority.BROWSE
    assert priority_of("POST", "/v1/questions") is Priority.BROWSE, (
        "every order asks them, and they learn on the event loop"
    )
    for path in ("/health", "/v1/status", "/metrics", "/v1/audit/entries", "/v1/stores/s1/downlink"):
        assert priority_of("GET", path) is None
    assert priority_of("POST", "/v1/stores/s1/uplink") is None


def test_what_is_told_of_overload_is_taken_or_refused_in_one_sentence() -> None:
    told = read_overload({"RUSHPROOF_OVERLOAD_OFF": "deadline, priority", "RUSHPROOF_SERVICE_DELAY": "servers=4,ms=50"})
    assert told.remedies == Remedies(deadline=False, priority=False)
    assert told.delay == DELAY
    assert parse_service_delay(DELAY.text()) == DELAY
    assert DELAY.orders_per_s == CAPACITY_PER_S
    assert not any(getattr(Remedies.parse("all"), name) for name in REMEDIES)
    with pytest.raises(
        UnknownRemedy, match=r"no remedy 'dedline' \(did you mean 'deadline'\?\); name some of waiting_"
    ):
        Remedies.parse("dedline")
    for text in ("4x50", "servers=0,ms=5", "servers=4,ms=nan", "servers=4,ms=50,colour=1"):
        with pytest.raises(ValueError, match=r"^RUSHPROOF_SERVICE_DELAY: must be like servers=4,ms=50,read_ms=5"):
            read_overload({"RUSHPROOF_SERVICE_DELAY": text})
