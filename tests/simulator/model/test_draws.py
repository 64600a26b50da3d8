from __future__ import annotations

import random
from statistics import NormalDist

from scipy import stats

from simulator.model import purposes
from simulator.model.draws import Draws, Key, make_key, uniform, uniform_column
from simulator.model.laws import LOGNORMAL, drawn, normal_quantile, spread_of


def test_philox_gives_the_published_numbers() -> None:
    """Known answers of Random123 (kat_vectors, philox 4x32, 7 rounds): the first two words, and the other two."""
    assert uniform(Key(0, 0), 0, 0, 0) == (((0x5F6FB709 << 32 | 0x0D893F64) >> 11) + 0.5) / 2**53
    assert uniform(Key(0, 0), 0, 0, 1) == (((0x4F121F81 << 32 | 0x4F730A48) >> 11) + 0.5) / 2**53


def test_a_column_gives_the_same_draws_as_one_at_a_time() -> None:
    key = make_key(7, "s1", 3)
    draws = Draws(key)
    for purpose, first, index in ((purposes.THINK, 0, 0), (purposes.SERVICE, 8190, 5), (purposes.FLUSH, 2**32 - 3, 1)):
        column = uniform_column(key, purpose, first, 3, index).tolist()
        assert column == [uniform(key, purpose, first + place, index) for place in range(3)]
        assert draws.uniform(purpose, first, index) == column[0]


def test_another_key_purpose_entity_or_index_is_another_draw() -> None:
    base = uniform(make_key(1, "a"), 2, 3, 4)
    others = {
        uniform(make_key(2, "a"), 2, 3, 4), uniform(make_key(1, "b"), 2, 3, 4), uniform(make_key(1, "a", 1), 2, 3, 4),
        uniform(make_key(1, "a"), 3, 3, 4), uniform(make_key(1, "a"), 2, 4, 4), uniform(make_key(1, "a"), 2, 3, 5),
    }  # fmt: skip
    assert len(others | {base}) == 7


def test_draws_are_uniform_and_columns_do_not_hang_together() -> None:
    key = make_key(11)
    one, other = uniform_column(key, 20, 0, 20_000, 1), uniform_column(key, 20, 0, 20_000, 2)
    assert stats.kstest(one, "uniform").pvalue > 1e-4
    assert abs(stats.spearmanr(one, other).statistic) < 4 / 20_000**0.5


def test_the_normal_quantile_is_right_and_the_lognormal_time_has_its_mean() -> None:
    draw = random.Random(5)
    for u in [*(draw.random() for _ in range(200)), 1e-12, 1 - 1e-12]:
        assert abs(normal_quantile(u) - NormalDist().inv_cdf(u)) < 1e-9
    times = [
        drawn(LOGNORMAL, 3.0, spread_of(LOGNORMAL, 0.5), u)
        for u in uniform_column(make_key(1), 1, 0, 20_000, 0).tolist()
    ]
    assert stats.ttest_1samp(times, 3.0).pvalue > 1e-4
