"""The arbiter's rule: one register, changed only by compare-and-set on its epoch, only by the steps that the clauses name."""

from __future__ import annotations

from refsystem.protocol.messages import Register, RegisterSwap


def allowed_step(old: Register, new: Register, person: str = "") -> bool:
    """Whether the register may move from `old` to `new` (P7 shrink, P8 grow, P9 promote, P11 restart; P19 with a `person`)."""
    if new.epoch != old.epoch + 1 or new.primary not in new.members or len(set(new.members)) != len(new.members):
        return False
    if new.forked_epoch == new.epoch:
        return bool(person) and new.members == (new.primary,)
    if new.forked_epoch != old.forked_epoch:
        return False
    if new.primary == old.primary:
        shrink = new.members == (new.primary,)
        grow = len(new.members) == 2 and len(old.members) == 1
        restart = new.members == old.members
        return shrink or grow or restart
    return new.primary in old.members and new.members == (new.primary,)


def swap(register: Register | None, request: RegisterSwap) -> Register | None:
    """The register after `request`; the same object when it was refused.

    A request whose epoch does not fit is refused and so is every request where there is no register: it is created once, when the
    store is set up, and restored only by a person.
    """
    if register is None or register.epoch != request.expect_epoch:
        return register
    return request.register if allowed_step(register, request.register, request.person) else register
