"""Which menu and which rules a store goes by: a demo format's by its name, or those in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from refsystem.ordering.menu import DEMO_MENU, Menu, read_menu
from refsystem.ordering.menu_formats import MENUS
from refsystem.ordering.store_rules import DEMO_RULES, FORMATS, StoreRules, read_store_rules

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class StoreMenus:
    """The menus of several stores: each store's `own`, or else the `common` one."""

    common: Menu = DEMO_MENU
    own: Mapping[str, Menu] = field(default_factory=dict)

    def of(self, store: str) -> Menu:
        """The menu of `store`."""
        return self.own.get(store, self.common)


def find_menu(name_or_path: str) -> Menu:
    """The menu of a format, or in a JSON file; the demo menu for an empty text. Raises `ValueError` in one sentence."""
    return _found(name_or_path, MENUS, read_menu) if name_or_path else DEMO_MENU


def find_store_rules(name_or_path: str) -> StoreRules | None:
    """The rules of a format, or in a JSON file; None for an empty text: one station, and nothing is added to records."""
    return _found(name_or_path, DEMO_RULES, read_store_rules) if name_or_path else None


def read_store_menus(text: str) -> dict[str, Menu]:
    """Menus by store, as in `s1=hotpot,s2=menus/s2.json`; none for an empty text. Raises `ValueError` in one sentence."""
    menus: dict[str, Menu] = {}
    for part in filter(None, text.split(",")):
        store, equals, name_or_path = part.partition("=")
        if not (store and equals and name_or_path) or store in menus:
            raise ValueError(f"must be like s1=hotpot,s2=menus/s2.json, with each store once, not {text!r}")
        menus[store] = find_menu(name_or_path)
    return menus


def _found(name_or_path: str, named: Mapping[Any, Read], read: Callable[[Path], Read]) -> Read:
    if name_or_path in named:
        return named[name_or_path]
    path = Path(name_or_path)
    if not path.suffix and not path.exists():
        raise ValueError(f"{name_or_path!r} is no format and no file; the formats are {', '.join(FORMATS)}")
    return read(path)
