"""Answers of the API, written as Go's `encoding/json` writes them."""

from __future__ import annotations

import dataclasses
import json
import struct
from typing import Any

from chaos.proxy.proxy import Proxy
from chaos.proxy.toxics import Toxic


def proxy_fields(proxy: Proxy) -> dict[str, Any]:
    """What the API shows of a proxy; the empty `Logger` is what Toxiproxy shows too."""
    return {
        "name": proxy.name,
        "listen": proxy.listen,
        "upstream": proxy.upstream,
        "enabled": proxy.enabled,
        "Logger": {},
        "toxics": [toxic_fields(toxic) for toxic in proxy.toxic_list()],
    }


def toxic_fields(toxic: Toxic) -> dict[str, Any]:
    """What the API shows of a toxic."""
    return {
        "attributes": dataclasses.asdict(toxic.attributes),
        "name": toxic.name,
        "type": toxic.type,
        "stream": toxic.stream,
        "toxicity": _number(toxic.toxicity),
    }


def encode(value: object) -> str:
    """Compact JSON; the characters that HTML treats specially are escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _number(value: float) -> int | float:
    """The shortest number that is the same in single precision, which is what Toxiproxy keeps; 1 rather than 1.0."""
    if value == int(value):
        return int(value)
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        if struct.pack("f", short) == struct.pack("f", value):
            return short
    return value
