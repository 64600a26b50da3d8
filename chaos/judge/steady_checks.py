"""The checks of the steady-state hypothesis: three questions, each with a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaos.judge.steady import SteadyAccount
from chaos.judge.verdict import Check


def steady_checks(accounts: Sequence[SteadyAccount], *, struck: bool) -> Iterator[Check]:
    """The checks of a hypothesis; none without any. A system that was not steady before makes the run unknown."""
    if not accounts:
        return
    if not struck:
        yield _after(accounts)
        return
    before = _before(accounts)
    yield before
    for check in (_during(accounts), _after(accounts)):
        if before.verdict == "pass" or check.verdict != "fail":
            yield check
        else:
            yield Check(check.name, "unknown", f"{check.detail}; which says little, for it was not steady before")


def _before(accounts: Sequence[SteadyAccount]) -> Check:
    for account in accounts:
        if not account.before:
            text = f"the system was not known to be steady before the faults: {account.probe}: {account.before_detail}"
            return Check("steady_state_before", "unknown", text)
    return Check("steady_state_before", "pass", f"{_probes(accounts)} held before the first fault")


def _during(accounts: Sequence[SteadyAccount]) -> Check:
    broken = [account for account in accounts if account.broken_during]
    told = "; ".join(
        f"{account.probe} did not hold at {account.broken_during} of {account.looks_during} looks "
        f"(first: {account.first_broken})"
        for account in broken
    )
    judged = [account for account in broken if account.judged_during]
    if judged:
        return Check("steady_state_during", "fail", f"while faults lasted, {told}")
    silent = [account for account in accounts if account.judged_during and not account.looks_during]
    if silent:
        return Check("steady_state_during", "unknown", f"while faults lasted, {silent[0].probe} said nothing")
    return Check("steady_state_during", "pass", told or f"{_probes(accounts)} held while faults lasted")


def _after(accounts: Sequence[SteadyAccount]) -> Check:
    for account in accounts:
        if account.after is False:
            text = f"the system was not steady again in time after healing: {account.probe}: {account.after_detail}"
            return Check("steady_state_after", "fail", text)
    for account in accounts:
        if account.after is None:
            text = f"whether the system is steady after healing is not known: {account.probe}: {account.after_detail}"
            return Check("steady_state_after", "unknown", text)
    return Check("steady_state_after", "pass", f"{_probes(accounts)} held after healing")


def _probes(accounts: Sequence[SteadyAccount]) -> str:
    return accounts[0].probe if len(accounts) == 1 else f"all {len(accounts)} probes"
