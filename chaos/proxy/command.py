"""The server as a command: its flags, and a run until a signal comes. `rushproof proxy` and `python -m chaos.proxy` share it.

Every flag of Toxiproxy's own server is there in its form (`-host`, `-proxy-metrics=true`), so that scripts keep working.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import resource
import secrets
import signal
import sys
from collections.abc import Iterator
from importlib.metadata import version
from os import replace
from pathlib import Path

import uvloop

from chaos.proxy.address import AddressError
from chaos.proxy.api import VERSION
from chaos.proxy.config import ConfigError, create_proxies, read_config
from chaos.proxy.decoding import ProxyInput
from chaos.proxy.events import EventLog
from chaos.proxy.server import DEFAULT_PORT, ProxyServer

HELP = "serve Toxiproxy's HTTP API: proxies whose links a test can weaken and cut"
DESCRIPTION = """\
A Toxiproxy-compatible server with a seed that works, an event log and further toxics. Clients of Toxiproxy in any
language drive it; chaos/proxy/README.md lists what differs. It runs until SIGTERM or Ctrl-C, and closes everything then.

  rushproof proxy                                          the API on 127.0.0.1:8474, a seed drawn and logged
  rushproof proxy --seed 7 --events events.jsonl           repeatable, and a file of what happened to which connection
  rushproof proxy --port 0 --ready-file ready              a free port; the file gets host:port once it answers
  rushproof proxy -config proxies.json -proxy-metrics      proxies from the start; counters at /metrics

and then, for instance:

  curl localhost:8474/proxies -d '{"name":"db","listen":"127.0.0.1:5433","upstream":"127.0.0.1:5432"}'
  curl localhost:8474/proxies/db/toxics -d '{"type":"latency","attributes":{"latency":200,"jitter":50}}'
"""
EPILOG = "Exit code: 0 ended by a signal, 2 wrong usage, a config that cannot be carried out, or an address in use."

LOG_LEVELS = {"chaos.proxy": logging.INFO, "uvicorn": logging.WARNING, "asyncio": logging.WARNING}

logger = logging.getLogger("chaos.proxy")


class StartError(Exception):
    """The server cannot start; the text is one sentence."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags, each with two dashes and, as Toxiproxy has them, with one."""
    parser.add_argument("--host", "-host", default="127.0.0.1", help="address of the HTTP API (default 127.0.0.1)")
    parser.add_argument(
        "--port",
        "-port",
        type=_port,
        default=DEFAULT_PORT,
        help=f"its port; 0 takes a free one (default {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--config",
        "-config",
        type=Path,
        metavar="FILE",
        help="proxies to create at the start: a JSON array, as for /populate",
    )
    parser.add_argument("--seed", "-seed", type=_seed, help="seed of every random decision (default: drawn and logged)")
    parser.add_argument(
        "--ready-file", type=Path, metavar="FILE", help="write the API's host:port here once it answers"
    )
    parser.add_argument(
        "--events", type=Path, metavar="FILE", help="append every event to this file, one JSON object a line"
    )
    _add_switch(parser, "proxy-metrics", "count the bytes of each proxy at /metrics, for Prometheus")
    _add_switch(parser, "runtime-metrics", "show the process's memory, CPU time and open files at /metrics")
    parser.add_argument(
        "--version",
        "-version",
        action="version",
        version=f"rushproof {version('rushproof')} as Toxiproxy {VERSION}",
        help="print the version",
    )


def serve(options: argparse.Namespace) -> int:
    """Serve until a signal comes; the exit code. StartError if that cannot be."""
    with _log_on_stderr():
        return _serve_logged(options)


def _serve_logged(options: argparse.Namespace) -> int:
    _allow_many_files()
    seed = secrets.randbits(63) if options.seed is None else options.seed
    try:
        wanted = [] if options.config is None else read_config(options.config)
        events = _open_events(options.events)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(options, seed, wanted, events))
        finally:
            events.close()
    except (AddressError, ConfigError) as error:
        raise StartError(str(error)) from error
    return 0


async def _serve(options: argparse.Namespace, seed: int, wanted: list[ProxyInput], events: EventLog) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with ProxyServer(
        options.host,
        options.port,
        seed=seed,
        events=events,
        proxy_metrics=options.proxy_metrics,
        runtime_metrics=options.runtime_metrics,
    ) as server:
        if options.config is not None:
            created = await create_proxies(options.config, wanted, server.proxies)
            logger.info("%d proxies from %s", created, options.config)
        logger.info("answering at %s, seed %d", server.url, seed)
        if options.ready_file is not None:
            _write_whole(options.ready_file, server.address)
        await stop.wait()


def _add_switch(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """A switch that may also be given as `-name=true`."""
    parser.add_argument(
        f"--{name}", f"-{name}", type=_boolean, nargs="?", const=True, default=False, metavar="true|false", help=text
    )


def _boolean(text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise argparse.ArgumentTypeError(f"must be true or false, not {text!r}")


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535, not {text!r}")


def _open_events(path: Path | None) -> EventLog:
    try:
        return EventLog(path=path)
    except OSError as error:
        raise StartError(f"events {path}: {(error.strerror or str(error)).lower()}") from error


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or none."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text + "\n", encoding="utf-8")
        replace(partial, path)
    except OSError as error:
        raise StartError(f"ready file {path}: {(error.strerror or str(error)).lower()}") from error


@contextlib.contextmanager
def _log_on_stderr() -> Iterator[None]:
    """Have standard error show what the server tells, and the warnings of what it stands on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    before = {each: (each.level, each.propagate) for each in map(logging.getLogger, LOG_LEVELS)}
    for each in before:
        each.addHandler(handler)
        each.setLevel(LOG_LEVELS[each.name])
        each.propagate = False
    try:
        yield
    finally:
        for each, (level, propagate) in before.items():
            each.removeHandler(handler)
            each.setLevel(level)
            each.propagate = propagate


def _allow_many_files() -> None:
    """Raise the limit of open files as far as is allowed: every connection takes two."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
