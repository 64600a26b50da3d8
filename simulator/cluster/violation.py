"""What a watch raises."""

from __future__ import annotations


class Violation(Exception):
    """The protocol did what it promises not to do."""

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
        self.detail = detail
