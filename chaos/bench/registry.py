"""The benchmarks there are, by name."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Protocol

from chaos.bench import links, overload, proxy, simulator
from chaos.bench.result import BenchResult


class Bench(Protocol):
    """What a benchmark's module has."""

    NAME: str
    SUMMARY: str
    """One line for the list of benchmarks."""
    DESCRIPTION: str
    """The help text, with examples."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Its own options."""

    def count_steps(self, options: argparse.Namespace) -> int:
        """How often `measure` will call `on_step`. BenchError for options that make no sense."""

    def measure(self, options: argparse.Namespace, on_step: Callable[[str], None]) -> BenchResult:
        """Run it. `on_step` is told what is measured next. BenchError if it cannot run here."""


BENCHES: tuple[Bench, ...] = (proxy, links, overload, simulator)
