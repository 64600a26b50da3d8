"""The remedies against overload, each with a name by which it is switched off; all are on unless somebody says so."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, get_args

RemedyName = Literal[
    "waiting_bound", "deadline", "priority", "concurrency_limit", "retry_after", "retry_budget", "paced_drain"
]
REMEDIES: tuple[RemedyName, ...] = get_args(RemedyName)
ALL = "all"
OffName = Literal[RemedyName, "all"]


class UnknownRemedy(ValueError):
    """There is no remedy with this name."""


@dataclass(frozen=True, slots=True)
class Remedies:
    """Which remedies are in force. `retry_budget` is the clients' own; `deadline` and `retry_after` need both sides."""

    waiting_bound: bool = True
    deadline: bool = True
    priority: bool = True
    concurrency_limit: bool = True
    retry_after: bool = True
    retry_budget: bool = True
    paced_drain: bool = True

    @classmethod
    def without(cls, *off: str) -> Remedies:
        """All but those named; "all" names all. Raises `UnknownRemedy`."""
        named = set(REMEDIES) if ALL in off else {known_remedy(name) for name in off}
        return cls(**{name: name not in named for name in REMEDIES})

    @classmethod
    def parse(cls, text: str) -> Remedies:
        """All but those in a text such as `deadline,priority`; an empty text switches nothing off. Raises `UnknownRemedy`."""
        return cls.without(*filter(None, (name.strip() for name in text.split(","))))


def known_remedy(name: str) -> RemedyName:
    """The remedy with this name. Raises `UnknownRemedy` that says which there are."""
    for known in REMEDIES:
        if known == name:
            return known
    close = get_close_matches(name, REMEDIES, n=1)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    raise UnknownRemedy(f"there is no remedy {name!r}{meant}; name some of {', '.join(REMEDIES)}, or {ALL}")
