"""How the machine's answers become HTTP answers of an edge device."""

from __future__ import annotations

from typing import Any

from refsystem.edge.driver import Driver
from refsystem.problems import ProblemError
from refsystem.protocol.messages import Reply

REPLAYED_DOC: dict[str, Any] = {
    "headers": {
        "Idempotency-Replayed": {
            "description": "`true` when it was taken before, under this key",
            "schema": {"type": "string", "enum": ["true"]},
        }
    }
}


def raise_problem(driver: Driver, reply: Reply) -> None:
    """Raises `ProblemError` if the answer is no."""
    if reply.problem is not None:
        hint = _primary_hint(driver)
        raise ProblemError(reply.problem, reply.detail, primary_hint=hint, item_id=reply.item_id)


def _primary_hint(driver: Driver) -> str | None:
    """The other device's address when this one follows it; a primary that refuses sends nobody to its standby."""
    leader = driver.device.replica.leader_node_id
    follows = leader is not None and leader != driver.device.replica.node_id
    return driver.settings.peer_hint_url or None if follows else None
