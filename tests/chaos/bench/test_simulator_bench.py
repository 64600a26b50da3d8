from __future__ import annotations

import argparse

import pytest

from chaos.bench import simulator
from chaos.bench.result import BenchError
from simulator.model.leaf import HAS_NUMBA
from simulator.queueing import MMc


def _options(**said: int | bool) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    simulator.add_arguments(parser)
    options = parser.parse_args([])
    vars(options).update(said)
    return options


@pytest.mark.skipif(not HAS_NUMBA, reason="numba is not here")
@pytest.mark.parametrize(("name", "value"), [("rounds", 0), ("customers", 10), ("stores", -1)])
def test_what_cannot_be_measured_is_refused(name: str, value: int) -> None:
    with pytest.raises(BenchError, match=f"--{name} must be from"):
        simulator.count_steps(_options(**{name: value}))


def test_the_queue_that_is_compared_is_the_same_in_simpy() -> None:
    theory = MMc(simulator.ARRIVAL, simulator.SERVICE, simulator.SERVERS).wait
    assert simulator.simpy_queue(20_000) == pytest.approx(theory, rel=0.25)


@pytest.mark.slow
@pytest.mark.skipif(not HAS_NUMBA, reason="numba is not here")
def test_it_measures_ratios_and_a_chain() -> None:
    steps: list[str] = []
    options = _options(rounds=1, customers=4_000, stores=20, no_compilation=True)
    result = simulator.measure(options, steps.append)
    assert len(steps) == simulator.count_steps(options)
    content = result.to_json()
    assert content["ratios"]["simpy"] > 5
    assert set(content["ratios"]) == {"simpy", "simpy_mmc", "cimba", "ciw"}
    assert content["figures"]["chain"]["wall"]["median"] > 0
    assert content["figures"]["chain of many sizes"]["all cores"]["median"] > 0
