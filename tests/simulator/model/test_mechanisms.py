"""What each mechanism does, as a small evening whose every moment is known: log, kitchen, taps, doors, queues and payments.

That both engines do the same is shown elsewhere; here it is shown that what they do is right.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from known_evening import FLUSH, MS, SEED, SERVICE, S, evening, events_of, people_who, run_on

from simulator.model.draws import make_key
from simulator.model.engines import EngineName
from simulator.model.laws import RETRANSMISSION_US, delay_by_losses, transfer
from simulator.model.people import (
    BALKS,
    TENDER,
)
from simulator.model.plan import CARD, CASH, TWO, WALLET, make_plan
from simulator.model.records import ABSENT, ARRIVED, BUSY, BUSY_IN_LOAD
from simulator.model.timetable import draw_timetable, make_recipe
from simulator.model.vocabulary import ARGUMENT_BITS, CLASS_SHIFT, EDGE_A, EDGE_B, Event, Level, Outcome
from simulator.scenario import Scenario


def test_what_waits_while_the_disk_is_busy_is_committed_by_one_flush(engine: EngineName) -> None:
    run = run_on(engine, evening(), people_who([0, 1, 2, 3, 4, 5]))
    first = SERVICE + FLUSH
    assert run.column("committed_0").tolist() == [first] + [first + FLUSH] * 5
    assert run.column("told").tolist() == run.column("committed_0").tolist()
    assert events_of(run)[Event.FLUSHED] == 2 * 2, "two flushes on each of two devices"


def test_with_two_devices_a_commit_waits_for_the_way_to_the_standby_and_back_and_with_one_it_does_not(
    engine: EngineName,
) -> None:
    killed = {"fault": "process_killed", "process": "edge_b", "at_s": 4, "for_s": 15}
    scenario = evening(links={"edge_edge": {"profile": "long"}}, profiles={"long": {"latency_ms": 30}}, faults=[killed])
    plan = make_plan(scenario)
    alone = int(plan.segment_at[plan.segment[:, TWO] == 0][0])
    assert 4 * S < alone < 8 * S, "the primary goes on alone after a while"
    meant_ms = [0, alone / MS - 100, 9_000]
    run = run_on(engine, scenario, people_who(meant_ms))
    meant, told = run.column("meant"), run.column("told")
    assert told[0] == meant[0] + SERVICE + 30 * MS + FLUSH + 30 * MS
    assert told[1] == alone, "on its own disk long ago, it waits until the standby is a member no more"
    assert told[2] == meant[2] + SERVICE + FLUSH
    assert run.column("level").tolist() == [Level.R2, Level.R1, Level.R1]


def test_a_cook_makes_a_batch_in_the_time_of_its_longest_ticket(engine: EngineName) -> None:
    wok = {"name": "wok", "cooks": 1, "setup_s": 1, "item_s": 0.5, "shape": "deterministic", "batch": 3}
    scenario = evening(model={"kitchen": [wok], "disk": {"flush_ms": 0}})
    run = run_on(engine, scenario, people_who([0, 1, 2, 3, 4], ITEMS=[1, 1, 4, 2, 2]))
    first = SERVICE + 1_500 * MS
    second = first + 3_000 * MS
    assert run.column("served_0").tolist() == [first, second, second, second, second + 2_000 * MS]


def test_who_has_no_answer_in_time_taps_again_once_and_one_order_comes_of_it(engine: EngineName) -> None:
    scenario = evening(model={"impatience": {"retap_s": 0.05}})
    both = [0, 1_000]
    patient = run_on(engine, scenario, people_who(both, RETAPS=0))
    hasty = run_on(engine, scenario, people_who(both, RETAPS=[1, 0]))
    late = run_on(engine, scenario, people_who(both, RETAPS=1), retap=FLUSH + SERVICE + 1)
    assert patient.column("attempts").tolist() == late.column("attempts").tolist() == [2, 2], "a menu and an order"
    assert hasty.column("attempts").tolist() == [3, 2]
    assert hasty.servers[EDGE_A, ARRIVED] == patient.servers[EDGE_A, ARRIVED] + 1
    assert events_of(hasty)[Event.TICKET] == 2
    assert hasty.column("told").tolist() == patient.column("told").tolist()


def test_a_server_s_work_counts_as_of_the_load_up_to_its_end(engine: EngineName) -> None:
    """The second order is begun 1 ms before the load ends, and takes 4."""
    scenario, people = evening(), people_who([0, 1_000])
    whole = run_on(engine, scenario, people)
    assert whole.trace is not None
    worked = [(tick, key) for tick, key in whole.trace.tolist() if key >> CLASS_SHIFT == Event.WORKED]
    begun = max(tick for tick, key in worked if (key >> ARGUMENT_BITS) & 0xFFFFFFFF == EDGE_A) - SERVICE
    cut = run_on(engine, scenario, people, duration=begun + MS)
    assert (cut.hash, cut.rows.tolist()) == (whole.hash, whole.rows.tolist())
    for node in (EDGE_A, EDGE_B):
        orders = whole.servers[node, BUSY] // SERVICE
        assert whole.servers[node, BUSY_IN_LOAD] == whole.servers[node, BUSY] == orders * SERVICE
    assert cut.servers[EDGE_A, BUSY] - cut.servers[EDGE_A, BUSY_IN_LOAD] == SERVICE - MS


def test_who_switches_orders_again_at_the_other_door_and_others_do_not(engine: EngineName) -> None:
    errors = {"fault": "http_errors", "link": "diner_edge", "at_s": 0, "for_s": 20, "share": 1.0, "path": "/v1/orders"}
    people = people_who([0, 1, 2], REORDERS=[0, 1, 1], SWITCHES=[1, 0, 1])
    run = run_on(engine, evening(faults=[errors]), people)
    assert run.column("outcome").tolist() == [Outcome.UNANSWERED, Outcome.UNANSWERED, Outcome.SERVED]
    assert run.column("attempts").tolist() == [2, 3, 3]
    assert run.column("which")[2] == 1
    assert run.column("level")[2] == Level.RC
    assert (run.column("committed_0") == ABSENT).all()
    assert (run.column("committed_1") != ABSENT).tolist() == [False, False, True]
    assert run.servers[EDGE_A, ARRIVED] == 3 + 1, "three looks at the menu, which no error strikes, and the downlink"


def test_errors_on_the_way_strike_their_share_of_requests(engine: EngineName) -> None:
    errors = {"fault": "http_errors", "link": "diner_edge", "at_s": 0, "for_s": 20, "share": 0.3, "path": "/v1/orders"}
    count = 600
    run = run_on(engine, evening(faults=[errors]), people_who([10 * number for number in range(count)]))
    failed = int((run.column("told") == ABSENT).sum())
    print(f"seed {SEED}: {failed} of {count} failed")  # noqa: T201
    assert abs(failed - 0.3 * count) < 4.5 * math.sqrt(count * 0.3 * 0.7)
    assert run.servers[EDGE_A, ARRIVED] == 2 * count - failed


def test_who_balks_goes_when_no_table_is_free_and_stays_when_one_is(engine: EngineName) -> None:
    scenario = evening(model={"visit": "table_only", "seating": {"balk_share": 0.3}})
    people = people_who([0, 0, 0, 0, 0], AT=[0, 1, 2, 3, 2 * S], SEAT=1, BALKS=[1, 1, 1, 0, 1], DINING=S)
    run = run_on(engine, scenario, people)
    here, gone = Outcome.DINED, Outcome.BALKED
    assert run.column("outcome").tolist() == [here, here, gone, here, here]
    assert run.column("left").tolist() == [S, S + 1, 2, 2 * S, 3 * S]
    drawn = draw_timetable(
        make_recipe(evening(duration_s=60, model={"seating": {"balk_share": 0.3}})), make_key(SEED, "s1")
    )
    assert abs(drawn[:, BALKS].mean() - 0.3) < 4.5 * math.sqrt(0.3 * 0.7 / len(drawn))


def test_a_section_of_tables_opens_and_closes_and_whoever_sits_there_stays(engine: EngineName) -> None:
    terrace = {"name": "terrace", "tables": 1, "at_s": 1, "for_s": 2}
    empty = {"name": "hall", "tables": 3, "at_s": 3, "for_s": 0.5}
    people = people_who([0, 0, 0, 0, 0], AT=[0, 1, 2, 1_500 * MS, 2 * S], SEAT=1, DINING=10 * S)
    for sections, seated in (
        ([], [0, 1, 10 * S, 10 * S + 1, 20 * S]),
        ([terrace], [0, 1, S, 10 * S + 1, 11 * S]),
        ([terrace | {"for_s": None}], [0, 1, S, 10 * S, 10 * S + 1]),
        ([terrace | {"at_s": 0}], [0, 1, 2, 10 * S + 1, 10 * S + 2]),
        ([terrace, empty], [0, 1, S, 3 * S, 3 * S]),
    ):
        said = {"visit": "table_only", "seating": {"sections": sections, "patience_shape": "endless"}}
        assert run_on(engine, evening(model=said), people).column("seated").tolist() == seated


def test_the_newest_is_served_first_once_the_oldest_has_waited_too_long(engine: EngineName) -> None:
    slow = {"edge": {"workers": 1, "order_ms": 100}, "disk": {"flush_ms": 0}}
    people = people_who([1, 2, 3, 4, 5])
    turns = {}
    for lifo_ms in (None, 150):
        run = run_on(engine, evening(model=slow | {"overload": {"lifo_ms": lifo_ms}}), people)
        turns[lifo_ms] = (run.column("told") // (100 * MS)).tolist()
    assert turns == {None: [1, 2, 3, 4, 5], 150: [1, 2, 5, 4, 3]}


def _paying(**said: Any) -> Scenario:
    return evening(payments={"patience_s": 60, **said})


def test_a_declined_payment_goes_on_with_the_next_tender_down_to_cash(engine: EngineName) -> None:
    people = people_who([0, 1_000, 2_000], TENDER=[WALLET, CARD, CASH])
    fine = run_on(engine, _paying(wallet_confirm_s=0), people)
    declined = run_on(engine, _paying(wallet_confirm_s=0, misbehaviour=[{"kind": "declined", "share": 1.0}]), people)
    assert events_of(fine)[Event.GATEWAY] == 2, "cash is nothing to the gateway"
    assert events_of(declined)[Event.GATEWAY] == 2 + 1
    once = SERVICE + FLUSH
    paid = fine.column("paid") - fine.column("told")
    assert paid.tolist() == [FLUSH] * 3, "a payment is committed first"
    later = declined.column("paid") - fine.column("paid")
    again = FLUSH + S
    assert later.tolist() == [2 * again, again, 0], (
        "who looks a second after it was in the log sees it declined, and pays again"
    )
    assert (fine.column("told") == fine.column("meant") + once).all()


def test_a_wallet_waits_for_its_owner_and_a_slow_gateway_delays_every_card(engine: EngineName) -> None:
    count = 300
    people = people_who([40 * number for number in range(count)], TENDER=[WALLET, CARD, CASH] * (count // 3))
    at_once = run_on(engine, _paying(wallet_confirm_s=0), people).column("paid")
    confirmed = run_on(engine, _paying(wallet_confirm_s=3), people).column("paid") - at_once
    slow = {"kind": "slow", "share": 1.0, "ms": 400}
    delayed = run_on(engine, _paying(wallet_confirm_s=0, misbehaviour=[slow]), people).column("paid") - at_once
    wallet = people[:, TENDER] == WALLET
    mean = float(confirmed[wallet].mean()) / S
    print(f"seed {SEED}: wallets are confirmed after {mean:.2f} s")  # noqa: T201
    assert abs(mean - 3) < 4.5 * 3 / math.sqrt(wallet.sum()), "exponential: as many deviations as its mean"
    assert (confirmed[~wallet] == 0).all()
    assert delayed.tolist() == [400 * MS, 400 * MS, 0] * (count // 3)


def test_a_lost_packet_is_sent_again_after_a_time_that_doubles() -> None:
    grid = [(number + 0.5) / 100_000 for number in range(100_000)]
    assert transfer(7 * MS, 0, 8_000, 500, 0.5) == 7 * MS + 4 * MS
    times = Counter(delay_by_losses(8_000, 0, 500, 10 * MS, 0.2, u) for u in grid)
    lost = [(RETRANSMISSION_US + 10 * MS) * (2**number - 1) for number in range(7)]
    assert sorted(times) == lost
    for number, time in enumerate(lost[:-1]):
        assert times[time] / len(grid) == pytest.approx(0.2**number * 0.8, abs=2e-5)
    assert times[lost[-1]] / len(grid) == pytest.approx(0.2**6, abs=2e-5), "after six it gets through"
    assert transfer(7 * MS, 2 * MS, 0, 500, 0.0) == 5 * MS
    assert transfer(7 * MS, 2 * MS, 0, 500, 1.0) == 9 * MS


def test_each_packet_of_a_long_message_may_be_lost() -> None:
    grid = [(number + 0.5) / 10_000 for number in range(10_000)]
    times = [delay_by_losses(0, 0, 8_000, 0, 0.1, u) for u in grid]
    assert times == sorted(times, reverse=True), "the smaller the draw, the later"
    for often in (1, 2):
        late = sum(time >= RETRANSMISSION_US * (2**often - 1) for time in times)
        assert late / len(grid) == pytest.approx(1 - (1 - 0.1**often) ** 6, abs=2e-4)
    one_a_second = [delay_by_losses(0, 666_667, 3_000, 0, 0.1, u) - 2_000_001 for u in grid]
    assert sum(time > 0 for time in one_a_second) / len(grid) == pytest.approx(0.1 + 0.9 * 0.1**3, abs=2e-4), (
        "the first of two packets has a second before the last arrives"
    )
