"""Random decisions keyed by what they are about, so that no order of events can change them."""

from __future__ import annotations

import hashlib
import json
from random import Random

from chaos.proxy.toxics import Direction


def draws_for(
    seed: int, proxy: str, connection: int, direction: Direction, toxic: str, round_number: int = 1
) -> Random:
    """The generator of one toxic on one direction of one connection (numbered from 1 within its proxy).

    The first draw decides whether the toxic hits at all; the toxic's stage makes the others. Where a schedule lets the toxic
    act several times, the later rounds have draws of their own, but the decision of the first round holds for all.
    """
    about = [seed, proxy, connection, direction.value, toxic] + ([round_number] if round_number > 1 else [])
    digest = hashlib.blake2b(json.dumps(about).encode(), digest_size=16).digest()
    return Random(int.from_bytes(digest, "big"))
