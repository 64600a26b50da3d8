"""A process on a disk, through kills and errors, until its work is done or the power goes; and what it may find after that.

It keeps two numbers: the last step that was acknowledged (`told`) and the one under way (`asked`). Whenever a process opens the
store again, it must find the store as after the one or as after the other, and that counts as told from then on: others learn it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import apsw

from chaos.faults.storage.disk import Disk
from chaos.faults.storage.simulated import VFS_NAME, SimulatedDisks
from chaos.power_cuts.stores import Workload
from refsystem.sqlite import Synchronous

FindingName = Literal["lost", "mixed", "damaged", "corrupt", "unusable", "other_node"]
Phase = Literal["set_up", "start", "transaction", "stop"]
Result = TypeVar("Result")
PROCESSES_MAX = 40
TRIES_MAX = 20


@dataclass(frozen=True, slots=True)
class Tuning:
    """How SQLite is set up beneath the store. None leaves its own value: a checkpoint every 1000 pages, a cache of 2 MB."""

    synchronous: Synchronous = "FULL"
    checkpoint_pages: int | None = None
    cache_pages: int | None = None


class Finding(Exception):
    """A promise that was not kept. `lost_steps` were acknowledged and are gone, `lost_orders` with them."""

    def __init__(self, name: FindingName, detail: str, lost_steps: int = 0, lost_orders: int = 0) -> None:
        super().__init__(detail)
        self.name = name
        self.detail = detail
        self.lost_steps = lost_steps
        self.lost_orders = lost_orders


class _ProcessOver(Exception):
    """The process has ended, or its machine has no power."""


class _Refused(Exception):
    """The disk refused, as it was planned to."""


class Machine:
    """One machine with one store. `expected[n]` is what the store tells after step n; step 0 is its creation."""

    def __init__(
        self, disks: SimulatedDisks, folder: Path, workload: Workload, expected: Sequence[Any], tuning: Tuning
    ) -> None:
        self.told = -1
        self.asked = 0
        self.phase: Phase = "set_up"
        self.starts = 0
        self._disks = disks
        self._folder = folder
        self._workload = workload
        self._expected = expected
        self._tuning = tuning
        self._node_id: str | None = None
        self._boots = 0
        self._disk = Disk()
        self._process = 0
        self._connections: list[apsw.Connection] = []

    def run(self, disk: Disk, *, steps_max: int | None = None, use: bool = False) -> bool:
        """Work on `disk`, `steps_max` more steps at most; with `use` try the store out besides. False if the power went.

        Raises `Finding`.
        """
        last = len(self._workload.steps)
        if steps_max is not None:
            last = min(last, max(self.told, 0) + steps_max)
        self._disk = disk
        self._disks.mount(self._folder, disk)
        self._boots += 1
        with _connections(self._connections, self._tuning):
            for _ in range(PROCESSES_MAX):
                done = self._run_process(last, use=use)
                if done or not disk.powered:
                    return done
        raise Finding("unusable", f"it did not get through in {PROCESSES_MAX} starts")

    def _run_process(self, last: int, *, use: bool) -> bool:
        """One life of the process; whether all work is done."""
        self._process = self._disk.process
        try:
            self._work(last, use=use)
        except (_ProcessOver, _Refused):
            return False
        finally:
            self._disk.end_process()
            for connection in self._connections:
                with contextlib.suppress(apsw.Error):
                    connection.close()
            self._connections.clear()
        return True

    def _work(self, last: int, *, use: bool) -> None:
        self.phase = "set_up" if self.told < 0 else "start"
        self.starts += 1
        store = self._attempt("damaged", self._open)
        self._look(store)
        if self._boots > 1:
            self._check_integrity()
        self.phase = "transaction"
        while self.told < last:
            self._step(store, self.told + 1)
        if use:
            told = self._attempt("unusable", lambda: self._workload.tell(store))
            self._attempt("unusable", lambda: self._workload.use(store, told))
        self.phase = "stop"
        self._attempt("unusable", store.close)

    def _open(self) -> Any:
        store = self._workload.open(self._folder, self._tuning.synchronous, f"node-{self._boots}")
        if self._tuning.cache_pages is not None:
            self._connections[-1].pragma("cache_size", self._tuning.cache_pages)
        return store

    def _step(self, store: Any, number: int) -> None:
        match self._workload.steps[number - 1]:
            case "killed":
                self.told = self.asked = number
                raise _ProcessOver
            case "stopped":
                self.told = self.asked = number
                self.phase = "stop"
                self._attempt("unusable", store.close)
                raise _ProcessOver
        self.asked = number
        try:
            self._attempt("unusable", lambda: self._workload.do(store, number))
        except _Refused:
            if self._workload.fail_stop:
                raise
            self._look(store)
        else:
            self.told = number

    def _look(self, store: Any) -> None:
        """What the store tells now: from here on it counts as told."""
        for _ in range(TRIES_MAX):
            with contextlib.suppress(_Refused):
                node_id, content = self._attempt("damaged", lambda: self._workload.tell(store))
                break
        else:
            raise Finding("unusable", f"it cannot be read in {TRIES_MAX} tries")
        self.told = self.asked = self._place_of(content)
        if self._node_id not in (None, node_id):
            raise Finding("other_node", f"it is {node_id}, and was {self._node_id}")
        self._node_id = node_id

    def _place_of(self, content: Any) -> int:
        """The step after which the store tells `content`: the one under way or the last acknowledged."""
        for number in (self.asked, self.told):
            if number >= 0 and content == self._expected[number]:
                return number
        for number in range(self.told - 1, -1, -1):
            if content == self._expected[number]:
                orders = self._workload.orders
                lost_orders = len(orders(self._expected[self.told]) - orders(content))
                detail = f"it stands at step {number}, and step {self.told} was acknowledged"
                raise Finding("lost", detail, self.told - number, lost_orders)
        raise Finding("mixed", f"it holds neither what it held after step {self.told} nor what after step {self.asked}")

    def _check_integrity(self) -> None:
        said = self._attempt("corrupt", lambda: self._connections[-1].pragma("integrity_check"))
        if said != "ok":
            raise Finding("corrupt", f"the integrity check says: {said}")

    def _attempt(self, otherwise: FindingName, action: Callable[[], Result]) -> Result:
        """Do `action`. What a dead machine answers is no answer. Raises `Finding` for an error that nothing explains."""
        struck = len(self._disk.troubles.struck)
        try:
            result = action()
        except Exception as error:  # a damaged file may show itself by any error of the code that reads it
            self._check_alive()
            if len(self._disk.troubles.struck) > struck:
                raise _Refused from error
            raise Finding(otherwise, f"{type(error).__name__}: {error}") from error
        self._check_alive()
        return result

    def _check_alive(self) -> None:
        if not self._disk.powered or self._disk.process != self._process:
            raise _ProcessOver


@contextlib.contextmanager
def _connections(opened: list[apsw.Connection], tuning: Tuning) -> Iterator[None]:
    """Meanwhile every connection to a simulated disk is tuned, and noted in `opened`."""

    def note(connection: apsw.Connection) -> None:
        if connection.open_vfs == VFS_NAME:
            opened.append(connection)
            if tuning.checkpoint_pages is not None:
                connection.wal_autocheckpoint(tuning.checkpoint_pages)

    apsw.connection_hooks.append(note)
    try:
        yield
    finally:
        apsw.connection_hooks.remove(note)


def tell_every_step(disks: SimulatedDisks, folder: Path, workload: Workload) -> list[Any]:
    """What the store tells after its creation and after each step, where nothing ever goes wrong."""
    disks.mount(folder, Disk())
    store = workload.open(folder, "FULL", "node-1")
    told = [workload.tell(store).content]
    for number, step in enumerate(workload.steps, 1):
        if step in ("stopped", "killed"):
            store.close()
            store = workload.open(folder, "FULL", "node-1")
        else:
            workload.do(store, number)
        told.append(workload.tell(store).content)
    store.close()
    return told
