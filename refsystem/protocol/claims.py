"""A device's questions to the arbiter: one outstanding at a time, each claim fresh, each lost answer settled by reading (P21)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from refsystem.protocol.messages import ArbiterRequest, Register, RegisterRead, RegisterState, RegisterSwap


class Purpose(StrEnum):
    """Why the arbiter was asked."""

    CONFIRM_ROLE = "confirm_role"
    SHRINK = "shrink"
    GROW = "grow"
    PROMOTE = "promote"
    RESTART = "restart"
    BREAK_GLASS = "break_glass"


@dataclass(frozen=True, slots=True)
class Pending:
    """The one outstanding question to the arbiter. `swap` is kept, with its claim, until it is settled."""

    request_id: str
    purpose: Purpose
    asked_at_us: int
    swap: RegisterSwap | None = None


class Claims:
    """What one life of a device has asked of the arbiter. `incarnation` is fresh for each life: ids and claims are made of it."""

    def __init__(self, node_id: str, incarnation: str) -> None:
        self.pending: Pending | None = None
        self._node_id = node_id
        self._incarnation = incarnation
        self._ids = 0
        self._made: set[str] = set()
        self._requests: list[ArbiterRequest] = []

    def read(self, purpose: Purpose, now_us: int, swap: RegisterSwap | None = None) -> None:
        """Ask what the register says; `swap` is the request whose answer was lost."""
        request_id = self._next_id()
        self.pending = Pending(request_id, purpose, now_us, swap)
        self._requests.append(RegisterRead(request_id, self._node_id))

    def swap(self, purpose: Purpose, base: Register, members: tuple[str, ...], now_us: int) -> None:
        """Ask for `base` -> `(epoch+1, this device, members)` under a fresh claim (P7, P8, P9, P11)."""
        claim = self._next_id()
        self._made.add(claim)
        register = Register(base.epoch + 1, self._node_id, members, claim, base.forked_epoch)
        self._send(purpose, base.epoch, register, now_us)

    def break_glass(self, base: Register, person: str, now_us: int) -> None:
        """Ask for `base` -> `(epoch+1, this device, {this device})` on the word of `person` (P19)."""
        claim = self._next_id()
        self._made.add(claim)
        epoch = base.epoch + 1
        register = Register(epoch, self._node_id, (self._node_id,), claim, forked_epoch=epoch)
        self._send(Purpose.BREAK_GLASS, base.epoch, register, now_us, person)

    def swap_again(self, purpose: Purpose, swap: RegisterSwap, now_us: int) -> None:
        """Send a request again under its own claim: an earlier copy may still be on its way."""
        self._send(purpose, swap.expect_epoch, swap.register, now_us, swap.person)

    def answered(self, message: RegisterState) -> Pending | None:
        """The question that `message` answers, which is then no longer outstanding; None if it is not this device's last."""
        pending = self.pending
        if pending is None or message.request_id != pending.request_id:
            return None
        self.pending = None
        return pending

    def keep_asking(self, pending: Pending, now_us: int) -> None:
        """An answer that settles nothing: the request stays, and is read about again after the usual wait."""
        self.pending = Pending("", pending.purpose, now_us, pending.swap)

    def drop_read(self) -> None:
        """Forget a question that asked for no change; one that did stays until it is settled."""
        if self.pending is not None and self.pending.swap is None:
            self.pending = None

    def made(self, register: Register) -> bool:
        """Whether the register stands by a claim of this life."""
        return register.primary == self._node_id and register.claim in self._made

    def take_requests(self) -> list[ArbiterRequest]:
        """What is to be sent to the arbiter since the last call."""
        requests, self._requests = self._requests, []
        return requests

    def _send(self, purpose: Purpose, expect_epoch: int, register: Register, now_us: int, person: str = "") -> None:
        swap = RegisterSwap(self._next_id(), self._node_id, expect_epoch, register, person)
        self.pending = Pending(swap.request_id, purpose, now_us, swap)
        self._requests.append(swap)

    def _next_id(self) -> str:
        self._ids += 1
        return f"{self._node_id}/{self._incarnation}/{self._ids}"
