"""The diners: who comes when, what each wants, and how long each bears it.

A timetable is made before a run and never changes with how the system behaves (an open workload). Every draw is keyed
by the seed and the diner's number, so that one seed always gives one timetable. The time scale is applied already:
all times here are real microseconds.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from refsystem.ordering.menu import Menu
from refsystem.ordering.order import Channel
from refsystem.ordering.payment import Tender
from simulator.arrivals import arrival_times_s
from simulator.baskets import draw_lines, first_basket
from simulator.distributions import between, choice, geometric, lognormal, whole_between
from simulator.formats import bases, format_of
from simulator.parties import Visit, draw_visit, read_visit
from simulator.scenario_model import Scenario
from simulator.seating import seated
from simulator.streams import Streams

Behaviour = Literal["plain", "double_tap", "two_doors", "reorders"]

KEY_BITS = 74
THINK_DEVIATION = 0.5
PATIENCE_DEVIATION = 0.2
POLL_SPREAD = 0.2
PICKUP_DEVIATION = 0.5
KIOSKS = 4
DINES_IN: frozenset[Channel] = frozenset({"qr", "waiter"})
"""The channels of those who sit at a table."""


class TimetableError(ValueError):
    """The file is not a timetable."""


@dataclass(frozen=True, slots=True)
class Diner:
    """One person who orders once, or twice on giving up.

    `at_us` is when the diner opens the menu, after the start of the run; the order is meant for `at_us + think_us`
    (`intended_us`), and `patience_us` runs from there. `items` holds `(item_id, quantity)`. `note` is what the person
    writes, nothing by default: what is sent is the `marker` of the run. The key bits are the 74 random bits of the
    UUIDv7 of the first and of the second order. `double_tap` sends the same key twice at once; `two_doors` sends it
    to edge and cloud at once; `reorders` makes a second order under the same intent on giving up. `tender` is what the check
    is paid with, in `pay_patience_us`; None: it is not paid. `visit` is what a party does with its check beside this first order.
    Who ordered ahead comes for it `pickup_us` after the order was meant, and looks how it stands from then on.
    """

    diner: int
    store: str
    at_us: int
    channel: Channel
    table: str
    items: tuple[tuple[str, int], ...]
    total_minor: int
    note: str
    order_key_bits: int
    reorder_key_bits: int
    think_us: int
    patience_us: int
    poll_us: int
    polls_max: int
    behaviour: Behaviour
    tender: Tender | None = None
    pay_patience_us: int = 0
    visit: Visit | None = None
    pickup_us: int = 0

    @property
    def stay_us(self) -> int:
        """The planned time from the intended order to the bill, or to the pick-up; 0 for who neither dines nor ordered ahead."""
        return max(self.pickup_us, self.visit.dining_us if self.visit is not None else 0)

    @property
    def intended_us(self) -> int:
        """The intended start of the order, after the start of the run."""
        return self.at_us + self.think_us


def make_timetable(
    scenario: Scenario, menu: Menu, seed: int, rate_per_s: float | None = None, duration_s: float | None = None
) -> list[Diner]:
    """All diners of a run, in order of arrival, numbered from 0; rate and duration replace the scenario's if given."""
    arrivals, streams = scenario.diners.arrivals, Streams(seed)
    times_s = arrival_times_s(
        streams,
        arrivals.rate_per_s if rate_per_s is None else rate_per_s,
        scenario.duration_s if duration_s is None else duration_s,
        arrivals.curve,
    )
    diners = [
        make_diner(
            scenario, menu, streams, number, round(at_s * 1_000_000), first_basket(scenario, menu, streams, number)
        )
        for number, at_s in enumerate(times_s)
    ]
    return seated(diners, {store.name: store.tables for store in scenario.stores})


def make_diner(
    scenario: Scenario, menu: Menu, streams: Streams, number: int, at_us: int, items: tuple[tuple[str, int], ...]
) -> Diner:
    """Diner `number` with this arrival and these items; everything else is drawn."""
    said = scenario.diners

    def draw(purpose: str) -> float:
        return streams.uniform(purpose, diner=number)

    store = scenario.stores[whole_between(draw("store"), 0, len(scenario.stores) - 1)]
    channel = choice(draw("channel"), said.channels.shares)
    table = _table(channel, store.tables, draw("table"))
    visit = _visit(scenario, menu, streams, number, table, store.tables, items) if channel in DINES_IN else None
    return Diner(
        diner=number,
        store=store.name,
        at_us=at_us,
        channel=channel,
        table=table,
        items=items,
        total_minor=menu.total_minor(items),
        note="",
        order_key_bits=streams.bits(KEY_BITS, "order key", diner=number),
        reorder_key_bits=streams.bits(KEY_BITS, "reorder key", diner=number),
        think_us=scenario.scaled_us(_around(draw("think"), said.think_s, THINK_DEVIATION)),
        patience_us=max(1, scenario.scaled_us(_around(draw("patience"), said.patience_s, PATIENCE_DEVIATION))),
        poll_us=max(1, scenario.scaled_us(said.poll_s * between(draw("poll"), 1 - POLL_SPREAD, 1 + POLL_SPREAD))),
        polls_max=said.polls_max,
        behaviour=_behaviour(scenario, draw("behaviour")),
        visit=visit,
        pickup_us=_pickup_us(scenario, streams, number) if channel == "mini_program" else 0,
        **_payment(scenario, channel, draw("tender")),
    )


def _table(channel: Channel, tables: int, uniform: float) -> str:
    """Where it is eaten or handed out."""
    match channel:
        case "qr" | "waiter":
            return f"T{whole_between(uniform, 1, tables)}"
        case "kiosk":
            return f"kiosk {whole_between(uniform, 1, KIOSKS)}"
        case "cashier":
            return "counter"
        case _:
            return "pickup"


def _visit(
    scenario: Scenario,
    menu: Menu,
    streams: Streams,
    number: int,
    table: str,
    tables: int,
    items: tuple[tuple[str, int], ...],
) -> Visit | None:
    """What the party of diner `number` does with its check; None where nobody comes in parties."""
    if scenario.diners.parties is None:
        return None
    first = bases(menu, format_of(scenario))
    others = [item.item_id for item in menu.items if item.item_id not in first]

    def lines(place: int, mean: float) -> tuple[tuple[str, int], ...]:
        many = geometric(streams.uniform("add-on lines", diner=number, index=place), mean, len(others))
        return draw_lines(scenario, streams, number, others, many, f" of add-on {place}")

    return draw_visit(
        scenario,
        menu,
        tables,
        table,
        items,
        lambda purpose, index: streams.uniform(purpose, diner=number, index=index),
        lambda purpose, index: streams.bits(KEY_BITS, purpose, diner=number, index=index),
        lines,
    )


def _pickup_us(scenario: Scenario, streams: Streams, number: int) -> int:
    """When diner `number` comes for what was ordered ahead; 0: at once."""
    said = scenario.diners.pre_orders
    if said is None or streams.uniform("pre-order", diner=number) >= said.share:
        return 0
    return scenario.scaled_us(_around(streams.uniform("pick-up", diner=number), said.ahead_s, PICKUP_DEVIATION))


def _payment(scenario: Scenario, channel: Channel, uniform: float) -> dict[str, Any]:
    """How the check is paid. Who orders at the cloud has paid there, which is no matter of the store's."""
    said = scenario.payments
    if said is None or channel == "mini_program":
        return {}
    return {
        "tender": choice(uniform, said.tenders.shares),
        "pay_patience_us": max(1, scenario.scaled_us(said.patience_s)),
    }


def order_id(diner: Diner, start_unix_ms: int, which: Literal[0, 1] = 0) -> str:
    """The UUIDv7 of a diner's first (0) or second (1) order in a run that started at this time since 1970."""
    key = diner.reorder_key_bits if which else diner.order_key_bits
    return uuid7(start_unix_ms + diner.intended_us // 1000, key)


def uuid7(at_unix_ms: int, key_bits: int) -> str:
    """The UUIDv7 of this moment with these 74 random bits."""
    at_ms = at_unix_ms & ((1 << 48) - 1)
    high, low = key_bits >> 62, key_bits & ((1 << 62) - 1)
    return str(UUID(int=(at_ms << 80) | (0x7 << 76) | (high << 64) | (0b10 << 62) | low))


def intent_id(run: str, diner: Diner) -> str:
    """What this diner wants in this run; both orders of a diner who reorders have it."""
    return f"{run}-{diner.diner}"


def marker(run: str, diner: Diner, which: int = 0) -> str:
    """The note by which the audit finds a diner's first (0), second (1) or further order (from 2 on) in every place."""
    return f"rp-{run}-{diner.diner}-{which}"


def timetable_length_s(timetable: Iterable[Diner]) -> float:
    """When the last order is meant to start, in seconds after the start of the run; 0 for an empty timetable."""
    return max((diner.intended_us for diner in timetable), default=0) / 1_000_000


def write_timetable(path: Path, timetable: Iterable[Diner]) -> None:
    """Write the timetable as a JSON list, one diner a line."""
    rows = ",\n".join(json.dumps(_plain(diner), separators=(",", ":"), ensure_ascii=False) for diner in timetable)
    path.write_text(f"[\n{rows}\n]\n", encoding="utf-8")


def read_timetable(path: Path) -> list[Diner]:
    """The timetable that `write_timetable` wrote; raises `TimetableError` that names the file."""
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return [_diner(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TimetableError(f"{path}: not a timetable ({error})") from error


def _diner(row: dict[str, Any]) -> Diner:
    items = tuple((str(item_id), int(quantity)) for item_id, quantity in row["items"])
    visit = read_visit(row["visit"]) if row.get("visit") else None
    return Diner(**{**row, "items": items, "visit": visit})


def _plain(diner: Diner) -> dict[str, Any]:
    """Its fields; those of a payment, a visit and a pick-up only when there is one."""
    row = {field.name: getattr(diner, field.name) for field in dataclasses.fields(diner)}
    row["visit"] = dataclasses.asdict(diner.visit) if diner.visit is not None else None
    needs = {
        "tender": diner.tender,
        "pay_patience_us": diner.tender,
        "visit": diner.visit,
        "pickup_us": diner.pickup_us,
    }
    return {name: value for name, value in row.items() if needs.get(name, True)}


def _around(uniform: float, mean: float, relative_deviation: float) -> float:
    """Lognormal about `mean` and at most four times it."""
    return min(4 * mean, lognormal(uniform, mean, relative_deviation * mean))


def _behaviour(scenario: Scenario, uniform: float) -> Behaviour:
    said = scenario.diners.behaviours
    rest = max(0.0, 1 - said.double_tap - said.two_doors)
    shares: dict[Behaviour, float] = {
        "double_tap": said.double_tap,
        "two_doors": said.two_doors,
        "reorders": rest * said.reorders,
        "plain": rest * (1 - said.reorders),
    }
    return choice(uniform, shares)
