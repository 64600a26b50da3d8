"""What must add up on every evening, whatever its figures are: nobody and nothing comes or goes unseen.

Each identity holds to the tick on every path, so random scenarios, faults and remedies included, are held to it.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from drawn_scenarios import drawn_scenario

from simulator.model.draws import make_key
from simulator.model.engines import EngineName, engine_of
from simulator.model.people import DOOR, ITEMS, SEAT, SEAT_PATIENCE
from simulator.model.plan import CONDITION, Plan, make_plan
from simulator.model.platforms import AT_PLATFORM
from simulator.model.records import ABSENT, ARRIVED, BUSY, BUSY_IN_LOAD, DONE, DROPPED, REFUSED, STAYED, WAITED, Run
from simulator.model.timetable import Integers, draw_timetable, make_recipe
from simulator.model.vocabulary import ARGUMENT_MAX, CLASS_SHIFT, COOK_BITS, NODES, Event, Outcome
from simulator.scenario import Scenario, load_scenario, shipped_scenarios

COMPLETED = (Outcome.SERVED, Outcome.DINED)
GONE = (Outcome.BALKED, Outcome.RENEGED)
LOST = (Outcome.REFUSED, Outcome.UNANSWERED, Outcome.EXPIRED, Outcome.CANCELLED)
DRAWN = 20


def _evening(scenario: Scenario, engine: EngineName) -> tuple[Plan, Integers, Run]:
    key, plan = make_key(scenario.seed, scenario.stores[0].name), make_plan(scenario)
    people = draw_timetable(make_recipe(scenario), key)
    return plan, people, engine_of(engine)(plan, people, key, traced=True)  # type: ignore[call-arg]


def _hold_diners(people: Integers, run: Run, events: Counter[int]) -> None:
    """Arrivals = completed + balked + reneged + lost + inside, each with the moments that go with it."""
    outcome, at, left, seated = (run.column(name) for name in ("outcome", "at", "left", "seated"))
    completed, gone, lost = (np.isin(outcome, kinds) for kinds in (COMPLETED, GONE, LOST))
    assert events[Event.ARRIVAL] == len(run.rows) == completed.sum() + gone.sum() + lost.sum(), "nobody is left inside"
    assert (left != ABSENT).all()
    assert (left >= at).all()
    assert (left[outcome == Outcome.BALKED] == at[outcome == Outcome.BALKED]).all()
    reneged = outcome == Outcome.RENEGED
    assert (left[reneged] - at[reneged] == people[reneged, SEAT_PATIENCE]).all()
    came_in = ~gone & (people[:, DOOR] != AT_PLATFORM)
    assert ((seated >= at) == came_in)[people[:, DOOR] != AT_PLATFORM].all()
    assert ((run.column("told") != ABSENT) == (outcome == Outcome.SERVED))[came_in].all()
    sent = int(run.column("attempts")[people[:, DOOR] != AT_PLATFORM].sum())
    assert (run.column("wanted_table") == people[:, SEAT]).all()
    assert events[Event.TIMEOUT] == sent >= events[Event.REQUEST] >= events[Event.ANSWER]


def _steps(*changes: tuple[Integers, int]) -> tuple[Integers, Integers]:
    """A number over time, of (ticks, how much more there are from then on): each tick of a change, and the number after it."""
    ticks = np.concatenate([at for at, _ in changes])
    by = np.concatenate([np.full(len(at), more) for at, more in changes])
    moments, place = np.unique(ticks, return_inverse=True)
    return moments, np.cumsum(np.bincount(place, weights=by, minlength=len(moments)).astype(np.int64))


def _hold_tables(plan: Plan, people: Integers, run: Run) -> bool:
    """Nobody sits down where all tables are taken, and while anybody waits, all are. Whether anybody did."""
    parties = people[:, SEAT] == 1
    if not parties.any():
        return False
    at, seated, left = (run.column(name)[parties] for name in ("at", "seated", "left"))
    sat = seated != ABSENT
    waits = (run.column("outcome")[parties] == Outcome.RENEGED) | sat
    ends = np.where(sat, seated, left)
    always = [(np.concatenate([at[waits], ends[waits], seated[sat], left[sat], plan.tables_at]), 0)]
    moments, sitting = _steps((seated[sat], 1), (left[sat], -1), *always)
    waiting = _steps((at[waits], 1), (ends[waits], -1), *always)[1]
    sections = [(plan.tables_at[[number]], int(more)) for number, more in enumerate(plan.tables_more)]
    tables = plan.tables + _steps(*sections, *always)[1]
    assert sitting[-1] == waiting[-1] == 0
    assert waiting.max() <= plan.table_queue_max
    someone_sits_down = np.isin(moments, seated[sat])
    assert (sitting <= tables)[someone_sits_down].all()
    assert (sitting >= tables)[waiting > 0].all()
    assert int((sitting[:-1] * np.diff(moments)).sum()) == (left - seated)[sat].sum()
    return bool(waiting.max() > 0)


def _hold_kitchen(plan: Plan, people: Integers, run: Run) -> None:
    """Every ticket that is shown is cooked once at each of its stations, by a cook who is there, and ends with the last."""
    assert run.trace is not None
    keys = run.trace[:, 1]
    cooked = keys >> CLASS_SHIFT == Event.COOKED
    station = (keys[cooked] & ARGUMENT_MAX) >> COOK_BITS
    shown, served = (
        np.concatenate([run.column(f"{name}_{which}") for which in (0, 1)]) for name in ("shown", "served")
    )
    items = np.concatenate([people[:, ITEMS:], people[:, ITEMS:]])[shown != ABSENT]
    assert ((shown != ABSENT) == (served != ABSENT)).all()
    there = shown != ABSENT
    assert (served[there] >= shown[there]).all()
    empty = (items[:, : plan.stations] == 0).all(axis=1)
    assert np.isin(served[there][~empty], run.trace[cooked, 0]).all()
    for number in range(plan.stations):
        tickets, batches = int((items[:, number] > 0).sum()), int((station == number).sum())
        largest = int(plan.batch[number]) if plan.cooks[number] else 1
        assert -(-tickets // largest) <= batches <= tickets, f"station {number}: {tickets} tickets in {batches} batches"
        busy = (keys[cooked] & ((1 << COOK_BITS) - 1))[station == number]
        assert plan.cooks[number] == 0 or len(busy) == 0 or busy.max() < plan.cooks[number]


def _hold_servers(plan: Plan, run: Run) -> None:
    """What came was worked off, dropped or refused; who was not interrupted stayed as long as they waited and were worked at."""
    for node in range(NODES):
        counters = run.servers[node]
        assert counters[ARRIVED] == counters[DONE] + counters[DROPPED] + counters[REFUSED]
        assert counters[BUSY] <= plan.workers[node] * run.ended
        assert counters[BUSY_IN_LOAD] <= min(int(counters[BUSY]), int(plan.workers[node]) * plan.duration)
        always_up = (plan.segment[:, CONDITION + node] == 0).all()
        if always_up and counters[DROPPED] == 0:
            assert counters[STAYED] == counters[WAITED] + counters[BUSY]
        else:
            assert counters[STAYED] >= counters[WAITED]


def _hold_all(scenarios: list[Scenario], engine: EngineName) -> None:
    waited = 0
    outcomes: Counter[int] = Counter()
    for scenario in scenarios:
        plan, people, run = _evening(scenario, engine)
        assert run.trace is not None
        try:
            _hold_diners(people, run, Counter((run.trace[:, 1] >> CLASS_SHIFT).tolist()))
            waited += _hold_tables(plan, people, run)
            _hold_kitchen(plan, people, run)
            _hold_servers(plan, run)
        except AssertionError as error:
            raise AssertionError(f"{scenario.name} on {engine}: {error}") from error
        outcomes.update(run.column("outcome").tolist())
    assert waited, "somebody waited for a table"
    assert all(outcomes[kind] for kind in (*COMPLETED, *GONE, *LOST)), outcomes


def test_everything_adds_up_on_random_evenings() -> None:
    _hold_all([drawn_scenario(seed) for seed in range(DRAWN)], "simpy")


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_engine")
def test_everything_adds_up_on_all_shipped_and_on_random_evenings_of_the_twin() -> None:
    shipped = [load_scenario(path) for path in shipped_scenarios().values()]
    _hold_all([*shipped, *(drawn_scenario(seed) for seed in range(DRAWN))], "compiled")
