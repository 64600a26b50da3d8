"""mutmut with two more kinds of mutants, and its results with their differences as JSON.

    python mutmut_and_more.py run [NAME ...]     as `mutmut run --max-children 1`
    python mutmut_and_more.py results            one JSON object a line: name, status, function, before, after

Both in a folder whose pyproject.toml configures mutmut. mutmut changes operators, numbers, texts, assignments and arguments, but
neither leaves out a call nor turns a condition round; in a machine of `if`s and calls those are the mistakes to look for.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import libcst
from mutmut.__main__ import _run
from mutmut.configuration import config
from mutmut.mutation import mutators
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import setup_source_paths, walk_mutatable_files
from mutmut.workers import isolation


def call_left_out(node: libcst.Expr) -> Iterator[libcst.CSTNode]:
    """`self._fence()` -> `pass`."""
    if isinstance(node.value, libcst.Call):
        yield libcst.Pass()


def condition_turned_round(node: libcst.If) -> Iterator[libcst.CSTNode]:
    """`if waiting:` -> `if not (waiting):`."""
    inner = node.test.with_changes(lpar=[libcst.LeftParen()], rpar=[libcst.RightParen()])
    yield node.with_changes(test=libcst.UnaryOperation(libcst.Not(), inner))


def results() -> Iterator[dict[str, str]]:
    """Every mutant; `before` and `after` are the lines that differ."""
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, exit_code in data.exit_code_by_key.items():
            lines = get_diff_for_mutant(name, path=path).splitlines()[3:]
            function = name.rpartition("__mutmut_")[0].removeprefix("refsystem.protocol.")
            yield {
                "name": name,
                "status": status_by_exit_code[exit_code],
                "function": function.replace("xǁ", "").replace("ǁ", ".").replace(".x_", "."),
                "before": _lines(lines, "-"),
                "after": _lines(lines, "+"),
            }


def _lines(lines: list[str], sign: str) -> str:
    return " ".join(line[1:].strip() for line in lines if line.startswith(sign))


def no_time_on_the_wall(pid: int, timeout_s: float) -> None:
    """Stands in for mutmut's timer: only processor time is limited, or a busy machine would count as a mutant that hangs."""


def main(arguments: list[str]) -> None:
    """The command line."""
    isolation.register_timeout = no_time_on_the_wall
    mutators.mutation_operators.extend(((libcst.Expr, call_left_out), (libcst.If, condition_turned_round)))  # type: ignore[attr-defined]
    setup_source_paths()
    config()
    match arguments:
        case ["run", *names]:
            _run(names, 1)
        case ["results"]:
            for result in results():
                print(json.dumps(result, ensure_ascii=False))  # noqa: T201
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
