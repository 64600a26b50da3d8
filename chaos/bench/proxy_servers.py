"""The servers that `bench proxy` compares, each a process on one core: ours, and Shopify's if it can be had."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos.bench.processes import start_pinned, stop
from chaos.bench.result import BenchError

SHOPIFY_VERSION = "2.12.0"
SHOPIFY_MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@v{SHOPIFY_VERSION}"
INSTALL_TIMEOUT_S = 600.0
START_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs: its API as host:port, and its process."""

    api: str
    pid: int


@contextmanager
def our_server(core: int, folder: Path) -> Iterator[Server]:
    """Our server on one core, until the context is left."""
    ready = folder / "ours.address"
    command = [sys.executable, "-m", "chaos.proxy", "--port", "0", "--seed", "1", "--ready-file", str(ready)]
    process = start_pinned(command, core, folder / "ours.log")
    try:
        _wait(process, ready.exists, "our server", folder / "ours.log")
        yield Server(ready.read_text(encoding="utf-8").strip(), process.pid)
    finally:
        stop(process)


@contextmanager
def shopify_server(binary: Path, core: int, folder: Path) -> Iterator[Server]:
    """Shopify's server on one core with one thread for Go code, until the context is left."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(binary), "-host", "127.0.0.1", "-port", str(port)]
    log = folder / "shopify.log"
    process = start_pinned(command, core, log, {"GOMAXPROCS": "1", "LOG_LEVEL": "error"})
    try:
        api = f"127.0.0.1:{port}"
        _wait(process, lambda: _answers(api), f"Shopify's server ({binary})", log)
        yield Server(api, process.pid)
    finally:
        stop(process)


def given_shopify(binary: Path) -> Path:
    """A binary that the user named, checked. BenchError if it cannot be run."""
    if not (binary.is_file() and os.access(binary, os.X_OK)):
        raise BenchError(f"{binary}: not a program; --toxiproxy takes the path of Shopify's toxiproxy-server")
    return binary.resolve()


def install_shopify() -> tuple[Path | None, str]:
    """Shopify's server from the cache folder, built there by Go the first time; or None and why it cannot be had."""
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rushproof" / f"toxiproxy-v{SHOPIFY_VERSION}"
    )
    binary = cache / "server"
    if binary.exists():
        return binary, ""
    go = shutil.which("go")
    if go is None:
        return None, "Shopify's server is not measured: there is no `go` to build it with (or name one: --toxiproxy)"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [go, "install", SHOPIFY_MODULE],
            env=os.environ | {"GOBIN": str(cache)},
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
        return None, f"Shopify's server is not measured: `go install {SHOPIFY_MODULE}` failed: {said}"
    return binary, ""


def _wait(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], what: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise BenchError(f"{what} did not start: {said[-1] if said else 'it said nothing'}")
        time.sleep(0.02)


def _answers(api: str) -> bool:
    connection = http.client.HTTPConnection(api, timeout=1.0)
    try:
        connection.request("GET", "/version")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
