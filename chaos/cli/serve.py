"""`rushproof serve`: a whole store for a person to try."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from chaos.cli.errors import CommandError
from chaos.cli.interruptible import run_interruptible
from chaos.serving.store import STORE, Served, ServeSettings, served_store
from refsystem.cloud.postgres import PostgresError
from refsystem.ordering.menu_formats import MENUS
from refsystem.ordering.store_rules import Format
from refsystem.processes import StackError

TABLES_MAX = 200
DESCRIPTION = """\
Start a whole store: two devices, their arbiter, the kitchen display, a printer, the cloud with its database, and stand-ins
for a payment gateway, a coupon platform and a delivery platform. Its pages are printed as addresses: open a diner's, order,
and watch the kitchen.
The gateway takes any code; a member's balance or a voucher is demo-VALUE-NAME, such as demo-10000-ann for 100.00.

  rushproof serve                       a restaurant with 12 tables
  rushproof serve --format hotpot       another menu, with its kitchen's rules
  rushproof serve --delivery-every 20   somebody orders at the delivery platform every 20 s
  rushproof serve --json                the addresses as JSON, for programs

Then pull a plug: 'kill -9' the process of a device (its id is printed). The pages go on at the other one; what ended is
started again after a while. Channels pause, and pages say so: delivery without the cloud, at 12 open tickets, or at 10 when
half of them are its own; the kiosk at 30, the tables' phones at 60. Ctrl-C ends everything.
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "serve",
        help="a whole store for a person to try: pages for diners, staff and kitchen",
        description=DESCRIPTION,
        epilog="Exit code: 0 when it was ended by Ctrl-C or SIGTERM, 2 usage or environment.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--format",
        choices=MENUS,
        default="casual",
        metavar="NAME",
        help=f"the menu: {', '.join(MENUS)} (default casual)",
    )
    parser.add_argument("--tables", type=int, default=12, metavar="N", help="how many tables (default 12)")
    parser.add_argument(
        "--kitchen-seconds",
        type=float,
        default=0.0,
        metavar="S",
        help="tickets are done by themselves after S seconds (default: when a person says so)",
    )
    parser.add_argument(
        "--restart-after",
        type=float,
        default=10.0,
        metavar="S",
        help="a process that has ended is started again after S seconds (default 10)",
    )
    parser.add_argument(
        "--delivery-every",
        type=float,
        default=0.0,
        metavar="S",
        help="somebody orders at the delivery platform every S seconds (default: nobody does)",
    )
    parser.add_argument("--no-printer", action="store_true", help="without a printer")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="an empty folder for its data and logs, which stay (default: a passing one)",
    )
    parser.add_argument("--json", action="store_true", help="print the addresses as one JSON document when all is up")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command until a signal comes."""
    if not 1 <= options.tables <= TABLES_MAX:
        raise CommandError(f"--tables must be a number from 1 to {TABLES_MAX}, not {options.tables}")
    if not 0 <= options.kitchen_seconds <= 3600:
        raise CommandError(f"--kitchen-seconds must be from 0 to 3600, not {options.kitchen_seconds:g}")
    if not 0 <= options.restart_after <= 3600:
        raise CommandError(f"--restart-after must be from 0 to 3600, not {options.restart_after:g}")
    if not 0 <= options.delivery_every <= 3600:
        raise CommandError(f"--delivery-every must be from 0 to 3600, not {options.delivery_every:g}")
    with ExitStack() as undo:
        folder = _folder(options.data, undo)
        settings = ServeSettings(
            folder,
            _format(options.format),
            tuple(str(number) for number in range(1, options.tables + 1)),
            not options.no_printer,
            options.kitchen_seconds,
            os.environ.get("RUSHPROOF_DATABASE_URL") or None,
            options.restart_after,
            options.delivery_every,
        )
        try:
            run_interruptible(_serve(settings, as_json=options.json))
        except (StackError, PostgresError, OSError) as error:
            raise CommandError(f"the store could not be started: {error}") from error
    return 0


async def _serve(settings: ServeSettings, *, as_json: bool) -> None:
    _say("starting; this takes some seconds")
    async with served_store(settings) as served:
        if as_json:
            sys.stdout.write(json.dumps(_told(served), ensure_ascii=False) + "\n")
        else:
            sys.stdout.write(
                "\n".join([f"store {STORE} ({settings.format}) is open", *served.addresses.lines()]) + "\n"
            )
            ids = (f"{name} {served.stack.program(name).pid}" for name in served.processes)
            sys.stdout.write(f"  process ids       {', '.join(ids)}\n")
        sys.stdout.flush()
        _say("Ctrl-C ends it")
        await served.run(_say)


def _told(served: Served) -> dict[str, Any]:
    ids = {name: served.stack.program(name).pid for name in served.processes}
    return served.addresses.to_json() | {"processes": ids, "folder": str(served.stack.settings.folder)}


def _format(name: str) -> Format:
    return next(each for each in MENUS if each == name)


def _folder(given: Path | None, undo: ExitStack) -> Path:
    if given is None:
        return Path(
            undo.enter_context(tempfile.TemporaryDirectory(prefix="rushproof-serve-", ignore_cleanup_errors=True))
        )
    try:
        given.mkdir(parents=True, exist_ok=True)
        if any(given.iterdir()):
            raise CommandError(f"--data {given}: not empty; name a new or empty folder")
    except OSError as error:
        raise CommandError(f"--data {given}: cannot be used ({error.strerror})") from error
    return given.resolve()


def _say(text: str) -> None:
    sys.stderr.write(f"rushproof: {text}\n")
    sys.stderr.flush()
