from __future__ import annotations

import pytest
from oracles import ORACLES, SEED, Bench, holm, kiefer_wolfowitz_differs

from simulator.model.engines import Engine, engine_of

LEVEL = 0.001
"""How likely it is that a sound suite is refused by chance."""


def _check(bench: Bench) -> None:
    claims = [claim for oracle in ORACLES for claim in oracle(bench)]
    print(f"seed {SEED}, {len(claims)} claims, {bench}")  # noqa: T201
    for claim in claims:
        mean = sum(claim.found) / len(claim.found)
        said = (
            f"{claim.name}: theory {claim.expected:.6g}, found {mean:.6g} in {len(claim.found)} (p {claim.p_value:.3g})"
        )
        print(said)  # noqa: T201
    assert not holm(claims, LEVEL)
    assert kiefer_wolfowitz_differs(bench, 1) == 0
    assert kiefer_wolfowitz_differs(bench, 3) == 0


@pytest.mark.slow
def test_simpy_agrees_with_queueing_theory() -> None:
    _check(Bench(engine_of("simpy"), customers=400, replications=5, evenings=10))


@pytest.mark.slow
def test_the_compiled_engine_agrees_with_queueing_theory(compiled_engine: Engine) -> None:
    _check(Bench(compiled_engine, customers=10_000, replications=16, evenings=120))


def test_the_suite_refuses_a_queue_that_is_a_little_off() -> None:
    """Theory for 2 % more load is refused: the claims can fail."""
    from oracles import Claim

    sound = [Claim("sound", 1.0, [0.99, 1.01, 1.0, 1.02, 0.98]), Claim("exact", 2.0, [2.0, 2.0])]
    assert holm(sound, LEVEL) == []
    assert [claim.name for claim in holm([*sound, Claim("off", 1.1, [0.99, 1.01, 1.0, 1.0, 0.99, 1.01])], LEVEL)] == [
        "off"
    ]
