"""`rushproof proxy` as a person types it; what it serves is told in tests/chaos/proxy."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from chaos.cli import main

RUSHPROOF = [sys.executable, "-W", "error", "-m", "chaos.cli", "proxy"]


def test_it_serves_until_interrupted(tmp_path: Path) -> None:
    ready, config = tmp_path / "ready", tmp_path / "proxies.json"
    config.write_text('[{"name":"p","upstream":"127.0.0.1:1","enabled":false,"with_toxics":[{"type":"noop"}]}]')
    flags = ["-host=localhost", "-port", "0", "-config", str(config), "-proxy-metrics=true", "--ready-file", str(ready)]
    process = subprocess.Popen([*RUSHPROOF, *flags], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 20
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        url = f"http://{ready.read_text().strip()}"
        assert [toxic["type"] for toxic in httpx.get(f"{url}/proxies/p", verify=False).json()["toxics"]] == ["noop"]
        assert httpx.get(f"{url}/metrics", verify=False).status_code == 200
        process.terminate()
        log = process.communicate(timeout=10)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert "1 proxies from" in log
    assert "seed " in log


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--port", "99999"], "argument --port/-port: must be a number from 0 to 65535, not '99999'"),
        (["-seed", "many"], "argument --seed/-seed: must be a whole number, not 'many'"),
        (["-proxy-metrics=maybe"], "must be true or false, not 'maybe'"),
        (["--config", "{}/none"], "config {}/none: no such file or directory"),
        (["--config", "{}"], "config {}: is a directory"),
        (["--config", "{}/broken"], "config {}/broken: not a JSON array of proxies: unexpected EOF"),
        (["--config", "{}/nameless", "--port", "0"], "config {}/nameless: missing required field: name at proxy 1"),
        (["--events", "{}/none/events", "--port", "0"], "events {}/none/events: no such file or directory"),
        (["--ready-file", "{}/none/ready", "--port", "0"], "ready file {}/none/ready: no such file or directory"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--por", "1"], "unrecognized arguments: --por 1"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], flags: list[str], told: str
) -> None:
    (tmp_path / "broken").write_text("[{")
    (tmp_path / "nameless").write_text('[{"upstream":"a:1"}]')
    assert main(["proxy", *(flag.format(tmp_path) for flag in flags)]) == 2
    errors = capfd.readouterr().err
    assert f"rushproof: {told.format(tmp_path)}" in errors.replace("argument --proxy-metrics/-proxy-metrics: ", "")
    assert "Traceback" not in errors


def test_an_address_in_use_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["proxy", "--port", str(port)]) == 2
    assert f"rushproof: listen tcp 127.0.0.1:{port}: bind: address already in use" in capfd.readouterr().err


def test_the_version_and_the_help_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    for flags, words in (
        (["-version"], "as Toxiproxy 2.12"),
        (["--help"], "rushproof proxy -config proxies.json -proxy-metrics"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["proxy", *flags])
        assert ended.value.code == 0
        assert words in capfd.readouterr().out
