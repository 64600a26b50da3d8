"""The README of the partners names every route, setting and kind of misbehaviour that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import refsystem.partners
from refsystem.partners.delivery_platform import misbehaviour as platform_misbehaviour
from refsystem.partners.delivery_platform import settings as platform_settings
from refsystem.partners.misbehaviour import read_plan
from refsystem.partners.payment_gateway import misbehaviour as gateway_misbehaviour
from refsystem.partners.payment_gateway import settings as gateway_settings
from refsystem.partners.receipt_printer import machine
from refsystem.partners.receipt_printer import misbehaviour as printer_misbehaviour

TEXT = (Path(refsystem.partners.__file__).parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "kind", [*gateway_misbehaviour.KINDS, *printer_misbehaviour.KINDS, *platform_misbehaviour.KINDS]
)
def test_every_kind_of_misbehaviour_is_told(kind):
    assert f"`{kind}`" in TEXT


def test_the_example_is_a_plan():
    example = re.search(r'^    (\{"seed".*?\]\})$', TEXT, re.DOTALL | re.MULTILINE)
    assert example is not None
    plan = read_plan(example.group(1), gateway_misbehaviour.Plan)
    assert [rule.kind for rule in plan.rules] == ["timeout_after", "declined", "callback_twice"]


def test_the_figures_are_those_of_the_code():
    limits = gateway_settings.Limits()
    assert f"{limits.reverse_after_s:.0f} s and no later than {limits.reverse_within_s / 86_400:.0f} days" in TEXT
    assert f"{limits.split_share_max_percent} % of a payment" in TEXT
    assert f"{limits.refunds_max} refunds" in TEXT
    assert f"within {platform_settings.Limits().accept_within_s / 60:g} min is cancelled" in TEXT
    assert f"({machine.NEAR_END_LINES} lines)" in TEXT
    assert f"({machine.BUFFER_BYTES // 1024} KiB)" in TEXT


def test_what_the_parties_share_is_told():
    shared = {path.stem for path in Path(refsystem.partners.__file__).parent.glob("*.py")} - {"__init__"}
    assert shared
    table = TEXT[TEXT.index("What they share") : TEXT.index("## The payment gateway")]
    assert set(re.findall(r"`([a-z_]+)`", table)) == shared
