"""What a cloud process is told of the delivery platform that it serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from refsystem.settings import Reader, SettingsError

ACCEPTS = ("store", "cloud")


@dataclass(frozen=True, slots=True)
class PlatformSettings:
    """One platform. `secret` signs its webhooks; `at_cloud`: an order is accepted when the cloud has it, not first the store."""

    name: str
    url: str
    secret: bytes
    at_cloud: bool = False


def read_platform(environment: Mapping[str, str]) -> PlatformSettings | None:
    """Read `RUSHPROOF_PLATFORM_URL`, `_NAME`, `_SECRET_FILE` and `_ACCEPTS` (store or cloud); None without an address.

    Raises `SettingsError` that names the variable.
    """
    read = Reader(environment)
    url = read.url("RUSHPROOF_PLATFORM_URL", "")
    if not url:
        return None
    secret = read.secret("RUSHPROOF_PLATFORM_SECRET_FILE")
    if secret is None:
        raise SettingsError("RUSHPROOF_PLATFORM_SECRET_FILE must name the file of the secret that signs its webhooks")
    accepts = read.choice("RUSHPROOF_PLATFORM_ACCEPTS", ACCEPTS, "store")
    return PlatformSettings(read.text("RUSHPROOF_PLATFORM_NAME", "platform"), url, secret, accepts == "cloud")
