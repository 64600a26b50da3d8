"""The steady-state hypothesis of a run: whether each probe held before the faults, while they lasted, and after healing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.judge.reads import Record


class SteadyRow(Record):
    """What one probe said at one moment; `holds` is None where nothing could be said."""

    at_us: int
    probe: str
    holds: bool | None
    value: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PlannedProbe:
    """A probe of the scenario; `judged` if it must hold while faults last, too."""

    name: str
    judged: bool


@dataclass(frozen=True, slots=True)
class SteadyAccount:
    """What one probe showed. None: nothing could be said, or there was no such time."""

    probe: str
    judged_during: bool
    before: bool | None
    before_detail: str
    looks_during: int
    broken_during: int
    first_broken: str
    after: bool | None
    after_detail: str


def steady_accounts(
    probes: Sequence[PlannedProbe], rows: Sequence[SteadyRow], struck_us: int | None, healed_us: int
) -> tuple[SteadyAccount, ...]:
    """The account of every probe: the first fault began at `struck_us` (None: there was none), the last ended at `healed_us`."""
    return tuple(
        _account(probe, [row for row in rows if row.probe == probe.name], struck_us, healed_us) for probe in probes
    )


def _account(probe: PlannedProbe, rows: Sequence[SteadyRow], struck_us: int | None, healed_us: int) -> SteadyAccount:
    told = [row for row in rows if row.holds is not None]
    before = [row for row in told if struck_us is not None and row.at_us < struck_us]
    during = [row for row in told if struck_us is not None and struck_us <= row.at_us <= healed_us]
    broken = [row for row in during if not row.holds]
    looks_after = [row for row in rows if row.at_us > healed_us]
    after = [row for row in looks_after if row.holds is not None]
    if after and not after[-1].holds and looks_after[-1].holds is None:
        after = []  # what it said last may be about a time before the healing, and nothing newer can be said
    return SteadyAccount(
        probe=probe.name,
        judged_during=probe.judged,
        before=before[-1].holds if before else None,
        before_detail=before[-1].detail if before else "it said nothing",
        looks_during=len(during),
        broken_during=len(broken),
        first_broken=broken[0].detail if broken else "",
        after=after[-1].holds if after else None,
        after_detail=after[-1].detail if after else "it said nothing",
    )
