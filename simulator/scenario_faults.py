"""The faults that a scenario may plan: strict, frozen models, one for each shape of fault."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from simulator.scenario_fields import Strict
from simulator.scenario_links import LinkState
from simulator.scenario_partners import PartnerRules
from simulator.scenario_targets import (
    DeviceName,
    DiskName,
    HttpLinkName,
    LinkName,
    PoweredName,
    ProcessName,
    ProgramName,
)

LOOKED_UP = "`primary` and `standby` are looked up when the fault begins."
PROCESS_HIT: Any = Field(description=f"The process that is hit; {LOOKED_UP}")
DEVICE_HIT: Any = Field(description=f"The device that is hit; {LOOKED_UP}")
DISK_HIT: Any = Field(description=f"Whose disk it is; {LOOKED_UP}")


class _Planned(Strict):
    name: str | None = Field(
        None, min_length=1, max_length=80, description="Name in reports; default: what, on what and when."
    )
    at_s: float = Field(ge=0, description="When the fault begins, in real seconds after the load began.")
    store: str | None = Field(None, description="The store that is hit; may be left out when there is only one.")


class LinkWeak(_Planned, LinkState):
    """A link gets slow or lossy: a profile, figures or a recording instead of its standing state."""

    fault: Literal["link_weak"] = Field(description="A link gets slow or lossy.")
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


class HttpErrors(_Planned):
    """Some requests over a link are answered with an error in place of the upstream; the others pass."""

    fault: Literal["http_errors"] = Field(description="Some requests are answered with an error on their way.")
    link: HttpLinkName = Field(description="The link whose requests fail; it must carry HTTP.")
    path: str = Field("/", max_length=200, description="Requests whose path begins so fail.")
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] | None = Field(
        None, description="Requests of this method fail; left out: of any."
    )
    status: int = Field(
        503,
        ge=500,
        le=599,
        description="The status that they are answered with: 5xx, for a 4xx would say it is their fault.",
    )
    share: float = Field(1.0, gt=0, le=1, description="The share of them that fails.")
    for_s: float | None = Field(
        None, gt=0, description="How long it lasts, in real seconds; left out: until the end of the load."
    )


class ProcessKilled(_Planned):
    """A process is killed (SIGKILL) and started again after `for_s`."""

    fault: Literal["process_killed"] = Field(description="A process is killed and started again later.")
    process: ProcessName = PROCESS_HIT
    for_s: float = Field(gt=0, description="How long the process is gone, in real seconds.")


class ProcessPaused(_Planned):
    """A process is stopped (SIGSTOP) and goes on after `for_s` as if nothing had happened."""

    fault: Literal["process_paused"] = Field(description="A process stands still and goes on later.")
    process: ProcessName = PROCESS_HIT
    for_s: float = Field(gt=0, description="How long the process stands still, in real seconds.")


class ProcessRestarted(_Planned):
    """A process is killed and started again at once."""

    fault: Literal["process_restarted"] = Field(description="A process is killed and started again at once.")
    process: ProcessName = PROCESS_HIT

    @property
    def for_s(self) -> None:
        """A restart has no length of its own."""
        return None


class ProcessSlow(_Planned):
    """A process runs a fraction of the time only, by SIGSTOP and SIGCONT: alive, but `slow_factor` times slower."""

    fault: Literal["process_slow"] = Field(description="A process is alive, but many times slower.")
    process: ProcessName = PROCESS_HIT
    slow_factor: float = Field(10.0, ge=1.5, le=50, description="It runs one part in so many of the time.")
    for_s: float = Field(ge=1, description="How long the process is slow, in real seconds.")


class RestartLoop(_Planned):
    """A process dies again and again, as by a crash loop, and is started again each time."""

    fault: Literal["restart_loop"] = Field(description="A process is killed and started again, over and over.")
    process: ProgramName = PROCESS_HIT
    every_s: float = Field(1.0, ge=0.2, description="Time from one kill to the next, in real seconds.")
    for_s: float = Field(gt=0, description="How long this goes on, in real seconds.")


class DiskFull(_Planned):
    """A disk takes no further write (ENOSPC); at the end there is space again, and what has stopped is started."""

    fault: Literal["disk_full"] = Field(description="A disk is full: every write fails with ENOSPC.")
    process: DiskName = DISK_HIT
    for_s: float = Field(gt=0, description="How long the disk is full, in real seconds.")


class DiskSlow(_Planned):
    """Every sync of a disk takes longer."""

    fault: Literal["disk_slow"] = Field(description="A disk is slow: every sync takes longer.")
    process: DiskName = DISK_HIT
    delay_ms: float = Field(100.0, gt=0, le=60_000, description="What is added to each sync, in milliseconds.")
    for_s: float = Field(gt=0, description="How long the disk is slow, in real seconds.")


class DiskErring(_Planned):
    """Operations of a disk fail with EIO; at the end they work again, and what has stopped is started."""

    fault: Literal["disk_erring"] = Field(description="A disk fails operations with EIO.")
    process: DiskName = DISK_HIT
    operation: Literal["write", "sync", "read"] = Field("sync", description="The operations that fail.")
    for_s: float = Field(gt=0, description="How long the disk errs, in real seconds.")


class DiskDead(_Planned):
    """A disk dies under the running device, which has to stop by itself; it comes back with an empty one, as a new node."""

    fault: Literal["disk_dead"] = Field(description="A disk dies under its device, which comes back with an empty one.")
    process: DeviceName = DEVICE_HIT
    for_s: float = Field(gt=0, description="How long until the disk is replaced, in real seconds.")


class ClockOffset(_Planned):
    """The wall clock of a process jumps, and jumps back at the end; its monotonic clock goes on."""

    fault: Literal["clock_offset"] = Field(description="The wall clock of a process is wrong.")
    process: ProgramName = PROCESS_HIT
    offset_s: float = Field(ge=-1e9, le=1e9, description="By how much it jumps, in seconds; below 0: into the past.")
    for_s: float = Field(gt=0, description="How long the clock is wrong, in real seconds.")


class ClockDrift(_Planned):
    """The wall clock of a process goes too fast or too slow, and jumps back at the end."""

    fault: Literal["clock_drift"] = Field(description="The wall clock of a process goes too fast or too slow.")
    process: ProgramName = PROCESS_HIT
    drift_ppm: float = Field(
        ge=-1e6,
        le=1e7,
        description="What it gains, in microseconds for each second; below 0: loses. -1000000 stands still.",
    )
    for_s: float = Field(gt=0, description="How long the clock is wrong, in real seconds.")


class DescriptorsExhausted(_Planned):
    """A process may open no further files and connections (EMFILE)."""

    fault: Literal["descriptors_exhausted"] = Field(description="A process is out of file descriptors.")
    process: ProgramName = PROCESS_HIT
    spare: int = Field(0, ge=0, le=1_000, description="How many further descriptors it may still open.")
    for_s: float = Field(gt=0, description="How long this lasts, in real seconds.")


class MemoryExhausted(_Planned):
    """A process gets no further memory from the kernel (ENOMEM)."""

    fault: Literal["memory_exhausted"] = Field(description="A process gets no further memory.")
    process: ProgramName = PROCESS_HIT
    spare_mb: float = Field(0.0, ge=0, le=100_000, description="How much it may still take, in megabytes.")
    for_s: float = Field(gt=0, description="How long this lasts, in real seconds.")


class ConnectionsExhausted(_Planned):
    """The database refuses further connections: all that it allows are held by somebody else."""

    fault: Literal["connections_exhausted"] = Field(description="The database is out of connections.")
    process: Literal["postgres"] = Field("postgres", description="The database; there is no other choice.")
    for_s: float = Field(gt=0, description="How long this lasts, in real seconds.")


class DiskLost(_Planned):
    """A device dies with its disk and comes back empty, as a new node."""

    fault: Literal["disk_lost"] = Field(description="A device dies with its disk and comes back empty.")
    process: DeviceName = DEVICE_HIT
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


class PrinterTrouble(_Planned):
    """A store's printer stops printing, until somebody puts it right."""

    fault: Literal["printer_trouble"] = Field(description="The printer stops: paper, jam, cover, hang or no power.")
    process: Literal["printer"] = Field("printer", description="The store's printer; there is no other choice.")
    trouble: Literal["paper_out", "jam", "cover_open", "hang", "off"] = Field(
        description="What is wrong; `off`: its plug is pulled, and what it had not printed is lost."
    )
    for_s: float = Field(gt=0, description="How long until somebody puts it right, in real seconds.")


class PartnerMisbehaves(_Planned, PartnerRules):
    """A partner of the chain does things wrong for a while: answers late or not at all, sends twice, signs wrongly."""

    fault: Literal["partner_misbehaves"] = Field(description="A partner does things wrong, by rules of its own.")
    for_s: float = Field(gt=0, description="How long this lasts, in real seconds.")


LinkFault = LinkWeak | LinkDown | HttpErrors
DiskTrouble = DiskFull | DiskSlow | DiskErring | DiskDead
ClockFault = ClockOffset | ClockDrift
ProcessFault = (
    ProcessKilled
    | ProcessPaused
    | ProcessRestarted
    | ProcessSlow
    | RestartLoop
    | DiskTrouble
    | ClockFault
    | DescriptorsExhausted
    | MemoryExhausted
    | ConnectionsExhausted
    | DiskLost
    | PowerCut
    | PrinterTrouble
    | PartnerMisbehaves
    | GlassBroken
)
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
