"""What every process is told through its environment; a missing or wrong value is one clear sentence."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

from refsystem.ordering.menu import DEMO_MENU, Menu, read_menu
from refsystem.protocol.admission import Policy
from refsystem.protocol.broken import PROTOCOL_VARIANTS
from refsystem.sqlite import Synchronous

HOST = "127.0.0.1"
BROKEN_VARIANTS = ("", *PROTOCOL_VARIANTS, "synchronous-normal")


class SettingsError(ValueError):
    """A setting in the environment is missing or wrong."""


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Of an edge device. `peer_port` is where the other device's messages arrive; `*_url` lead through the links."""

    store: str
    slot: str
    data: Path
    http_port: int
    peer_port: int
    peer_host: str
    peer_address_port: int
    peer_hint_url: str
    arbiter_url: str
    cloud_url: str
    kitchen_url: str
    menu: Menu
    policy: Policy
    volatile: bool
    synchronous: Synchronous
    broken_variant: str | None


@dataclass(frozen=True, slots=True)
class ArbiterSettings:
    """Of the arbiter."""

    data: Path
    http_port: int
    volatile: bool


def edge_settings(environment: Mapping[str, str] = os.environ) -> EdgeSettings:
    """The settings of an edge device; raises `SettingsError`."""
    read = Reader(environment)
    peer_host, peer_address_port = read.address("RUSHPROOF_PEER_ADDRESS")
    policy = read.choice("RUSHPROOF_POLICY", get_args(Policy), "available")
    synchronous = read.choice("RUSHPROOF_SYNCHRONOUS", get_args(Synchronous), "FULL")
    http_port, peer_port = read.port("RUSHPROOF_HTTP_PORT"), read.port("RUSHPROOF_PEER_PORT")
    if http_port == peer_port:
        raise SettingsError(f"RUSHPROOF_HTTP_PORT and RUSHPROOF_PEER_PORT must differ; both are {http_port}")
    return EdgeSettings(
        store=read.text("RUSHPROOF_STORE"),
        slot=read.choice("RUSHPROOF_SLOT", ("a", "b"), None),
        data=Path(read.text("RUSHPROOF_DATA")),
        http_port=http_port,
        peer_port=peer_port,
        peer_host=peer_host,
        peer_address_port=peer_address_port,
        peer_hint_url=read.text("RUSHPROOF_PEER_HINT_URL", ""),
        arbiter_url=read.url("RUSHPROOF_ARBITER_URL"),
        cloud_url=read.url("RUSHPROOF_CLOUD_URL"),
        kitchen_url=read.url("RUSHPROOF_KITCHEN_URL"),
        menu=read.menu(),
        policy="require_r2" if policy == "require_r2" else "available",
        volatile=read.flag("RUSHPROOF_VOLATILE"),
        synchronous="NORMAL" if synchronous == "NORMAL" else "FULL",
        broken_variant=read.choice("RUSHPROOF_BREAK", BROKEN_VARIANTS, "") or None,
    )


def arbiter_settings(environment: Mapping[str, str] = os.environ) -> ArbiterSettings:
    """The settings of the arbiter; raises `SettingsError`."""
    read = Reader(environment)
    return ArbiterSettings(
        Path(read.text("RUSHPROOF_DATA")), read.port("RUSHPROOF_HTTP_PORT"), read.flag("RUSHPROOF_VOLATILE")
    )


class Reader:
    """Reads settings from an environment; every method raises `SettingsError` that names the variable."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str | None = None) -> str:
        """A text that is not empty."""
        value = self._environment.get(name) or default
        if value is None:
            raise SettingsError(f"the environment variable {name} is missing or empty")
        return value

    def port(self, name: str, default: str | None = None) -> int:
        """A TCP port."""
        value = self.text(name, default)
        if not _is_port(value):
            raise SettingsError(f"{name} must be a port from 1 to 65535, not {value!r}")
        return int(value)

    def number(self, name: str, default: str, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        value = self.text(name, default)
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise SettingsError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")
        return number

    def address(self, name: str) -> tuple[str, int]:
        """A host and a port."""
        value = self.text(name)
        host, _, port = value.rpartition(":")
        if not host or not _is_port(port):
            raise SettingsError(f"{name} must be HOST:PORT, not {value!r}")
        return host, int(port)

    def url(self, name: str) -> str:
        """An HTTP address without a slash at its end."""
        value = self.text(name)
        try:
            parts = urlsplit(value)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise SettingsError(f"{name} must be http://HOST:PORT, not {value!r}")
        return value.rstrip("/")

    def flag(self, name: str) -> bool:
        """0 (the default) or 1."""
        return self.choice(name, ("0", "1"), "0") == "1"

    def choice(self, name: str, choices: tuple[str, ...], default: str | None) -> str:
        """One of `choices`."""
        value = self.text(name, default)
        if value not in choices:
            raise SettingsError(f"{name} must be one of {', '.join(filter(None, choices))}, not {value!r}")
        return value

    def menu(self) -> Menu:
        """The menu in the file that `RUSHPROOF_MENU` names; without one the demo menu."""
        path = self._environment.get("RUSHPROOF_MENU")
        if not path:
            return DEMO_MENU
        try:
            return read_menu(Path(path))
        except ValueError as error:
            raise SettingsError(str(error)) from error


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536
