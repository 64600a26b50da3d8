"""The broken variants that a drill can run: each with a scenario that brings it out and the check that must fail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variant:
    """`scenario` is a shipped one; unbroken, under the same seed, it passes. `check` is a class of the audit."""

    name: str
    breaks: str
    scenario: str
    check: str
    synchronous: str = "FULL"


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(
            "acknowledge-before-standby", "P4: R2 is told before the standby has the order", "primary_disk_lost", "lost"
        ),
        Variant(
            "repeated-key-answered-at-once",
            "P6: a repeated key is told yes before the commit",
            "impatient_taps",
            "lost",
        ),
        Variant("kitchen-before-commit", "P5: the kitchen sees what is not committed", "primary_disk_lost", "unbacked"),
        Variant("uplink-before-commit", "P5: the cloud gets what is not committed", "primary_disk_lost", "unbacked"),
        Variant("promote-without-register", "P9: a silent primary is replaced unasked", "switch_failure", "split"),
        Variant("two-doors", "P6: a key from the cloud is not looked up", "calm", "duplicated"),
        Variant(
            "new-id-after-timeout",
            "P16: a payment without an answer is tried under a new id",
            "gateway_timeouts",
            "mischarged",
        ),
        Variant(
            "no-reprint-mark",
            "P13: a slip that may be on paper is printed again without a mark",
            "printer_jam",
            "duplicated",
        ),
        Variant("escrow-off", "P18: the store sells the cloud's share, too", "stock_run_out", "oversold"),
        Variant("synchronous-normal", "flush: commits are not synced", "store_power_cut", "lost", synchronous="NORMAL"),
    )
}


class VariantError(ValueError):
    """There is no such variant."""


def find_variant(name: str) -> Variant:
    """The variant with this name; raises `VariantError` that lists them."""
    try:
        return VARIANTS[name]
    except KeyError:
        raise VariantError(f"there is no broken variant {name!r}; the variants are {', '.join(VARIANTS)}") from None
