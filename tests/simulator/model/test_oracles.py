"""The compiled engine has the power for statistics; SimPy goes through the same oracles event by event beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from oracle_bench import SEED, Bench, Claim, holm
from oracles import ORACLES, kiefer_wolfowitz_differs, mmc

from simulator.model.draws import Key
from simulator.model.engines import Engine, engine_of
from simulator.model.plan import Plan
from simulator.model.processes.run import run_on_simpy
from simulator.model.records import Run, first_difference

LEVEL = 0.001
"""How likely it is that a sound suite is refused by chance."""


def _bench(engine: Engine, load: float = 1.0) -> Bench:
    return Bench(engine, customers=10_000, replications=64, evenings=1_000, load=load)


def _claims(bench: Bench) -> dict[str, list[Claim]]:
    return {oracle.__name__: list(oracle(bench)) for oracle in ORACLES}


def _all(claims: dict[str, list[Claim]]) -> list[Claim]:
    return [claim for each in claims.values() for claim in each]


def _tell(bench: Bench, claims: Sequence[Claim]) -> None:
    print(f"seed {SEED}, {len(claims)} claims, {bench}")  # noqa: T201
    for claim in claims:
        told = f"{claim.name}: theory {claim.expected:.6g}, found {np.mean(claim.found):.6g} in {len(claim.found)}"
        print(f"{told} (p {claim.p_value:.3g})")  # noqa: T201


@pytest.mark.slow
def test_the_compiled_engine_agrees_with_queueing_theory(compiled_engine: Engine) -> None:
    bench = _bench(compiled_engine)
    claims = _all(_claims(bench))
    _tell(bench, claims)
    assert holm(claims, LEVEL) == []
    for workers in (1, 3):
        assert kiefer_wolfowitz_differs(bench, workers) == 0


@pytest.mark.slow
def test_every_oracle_refuses_two_percent_more_load(compiled_engine: Engine) -> None:
    """A queue that is off by so little is refused by each oracle for itself, at Holm's first and hardest step."""
    bench = _bench(compiled_engine, load=1.02)
    claims = _claims(bench)
    count = len(_all(claims))
    _tell(bench, _all(claims))
    off = {
        name: min(each, key=lambda claim: claim.p_value if np.ptp(claim.found) else 1.0)
        for name, each in claims.items()
    }
    assert [name for name, claim in off.items() if claim.p_value > LEVEL / count] == []
    for claim in mmc(_bench(compiled_engine), tables=4):
        assert claim.p_value < LEVEL / count, f"four tables pass for three: {claim.name}"


@pytest.mark.slow
def test_simpy_runs_every_oracle_as_its_twin_does(compiled_engine: Engine) -> None:
    """Event by event, so that what the compiled engine's many replications show holds for both."""
    runs = 0

    def both(plan: Plan, timetable: npt.NDArray[np.int64], key: Key) -> Run:
        nonlocal runs
        runs += 1
        one, other = run_on_simpy(plan, timetable, key), compiled_engine(plan, timetable, key)
        if first_difference(one, other) is not None:
            traced = run_on_simpy(plan, timetable, key, traced=True), compiled_engine(plan, timetable, key, traced=True)  # type: ignore[call-arg]
            pytest.fail(f"seed {SEED}, run {runs}: {first_difference(*traced)}")
        return one

    bench = Bench(both, customers=2_000, replications=1, evenings=2)
    oracles = _claims(bench)
    assert runs >= len(oracles)
    simpy = Bench(engine_of("simpy"), customers=500, replications=3, evenings=0)
    for workers in (1, 3):
        assert kiefer_wolfowitz_differs(simpy, workers) == 0


def test_holm_refuses_what_is_off_and_nothing_else() -> None:
    sound = [Claim("sound", 1.0, [0.99, 1.01, 1.0, 1.02, 0.98]), Claim("exact", 2.0, [2.0, 2.0])]
    assert holm(sound, LEVEL) == []
    off = [Claim("off", 1.1, [0.99, 1.01, 1.0, 1.0, 0.99, 1.01]), Claim("nearly exact", 2.0, [2.001, 2.001])]
    assert [claim.name for claim in holm([*sound, *off], LEVEL)] == ["nearly exact", "off"]
