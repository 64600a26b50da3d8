"""A partner that misbehaves, as a fault: proven by what it says and by what has struck, and undone at the end."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import httpx
import pytest

from chaos.faults.base import FaultError, Target
from chaos.faults.partners import PartnerMisbehaving
from refsystem.processes import StackError
from refsystem.stack import Stack, StackSettings, StoreSettings
from refsystem.stack_coupons import PROCESS, CouponStackSettings, coupon_environment


@pytest.mark.slow
def test_it_takes_effect_when_every_kind_has_struck_and_then_is_as_before(tmp_path: Path) -> None:
    settings = StackSettings(
        tmp_path, (StoreSettings("s1"),), Path("menu.json"), "postgresql://h/x", coupons=CouponStackSettings()
    )
    stack = Stack(settings)
    stack.reserve()
    try:
        standing = '{"seed": 3, "rules": [{"kind": "unknown", "share": 0.0}]}'
        environment = coupon_environment(str(tmp_path / "data"), stack.port(PROCESS), 1.0, standing)
        stack._python = {PROCESS: stack._process(PROCESS, "refsystem.partners.coupon_platform", environment)}
        rules = [{"kind": "error_before", "operations": ["sale"]}, {"kind": "slow", "ms": 1, "operations": ["query"]}]
        fault = PartnerMisbehaving(stack, PROCESS, rules, 7, Target(PROCESS, PROCESS))
        stack.process(PROCESS).start()  # the fault gives it a moment, as after a restart
        asyncio.run(fault.begin())
        assert asyncio.run(fault.prove()).proven
        assert not asyncio.run(fault.held()).proven, "nothing has struck"
        with httpx.Client(base_url=stack.url(PROCESS), trust_env=False) as http:
            body = {"merchant": "s1", "amount_minor": 5, "member": "demo-9-x"}
            key = {"Idempotency-Key": str(uuid.uuid4())}
            assert http.post("/v1/sales", json=body, headers=key).status_code == 500
            half = asyncio.run(fault.held())
            assert not half.proven
            assert "error_before 1 times, slow 0 times" in half.evidence
            http.get(f"/v1/payments/{uuid.uuid4()}")
            assert asyncio.run(fault.held()).proven
            assert "1 rules again" in asyncio.run(fault.undo())
            assert http.post("/v1/sales", json=body, headers=key).status_code == 200
            assert http.get("/v1/operator/misbehaviour").json()["plan"]["seed"] == 3
    finally:
        stack.stop()
    with pytest.raises((FaultError, StackError, KeyError)):
        asyncio.run(fault.begin())
