"""What each fault did to orders: how many it found in flight, how long until the next device answered, how long to drain."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chaos.judge.ledger import StoreLedger
from chaos.judge.orders import OrderStory
from chaos.judge.runfolder import FaultRecord, Sample
from simulator.history import Attempt


@dataclass(frozen=True, slots=True)
class FaultEffect:
    """One fault and what it did. `failover_ms` is None if it did not hit the primary or no higher epoch answered."""

    fault: FaultRecord
    exposed: frozenset[str]
    failover_ms: int | None
    answered_after: bool
    drain_ms: int | None

    @property
    def awaits_failover(self) -> bool:
        """Whether a time to fail over is expected of it."""
        return self.fault.took_effect and self.fault.hits_primary


def effects(
    faults: Iterable[FaultRecord], stories: Mapping[str, OrderStory], samples: Sequence[Sample]
) -> tuple[FaultEffect, ...]:
    """What each fault did, in the order in which they began."""
    acks = sorted(
        (ok for story in stories.values() for ok in story.oks if ok.level in ("R1", "R2")),
        key=lambda ok: ok.completed_at_us or 0,
    )
    return tuple(_effect(fault, stories, acks, samples) for fault in faults)


def exposed_by(fault: FaultRecord, stories: Iterable[OrderStory]) -> frozenset[str]:
    """The orders in flight when the fault struck: sent before, answered after or never, or first told yes after."""
    if not fault.strikes:
        return frozenset()
    mine = (story for story in stories if not fault.store or story.store == fault.store)
    return frozenset(story.order_id for story in mine if _in_flight(story, fault.started_at_us))


def _in_flight(story: OrderStory, moment_us: int) -> bool:
    sent = [attempt for attempt in story.attempts if attempt.invoked_at_us < moment_us]
    if not sent:
        return False
    if story.first_ok_us is not None and story.first_ok_us > moment_us:
        return True
    return any(attempt.completed_at_us is None or attempt.completed_at_us > moment_us for attempt in sent)


def _effect(
    fault: FaultRecord, stories: Mapping[str, OrderStory], acks: Sequence[Attempt], samples: Sequence[Sample]
) -> FaultEffect:
    later = [
        ack
        for ack in acks
        if (ack.completed_at_us or 0) > fault.started_at_us and (not fault.store or ack.store == fault.store)
    ]
    failover_ms = None
    if fault.took_effect and fault.hits_primary and fault.epoch_before is not None:
        before = fault.epoch_before
        first = next((ack for ack in later if ack.epoch is not None and ack.epoch > before), None)
        if first is not None:
            failover_ms = round(((first.completed_at_us or 0) - fault.started_at_us) / 1000)
    return FaultEffect(fault, exposed_by(fault, stories.values()), failover_ms, bool(later), _drain_ms(fault, samples))


def _drain_ms(fault: FaultRecord, samples: Sequence[Sample]) -> int | None:
    """From the end of a cut of the WAN until the cloud first stood at the primary's commit."""
    if not (fault.took_effect and fault.kind == "link_down" and fault.target == "edge_cloud" and fault.ended_at_us):
        return None
    for sample in of_store(samples, fault.store):
        primary = sample.primary
        if sample.at_us < fault.ended_at_us or primary is None or sample.cloud is None:
            continue
        if sample.cloud.cursor.seq >= primary.commit_seq:
            return round((sample.at_us - fault.ended_at_us) / 1000)
    return None


def of_store(samples: Iterable[Sample], store: str) -> list[Sample]:
    """The samples of one store."""
    return [sample for sample in samples if not sample.store or not store or sample.store == store]


def offline_us(
    stories: Iterable[OrderStory], ledgers: Mapping[str, StoreLedger], samples: Sequence[Sample]
) -> list[int]:
    """For each order that the store acknowledged: how long it stood in the store alone, before the cloud had it.

    From the first yes to the first sample in which the cloud's cursor has passed it (samples are about 250 ms apart).
    """
    passed = {store: _cloud_progress(of_store(samples, store)) for store in ledgers}
    durations: list[int] = []
    for story in stories:
        seq = ledgers[story.store].seq_of(story)
        if story.first_ok_us is None or seq is None or "RC" in story.levels_told:
            continue
        seqs, times_us = passed[story.store]
        index = bisect.bisect_left(seqs, seq)
        if index < len(seqs):
            durations.append(max(0, times_us[index] - story.first_ok_us))
    return durations


def _cloud_progress(samples: Iterable[Sample]) -> tuple[list[int], list[int]]:
    """Ascending seqs that the cloud's cursor was seen at, and when it was first seen there."""
    seqs: list[int] = []
    times_us: list[int] = []
    for sample in samples:
        if sample.cloud is not None and (not seqs or sample.cloud.cursor.seq > seqs[-1]):
            seqs.append(sample.cloud.cursor.seq)
            times_us.append(sample.at_us)
    return seqs, times_us
