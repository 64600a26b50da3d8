"""Mutation testing of the replica and the log: which changes of the code does no test see?

    python tests/mutation/run.py                      everything
    python tests/mutation/run.py --only '*Flushing*'  mutants whose name fits

A copy of the tree is mutated in a temporary folder, never the tree itself. In round one mutmut runs the fast tests of every
mutant, the fastest first, until one fails. What survives, and is not explained in `survivors.toml`, is run through the state
machines, and what survives those through a campaign over the virtual cluster. What survives everything is to be explained.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]
EVIDENCE = TREE / "tests" / "evidence" / "mutation.json"
SURVIVORS = HERE / "survivors.toml"
COPIED = ("refsystem", "simulator", "loadtests", "chaos", "tests/refsystem/protocol", "pyproject.toml")
TESTS = "tests/refsystem/protocol"
MODULES = ("replica", "log", "shipping", "claims", "flushing", "roles", "arbiter", "glass", "glass_replica", "returns")
FAST_TESTS = (
    "test_traps",
    "test_transcripts",
    "test_properties",
    "test_mutants",
    "test_mutants_questions",
    "test_break_glass",
    "test_forks",
)
MACHINES = ("test_uplink_machine", "test_idempotency_machine", "test_downlink_machine")
CAMPAIGN_SEEDS = 40
PROCESSOR_S_MAX = 180
"""What a later round may take of the processor. A mutant that hangs uses it up; a busy machine does not."""
WALL_S_MAX = 1_800
MEMORY_BYTES_MAX = 4 * 2**30
"""A mutant that appends for ever ends so, instead of taking the machine's memory."""
PYTEST = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--import-mode=importlib")
PACKAGE = "refsystem.protocol."
NOT_TRIED = "not checked"
Explanations = dict[tuple[str, str, str], str]
KILLED, TIMEOUT, SURVIVED = "killed", "timeout", "survived"
STATUSES = {"killed": KILLED, "timeout": TIMEOUT, "survived": SURVIVED, "no tests": SURVIVED, "segfault": KILLED}
"""What mutmut says, in our words. A process that was killed for its memory is a segfault to it."""
EXITS = {0: SURVIVED, 1: KILLED, 3: SURVIVED, -6: KILLED, -9: KILLED, -11: KILLED, -24: TIMEOUT}
"""What a later round says by its exit code. 3 is a campaign of so few seeds that it did not reach every goal; -24 is the
limit of processor time."""


@dataclass(frozen=True)
class Mutant:
    """One changed function. `before` and `after` are the lines that differ; `round` is the one that killed it."""

    name: str
    status: str
    function: str
    before: str
    after: str
    round: int = 1

    @property
    def module(self) -> str:
        """The module it stands in."""
        return self.function.partition(".")[0]

    @property
    def change(self) -> tuple[str, str, str]:
        """What an explanation names it by."""
        return self.function, self.before, self.after


def copy_of_the_tree(folder: Path) -> None:
    """Copy what the tests need, and tell mutmut what to do with it."""
    for name in COPIED:
        source, target = TREE / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    tests = [f"{TESTS}/{name}.py" for name in FAST_TESTS if (TREE / TESTS / f"{name}.py").exists()]
    settings = {
        "source_paths": ["refsystem"],
        "only_mutate": [f"refsystem/protocol/{module}.py" for module in MODULES],
        "also_copy": ["simulator", "loadtests", "chaos"],
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-m", "not slow"],
        "pytest_add_cli_args_test_selection": tests,
        "timeout_multiplier": 0.75,
        "timeout_constant": 1.0,
    }
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n[tool.mutmut]\n{lines}")


def run_mutmut(folder: Path, names: list[str]) -> None:
    """Round one; its progress goes to standard error."""
    subprocess.run(
        [sys.executable, str(HERE / "mutmut_and_more.py"), "run", *names],
        cwd=folder,
        env=environment(),
        stdout=sys.stderr,
        preexec_fn=_limit_memory,
        check=True,
    )


def mutants_of_mutmut(folder: Path) -> list[Mutant]:
    """Every mutant, with the status that mutmut gives it."""
    command = [sys.executable, str(HERE / "mutmut_and_more.py"), "results"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
    return [Mutant(**json.loads(line)) for line in done.stdout.splitlines()]


def not_tried(folder: Path) -> list[str]:
    """The names of those that an interrupted run has left."""
    return [mutant.name for mutant in mutants_of_mutmut(folder) if mutant.status == NOT_TRIED]


def results_of_mutmut(folder: Path) -> list[Mutant]:
    """Every mutant that was tried, and those that no test calls, which survive."""
    tried = [mutant for mutant in mutants_of_mutmut(folder) if mutant.status != NOT_TRIED]
    unknown = {mutant.name: mutant.status for mutant in tried if mutant.status not in STATUSES}
    if unknown:
        raise RuntimeError(f"mutmut says neither killed nor survived: {unknown}")
    return [replace(mutant, status=STATUSES[mutant.status]) for mutant in tried]


def try_survivors_again(folder: Path, modules: list[str]) -> None:
    """Round one for the unexplained survivors in a folder that was kept, with the tests as they are now; not for other code."""
    for module in MODULES:
        name = f"refsystem/protocol/{module}.py"
        if (TREE / name).read_bytes() != (folder / name).read_bytes():
            raise RuntimeError(f"{name} has changed since {folder} was made")
    shutil.copytree(TREE / TESTS, folder / TESTS, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    why = explanations()
    mutants = [mutant for mutant in results_of_mutmut(folder) if mutant.module in modules]
    survivors = [mutant.name for mutant in mutants if is_open(mutant, why)]
    if survivors:
        run_mutmut(folder, survivors)


def later_rounds() -> Iterator[list[str]]:
    """Slower commands, in their order, each of which exits with 1 when it has seen the mutant."""
    yield [*PYTEST, "-m", "not slow", "-k", "not broken", *(f"{TESTS}/{name}.py" for name in MACHINES)]
    yield ["-m", "chaos.cli", "fuzz", "--seeds", str(CAMPAIGN_SEEDS), "--workers", "1"]


class Memory:
    """What a folder that is kept knows of the later rounds, and how long all of its runs have taken."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "later_rounds.json"
        self._started_s = time.monotonic()
        content = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        self._earlier_s: float = content.get("seconds", 0.0)
        self.outcomes: dict[str, tuple[str, int]] = {
            name: tuple(at) for name, at in content.get("outcomes", {}).items()
        }

    @property
    def seconds(self) -> float:
        """This run and those before it in the same folder."""
        return self._earlier_s + time.monotonic() - self._started_s

    def save(self) -> None:
        """Write it down: an interrupted run is gone on with."""
        content = {"seconds": self.seconds, "outcomes": self.outcomes}
        self._path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def try_again(mutant: Mutant, folder: Path, memory: Memory) -> Mutant:
    """Run a survivor through the later rounds, unless that was done in this folder before."""
    if mutant.name not in memory.outcomes:
        memory.outcomes[mutant.name] = (SURVIVED, 1)
        for number, command in enumerate(later_rounds(), 2):
            status = outcome_of(command, mutant.name, folder)
            if status != SURVIVED:
                memory.outcomes[mutant.name] = (status, number)
                break
        memory.save()
    status, number = memory.outcomes[mutant.name]
    return replace(mutant, status=status, round=number)


def outcome_of(command: list[str], name: str, folder: Path) -> str:
    """What `command` says of a mutant; raises `RuntimeError` when it says nothing."""
    env = environment(MUTANT_UNDER_TEST=name, PYTHONPATH=str(folder / "mutants"))
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=folder / "mutants",
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_limit_memory_and_time,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=WALL_S_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        raise RuntimeError(
            f"{command} with {name}: not through after {WALL_S_MAX} s, the machine is too busy"
        ) from None
    if process.returncode not in EXITS:
        raise RuntimeError(f"{command} with {name}: exit code {process.returncode}\n{said[-2_000:]}")
    return EXITS[process.returncode]


def environment(**more: str) -> dict[str, str]:
    """The same seed in every run, so that a result can be repeated."""
    return {
        **os.environ,
        "RUSHPROOF_SEED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": ".hypothesis",
        **more,
    }


def explanations() -> Explanations:
    """Why a survivor is harmless, by its change."""
    rows = tomllib.loads(SURVIVORS.read_text(encoding="utf-8")).get("survivor", [])
    return {(row["function"], row["before"], row["after"]): row["why"] for row in rows}


def is_open(mutant: Mutant, why: Explanations) -> bool:
    """Whether a survivor has no explanation yet."""
    return mutant.status == SURVIVED and mutant.change not in why


def as_toml(mutant: Mutant) -> str:
    """A survivor in the form of `survivors.toml`, to be explained."""
    rows = {"function": mutant.function, "before": mutant.before, "after": mutant.after, "why": ""}
    return "[[survivor]]\n" + "".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in rows.items()
    )


def counts_of(mutants: list[Mutant], modules: list[str], explained: int, took_s: float) -> dict[str, Any]:
    """The numbers for the evidence; survivors include those that are explained."""
    statuses = Counter(mutant.status for mutant in mutants)
    rounds = Counter(mutant.round for mutant in mutants if mutant.status != SURVIVED)
    return {
        "generated": len(mutants),
        "killed": statuses[KILLED],
        "timeout": statuses[TIMEOUT],
        "survived": statuses[SURVIVED],
        "explained": explained,
        "seen_by_fast_tests": rounds[1],
        "seen_by_state_machines": rounds[2],
        "seen_by_campaigns": rounds[3],
        "modules": modules,
        "seconds": round(took_s),
    }


def main() -> int:
    """The command line; 1 if a survivor is not explained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="mutants whose names fit; * fits anything"
    )
    parser.add_argument("--modules", nargs="+", choices=MODULES, default=list(MODULES), help="leave out the others")
    parser.add_argument(
        "--folder",
        type=Path,
        help="use this folder and keep it; of what was tried there only survivors are tried again",
    )
    parser.add_argument("--fast-tests-only", action="store_true", help="leave out the later rounds")
    parser.add_argument("--evidence", action="store_true", help=f"write {EVIDENCE.relative_to(TREE)}")
    chosen = parser.parse_args()
    if chosen.evidence and (chosen.only or chosen.fast_tests_only):
        parser.error("the evidence is that of whole modules and all rounds")
    if chosen.folder is not None:
        return run(chosen.folder.resolve(), chosen)
    with tempfile.TemporaryDirectory(prefix="rushproof-mutation-") as folder:
        return run(Path(folder), chosen)


def run(folder: Path, chosen: argparse.Namespace) -> int:
    """All rounds in `folder`; what is not explained goes to standard output as TOML."""
    memory = Memory(folder)
    names = chosen.only or [f"{PACKAGE}{module}.*" for module in chosen.modules]
    if (folder / "mutants").exists():
        try_survivors_again(folder, chosen.modules)
        names = [name for name in not_tried(folder) if any(fnmatch(name, pattern) for pattern in names)]
    else:
        copy_of_the_tree(folder)
    if names:
        run_mutmut(folder, names)
    memory.save()
    mutants = [mutant for mutant in results_of_mutmut(folder) if mutant.module in chosen.modules]
    why = explanations()
    if not chosen.fast_tests_only:
        mutants = [try_again(mutant, folder, memory) if is_open(mutant, why) else mutant for mutant in mutants]
    survivors = [mutant for mutant in mutants if mutant.status == SURVIVED]
    unexplained = [mutant for mutant in survivors if is_open(mutant, why)]
    for mutant in unexplained:
        print(as_toml(mutant))  # noqa: T201
    counts = counts_of(mutants, chosen.modules, len(survivors) - len(unexplained), memory.seconds)
    print(json.dumps(counts), file=sys.stderr)  # noqa: T201
    memory.save()
    if chosen.evidence:
        sys.path.insert(0, str(TREE))
        from chaos.evidence import write_evidence

        EVIDENCE.parent.mkdir(exist_ok=True)
        some = "" if len(chosen.modules) == len(MODULES) else f" --modules {' '.join(chosen.modules)}"
        write_evidence(EVIDENCE, "mutation", f"python tests/mutation/run.py{some} --evidence", counts)
    return 1 if unexplained else 0


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))


def _limit_memory_and_time() -> None:
    _limit_memory()
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_S_MAX, PROCESSOR_S_MAX + 5))


if __name__ == "__main__":
    sys.exit(main())
