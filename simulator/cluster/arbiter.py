"""The arbiter in virtual time: its register survives every restart, and only the steps that the clauses name are taken."""

from __future__ import annotations

from collections.abc import Callable

from refsystem.protocol import arbiter as rule
from refsystem.protocol.messages import Register, RegisterRead, RegisterState, RegisterSwap
from simulator.cluster.clock import Clock

OnStep = Callable[[Register, Register, str], None]


class VirtualArbiter:
    """Answers devices while it is up.

    `on_step` sees every change, and the person behind it, if any; `on_vain` who asks while it is down.
    """

    def __init__(self, clock: Clock, primary: str, on_step: OnStep, on_vain: Callable[[str], None]) -> None:
        self.register = Register(1, primary, (primary,), "set-up")
        self.history = {1: self.register}
        self._clock = clock
        self._on_step = on_step
        self._on_vain = on_vain
        self._downs = 0

    @property
    def up(self) -> bool:
        """Whether it answers."""
        return self._downs == 0

    def stop(self, for_us: int) -> None:
        """Be down for a while; times may overlap."""
        self._downs += 1
        self._clock.after(for_us, self._start)

    def heal(self) -> None:
        """Be up."""
        self._downs = 0

    def receive(self, request: RegisterRead | RegisterSwap, answer: Callable[[RegisterState], None]) -> None:
        """Take a request; `answer` carries the answer back."""
        if not self.up:
            self._on_vain(request.node_id)
            return
        if isinstance(request, RegisterSwap):
            old = self.register
            new = rule.swap(old, request)
            assert new is not None
            if new != old:
                self._clock.note("arbiter:", new)
                self.register = self.history[new.epoch] = new
                self._on_step(old, new, request.person)
        answer(RegisterState(request.request_id, self.register))

    def _start(self) -> None:
        self._downs = max(0, self._downs - 1)
