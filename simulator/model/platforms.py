"""What both engines know of a delivery platform: its rules, and the orders that people place there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from refsystem.partners.delivery_platform.settings import WEBHOOK_BACK_OFF_S, Limits
from refsystem.partners.outbox_sender import ANSWER_TIMEOUT_S
from simulator.scenario_model import Scenario

TRIES = 1 + len(WEBHOOK_BACK_OFF_S)
"""A webhook is tried so often; then no more."""
ANSWER_TIMEOUT = round(ANSWER_TIMEOUT_S * 1e6)
AT_PLATFORM = 2
"""The door of an order that was placed at a delivery platform."""
assert all(each == WEBHOOK_BACK_OFF_S[0] * 2**n for n, each in enumerate(WEBHOOK_BACK_OFF_S)), "pauses double"


def planned_platform(scenario: Scenario) -> dict[str, Any]:
    """The fields of a plan about the platform."""
    said = scenario.delivery
    return {
        "platform": int(said is not None),
        "accepts_at_cloud": int(said is not None and said.accepts == "cloud"),
        "accept_within": scenario.scaled_us(Limits().accept_within_s),
        "push_again": max(1, scenario.scaled_us(WEBHOOK_BACK_OFF_S[0])),
    }


def placed_per_store(scenario: Scenario) -> float:
    """How many orders one store can expect from the platform."""
    said, model = scenario.delivery, scenario.model
    nobody_orders = model is not None and model.visit == "table_only"
    return 0.0 if said is None or nobody_orders else said.orders_per_s * scenario.duration_s / len(scenario.stores)


def in_order(people: npt.NDArray[np.int64], placed: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Both tables as one, by arrival."""
    both = np.concatenate([people, placed])
    return np.ascontiguousarray(both[np.argsort(both[:, 0], kind="stable")])


def room_for(expected: float) -> int:
    """More than ever come."""
    return int(expected + 8.0 * math.sqrt(expected + 1.0) + 50)
