"""Small words that more than one text needs."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """The number with its noun: "1 seed", "2 seeds"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
