"""What a person sees while a soak runs: a table that is redrawn on a terminal, a line for each drill elsewhere."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from chaos.live_display import LiveDisplay
from chaos.soak.accounts import Soak, SoakedDrill

DRAW_EVERY_S = 0.5
ROWS = 12
CAUSE_SHOWN = 100
STYLES = {"pass": "green", "fail": "bold red", "unknown": "yellow"}


class SoakProgress(LiveDisplay):
    """Shows how far a soak is. A context manager, on standard error."""

    def __init__(self, title: str) -> None:
        super().__init__(title, DRAW_EVERY_S)

    def watch(self, soak: Soak, seed: int) -> None:
        """A drill is under way."""
        if self.is_due():
            self.draw(Group(Text(self._title), _table(soak), Text(_standing(soak, seed))))

    def done(self, soak: Soak) -> None:
        """A drill has ended."""
        if not self.is_live:
            self.say(f"{soak.elapsed_s:7.0f} s  {_line(soak.drills[-1])}")


def _standing(soak: Soak, seed: int) -> str:
    counts = ", ".join(f"{soak.count(verdict)} {verdict}" for verdict in ("pass", "fail", "unknown"))
    return f"{soak.elapsed_s:.0f} s, {len(soak.drills)} drills: {counts}; seed {seed} runs"


def _line(drill: SoakedDrill) -> str:
    tried = f" (try {len(drill.unknown_before) + 1})" if drill.unknown_before else ""
    said = (
        f"seed {drill.seed}: {drill.verdict.upper()}{tried}, {drill.acknowledged} acknowledged, {drill.exposed} exposed"
    )
    return (
        said if drill.verdict == "pass" else f"{said}; {drill.cause}" + (f" ({drill.folder})" if drill.folder else "")
    )


def _table(soak: Soak) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("seed", "verdict", "s", "orders", "exposed", "faults, or the cause"):
        table.add_column(column, no_wrap=True)
    for drill in soak.drills[-ROWS:]:
        words = ", ".join(drill.faults) if drill.verdict == "pass" else drill.cause
        verdict = Text(drill.verdict, STYLES[drill.verdict])
        table.add_row(
            str(drill.seed),
            verdict,
            f"{drill.took_s:.0f}",
            str(drill.acknowledged),
            str(drill.exposed),
            Text(words[:CAUSE_SHOWN]),
        )
    return table
