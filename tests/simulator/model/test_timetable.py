"""Who comes, and what each wants, in the seconds of a faster clock."""

from __future__ import annotations

import numpy as np

from simulator.model.draws import make_key
from simulator.model.people import AT, DINING, DOOR, PARTY, PATIENCE, SEAT, SEAT_PATIENCE, THINK
from simulator.model.timetable import draw_timetable, make_recipe
from simulator.scenario import load_scenario

S = 1_000_000
SEED = 5
FASTER = """\
name: faster
duration_s: 30
time_scale: 60
stores: [{name: s1, tables: 3}, {name: s2, tables: 3}]
diners: {arrivals: {rate_per_s: 40}, channels: {qr: 0.75, cashier: 0.0, mini_program: 0.25}, think_s: 300, patience_s: 120}
model:
  think_shape: deterministic
  patience_shape: deterministic
  seating:
    {dining_s: 3600, dining_shape: deterministic, patience_s: 900, patience_shape: deterministic,
     party_shares: [0.5, 0.3, 0.2], party_dining: [0.5, 1.5]}
"""


def test_people_s_times_are_divided_by_the_time_scale_and_a_party_dines_by_its_size() -> None:
    """Load lasts real seconds: 30 of them; the last factor of `party_dining` is that of all larger parties, too."""
    print(f"seed {SEED}")  # noqa: T201
    people = draw_timetable(make_recipe(load_scenario(FASTER)), make_key(SEED, "s1"))
    assert abs(len(people) - 600) < 5 * 600**0.5, "half of 40 a second"
    assert 25 * S < people[:, AT].max() <= 30 * S
    assert set(people[:, THINK]) == {5 * S}
    assert set(people[:, PATIENCE]) == {2 * S}
    assert set(people[:, SEAT_PATIENCE]) == {15 * S}
    dining = {(size, time) for size, time in zip(people[:, PARTY], people[:, DINING], strict=True)}
    assert dining == {(1, 30 * S), (2, 90 * S), (3, 90 * S)}
    for column, value, share in ((PARTY, 1, 0.5), (PARTY, 3, 0.2), (DOOR, 1, 0.25)):
        assert abs(float(np.mean(people[:, column] == value)) - share) < 5 * (share * (1 - share) / len(people)) ** 0.5
    assert (people[:, SEAT] == 1 - people[:, DOOR]).all(), "whoever orders by the mini-program needs no table"
