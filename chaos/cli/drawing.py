"""The picture that `--out` keeps of designs side by side."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from chaos.cli.errors import CommandError
from chaos.cli.modelling import counted
from simulator.sweeps import Budget, Point


def draw(
    options: argparse.Namespace,
    name: str,
    points: Sequence[Point],
    figures: Sequence[str],
    budgets: Sequence[Budget] = (),
    chosen: float | None = None,
) -> list[str]:
    """Draw them into the folder, if one was named: its path, or why there is no picture. CommandError if it cannot be written."""
    if options.out is None or not figures:
        return []
    from simulator.design_plots import NoPicture, draw_designs, write_designs

    path: Path = options.out / f"{name}.png"
    least, most = (choose(point.found.replications for point in points) for choose in (min, max))
    times = counted(most, "replication") if least == most else f"{least:,} to {most:,} replications"
    scenario = points[0].found.scenario.name
    try:
        made = draw_designs(points, figures, f"{scenario} (95 % intervals, {times})", budgets, chosen)
        write_designs(path, made)
    except NoPicture as error:
        return [f"no picture: {error}"]
    except OSError as error:
        raise CommandError(f"{path}: cannot be written ({error.strerror}); name a folder that can") from error
    return [str(path)]
