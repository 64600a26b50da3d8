"""The check of goodput, where a scenario asks for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chaos.judge.gate import Budgets
from chaos.judge.goodput import goodput
from chaos.judge.orders import OrderStory
from chaos.judge.verdict import Check
from simulator.goodput_windows import LEAST_POSSIBLE, WINDOW_S


def goodput_checks(
    stories: Iterable[OrderStory],
    start_us: int,
    budgets: Budgets,
    ungrounded: str | None,
    capacity_per_s: float | None = None,
) -> Iterator[Check]:
    """One check, or none where nothing is promised. `ungrounded`: why a goodput that is too low may be nobody's but ours.

    What the stores can do is the run's own best, and at least what the budget says, or what they are declared to let through:
    without either, a store that is bad all through the run would be as good as it can be.
    """
    least = budgets.least_goodput_ratio
    if least is None:
        return
    peak_per_s = capacity_per_s if budgets.least_goodput_peak_per_s is None else budgets.least_goodput_peak_per_s
    if peak_per_s is None:
        text = "nothing says what is possible: no service_delay of every store, and no budget least_goodput_peak_per_s"
        yield Check("goodput", "unknown", text)
        return
    found = goodput(stories, start_us, peak_per_s)
    if found is None:
        text = f"in no {WINDOW_S:g} s of the load were {LEAST_POSSIBLE} orders possible, so none says how good it was"
        yield Check("goodput", "unknown", text)
        return
    seen = (
        f"goodput was {found.least_ratio:.0%} of what was possible at its worst, in the {WINDOW_S:g} s from "
        f"{found.least_at_s:g} s on (its best is {found.peak_per_s:.1f} orders/s, and {peak_per_s:g} are possible at least); "
        f"{least:.0%} are asked for"
    )
    if found.least_ratio >= least:
        yield Check("goodput", "pass", seen)
    elif ungrounded is not None:
        yield Check("goodput", "unknown", f"{seen}, which says little: {ungrounded}")
    else:
        yield Check("goodput", "fail", seen)
