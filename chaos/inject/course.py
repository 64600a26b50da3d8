"""The course of an injection: steady before, every fault at its time, everything undone, steady after."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx

from chaos.cancelling import through_cancelling
from chaos.faults.base import FaultError, Injected, Lasting, both, with_delay
from chaos.inject.journal import Journal
from chaos.inject.preparation import Preparation, Prepared
from chaos.judge.gate import Outcome
from chaos.steady_state.readings import Reading, probe_client, read_http
from chaos.steady_state.watch import Reader, SteadyWatch
from simulator.scenario import LinkFault, Scenario, fault_end_s, fault_label, fault_target
from simulator.scenario_steady_state import HttpProbe

logger = logging.getLogger(__name__)

STEADY_BEFORE_S = 3.0
HELD_TIMEOUT_S = 15.0
UNDO_TIMEOUT_S = 60.0


@dataclass
class Row:
    """One fault as it went; times in seconds since the injection began."""

    name: str
    kind: str
    target: str
    resolved: str = ""
    planned_at_s: float = 0.0
    started_at_s: float | None = None
    ended_at_s: float | None = None
    took_effect: bool = False
    evidence: str = "was not injected"
    undone: bool = True
    undo_detail: str = "was never injected"


@dataclass
class Steady:
    """What the hypothesis showed: None where it was not asked. `broken_during` maps probes to what they said first."""

    probes: tuple[str, ...] = ()
    before: bool | None = None
    after: bool | None = None
    judged_during: bool | None = None
    broken_before: dict[str, str] = field(default_factory=dict)
    broken_during: dict[str, str] = field(default_factory=dict)
    broken_after: dict[str, str] = field(default_factory=dict)


@dataclass
class Injection:
    """The outcome of one inject."""

    scenario: str
    rows: list[Row]
    steady: Steady
    skipped: dict[str, str]
    interrupted: bool = False
    left_over: str | None = None

    @property
    def verdict(self) -> Outcome:
        """Fail: the hypothesis was broken. Unknown: a fault is not proven or not undone, or it was not steady before."""
        if self.steady.after is False or self.steady.judged_during is False:
            return "fail"
        proven = all(row.took_effect and row.undone for row in self.rows)
        return "pass" if proven and self.steady.before is not False and not self.interrupted else "unknown"

    @property
    def cause(self) -> str:
        """The verdict in one sentence."""
        steady = self.steady
        if steady.after is False:
            return f"after healing the system is not steady: {_first(steady.broken_after)}"
        if steady.judged_during is False:
            return f"while the faults lasted: {_first(steady.broken_during)}"
        if steady.before is False:
            return f"the system was not steady before, so no fault was injected: {_first(steady.broken_before)}"
        for row in self.rows:
            if not row.undone:
                return f"{row.name} was not undone: {row.undo_detail}"
        if self.interrupted:
            return "interrupted; every fault is undone"
        for row in self.rows:
            if not row.took_effect:
                return f"{row.name} is not proven to have taken effect: {row.evidence}"
        held = "the system is steady after" if steady.after else "no hypothesis was stated"
        return f"{len(self.rows)} faults took effect and are undone; {held}"

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "kind": "inject",
            "verdict": self.verdict,
            "cause": self.cause,
            "scenario": self.scenario,
            "interrupted": self.interrupted,
            "faults": [asdict(row) for row in self.rows],
            "steady_state": asdict(self.steady),
            "skipped": self.skipped,
            "left_over": self.left_over,
        }


class Course:
    """One injection. `run` may be cancelled: it then undoes everything; `injection` tells how it went in any case."""

    def __init__(
        self, scenario: Scenario, preparation: Preparation, journal: Journal, say: Callable[[str], None]
    ) -> None:
        self._scenario = scenario
        self._preparation = preparation
        self._journal = journal
        self._say = say
        self._began_s = time.monotonic()
        rows = [_row(prepared) for prepared in preparation.faults]
        steady = Steady(tuple(probe.name for probe, _ in preparation.probes))
        self.injection = Injection(scenario.name, rows, steady, dict(preparation.skipped))

    async def run(self) -> None:
        """From the look before to the look after. Raises `InjectError` if the journal cannot be written."""
        self._journal.create()
        try:
            async with probe_client() as http:
                watch = SteadyWatch({probe.name: _reader(http, probe, url) for probe, url in self._preparation.probes})
                await self._go(watch)
        except asyncio.CancelledError:
            self.injection.interrupted = True
            raise
        finally:
            if not self._journal.close():
                self.injection.left_over = str(self._journal.path)

    async def _go(self, watch: SteadyWatch) -> None:
        steady, asked = self.injection.steady, bool(self._preparation.probes)
        if asked:
            self._say("looking whether the system is steady")
            steady.before = await watch.wait_holding(STEADY_BEFORE_S)
            steady.broken_before = _said(watch.broken)
            if not steady.before:
                return
        await asyncio.gather(*(link.time_before() for link in self._preparation.links))
        self._began_s = time.monotonic()
        asking = watch.asking() if asked else contextlib.nullcontext()
        async with asking, asyncio.TaskGroup() as tasks:
            for number, (prepared, row) in enumerate(
                zip(self._preparation.faults, self.injection.rows, strict=True), 1
            ):
                tasks.create_task(self._one(prepared, row, f"{number}. {row.name}"))
        if asked:
            self._judge_during(watch)
            self._say(f"all undone; the system must be steady within {self._scenario.converge_timeout_s:g} s")
            steady.after = await watch.wait_holding(self._scenario.converge_timeout_s)
            steady.broken_after = _said(watch.broken)

    def _judge_during(self, watch: SteadyWatch) -> None:
        """From the beginning of the first fault to the end of the last."""
        steady = self.injection.steady
        begins_s = min(
            (row.started_at_s for row in self.injection.rows if row.started_at_s is not None), default=math.inf
        )
        ends_s = max((row.ended_at_s for row in self.injection.rows if row.ended_at_s is not None), default=-math.inf)
        for row in watch.rows:
            if row["holds"] is False and begins_s <= row["at_us"] / 1e6 - self._began_s <= ends_s:
                steady.broken_during.setdefault(row["probe"], row["detail"])
        judged = {probe.name for probe, _ in self._preparation.probes if probe.during == "judged"}
        if judged:
            steady.judged_during = judged.isdisjoint(steady.broken_during)

    async def _one(self, prepared: Prepared, row: Row, label: str) -> None:
        """One fault from its time to its end; `label` is its own in the journal, whatever others are called."""
        fault = prepared.fault
        end_s = fault_end_s(fault, self._scenario.duration_s)
        await self._sleep_until(fault.at_s)
        injected: Injected | None = None
        try:
            injected = prepared.make()
            self._note(prepared, label)
            row.started_at_s, row.resolved = self._now_s(), injected.target.resolved
            row.undone, row.undo_detail = False, ""
            self._say(f"fault: {row.name} ({row.resolved})")
            await through_cancelling(injected.begin())
            effect = await injected.prove()
            if isinstance(fault, LinkFault):
                effect = with_delay(effect, self._now_s() - end_s)
            row.took_effect, row.evidence = effect.proven, effect.evidence
            await self._sleep_until(end_s)
            if effect.proven and isinstance(injected, Lasting):
                row.took_effect = False
                effect = both(effect, await asyncio.wait_for(injected.held(), HELD_TIMEOUT_S))
                row.took_effect, row.evidence = effect.proven, effect.evidence
        except Exception as error:  # of whatever kind: it is in the row, and the other faults go on
            told = str(error) or type(error).__name__
            row.evidence = f"{row.evidence}; later: {told}" if row.took_effect else f"could not be injected: {told}"
            row.took_effect = False
            logger.debug("%s: %s", row.name, told, exc_info=not isinstance(error, FaultError | OSError | RuntimeError))
        finally:
            if injected is not None:
                await through_cancelling(self._undo(prepared, row, label, injected))

    def _note(self, prepared: Prepared, label: str) -> None:
        """Write down what the rollback needs, again whenever another process has taken the place of the one hit."""
        self._journal.add(label, prepared.rollback())
        if prepared.process is not None:
            prepared.process.started = lambda: self._journal.add(label, prepared.rollback())

    async def _undo(self, prepared: Prepared, row: Row, label: str, injected: Injected) -> None:
        try:
            async with asyncio.timeout(UNDO_TIMEOUT_S):
                row.undo_detail = await injected.undo()
            row.undone = True
            if prepared.process is not None:
                prepared.process.started = lambda: None
            self._journal.remove(label)
        except Exception as error:  # of whatever kind: it is in the row, and the other faults are undone
            row.undone = False
            row.undo_detail = f"could not be undone: {str(error) or type(error).__name__}"
        row.ended_at_s = self._now_s()
        self._say(f"undone: {row.name}" if row.undone else f"{row.name} {row.undo_detail}")

    def _now_s(self) -> float:
        return round(time.monotonic() - self._began_s, 3)

    async def _sleep_until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - (time.monotonic() - self._began_s)))


def _row(prepared: Prepared) -> Row:
    fault = prepared.fault
    return Row(fault_label(fault), fault.fault, fault_target(fault), planned_at_s=fault.at_s)


def _reader(http: httpx.AsyncClient, probe: HttpProbe, url: str) -> Reader:
    async def read() -> Reading:
        return await read_http(http, url, probe.status, probe.within_ms)

    return read


def _said(broken: dict[str, Reading]) -> dict[str, str]:
    return {name: reading.detail for name, reading in broken.items()}


def _first(said: dict[str, str]) -> str:
    name, detail = next(iter(said.items()))
    return f"{name}: {detail}" + (f" (and {len(said) - 1} more)" if len(said) > 1 else "")
