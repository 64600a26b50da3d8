"""What must be rolled back, written down before anything is touched: the file brings it back if inject cannot."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from chaos.faults.toxiproxy import ProxyServer, ToxiproxyError
from chaos.inject.links import restore
from chaos.inject.processes import Origin, OwnProcess
from chaos.inject.targets import InjectError, ProcessTarget
from refsystem.processes import StackError, process_state

KIND = "rushproof-inject"
DEFAULT_JOURNAL = "rushproof-inject.json"
FORMAT = 1
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
"""Never what somebody else has laid there, or a link to it."""


@dataclass(frozen=True, slots=True)
class LinkRollback:
    """Toxics that inject puts on a proxy; `reopen` if it closes it."""

    proxy: str
    toxics: tuple[str, ...]
    reopen: bool


@dataclass(frozen=True, slots=True)
class ProcessRollback:
    """A process that inject stops or kills: who it was, how it is found again, how it is started."""

    name: str
    target: Mapping[str, Any]
    pid: int
    created: float
    origin: Mapping[str, Any] | None


Rollback = LinkRollback | ProcessRollback


class Journal:
    """The file; it is there only while something may have to be rolled back. Readable by its owner only."""

    def __init__(self, path: Path, toxiproxy: str) -> None:
        self.path = path
        self._toxiproxy = toxiproxy
        self._entries: dict[str, Rollback] = {}

    def create(self) -> None:
        """Take the path. Raises `InjectError` if a former inject has left a file there, or it cannot be written."""
        self.check_free()
        try:
            os.close(os.open(self.path, NEW_FILE, 0o600))
        except FileExistsError:
            self.check_free()
        except OSError as error:
            raise InjectError(f"{self.path}: cannot be written ({error.strerror}); give another --journal") from error
        self._write()

    def check_free(self) -> None:
        """Raises `InjectError` if a former inject has left a file there."""
        if os.path.lexists(self.path):
            raise InjectError(
                f"{self.path}: a former inject has left this file, and perhaps faults; run "
                f"`rushproof inject --undo {self.path}` first"
            )

    def add(self, label: str, entry: Rollback) -> None:
        """Note what a fault will need; on the disk when this returns."""
        self._entries[label] = entry
        self._write()

    def remove(self, label: str) -> None:
        """A fault is undone."""
        self._entries.pop(label, None)
        self._write()

    def close(self) -> bool:
        """Remove the file if nothing is left in it; whether it was removed."""
        if self._entries:
            return False
        self.path.unlink(missing_ok=True)
        return True

    def _write(self) -> None:
        own = psutil.Process()
        content = {
            "kind": KIND,
            "format": FORMAT,
            "toxiproxy": self._toxiproxy,
            "inject": {"pid": own.pid, "created": own.create_time()},
            "entries": {label: _to_json(entry) for label, entry in self._entries.items()},
        }
        draft = self.path.with_name(f".{self.path.name}.partial")
        try:
            draft.unlink(missing_ok=True)
            with open(os.open(draft, NEW_FILE, 0o600), "w", encoding="utf-8") as lines:
                json.dump(content, lines, indent=1)
                lines.flush()
                os.fsync(lines.fileno())
            draft.replace(self.path)
        except OSError as error:
            raise InjectError(f"{self.path}: cannot be written ({error.strerror}); give another --journal") from error


async def undo_journal(path: Path) -> list[dict[str, Any]]:
    """Roll back all that the file holds; it may be removed if every row says so. Raises `InjectError`."""
    content = _read(path)
    rows = []
    for label, entry in content["entries"].items():
        try:
            rollback = _from_json(entry)
            if isinstance(rollback, LinkRollback):
                done = await _restore_link(content["toxiproxy"], rollback)
            else:
                done = await _restore_process(rollback)
            rows.append({"name": label, "undone": True, "undo_detail": done})
        except (ToxiproxyError, StackError, InjectError, OSError) as error:
            rows.append({"name": label, "undone": False, "undo_detail": str(error)})
        except (KeyError, TypeError, ValueError) as error:
            raise InjectError(f"{path}: its entry {label!r} cannot be read ({type(error).__name__})") from error
    return rows


async def _restore_link(url: str, rollback: LinkRollback) -> str:
    server = ProxyServer(url)
    await asyncio.to_thread(server.attach, rollback.proxy)
    await asyncio.to_thread(restore, server, rollback.proxy, rollback.toxics, reopen=rollback.reopen)
    return f"proxy {rollback.proxy} is as it was"


async def _restore_process(rollback: ProcessRollback) -> str:
    process = OwnProcess(rollback.name, ProcessTarget.model_validate_json(json.dumps(rollback.target)))
    process.origin = None if rollback.origin is None else Origin(**_with_tuple(rollback.origin))
    same = _same_process(rollback.pid, rollback.created)
    if same is not None:
        process.attach_to(same)
        process.resume()
        return f"{rollback.name} (process {rollback.pid}) goes on"
    if process.origin is None:
        return f"{rollback.name} (process {rollback.pid}) has ended, and inject did not end it"
    found = process.find_running()
    if not found:
        process.start()
    await process.wait_ready()
    return f"{rollback.name} runs as process {process.pid}"


def _same_process(pid: int, created: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        alive = abs(process.create_time() - created) < 0.05 and process_state(pid) not in (None, "Z")
    except psutil.NoSuchProcess:
        return None
    return process if alive else None


def _read(path: Path) -> dict[str, Any]:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), encoding="utf-8") as lines:
            _check_own(path, os.fstat(lines.fileno()))
            content: dict[str, Any] = json.load(lines)
        if content["kind"] != KIND or content["format"] != FORMAT:
            raise KeyError
        writer, entries, url = content["inject"], content["entries"], content["toxiproxy"]
        if not isinstance(entries, dict) or not isinstance(url, str):
            raise TypeError
        running = _same_process(int(writer["pid"]), float(writer["created"]))
    except OSError as error:
        raise InjectError(f"{path}: cannot be read ({error.strerror}); give the file that inject has left") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InjectError(f"{path}: is no file that inject has left") from error
    if running is not None:
        raise InjectError(
            f"{path}: that inject still runs (process {running.pid}); end it, then it undoes all by itself"
        )
    return content


def _check_own(path: Path, found: os.stat_result) -> None:
    """What the file says is run: it must be the user's alone. Raises `InjectError`."""
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise InjectError(
            f"{path}: belongs to somebody else or can be written by others, and commands in it would be run; "
            "give the file that an inject of your own has left"
        )


def _to_json(entry: Rollback) -> dict[str, Any]:
    return {"what": "link" if isinstance(entry, LinkRollback) else "process", **asdict(entry)}


def _from_json(entry: dict[str, Any]) -> Rollback:
    fields = {name: value for name, value in entry.items() if name != "what"}
    if entry["what"] == "link":
        return LinkRollback(**fields | {"toxics": tuple(fields["toxics"])})
    return ProcessRollback(**fields)


def _with_tuple(origin: Mapping[str, Any]) -> dict[str, Any]:
    return {**origin, "command": None if origin["command"] is None else tuple(origin["command"])}
