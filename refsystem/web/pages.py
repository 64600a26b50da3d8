"""The pages of a store as HTML, made on the device: the menu and the words are in them, so that a page shows at once.

What a page's modules need besides stands in it as a block of JSON. No page holds a script or a style of its own, so that the
content security policy can forbid them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from refsystem.ordering.menu import Menu, MenuItem
from refsystem.ordering.order import CHANNELS, LINES_MAX, NOTE_CHARACTERS_MAX, QUANTITY_MAX
from refsystem.web.languages import HTML_LANGUAGE, LANGUAGES, words

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
PAGES = {
    "order": "qr",
    "kiosk": "kiosk",
    "cashier": "cashier",
    "waiter": "waiter",
    "stock": "",
}
"""Every page by its path, and the channel that its orders come by."""
OTHER_CHANNEL = {"kiosk": "qr", "waiter": "cashier"}
"""The channel that stands in where a store does not know a page's own."""
SYMBOLS = {"CNY": "¥", "EUR": "€", "USD": "$", "GBP": "£"}


@dataclass(frozen=True)
class Pages:
    """The pages of one device. `peer_url` is the store's other device, "" without one; `tables` are those of the store."""

    store: str
    menu: Menu
    peer_url: str
    tables: tuple[str, ...]

    @property
    def security_policy(self) -> str:
        """The content security policy: everything from this device, requests also to the other one."""
        return security_policy(self.peer_url)

    def render(self, page: str, language: str) -> str:
        """One page in one language."""
        said = words(language)
        template = _environment().get_template(f"{page}.html")
        return template.render(
            page=page,
            lang=language,
            html_lang=HTML_LANGUAGE[language],
            languages=LANGUAGES,
            html_languages=HTML_LANGUAGE,
            t=said,
            store=self.store,
            sections=self._sections(language),
            note_max=NOTE_CHARACTERS_MAX,
            data=self._data(page, language, said),
        )

    def _data(self, page: str, language: str, said: Mapping[str, str]) -> dict[str, Any]:
        channel = PAGES.get(page, "")
        return {
            "page": page,
            "lang": HTML_LANGUAGE[language],
            "words": said,
            "store": self.store,
            "peer": origin(self.peer_url) if self.peer_url else "",
            "currency": self.menu.currency,
            "channel": channel if channel in CHANNELS else OTHER_CHANNEL.get(channel, channel),
            "tables": self.tables,
            "quantity_max": QUANTITY_MAX,
            "lines_max": LINES_MAX,
            "note_max": NOTE_CHARACTERS_MAX,
            "items": {item.item_id: self._item(item, language) for item in self.menu.items},
            "ingredients": {
                each.ingredient_id: {"name": _named(each, language), "unit": each.unit, "par": each.par}
                for each in self.menu.ingredients
            },
        }

    def _item(self, item: MenuItem, language: str) -> dict[str, Any]:
        return {"name": _named(item, language), "price_minor": item.price_minor}

    def _sections(self, language: str) -> list[dict[str, Any]]:
        """The menu by the station that makes it, as `menu.html` shows it."""
        other = "zh" if language == "en" else "en"
        return [
            {
                "id": station.station_id,
                "name": _named(station, language),
                "dishes": [
                    {
                        "id": item.item_id,
                        "name": _named(item, language),
                        "other": _named(item, other),
                        "other_lang": HTML_LANGUAGE[other],
                        "price_minor": item.price_minor,
                        "price": money(item.price_minor, self.menu.currency),
                    }
                    for item in self.menu.items
                    if item.station == station.station_id
                ],
            }
            for station in self.menu.all_stations
        ]


def security_policy(peer_url: str = "") -> str:
    """The content security policy of a page: everything from its own process, requests also to `peer_url`; no frame holds it."""
    peer = f" {origin(peer_url)}" if peer_url else ""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; manifest-src 'self'; "
        f"worker-src 'self'; connect-src 'self'{peer}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def origin(url: str) -> str:
    """The origin of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def money(amount_minor: int, currency: str) -> str:
    """An amount of money as a page shows it."""
    symbol = SYMBOLS.get(currency, f"{currency} ")
    return f"{symbol}{amount_minor // 100}.{amount_minor % 100:02d}"


def _named(thing: Any, language: str) -> str:
    name: str = thing.name_zh if language == "zh" else thing.name
    return name


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(FOLDER / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
