"""Stores' logs to feed a kitchen display with, and displays as processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from refsystem.protocol.log import GENESIS, Entry, chain, encode_record


def order_record(order_id: str, **changes: Any) -> str:
    record = {
        "kind": "order",
        "order_id": order_id,
        "body_hash": "00",
        "channel": "qr",
        "table": "4",
        "items": [["mapo-tofu", 2]],
        "total_minor": 5600,
        "note": f"rp-{order_id}",
        "origin": "edge",
        "version": 1,
    }
    return encode_record(record | changes)


def bump_record(order_id: str) -> str:
    return encode_record({"kind": "bump", "order_id": order_id, "version": 1, "station": "kitchen"})


def log_of(*records: str, epoch: int = 1) -> tuple[Entry, ...]:
    return chain(epoch, GENESIS, records)


class DisplayProcess:
    """A kitchen display that can be killed and started again on its port and data."""

    def __init__(self, folder: Path, seconds: str = "0") -> None:
        # As whoever starts the stack does: the port stays reserved by a socket that does not listen.
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reservation.bind(("127.0.0.1", 0))
        port = self._reservation.getsockname()[1]
        self._log = (folder / "display.log").open("ab")
        self._environment = {
            **os.environ,
            "RUSHPROOF_KITCHEN_PORT": str(port),
            "RUSHPROOF_KITCHEN_DATA": str(folder / "data"),
            "RUSHPROOF_KITCHEN_STORE": "s1",
            "RUSHPROOF_KITCHEN_SECONDS": seconds,
        }
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "refsystem.kitchen_display"]
        self.process = subprocess.Popen(command, env=self._environment, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + 20
        while True:
            try:
                if self.client.get("/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self.process.poll() is None, "the display ended at its start"
            assert time.monotonic() < deadline, "the display did not get ready"
            time.sleep(0.02)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.client.close()
        self._log.close()
        self._reservation.close()


@pytest.fixture
def display_process(tmp_path: Path) -> Iterator[Callable[..., DisplayProcess]]:
    started: list[DisplayProcess] = []

    def start(**settings: Any) -> DisplayProcess:
        display = DisplayProcess(tmp_path, **settings)
        started.append(display)
        display.start()
        return display

    yield start
    for display in started:
        display.close()


class Records:
    """The records and logs that the tests are made of."""

    order = staticmethod(order_record)
    bump = staticmethod(bump_record)
    log = staticmethod(log_of)


@pytest.fixture(scope="session")
def records() -> type[Records]:
    return Records
