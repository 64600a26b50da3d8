"""What a stack is made of: its stores, the parties outside it, and the links between its processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from refsystem.settings import HOST
from refsystem.stack_coupons import CouponStackSettings
from refsystem.stack_delivery import DeliveryStackSettings

SLOTS = ("a", "b")


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """One store of the stack. `kitchen_seconds` is real time from a ticket to its bump, `tables` what its pages offer.

    `format` gives it the menu and the rules of a format (`menu_formats`); without one it has the stack's menu and no rules.
    With `printer` there is one, and every order's slip is printed; with `receipts`, one for every check that closes, too.
    `service_delay` is a declared delay of its devices, as `refsystem.overload.settings` reads it.
    """

    name: str
    policy: str = "available"
    kitchen_seconds: float = 3.0
    tables: tuple[str, ...] = ()
    format: str = ""
    printer: bool = False
    receipts: bool = False
    service_delay: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """One TCP link: who dials (`from_process`) and where it leads. `kind` is its name in the architecture."""

    name: str
    kind: str
    store: str | None
    from_process: str
    to_process: str
    upstream_port: int
    upstream_host: str = HOST


@dataclass(frozen=True, slots=True)
class GatewayStackSettings:
    """The payment gateway: what it does wrong (JSON, as it takes it), how fast diners confirm, who shares what is captured."""

    misbehaviour: str = ""
    wallet_confirm_s: float = 3.0
    parties: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class StackSettings:
    """`volatile` puts the devices' and the arbiter's files where a kill loses what a power cut would lose.

    `controlled` lets disks and wall clocks of the processes be troubled while they run (see `drill_control`). `gateway` None:
    the stores take cash only. `time_scale` divides business times of devices and gateway. `overload_off` names remedies against
    overload that are off.
    """

    folder: Path
    stores: tuple[StoreSettings, ...]
    menu_path: Path
    database_url: str | None = None
    volatile: bool = False
    controlled: bool = False
    synchronous: str = "FULL"
    broken_variant: str | None = None
    gateway: GatewayStackSettings | None = None
    coupons: CouponStackSettings | None = None
    delivery: DeliveryStackSettings | None = None
    channel_rules: str = ""
    time_scale: float = 1.0
    overload_off: str = ""
