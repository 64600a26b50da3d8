"""What a person sees while a drill runs: one table that is redrawn on a terminal, plain lines elsewhere. On standard error."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from chaos.observer import Sample
from loadtests.launch import LoadProgress

LINE_EVERY_S = 5.0
LINES_KEPT = 8


@dataclass(slots=True)
class Standing:
    """What is shown: the phase, the load's counts, the latest sample of each store, and the faults in force."""

    phase: str = ""
    phase_began_s: float = 0.0
    progress: LoadProgress = field(default_factory=LoadProgress)
    rate_per_s: float = 0.0
    samples: dict[str, Sample] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    lost: int | None = None


class LiveView:
    """Shows the standing of one drill. A context manager; `quiet` shows nothing."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._title = title
        self._standing = Standing()
        self._lines: list[str] = []
        self._began_s = time.monotonic()
        self._last_line_s = 0.0
        self._last_count = (0.0, 0)
        self._live: Live | None = None

    def __enter__(self) -> LiveView:
        self._began_s = time.monotonic()
        if self._console.is_terminal and not self._console.quiet:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        else:
            self._console.print(f"rushproof: {self._title}", soft_wrap=True, markup=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def phase(self, name: str) -> None:
        """A new phase begins."""
        self._standing.phase, self._standing.phase_began_s = name, time.monotonic()
        self.say(name)

    def say(self, line: str) -> None:
        """Something happened."""
        stamped = f"{time.monotonic() - self._began_s:6.1f} s  {line}"
        self._lines = [*self._lines, stamped][-LINES_KEPT:]
        if self._live is None:
            self._console.print(stamped, soft_wrap=True, markup=False)
        else:
            self._redraw()

    def update(self, progress: LoadProgress, samples: list[Sample], faults: list[str], lost: int | None) -> None:
        """New figures."""
        standing = self._standing
        now_s = time.monotonic()
        began_s, count = self._last_count
        if now_s - began_s >= 1.0:
            standing.rate_per_s = max(0.0, (progress.started - count) / (now_s - began_s))
            self._last_count = (now_s, progress.started)
        standing.progress, standing.faults, standing.lost = progress, list(faults), lost
        standing.samples = {sample.store: sample for sample in samples}
        if self._live is not None:
            self._redraw()
        elif now_s - self._last_line_s >= LINE_EVERY_S:
            self._last_line_s = now_s
            self.say(self._one_line())

    def _one_line(self) -> str:
        standing = self._standing
        progress = standing.progress
        backlog = ", ".join(f"{name} {_store_words(sample)}" for name, sample in standing.samples.items())
        faults = "; ".join(standing.faults) or "none"
        lost = "?" if standing.lost is None else str(standing.lost)
        return (
            f"{progress.started}/{progress.planned} diners, {progress.ok} served, {progress.indefinite} unsure, "
            f"{progress.fail} refused, {progress.in_flight} under way, {lost} lost; {backlog}; faults: {faults}"
        )

    def _redraw(self) -> None:
        assert self._live is not None
        self._live.update(Group(self._table(), Text("\n".join(self._lines), style="dim")))

    def _table(self) -> Table:
        standing = self._standing
        progress = standing.progress
        table = Table(title=Text(self._title), title_justify="left", show_header=False, box=None, padding=(0, 2))
        since_s = time.monotonic() - standing.phase_began_s
        table.add_row("phase", Text.assemble((standing.phase, "bold"), f" for {since_s:.0f} s"))
        table.add_row("diners", f"{progress.started} of {progress.planned}, {standing.rate_per_s:.0f}/s")
        table.add_row(
            "orders",
            f"[green]{progress.ok} ok[/], [yellow]{progress.indefinite} unsure[/], [red]{progress.fail} refused[/], "
            f"{progress.in_flight} under way",
        )
        for name, sample in standing.samples.items():
            table.add_row(f"store {name}", Text(_store_words(sample)))
        table.add_row("faults in force", Text("; ".join(standing.faults) or "none", "red" if standing.faults else ""))
        table.add_row("lost so far", "-" if standing.lost is None else str(standing.lost))
        return table


def _store_words(sample: Sample) -> str:
    primary = sample.primary
    if primary is None:
        return "no primary"
    backlog = "unknown" if sample.backlog is None else str(sample.backlog)
    return (
        f"primary {primary['slot']}, epoch {primary['epoch']}, {len(primary['members'])} members, "
        f"{primary['commit_seq']} entries, cloud behind by {backlog}"
    )
