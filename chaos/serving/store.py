"""A served store: started, watched, and ended in order. A process that ends is told and started again, as a box is in a store."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos.serving.addresses import Addresses, addresses
from chaos.serving.deliveries import Deliveries
from chaos.serving.opening import receive_opening_stock
from refsystem.ordering.menu_formats import MENUS
from refsystem.ordering.store_rules import Format
from refsystem.stack import Stack
from refsystem.stack_coupons import PROCESS as COUPONS
from refsystem.stack_coupons import CouponStackSettings
from refsystem.stack_delivery import PROCESS as PLATFORM
from refsystem.stack_delivery import DeliveryStackSettings
from refsystem.stack_settings import SLOTS, GatewayStackSettings, StackSettings, StoreSettings

STORE = "s1"
WATCH_S = 0.5
CHANNEL_RULES = {
    "busy_from": 10,
    "channels": {
        "delivery": {"queue_max": 12, "share_percent": 50},
        "mini_program": {"queue_max": 20},
        "kiosk": {"queue_max": 30},
        "qr": {"queue_max": 60},
    },
}
"""When the served store's channels pause, by its open tickets; waiters and the till never do. Guesses [G]."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """What is served. `kitchen_s` 0: a ticket is done when a person says so; else after that many seconds by itself.

    A process that has ended is started again after `restart_after_s`. Somebody orders at the delivery platform every
    `delivery_every_s`; 0: nobody.
    """

    folder: Path
    format: Format
    tables: tuple[str, ...]
    printer: bool = True
    kitchen_s: float = 0.0
    database_url: str | None = None
    restart_after_s: float = 10.0
    delivery_every_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Served:
    """A store that is up."""

    stack: Stack
    addresses: Addresses
    processes: tuple[str, ...]
    restart_after_s: float
    deliveries: Deliveries

    async def run(self, say: Callable[[str], None]) -> None:
        """Watch the processes, and order at the delivery platform. Never returns."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.watch(say))
            tasks.create_task(self.deliveries.run(say))

    async def watch(self, say: Callable[[str], None]) -> None:
        """Tell of every process that ends, and start it again after a while. Never returns."""
        down: dict[str, float] = {}
        while True:
            for name in self.processes:
                process = self.stack.program(name)
                if process.pid is not None:
                    continue
                if name not in down:
                    down[name] = time.monotonic()
                    say(
                        f"{name} has ended ({process.last_words()[:120]}); it is started again in {self.restart_after_s:g} s"
                    )
                elif time.monotonic() - down[name] > self.restart_after_s:
                    process.start()
                    del down[name]
                    say(f"{name} was started again")
            await asyncio.sleep(WATCH_S)


@asynccontextmanager
async def served_store(settings: ServeSettings) -> AsyncIterator[Served]:
    """Start the whole stack of one store; it is ended on the way out. Raises `StackError` or `PostgresError`."""
    menu = MENUS[settings.format]
    menu_path = settings.folder / "menu.json"
    menu_path.write_text(menu.to_json(), encoding="utf-8")
    store = StoreSettings(
        STORE,
        kitchen_seconds=settings.kitchen_s,
        tables=settings.tables,
        format=settings.format,
        printer=settings.printer,
        receipts=settings.printer,
    )
    stack = Stack(
        StackSettings(
            settings.folder,
            (store,),
            menu_path,
            settings.database_url,
            gateway=GatewayStackSettings(),
            coupons=CouponStackSettings(),
            delivery=DeliveryStackSettings(),
            channel_rules=json.dumps(CHANNEL_RULES),
        )
    )
    try:
        stack.reserve()
        await stack.start()
        devices = {slot: stack.url(f"{STORE}.edge_{slot}") for slot in SLOTS}
        secret = stack.secret("access").read_bytes()
        await receive_opening_stock(devices["a"], STORE, menu, secret)
        kitchen = stack.url(f"{STORE}.kitchen")
        told = addresses(STORE, devices, kitchen, settings.tables, secret, int(time.time()))
        names = [
            "cloud",
            "gateway",
            COUPONS,
            PLATFORM,
            *(f"{STORE}.{each}" for each in ("arbiter", "kitchen", "edge_a", "edge_b")),
        ]
        if settings.printer:
            names.append(f"{STORE}.printer")
        deliveries = Deliveries(stack.url(PLATFORM), STORE, menu, settings.delivery_every_s)
        yield Served(stack, told, tuple(names), settings.restart_after_s, deliveries)
    finally:
        stack.stop()
