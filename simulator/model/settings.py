"""What the model needs beyond a drill's scenario: how fast devices, cloud and kitchen work, tables, and remedies.

A scenario may say it in its section `model`; the drill ignores that section. Figures are guesses of this project [G] where
no source is named. Times of people and kitchens are scaled by `time_scale`; times of machines never are.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.scenario_fields import Share, Strict

Shape = Literal["deterministic", "exponential", "lognormal", "uniform"]
Milliseconds = Annotated[float, Field(ge=0, le=600_000)]
Variation = Annotated[float, Field(ge=0, le=5)]

STATIONS_MAX = 8


class Server(Strict):
    """An event loop, or several: what each request takes of its processor."""

    workers: int = Field(1, ge=1, le=1_000, description="Event loops that serve one queue.")
    menu_ms: Milliseconds = Field(2.0, description="Processor time of a look at the menu. [G]")
    order_ms: Milliseconds = Field(4.0, description="Processor time of an order. [G]")
    read_ms: Milliseconds = Field(2.0, description="Processor time of a look at an order or a check. [G]")
    pay_ms: Milliseconds = Field(4.0, description="Processor time of a payment. [G]")
    ingest_ms: Milliseconds = Field(3.0, description="Processor time of a batch of the uplink. [G]")
    refuse_ms: Milliseconds = Field(0.5, description="Processor time of a request that the gate refuses. [G]")
    shape: Shape = Field("lognormal", description="Distribution of these times.")
    variation: Variation = Field(0.5, description="Their coefficient of variation. [G]")


class Disk(Strict):
    """A device's disk: one flush serves all that wait (group commit)."""

    flush_ms: Milliseconds = Field(2.0, description="Mean time of one flush. [G]")
    shape: Shape = Field("lognormal", description="Its distribution.")
    variation: Variation = Field(0.5, description="Its coefficient of variation. [G]")


class Database(Strict):
    """The cloud's database, behind a pool of connections."""

    connections: int = Field(10, ge=1, le=1_000, description="Size of the pool.")
    connections_open: int = Field(2, ge=0, le=1_000, description="Connections that are open before anybody asks.")
    transaction_ms: Milliseconds = Field(4.0, description="Mean time of a transaction. [G]")
    order_round_trips: int = Field(
        3, ge=1, le=100, description="Exchanges with the database that an order takes: two looks at its key, one write."
    )
    read_round_trips: int = Field(1, ge=1, le=100, description="Exchanges that a look at an order takes.")
    ingest_round_trips: int = Field(10, ge=1, le=100, description="Exchanges that a batch of the uplink takes.")
    connect_round_trips: int = Field(
        4,
        ge=0,
        le=100,
        description="Exchanges that a new connection takes; it prepares what it is asked in as many again.",
    )
    open_round_trips: int = Field(
        9, ge=0, le=100, description="Exchanges from the cloud's start until its database serves: connections, tables."
    )
    shape: Shape = Field("lognormal", description="Its distribution.")
    variation: Variation = Field(0.5, description="Its coefficient of variation. [G]")


class Station(Strict):
    """A place in the kitchen. Tickets of stage 2 are fired when all of stage 1 are done, and so on."""

    name: str = Field(min_length=1, max_length=40, description="Its name.")
    cooks: int = Field(1, ge=0, le=1_000, description="How many work there; 0: as many as there are tickets.")
    setup_s: float = Field(0.0, ge=0, le=86_400, description="Time of a ticket whatever it holds, in seconds, scaled.")
    item_s: float = Field(0.0, ge=0, le=86_400, description="Time of each portion beyond that, in seconds, scaled.")
    shape: Shape = Field("lognormal", description="Distribution of these times.")
    variation: Variation = Field(0.3, description="Coefficient of variation. [G]")
    batch: int = Field(1, ge=1, le=100, description="Tickets that one cook makes at once, in the time of the longest.")
    stage: int = Field(1, ge=1, le=9, description="When it is fired: stage 1 at once.")
    share: float = Field(1.0, gt=0, description="Share of the lines that are made here, against the other stations'.")


class Section(Strict):
    """Tables beside those of the store that are there for a part of the evening: a terrace, a room for the rush."""

    name: str = Field(min_length=1, max_length=40, description="Its name.")
    tables: int = Field(ge=1, le=10_000, description="How many tables it has.")
    at_s: float = Field(
        0.0, ge=0, le=86_400, description="When it opens, in seconds of the scenario's clock, as a fault begins."
    )
    for_s: float | None = Field(
        None,
        gt=0,
        le=86_400,
        description="How long; who sits there then stays until they leave. Left out: until nobody is left.",
    )


class Seating(Strict):
    """Diners in the dining room need a table, keep it while they eat, and wait for one only so long."""

    sections: tuple[Section, ...] = Field(
        (), max_length=100, description="Tables that are there for a part of the evening, beside `stores.tables`."
    )
    queue_max: int = Field(1_000_000, ge=0, description="Parties that wait; one more goes away at once (balks).")
    balk_share: Share = Field(0.0, description="Share of parties that go away when they would have to wait.")
    patience_s: float = Field(
        1_800.0, gt=0, le=1e9, description="Mean time a party waits, in seconds, scaled. 72 % accept up to 30 min."
    )
    patience_shape: Shape | Literal["endless"] = Field(
        "exponential", description="Its distribution; `endless`: nobody goes away."
    )
    dining_s: float = Field(
        2_970.0,
        ge=0,
        le=1e9,
        description="From the meal on the table to leaving, in seconds, scaled (Kimes, Thompson).",
    )
    dining_shape: Shape = Field("lognormal", description="Its distribution.")
    dining_variation: Variation = Field(0.35, description="Its coefficient of variation. [G]")
    party_shares: tuple[float, ...] = Field(
        (0.10, 0.40, 0.20, 0.18, 0.12), min_length=1, max_length=20, description="Shares of parties of 1, 2, … [G]"
    )
    party_dining: tuple[float, ...] = Field(
        (0.82, 0.92, 0.98, 1.03, 1.10),
        min_length=1,
        max_length=20,
        description="Dining time of parties of 1, 2, … against the mean (Kimes and Thompson: 40.5 to 54.5 of 49.5 min).",
    )

    def leaving(self) -> tuple[str, ...]:
        """The figures of those who go away without a table, as far as anybody can here."""
        balks = self.balk_share > 0 or self.queue_max < type(self).model_fields["queue_max"].default
        reneges = self.patience_shape != "endless"
        return ("reneged",) * reneges + ("balked",) * balks


class Impatience(Strict):
    """What people do beside waiting for their device."""

    retap_s: float | None = Field(
        None, gt=0, description="Who has no answer taps again after this long, in seconds, scaled; null: nobody does."
    )
    retap_share: Share = Field(1.0, description="Share of diners who do.")
    switch_share: Share = Field(
        0.0, description="Share of those who give up and order again that go to the other door: edge or cloud."
    )


class Remedies(Strict):
    """What holds an overload back; each is off unless it is said."""

    queue_max: int | None = Field(None, ge=0, description="Requests that wait at a server; beyond: 503 at once.")
    waiting_ms: float | None = Field(
        None, gt=0, description="When the oldest request has waited this long, new ones are answered 503."
    )
    deadline: bool = Field(
        False, description="A request that nobody waits for any more is dropped when its turn comes."
    )
    priority: bool = Field(False, description="Payments before orders before menus and looks.")
    lifo_ms: float | None = Field(
        None, gt=0, description="When the oldest has waited this long the newest is served first (adaptive LIFO)."
    )
    retry_after_ms: int = Field(0, ge=0, le=600_000, description="What a 503 says in `Retry-After`.")
    retry_budget: float | None = Field(
        None, ge=0, le=10, description="Retries for each first attempt, of all diners together; null: without limit."
    )
    retry_burst: int = Field(10, ge=1, le=100_000, description="Retries that may be saved up.")


class ModelSettings(Strict):
    """What the model needs beyond the drill's scenario."""

    visit: Literal["order", "table_only"] = Field(
        "order", description="`table_only`: parties sit and eat and order nothing, to look at tables alone."
    )
    edge: Server = Field(default_factory=Server, description="A store device.")
    cloud: Server = Field(default_factory=lambda: Server(workers=2), description="The cloud, as one store sees it.")
    disk: Disk = Field(default_factory=Disk, description="The disk of a store device.")
    database: Database = Field(default_factory=Database, description="The cloud's database.")
    kitchen: tuple[Station, ...] = Field(
        (), max_length=STATIONS_MAX, description="Stations; none: every ticket takes `kitchen_seconds`."
    )
    seating: Seating | None = Field(None, description="Tables limit who comes in; left out: they do not.")
    impatience: Impatience = Field(default_factory=Impatience, description="What people do beside waiting.")
    overload: Remedies = Field(default_factory=Remedies, description="Remedies against overload.")
    think_shape: Shape = Field("lognormal", description="Distribution of the time from the menu to the order.")
    patience_shape: Shape = Field("lognormal", description="Distribution of the patience with an order.")
    boot_ms: Milliseconds = Field(700.0, description="From the start of a process until it serves. [G]")
    join_ms: Milliseconds = Field(600.0, description="From being up until a device is a member again. [G]")
