"""Typed loading of what the places said at the end of a run. A file that is missing, broken, or holds `{"error": ...}` is an
`Unreadable` place and never a traceback: the audit goes on with what is left, and the verdict says what could not be read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from chaos.judge.reads import (
    PLACES,
    CloudRead,
    Convergence,
    EdgeRead,
    GatewayRead,
    KitchenRead,
    PlatformRead,
    PrinterRead,
    Record,
    StoreReads,
    Unreadable,
)

Model = TypeVar("Model", bound=Record)


def read_json(path: Path, model: type[Model], place: str) -> Model | Unreadable:
    """The file `path` as a `model`, or why it is none."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Unreadable(place, f"{path.name} is missing")
    except (OSError, ValueError) as error:
        return Unreadable(place, f"{path.name} cannot be read ({error})")
    return parse(raw, model, place)


def parse(raw: object, model: type[Model], place: str) -> Model | Unreadable:
    """`raw` as a `model`, or why it is none."""
    if isinstance(raw, Mapping) and "error" in raw:
        return Unreadable(place, str(raw["error"]))
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return Unreadable(place, f"{where or 'the content'} is not as expected ({first['msg']})")


def read_store(run: Path, number: int, store: str) -> StoreReads:
    """Round `number` of the final reads of `store`."""
    folder = run / "reads" / str(number) / store
    return StoreReads(
        store,
        read_json(folder / "edge_a.json", EdgeRead, f"{store}/edge_a"),
        read_json(folder / "edge_b.json", EdgeRead, f"{store}/edge_b"),
        read_json(folder / "cloud.json", CloudRead, f"{store}/cloud"),
        read_json(folder / "kitchen.json", KitchenRead, f"{store}/kitchen"),
        read_json(path, GatewayRead, f"{store}/gateway") if (path := folder / "gateway.json").exists() else None,
        read_json(path, PrinterRead, f"{store}/printer") if (path := folder / "printer.json").exists() else None,
        read_json(path, PlatformRead, f"{store}/delivery_platform")
        if (path := folder / "delivery_platform.json").exists()
        else None,
    )


def read_convergence(run: Path) -> Convergence | Unreadable:
    """What the run says about convergence."""
    return read_json(run / "reads" / "convergence.json", Convergence, "convergence")


def disagreement(first: StoreReads, second: StoreReads) -> str | None:
    """How the two rounds of one store differ in what matters, or None. Bumps may come in between; orders may not."""
    pairs = zip(PLACES, _places(first), _places(second), strict=True)
    for place, before, after in pairs:
        if isinstance(before, Unreadable) or isinstance(after, Unreadable):
            continue
        if _substance(before) != _substance(after):
            return f"{second.store}/{place} holds other orders in the second read than in the first"
    moved, now = first.gateway, second.gateway
    if isinstance(moved, GatewayRead) and isinstance(now, GatewayRead) and moved.movements != now.movements:
        return f"{second.store}/gateway has moved money between the two reads"
    lay, lies = first.printer, second.printer
    if isinstance(lay, PrinterRead) and isinstance(lies, PrinterRead) and lay.slips != lies.slips:
        return f"{second.store}/printer has printed between the two reads"
    listed, lists = first.delivery_platform, second.delivery_platform
    if isinstance(listed, PlatformRead) and isinstance(lists, PlatformRead) and listed.orders != lists.orders:
        return f"{second.store}/delivery_platform lists other orders in the second read than in the first"
    return None


def _places(reads: StoreReads) -> tuple[EdgeRead | CloudRead | KitchenRead | Unreadable, ...]:
    return (reads.edge_a, reads.edge_b, reads.cloud, reads.kitchen)


def _substance(place: EdgeRead | CloudRead | KitchenRead) -> object:
    if isinstance(place, KitchenRead):
        return sorted((ticket.order_id, ticket.version, ticket.station, ticket.hash) for ticket in place.tickets)
    entries = [(entry.seq, entry.hash) for entry in place.entries if entry.kind != "bump"]
    if isinstance(place, EdgeRead):
        return entries
    return entries, sorted((order.order_id, order.origin, order.outcome or "") for order in place.orders)
