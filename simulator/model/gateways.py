"""What the model takes of a payment gateway's misbehaviours, and what it leaves out."""

from __future__ import annotations

from refsystem.partners.payment_gateway.misbehaviour import Operation, Rule
from simulator.scenario_payments import Payments

PAYING: frozenset[Operation] = frozenset({"authorize", "stored_authorize", "capture", "sale"})
"""What is asked of the gateway when a check is paid."""
MODELLED = frozenset({"declined", "slow"})
TENDERS_AS_CARDS = ("coupon", "stored_value")


def slow_rule(payments: Payments) -> Rule | None:
    """The rule by which answers to payments are late; of several the first counts."""
    return next((rule for rule in payments.misbehaviour if rule.kind == "slow" and _strikes_payments(rule)), None)


def payments_not_modelled(payments: Payments) -> list[str]:
    """What a scenario says of payments that has no effect, by its name in the file."""
    kinds = [rule.kind for rule in payments.misbehaviour if rule.kind not in MODELLED]
    tenders = [name for name in TENDERS_AS_CARDS if getattr(payments.tenders, name) > 0]
    said = [f"payments.misbehaviour ({', '.join(dict.fromkeys(kinds))})"] if kinds else []
    return said + [f"payments.tenders.{name} (paid as a card)" for name in tenders]


def _strikes_payments(rule: Rule) -> bool:
    return not rule.operations or not PAYING.isdisjoint(rule.operations)
