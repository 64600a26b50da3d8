"""Shares, quantiles and their intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.estimates import Estimate, Share, bears_out, quantile, say, scaled


def test_none_of_many_is_bounded_by_the_exact_interval() -> None:
    assert Share(0, 18_132).low == 0.0
    assert Share(0, 18_132).high == pytest.approx(1 - 0.025 ** (1 / 18_132))
    assert Share(4, 4).low == pytest.approx(0.025 ** (1 / 4))
    assert (Share(4, 4).high, Share(0, 0).mean, Share(0, 0).high) == (1.0, 0.0, 1.0)
    # Clopper and Pearson's own kind of table: 2 of 20.
    assert (Share(2, 20).low, Share(2, 20).high) == pytest.approx((0.01235, 0.31698), abs=1e-5)


def test_the_interval_of_a_quantile_holds_it_nineteen_times_in_twenty() -> None:
    seed = 20_261_122
    draws = np.random.default_rng(seed).exponential(size=(2_000, 200))
    true = -np.log(0.1)
    found = [quantile(row, 0.9) for row in draws]
    held = sum(each.low is not None and each.high is not None and each.low <= true <= each.high for each in found)
    assert 0.94 * 2_000 < held < 0.985 * 2_000, f"seed {seed}"
    assert quantile(draws[0][:10], 0.9).high is None, "ten values say nothing about how high a tenth of them may be"


def test_a_sentence_is_borne_out_within_the_interval_and_its_slack_and_no_further() -> None:
    found = Estimate(14.0, 12.1, 15.9)
    assert bears_out(found, 16, slack=0.2)
    assert not bears_out(found, 16.2, slack=0.2)
    assert not bears_out(Estimate(14.0, None, None), 15, slack=0.5)
    assert say(scaled(Estimate(0.0002, -0.0001, 0.0005), 100), 2) == "0.02 (0.00 to 0.05)"
