"""What cooks see of tickets and orders, as JSON: names in both languages, ages and colours by the store's rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from refsystem.clocks import wall_us
from refsystem.ordering.kitchen_order import KitchenOrder
from refsystem.ordering.kitchen_steps import SoldOut
from refsystem.ordering.menu import Menu, Station
from refsystem.ordering.store_rules import ONE_STATION, KitchenRules
from refsystem.ordering.ticket import colour_of

Json = dict[str, Any]

KITCHEN = Station(ONE_STATION, "Kitchen", "厨房")
KEPT = ("order_id", "version", "station", "channel", "table", "note", "rounds")
FLAGS = ("given_up", "priority", "escalated")


class Shown:
    """How a display with this menu and these rules shows things."""

    def __init__(self, menu: Menu, rules: KitchenRules) -> None:
        self._menu = menu
        self._rules = rules

    def kitchen(self, sold_out: Iterable[SoldOut]) -> Json:
        """Stations, courses and the menu, with what is sold out and why."""
        gone = {each.item_id: each for each in sold_out}
        one_slip = self._rules.routing == "one_slip"
        stations = (KITCHEN,) if one_slip else (*self._menu.all_stations, KITCHEN)
        return {
            "stations": [_named(station.station_id, station) for station in stations],
            "courses": [_named(rule.course, rule) for rule in self._rules.courses],
            "yellow_s": self._rules.yellow_s,
            "red_s": self._rules.red_s,
            "items": [
                {
                    **_named(item.item_id, item),
                    "station": KITCHEN.station_id if one_slip else item.station,
                    "sold_out": item.item_id in gone,
                    "reason": gone[item.item_id].reason if item.item_id in gone else "",
                }
                for item in self._menu.items
            ],
        }

    def ticket(self, row: Json, now_us: int) -> Json:
        """A ticket of the display's database: open ones with their age and colour."""
        kept = {name: row[name] for name in (*KEPT, *FLAGS) if name in row}
        detail = row["detail"]
        lines = detail.get("lines") or [_plain(line) for line in row["items"] or ()]
        kept |= {
            "items": [self._line(line) for line in lines],
            "replaces": detail.get("replaces", 0),
            "after_made": detail.get("after_made", False),
            "pickup_at_s": detail.get("pickup_at_s", 0),
        }
        if "shown_at_us" not in row:
            return kept
        waiting_s = max(0, now_us - row["shown_at_us"]) // 1_000_000
        return {**kept, "waiting_s": waiting_s, "colour": colour_of(waiting_s, self._rules)}

    def held(self, orders: Iterable[tuple[int, KitchenOrder]], station: str, now_us: int) -> list[Json]:
        """Courses that orders hold back: one row for each, with the lines of `station` (or of all)."""
        rows = []
        for seen_at_us, order in orders:
            waiting_s = max(0, now_us - seen_at_us) // 1_000_000
            for course, fires in order.held:
                lines = [line for line in order.held_lines() if line.course == course and station in ("", line.station)]
                if lines:
                    fires_in_s = self._fires_in_s(order, course, fires, waiting_s)
                    rows.append(
                        {
                            "order_id": order.order_id,
                            "table": order.table,
                            "channel": order.channel,
                            "course": course,
                            "fires": fires,
                            "fires_in_s": fires_in_s,
                            "pickup_at_s": order.pickup_at_s,
                            "items": [self._line({"item_id": line.item_id, "quantity": line.left}) for line in lines],
                        }
                    )
        return rows

    def _fires_in_s(self, order: KitchenOrder, course: int, fires: str, waiting_s: int) -> int | None:
        """In how many seconds a course is fired by itself; None: never."""
        begins_in_s = order.fires_at_s - wall_us() // 1_000_000 if order.fires_at_s else 0
        if order.fires_at_s and fires == "at_once":
            return max(0, begins_in_s)
        at_latest_s = self._rules.at_latest_s(course)
        waited_s = min(waiting_s, -begins_in_s) if order.fires_at_s else waiting_s
        return max(0, at_latest_s - waited_s) if at_latest_s else None

    def _line(self, line: Json) -> Json:
        item = self._menu.by_id.get(str(line["item_id"]))
        name, name_zh = (item.name, item.name_zh) if item else (str(line["item_id"]), str(line["item_id"]))
        return {"cancelled": 0, **line, "name": name, "name_zh": name_zh}


def _named(identity: str | int, named: Any) -> Json:
    return {"id": identity, "name": named.name, "name_zh": named.name_zh}


def _plain(line: Any) -> Json:
    """A line of a file of an earlier version, which kept the record's own items."""
    item_id, quantity = line if isinstance(line, list) and len(line) == 2 else (line, 1)
    return {"item_id": item_id, "quantity": quantity}
