"""The whole stack: PostgreSQL, the cloud, for each store two edge devices, an arbiter and a kitchen display; and, if asked for,
a payment gateway, a coupon platform, a delivery platform, and printers in the stores.

`links` tells every TCP link between them; a launcher that wants to disturb a link puts a proxy before it and says so with
`route`, before `start`.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx

from refsystem.access import SCHEME, staff_token
from refsystem.chain_access import chain_headers
from refsystem.cloud.postgres import PrivatePostgres
from refsystem.drill_control import CONTROL_VARIABLE
from refsystem.processes import (
    STOP_TIMEOUT_S,
    Managed,
    PythonProcess,
    StackError,
    reserve_port,
)
from refsystem.settings import CHAIN_SECRET_VARIABLE, HOST
from refsystem.stack_coupons import COUPON_MODULE, LINK_KIND, coupon_environment, coupon_link
from refsystem.stack_coupons import PROCESS as COUPONS
from refsystem.stack_database import DatabaseProcess
from refsystem.stack_delivery import (
    BACK,
    LINK,
    PLATFORM_MODULE,
    PROCESS,
    DeliveryStackSettings,
    cloud_environment,
    platform_environment,
)
from refsystem.stack_printer import PAPER_PORT, PRINTER_MODULE, printer_environment, printer_link, printer_name
from refsystem.stack_settings import SLOTS, GatewayStackSettings, Link, StackSettings, StoreSettings

FOR_EVER_S = 4_000_000_000
"""When an operator's token of a stack ends, which itself does not last as long (Unix time)."""
MEMBERS_TIMEOUT_S = 20.0
SET_UP_TIMEOUT_S = 10.0
DATABASE_CONNECTIONS_PORT = 5432


class Stack:
    """Starts, knows and stops every process. Use `reserve`, then `route` for disturbed links, then `start`."""

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings
        self._reservations: dict[str, socket.socket] = {}
        self._routes: dict[str, tuple[str, int]] = {}
        self._python: dict[str, PythonProcess] = {}
        self._postgres: DatabaseProcess | None = None

    # --- ports and links ---

    def reserve(self) -> None:
        """Start PostgreSQL, unless there is one already, and reserve a port for every other process."""
        if self.settings.database_url is None:
            server = PrivatePostgres(self._log_path("postgres"))
            self._postgres = DatabaseProcess(server)
            self._postgres.start()
            self._postgres.started()
        for name in self._listeners():
            self._reservations[name] = reserve_port()

    @property
    def has_gateway(self) -> bool:
        """Whether there is a payment gateway."""
        return self.settings.gateway is not None

    @property
    def has_coupons(self) -> bool:
        """Whether there is a coupon platform."""
        return self.settings.coupons is not None

    @property
    def has_delivery(self) -> bool:
        """Whether there is a delivery platform."""
        return self.settings.delivery is not None

    def has_printer(self, store: str) -> bool:
        """Whether the store has a printer."""
        return any(each.printer for each in self.settings.stores if each.name == store)

    def secret(self, name: str) -> Path:
        """The file of a secret of this stack: "access" signs tokens of tables and staff, "gateway" the gateway's callbacks.

        "chain" is what its devices, its displays and its cloud know each other by.
        """
        path = self.settings.folder / "secrets" / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(32), encoding="ascii")
        return path

    def operator_headers(self, store: str) -> dict[str, str]:
        """What an operator of the store's devices sends to them."""
        secret = self.secret("access").read_bytes().strip()
        return {"Authorization": f"{SCHEME}{staff_token(secret, store, 'of the stack', 'operator', FOR_EVER_S)}"}

    def chain_headers(self) -> dict[str, str]:
        """What a process of the chain sends to the cloud's routes for stores and audits, and to a display's feed."""
        return chain_headers(self.secret("chain").read_bytes().strip())

    def links(self) -> list[Link]:
        """Every link of the stack."""
        database_host, database_port = self._database_address()
        links = [
            Link("diner_cloud", "diner_cloud", None, "diner", "cloud", self.port("cloud")),
            Link("cloud_database", "cloud_database", None, "cloud", "postgres", database_port, database_host),
        ]
        if self.has_delivery:
            links.append(Link(LINK, "partner_cloud", None, PROCESS, "cloud", self.port("cloud")))
            links.append(Link(BACK, "partner_cloud", None, "cloud", PROCESS, self.port(PROCESS)))
        for store in self.settings.stores:
            for slot, other in zip(SLOTS, reversed(SLOTS), strict=True):
                links += self._device_links(store.name, slot, other)
                links += self._printer_links(store, slot)
        return links

    def route(self, link_name: str, host: str, port: int) -> None:
        """Have this link dialled at another address, which leads on to its upstream."""
        self._routes[link_name] = (host, port)

    def port(self, listener: str) -> int:
        """The reserved port of a process (`s1.edge_a`, `s1.edge_a.peer`, `cloud`, …)."""
        port: int = self._reservations[listener].getsockname()[1]
        return port

    def url(self, process: str) -> str:
        """Where a process answers HTTP, past every link."""
        return f"http://{HOST}:{self.port(process)}"

    def link_url(self, link_name: str) -> str:
        """Where a link is dialled."""
        host, port = self._address(link_name)
        return f"http://{host}:{port}"

    # --- processes ---

    def process(self, name: str) -> Managed:
        """A process by its name: `postgres`, `cloud`, `gateway`, `delivery_platform`, `<store>.edge_a`, `.arbiter`, …"""
        if name == "postgres":
            if self._postgres is None:
                raise StackError("PostgreSQL is not this stack's own; faults cannot be put on it")
            return self._postgres
        return self.program(name)

    def program(self, name: str) -> PythonProcess:
        """A process of our own programs, which is each but `postgres`. Raises `StackError` if there is none."""
        if name not in self._python:
            raise StackError(f"this stack has no process {name}")
        return self._python[name]

    def data_folder(self, process: str) -> Path:
        """Where a process keeps its files."""
        return self.settings.folder / "data" / process

    def control_path(self, process: str) -> Path:
        """The control file of a process; only a `controlled` stack looks at it."""
        return self.settings.folder / "control" / f"{process}.json"

    @property
    def database_url(self) -> str:
        """Where the database is, past every link."""
        return self._direct_database_url()

    async def start(self) -> None:
        """Start everything and set each store up; returns when every store has a primary with two members."""
        self._python = {process.name: process for process in self._make_processes()}
        for process in self._python.values():
            process.start()
        await asyncio.gather(*(process.wait_ready() for process in self._python.values()))
        async with httpx.AsyncClient(trust_env=False, timeout=SET_UP_TIMEOUT_S) as http:
            try:
                await asyncio.gather(*(self._set_up(http, store) for store in self.settings.stores))
            except httpx.HTTPError as error:
                raise StackError(f"the stack could not be set up: {str(error) or type(error).__name__}") from error

    def stop(self) -> None:
        """End every process and free every port; may be called at any time and twice."""
        for process in self._python.values():
            process.stop()
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        for process in self._python.values():
            process.wait_stopped(deadline_s)
        try:
            if self._postgres is not None:
                self._postgres.stop()
        finally:
            self._postgres = None
            for reservation in self._reservations.values():
                reservation.close()
            self._reservations.clear()

    def remove_data(self, process: str) -> None:
        """Lose the disk of a process that does not run."""
        shutil.rmtree(self.data_folder(process), ignore_errors=True)

    # --- inside ---

    def _listeners(self) -> Iterable[str]:
        yield "cloud"
        if self.has_gateway:
            yield "gateway"
        if self.has_coupons:
            yield COUPONS
        if self.has_delivery:
            yield PROCESS
        for store in self.settings.stores:
            for role in ("edge_a", "edge_a.peer", "edge_b", "edge_b.peer", "arbiter", "kitchen"):
                yield f"{store.name}.{role}"
            if store.printer:
                yield from (printer_name(store.name), f"{printer_name(store.name)}.{PAPER_PORT}")

    def _gateway_links(self, store: str, slot: str) -> list[Link]:
        """The way to the gateway, and its way back with callbacks."""
        if not self.has_gateway:
            return []
        device, name = f"{store}.edge_{slot}", f"partner_gateway.{store}.{slot}"
        return [
            Link(name, "partner_gateway", store, device, "gateway", self.port("gateway")),
            Link(f"{name}.back", "partner_gateway", store, "gateway", device, self.port(device)),
        ]

    def _coupon_links(self, store: str, slot: str) -> list[Link]:
        if not self.has_coupons:
            return []
        return [Link(coupon_link(store, slot), LINK_KIND, store, f"{store}.edge_{slot}", COUPONS, self.port(COUPONS))]

    def _printer_links(self, store: StoreSettings, slot: str) -> list[Link]:
        if not store.printer:
            return []
        printer, port = printer_name(store.name), self.port(f"{printer_name(store.name)}.{PAPER_PORT}")
        name, device = printer_link(store.name, slot), f"{store.name}.edge_{slot}"
        return [Link(name, "edge_printer", store.name, device, printer, port)]

    def _device_links(self, store: str, slot: str, other: str) -> list[Link]:
        device, peer = f"{store}.edge_{slot}", f"{store}.edge_{other}"
        return [
            *self._gateway_links(store, slot),
            *self._coupon_links(store, slot),
            Link(f"diner_edge.{store}.{slot}", "diner_edge", store, "diner", device, self.port(device)),
            Link(f"edge_edge.{store}.{slot}", "edge_edge", store, device, peer, self.port(f"{peer}.peer")),
            Link(
                f"edge_arbiter.{store}.{slot}",
                "edge_arbiter",
                store,
                device,
                f"{store}.arbiter",
                self.port(f"{store}.arbiter"),
            ),
            Link(f"edge_cloud.{store}.{slot}", "edge_cloud", store, device, "cloud", self.port("cloud")),
            Link(
                f"edge_kds.{store}.{slot}", "edge_kds", store, device, f"{store}.kitchen", self.port(f"{store}.kitchen")
            ),
        ]

    def _address(self, link_name: str) -> tuple[str, int]:
        if link_name in self._routes:
            return self._routes[link_name]
        link = next(link for link in self.links() if link.name == link_name)
        return link.upstream_host, link.upstream_port

    def _database_address(self) -> tuple[str, int]:
        parts = urlsplit(self._direct_database_url())
        return parts.hostname or HOST, parts.port or DATABASE_CONNECTIONS_PORT

    def _direct_database_url(self) -> str:
        if self._postgres is not None:
            return self._postgres.server.url
        assert self.settings.database_url is not None
        return self.settings.database_url

    def _routed_database_url(self) -> str:
        host, port = self._address("cloud_database")
        parts = urlsplit(self._direct_database_url())
        credentials, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{credentials}{at}{host}:{port}"))

    def _log_path(self, process: str) -> Path:
        folder = self.settings.folder / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{process}.log"

    def _make_processes(self) -> Iterable[PythonProcess]:
        cloud = {
            "RUSHPROOF_DATABASE_URL": self._routed_database_url(),
            "RUSHPROOF_CLOUD_HOST": HOST,
            "RUSHPROOF_CLOUD_PORT": str(self.port("cloud")),
            CHAIN_SECRET_VARIABLE: str(self.secret("chain")),
            "RUSHPROOF_OVERLOAD_OFF": self.settings.overload_off,
            "RUSHPROOF_MENU": str(self.settings.menu_path),
            "RUSHPROOF_STORE_MENUS": ",".join(
                f"{store.name}={store.format}" for store in self.settings.stores if store.format
            ),
        }
        if any(store.tables for store in self.settings.stores):
            cloud["RUSHPROOF_ACCESS_SECRET_FILE"] = str(self.secret("access"))
        if self.settings.channel_rules:
            cloud["RUSHPROOF_CHANNELS"] = self.settings.channel_rules
        if self.settings.delivery is not None:
            secret = str(self.secret("platform"))
            cloud |= cloud_environment(self.settings.delivery, self.link_url(BACK), secret)
            yield self._delivery_platform(self.settings.delivery, secret)
        yield self._process("cloud", "refsystem.cloud", cloud)
        if self.settings.gateway is not None:
            yield self._gateway(self.settings.gateway)
        if self.settings.coupons is not None:
            data, port = str(self.data_folder(COUPONS)), self.port(COUPONS)
            told = coupon_environment(data, port, self.settings.time_scale, self.settings.coupons.misbehaviour)
            yield self._process(COUPONS, COUPON_MODULE, told)
        for store in self.settings.stores:
            yield self._process(
                f"{store.name}.arbiter",
                "refsystem.arbiter",
                {
                    "RUSHPROOF_DATA": str(self.data_folder(f"{store.name}.arbiter")),
                    "RUSHPROOF_HTTP_PORT": str(self.port(f"{store.name}.arbiter")),
                    "RUSHPROOF_VOLATILE": str(int(self.settings.volatile)),
                },
            )
            kitchen = f"{store.name}.kitchen"
            self.data_folder(kitchen).mkdir(parents=True, exist_ok=True)
            yield self._process(
                kitchen,
                "refsystem.kitchen_display",
                {
                    "RUSHPROOF_STORE": store.name,
                    "RUSHPROOF_KITCHEN_STORE": store.name,
                    "RUSHPROOF_KITCHEN_HOST": HOST,
                    "RUSHPROOF_KITCHEN_PORT": str(self.port(kitchen)),
                    "RUSHPROOF_KITCHEN_DATA": str(self.data_folder(kitchen)),
                    CHAIN_SECRET_VARIABLE: str(self.secret("chain")),
                    "RUSHPROOF_ACCESS_SECRET_FILE": str(self.secret("access")),
                    "RUSHPROOF_KITCHEN_SECONDS": str(store.kitchen_seconds),
                    "RUSHPROOF_TIME_SCALE": str(self.settings.time_scale),
                    **self._menu_and_rules(store),
                },
            )
            if store.printer:
                yield self._printer(printer_name(store.name))
            for slot, other in zip(SLOTS, reversed(SLOTS), strict=True):
                yield self._device(store, slot, other)

    def _menu_and_rules(self, store: StoreSettings) -> dict[str, str]:
        """What a store's devices and its display go by: a format's menu and rules, or the stack's menu and none."""
        if store.format:
            return {"RUSHPROOF_MENU": store.format, "RUSHPROOF_STORE_RULES": store.format}
        return {"RUSHPROOF_MENU": str(self.settings.menu_path)}

    def _gateway(self, settings: GatewayStackSettings) -> PythonProcess:
        environment = {
            "RUSHPROOF_GATEWAY_DATA": str(self.data_folder("gateway")),
            "RUSHPROOF_GATEWAY_HOST": HOST,
            "RUSHPROOF_GATEWAY_PORT": str(self.port("gateway")),
            "RUSHPROOF_GATEWAY_SECRET_FILE": str(self.secret("gateway")),
            "RUSHPROOF_GATEWAY_WALLET_SECONDS": str(settings.wallet_confirm_s),
            "RUSHPROOF_TIME_SCALE": str(self.settings.time_scale),
        }
        if settings.misbehaviour:
            environment["RUSHPROOF_GATEWAY_MISBEHAVIOUR"] = settings.misbehaviour
        return self._process("gateway", "refsystem.partners.payment_gateway", environment)

    def _delivery_platform(self, settings: DeliveryStackSettings, secret: str) -> PythonProcess:
        data, port, webhooks = str(self.data_folder(PROCESS)), self.port(PROCESS), self.link_url(LINK)
        told = platform_environment(settings, data, port, secret, webhooks, self.settings.time_scale)
        return self._process(PROCESS, PLATFORM_MODULE, told)

    def _printer(self, name: str) -> PythonProcess:
        data = self.data_folder(name)
        data.mkdir(parents=True, exist_ok=True)
        ports = self.port(name), self.port(f"{name}.{PAPER_PORT}")
        return self._process(name, PRINTER_MODULE, printer_environment(str(data), *ports, self.settings.time_scale))

    def _device(self, store: StoreSettings, slot: str, other: str) -> PythonProcess:
        name = f"{store.name}.edge_{slot}"
        peer_host, peer_port = self._address(f"edge_edge.{store.name}.{slot}")
        environment = {
            "RUSHPROOF_STORE": store.name,
            "RUSHPROOF_SLOT": slot,
            "RUSHPROOF_DATA": str(self.data_folder(name)),
            "RUSHPROOF_HTTP_PORT": str(self.port(name)),
            "RUSHPROOF_PEER_PORT": str(self.port(f"{name}.peer")),
            "RUSHPROOF_PEER_ADDRESS": f"{peer_host}:{peer_port}",
            "RUSHPROOF_PEER_HINT_URL": self.link_url(f"diner_edge.{store.name}.{other}"),
            "RUSHPROOF_ARBITER_URL": self.link_url(f"edge_arbiter.{store.name}.{slot}"),
            "RUSHPROOF_CLOUD_URL": self.link_url(f"edge_cloud.{store.name}.{slot}"),
            "RUSHPROOF_KITCHEN_URL": self.link_url(f"edge_kds.{store.name}.{slot}"),
            **self._menu_and_rules(store),
            "RUSHPROOF_POLICY": store.policy,
            "RUSHPROOF_VOLATILE": str(int(self.settings.volatile)),
            "RUSHPROOF_SYNCHRONOUS": self.settings.synchronous,
            "RUSHPROOF_TIME_SCALE": str(self.settings.time_scale),
            "RUSHPROOF_ACCESS_SECRET_FILE": str(self.secret("access")),
            CHAIN_SECRET_VARIABLE: str(self.secret("chain")),
            "RUSHPROOF_OVERLOAD_OFF": self.settings.overload_off,
            "RUSHPROOF_SERVICE_DELAY": store.service_delay,
            "RUSHPROOF_TABLES": ",".join(store.tables),
        }
        if self.settings.gateway is not None:
            gateway = f"partner_gateway.{store.name}.{slot}"
            environment["RUSHPROOF_GATEWAY_URL"] = self.link_url(gateway)
            environment["RUSHPROOF_CALLBACK_URL"] = self.link_url(f"{gateway}.back")
            environment["RUSHPROOF_GATEWAY_SECRET_FILE"] = str(self.secret("gateway"))
            environment["RUSHPROOF_PARTIES"] = ",".join(
                f"{name}={points}" for name, points in self.settings.gateway.parties
            )
        if self.has_coupons:
            environment["RUSHPROOF_COUPON_URL"] = self.link_url(coupon_link(store.name, slot))
        if self.settings.channel_rules:
            environment["RUSHPROOF_CHANNELS"] = self.settings.channel_rules
        if self.has_delivery:
            environment["RUSHPROOF_DELIVERY"] = "1"
        if store.printer:
            host, port = self._address(printer_link(store.name, slot))
            environment["RUSHPROOF_PRINTER_ADDRESS"] = f"{host}:{port}"
            environment["RUSHPROOF_PRINTER_RECEIPTS"] = str(int(store.receipts))
        if self.settings.broken_variant is not None:
            environment["RUSHPROOF_BREAK"] = self.settings.broken_variant
        return self._process(name, "refsystem.edge", environment)

    def _process(self, name: str, module: str, environment: Mapping[str, str]) -> PythonProcess:
        if self.settings.controlled:
            control = self.control_path(name)
            control.parent.mkdir(parents=True, exist_ok=True)
            environment = {**environment, CONTROL_VARIABLE: str(control)}
        return PythonProcess(name, module, environment, self.port(name), self._log_path(name))

    async def _put_store(self, http: httpx.AsyncClient, store: StoreSettings) -> None:
        """Set the store up in the cloud, which lives a moment before its database is open."""
        deadline_s = time.monotonic() + MEMBERS_TIMEOUT_S
        while True:
            url, body = f"{self.url('cloud')}/v1/stores/{store.name}", {"name": store.name}
            answer = await http.put(url, json=body, headers=self.chain_headers())
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline_s:
                answer.raise_for_status()
                return
            await asyncio.sleep(0.05)

    async def _set_up(self, http: httpx.AsyncClient, store: StoreSettings) -> None:
        """Tell the cloud of the store and the arbiter of its first primary, then wait for both devices."""
        await self._put_store(http, store)
        status = (await http.get(f"{self.url(f'{store.name}.edge_a')}/v1/status")).json()
        answer = await http.put(f"{self.url(f'{store.name}.arbiter')}/v1/register", json={"primary": status["node_id"]})
        answer.raise_for_status()
        deadline_s = time.monotonic() + MEMBERS_TIMEOUT_S
        while len(status["members"]) < len(SLOTS):
            if time.monotonic() > deadline_s:
                raise StackError(f"store {store.name} has no two members after {MEMBERS_TIMEOUT_S:g} s: {status}")
            await asyncio.sleep(0.05)
            status = (await http.get(f"{self.url(f'{store.name}.edge_a')}/v1/status")).json()
