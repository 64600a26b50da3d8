"""What a scenario says about overload: a declared capacity of a store, and which remedies are off."""

from __future__ import annotations

from pydantic import Field

from refsystem.overload.remedies import OffName
from refsystem.overload.settings import DELAY_MS_MAX, SERVERS_MAX
from simulator.scenario_faults import Strict


class DeclaredDelay(Strict):
    """A declared capacity: it lets `servers * 1000 / ms` orders a second through, and stands for a store's slowest part."""

    servers: int = Field(ge=1, le=SERVERS_MAX, description="Workers of the device that takes orders.")
    ms: float = Field(
        gt=0, le=DELAY_MS_MAX, description="How long a worker is busy with an order or an act, in real milliseconds."
    )
    read_ms: float = Field(
        0.0, ge=0, le=DELAY_MS_MAX, description="How long with a look at the menu, an order or a check."
    )


class Overload(Strict):
    """Clients take part in the remedies against overload; left out: only the store and the cloud have them."""

    off: tuple[OffName, ...] = Field(
        (), description="Remedies that are off, at the store, the cloud and the clients; `all`: every one."
    )
