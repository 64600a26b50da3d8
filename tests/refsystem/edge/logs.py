"""Logs of orders, under new keys."""

from __future__ import annotations

import uuid

from refsystem.ordering.order import Order
from refsystem.protocol.downlink import order_record
from refsystem.protocol.log import Log, chain, encode_record


def key() -> str:
    return str(uuid.uuid4())


def order(order_id: str) -> str:
    return encode_record(order_record(Order(order_id, "qr", "4", (("steamed-rice", 1),), 300), "edge"))


def extended(log: Log, epoch: int, *order_ids: str) -> Log:
    longer = Log(log.slice(1, len(log), len(log)))
    longer.extend(chain(epoch, longer.last, map(order, order_ids)))
    return longer
