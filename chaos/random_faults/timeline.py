"""A timeline of faults drawn from a seed: episodes of one to three faults, with calm between them.

Swarm testing: each seed enables a subset of the kinds of its own, so that some seeds do one thing often and others mix.
(Groce, Zhang, Eide, Chen, Regehr: Swarm Testing, ISSTA 2012.) The drawn timeline is an ordinary scenario's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from chaos.random_faults.draws import Draws
from chaos.random_faults.kinds import KINDS, Kind, Place
from simulator.scenario import Fault, Scenario, ScenarioError, Store, with_changes
from simulator.scenario_reach import link_kinds, store_hit
from simulator.streams import Streams

DEFAULT_BASE = "calm"
FIRST_AT_S = 2.0
LAST_CALM_S = 3.0
CALM_S = (5.0, 6.5)
CALM_BEFORE_DESTROYING_S = 8.0
"""A device that was killed is started again, copies the log and becomes a member; that must be over."""
LEAD_S = 2.0
"""A slow link is proven by a round trip, and orders are to be in flight, before the next fault strikes."""
LEAD_OVER_S = 0.5
"""A link stays slow a moment longer than what struck, while the others come back."""
ENABLED_SHARE = 0.5
STRIKING_LEAST = 3
DEVICE_SHARE = 0.4
"""Of the episodes at least; the devices are few of the kinds and hold all the orders."""
EPISODES_MAX = 100
DURATION_LEAST_S = 12.0
LATE_START_SHARE = 0.05
CONVERGE_S = 60.0
ACKNOWLEDGED_SHARE = 0.2
NAME_MAX = 40


@dataclass(frozen=True, slots=True)
class Drawn:
    """A drawn timeline and the kinds that its seed enabled."""

    faults: tuple[Fault, ...]
    enabled: tuple[str, ...]


def random_scenario(base: Scenario, seed: int) -> Scenario:
    """`base` with the faults of `seed` in place of its own. Raises `ScenarioError` if it is too short for any.

    What `base` promises of a fault (exposure, time to fail over) falls away with its faults; of its orders a share must be
    acknowledged still. A busy machine may start a few diners late. What is outside of the blast radius that `base` declares
    is left out.
    """
    if base.duration_s < DURATION_LEAST_S:
        raise ScenarioError(
            f"{base.name}: duration_s is {base.duration_s:g}; random faults need {DURATION_LEAST_S:g} s of load at least"
        )
    drawn = draw_timeline(base, seed)
    if not drawn.faults:
        raise ScenarioError(f"{base.name}: no fault of seed {seed} is inside of its blast_radius; take another seed")
    expected = base.diners.arrivals.rate_per_s * base.duration_s
    changes = {
        "name": f"random_{base.name}"[:NAME_MAX],
        "title": f"Random faults of seed {seed} on {base.name}",
        "description": f"Drawn by `rushproof drill {base.name} --random-faults --seed {seed}`.\n"
        f"The seed enabled: {', '.join(drawn.enabled)}.",
        "seed": seed,
        "faults": [fault.model_dump(mode="json", exclude_none=True) for fault in drawn.faults],
        "budgets": {
            "late_start_share": max(base.budgets.late_start_share, LATE_START_SHARE),
            "failover_ms_p50": None,
            "loss_rate": None,
        },
        "least_exposed": 0,
        "least_acknowledged": min(base.least_acknowledged, int(expected * ACKNOWLEDGED_SHARE)),
        "converge_timeout_s": max(base.converge_timeout_s, CONVERGE_S),
    }
    return with_changes(base, changes)


def draw_timeline(base: Scenario, seed: int) -> Drawn:
    """The faults of `seed` for the stores and the duration of `base`, sorted by time."""
    draws = Draws(Streams(seed))
    enabled = _enabled(draws, any(store.printer for store in base.stores))
    radius = base.blast_radius
    faults = [
        fault
        for fault, _ in _episodes(draws, enabled, base)
        if radius is None or radius.holds(fault, store_hit(base, fault))
    ]
    return Drawn(tuple(sorted(faults, key=lambda fault: fault.at_s)), tuple(kind.name for kind in enabled))


def _enabled(draws: Draws, has_printer: bool) -> Sequence[Kind]:
    """The kinds of this seed; at least a few of them strike and do not only make a link slow."""
    kinds = [kind for kind in KINDS.values() if has_printer or not kind.of_printer]
    enabled = {kind.name for kind in kinds if draws.within("swarm").chance(kind.name, ENABLED_SHARE)}
    striking = draws.shuffled("kinds that strike", [kind.name for kind in kinds if not kind.leads])
    missing = STRIKING_LEAST - len(enabled.intersection(striking))
    enabled |= set([name for name in striking if name not in enabled][: max(0, missing)])
    return [kind for kind in kinds if kind.name in enabled]


def _episodes(draws: Draws, enabled: Sequence[Kind], base: Scenario) -> Iterator[tuple[Fault, float]]:
    """Every fault with its end, episode after episode until the load is nearly over."""
    last_s = base.duration_s - LAST_CALM_S
    free_at_s, quiet_since_s = FIRST_AT_S, 0.0
    for number in range(EPISODES_MAX):
        episode = draws.within(f"episode {number}")
        store = episode.choice("store", base.stores) if len(base.stores) > 1 else base.stores[0]
        begins_s = free_at_s
        there = [_in_store(kind, store) for kind in enabled if store.printer or not kind.of_printer]
        kinds = _kinds_of(episode, there)
        if number > 0 and any(kind.destroys for kind in kinds):
            begins_s = max(begins_s, quiet_since_s + CALM_BEFORE_DESTROYING_S)
        faults = list(_faults(episode, kinds, begins_s, last_s, store.name if len(base.stores) > 1 else None))
        if not faults:
            return
        yield from faults
        quiet_since_s = max(end_s for _, end_s in faults)
        free_at_s = round(quiet_since_s + episode.seconds("calm", *CALM_S), 1)


def _kinds_of(episode: Draws, enabled: Sequence[Kind]) -> Sequence[Kind]:
    """One to three kinds, one of which strikes."""
    wanted = episode.choice("size", (1, 2, 2, 3))
    order = episode.shuffled("order", enabled)
    striking = [kind for kind in order if not kind.leads]
    on_devices = [kind for kind in striking if Place.DEVICES in kind.places]
    chosen = [on_devices[0] if on_devices and episode.chance("a device", DEVICE_SHARE) else striking[0]]
    for kind in order:
        if len(chosen) < wanted and all(_go_together(kind, other) for other in chosen):
            chosen.append(kind)
    return chosen


def _in_store(kind: Kind, store: Store) -> Kind:
    """What hits the way to the cloud hits the way to an arbiter that stands there."""
    if Place.WAN in kind.places and "edge_arbiter" in link_kinds("edge_cloud", store):
        return replace(kind, places=kind.places | {Place.ARBITER})
    return kind


def _go_together(one: Kind, other: Kind) -> bool:
    """A slow link is proven before the others strike; of those no two hit the same thing."""
    if one.leads == other.leads and one.places & other.places:
        return False
    if one.destroys or other.destroys:
        return _spares_the_copy(other if one.destroys else one)
    return True


def _spares_the_copy(beside: Kind) -> bool:
    """Whether a lost disk beside this fault leaves the other device with everything, and able to go on (P9, P19).

    With the devices apart the primary goes on alone, and its disk would be the only one; without the arbiter nobody does.
    """
    return beside.leads or not beside.places & {Place.PEERS, Place.ARBITER}


def _faults(
    episode: Draws, kinds: Sequence[Kind], begins_s: float, last_s: float, store: str | None
) -> Iterator[tuple[Fault, float]]:
    """The faults of an episode: slow links first, then what strikes; all over before `last_s`, or left out."""
    strikes_s = begins_s + (LEAD_S if any(kind.leads for kind in kinds) else 0.0)
    planned: list[tuple[Kind, float, float]] = []
    for kind in kinds:
        if not kind.leads:
            draws = episode.within(kind.name)
            at_s = strikes_s + draws.seconds("at", 0.0, 1.0)
            for_s = min(draws.seconds("for", kind.least_s, kind.most_s), last_s - at_s) if kind.lasts else 0.0
            if at_s <= last_s and (for_s >= kind.least_s or not kind.lasts):
                planned.append((kind, at_s, for_s))
    if not planned:
        return
    ends_s = max(at_s + for_s for _, at_s, for_s in planned)
    planned += [(kind, begins_s, ends_s + LEAD_OVER_S - begins_s) for kind in kinds if kind.leads]
    for kind, at_s, for_s in planned:
        at_s, for_s = round(at_s, 1), round(for_s, 1)
        yield kind.fault(episode.within(kind.name), at_s, for_s, store), at_s + for_s
