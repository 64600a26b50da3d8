"""What a person sees while a campaign runs: one line that is redrawn on a terminal, plain lines elsewhere. On standard error."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from chaos.campaign.campaign import Campaign

LINE_EVERY_S = 5.0
DRAW_EVERY_S = 0.1


class Progress:
    """Shows how far a campaign is. A context manager."""

    def __init__(self, title: str) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._title = title
        self._began_s = self._shown_s = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live = Live(Text(self._title), console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        else:
            self.say(self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def watch(self, campaign: Campaign) -> None:
        """A seed is done."""
        now_s = time.monotonic()
        if now_s - self._shown_s < (LINE_EVERY_S if self._live is None else DRAW_EVERY_S):
            return
        self._shown_s = now_s
        line = standing(campaign)
        if self._live is None:
            self.say(f"{now_s - self._began_s:6.1f} s  {line}")
        else:
            self._live.update(Text(f"{self._title}\n{line}"), refresh=True)

    def say(self, line: str) -> None:
        """Something happened that stays on the screen."""
        self._console.print(line, soft_wrap=True, markup=False)


def standing(campaign: Campaign) -> str:
    """How far a campaign is, in one line."""
    plan, wanted = campaign.plan, len(campaign.goals_wanted)
    rate_per_s = campaign.seeds / campaign.elapsed_s if campaign.elapsed_s else 0.0
    line = f"{campaign.seeds}/{plan.seeds} seeds, {rate_per_s:.1f} seeds/s, {campaign.failed} failed"
    if plan.variant is not None:
        return f"{plan.variant}: {line}"
    return f"{line}, {wanted - len(campaign.unreached)} of {wanted} goals reached"
