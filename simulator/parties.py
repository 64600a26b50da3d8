"""What a party does with its check: further orders by its members, and what people do with a bill until it is paid.

Drawn before the run, as all of a diner's visit is. Moments count from the intended start of the first order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from refsystem.ordering.menu import Menu
from refsystem.ordering.payment import Tender
from simulator.distributions import between, choice, geometric, lognormal, whole_between
from simulator.formats import called_for, format_of
from simulator.scenario_model import Scenario
from simulator.scenario_parties import Parties

DINING_BY_SIZE = (40.5, 45.5, 48.4, 51.1, 54.5, 69.9)
"""Minutes at the table of parties of 1 to 6 (Kimes & Thompson); larger ones as those of 6."""
DINING_MEAN = 49.5
DINING_LONGEST = 2.0
"""No party stays longer than this many times the mean."""
ADD_ON_FROM, ADD_ON_UNTIL = 0.05, 0.8
"""Add-ons come within this part of the time at the table. [G]"""
ADD_ONS_MOST = 8
CALLS_FROM, CALLS_UNTIL = 0.5, 0.8
"""A table calls for what waits until then within this part of its time. [G]"""
COUPON_BASIS_POINTS = 1_000

Split = Literal["", "evenly", "by_line"]
Less = Literal["", "void", "comp"]
Draw = Callable[[str, int], float]
"""The uniform number for a purpose and an index."""
Lines = tuple[tuple[str, int], ...]
DrawLines = Callable[[int, float], Lines]
"""The lines of the add-on with this index, of which there are so many on average."""


@dataclass(frozen=True, slots=True)
class AddOn:
    """A further order, `after_us` after the first one was meant, by the phone of `member` (0 ordered first)."""

    after_us: int
    member: int
    items: Lines
    total_minor: int
    key_bits: int
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Visit:
    """A party's check. It asks for the bill `dining_us` after its first order was meant.

    `moves_to` is the table that it moves to after `moves_after_us`; empty: it stays. An add-on that is `apart` gets a check
    of its own, which is merged before they pay. `second_tender` pays half; None: one tender pays all. `calls` are the courses
    that wait until the table calls for them, after `calls_after_us` or, of later orders, before it pays: of the first order (0)
    or of an add-on (1 + its place), which one.
    """

    size: int
    dining_us: int
    add_ons: tuple[AddOn, ...] = ()
    moves_to: str = ""
    moves_after_us: int = 0
    less: Less = ""
    coupon: bool = False
    split: Split = ""
    second_tender: Tender | None = None
    refund: bool = False
    calls_after_us: int = 0
    calls: tuple[tuple[int, int], ...] = ()


def draw_visit(
    scenario: Scenario,
    menu: Menu,
    tables: int,
    table: str,
    items: Lines,
    draw: Draw,
    bits: Callable[[str, int], int],
    lines: DrawLines,
) -> Visit:
    """The visit of one party at `table`, one of `tables`; `items` is its first order."""
    waits = called_for(menu, format_of(scenario))
    said = scenario.diners.parties
    assert said is not None, "somebody who dines alone has no party"
    size = 1 + choice(draw("party size", 0), dict(enumerate(said.sizes)))
    dining_us = scenario.scaled_us(_dining_s(said, size, draw("dining", 0)))
    add_ons = _add_ons(said, menu, size, dining_us, draw, bits, lines)
    habits = said.habits
    moves = draw("transfer", 0) < habits.transfers and tables > 1
    return Visit(
        size=size,
        dining_us=dining_us,
        add_ons=add_ons,
        moves_to=_other_table(table, tables, draw("table after", 0)) if moves else "",
        moves_after_us=round(dining_us * between(draw("transfer after", 0), ADD_ON_FROM, ADD_ON_UNTIL)) if moves else 0,
        less=_one_of(draw("less", 0), void=habits.voids, comp=habits.comps),
        coupon=draw("coupon", 0) < habits.coupons,
        split=_one_of(draw("split", 0), evenly=habits.splits_evenly, by_line=habits.splits_by_line) if size > 1 else "",
        second_tender=_second_tender(scenario, draw) if draw("several tenders", 0) < habits.several_tenders else None,
        refund=draw("refund", 0) < habits.refunds,
        calls_after_us=round(dining_us * between(draw("calls", 0), CALLS_FROM, CALLS_UNTIL)),
        calls=tuple(
            (number, course)
            for number, ordered in enumerate((items, *(add_on.items for add_on in add_ons)))
            for course in sorted({waits[item_id] for item_id, _ in ordered if item_id in waits})
        ),
    )


def read_visit(row: dict[str, Any]) -> Visit:
    """A visit as `dataclasses.asdict` and JSON have written it."""
    add_ons = tuple(AddOn(**{**each, "items": _lines(each["items"])}) for each in row["add_ons"])
    calls = tuple((int(number), int(course)) for number, course in row["calls"])
    return Visit(**{**row, "add_ons": add_ons, "calls": calls})


def _add_ons(
    said: Parties,
    menu: Menu,
    size: int,
    dining_us: int,
    draw: Draw,
    bits: Callable[[str, int], int],
    lines: DrawLines,
) -> tuple[AddOn, ...]:
    """Geometric from none on, in the order in which they come; the last one is apart if the party merges checks."""
    many = geometric(draw("add-ons", 0), 1 + said.add_ons_mean, 1 + ADD_ONS_MOST) - 1
    moments = sorted(
        round(dining_us * between(draw("add-on at", place), ADD_ON_FROM, ADD_ON_UNTIL)) for place in range(many)
    )
    apart = draw("merge", 0) < said.habits.merges
    made = []
    for place, after_us in enumerate(moments):
        items = lines(place, said.add_on_lines_mean)
        made.append(
            AddOn(
                after_us=after_us,
                member=whole_between(draw("add-on by", place), 0, size - 1),
                items=items,
                total_minor=menu.total_minor(items),
                key_bits=bits("add-on key", place),
                apart=apart and place == many - 1,
            )
        )
    return tuple(made)


def _dining_s(said: Parties, size: int, uniform: float) -> float:
    mean_s = said.dining_s * DINING_BY_SIZE[min(size, len(DINING_BY_SIZE)) - 1] / DINING_MEAN
    return min(DINING_LONGEST * said.dining_s, lognormal(uniform, mean_s, said.dining_deviation_s))


def _other_table(table: str, tables: int, uniform: float) -> str:
    """Any table but this one."""
    others = [f"T{number}" for number in range(1, tables + 1) if f"T{number}" != table]
    return others[whole_between(uniform, 0, len(others) - 1)]


def _one_of(uniform: float, **shares: float) -> Any:
    """One of the names, each with its share of all; the empty text with what is left."""
    return choice(uniform, {**shares, "": max(0.0, 1 - sum(shares.values()))})


def _second_tender(scenario: Scenario, draw: Draw) -> Tender | None:
    if scenario.payments is None:
        return None
    tender: Tender = choice(draw("second tender", 0), scenario.payments.tenders.shares)
    return tender


def _lines(rows: Sequence[Sequence[Any]]) -> Lines:
    return tuple((str(item_id), int(quantity)) for item_id, quantity in rows)
