"""Error guards: what about an order is worth a question before it is cooked, with the evidence, in English and Chinese.

They never refuse anything. Pure functions of the order, of what went before at the table, and of what earlier orders looked like.
"""

# ruff: noqa: RUF001 (Chinese texts have Chinese punctuation, and quantities a multiplication sign)

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from refsystem.ordering.menu import Menu
from refsystem.ordering.money import BASIS_POINTS
from refsystem.ordering.store_rules import GuardRules

Kind = Literal["missed_item", "odd_quantity", "repeat"]
Items = Sequence[tuple[str, int]]

USUAL_BASIS_POINTS = 9_950
"""The usual most of an item: what 99.5 % of its lines do not exceed."""
COMPANIONS_MAX = 3


@dataclass(frozen=True, slots=True)
class Guard:
    """One question. `item_id` is what it is about; empty for the whole order."""

    kind: Kind
    item_id: str
    text: str
    text_zh: str


@dataclass(frozen=True, slots=True)
class EarlierOrder:
    """An order at the same table or of the same diner, `ago_s` seconds before."""

    order_id: str
    items: tuple[tuple[str, int], ...]
    ago_s: int


@dataclass(frozen=True)
class Habits:
    """What earlier orders looked like: how many had an item, how many two of them together, and quantities of each item."""

    orders: int = 0
    having: Mapping[str, int] = field(default_factory=dict)
    together: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    quantities: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


def learn(orders: Iterable[Items]) -> Habits:
    """The habits in `orders`; each holds `(item_id, quantity)` lines."""
    count = 0
    having: Counter[str] = Counter()
    together: dict[str, Counter[str]] = {}
    quantities: dict[str, Counter[int]] = {}
    for items in orders:
        count += 1
        names = sorted({item_id for item_id, _ in items})
        having.update(names)
        for one in names:
            together.setdefault(one, Counter()).update(other for other in names if other != one)
        for item_id, quantity in items:
            quantities.setdefault(item_id, Counter())[quantity] += 1
    return Habits(count, having, together, quantities)


def question(
    items: Items, earlier: Iterable[EarlierOrder], habits: Habits, menu: Menu, rules: GuardRules
) -> tuple[Guard, ...]:
    """All questions about an order."""
    return (
        *repeats(items, earlier, rules),
        *odd_quantities(items, habits, menu, rules),
        *missed_items(items, habits, menu, rules),
    )


def repeats(items: Items, earlier: Iterable[EarlierOrder], rules: GuardRules) -> tuple[Guard, ...]:
    """The same items as in an order a moment ago: somebody else at the table, or the same tap twice under another key."""
    wanted = _sums(items)
    found = [each for each in earlier if 0 <= each.ago_s <= rules.repeat_s and _sums(each.items) == wanted]
    if not found:
        return ()
    last = min(found, key=lambda each: each.ago_s)
    name = last.order_id[-6:]
    text = f"The same was ordered {last.ago_s} s ago (order …{name}). Is this another one?"
    return (Guard("repeat", "", text, f"{last.ago_s} 秒前已下过相同的单（尾号 {name}），确定再来一份吗？"),)


def odd_quantities(items: Items, habits: Habits, menu: Menu, rules: GuardRules) -> tuple[Guard, ...]:
    """Far more of an item than is usual. Without enough earlier lines of it a fixed bound is used."""
    guards = []
    for item_id, quantity in _sums(items).items():
        seen = habits.quantities.get(item_id, {})
        lines = sum(seen.values())
        usual = _usual_most(seen, lines)
        name, name_zh = _names(item_id, menu)
        if lines >= rules.companion_orders_min and quantity > usual * rules.quantity_factor:
            text = f"{quantity} × {name}: {_share(lines, seen, usual)} of {lines} earlier lines had at most {usual}."
            text_zh = f"{name_zh} {quantity} 份：以往 {lines} 行中 {_share(lines, seen, usual)} 不超过 {usual} 份。"
        elif lines < rules.companion_orders_min and quantity > rules.quantity_without_history:
            text = f"{quantity} × {name}: more than {rules.quantity_without_history}, and seldom ordered so far."
            text_zh = f"{name_zh} {quantity} 份：超过 {rules.quantity_without_history} 份，且以往很少有人点。"
        else:
            continue
        guards.append(Guard("odd_quantity", item_id, text, text_zh))
    return tuple(guards)


def missed_items(items: Items, habits: Habits, menu: Menu, rules: GuardRules) -> tuple[Guard, ...]:
    """What nearly everybody orders together with something in the order, and is not in it; the surest first."""
    ordered = {item_id for item_id, _ in items}
    best: dict[str, tuple[int, int, str]] = {}
    known = [one for one in ordered if habits.having.get(one, 0) >= rules.companion_orders_min]
    for one in known:
        having = habits.having[one]
        for other, both in habits.together.get(one, {}).items():
            surely = both * BASIS_POINTS >= having * rules.companion_basis_points
            if surely and other not in ordered and other in menu.by_id:
                best[other] = max(best.get(other, (0, 0, "")), (both * BASIS_POINTS // having, both, one))
    guards = []
    for other, (_, both, one) in sorted(best.items(), key=lambda each: (each[1], each[0]), reverse=True)[
        :COMPANIONS_MAX
    ]:
        (name, name_zh), (with_name, with_name_zh) = _names(other, menu), _names(one, menu)
        having = habits.having[one]
        text = f"No {name}? {both} of {having} orders with {with_name} had it."
        text_zh = f"没有点{name_zh}？点了{with_name_zh}的 {having} 单中有 {both} 单都点了。"
        guards.append(Guard("missed_item", other, text, text_zh))
    return tuple(guards)


def _sums(items: Items) -> Counter[str]:
    sums: Counter[str] = Counter()
    for item_id, quantity in items:
        sums[item_id] += quantity
    return sums


def _usual_most(seen: Mapping[int, int], lines: int) -> int:
    running = 0
    for quantity in sorted(seen):
        running += seen[quantity]
        if running * BASIS_POINTS >= lines * USUAL_BASIS_POINTS:
            return quantity
    return 0


def _share(lines: int, seen: Mapping[int, int], usual: int) -> str:
    most = sum(count for quantity, count in seen.items() if quantity <= usual)
    return f"{100 * most / lines:.1f} %"


def _names(item_id: str, menu: Menu) -> tuple[str, str]:
    item = menu.by_id.get(item_id)
    return (item.name, item.name_zh) if item is not None else (item_id, item_id)
