"""A stage of a toxic in virtual time: what leaves it, and when."""

from __future__ import annotations

from random import Random

from chaos.proxy.toxics import Attributes, Chunk, Item, Stage

SEED = 7  # of every draw, unless a test names another


def stage_of(attributes: Attributes, seed: int = SEED) -> Stage[Attributes]:
    return attributes.stage(Random(seed), 0.0)


def run(stage: Stage[Attributes], until: float, now: float = 0.0) -> list[tuple[float, Item]]:
    """Everything that leaves up to `until`, and when, asking only when the stage says that it is due."""
    out: list[tuple[float, Item]] = []
    while now <= until:
        item = stage.take(now)
        if item is not None:
            out.append((now, item))
            continue
        due = stage.due()
        if due is None or due > until:
            break
        now = max(due, now + 1e-6)
    return out


def times(out: list[tuple[float, Item]]) -> list[float]:
    return [at for at, _item in out]


def data(out: list[tuple[float, Item]]) -> bytes:
    return b"".join(item.data for _at, item in out if isinstance(item, Chunk))
