"""The toxic that does nothing: a place holder, and the proof that a stage by itself changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from chaos.proxy.toxics.base import Attributes, Stage


@dataclass(frozen=True, slots=True)
class Noop(Attributes):
    """Does nothing."""

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A stage that hands everything on."""
        return Stage(self, now)
