"""`rushproof break-glass URL`: a person names the device that is left when the store's only member is gone for good (P19)."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from pathlib import Path
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

  rushproof break-glass http://127.0.0.1:8101                      who would have to be off? (nothing is done)
  rushproof break-glass http://127.0.0.1:8101 --off a-1f2e --who "Li Na" --why "device A drowned in soup"
  rushproof break-glass ... --token-file manager.token             the device asks for a manager's or an operator's token
  rushproof break-glass ... --without-cloud                        the cloud cannot be reached either: go on without it

Without --off it only asks the device, and prints who its store's members are and the command that says that they are off.
"""
EPILOG = """\
Exit code: 0 the device goes on, or the question was answered; 2 refused or wrongly asked; 3 the device still waits (for the
cloud or the arbiter), or cannot answer the question yet.
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "break-glass",
        help="name the device that is left when a store's only member is gone for good",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", metavar="URL", help="the address of the device that is to go on")
    parser.add_argument(
        "--off", action="append", default=[], metavar="NODE", help="a member that is off for good; once for each member"
    )
    parser.add_argument("--who", help="your name; it is kept with the log")
    parser.add_argument("--why", help="what happened; it is kept with the log")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="holds a manager's or an operator's token, where devices ask for one",
    )
    parser.add_argument("--without-cloud", action="store_true", help="go on without asking the cloud what it holds")
    parser.add_argument("--wait", type=float, default=30.0, metavar="S", help="how long to wait for it (default 30)")
    parser.add_argument(
        "--json", action="store_true", help="print the device's status, or the answer to the question, as JSON"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    with httpx.Client(base_url=options.url.rstrip("/"), timeout=ANSWER_TIMEOUT_S, trust_env=False) as device:
        if not options.off:
            if options.who or options.why or options.without_cloud:
                raise CommandError(
                    "say which devices are off, by --off NODE for each member; without any words it only asks"
                )
            return _ask(device, as_json=options.json)
        if not options.who or not options.why:
            raise CommandError("say who you are and why, by --who and --why: both are kept with the log")
        word = {"off": options.off, "who": options.who, "why": options.why, "without_cloud": options.without_cloud}
        _say(device, word, _token(options.token_file))
        status = _wait(device, options.wait)
    if options.json:
        sys.stdout.write(json.dumps(status, indent=2) + "\n")
    if status["role"] == "primary":
        sys.stderr.write(f"rushproof: {status['node_id']} goes on as primary of epoch {status['epoch']}\n")
        return 0
    sys.stderr.write(f"rushproof: {status['node_id']} does not go on yet: {_why_not(status)}\n")
    return EXIT_WAITING


def _ask(device: httpx.Client, *, as_json: bool) -> int:
    """Who would have to be off? Told on standard output; nothing is done."""
    status = _get(device, "/v1/status")
    node_id, register = status["node_id"], status["register"]
    members = [] if register is None else [str(member) for member in register["members"]]
    needed = None if register is None else node_id not in members
    confirm = [word for member in members for word in ("--off", member)] if needed else []
    if register is None:
        said = f"{node_id} has not read the register yet and cannot tell; is the arbiter up?"
    elif not needed:
        said = f"{node_id} is a member itself; the glass need not be broken"
    else:
        command = shlex.join(["rushproof", "break-glass", str(device.base_url).rstrip("/"), *confirm])
        said = (
            f"the members are {', '.join(members)}; if they are off for good, say so:\n{command} --who NAME --why TEXT"
        )
    if as_json:
        answer = {"node_id": node_id, "members": members, "needed": needed, "confirm": confirm}
        said = json.dumps(answer, indent=2)
    sys.stdout.write(said + "\n")
    return EXIT_WAITING if register is None else 0


def _token(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        raise CommandError(f"--token-file {path} cannot be read as a token ({type(error).__name__})") from error


def _say(device: httpx.Client, word: dict[str, Any], token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = device.post("/v1/break-glass", json=word, headers=headers)
    except httpx.HTTPError as error:
        raise CommandError(f"{device.base_url} does not answer ({type(error).__name__})") from error
    if answer.status_code in (401, 403):
        raise CommandError(
            f"refused: {_detail(answer)}; put a manager's or an operator's token (behind # in a manager's address) "
            "into a file and name it by --token-file"
        )
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
