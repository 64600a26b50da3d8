"""What every process is told through its environment; a missing or wrong value is one clear sentence."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, get_args
from urllib.parse import urlsplit

from refsystem.ordering.book_steps import OfflineLimits
from refsystem.ordering.channel_rules import ChannelRules, read_channel_rules
from refsystem.ordering.menu import Menu
from refsystem.ordering.money import BASIS_POINTS
from refsystem.ordering.order import TABLE_CHARACTERS_MAX
from refsystem.ordering.store_rules import StoreRules, scaled
from refsystem.overload.settings import DEFAULT_OVERLOAD, OverloadSettings, read_overload
from refsystem.protocol.admission import Policy
from refsystem.protocol.broken import PAYMENT_VARIANTS, PROTOCOL_VARIANTS, STOCK_VARIANTS
from refsystem.protocol.print_queue import PRINT_VARIANTS
from refsystem.sqlite import Synchronous
from refsystem.store_settings import find_menu, find_store_rules

HOST = "127.0.0.1"
SECRET_BYTES_MIN = 16
CHAIN_SECRET_VARIABLE = "RUSHPROOF_CHAIN_SECRET_FILE"
STORED_AGE_H = 24
USUAL_CAPS = OfflineLimits()
BROKEN_VARIANTS = ("", *PROTOCOL_VARIANTS, *PAYMENT_VARIANTS, *STOCK_VARIANTS, *PRINT_VARIANTS, "synchronous-normal")


Found = TypeVar("Found")


class SettingsError(ValueError):
    """A setting in the environment is missing or wrong."""


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Of an edge device. `peer_port` is where the other device's messages arrive; `*_url` lead through the links.

    Without a `gateway_url` the store takes no cards and wallet codes, without a `coupon_url` no coupons and no members' balances.
    The gateway calls back to `callback_url` and signs with `gateway_secret`. `access_secret` signs the tokens of tables and
    staff; without one the device knows nobody. `chain_secret` is sent to the cloud and the kitchen display. `parties` get
    `(name, basis points)` of what is captured. Without `store_rules` a kitchen has one station.
    """

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
    gateway_url: str = ""
    coupon_url: str = ""
    callback_url: str = ""
    gateway_secret: bytes | None = None
    access_secret: bytes | None = None
    parties: tuple[tuple[str, int], ...] = ()
    time_scale: float = 1.0
    overload: OverloadSettings = DEFAULT_OVERLOAD
    printer_address: tuple[str, int] | None = None
    printer_receipts: bool = False
    store_rules: StoreRules | None = None
    tables: tuple[str, ...] = ()
    delivery: bool = False
    channel_rules: ChannelRules | None = None
    chain_secret: bytes | None = None
    offline: OfflineLimits = USUAL_CAPS
    stored_age_h: int = STORED_AGE_H


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
        gateway_url=read.url("RUSHPROOF_GATEWAY_URL", ""),
        coupon_url=read.url("RUSHPROOF_COUPON_URL", ""),
        callback_url=read.url("RUSHPROOF_CALLBACK_URL", ""),
        gateway_secret=read.secret("RUSHPROOF_GATEWAY_SECRET_FILE"),
        access_secret=read.secret("RUSHPROOF_ACCESS_SECRET_FILE"),
        parties=read.parties("RUSHPROOF_PARTIES"),
        time_scale=read.number("RUSHPROOF_TIME_SCALE", "1", 0.001, 100_000),
        overload=read.overload(),
        printer_address=read.optional_address("RUSHPROOF_PRINTER_ADDRESS"),
        printer_receipts=read.flag("RUSHPROOF_PRINTER_RECEIPTS"),
        store_rules=read.store_rules(),
        tables=read.names("RUSHPROOF_TABLES"),
        delivery=read.flag("RUSHPROOF_DELIVERY"),
        channel_rules=read.channel_rules(),
        chain_secret=read.chain_secret(),
        offline=read.offline_limits()[0],
        stored_age_h=read.offline_limits()[1],
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

    def optional_address(self, name: str) -> tuple[str, int] | None:
        """A host and a port, or None where the variable is not set."""
        return self.address(name) if self._environment.get(name) else None

    def url(self, name: str, default: str | None = None) -> str:
        """An HTTP address without a slash at its end; the empty text if that is the `default` and there is none."""
        if default == "" and not self._environment.get(name):
            return ""
        value = self.text(name, default)
        try:
            parts = urlsplit(value)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise SettingsError(f"{name} must be http://HOST:PORT, not {value!r}")
        return value.rstrip("/")

    def secret(self, name: str) -> bytes | None:
        """The secret in the file that the variable names; None without one."""
        if not self._environment.get(name):
            return None
        path = Path(self.text(name))
        try:
            secret = path.read_bytes().strip()
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise SettingsError(f"{name}: {path} cannot be read ({why})") from error
        if len(secret) < SECRET_BYTES_MIN:
            raise SettingsError(f"{name}: {path} must hold {SECRET_BYTES_MIN} bytes or more, not {len(secret)}")
        return secret

    def chain_secret(self) -> bytes | None:
        """The chain's secret, which is sent in a header; None without one."""
        secret = self.secret(CHAIN_SECRET_VARIABLE)
        if secret is not None and (not secret.isascii() or any(byte <= 32 or byte == 127 for byte in secret)):
            raise SettingsError(f"{CHAIN_SECRET_VARIABLE}: its file must hold one word of printable ASCII")
        return secret

    def parties(self, name: str) -> tuple[tuple[str, int], ...]:
        """Parties and their basis points, as `platform=600,brand=300`; none by default."""
        text = self._environment.get(name, "")
        parties = []
        for part in filter(None, text.split(",")):
            party, _, points = part.partition("=")
            if not (party.isidentifier() and points.isdecimal() and 1 <= int(points) <= BASIS_POINTS):
                raise SettingsError(
                    f"{name} must be like platform=600,brand=300 (hundredths of a per cent), not {text!r}"
                )
            parties.append((party, int(points)))
        if sum(points for _, points in parties) > BASIS_POINTS or len(dict(parties)) < len(parties):
            raise SettingsError(f"{name} must name each party once, and {BASIS_POINTS} together at most, not {text!r}")
        return tuple(parties)

    def offline_limits(self) -> tuple[OfflineLimits, int]:
        """The caps of what is taken on trust, and how many hours it is, by `RUSHPROOF_OFFLINE_LIMITS`; the rest is as usual."""
        name = "RUSHPROOF_OFFLINE_LIMITS"
        said: dict[str, int] = {}
        text = self._environment.get(name, "")
        for part in filter(None, text.split(",")):
            limit, _, value = part.partition("=")
            if limit not in ("payment", "total", "hours") or limit in said or not value.isdecimal() or len(value) > 12:
                raise SettingsError(
                    f"{name} must be like payment=50000,total=500000,hours=24 (minor units, whole hours), not {text!r}"
                )
            said[limit] = int(value)
        payment_minor = said.get("payment", USUAL_CAPS.payment_minor_max)
        caps = OfflineLimits(payment_minor, said.get("total", USUAL_CAPS.outstanding_minor_max))
        if caps.payment_minor_max > caps.outstanding_minor_max:
            raise SettingsError(
                f"{name}: one payment must not exceed the total, {caps.outstanding_minor_max}, in {text!r}"
            )
        return caps, said.get("hours", STORED_AGE_H)

    def names(self, name: str) -> tuple[str, ...]:
        """Names that differ, as `1,2,A3`; none by default."""
        text = self._environment.get(name, "")
        names = tuple(filter(None, (part.strip() for part in text.split(","))))
        if len(set(names)) < len(names) or any(len(each) > TABLE_CHARACTERS_MAX for each in names):
            raise SettingsError(
                f"{name} must be different names like 1,2,A3, of {TABLE_CHARACTERS_MAX} characters at most, not {text!r}"
            )
        return names

    def channel_rules(self) -> ChannelRules | None:
        """The rules in `RUSHPROOF_CHANNELS`; without them no channel ever pauses."""
        try:
            return read_channel_rules(self._environment.get("RUSHPROOF_CHANNELS", ""))
        except ValueError as error:
            raise SettingsError(f"RUSHPROOF_CHANNELS: {error}") from error

    def flag(self, name: str) -> bool:
        """0 (the default) or 1."""
        return self.choice(name, ("0", "1"), "0") == "1"

    def choice(self, name: str, choices: tuple[str, ...], default: str | None) -> str:
        """One of `choices`."""
        value = self.text(name, default)
        if value not in choices:
            raise SettingsError(f"{name} must be one of {', '.join(filter(None, choices))}, not {value!r}")
        return value

    def overload(self) -> OverloadSettings:
        """Which remedies against overload are off, and the declared delay."""
        try:
            return read_overload(self._environment)
        except ValueError as error:
            raise SettingsError(str(error)) from error

    def menu(self) -> Menu:
        """The menu that `RUSHPROOF_MENU` names, a format or a file; without one the demo menu."""
        return self._named("RUSHPROOF_MENU", find_menu)

    def store_rules(self) -> StoreRules | None:
        """The rules that `RUSHPROOF_STORE_RULES` names, a format or a file, with times divided by the time scale."""
        rules = self._named("RUSHPROOF_STORE_RULES", find_store_rules)
        if rules is None:
            return None
        time_scale = self.number("RUSHPROOF_TIME_SCALE", "1", 0.001, 100_000)
        return replace(rules, kitchen=scaled(rules.kitchen, time_scale))

    def _named(self, name: str, find: Callable[[str], Found]) -> Found:
        try:
            return find(self._environment.get(name, ""))
        except ValueError as error:
            raise SettingsError(str(error)) from error


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536
