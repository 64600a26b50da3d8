"""Runs the Toxiproxy-compatible server as a process: `python -m chaos.proxy --port 8474 --seed 1`.

SIGTERM or SIGINT closes the API, every listener and every connection; the exit code is then 0. It is 2 if the address
cannot be bound.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import secrets
import signal
import sys
from pathlib import Path

import uvloop

from chaos.proxy.address import AddressError
from chaos.proxy.server import DEFAULT_PORT, ProxyServer

logger = logging.getLogger("chaos.proxy")


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal comes; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chaos.proxy", description="A Toxiproxy-compatible server.")
    parser.add_argument("--host", default="127.0.0.1", help="address of the HTTP API")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port of the HTTP API; 0 takes a free one")
    parser.add_argument(
        "--seed", type=int, default=None, help="seed of every random decision; drawn and logged if absent"
    )
    parser.add_argument(
        "--ready-file", type=Path, default=None, help="file to write host:port of the API to, once it answers"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    seed = secrets.randbits(63) if options.seed is None else options.seed
    _allow_many_files()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(options.host, options.port, seed, options.ready_file))
    except AddressError as error:
        logger.error("%s", error)
        return 2
    return 0


async def _serve(host: str, port: int, seed: int, ready_file: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with ProxyServer(host, port, seed=seed) as server:
        logger.info("answering at %s, seed %d", server.url, seed)
        if ready_file is not None:
            _write_whole(ready_file, server.address)
        await stop.wait()


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or none."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, path)


def _allow_many_files() -> None:
    """Raise the limit of open files as far as is allowed: every connection takes two."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
