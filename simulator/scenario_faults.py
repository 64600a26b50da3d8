"""The faults that a scenario may plan: strict, frozen models, one for each shape of fault."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from simulator.network import LinkProfile, symmetric

LinkName = Literal["diner_edge", "diner_cloud", "edge_edge", "edge_arbiter", "edge_cloud", "edge_kds", "cloud_database"]
LINKS: tuple[LinkName, ...] = (
    "diner_edge",
    "diner_cloud",
    "edge_edge",
    "edge_arbiter",
    "edge_cloud",
    "edge_kds",
    "cloud_database",
)
DeviceName = Literal["primary", "standby", "edge_a", "edge_b"]
PoweredName = Literal["primary", "standby", "edge_a", "edge_b", "store"]
ProcessName = Literal["primary", "standby", "edge_a", "edge_b", "arbiter", "cloud", "kitchen", "postgres"]

SHARED_LINKS: frozenset[str] = frozenset({"diner_cloud", "cloud_database"})
SHARED_PROCESSES: frozenset[str] = frozenset({"cloud", "postgres"})

LatencyMs = Annotated[
    float, Field(ge=0, le=60_000, description="One-way latency added in each direction, in milliseconds.")
]
JitterMs = Annotated[
    float, Field(ge=0, le=60_000, description="The most that is added to or taken from each latency, in milliseconds.")
]
RateKbitS = Annotated[
    float, Field(gt=0, le=10_000_000, description="Bandwidth in each direction, in kilobits per second.")
]


class Strict(BaseModel):
    """No unknown fields, no silent conversion, no change after reading."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=False
    )


class LinkState(Strict):
    """How a link is: the name of a profile, or figures that hold in both directions."""

    profile: str | None = Field(None, description="Name of a link profile, built in or of this file's `profiles`.")
    latency_ms: LatencyMs | None = None
    jitter_ms: JitterMs | None = None
    rate_kbit_s: RateKbitS | None = None

    @property
    def has_figures(self) -> bool:
        """Whether any figure is given."""
        return any(figure is not None for figure in (self.latency_ms, self.jitter_ms, self.rate_kbit_s))

    def figures(self, name: str) -> LinkProfile:
        """The figures as a profile with this name; what is not given adds nothing and limits nothing."""
        return symmetric(name, self.latency_ms or 0.0, self.jitter_ms or 0.0, self.rate_kbit_s, "this scenario")


class _Planned(Strict):
    name: str | None = Field(
        None, min_length=1, max_length=80, description="Name in reports; default: what, on what and when."
    )
    at_s: float = Field(ge=0, description="When the fault begins, in real seconds after the load began.")
    store: str | None = Field(None, description="The store that is hit; may be left out when there is only one.")


class LinkWeak(_Planned, LinkState):
    """A link gets slow: a profile or figures instead of its standing state."""

    fault: Literal["link_weak"] = Field(description="A link gets slow.")
    link: LinkName = Field(description="The link that is weakened.")
    for_s: float | None = Field(
        None, gt=0, description="How long it lasts, in real seconds; left out: until the end of the load."
    )


class LinkDown(_Planned):
    """A link carries nothing."""

    fault: Literal["link_down"] = Field(description="A link carries nothing.")
    link: LinkName = Field(description="The link that is cut.")
    direction: Literal["both", "to", "from"] = Field(
        "both", description="What is cut: `to` the end named second (requests), `from` it (answers), or both."
    )
    for_s: float | None = Field(
        None, gt=0, description="How long it lasts, in real seconds; left out: until the end of the load."
    )


class ProcessKilled(_Planned):
    """A process is killed (SIGKILL) and started again after `for_s`."""

    fault: Literal["process_killed"] = Field(description="A process is killed and started again later.")
    process: ProcessName = Field(
        description="The process that is hit; `primary` and `standby` are looked up when the fault begins."
    )
    for_s: float = Field(gt=0, description="How long the process is gone, in real seconds.")


class ProcessPaused(_Planned):
    """A process is stopped (SIGSTOP) and goes on after `for_s` as if nothing had happened."""

    fault: Literal["process_paused"] = Field(description="A process stands still and goes on later.")
    process: ProcessName = Field(
        description="The process that is hit; `primary` and `standby` are looked up when the fault begins."
    )
    for_s: float = Field(gt=0, description="How long the process stands still, in real seconds.")


class ProcessRestarted(_Planned):
    """A process is killed and started again at once."""

    fault: Literal["process_restarted"] = Field(description="A process is killed and started again at once.")
    process: ProcessName = Field(
        description="The process that is hit; `primary` and `standby` are looked up when the fault begins."
    )

    @property
    def for_s(self) -> None:
        """A restart has no length of its own."""
        return None


class DiskLost(_Planned):
    """A device dies with its disk and comes back empty, as a new node."""

    fault: Literal["disk_lost"] = Field(description="A device dies with its disk and comes back empty.")
    process: DeviceName = Field(
        description="The device that is hit; `primary` and `standby` are looked up when the fault begins."
    )
    for_s: float = Field(gt=0, description="How long the device is gone, in real seconds.")


class PowerCut(_Planned):
    """Power fails: what was not flushed to the disk is gone."""

    fault: Literal["power_cut"] = Field(description="Power fails: what was not flushed is gone.")
    process: PoweredName = Field(description="The device that is hit, or `store`: everything in the store at once.")
    for_s: float = Field(gt=0, description="How long power is out, in real seconds.")


class GlassBroken(_Planned):
    """A person breaks glass: the device that is left is to go on in place of the members, who are gone for good."""

    fault: Literal["break_glass"] = Field(
        description="A person names the device that is left, in place of the members."
    )
    process: Literal["survivor"] = Field(
        "survivor", description="The device that is no member; there is no other choice."
    )
    without_cloud: bool = Field(False, description="Whether it goes on without asking the cloud what it holds.")
    for_s: float = Field(10.0, gt=0, description="How long it may take, in real seconds.")


LinkFault = LinkWeak | LinkDown
ProcessFault = ProcessKilled | ProcessPaused | ProcessRestarted | DiskLost | PowerCut | GlassBroken
Fault = LinkFault | ProcessFault
PlannedFault = Annotated[Fault, Field(discriminator="fault")]


def fault_target(fault: Fault) -> str:
    """The link or the process that the fault hits, as the scenario names it."""
    return fault.link if isinstance(fault, LinkFault) else fault.process


def fault_label(fault: Fault) -> str:
    """The fault's name, or what, on what and when."""
    return fault.name or f"{fault.fault} {fault_target(fault)} at {fault.at_s:g} s"


def fault_end_s(fault: Fault, duration_s: float) -> float:
    """When the fault ends, in seconds after the load began; a link fault without length ends with the load."""
    if isinstance(fault, ProcessRestarted):
        return fault.at_s
    return duration_s if fault.for_s is None else fault.at_s + fault.for_s
