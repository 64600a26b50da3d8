"""`rushproof break-glass` against a real store whose only member is gone."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from chaos.cli import main
from refsystem.ordering.menu import DEMO_MENU
from refsystem.stack import Stack, StackSettings, StoreSettings

PATIENCE_S = 30.0


def wait_until(condition: Callable[[], Any], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        time.sleep(0.05)


def status(stack: Stack, device: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = httpx.get(f"{stack.url(device)}/v1/status", timeout=5, trust_env=False).json()
        return answer
    except httpx.HTTPError:
        return {"role": "gone", "members": []}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    menu = tmp_path / "menu.json"
    menu.write_text(DEMO_MENU.to_json(), encoding="utf-8")
    stack = Stack(StackSettings(tmp_path, (StoreSettings("s1", kitchen_seconds=0.2),), menu))
    try:
        stack.reserve()
        asyncio.run(stack.start())
        yield stack
    finally:
        stack.stop()


@pytest.mark.slow
def test_a_person_is_told_who_must_be_off_and_then_the_device_goes_on(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_until(lambda: len(status(stack, "s1.edge_a")["members"]) == 2, "two members")
    assert main(["break-glass", stack.url("s1.edge_b")]) == 2
    assert "need not be broken" in capsys.readouterr().err
    stack.process("s1.edge_b").kill()
    wait_until(lambda: len(status(stack, "s1.edge_a")["members"]) == 1, "one member")
    gone = status(stack, "s1.edge_a")["node_id"]
    stack.process("s1.edge_a").kill()
    stack.remove_data("s1.edge_a")
    stack.process("s1.edge_b").start()
    url = stack.url("s1.edge_b")
    wait_until(lambda: status(stack, "s1.edge_b")["role"] == "joining", "the other device runs")

    assert main(["break-glass", url]) == 2
    assert f"--off {gone} --who NAME --why TEXT" in capsys.readouterr().err
    assert main(["break-glass", url, "--off", gone]) == 2
    assert "--who and --why" in capsys.readouterr().err
    assert main(["break-glass", url, "--off", "another", "--who", "Li", "--why", "soup"]) == 2
    assert gone in capsys.readouterr().err, "the refusal names the members"
    assert status(stack, "s1.edge_b")["role"] == "joining"

    assert main(["break-glass", url, "--off", gone, "--who", "Li", "--why", "soup", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["role"] == "primary"
    assert "goes on as primary" in printed.err


@pytest.mark.slow
def test_a_device_that_waits_for_the_cloud_says_what_to_do(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    wait_until(lambda: len(status(stack, "s1.edge_a")["members"]) == 2, "two members")
    stack.process("s1.edge_b").kill()
    wait_until(lambda: len(status(stack, "s1.edge_a")["members"]) == 1, "one member")
    gone = status(stack, "s1.edge_a")["node_id"]
    for name in ("s1.edge_a", "cloud"):
        stack.process(name).kill()
    stack.process("s1.edge_b").start()
    url = stack.url("s1.edge_b")
    wait_until(lambda: status(stack, "s1.edge_b")["role"] == "joining", "the other device runs")
    word = ["break-glass", url, "--off", gone, "--who", "Li", "--why", "soup"]
    assert main([*word, "--wait", "1.5"]) == 3
    assert "--without-cloud" in capsys.readouterr().err
    assert main([*word, "--without-cloud"]) == 0


def test_nobody_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["break-glass", "http://127.0.0.1:1", "--off", "x", "--who", "Li", "--why", "soup"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
