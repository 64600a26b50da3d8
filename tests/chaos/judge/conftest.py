"""Builds run folders as a drill would leave them, so that each test can spoil one thing in an otherwise perfect run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from refsystem.ordering.order import body_hash
from refsystem.protocol.log import GENESIS, chain, encode_record
from simulator.history import Attempt, HistoryWriter

SECOND_US = 1_000_000
START_US = 5_000 * SECOND_US
SCENARIO: dict[str, Any] = {
    "name": "built",
    "title": "A run folder made by a test",
    "seed": 7,
    "duration_s": 10,
    "time_scale": 60,
    "stores": [{"name": "s1"}],
    "diners": {"arrivals": {"rate_per_s": 4}},
    "budgets": {"late_after_s": 600},
}


@dataclass
class Run:
    """A run under construction: attempts, the log's records, and edits of the written files."""

    path: Path
    scenario: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(SCENARIO)))
    attempts: list[Attempt] = field(default_factory=list)
    records: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    cloud_orders: list[dict[str, Any]] = field(default_factory=list)
    shown: dict[str, int] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    downlink_number: int = 0

    def attempt(self, number: int, **changes: Any) -> Attempt:
        """The first submission of order `number`, told yes at R2 by device n-a, unless `changes` say otherwise."""
        at_us = START_US + number * SECOND_US // 4
        items, note = (("fried-rice", 1 + number % 3), ("cold-noodles", 1)), f"rp-built-{number}-0"
        attempt = Attempt(
            process="load-1",
            op=len(self.attempts) + 1,
            store="s1",
            table="T1",
            channel="qr",
            intent_id=f"built-{number}",
            order_id=order_id(number),
            attempt=1,
            kind="order",
            intended_at_us=at_us,
            invoked_at_us=at_us + 1_000,
            marker=note,
            body_hash=body_hash("qr", "T1", items, 4_400, note),
            total_minor=4_400,
            items=items,
            completed_at_us=at_us + 31_000,
            outcome="ok",
            level="R2",
            status=201,
            node_id="n-a",
            epoch=3,
            seq=None,
        )
        attempt = replace(attempt, **changes)
        self.attempts.append(attempt)
        return attempt

    def order(self, number: int, *, epoch: int = 3, **changes: Any) -> str:
        """An order submitted once, told yes, and kept by every place."""
        seq = len(self.records) + 1
        attempt = self.attempt(number, **{"seq": seq, "epoch": epoch, **changes})
        self.keep(attempt, epoch=epoch)
        return attempt.order_id

    def cloud_order(self, number: int, **changes: Any) -> str:
        """An order submitted at the cloud, told RC, and taken by the store through the downlink."""
        rc = {"level": "RC", "node_id": "cloud", "epoch": None, "seq": None}
        attempt = self.attempt(number, **{**rc, **changes})
        self.downlink_number += 1
        self.keep(attempt, origin="cloud", downlink_number=self.downlink_number)
        return attempt.order_id

    def keep(self, attempt: Attempt, *, epoch: int = 3, origin: str = "edge", **more: Any) -> None:
        """Put the order of `attempt` into the log, the cloud and the kitchen."""
        content = {
            "order_id": attempt.order_id,
            "channel": attempt.channel,
            "table": attempt.table,
            "items": [list(line) for line in attempt.items],
            "total_minor": attempt.total_minor,
        }
        record = {"kind": "order", "version": 1, "origin": origin, "note": attempt.marker, **content, **more}
        self.records.append((epoch, {**record, "body_hash": attempt.body_hash}))
        told = "RC" if origin == "cloud" else None
        seq, outcome = len(self.records), "order" if origin == "cloud" else None
        extra = {"marker": attempt.marker, "origin": origin, "level_told": told, "store_seq": seq, "outcome": outcome}
        self.cloud_orders.append({**content, **extra})
        self.shown[attempt.order_id] = (attempt.completed_at_us or attempt.invoked_at_us) + 200_000

    def refuse(self, attempt: Attempt, kind: str = "refused") -> None:
        """The cloud took the order and the store refused it."""
        self.downlink_number += 1
        record = {
            "kind": kind,
            "order_id": attempt.order_id,
            "downlink_number": self.downlink_number,
            "detail": "sold out",
        }
        self.records.append((3, record))
        content = {
            "order_id": attempt.order_id,
            "channel": attempt.channel,
            "table": attempt.table,
            "total_minor": 4_400,
        }
        told = {"marker": attempt.marker, "origin": "cloud", "level_told": "RC", "store_seq": len(self.records)}
        self.cloud_orders.append({**content, **told, "items": [list(x) for x in attempt.items], "outcome": kind})

    def drop(self, order: str, *places: str) -> None:
        """Take the order out of `places` (edge, cloud, kitchen)."""
        if "edge" in places:
            self.records = [(e, r) for e, r in self.records if r["order_id"] != order or r["kind"] != "order"]
        if "cloud" in places:
            self.cloud_orders = [row for row in self.cloud_orders if row["order_id"] != order]
        if "kitchen" in places:
            self.shown.pop(order, None)

    def fault(self, **changes: Any) -> None:
        """A fault that took effect and was undone, 1 s after the start, unless `changes` say otherwise."""
        fault = {
            "name": "the primary is killed",
            "kind": "process_killed",
            "target": "primary",
            "resolved": "edge_a",
            "store": "s1",
            "planned_at_us": START_US + SECOND_US,
            "started_at_us": START_US + SECOND_US,
            "ended_at_us": START_US + 3 * SECOND_US,
            "took_effect": True,
            "evidence": "the process is gone and its port refuses",
            "undone": True,
            "undo_detail": "",
            "hits_primary": True,
            "epoch_before": 3,
            "disk_lost_node_ids": [],
        }
        self.faults.append({**fault, **changes})
        self.scenario.setdefault("faults", [])
        if changes.get("planned", True):
            at_s = 1 + 2 * len(self.scenario["faults"])
            self.scenario["faults"].append({"fault": "process_restarted", "at_s": at_s, "process": "primary"})

    def write(self) -> Path:
        """Write the folder; returns it."""
        _dump(self.path / "scenario.yaml", self.scenario)
        writer = HistoryWriter(self.path / "history", "load-1")
        for attempt in self.attempts:
            writer.invoke(replace(attempt, completed_at_us=None, outcome="indefinite", level=None, status=None))
            if attempt.completed_at_us is not None:
                writer.complete(attempt)
        writer.close()
        _lines(self.path / "faults.jsonl", [{k: v for k, v in f.items() if k != "planned"} for f in self.faults])
        entries = self.entries()
        for number in (1, 2):
            self._write_reads(self.path / "reads" / str(number) / "s1", entries)
        reached = {
            "reached": True,
            "waited_ms": 800,
            "drain_ms": 650,
            "detail": "",
            "taken_at_us": START_US + 12 * SECOND_US,
        }
        _dump(self.path / "reads" / "convergence.json", reached)
        _dump(self.path / "metrics" / "load-load-1.json", LOAD)
        _dump(self.path / "environment.json", ENVIRONMENT)
        _lines(self.path / "metrics" / "stack.jsonl", self._samples(entries))
        return self.path

    def entries(self) -> list[dict[str, Any]]:
        """The records, chained as a device chains them."""
        rows, after = [], GENESIS
        for epoch, record in self.records:
            (entry,) = chain(epoch, after, [encode_record(record)])
            after = entry.cursor
            rows.append({"seq": entry.seq, "epoch": epoch, "hash": entry.hash, "record": record})
        return rows

    def edit(self, name: str, change: Callable[[Any], Any]) -> None:
        """Change a written JSON file in place; `change` may return a replacement."""
        path = self.path / name
        content = json.loads(path.read_text(encoding="utf-8"))
        changed = change(content)
        _dump(path, content if changed is None else changed)

    def edit_reads(self, place: str, change: Callable[[Any], Any]) -> None:
        """Change a place in both rounds of reads."""
        for number in (1, 2):
            self.edit(f"reads/{number}/s1/{place}.json", change)

    def _write_reads(self, folder: Path, entries: list[dict[str, Any]]) -> None:
        last = {"seq": entries[-1]["seq"], "hash": entries[-1]["hash"]} if entries else {"seq": 0, "hash": ""}
        for slot in ("a", "b"):
            status = {
                "store": "s1",
                "slot": slot,
                "node_id": f"n-{slot}",
                "role": "primary" if slot == "a" else "standby",
                "epoch": 3,
                "members": ["n-a", "n-b"],
                "commit_seq": last["seq"],
                "commit_hash": last["hash"],
                "last_seq": last["seq"],
                "last_hash": last["hash"],
                "downlink_cursor": self.downlink_number,
                "waiting": 0,
            }
            _dump(folder / f"edge_{slot}.json", {"status": status, "entries": entries, "set_aside": []})
        sent = [{**entry, "sender_epoch": 3, "sender_node_id": "n-a"} for entry in entries]
        cloud_status = {"cursor": last, "highest_epoch": 3, "last_number": self.downlink_number, "alarms": 0}
        cloud = {"status": cloud_status, "orders": self.cloud_orders, "entries": sent, "alarms": []}
        _dump(folder / "cloud.json", cloud)
        _dump(folder / "kitchen.json", self._kitchen(entries, last))

    def _kitchen(self, entries: list[dict[str, Any]], last: dict[str, Any]) -> dict[str, Any]:
        places = {entry["record"]["order_id"]: entry for entry in entries if entry["record"]["kind"] == "order"}
        nowhere = {"seq": 0, "hash": "unknown", "record": {"note": ""}}
        tickets = [
            {
                "order_id": order,
                "version": 1,
                "station": "kitchen",
                "marker": places.get(order, nowhere)["record"]["note"],
                "seq": places.get(order, nowhere)["seq"],
                "hash": places.get(order, nowhere)["hash"],
                "shown_at_us": shown_at_us,
                "bumped_at_us": None,
            }
            for order, shown_at_us in self.shown.items()
        ]
        deliveries = [
            {
                "sender_epoch": 3,
                "sender_node_id": "n-a",
                "epoch": entry["epoch"],
                "seq": entry["seq"],
                "hash": entry["hash"],
                "order_id": entry["record"]["order_id"] if entry["record"]["kind"] == "order" else None,
            }
            for entry in entries
        ]
        status = {"cursor": last, "highest_epoch": 3, "tickets": len(tickets), "bumped": 0}
        return {"status": status, "tickets": tickets, "deliveries": deliveries}

    def _samples(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows = []
        for quarter in range(48):
            seq = min(len(entries), quarter)
            primary = {"node_id": "n-a", "role": "primary", "epoch": 3, "commit_seq": seq, "waiting": quarter % 3}
            feed = {"cursor": {"seq": max(0, seq - 2) if quarter < 40 else seq, "hash": "x"}}
            at_us = START_US + quarter * SECOND_US // 4
            standby = {**primary, "node_id": "n-b", "role": "standby"}
            row = {"at_us": at_us, "edge_a": primary, "edge_b": standby, "cloud": feed, "kitchen": feed, "faults": []}
            rows.append(row)
        return rows


def order_id(number: int) -> str:
    return f"0192aaaa-0000-7000-8000-{number:012d}"


LOAD = {
    "process": "load-1",
    "planned": 40,
    "started": 40,
    "late_starts": 0,
    "dropped_starts": 0,
    "lateness_ms_max": 3.0,
    "cpu_percent_max": 40.0,
    "finished": True,
    "late_after_ms": 100,
}
ENVIRONMENT = {
    "rushproof_version": "0.1.0",
    "python": "3.11",
    "platform": "Linux",
    "cpus": 2,
    "memory_bytes": 8 << 30,
    "seed": 7,
    "command": "rushproof run built --seed 7",
    "started_at": "2026-01-01T12:00:00+00:00",
    "start_us": START_US,
    "scenario": "built",
    "toxiproxy": "embedded",
    "load_ended_at_us": START_US + 11 * SECOND_US,
    "broken_variant": None,
    "workers": 1,
    "trace": None,
}


def _dump(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="session")
def make_run() -> type[Run]:
    """The builder itself, for tests that need many folders."""
    return Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of 12 orders at the store and 2 through the cloud, all of them kept; not yet written."""
    made = Run(tmp_path / "run")
    for number in range(12):
        made.order(number)
    made.cloud_order(12)
    made.cloud_order(13)
    return made
