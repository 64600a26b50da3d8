"""How often intervals hold the true value: `python tests/simulator/model/intervals_held.py [SEEDS [auto]]`, some minutes."""

from __future__ import annotations

import sys

from simulator.model.intervals import interval
from simulator.model.replications import forecast
from simulator.scenario import load_scenario, with_changes

TRUTH_OF, TRUTH_SEED, FIRST_SEED, REPLICATIONS = 6_000, 999, 2_000, 20
TABLES = """\
name: tables-{tables}
duration_s: 200
stores: [{{name: s1, tables: {tables}}}]
diners: {{arrivals: {{rate_per_s: 1}}, channels: {{qr: 1.0, cashier: 0.0, mini_program: 0.0}}}}
model:
  visit: table_only
  seating: {{dining_s: 10, dining_shape: exponential, patience_s: 20, party_shares: [1.0], party_dining: [1.0]}}
"""
CLOUD = """\
name: cloud-at-84-percent
duration_s: 20
diners:
  arrivals: {rate_per_s: 12}
  channels: {qr: 0.0, cashier: 0.0, mini_program: 1.0}
  polls_max: 0
  think_s: 0
  patience_s: 60
model: {cloud: {workers: 1, menu_ms: 0, order_ms: 70, ingest_ms: 0, shape: exponential}}
"""
ASKED = (
    (TABLES.format(tables=10), ("table_wait", "reneged")),
    (TABLES.format(tables=21), ("table_wait", "reneged")),
    (CLOUD, ("answer_p95", "told_yes", "gave_up", "requests")),
)


def tell(text: str, names: tuple[str, ...], seeds: int, replications: int | None) -> None:
    """Print for each figure how often its interval, and how often Student's alone, held the mean of many replications."""
    scenario = load_scenario(text)
    truth = forecast(with_changes(scenario, {"seed": TRUTH_SEED}), "compiled", TRUTH_OF)
    true = {name: found.mean for name in names if (found := truth.interval(name)) is not None}
    held = {name: [0, 0] for name in names}
    count = 0
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        found = forecast(with_changes(scenario, {"seed": seed}), "compiled", replications)
        count += found.replications
        for name in names:
            plain = interval([value for value in found.values[name] if value is not None])
            for place, each in enumerate((found.interval(name), plain)):
                if each is not None and each.low is not None and each.high is not None:
                    held[name][place] += each.low <= true[name] <= each.high
    for name in names:
        ours, plain_t = (100 * each / seeds for each in held[name])
        which = f"{count / seeds:.0f} replications{'' if replications else ' (auto)'}"
        said = f"{ours:g} % held it, Student's alone {plain_t:g} %"
        sys.stdout.write(f"{scenario.name}: {name} {true[name]:.6g}, {which}: {said}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for asked, figures in ASKED:
        tell(
            asked, figures, int(sys.argv[1]) if len(sys.argv) > 1 else 200, None if "auto" in sys.argv else REPLICATIONS
        )
