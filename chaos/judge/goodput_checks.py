"""The check of goodput, where a scenario asks for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chaos.judge.gate import Budgets
from chaos.judge.goodput import WINDOW_S, goodput
from chaos.judge.orders import OrderStory
from chaos.judge.verdict import Check


def goodput_checks(
    stories: Iterable[OrderStory], start_us: int, budgets: Budgets, ungrounded: str | None
) -> Iterator[Check]:
    """One check, or none where nothing is promised. `ungrounded`: why a goodput that is too low may be nobody's but ours."""
    least = budgets.least_goodput_ratio
    if least is None:
        return
    found = goodput(stories, start_us)
    if found is None:
        yield Check("goodput", "unknown", "no order was told yes in a whole window of the load")
        return
    seen = (
        f"goodput was {found.least_ratio:.0%} of what was possible at its worst, in the {WINDOW_S:g} s from "
        f"{found.least_at_s:g} s on (its best is {found.peak_per_s:.1f} orders/s); {least:.0%} are asked for"
    )
    if found.least_ratio >= least:
        yield Check("goodput", "pass", seen)
    elif ungrounded is not None:
        yield Check("goodput", "unknown", f"{seen}, which says little: {ungrounded}")
    else:
        yield Check("goodput", "fail", seen)
