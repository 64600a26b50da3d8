"""Which language a page is in, and its words: a JSON file for each language, all with the same keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

WORDS = Path(__file__).with_name("words")
LANGUAGES = {"en": "English", "zh": "中文"}
"""Every language by its own name."""
HTML_LANGUAGE = {"en": "en", "zh": "zh-CN"}
DEFAULT = "en"
ACCEPTED_MAX = 20


@cache
def words(language: str) -> Mapping[str, str]:
    """The words of a language by their key; `{n}` in one is filled in where it is shown."""
    said: dict[str, str] = json.loads((WORDS / f"{language}.json").read_text(encoding="utf-8"))
    return said


def choose_language(asked: str | None, kept: str | None, accepted: str | None) -> str:
    """The language of a page: the one `asked` for in its address, else the one `kept` in a cookie, else the browser's.

    `accepted` is the header Accept-Language (RFC 9110, 12.5.4).
    """
    for wanted in (asked, kept):
        if wanted in LANGUAGES:
            return str(wanted)
    for wanted in _by_weight(accepted or ""):
        if wanted in LANGUAGES:
            return wanted
    return DEFAULT


def _by_weight(accepted: str) -> list[str]:
    """The primary subtags of Accept-Language, the most wanted first; what cannot be read is passed over."""
    weighted = []
    for part in accepted.split(",")[:ACCEPTED_MAX]:
        tag, _, parameter = part.strip().partition(";")
        _, _, weight = parameter.partition("q=")
        try:
            wanted = float(weight) if weight else 1.0
        except ValueError:
            continue
        if wanted > 0:
            weighted.append((wanted, tag.split("-")[0].strip().lower()))
    return [tag for _, tag in sorted(weighted, key=lambda each: -each[0])]
