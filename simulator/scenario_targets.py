"""What a fault can be put on: links, devices and processes, by the names that a scenario gives them."""

from __future__ import annotations

from typing import Literal, get_args

LinkName = Literal[
    "diner_edge",
    "diner_cloud",
    "edge_edge",
    "edge_arbiter",
    "edge_cloud",
    "edge_kds",
    "cloud_database",
    "partner_gateway",
    "edge_printer",
    "partner_cloud",
    "partner_coupon",
]
LINKS: tuple[LinkName, ...] = get_args(LinkName)
DeviceName = Literal["primary", "standby", "edge_a", "edge_b"]
PoweredName = Literal[DeviceName, "store"]
DiskName = Literal[DeviceName, "arbiter", "kitchen"]
ProgramName = Literal[DeviceName, "arbiter", "cloud", "kitchen", "gateway", "delivery_platform", "coupon_platform"]
"""What faults of a single program can be put on: neither the database, which is many processes, nor the printer."""
ProcessName = Literal[ProgramName, "postgres", "printer"]
HttpLinkName = Literal[
    "diner_edge", "diner_cloud", "edge_arbiter", "edge_cloud", "edge_kds", "partner_gateway", "partner_cloud"
]
SHARED_LINKS: frozenset[str] = frozenset({"diner_cloud", "cloud_database", "partner_cloud"})
SHARED_PROCESSES: frozenset[str] = frozenset({"cloud", "postgres", "gateway", "delivery_platform", "coupon_platform"})
