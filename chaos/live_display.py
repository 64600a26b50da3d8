"""What a person sees while something long runs, on standard error: redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text


class LiveDisplay:
    """A context manager. It is redrawn every `draw_every_s` at most."""

    def __init__(self, title: str, draw_every_s: float) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._title = title
        self._draw_every_s = draw_every_s
        self._drawn_s = 0.0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(Text(self._title), console=self._console, auto_refresh=False, transient=True)
            self._live.start(refresh=True)
        else:
            self.say(self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    @property
    def is_live(self) -> bool:
        """Whether it is redrawn in place."""
        return self._live is not None

    def is_due(self) -> bool:
        """Whether to draw again."""
        return self._live is not None and time.monotonic() - self._drawn_s >= self._draw_every_s

    def draw(self, shown: RenderableType) -> None:
        """Show this in place of what was there, on a terminal."""
        if self._live is not None:
            self._drawn_s = time.monotonic()
            self._live.update(shown, refresh=True)

    def say(self, line: str) -> None:
        """Something happened that stays on the screen."""
        self._console.print(line, soft_wrap=True, markup=False)
