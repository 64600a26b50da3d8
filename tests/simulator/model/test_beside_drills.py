"""The model beside real drills: the table of its README is what `simulate --beside` says, and most predictions are near.

`python tests/simulator/model/test_beside_drills.py` prints the table anew.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from chaos.drill_evidence import read_drills
from chaos.measured import QUANTILES, errors, read_measured
from simulator.model.engines import Engine
from simulator.model.replications import forecast
from simulator.scenario import find_scenario, load_scenario

ROOT = Path(__file__).resolve().parents[3]
WAITS = ROOT / "tests/evidence/waits.json"
README = ROOT / "simulator/model/README.md"
REPLICATIONS = 40
BEGIN, END = "<!-- model beside drills -->", "<!-- end of model beside drills -->"
NEAR = {
    "arbiter_lost", "cloud_restarted", "gray_failures", "impatient_taps", "lunch_rush", "primary_killed", "primary_paused",
    "standby_lost", "tea_surge", "weak_wifi",
}  # fmt: skip
"""Where the slowest percent is predicted to a fifth. The README says of the others why not."""


@cache
def _figures(name: str) -> dict[str, tuple[float, list[float]]]:
    """By figure: what the model says, and what each drill has shown."""
    scenario = load_scenario(find_scenario(name))
    measured = read_measured([WAITS], scenario)
    found = forecast(scenario, "compiled", REPLICATIONS)
    figures = {}
    for figure in ("told_yes", *QUANTILES):
        cell = found.interval(figure)
        assert cell is not None
        figures[figure] = (cell.mean, [each.figures[figure] for each in measured])
    return figures


def table() -> str:
    """The README's table."""
    lines = ["| scenario | told yes | half, ms | 19 of 20, ms | 99 of 100, ms | off by |", "|---|---|---|---|---|---|"]
    for name in sorted({run["scenario"] for run in read_drills(WAITS).values()}):
        cells = []
        for figure, (says, drills) in _figures(name).items():
            shown = (f"{each:.0%}" if figure == "told_yes" else f"{each:,.0f}" for each in (says, *drills))
            model, *others = shown
            cells.append(f"{model} / {', '.join(dict.fromkeys(others) if figure == 'told_yes' else others)}")
        off_by = (errors(*_figures(name)[figure]) for figure in QUANTILES)
        cells.append(", ".join(f"{each:+.0%} (±{widest:.0%})" for each, widest in off_by))
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@pytest.mark.slow
def test_the_table_is_what_the_model_and_the_drills_say(compiled_engine: Engine) -> None:
    said = README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()
    assert said == table(), "print it anew: python tests/simulator/model/test_beside_drills.py"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NEAR))
def test_the_slowest_percent_is_predicted(name: str, compiled_engine: Engine) -> None:
    off_by, widest = errors(*_figures(name)["answer_p99"])
    assert abs(off_by) < 0.2, f"drills differ by ±{widest:.0%} from each other"


if __name__ == "__main__":
    print(table())  # noqa: T201
