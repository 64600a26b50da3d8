"""`retry_after`: when whoever is refused shall come back. Later the more are refused, and never all at the same moment."""

from __future__ import annotations

SPREAD_S_MAX = 10
MEMORY = 64


class Pressure:
    """The share of the latest requests (about `MEMORY` of them) that were refused."""

    def __init__(self) -> None:
        self.refused_share = 0.0

    def note(self, refused: bool) -> None:
        """A request was let in, or refused."""
        self.refused_share += (float(refused) - self.refused_share) / MEMORY


def retry_after_s(refused_share: float, uniform: float) -> int:
    """Whole seconds, from 1 on, drawn with `uniform` in [0, 1).

    If a share p is refused, the work of 1/(1-p) seconds has come in one: over so many seconds those refused are spread.
    """
    spread_s = min(SPREAD_S_MAX, 1 / max(1 - refused_share, 1 / SPREAD_S_MAX))
    return 1 + int(uniform * round(spread_s))
