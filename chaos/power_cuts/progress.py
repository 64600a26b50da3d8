"""What a person sees while a campaign runs: a bar on a terminal, plain lines elsewhere. On standard error."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from chaos.power_cuts.campaign import Campaign, Plan

LINE_EVERY_S = 5.0


class CampaignProgress:
    """Shows how far a campaign is. A context manager."""

    def __init__(self, plan: Plan) -> None:
        self._console = Console(stderr=True, highlight=False)
        disk = "" if plan.mode.honest else ", a disk that syncs nothing"
        self._title = f"power cuts, seed {plan.seed}, synchronous {plan.mode.synchronous}{disk}"
        self._cuts = plan.cuts
        self._shown_s = time.monotonic()
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> CampaignProgress:
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task(self._title, total=self._cuts)
            self._bar.start()
        else:
            self._console.print(f"rushproof: {self._title}", soft_wrap=True, markup=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def watch(self, campaign: Campaign) -> None:
        """Some cuts more are made."""
        found = f", {campaign.failed} failed" if campaign.failed else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=campaign.cuts, description=f"{self._title}{found}")
            return
        now_s = time.monotonic()
        if now_s - self._shown_s >= LINE_EVERY_S:
            self._shown_s = now_s
            line = f"{campaign.elapsed_s:6.1f} s  {campaign.cuts}/{self._cuts} power cuts{found}"
            self._console.print(line, soft_wrap=True, markup=False)
