"""Random scenarios that reach every corner of the model: faults, tables, stations, remedies, impatience and payments."""

from __future__ import annotations

import json
import random
from typing import Any

from refsystem.ordering.store_rules import FORMATS
from refsystem.overload.remedies import REMEDIES
from simulator.network import BUILT_IN_PROFILES
from simulator.scenario import Scenario, load_scenario

LINKS = ("diner_edge", "diner_cloud", "edge_edge", "edge_cloud", "edge_kds", "partner_gateway", "cloud_database")
SHAPES = ("deterministic", "exponential", "lognormal", "uniform")
PROFILES = [name for name, profile in BUILT_IN_PROFILES.items() if not profile.needs_trace]


def drawn_scenario(seed: int) -> Scenario:
    """The scenario of this seed."""
    draw = random.Random(seed)
    said = {
        "name": f"drawn-{seed}",
        "duration_s": draw.choice([10, 12, 16]),
        "time_scale": draw.choice([10, 60, 200]),
        "stores": [
            {
                "name": "s1",
                "tables": draw.randint(1, 40),
                "policy": draw.choice(["available", "available", "require_r2"]),
                "kitchen_seconds": draw.choice([30, 180]),
            }
        ],
        "diners": _diners(draw),
        "links": {
            link: {"profile": draw.choice(PROFILES)} for link in LINKS if draw.random() < 0.3 and link != "edge_edge"
        },
        "faults": _faults(draw),
        "model": _model(draw),
    }
    if draw.random() < 0.4:
        share = draw.choice([0.0, 0.3])
        said["payments"] = {
            "patience_s": draw.choice([60, 600]),
            "misbehaviour": [{"kind": "declined", "share": share}, {"kind": "slow", "share": 0.5, "ms": 400}]
            if share
            else [],
        }
    if "payments" not in said:
        said["links"].pop("partner_gateway", None)  # type: ignore[attr-defined]
    _overload(draw, said)
    _habits(draw, said)
    _platform(draw, said)
    said["faults"] = [fault for fault in said["faults"] if _fits(fault, said)]  # type: ignore[attr-defined]
    return load_scenario(json.dumps(said, indent=1))


def _habits(draw: random.Random, said: dict[str, Any]) -> None:
    """Formats with their kitchens, and orders made ahead."""
    if draw.random() < 0.4:
        said["stores"][0]["format"] = draw.choice(FORMATS)
        said["diners"]["basket"]["by_format"] = draw.random() < 0.5
    if draw.random() < 0.4:
        said["diners"]["pre_orders"] = {"share": draw.choice([0.3, 1.0]), "ahead_s": draw.choice([20, 300])}


def _platform(draw: random.Random, said: dict[str, Any]) -> None:
    """A delivery platform, cut off and killed now and then."""
    if draw.random() < 0.4:
        said["delivery"] = {
            "orders_per_s": draw.choice([0.5, 4]), "cancel_share": draw.choice([0.0, 0.4]),
            "cancel_after_s": draw.choice([10, 200]),
            "accepts": draw.choice(["store", "cloud"]),
        }  # fmt: skip
        moments: dict[str, Any] = {"at_s": draw.randint(0, 60) / 10, "for_s": draw.randint(10, 60) / 10}
        fault: dict[str, Any] = draw.choice(
            [
                {"fault": "process_killed", "process": "delivery_platform"},
                {"fault": "link_down", "link": "partner_cloud", "direction": draw.choice(["both", "to", "from"])},
                {"fault": "link_weak", "link": "partner_cloud", "latency_ms": 200, "loss_percent": 30},
            ]
        )
        said["faults"].append(fault | moments)


def _overload(draw: random.Random, said: dict[str, Any]) -> None:
    """Gates with and without a declared delay, and any remedies."""
    if draw.random() < 0.5:
        said["overload"] = {"off": draw.sample(REMEDIES, draw.choice([0, 1, 3])) if draw.random() < 0.8 else ["all"]}
    if draw.random() < 0.5:
        delay = {"servers": draw.choice([1, 2, 7]), "ms": draw.choice([20, 200]), "read_ms": draw.choice([0, 5])}
        said["stores"][0]["service_delay"] = delay


def _fits(fault: dict[str, Any], said: dict[str, Any]) -> bool:
    gateway = fault.get("link") == "partner_gateway" or fault.get("process") == "gateway"
    return not gateway or "payments" in said


def _diners(draw: random.Random) -> dict[str, Any]:
    cloud = draw.choice([0.0, 0.2, 0.6])
    return {
        "arrivals": {"rate_per_s": draw.choice([1, 4, 16]), "profile": draw.choice(["constant", "ramp", "lunch"])},
        "channels": {"qr": 1 - cloud, "cashier": 0.0, "mini_program": cloud},
        "basket": {"lines_mean": draw.choice([1, 3, 8])},
        "think_s": draw.choice([0, 10, 60]),
        "patience_s": draw.choice([5, 60, 600]),
        "poll_s": draw.choice([10, 60]),
        "polls_max": draw.choice([0, 3, 10]),
        "attempt_timeout_ms": draw.choice([20, 150, 2000]),
        "retries": {"attempts_max": draw.choice([1, 3, 6]), "backoff_ms": draw.choice([1, 50, 150])},
        "behaviours": {
            "double_tap": draw.choice([0.0, 0.3]), "two_doors": draw.choice([0.0, 0.3]), "reorders": draw.choice([0.0, 1.0])
        },
    }  # fmt: skip


def _faults(draw: random.Random) -> list[dict[str, Any]]:
    """At most one fault of a target, so that none is refused for overlapping."""
    found: list[dict[str, Any]] = []
    for link in draw.sample(LINKS, draw.choice([0, 1, 3])):
        kind = draw.choice(
            ["link_weak", "link_down"] + (["http_errors"] if link in ("diner_edge", "diner_cloud") else [])
        )
        fault: dict[str, Any] = {
            "fault": kind,
            "link": link,
            "at_s": draw.randint(0, 60) / 10,
            "for_s": draw.randint(1, 40) / 10,
        }
        if kind == "link_weak":
            fault |= draw.choice(
                [{"profile": draw.choice(PROFILES)}, {"latency_ms": 50, "jitter_ms": 40, "loss_percent": 20}]
            )
        elif kind == "link_down":
            fault["direction"] = draw.choice(["both", "to", "from"])
        else:
            fault |= {"share": 0.5, "path": draw.choice(["/", "/v1/orders"])}
        found.append(fault)
    for process in draw.sample(
        ("edge_a", "edge_b", "cloud", "postgres", "kitchen", "gateway"), draw.choice([0, 1, 2, 3])
    ):
        kind = draw.choice(["process_killed", "process_paused", "process_slow"])
        fault = {
            "fault": kind,
            "process": process,
            "at_s": draw.randint(0, 60) / 10,
            "for_s": draw.randint(10, 40) / 10,
        }
        found.append(fault)
    return found


def _model(draw: random.Random) -> dict[str, Any]:
    server = {
        "workers": draw.choice([1, 1, 3]), "menu_ms": draw.choice([1, 20]), "order_ms": draw.choice([2, 40]),
        "read_ms": draw.choice([1, 20]), "shape": draw.choice(SHAPES),
    }  # fmt: skip
    said: dict[str, Any] = {
        "edge": server,
        "disk": {"flush_ms": draw.choice([0, 2, 30]), "shape": draw.choice(SHAPES)},
        "database": {"connections": draw.choice([1, 10]), "transaction_ms": draw.choice([2, 60])},
        "boot_ms": draw.choice([50, 700]),
        "join_ms": draw.choice([20, 600]),
        "impatience": {
            "retap_s": draw.choice([None, 2, 20]),
            "retap_share": 0.7,
            "switch_share": draw.choice([0.0, 0.5]),
        },
    }
    if draw.random() < 0.5:
        said["overload"] = {
            "queue_max": draw.choice([None, 5]), "waiting_ms": draw.choice([None, 30]), "deadline": draw.random() < 0.5,
            "priority": draw.random() < 0.5, "lifo_ms": draw.choice([None, 10]), "retry_after_ms": draw.choice([0, 300]),
            "retry_budget": draw.choice([None, 0.1]),
        }  # fmt: skip
    if draw.random() < 0.5:
        said["kitchen"] = [
            {"name": "wok", "cooks": draw.choice([0, 1, 3]), "setup_s": 10, "item_s": 20, "batch": draw.choice([1, 3])},
            {"name": "cold", "cooks": 2, "item_s": 15, "shape": draw.choice(SHAPES), "share": 0.5},
            {"name": "sweet", "cooks": 1, "item_s": 10, "stage": 2, "share": 0.4, "batch": draw.choice([1, 4])},
        ]
    if draw.random() < 0.5:
        said["seating"] = {
            "queue_max": draw.choice([0, 5, 1000]), "balk_share": draw.choice([0.0, 0.3]), "patience_s": draw.choice([30, 600]),
            "dining_s": draw.choice([0, 60, 600]),
        }  # fmt: skip
        if draw.random() < 0.5:
            said["seating"]["sections"] = [
                {"name": str(number), "tables": draw.randint(1, 20), "at_s": draw.choice([0, 2.5, 6])}
                | draw.choice([{}, {"for_s": 3.5}])
                for number in range(draw.choice([1, 3]))
            ]
        if draw.random() < 0.2:
            said["visit"] = "table_only"
    return said
