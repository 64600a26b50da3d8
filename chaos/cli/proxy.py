"""`rushproof proxy`: the Toxiproxy-compatible server as a process of its own."""

from __future__ import annotations

import argparse
from typing import Any

from chaos.cli.errors import CommandError
from chaos.proxy.command import DESCRIPTION, EPILOG, HELP, StartError, add_arguments, serve


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "proxy",
        help=HELP,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command until a signal comes."""
    try:
        return serve(options)
    except StartError as error:
        raise CommandError(str(error)) from error
