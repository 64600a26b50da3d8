"""The tokens by which a store knows tables and staff, made for a run from the secret that the plan names."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from loadtests.plan import LoadPlan
from refsystem.access import Role, staff_token, table_token
from refsystem.ordering.order import Channel

FOR_EVER_S = 4_000_000_000


class Tokens:
    """The tokens of one store in a run whose plan names the secret."""

    def __init__(self, plan: LoadPlan, store: str) -> None:
        self._plan, self._store = plan, store

    def table(self, table: str) -> str:
        """The token in the QR code of `table`."""
        return table_token(self._secret, self._store, table)

    def staff(self, role: Role) -> str:
        """The token of somebody of the staff."""
        return staff_token(self._secret, self._store, f"{role} 1", role, FOR_EVER_S)

    def of(self, channel: Channel, table: str) -> str:
        """The token of whoever orders by `channel`: the waiter's, the cashier's, or that of the place."""
        return self.staff(channel) if channel in ("waiter", "cashier") else self.table(table)

    @cached_property
    def _secret(self) -> bytes:
        assert self._plan.access_secret is not None, "who lets diners pay names the secret of the tokens"
        return Path(self._plan.access_secret).read_bytes().strip()
