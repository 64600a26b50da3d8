"""How checks are paid, and what the payment gateway does wrong."""

from __future__ import annotations

from pydantic import Field

from refsystem.ordering.payment import Tender
from refsystem.partners.payment_gateway.misbehaviour import Rule
from simulator.scenario_fields import Share, Strict


class TenderShares(Strict):
    """The share of diners who pay with each tender; together 1."""

    cash: Share = Field(0.1, description="Share of checks paid in cash, to a waiter.")
    wallet_code: Share = Field(0.6, description="Share of checks paid with a wallet's payment code.")
    card: Share = Field(0.3, description="Share of checks paid by card.")
    coupon: Share = Field(0.0, description="Share of checks paid by a voucher; with any there is a coupon platform.")
    stored_value: Share = Field(0.0, description="Share of checks paid from a member's balance at the coupon platform.")

    @property
    def shares(self) -> dict[Tender, float]:
        """The shares by tender; coupons and balances only if anybody has them."""
        shares: dict[Tender, float] = {"cash": self.cash, "wallet_code": self.wallet_code, "card": self.card}
        more: dict[Tender, float] = {"coupon": self.coupon, "stored_value": self.stored_value}
        return shares | {tender: share for tender, share in more.items() if share > 0}


class Payments(Strict):
    """Checks are paid, and there is a payment gateway. Left out: nobody pays, and there is none."""

    tenders: TenderShares = Field(default_factory=TenderShares, description="Share of each tender.")
    patience_s: float = Field(
        600.0,
        gt=0,
        le=86_400,
        description="How long somebody who pays goes on until the check is closed, in seconds, scaled.",
    )
    wallet_confirm_s: float = Field(
        3.0, ge=0, le=3_600, description="Mean time in which a diner confirms a wallet payment, in seconds, scaled. [G]"
    )
    platform_basis_points: int = Field(
        0, ge=0, le=3_000, description="What a platform gets of each captured sum, in hundredths of a per cent."
    )
    misbehaviour: tuple[Rule, ...] = Field(
        (), max_length=32, description="What the gateway does wrong; times in `ms` are real."
    )
    accepts_unverified: Share = Field(
        0.0,
        description="Share of unverified wallet codes that the cashier takes on trust instead of giving them up. [G]",
    )
    disputes: Share = Field(
        0.0, description="Share of captured card payments that the payer disputes at the bank, and wins. [G]"
    )
    dispute_after_s: float = Field(
        30.0, ge=0, le=86_400, description="Mean time from the capture to such a dispute, in seconds, scaled. [G]"
    )
