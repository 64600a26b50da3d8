"""`rushproof break-glass` against a real store whose only member is gone."""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from chaos.cli import break_glass, main
from chaos.cli.errors import CommandError
from chaos.observer import Observer
from refsystem.ordering.menu import DEMO_MENU
from refsystem.stack import Stack
from refsystem.stack_settings import StackSettings, StoreSettings

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


async def everything(stack: Stack, folder: Path) -> list[dict[str, Any]]:
    async with Observer(stack) as observer:
        await observer.read_all(folder, ["s1"])
    return [json.loads((folder / "s1" / f"edge_{slot}.json").read_text()) for slot in "ab"]


@pytest.mark.slow
def test_the_observer_reads_whole_devices_and_nobody_else_does(stack: Stack, tmp_path: Path) -> None:
    wait_until(lambda: len(status(stack, "s1.edge_a")["members"]) == 2, "two members")
    assert [place.get("error") for place in asyncio.run(everything(stack, tmp_path / "reads"))] == [None, None]
    for path in ("entries", "set-aside", "stock"):
        url = f"{stack.url('s1.edge_a')}/v1/audit/{path}"
        assert httpx.get(url, timeout=5, trust_env=False).status_code == 401


@pytest.mark.slow
def test_a_person_is_told_who_must_be_off_and_then_the_device_goes_on(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_until(lambda: len(status(stack, "s1.edge_a")["members"]) == 2, "two members")
    assert main(["break-glass", stack.url("s1.edge_b")]) == 0
    assert "need not be broken" in capsys.readouterr().out
    stack.process("s1.edge_b").kill()
    wait_until(lambda: len(status(stack, "s1.edge_a")["members"]) == 1, "one member")
    gone = status(stack, "s1.edge_a")["node_id"]
    stack.process("s1.edge_a").kill()
    stack.remove_data("s1.edge_a")
    stack.process("s1.edge_b").start()
    url = stack.url("s1.edge_b")
    wait_until(lambda: status(stack, "s1.edge_b")["role"] == "joining", "the other device runs")

    assert main(["break-glass", url]) == 0
    assert f"--off {gone} --who NAME --why TEXT" in capsys.readouterr().out
    assert main(["break-glass", url, "--off", gone]) == 2
    assert "--who and --why" in capsys.readouterr().err
    named = ["--who", "Li", "--why", "soup"]
    assert main(["break-glass", url, "--off", gone, *named]) == 2
    assert "--token-file" in capsys.readouterr().err
    named += ["--token-file", token_file(stack)]
    assert main(["break-glass", url, "--off", "another", *named]) == 2
    assert gone in capsys.readouterr().err, "the refusal names the members"
    assert status(stack, "s1.edge_b")["role"] == "joining"

    assert main(["break-glass", url, "--off", gone, *named, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["role"] == "primary"
    assert "goes on as primary" in printed.err


def token_file(stack: Stack) -> str:
    path = stack.settings.folder / "operator.token"
    path.write_text(stack.operator_headers("s1")["Authorization"].removeprefix("Bearer "))
    return str(path)


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
    word = ["break-glass", url, "--off", gone, "--who", "Li", "--why", "soup", "--token-file", token_file(stack)]
    assert main([*word, "--wait", "1.5"]) == 3
    assert "--without-cloud" in capsys.readouterr().err
    assert main([*word, "--without-cloud"]) == 0


def test_nobody_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["break-glass", "http://127.0.0.1:1", "--off", "x", "--who", "Li", "--why", "soup"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


class Told(BaseHTTPRequestHandler):
    """A device that answers every question with `status` and counts what it was asked."""

    status: ClassVar[dict[str, Any]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = json.dumps(self.status).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def ask(status: dict[str, Any], *words: str) -> int:
    """Run the command against a device with this status."""
    handler = type("Device", (Told,), {"status": {"break_glass": {}, "role": "joining", **status}, "asked": []})
    parser = argparse.ArgumentParser()
    break_glass.add_parser(parser.add_subparsers())
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}"
            options = parser.parse_args(["break-glass", url, *words])
            code: int = options.run(options)
        finally:
            server.shutdown()
            thread.join()
    assert set(handler.asked) <= {"/v1/status"}, "a question does nothing"
    return code


ALONE = {"node_id": "b-2", "register": {"epoch": 3, "primary": "a-1", "members": ["a-1"]}}


def test_the_question_is_answered_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(ALONE) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    sentence, command = printed.out.splitlines()
    assert "the members are a-1" in sentence
    assert command.startswith("rushproof break-glass http://127.0.0.1:")
    assert command.endswith("--off a-1 --who NAME --why TEXT")


def test_the_answer_is_there_for_a_program_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(ALONE, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"node_id": "b-2", "members": ["a-1"], "needed": True, "confirm": ["--off", "a-1"]}
    assert ask({**ALONE, "node_id": "a-1"}, "--json") == 0
    assert json.loads(capsys.readouterr().out)["needed"] is False


def test_a_device_that_has_not_read_the_register_cannot_tell(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask({"node_id": "b-2", "register": None}) == 3
    assert "cannot tell; is the arbiter up?" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("--who", "Li"), ("--why", "soup"), ("--without-cloud",)])
def test_a_word_that_names_nobody_is_wrongly_asked(words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="--off NODE"):
        ask(ALONE, *words)


def test_what_a_device_waits_for_is_told_with_what_is_in_the_way() -> None:
    glass = {"stage": "reconciling", "trouble": "entry 2 differs"}
    assert "--without-cloud (entry 2 differs)" in break_glass._why_not({"break_glass": glass})
    assert "None" not in break_glass._why_not({"break_glass": {**glass, "trouble": None}})
