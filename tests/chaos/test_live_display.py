"""What is shown while something long runs: drawn in place on a terminal, by lines elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from chaos.live_display import LiveDisplay


@pytest.mark.parametrize("terminal", [True, False])
def test_it_is_drawn_in_place_on_a_terminal_only(terminal: bool) -> None:
    shown = LiveDisplay("the title", draw_every_s=60.0)
    shown._console = Console(file=io.StringIO(), force_terminal=terminal, highlight=False)
    with shown:
        assert shown.is_live is shown.is_due() is terminal
        shown.draw(Text("half of it"))
        assert not shown.is_due(), "drawn just now, or never"
        shown.say("[one] is done")
    assert not shown.is_live
    file = shown._console.file
    assert isinstance(file, io.StringIO)
    said = file.getvalue()
    assert "the title" in said
    assert "[one] is done" in said
    assert ("half of it" in said) is terminal
    assert ("\x1b" in said) is terminal
