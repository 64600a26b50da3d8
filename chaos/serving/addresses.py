"""Where the pages of a served store are, with the tokens that open them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from refsystem.access import Role, staff_token, table_token

SHIFT_S = 12 * 3600
KIOSK = "K1"
"""The kiosk is a table of its own: what is ordered there is seen and paid there."""
STAFF: tuple[tuple[str, Role, str], ...] = (
    ("Li", "waiter", "waiter"),
    ("Chen", "manager", "waiter"),
    ("Wang", "cashier", "cashier"),
    ("Sun", "stock", "stock"),
)
"""Who works in the demo: name, role, and the page that they use."""


COOK = "Ma"
"""Whose token opens the kitchen display's page."""


@dataclass(frozen=True, slots=True)
class StaffLink:
    """One member of the staff and the page that they open."""

    who: str
    role: Role
    page: str
    url: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """Every address of a served store. A token stands behind `#`, so no server's log has it."""

    store: str
    devices: dict[str, str]
    kitchen: str
    tables: dict[str, str]
    kiosk: str
    staff: tuple[StaffLink, ...]

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For a person."""
        first, *others = self.tables
        return [
            f"  diner, table {first:<4} {self.tables[first]}",
            *(f"  diner, table {table:<4} {self.tables[table]}" for table in others),
            f"  kiosk             {self.kiosk}",
            *(f"  {f'{link.role}, {link.who}':<17} {link.url}" for link in self.staff),
            f"  kitchen display   {self.kitchen}",
        ]


def addresses(
    store: str, devices: dict[str, str], kitchen: str, tables: tuple[str, ...], secret: bytes, now_s: int
) -> Addresses:
    """The addresses of a store whose tokens are signed with `secret`; those of the staff end after a shift from `now_s` on."""
    pages = devices["a"]
    cook = staff_token(secret, store, COOK, "kitchen", now_s + SHIFT_S)

    def link(who: str, role: Role, page: str) -> StaffLink:
        return StaffLink(who, role, page, f"{pages}/{page}#{staff_token(secret, store, who, role, now_s + SHIFT_S)}")

    return Addresses(
        store,
        devices,
        f"{kitchen}/#{cook}",
        {table: f"{pages}/order#{table_token(secret, store, table)}" for table in tables},
        f"{pages}/kiosk#{table_token(secret, store, KIOSK)}",
        tuple(link(*each) for each in STAFF),
    )
