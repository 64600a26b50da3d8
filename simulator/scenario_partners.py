"""A partner of the chain misbehaves for a while: the fault, and how its rules are read by the partner's own plan."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from refsystem.partners.delivery_platform.misbehaviour import Plan as DeliveryPlan
from refsystem.partners.payment_gateway.misbehaviour import Plan as GatewayPlan

PartnerName = Literal["gateway", "delivery_platform", "coupon_platform"]
PLANS: dict[PartnerName, type[BaseModel]] = {
    "gateway": GatewayPlan,
    "delivery_platform": DeliveryPlan,
    "coupon_platform": GatewayPlan,
}
RULES_MAX = 16


class PartnerRules(BaseModel):
    """Which partner, and what it does wrong."""

    partner: PartnerName = Field(description="The partner that misbehaves.")
    rules: tuple[dict[str, Any], ...] = Field(
        min_length=1,
        max_length=RULES_MAX,
        description="What it does wrong beside what it does anyway, as its operator's route takes it; times in `ms` are real.",
    )

    @field_validator("rules")
    @classmethod
    def _are_known(cls, rules: tuple[dict[str, Any], ...], info: Any) -> tuple[dict[str, Any], ...]:
        """Each rule must be one that the partner takes."""
        plan = PLANS.get(info.data.get("partner"))
        if plan is not None:
            try:
                plan.model_validate({"rules": [dict(rule) for rule in rules]})
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"][1:]) or "rules"
                raise PydanticCustomError("rules", "{where}: {why}", {"where": where, "why": first["msg"]}) from error
        return rules

    @property
    def process(self) -> PartnerName:
        """What is hit, by the name of its process."""
        return self.partner

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its rules, each once."""
        return tuple(sorted({str(rule.get("kind")) for rule in self.rules}))
