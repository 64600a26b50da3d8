"""`rushproof break-glass URL`: a person names the device that is left when the store's only member is gone for good (P19)."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import httpx

from chaos.cli.errors import CommandError

ANSWER_TIMEOUT_S = 10.0
POLL_S = 0.25
EXIT_WAITING = 3

DESCRIPTION = """\
When the only member of a store is gone for good, the store refuses every order until a person names the device that is
left. That device copies what the cloud holds and goes on. Orders that were acknowledged at R1 and that only the device
that is gone held are given up; its own list of them is at GET /v1/recovered if it ever comes back.

Only do this when the members are off and stay off: one that still runs would go on acknowledging orders that are lost.

  rushproof break-glass http://127.0.0.1:8101                      who would have to be off?
  rushproof break-glass http://127.0.0.1:8101 --off a-1f2e --who "Li Na" --why "device A drowned in soup"
  rushproof break-glass ... --without-cloud                        the cloud cannot be reached either: go on without it
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "break-glass",
        help="name the device that is left when a store's only member is gone for good",
        description=DESCRIPTION,
        epilog="Exit code: 0 the device goes on, 2 refused or wrongly asked, 3 it still waits (for the cloud or the arbiter).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", metavar="URL", help="the address of the device that is to go on")
    parser.add_argument(
        "--off", action="append", default=[], metavar="NODE", help="a member that is off for good; once for each member"
    )
    parser.add_argument("--who", help="your name; it is kept with the log")
    parser.add_argument("--why", help="what happened; it is kept with the log")
    parser.add_argument("--without-cloud", action="store_true", help="go on without asking the cloud what it holds")
    parser.add_argument("--wait", type=float, default=30.0, metavar="S", help="how long to wait for it (default 30)")
    parser.add_argument("--json", action="store_true", help="print the device's status as JSON at the end")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    with httpx.Client(base_url=options.url.rstrip("/"), timeout=ANSWER_TIMEOUT_S, trust_env=False) as device:
        if not options.off:
            raise CommandError(_who_would_be_off(device))
        if not options.who or not options.why:
            raise CommandError("say who you are and why, by --who and --why: both are kept with the log")
        word = {"off": options.off, "who": options.who, "why": options.why, "without_cloud": options.without_cloud}
        _say(device, word)
        status = _wait(device, options.wait)
    if options.json:
        sys.stdout.write(json.dumps(status, indent=2) + "\n")
    if status["role"] == "primary":
        sys.stderr.write(f"rushproof: {status['node_id']} goes on as primary of epoch {status['epoch']}\n")
        return 0
    sys.stderr.write(f"rushproof: {status['node_id']} does not go on yet: {_why_not(status)}\n")
    return EXIT_WAITING


def _who_would_be_off(device: httpx.Client) -> str:
    status = _get(device, "/v1/status")
    register = status["register"]
    if register is None:
        return f"{status['node_id']} has not read the register yet; is the arbiter up?"
    if status["node_id"] in register["members"]:
        return f"{status['node_id']} is a member itself; the glass need not be broken"
    members = register["members"]
    confirm = " ".join(f"--off {node_id}" for node_id in members)
    return (
        f"the members are {', '.join(members)}; if they are off for good, confirm it by {confirm} --who NAME --why TEXT"
    )


def _say(device: httpx.Client, word: dict[str, Any]) -> None:
    try:
        answer = device.post("/v1/break-glass", json=word)
    except httpx.HTTPError as error:
        raise CommandError(f"{device.base_url} does not answer ({type(error).__name__})") from error
    if answer.status_code != 202:
        raise CommandError(f"refused: {_detail(answer)}")


def _wait(device: httpx.Client, wait_s: float) -> dict[str, Any]:
    deadline_s = time.monotonic() + wait_s
    while True:
        status = _get(device, "/v1/status")
        done = status["role"] == "primary" or status["break_glass"]["stage"] == "none"
        if done or time.monotonic() > deadline_s:
            return status
        time.sleep(POLL_S)


def _why_not(status: dict[str, Any]) -> str:
    glass = status["break_glass"]
    if glass["stage"] == "reconciling":
        waits = "it waits for the cloud; if that cannot be reached, say the same again with --without-cloud"
        return f"{waits} ({glass['trouble']})" if glass["trouble"] else waits
    if glass["stage"] == "none":
        return glass["trouble"] or "the word was dropped"
    return "it waits for the arbiter"


def _get(device: httpx.Client, path: str) -> dict[str, Any]:
    try:
        answer = device.get(path)
        answer.raise_for_status()
        content = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise CommandError(f"{device.base_url} does not tell its status ({type(error).__name__})") from error
    if not isinstance(content, dict) or not {"register", "break_glass", "role", "node_id"} <= content.keys():
        raise CommandError(f"{device.base_url} is no edge device of a store")
    return content


def _detail(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        return str(problem.get("detail") or problem.get("title") or answer.status_code)
    except ValueError:
        return f"status {answer.status_code}"
