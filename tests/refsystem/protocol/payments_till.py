"""A check of one bowl of noodles, and what a till does to it."""

from __future__ import annotations

from payments_world import World

from refsystem.ordering.check import Check
from refsystem.ordering.check_acts import Pay
from refsystem.ordering.payment import PaymentState, Tender
from refsystem.protocol.payment_calls import Op
from refsystem.protocol.payments import Cashier

NOODLES = (("beef-noodles", 1),)
PRICE_MINOR = 3200


class Till:
    """A world, and a check of one bowl of noodles in it."""

    def __init__(self, kind: type[Cashier] = Cashier) -> None:
        self.world = World(kind)
        self.check_id = self.world.order(NOODLES)
        self.commit()

    def pay(self, tender: Tender, amount_minor: int = PRICE_MINOR) -> str:
        return self.world.do(Pay(self.check_id, tender, amount_minor, instrument="token"))

    def cash(self, amount_minor: int = PRICE_MINOR) -> str:
        return self.world.do(Pay(self.check_id, "cash", amount_minor, amount_minor))

    def commit(self) -> None:
        """Commit, let the cashier act, and commit what it has logged, until it logs no more."""
        for _ in range(10):
            before = len(self.world.primary.log)
            self.world.commit(before)
            self.world.turn()
            if len(self.world.primary.log) == before:
                return
        raise AssertionError("the cashier goes on for ever")

    def wait(self, ms: int) -> None:
        self.world.now_ms += ms
        self.world.turn()
        self.commit()

    def asked(self) -> list[str]:
        """What is on its way to the gateway."""
        return [call.op for _, call in self.world.requests]

    def serve(self, fate: str = "taken") -> str:
        """The oldest request arrives, and its answer comes; returns what was asked."""
        op: Op = self.world.requests[0][1].op
        self.world.deliver(0, fate)
        self.world.answer(0, lost=False)
        self.world.turn()
        self.commit()
        return op

    def lose_answer(self, fate: str = "taken") -> None:
        """The oldest request arrives and is done; nobody hears of it."""
        self.world.deliver(0, fate)
        self.world.answer(0, lost=True)
        self.world.turn()
        self.commit()

    def lose(self) -> None:
        self.world.lose_request(0)
        self.world.turn()
        self.commit()

    def go_offline(self) -> None:
        """Nothing is answered for longer than `offline_after_ms`."""
        for _ in range(6):
            while self.world.requests:
                self.lose()
            self.wait(2_000)
        while self.world.requests:
            self.lose()

    @property
    def check(self) -> Check:
        return self.world.truth.check(self.check_id)

    def state(self, attempt_id: str) -> PaymentState:
        return self.world.truth.payment(attempt_id).state

    def end(self) -> None:
        self.world.heal()
        self.world.judge()

    def captures(self) -> int:
        return sum(held.captures for held in self.world.gateway.payments.values())
