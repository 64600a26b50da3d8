"""Receipts on a printer's paper: every check that is closed has one, with its total, and no copy that is not marked."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaos.judge.findings import Finding
from chaos.judge.ledger import StoreLedger
from chaos.judge.losses import Undecided
from chaos.judge.paper import MARK
from chaos.judge.reads import PaperSlip
from refsystem.ordering.check import CheckStatus

_CODE = re.compile(r"receipt/([0-9a-f-]{36})/(\d+)/\d+")
_TOTAL = re.compile(r"合计 Total\s+(-?\d+)\.(\d\d)")


@dataclass(frozen=True, slots=True)
class PrintedReceipt:
    """One receipt: the `number`-th of its check. `total_minor` None: none can be read on it."""

    slip: int
    check_id: str
    number: int
    marked: bool
    total_minor: int | None


def receipts(slips: Sequence[PaperSlip]) -> Iterator[PrintedReceipt]:
    """Every receipt that came out whole."""
    for slip in slips:
        marked, total_minor = False, None
        for line in slip.lines:
            if not line.code:
                marked = marked or MARK.fullmatch(line.text.strip()) is not None
                total = _TOTAL.fullmatch(line.text.strip())
                total_minor = int(total[1] + total[2]) if total is not None else total_minor
                continue
            told = _CODE.fullmatch(line.text)
            if told is not None and slip.cut_at_us is not None:
                yield PrintedReceipt(slip.slip, told[1], int(told[2]), marked, total_minor)
            marked, total_minor = False, None


def audit_receipts(ledger: StoreLedger) -> Iterator[Finding | Undecided]:
    """Whether every closed check has its receipt, once unless marked, with what it came to; only where receipts are printed."""
    if ledger.printer is None or ledger.primary is None:
        return
    made: dict[str, list[PrintedReceipt]] = defaultdict(list)
    for receipt in receipts(ledger.printer.slips):
        made[receipt.check_id].append(receipt)
    checks = {check.check_id: check for check in ledger.book.checks}
    for check_id, check in checks.items():
        if check.status is not CheckStatus.CLOSED:
            continue
        if not made[check_id]:
            if ledger.unsettled is not None:
                yield Undecided(check_id, ledger.store, "printer", "none")
            else:
                yield _finding("lost", ledger, check_id, "the check is closed, and its receipt was not printed")
            continue
        last = max(made[check_id], key=lambda receipt: (receipt.number, receipt.slip))
        if last.total_minor != check.total_minor:
            text = f"slip {last.slip} says a total of {last.total_minor}, the check {check.total_minor}"
            yield _finding("altered", ledger, check_id, text)
    for check_id, found in made.items():
        if check_id not in checks and not ledger.forks:
            yield _finding(
                "unbacked", ledger, check_id, f"slip {found[0].slip} is of a check that the store does not have"
            )
        unmarked = [receipt.number for receipt in found if not receipt.marked]
        if len(set(unmarked)) < len(unmarked):
            yield _finding("duplicated", ledger, check_id, "its receipt was printed twice without the mark REPRINT")


def _finding(name: str, ledger: StoreLedger, check_id: str, evidence: str) -> Finding:
    return Finding(name, ledger.store, check_id, "printer", evidence)
