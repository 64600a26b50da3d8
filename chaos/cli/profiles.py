"""`--profile LINK=NAME`: links under another network than the scenario says."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from chaos.cli.errors import CommandError
from simulator.network import BUILT_IN_PROFILES, LinkProfile
from simulator.scenario import LINKS, LinkState
from simulator.scenario_checks import one_of


def add_profile_option(parser: argparse.ArgumentParser) -> None:
    """Add the option, which may be given for several links."""
    parser.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="LINK=NAME|list",
        help="a link's standing state instead of the scenario's, such as edge_cloud=dsl or edge_cloud=cellular_lte:lte.down.gz "
        "(with a recording); for several links several times; list: the profiles",
    )


def wants_list(options: argparse.Namespace) -> bool:
    """Whether the profiles are to be listed."""
    return "list" in options.profile


def profile_changes(given: Sequence[str]) -> dict[str, Any]:
    """The changes of a scenario that `--profile` asks for; a link's state is replaced as a whole."""
    links: dict[str, Any] = {}
    for text in given:
        link, equals, said = text.partition("=")
        name, _colon, trace = said.partition(":")
        if not equals or not name:
            raise CommandError(f"--profile must be LINK=NAME, such as edge_cloud=dsl, not {text!r}")
        if link not in LINKS:
            raise CommandError(f"--profile {text}: link {one_of(link, list(LINKS))}")
        links[link] = dict.fromkeys(LinkState.model_fields) | {"profile": name, "trace": trace or None}
    return {"links": links} if links else {}


def list_profiles() -> None:
    """Every built-in profile with its figures and their source."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("profile", "one-way ms", "down/up kbit/s", "loss", "source"):
        table.add_column(column, no_wrap=column != "source", justify="right" if column == "loss" else "left")
    for profile in BUILT_IN_PROFILES.values():
        loss = f"{profile.loss_percent:g} %" if profile.loss_percent else ""
        table.add_row(profile.name, _latency(profile), _rates(profile), loss, profile.source)
    Console(highlight=False).print(table)


def _latency(profile: LinkProfile) -> str:
    to_ms, from_ms = profile.latency_to_ms, profile.latency_from_ms
    latency = f"{to_ms:g}" if to_ms == from_ms else f"{from_ms:g} down, {to_ms:g} up"
    return f"{latency} ±{profile.jitter_ms:g}" if profile.jitter_ms else latency


def _rates(profile: LinkProfile) -> str:
    if profile.needs_trace:
        return "as recorded"
    rates = (profile.rate_from_kbit_s, profile.rate_to_kbit_s)
    return "any" if rates == (None, None) else "/".join("any" if rate is None else f"{rate:g}" for rate in rates)
