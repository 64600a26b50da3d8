"""Slips and failovers in every order: nothing uncommitted is printed, no slip twice without a mark, and each in the end."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from refsystem.ordering.print_acts import PrintedSlips
from refsystem.ordering.slip import Job
from refsystem.ordering.slip_contents import order_slip_key
from refsystem.protocol.log import Log, chain, encode_record
from refsystem.protocol.print_queue import PRINT_VARIANTS, PrintQueue

SEEDS = 150


def order(number: int) -> str:
    return encode_record({"kind": "order", "order_id": f"o-{number}", "version": 1, "body_hash": "h"})


class Store:
    """One log as whoever is primary holds it: what is committed stays, the rest may be set aside when another takes over."""

    def __init__(self, make: type[PrintQueue], seed: int) -> None:
        self.draw = random.Random(seed)
        self.log, self.commit_seq, self.term, self.orders = Log(), 0, 1, 0
        self.slips = PrintedSlips(lambda _, record: order_slip_key(record))
        self.log.follow(self.slips)
        self.make = make
        self.queue = make(self.log, self.slips)
        self.paper: list[Job] = []

    def add(self, record: str) -> int:
        (entry,) = chain(self.term, self.log.last, [record])
        self.log.extend((entry,))
        return entry.seq

    def ordered(self) -> None:
        self.orders += 1
        self.add(order(self.orders))

    def committed(self, whole: bool = False) -> None:
        self.commit_seq = self.log.last.seq if whole else self.draw.randint(self.commit_seq, self.log.last.seq)

    def taken_over(self) -> None:
        """By the other device, or by this one again: either way it does not know what was sent."""
        self.term += 1
        self.log.set_aside(self.draw.randint(self.commit_seq, self.log.last.seq) + 1)
        if self.draw.random() < 0.5:
            self.queue = self.make(self.log, self.slips)

    def printing(self, sure: bool = False) -> None:
        """One step of the printing: an act, or a slip that comes out; the answer may be lost."""
        self.queue.lead(self.term)
        due = self.queue.due(self.commit_seq)
        if due is None:
            record = self.queue.last_word(self.commit_seq, 0)
            if record is not None:
                self.add(encode_record(record))
            return
        record = self.queue.begin(due, 0)
        if record is not None:
            self.queue.begun(due, self.add(encode_record(record)))
        elif self.queue.may_send(due, self.commit_seq):
            job = self.queue.job(due)
            self.queue.sending()
            if sure or self.draw.random() < 0.8:
                self.paper.append(job)
                if sure or self.draw.random() < 0.8:
                    self.queue.printed(due)

    def run(self) -> list[str]:
        """An evening; what is wrong with the paper at its end."""
        for _ in range(120):
            self.draw.choices((self.ordered, self.committed, self.printing, self.taken_over), (3, 4, 8, 1))[0]()
        for _ in range(300):
            self.committed(whole=True)
            self.printing(sure=True)
        kept = {f"ticket/o-{number}/1/kitchen" for number in range(1, self.orders + 1) if self.log.key(f"o-{number}")}
        printed = {job.key for job in self.paper}
        unmarked = Counter(job.key for job in self.paper if job.copy == 0)
        assert self.queue.waiting(self.commit_seq) == 0
        return (
            [f"not on paper: {key}" for key in sorted(kept - printed)]
            + [f"never committed: {key}" for key in sorted(printed - kept)]
            + [f"twice without a mark: {key}" for key, times in unmarked.items() if times > 1]
        )


def test_whatever_happens_each_order_is_on_paper_and_a_copy_says_so() -> None:
    copies = 0
    for seed in range(SEEDS):
        store = Store(PrintQueue, seed)
        assert store.run() == [], f"seed {seed}"
        copies += sum(job.copy > 0 for job in store.paper)
    assert copies > SEEDS, "the seeds do bring out what must be marked"


@pytest.mark.parametrize("variant", PRINT_VARIANTS)
def test_a_broken_queue_is_found(variant: str) -> None:
    wrong = {"no-reprint-mark": "twice without a mark", "print-before-commit": "never committed"}[variant]
    assert any(line.startswith(wrong) for seed in range(30) for line in Store(PRINT_VARIANTS[variant], seed).run())


def test_who_broke_the_glass_marks_what_the_former_members_may_have_printed() -> None:
    """P19: it may know neither of their acts nor which of the orders that the cloud sends back were on paper."""
    store = Store(PrintQueue, 1)
    store.ordered()
    store.add(encode_record({"kind": "fork", "from_seq": 2, "off": []}))
    cloud = {"kind": "order", "order_id": "o-2", "version": 1, "body_hash": "h", "origin": "cloud"}
    store.add(encode_record(cloud))
    store.ordered()
    for _ in range(20):
        store.committed(whole=True)
        store.printing(sure=True)
    assert [job.copy for job in store.paper] == [1, 1, 0]
