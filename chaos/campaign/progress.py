"""What a person sees while a campaign runs: one line that is redrawn on a terminal, plain lines elsewhere. On standard error."""

from __future__ import annotations

import time

from rich.text import Text

from chaos.campaign.campaign import Campaign
from chaos.live_display import LiveDisplay

LINE_EVERY_S = 5.0
DRAW_EVERY_S = 0.1


class Progress(LiveDisplay):
    """Shows how far a campaign is. A context manager."""

    def __init__(self, title: str) -> None:
        super().__init__(title, DRAW_EVERY_S)
        self._began_s = self._said_s = time.monotonic()

    def watch(self, campaign: Campaign) -> None:
        """A seed is done."""
        if self.is_due():
            self.draw(Text(f"{self._title}\n{standing(campaign)}"))
        now_s = time.monotonic()
        if not self.is_live and now_s - self._said_s >= LINE_EVERY_S:
            self._said_s = now_s
            self.say(f"{now_s - self._began_s:6.1f} s  {standing(campaign)}")


def standing(campaign: Campaign) -> str:
    """How far a campaign is, in one line."""
    plan, wanted = campaign.plan, len(campaign.goals_wanted)
    rate_per_s = campaign.seeds / campaign.elapsed_s if campaign.elapsed_s else 0.0
    line = f"{campaign.seeds}/{plan.seeds} seeds, {rate_per_s:.1f} seeds/s, {campaign.failed} failed"
    if plan.variant is not None:
        return f"{plan.variant}: {line}"
    return f"{line}, {wanted - len(campaign.unreached)} of {wanted} goals reached"
