"""Gateways and printers as processes, merchants that call them, and a place where callbacks arrive."""

from __future__ import annotations

import asyncio
import http.server
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from refsystem.processes import PythonProcess, reserve_port

PATIENCE_S = 20.0
SECRET = b"a secret of the tests, long enough"


def wait_until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    deadline_s = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        time.sleep(0.01)
    return found


def new_id() -> str:
    return str(uuid.uuid4())


class PartnerProcess:
    """A party's process that can be killed and started again on its ports and data; `settings` are made from the ports."""

    def __init__(self, module: str, folder: Path, settings: Callable[..., dict[str, str]], ports: int = 1) -> None:
        self._reservations = [reserve_port() for _ in range(ports)]
        self.ports = [reservation.getsockname()[1] for reservation in self._reservations]
        self.process = PythonProcess(
            module, f"refsystem.partners.{module}", settings(*self.ports), self.ports[-1], folder / f"{module}.log"
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.ports[-1]}", timeout=10, trust_env=False)

    def start(self) -> None:
        self.process.start()
        asyncio.run(self.process.wait_ready())

    def restart(self) -> None:
        self.process.kill()
        self.start()

    def close(self) -> None:
        self.process.kill()
        self.client.close()
        for reservation in self._reservations:
            reservation.close()

    def misbehave(self, *rules: dict[str, Any], seed: int = 1) -> None:
        answer = self.client.put("/v1/operator/misbehaviour", json={"seed": seed, "rules": list(rules)})
        assert answer.status_code == 200, answer.text

    def behave(self) -> dict[str, int]:
        struck: dict[str, int] = self.client.delete("/v1/operator/misbehaviour").json()["struck"]
        return struck

    def audit(self, what: str, limit: int) -> list[dict[str, Any]]:
        """All pages of `/v1/audit/<what>`."""
        rows: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = self.client.get(f"/v1/audit/{what}", params={"after": after, "limit": limit}).json()
            after = page.pop("next_after")
            (found,) = page.values()
            rows += found
        return rows


def mix(*rules: tuple[str, float, int]) -> list[dict[str, Any]]:
    """Rules of these kinds, shares and milliseconds."""
    return [{"kind": kind, "share": share, "ms": ms} for kind, share, ms in rules]


class GatewayProcess(PartnerProcess):
    """A gateway of which a thousand seconds are one."""

    def __init__(self, folder: Path, **environment: str) -> None:
        secret = folder / "secret"
        secret.write_bytes(SECRET)
        super().__init__(
            "payment_gateway",
            folder,
            lambda port: {
                "RUSHPROOF_GATEWAY_PORT": str(port),
                "RUSHPROOF_GATEWAY_DATA": str(folder / "data"),
                "RUSHPROOF_GATEWAY_SECRET_FILE": str(secret),
                "RUSHPROOF_TIME_SCALE": "1000",
                **environment,
            },
        )

    def ask(self, path: str, key: str | None = None, timeout_s: float = 10, **body: Any) -> httpx.Response:
        return self.client.post(path, json=body, headers={"Idempotency-Key": key or new_id()}, timeout=timeout_s)

    def authorize(self, attempt_id: str, amount_minor: int = 5000, **changes: Any) -> httpx.Response:
        body = {"merchant": "s1", "amount_minor": amount_minor, "card_token": "card-1", **changes}
        return self.ask("/v1/authorizations", attempt_id, **body)

    def capture(
        self, attempt_id: str, amount_minor: int = 5000, key: str | None = None, **options: Any
    ) -> httpx.Response:
        return self.ask(f"/v1/payments/{attempt_id}/captures", key, amount_minor=amount_minor, **options)

    def sale(self, attempt_id: str, amount_minor: int = 5000, **changes: Any) -> httpx.Response:
        body = {
            "merchant": "s1",
            "amount_minor": amount_minor,
            "payment_code": str(uuid.UUID(attempt_id).int)[:18],
            **changes,
        }
        return self.ask("/v1/sales", attempt_id, **body)

    def captured(self, amount_minor: int = 5000) -> str:
        attempt_id = new_id()
        assert self.authorize(attempt_id, amount_minor).json()["status"] == "succeeded"
        assert self.capture(attempt_id, amount_minor).json()["status"] == "succeeded"
        return attempt_id

    def reverse(self, attempt_id: str, key: str | None = None) -> httpx.Response:
        return self.ask(f"/v1/payments/{attempt_id}/reversals", key, merchant="s1")

    def refund(self, attempt_id: str, amount_minor: int, key: str | None = None) -> httpx.Response:
        return self.ask(f"/v1/payments/{attempt_id}/refunds", key, amount_minor=amount_minor)

    def payment(self, attempt_id: str) -> dict[str, Any]:
        answer = self.client.get(f"/v1/payments/{attempt_id}")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def ledger(self, limit: int = 1000) -> list[dict[str, Any]]:
        return self.audit("ledger", limit)


class Merchant:
    """A merchant's address for callbacks. `answers` gives the status of each answer in turn, then 204 for ever."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, Any], str, bytes]] = []
        self.answers: list[int] = []
        merchant = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                merchant.received.append((json.loads(raw), self.headers["Rushproof-Signature"], raw))
                self.send_response(merchant.answers.pop(0) if merchant.answers else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/callbacks"

    @property
    def events(self) -> list[str]:
        return [body["event"] for body, _, _ in self.received]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One well-behaved gateway for a module's tests; each uses ids of its own and ends its misbehaviour."""
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"))
    try:
        process.start()
        yield process
    finally:
        process.close()


@pytest.fixture
def merchant() -> Iterator[Merchant]:
    address = Merchant()
    yield address
    address.close()


class PrinterProcess(PartnerProcess):
    """A printer that prints fast."""

    def __init__(self, folder: Path, **environment: str) -> None:
        super().__init__(
            "receipt_printer",
            folder,
            lambda port, http_port: {
                "RUSHPROOF_PRINTER_PORT": str(port),
                "RUSHPROOF_PRINTER_HTTP_PORT": str(http_port),
                "RUSHPROOF_PRINTER_DATA": str(folder / "data"),
                "RUSHPROOF_PRINTER_LINES_PER_SECOND": "2000",
                **environment,
            },
            ports=2,
        )
        self.port = self.ports[0]

    def connect(self, timeout_s: float = 5.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s)

    def change(self, **condition: Any) -> dict[str, Any]:
        answer = self.client.patch("/v1/operator/condition", json=condition)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def slips(self) -> list[dict[str, Any]]:
        return self.audit("paper", 2)


@pytest.fixture(scope="module")
def printer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrinterProcess]:
    """One printer for a module's tests; each puts right what it broke."""
    process = PrinterProcess(tmp_path_factory.mktemp("printer"))
    try:
        process.start()
        yield process
    finally:
        process.close()
