"""The condition of one store over time, from a scenario's faults: who is primary, who is a member, what is up, what is slow.

Faults are planned and do not wait for the load, so roles are known before the run: this module follows the time-outs of
`refsystem.protocol` (P7 shrink, P8 grow, P9 promote, P11 restart) from fault to fault. What load itself does to a time-out is
not modelled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from refsystem.protocol.timing import DEFAULT_TIMING
from simulator.model.fault_effects import DEVICES, NORMAL_SPEED, FaultEffects, faults_of, takes_down
from simulator.model.gateways import payments_not_modelled
from simulator.model.laws import NEVER
from simulator.model.links import after_round_trips, link_span
from simulator.model.vocabulary import NO_PRIMARY, Condition
from simulator.scenario_faults import (
    ConnectionsExhausted,
    DiskDead,
    DiskErring,
    DiskFull,
    DiskLost,
    DiskSlow,
    Fault,
    HttpErrors,
    LinkDown,
    LinkFault,
    LinkWeak,
    PowerCut,
    ProcessKilled,
    ProcessPaused,
    ProcessRestarted,
    ProcessSlow,
    RestartLoop,
    fault_label,
    fault_target,
)
from simulator.scenario_model import Scenario, Store

PROCESSES = ("edge_a", "edge_b", "cloud", "postgres", "kitchen", "gateway", "delivery_platform", "arbiter")


@dataclass(frozen=True, slots=True)
class Segment:
    """How a store stands from `at` on, until the next segment. `slow` is in thousandths of the normal time.

    `primary`: the device that serves, or NO_PRIMARY. `two`: an entry needs both devices. `refuses`: policy `require_r2` with one
    member. The tuples go by PROCESSES without the arbiter.
    """

    at: int
    primary: int
    two: bool
    refuses: bool
    condition: tuple[int, ...]
    slow: tuple[int, ...]
    flush_extra: tuple[int, int]


def not_modelled(scenario: Scenario, store: Store) -> list[str]:
    """The faults whose effect the model leaves out, each as a sentence's beginning."""
    known = (
        LinkWeak | LinkDown | ProcessKilled | ProcessPaused | ProcessRestarted | ProcessSlow | RestartLoop
        | DiskFull | DiskSlow | DiskDead | DiskLost | PowerCut | ConnectionsExhausted
    )  # fmt: skip
    left_out: list[str] = []
    for fault in faults_of(scenario, store):
        if isinstance(fault, HttpErrors):
            if fault.link not in ("diner_edge", "diner_cloud"):
                left_out.append(fault_label(fault))
        elif isinstance(fault, DiskErring):
            if fault.operation == "read":
                left_out.append(fault_label(fault))
        elif not isinstance(fault, known):
            left_out.append(fault_label(fault))
        elif isinstance(fault, LinkWeak) and fault.trace is not None:
            left_out.append(f"the recorded capacity of {fault_label(fault)}")
    return left_out


def store_segments(scenario: Scenario, store: Store, boot: int, join: int, open_round_trips: int) -> list[Segment]:
    """The segments of a store's condition, the first at 0; `boot` and `join` are in ticks.

    When the cloud has booted, so many exchanges pass until its database serves it.
    """
    return list(_Course(scenario, store, boot, join, open_round_trips).segments())


class _Course:
    """Walks from one change to the next."""

    def __init__(self, scenario: Scenario, store: Store, boot: int, join: int, open_round_trips: int) -> None:
        self._store, self._join = store, join
        self._effects = FaultEffects()
        self._primary, self._two = 0, True
        self._changes: list[tuple[int, int, int, Fault]] = []
        self._since: dict[str, int] = {}
        self._opening: list[tuple[int, int]] = []
        for number, fault in enumerate(faults_of(scenario, store)):
            if isinstance(fault, LinkFault):
                if isinstance(fault, LinkDown):
                    begin, end = link_span(fault, scenario.duration_s)
                    self._changes += [(begin, 0, number, fault), (end, 1, number, fault)]
                continue
            for begin, end in _spans(fault, boot):
                self._changes += [(begin, 0, number, fault), (end, 1, number, fault)]
                if takes_down(fault) and fault_target(fault) == "cloud":
                    opened = after_round_trips(scenario, store, "cloud_database", end, open_round_trips)
                    self._opening.append((end, opened))
        self._changes.sort(key=lambda change: change[:3])

    def segments(self) -> Iterator[Segment]:
        now, last = 0, None
        while True:
            while self._changes and self._changes[0][0] <= now:
                _, ends, number, fault = self._changes.pop(0)
                self._effects.apply(number, fault, self._primary, ends=bool(ends))
            while self._roles_move(now):
                pass
            made = self._segment(now)
            if last is None or (made.primary, made.two, made.refuses, made.condition, made.slow, made.flush_extra) != (
                last.primary, last.two, last.refuses, last.condition, last.slow, last.flush_extra
            ):  # fmt: skip
                yield made
                last = made
            later = [due for due in self._due_times(now) if due > now]
            later += [self._changes[0][0]] if self._changes else []
            later += [tick for span in self._opening for tick in span if tick > now]
            if not later or min(later) >= NEVER:
                return
            now = min(later)

    def _conditions(self, now: int) -> dict[str, bool]:
        """What starts a time-out as long as it holds."""
        primary, standby = self._primary, 1 - self._primary
        p_up, s_up = self._effects.is_up(DEVICES[primary]), self._effects.is_up(DEVICES[standby])
        there = self._effects.is_heard(primary)
        back = self._effects.is_heard(standby)
        return {
            "promote": self._two and s_up and not (p_up and there),
            "shrink": self._two and p_up and not (s_up and there and back),
            "grow": not self._two and p_up and s_up and there and back,
        }

    def _due_times(self, now: int) -> list[int]:
        wait = {
            "promote": DEFAULT_TIMING.primary_timeout_us,
            "shrink": DEFAULT_TIMING.standby_timeout_us,
            "grow": self._join,
        }
        for name, holds in self._conditions(now).items():
            if holds:
                self._since.setdefault(name, now)
            else:
                self._since.pop(name, None)
        return [self._since[name] + wait[name] for name in self._since]

    def _roles_move(self, now: int) -> bool:
        """Take one step of the register if one is due; whether one was."""
        self._due_times(now)
        effects = self._effects
        if effects.reaches_arbiter:
            effects.unconfirmed = {process for process in effects.unconfirmed if not effects.is_up(process)}
            due = dict(self._since)
            if "promote" in due and now >= due["promote"] + DEFAULT_TIMING.primary_timeout_us:
                self._primary, self._two = 1 - self._primary, False
            elif "shrink" in due and now >= due["shrink"] + DEFAULT_TIMING.standby_timeout_us:
                self._two = False
            elif "grow" in due and now >= due["grow"] + self._join:
                self._two = True
            else:
                return False
            self._since.clear()
            return True
        return False

    def _segment(self, now: int) -> Segment:
        effects = self._effects
        device = DEVICES[self._primary]
        serves = effects.is_up(device) and device not in effects.unconfirmed
        names = PROCESSES[:-1]
        condition = [effects.condition(name) for name in names]
        opening = any(begin <= now < end for begin, end in self._opening)
        if opening or effects.cut["cloud_database", "to"] or effects.cut["cloud_database", "from"]:
            condition[names.index("postgres")] = Condition.DOWN
        return Segment(
            now,
            self._primary if serves else NO_PRIMARY,
            self._two,
            self._store.policy == "require_r2" and not self._two,
            tuple(int(each) for each in condition),
            tuple(effects.slow.get(name, NORMAL_SPEED) for name in names),
            (effects.flush_extra.get("edge_a", 0), effects.flush_extra.get("edge_b", 0)),
        )


def _spans(fault: Fault, boot: int) -> list[tuple[int, int]]:
    """From when to when a fault of a process or a disk lasts: once, or time and again."""
    begin, lasts = round(fault.at_s * 1e6), round((fault.for_s or 0.0) * 1e6)
    if isinstance(fault, RestartLoop):
        return [(kill, kill + boot) for kill in range(begin, begin + lasts, round(fault.every_s * 1e6))]
    return [(begin, begin + lasts + (boot if takes_down(fault) else 0))]


_SECTIONS = ("stock", "pauses", "staff")
_OF_STORES = ("printer",)
_OF_DINERS = ("parties",)
_OF_PAYMENTS = ("accepts_unverified", "disputes")


def sections_not_modelled(scenario: Scenario) -> list[str]:
    """The sections and fields of a drill that are said and have no effect in the model, by their names in the file."""
    places: list[tuple[str, BaseModel, str]] = [
        *((name, scenario, name) for name in _SECTIONS),
        *((f"stores.{name}", store, name) for store in scenario.stores for name in _OF_STORES),
        *((f"diners.{name}", scenario.diners, name) for name in _OF_DINERS),
        *((f"payments.{name}", scenario.payments, name) for name in _OF_PAYMENTS if scenario.payments is not None),
    ]
    if scenario.delivery is not None:
        places.append(("delivery.misbehaviour", scenario.delivery, "misbehaviour"))
    more = [] if scenario.payments is None else payments_not_modelled(scenario.payments)
    said = [path for path, section, name in places if _is_said(section, name)]
    return list(dict.fromkeys([*said, *more]))


def _is_said(section: BaseModel, name: str) -> bool:
    field = type(section).model_fields[name]
    return bool(getattr(section, name) != field.get_default(call_default_factory=True))
