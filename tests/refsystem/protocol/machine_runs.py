"""How the state machines are run: every run draws a seed and prints it; a failure prints its steps and its blob too.

`RUSHPROOF_SEED=N pytest ...` runs with that seed again.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterable
from typing import ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

SEED_NAME = "RUSHPROOF_SEED"
EVERY_HEALTH_CHECK = tuple(HealthCheck)


class Machine(RuleBasedStateMachine):
    """A state machine that counts what it has seen in `goals`: a run that never saw a thing has shown nothing about it."""

    goals: ClassVar[Counter[str]] = Counter()


def run_machine(
    machine: type[Machine], *, examples: int, steps: int, goals: Iterable[str] = (), rounds: int = 5
) -> Counter[str]:
    """Run `examples` sequences of `steps` steps; raises what an invariant raises, with the shortest sequence printed.

    A rare goal is not in every round: up to `rounds` of them are run, until each of `goals` was seen.
    """
    seen: Counter[str] = Counter()
    drawn = _drawn_seed()
    for number in range(rounds):
        seen += _run(machine, drawn + number, settings(max_examples=examples, stateful_step_count=steps))
        if all(seen[goal] for goal in goals):
            break
    return seen


def failure_of(machine: type[Machine], *, examples: int, steps: int, rounds: int = 5) -> str:
    """The text of the first failure within `rounds` of `examples` sequences, not shortened; empty if there is none."""
    chosen = settings(max_examples=examples, stateful_step_count=steps, phases=(Phase.generate,))
    drawn = _drawn_seed()
    for number in range(rounds):
        try:
            _run(machine, drawn + number, chosen)
        except AssertionError as error:
            return str(error) or type(error).__name__
    return ""


def _drawn_seed() -> int:
    return int(os.environ.get(SEED_NAME) or random.SystemRandom().randrange(2**32))


def _run(machine: type[Machine], drawn: int, chosen: settings) -> Counter[str]:
    print(f"{machine.__name__}: {SEED_NAME}={drawn}")  # noqa: T201
    seen: Counter[str] = Counter()
    fresh = type(machine.__name__, (machine,), {"goals": seen, "__module__": machine.__module__})
    run_state_machine_as_test(
        seed(drawn)(fresh),
        settings=settings(
            chosen, deadline=None, database=None, print_blob=True, suppress_health_check=EVERY_HEALTH_CHECK
        ),
    )
    return seen
