"""What bodies that a party reads have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

REPLAYED_HEADER = "Idempotency-Replayed"
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Body(BaseModel):
    """A request's body: exact types, and nothing that is not known."""

    model_config = ConfigDict(strict=True, extra="forbid")
