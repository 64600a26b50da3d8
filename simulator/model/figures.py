"""What people ask of an evening, from the rows of its runs. Every figure has a name, a unit and a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.goodput_windows import LEAST_POSSIBLE
from simulator.model.drift import drift
from simulator.model.goodput import Goodput, goodput
from simulator.model.records import ABSENT, BUSY_IN_LOAD, Run
from simulator.model.settings import ModelSettings
from simulator.model.vocabulary import CLOUD, EDGE_A, EDGE_B, Level, Outcome
from simulator.scenario_model import Scenario
from simulator.scenario_overload import declared_per_s

Column = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evening:
    """All stores of one replication, laid together."""

    scenario: Scenario
    runs: Sequence[Run]

    def column(self, name: str) -> Whole:
        """One column of all rows."""
        return np.concatenate([run.column(name) for run in self.runs])

    def of_order(self, name: str) -> Whole:
        """A column of the order that was told yes: `committed`, `shown`, `served` or `stored`."""
        second = self.column("which") == 1
        return np.where(second, self.column(f"{name}_1"), self.column(f"{name}_0"))

    def seconds(self, later: Whole, earlier: Whole, among: npt.NDArray[np.bool_] | None = None) -> Column:
        """The times between two moments, of all who had both."""
        whole = (later != ABSENT) & (earlier != ABSENT)
        return np.asarray((later - earlier)[whole if among is None else whole & among] / 1e6)

    @property
    def own(self) -> npt.NDArray[np.bool_]:
        """Whoever came by themselves, and did not order at a delivery platform."""
        return np.asarray(self.column("placed") == ABSENT)

    @property
    def wanting_tables(self) -> npt.NDArray[np.bool_]:
        """Who came for a table, got or not; nobody without seating."""
        return np.asarray(self.column("wanted_table") == 1)

    @property
    def ordering(self) -> npt.NDArray[np.bool_]:
        """Who came as far as ordering."""
        return np.asarray(self.column("meant") != ABSENT)


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity. `of` gives its value, or nothing when nobody had it."""

    name: str
    unit: str
    says: str
    of: Callable[[Evening], float | None]


@dataclass(frozen=True, slots=True)
class ShareOf:
    """The share of those people of whom something is true; `flags` has an entry for each of them.

    `times` names times (`TIMES`) of the same people. They show how much people of one evening fare alike, also where the share is
    the same on every evening.
    """

    flags: Callable[[Evening], npt.NDArray[np.bool_]]
    times: str

    def __call__(self, evening: Evening) -> float | None:
        """Nothing, where there was nobody."""
        return _share(self.flags(evening))


def _share(flags: npt.NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _quantile(values: Column, share: float, scale: float = 1.0) -> float | None:
    return float(np.quantile(values, share) * scale) if len(values) else None


def _answer(evening: Evening) -> Column:
    return evening.seconds(evening.column("told"), evening.column("meant"))


def _meal(evening: Evening) -> Column:
    return evening.seconds(evening.of_order("served"), evening.column("told"))


def _table(evening: Evening) -> Column:
    return evening.seconds(evening.column("seated"), evening.column("at"), evening.wanting_tables)


def _mean_wait(evening: Evening) -> float | None:
    waits = _table(evening)
    return float(waits.mean()) if len(waits) else None


def _offline(evening: Evening) -> Column:
    at_edge = (evening.column("level") == Level.R1) | (evening.column("level") == Level.R2)
    return evening.seconds(evening.of_order("stored"), evening.of_order("committed"), at_edge)


def _drift(later: Whole, earlier: Whole) -> float | None:
    both = (later != ABSENT) & (earlier != ABSENT)
    return drift(earlier[both], later[both])


def _shown(evening: Evening) -> Column:
    return evening.seconds(evening.of_order("shown"), evening.column("told"))


def _late(evening: Evening) -> npt.NDArray[np.bool_]:
    return _shown(evening) > evening.scenario.scaled_us(evening.scenario.budgets.late_after_s) / 1e6


def _told_in_time(evening: Evening) -> float:
    """Orders told yes while the load lasted, a second of it."""
    told, load = evening.column("told")[evening.own], evening.scenario.duration_s
    return float(((told != ABSENT) & (told < load * 1e6)).sum()) / load


def _goodput(evening: Evening) -> Goodput | None:
    said = evening.scenario.budgets.least_goodput_peak_per_s
    least_peak = (declared_per_s(evening.scenario) or 0.0) if said is None else said
    return goodput(evening.column("meant"), evening.column("told"), least_peak)


def _peak(evening: Evening) -> float | None:
    found = _goodput(evening)
    return None if found is None else found.peak_per_s


def _least(evening: Evening) -> float | None:
    found = _goodput(evening)
    return None if found is None else found.least_ratio


def _busy(evening: Evening, node: int) -> float | None:
    said = evening.scenario.model or ModelSettings()
    workers = said.cloud.workers if node == CLOUD else said.edge.workers
    there = evening.scenario.duration_s * 1e6 * workers
    return float(np.mean([run.servers[node, BUSY_IN_LOAD] / there for run in evening.runs]))


def _outcome(times: str, *outcomes: Outcome) -> ShareOf:
    return ShareOf(lambda evening: np.isin(evening.column("outcome")[evening.own], outcomes), times)


def _at_the_door(outcome: Outcome) -> ShareOf:
    return ShareOf(lambda evening: evening.column("outcome")[evening.wanting_tables] == outcome, "table")


def _at_platform(*outcomes: Outcome) -> ShareOf:
    return ShareOf(lambda evening: np.isin(evening.column("outcome")[~evening.own], outcomes), "accepted")


def _accepted(evening: Evening) -> Column:
    return evening.seconds(evening.column("told"), evening.column("placed"))


FIGURES: tuple[Figure, ...] = (
    Figure("diners", "", "parties that came", lambda e: float(e.own.sum())),
    Figure(
        "told_yes", "share", "of those who ordered, told yes",
        ShareOf(lambda e: (e.column("told") != ABSENT)[e.ordering], "answer"),
    ),
    Figure(
        "goodput", "1/s", "orders told yes while the load lasts, over its time; later ones do not count", _told_in_time,
    ),
    Figure("goodput_peak", "1/s", "orders told yes, in the best 5 s", _peak),
    Figure(
        "goodput_least", "share",
        f"of what was possible, told yes in the worst 5 s in which {LEAST_POSSIBLE} orders or more were possible", _least,
    ),
    Figure("answer_p50", "ms", "from the intended start to yes, of those told yes", lambda e: _quantile(_answer(e), 0.5, 1e3)),
    Figure("answer_p95", "ms", "from the intended start to yes, of those told yes", lambda e: _quantile(_answer(e), 0.95, 1e3)),
    Figure("answer_p99", "ms", "from the intended start to yes, of those told yes", lambda e: _quantile(_answer(e), 0.99, 1e3)),
    Figure(
        "answer_drift", "s/s", "how fast answers became slower until the end",
        lambda e: _drift(e.column("told"), e.column("meant")),
    ),
    Figure(
        "requests", "1/diner", "requests that a diner's devices send",
        lambda e: float(e.column("attempts")[e.own].sum() / max(1, e.own.sum())),
    ),
    Figure("gave_up", "share", "of all who came, gave up without a yes", _outcome("answer", Outcome.REFUSED, Outcome.UNANSWERED)),
    Figure("balked", "share", "of parties that came for a table, went away at the door", _at_the_door(Outcome.BALKED)),
    Figure("reneged", "share", "of parties that came for a table, had enough of waiting", _at_the_door(Outcome.RENEGED)),
    Figure("table_wait", "s", "mean wait for a table, of parties that came for one and got it", _mean_wait),
    Figure("meal_p50", "s", "from yes to the meal, of those who had one", lambda e: _quantile(_meal(e), 0.5)),
    Figure("meal_p95", "s", "from yes to the meal, of those who had one", lambda e: _quantile(_meal(e), 0.95)),
    Figure(
        "meal_drift", "s/s", "how fast meals became slower until the end",
        lambda e: _drift(e.of_order("served"), e.column("told")),
    ),
    Figure(
        "late", "share", "of orders told yes and shown in the kitchen, shown later than the budget says",
        ShareOf(_late, "shown"),
    ),
    Figure(
        "offline_p99", "s", "from the store's commit to the cloud, of orders told yes that came there",
        lambda e: _quantile(_offline(e), 0.99),
    ),
    Figure("platform_late", "share", "of a platform's orders, not accepted in time", _at_platform(Outcome.EXPIRED)),
    Figure("platform_cancelled", "share", "of a platform's orders, cancelled by diners", _at_platform(Outcome.CANCELLED)),
    Figure(
        "platform_p95", "s", "from the order at a platform to its acceptance, of those accepted in time",
        lambda e: _quantile(_accepted(e), 0.95),
    ),
    Figure("edge_a_busy", "share", "of the time of the load, device A's event loops at work", lambda e: _busy(e, EDGE_A)),
    Figure("edge_b_busy", "share", "of the time of the load, device B's event loops at work", lambda e: _busy(e, EDGE_B)),
    Figure("cloud_busy", "share", "of the time of the load, the cloud's event loops at work", lambda e: _busy(e, CLOUD)),
)  # fmt: skip
BY_NAME = {figure.name: figure for figure in FIGURES}

TIMES: Mapping[str, Callable[[Evening], Column]] = {
    "answer": _answer,
    "table": _table,
    "shown": _shown,
    "accepted": _accepted,
}
"""Times of people, by which it is seen how much those of one evening fare alike."""


def people_column(name: str) -> str:
    """The column with the number of people of whom a share is."""
    return f"{name}_of"


def mean_column(times: str) -> str:
    """The column with the mean of some times, in seconds."""
    return f"{times}_mean"


def error_column(times: str) -> str:
    """The column with the standard error of that mean, as of independent people."""
    return f"{times}_error"


COLUMNS = (
    *BY_NAME,
    *(people_column(figure.name) for figure in FIGURES if isinstance(figure.of, ShareOf)),
    *(column(times) for times in TIMES for column in (mean_column, error_column)),
)
"""What is kept of a replication: all figures, and what their intervals are made of."""


def figures_of(evening: Evening) -> dict[str, float | None]:
    """All figures of one replication."""
    return {figure.name: figure.of(evening) for figure in FIGURES}


def columns_of(evening: Evening) -> dict[str, float | None]:
    """All figures of one replication, and what their intervals are made of: `COLUMNS`."""
    found = figures_of(evening)
    for figure in FIGURES:
        if isinstance(figure.of, ShareOf):
            found[people_column(figure.name)] = float(len(figure.of.flags(evening)))
    for times, of in TIMES.items():
        values = of(evening)
        found[mean_column(times)] = float(values.mean()) if len(values) else None
        found[error_column(times)] = float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else None
    return found
