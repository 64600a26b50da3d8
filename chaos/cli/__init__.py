"""The `rushproof` command. Each subcommand has a module of its own; here they are put together.

Exit codes: 0 pass, 1 fail, 2 usage or environment, 3 unknown, 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from chaos.cli.errors import EXIT_INTERRUPTED, EXIT_USAGE, CommandError

DESCRIPTION = """\
Load a restaurant's ordering system, break it, audit every order, judge.

  rushproof serve                 a whole store with its pages, for a person to try
  rushproof drill                 the lunch rush on the reference stack, about two minutes
  rushproof drill calm            another shipped scenario, or a YAML file of your own
  rushproof soak --for 2h         random faults on the real stack, seed after seed
  rushproof inject SCENARIO       its faults on a running system of your own
  rushproof fuzz                  the protocol under a thousand drawn fault schedules, in virtual time
  rushproof power-cuts            ten thousand power cuts under the real store code
  rushproof guarantees            what stands behind each promise
  rushproof scenarios list        what is shipped
  rushproof gate runs/latest      judge a run again, with other budgets
  rushproof simulate              predict an evening in virtual time, with intervals
  rushproof sweep, plan           designs side by side; the least that keeps given budgets
  rushproof bench proxy           throughput and added latency of the proxy server, beside Shopify's
  rushproof proxy                 a Toxiproxy-compatible server for tests of your own
"""

COMMANDS = (
    "serve",
    "drill",
    "soak",
    "inject",
    "fuzz",
    "power-cuts",
    "guarantees",
    "scenarios",
    "audit",
    "gate",
    "report",
    "proxy",
    "break-glass",
    "bench",
    "simulate",
    "sweep",
    "plan",
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage text."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Exit 2."""
        raise CommandError(f"{message} (see '{self.prog} --help')")


def make_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the command that `arguments` begin with, or of all of them: a command does not wait for another's imports."""
    parser = _Parser(prog="rushproof", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"rushproof {version('rushproof')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    for name in arguments[:1] if arguments[:1] and arguments[0] in COMMANDS else COMMANDS:
        import_module(f"chaos.cli.{name.replace('-', '_')}").add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost,::1"
    given = sys.argv[1:] if arguments is None else arguments
    try:
        options = make_parser(given).parse_args(given)
        code: int = options.run(options)
    except CommandError as error:
        print(f"rushproof: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("rushproof: interrupted", file=sys.stderr)  # noqa: T201
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_USAGE
    return code


if __name__ == "__main__":
    sys.exit(main())
