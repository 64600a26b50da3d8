"""What every place of a store says at the end, in the shape in which the audit reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from refsystem.protocol.log import Cursor, Entry
from simulator.cluster.database import EntryRow
from simulator.cluster.devices import VirtualDevice
from simulator.cluster.stores import VirtualStore


def read_store(store: VirtualStore) -> dict[str, dict[str, Any]]:
    """The final reads of one store by place."""
    return {
        "edge_a": _read_device(store.a),
        "edge_b": _read_device(store.b),
        "cloud": _read_cloud(store),
        "kitchen": _read_kitchen(store),
    }


def _read_device(device: VirtualDevice) -> dict[str, Any]:
    if device.machine is None:
        return {"error": "the device does not run"}
    replica = device.machine.replica
    commit_seq = replica.commit_seq
    return {
        "status": {
            "node_id": replica.node_id,
            "role": str(replica.role),
            "epoch": replica.epoch,
            "members": list(replica.members),
            "commit_seq": commit_seq,
            "commit_hash": replica.log.cursor(commit_seq).hash,
            "last_seq": replica.log.last.seq,
            "downlink_cursor": replica.log.downlink_cursor,
            "waiting": device.machine.admission.count,
        },
        "entries": _entries(replica.log.slice(1, commit_seq, commit_seq)),
        "set_aside": _entries(device.disk.set_aside),
    }


def _read_cloud(store: VirtualStore) -> dict[str, Any]:
    database = store.cloud.database
    row = database.stores[store.name]
    orders = [
        {
            "order_id": order.held.order_id,
            "marker": order.order.note,
            "origin": order.origin,
            "channel": order.order.channel,
            "table": order.order.table,
            "items": [list(item) for item in order.order.items],
            "total_minor": order.order.total_minor,
            "level_told": order.level_told,
            "store_seq": order.held.store_seq,
            "outcome": order.held.outcome,
        }
        for order in database.orders.values()
        if order.held.store == store.name
    ]
    rows: Iterable[EntryRow] = database.entries[store.name].values()
    return {
        "status": {
            "cursor": _place(row.cursor),
            "highest_epoch": row.highest_epoch,
            "last_number": row.last_number,
        },
        "orders": orders,
        "entries": [
            {**_entry(each.entry), "sender_epoch": each.sender_epoch, "sender_node_id": each.sender_node_id}
            for each in rows
        ],
        "alarms": [{"kind": kind, "detail": detail} for kind, detail in database.alarms[store.name]],
    }


def _read_kitchen(store: VirtualStore) -> dict[str, Any]:
    kitchen = store.kitchen
    tickets = [
        {
            "order_id": order_id,
            "version": version,
            "station": station,
            "marker": ticket.marker,
            "seq": ticket.entry.seq,
            "hash": ticket.entry.hash,
            "shown_at_us": ticket.shown_at_us,
            "bumped_at_us": ticket.bumped_at_us,
        }
        for (order_id, version, station), ticket in kitchen.tickets.items()
    ]
    status = {"cursor": _place(kitchen.cursor), "highest_epoch": kitchen.highest_epoch}
    return {"status": status, "tickets": tickets, "deliveries": list(kitchen.deliveries)}


def _entries(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    return [_entry(entry) for entry in entries]


def _entry(entry: Entry) -> dict[str, Any]:
    return {"seq": entry.seq, "epoch": entry.epoch, "hash": entry.hash, "record": entry.content()}


def _place(cursor: Cursor) -> dict[str, Any]:
    return {"seq": cursor.seq, "hash": cursor.hash}
