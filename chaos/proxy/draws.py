"""Random decisions keyed by what they are about, so that no order of events can change them."""

from __future__ import annotations

import hashlib
import json
from random import Random

from chaos.proxy.toxics import Direction


def draws_for(seed: int, proxy: str, connection: int, direction: Direction, toxic: str) -> Random:
    """The generator of one toxic on one direction of one connection (numbered from 1 within its proxy).

    The first draw decides whether the toxic hits at all; the toxic's stage makes the others.
    """
    key = json.dumps([seed, proxy, connection, direction.value, toxic]).encode()
    return Random(int.from_bytes(hashlib.blake2b(key, digest_size=16).digest(), "big"))
