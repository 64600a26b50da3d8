"""Answers of the API, written as Go's `encoding/json` writes them."""

from __future__ import annotations

import json
import struct
from typing import Any

from chaos.proxy.proxy import Proxy
from chaos.proxy.toxics import Toxic

ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
SINGLE_DIGITS_MAX = 9


def proxy_fields(proxy: Proxy) -> dict[str, Any]:
    """What the API shows of a proxy; the empty `Logger` is what Toxiproxy shows too, `seed` only this server, if it is set."""
    own_seed = {} if proxy.own_seed is None else {"seed": proxy.own_seed}
    return {
        "name": proxy.name,
        "listen": proxy.listen,
        "upstream": proxy.upstream,
        "enabled": proxy.enabled,
        "Logger": {},
        "toxics": [toxic_fields(toxic) for toxic in proxy.toxic_list()],
        **own_seed,
    }


def toxic_fields(toxic: Toxic) -> dict[str, Any]:
    """What the API shows of a toxic; `schedule` only if it has one."""
    schedule = {} if toxic.schedule is None else {"schedule": toxic.schedule.fields()}
    return {
        "attributes": toxic.attributes.shown(),
        "name": toxic.name,
        "type": toxic.type,
        "stream": toxic.stream,
        "toxicity": _number(toxic.toxicity),
        **schedule,
    }


def encode(value: object) -> str:
    """Compact JSON; the characters that HTML and JavaScript treat specially are escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.translate(ESCAPED)


def _number(value: float) -> int | float:
    """The shortest number that is the same in single precision, which is what Toxiproxy keeps; 1 rather than 1.0."""
    single = struct.pack("f", value)
    shortest = value = struct.unpack("f", single)[0]
    for digits in range(1, SINGLE_DIGITS_MAX + 1):
        shortest = float(f"{value:.{digits}g}")
        if struct.pack("f", shortest) == single:
            break
    return int(shortest) if shortest == int(shortest) else shortest
