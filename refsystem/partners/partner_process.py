"""How a party's process starts, serves and ends."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

import apsw
from fastapi import FastAPI

from refsystem.serving import serve
from refsystem.telemetry import configure_logging


class Served(Protocol):
    """Settings that say where a party serves HTTP."""

    @property
    def host(self) -> str:
        """Its address."""

    @property
    def http_port(self) -> int:
        """Its port."""

    @property
    def ready_file(self) -> Path | None:
        """What is written once it listens."""


SettingsT = TypeVar("SettingsT", bound=Served)


def serve_partner(
    party: str, read_settings: Callable[[Mapping[str, str]], SettingsT], create_app: Callable[[SettingsT], FastAPI]
) -> int:
    """Serve until a signal; returns the exit code: 2, after one sentence, if `party` cannot start."""
    configure_logging(json_lines=os.environ.get("RUSHPROOF_LOG") == "json")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every post would be all there is
    try:
        settings = read_settings(os.environ)
        serve(create_app(settings), settings.host, settings.http_port, ready_file=settings.ready_file)
    except (ValueError, OSError, apsw.Error) as error:
        sys.stderr.write(f"the {party} cannot start: {error}\n")
        return 2
    return 0
