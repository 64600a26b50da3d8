"""`rushproof bench proxy`: that it measures what it says, and tells it."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from chaos.bench.proxy import DIRECT, OURS, SHOPIFY
from chaos.bench.proxy_load import Load, run
from chaos.bench.proxy_servers import install_shopify, our_server
from chaos.cli import main

pytestmark = pytest.mark.slow

TIMEOUT_S = 100


def bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chaos.cli", "bench", "proxy", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=os.environ | environment,
        check=False,
    )


@pytest.fixture
def server_api(tmp_path: Path) -> Iterator[tuple[str, int]]:
    with our_server(min(os.sched_getaffinity(0)), tmp_path) as server:
        yield server.api, server.pid


@pytest.mark.parametrize("kind", ["bulk", "ping", "busy"])
@pytest.mark.parametrize("connections", [1, 3])
def test_a_load_through_the_server_is_measured_and_leaves_no_proxy(
    server_api: tuple[str, int], kind: str, connections: int
) -> None:
    api, pid = server_api
    measured = run(Load(kind, connections, 0.05, api, pid))
    assert all(value > 0 for name, value in measured.items() if name != "server_core_share"), measured
    assert httpx.get(f"http://{api}/proxies", verify=False).json() == {}


@contextmanager
def toxic_on_every_proxy(api: str, kind: str, **attributes: int) -> Iterator[None]:
    """A toxic on each proxy that appears."""
    done = threading.Event()

    def add() -> None:
        with httpx.Client(base_url=f"http://{api}", verify=False) as client:
            while not done.is_set():
                for name, proxy in client.get("/proxies").json().items():
                    if not proxy["toxics"]:
                        client.post(f"/proxies/{name}/toxics", json={"type": kind, "attributes": attributes})
                time.sleep(0.01)

    thread = threading.Thread(target=add)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_the_time_of_an_exchange_is_that_of_the_way_through_the_server(server_api: tuple[str, int]) -> None:
    api, pid = server_api
    plain = run(Load("ping", 1, 0.05, api, pid))
    with toxic_on_every_proxy(api, "latency", latency=20):
        slow = run(Load("ping", 1, 0.8, api, pid))
    assert slow["p50_ms"] >= 20 > plain["p50_ms"]


def test_the_bytes_counted_are_those_that_the_server_let_pass(server_api: tuple[str, int]) -> None:
    api, pid = server_api
    with toxic_on_every_proxy(api, "bandwidth", rate=2000):
        measured = run(Load("bulk", 1, 1.0, api, pid))
    assert 0.5 < measured["downstream_megabytes_per_s"] < 4
    assert measured["upstream_megabytes_per_s"] > 8


def test_only_ours_is_measured_where_there_is_no_go(tmp_path: Path) -> None:
    done = bench(
        *("--rounds", "1", "--seconds", "0.05", "--connections", "2", "--json"),
        PATH=str(tmp_path),
        XDG_CACHE_HOME=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["bench"] == "proxy"
    assert said["ratios"] == {"shopify": None}
    assert said["added_ms_p50"] == said["added_ms"]["ours"]["p50_ms 2"]
    assert set(said["figures"]) == {"direct", "ours"}
    for name in ("megabytes_per_s 2", "p50_ms 2", "p99_ms 2", "exchanges_per_s 2"):
        assert said["figures"]["ours"][name]["median"] > 0
    assert "no `go`" in said["notes"][0]
    assert "not measured" in done.stderr


def test_both_servers_are_measured_side_by_side(tmp_path: Path) -> None:
    binary, why = install_shopify()
    if binary is None:
        pytest.skip(why)
    done = bench(*("--rounds", "3", "--seconds", "0.2", "--connections", "1,20", "--json", "--toxiproxy", str(binary)))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    figures = {server: said["figures"][server]["megabytes_per_s 1"]["values"] for server in (OURS, SHOPIFY)}
    ratios = sorted(ours / theirs for ours, theirs in zip(figures[OURS], figures[SHOPIFY], strict=True))
    assert said["ratios"]["shopify"] == pytest.approx(ratios[1], rel=1e-3)
    p50 = {server: said["figures"][server]["p50_ms 1"]["values"] for server in (OURS, DIRECT)}
    added = sorted(through - direct for through, direct in zip(p50[OURS], p50[DIRECT], strict=True))
    assert said["added_ms_p50"] == pytest.approx(added[1], rel=1e-3, abs=1e-5)
    assert said["goals"][0]["met"] == (said["ratios"]["shopify"] >= 0.5)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--connections", "1,x"], "--connections takes whole numbers such as 1,500, not '1,x'"),
        (["--connections", "0"], "--connections must be from 1 to 2000 each, not 0"),
        (["--seconds", "0"], "--seconds must be from 0.05 to 600, not 0.0"),
        (["--seconds", "nan"], "--seconds must be from 0.05 to 600, not nan"),
        (["--rounds", "0"], "--rounds must be from 1 to 1000, not 0"),
        (
            ["--toxiproxy", "nowhere"],
            "nowhere: not a program; --toxiproxy takes the path of Shopify's toxiproxy-server",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_sentence(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "proxy", *arguments]) == 2
    assert capsys.readouterr() == ("", f"rushproof: {text}\n")


def test_a_program_that_is_no_server_is_told(tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\necho I am no server\nexit 3\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    done = bench("--rounds", "1", "--seconds", "0.05", "--connections", "1", "--toxiproxy", str(program))
    assert done.returncode == 2
    assert done.stderr == f"rushproof: Shopify's server ({program}) did not start: I am no server\n"


def test_a_connection_that_is_closed_under_load_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "{}:{}".format(*listener.getsockname())
    with pytest.raises(OSError, match="refused"):
        run(Load("ping", 1, 0.05, address))
