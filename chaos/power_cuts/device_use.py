"""A real device on what a store told: it takes up its role again (P11), takes an order, and the order is in the log."""

from __future__ import annotations

from refsystem.edge.store import EdgeStore
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.order import Order
from refsystem.protocol import arbiter
from refsystem.protocol.device import Device, DeviceSettings
from refsystem.protocol.messages import Register, RegisterRead, RegisterState, RegisterSwap, Reply
from refsystem.protocol.replica import DurableState

ROUNDS_MAX = 8
ITEM = DEMO_MENU.items[0]
ORDER = Order("00000000-0000-7000-8000-000000000001", "cashier", "", ((ITEM.item_id, 1),), ITEM.price_minor)


def take_an_order(store: EdgeStore, state: DurableState) -> None:
    """Raises `AssertionError` if the device on `store` gets no role, or the order no place in the log."""
    register = Register(max(1, state.epoch), state.node_id, (state.node_id,), "of an earlier life")
    device = Device(DeviceSettings("s1", DEMO_MENU), state, "after", 0)
    submitted = False
    for round_us in range(1, ROUNDS_MAX + 1):
        device.tick(round_us)
        if device.is_primary and not submitted:
            device.submit(1, ORDER, round_us)
            submitted = True
        ready = device.take_ready(round_us)
        if ready.persist:
            store.apply(ready.persist)
        device.persisted(ready.token, round_us)
        for request in ready.send:
            assert isinstance(request, RegisterRead | RegisterSwap), f"it sends {request.kind} to nobody"
            if isinstance(request, RegisterSwap):
                register = arbiter.swap(register, request) or register
            device.receive(RegisterState(request.request_id, register), round_us)
        if ready.replies:
            _check(ready.replies[0], store)
            return
    raise AssertionError(f"the device is {device.replica.role} and answers no order")


def _check(reply: Reply, store: EdgeStore) -> None:
    assert reply.problem is None, f"the order was refused: {reply.problem}"
    assert reply.entry is not None
    assert reply.entry in store.load().entries, "the order was acknowledged and is not in the log"
