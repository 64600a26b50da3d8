"""The map: which links and processes of the user's own system a scenario's names stand for, and how they are probed.

A map is a YAML file, or made of flags. Everything is checked before anything is touched; each complaint is one sentence.
"""

from __future__ import annotations

import ipaddress
import json
import shlex
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from simulator.scenario_checks import Flaw
from simulator.scenario_fields import Strict
from simulator.scenario_steady_state import HttpProbe
from simulator.scenario_yaml import explain, parse

DEFAULT_TOXIPROXY = "http://127.0.0.1:8474"
BYTES_MAX = 1_000_000
SAME, ITSELF = "same", "itself"


class InjectError(Exception):
    """What was asked for cannot be done: one clear sentence."""


class LinkTarget(Strict):
    """A link: the name of its proxy, and what is sent over it to see whether it answers."""

    proxy: str = Field(min_length=1, description="Name of the proxy on the Toxiproxy server.")
    path: str = Field("/", pattern=r"^/", description="What a probe asks for by HTTP.")
    send: str | None = Field(None, min_length=1, description="What a probe sends instead, where the link is not HTTP.")


class ProcessTarget(Strict):
    """A process: by id, by pid file or by its command line, and how it is started again after a kill."""

    pid: int | None = Field(None, gt=1, description="Its process id.")
    pidfile: str | None = Field(None, min_length=1, description="The file that holds its process id.")
    command: str | None = Field(None, min_length=3, description="A part of its command line that no other has.")
    start: tuple[str, ...] | str | None = Field(
        None,
        description="How it is started again: a command; `same`: as it runs now; `itself`: a supervisor does it.",
    )

    @model_validator(mode="after")
    def _is_named_once(self) -> ProcessTarget:
        if sum(given is not None for given in (self.pid, self.pidfile, self.command)) != 1:
            raise PydanticCustomError("which", "names no process; give one of pid, pidfile and command")
        if self.pid is not None and self.start == ITSELF:
            text = "is named by its id, by which one that a supervisor starts is not found; give pidfile or command"
            raise PydanticCustomError("lost", text)
        return self


class InjectMap(Strict):
    """The user's system as far as faults may touch it."""

    toxiproxy: str = Field(DEFAULT_TOXIPROXY, description="Address of the API of the Toxiproxy server.")
    links: dict[str, LinkTarget] = Field(default_factory=dict, description="Links by the scenario's names.")
    processes: dict[str, ProcessTarget] = Field(default_factory=dict, description="Processes by the scenario's names.")
    probes: tuple[HttpProbe, ...] = Field((), max_length=100, description="What must hold before and after.")
    blast_radius: tuple[str, ...] = Field((), description="Which of the links and processes may be touched.")

    @model_validator(mode="after")
    def _is_consistent(self) -> InjectMap:
        found = [
            Flaw(
                ("blast_radius", number),
                f"{name!r} is neither among the links nor among the processes; map it, or leave it out",
            )
            for number, name in enumerate(self.blast_radius)
            if name not in self.links and name not in self.processes
        ]
        found += [
            Flaw(("probes", number), "must ask a URL or a link of this map; give `url:`, or `link:` and `path:`")
            for number, probe in enumerate(self.probes)
            if (probe.url is None) == (probe.link is None) or (probe.link is not None and probe.link not in self.links)
        ]
        if found:
            raise PydanticCustomError("inconsistent", "{first}", {"first": found[0].message, "flaws": found})
        return self


def read_map(path: Path) -> InjectMap:
    """The map in a YAML file. Raises `InjectError` or `ScenarioError`."""
    try:
        if path.stat().st_size > BYTES_MAX:
            raise InjectError(f"{path}: is larger than {BYTES_MAX} bytes; a map is a page of YAML")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InjectError(f"{path}: cannot be read ({error.strerror}); give a map of your system") from error
    except UnicodeDecodeError as error:
        raise InjectError(f"{path}: is not UTF-8 text; save the file as UTF-8") from error
    document = parse(str(path), text)
    try:
        return InjectMap.model_validate_json(json.dumps(document.data, default=str))
    except ValidationError as error:
        raise explain(document, error, InjectMap.model_json_schema()) from error


def with_flags(
    given: InjectMap,
    *,
    links: Sequence[str],
    processes: Sequence[str],
    starts: Sequence[str],
    probes: Sequence[str],
    blast_radius: Sequence[str],
) -> InjectMap:
    """`given` with what flags say over it. Raises `InjectError`."""
    content = given.model_dump(mode="json", exclude_none=True)
    for name, value in (_pair("--link", flag, "NAME=PROXY or NAME=PROXY@http://HOST:PORT") for flag in links):
        proxy, at, server = value.partition("@")
        content["links"][name] = {"proxy": proxy}
        if at:
            _one_server(content, server, [link for link in links if "@" in link])
    for name, value in (_pair("--process", flag, "NAME=PID, NAME=PIDFILE or NAME=COMMAND") for flag in processes):
        content["processes"][name] = _process(value)
    for name, value in (_pair("--start", flag, "NAME=COMMAND, NAME=same or NAME=itself") for flag in starts):
        if name not in content["processes"]:
            raise InjectError(f"--start {name}: there is no process of this name; give --process {name}=… too")
        content["processes"][name]["start"] = value if value in (SAME, ITSELF) else _words(value)
    content["probes"] += [{"probe": "http", "name": url, "url": url} for url in probes]
    content["blast_radius"] += [name for flag in blast_radius for name in flag.split(",") if name]
    try:
        return InjectMap.model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors()[0]
        flaws = first.get("ctx", {}).get("flaws")
        if flaws:
            raise InjectError(f"{flaws[0].path[0]}: {flaws[0].message}") from error
        raise InjectError(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def check_loopback(url_or_host: str, what: str) -> None:
    """Refuse what is not on this machine. Raises `InjectError`."""
    try:
        host = urlsplit(url_or_host if "//" in url_or_host else f"//{url_or_host}").hostname or ""
        addresses = {row[4][0] for row in socket.getaddrinfo(host, None)} if host else set()
        local = bool(addresses) and all(ipaddress.ip_address(address).is_loopback for address in addresses)
    except (ValueError, OSError):
        local = False
    if not local:
        raise InjectError(
            f"{what} is at {url_or_host}, which is not this machine alone; give --allow-remote if that is meant"
        )


def _pair(flag: str, text: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        raise InjectError(f"{flag} {text}: write {flag} {form}")
    return name, value


def _one_server(content: dict[str, Any], server: str, flags: Sequence[str]) -> None:
    if len({flag.rpartition("@")[2] for flag in flags}) > 1:
        raise InjectError("--link: all links must be on one Toxiproxy server; run inject once for each server")
    content["toxiproxy"] = server


def _process(value: str) -> Mapping[str, Any]:
    if value.isascii() and value.isdecimal():
        return {"pid": int(value)}
    return {"pidfile": value} if Path(value).is_file() else {"command": value}


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InjectError(f"--start: {text!r} is no command ({error})") from error
