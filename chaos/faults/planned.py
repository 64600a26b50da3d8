"""From a fault that a scenario plans for a process to the one that is injected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaos.faults.base import Injected, Target
from chaos.faults.clocks import ClockWrong
from chaos.faults.database import ConnectionsExhausted
from chaos.faults.disks import DiskDied, DiskTroubled
from chaos.faults.partners import PartnerMisbehaving
from chaos.faults.printers import PrinterTroubled
from chaos.faults.processes import DiskLost, Killed, Paused, Restarted
from chaos.faults.resources import DescriptorsExhausted, MemoryExhausted
from chaos.faults.restarts import RestartLoop
from chaos.faults.slowness import DATABASE_STOPPED_S_MAX, STOPPED_S_MAX, Slowed
from refsystem.drill_control import DiskState, DiskTrouble
from refsystem.stack import Stack
from simulator import scenario as planned

DISK_ERRORS: Mapping[str, DiskState] = {"write": "write_erring", "sync": "sync_erring", "read": "read_erring"}

StackFault = (
    planned.ProcessKilled
    | planned.ProcessRestarted
    | planned.ProcessPaused
    | planned.ProcessSlow
    | planned.RestartLoop
    | planned.DiskTrouble
    | planned.ClockFault
    | planned.DescriptorsExhausted
    | planned.MemoryExhausted
    | planned.ConnectionsExhausted
    | planned.DiskLost
    | planned.PowerCut
    | planned.PrinterTrouble
    | planned.PartnerMisbehaves
)


def needs_control(fault: planned.Fault) -> bool:
    """Whether the process must have been started with a control file."""
    return isinstance(fault, planned.DiskTrouble | planned.ClockFault)


def loses_disk(fault: planned.Fault) -> bool:
    """Whether the device comes back with an empty disk, as another node."""
    return isinstance(fault, planned.DiskLost | planned.DiskDead)


def calls_for_failover(fault: planned.Fault) -> bool:
    """Whether another device has to take over from a primary that is hit; what is slow or wrong may stay primary."""
    if isinstance(fault, planned.DiskErring):
        return fault.operation != "read"
    stays = planned.ProcessSlow | planned.DiskSlow | planned.ClockFault
    others = planned.DescriptorsExhausted | planned.MemoryExhausted | planned.PartnerMisbehaves
    return not isinstance(fault, stays | others)


def injected_fault(fault: StackFault, stack: Stack, names: Sequence[str], target: Target, seed: int = 0) -> Injected:
    """The fault on the stack's processes with these names, of which all but a loss of power hit one; `seed` is the run's."""
    name = names[0]
    match fault:
        case planned.ProcessKilled():
            return Killed(stack, [stack.process(name)], target)
        case planned.ProcessRestarted():
            return Restarted(stack, [stack.process(name)], target)
        case planned.ProcessPaused():
            return Paused(stack.process(name), target)
        case planned.ProcessSlow():
            stopped_s_max = DATABASE_STOPPED_S_MAX if name == "postgres" else STOPPED_S_MAX
            return Slowed(stack.process(name), fault.slow_factor, target, stopped_s_max)
        case planned.RestartLoop():
            return RestartLoop(stack.process(name), fault.every_s, target)
        case planned.DiskLost():
            return DiskLost(stack, [stack.process(name)], target)
        case planned.PowerCut():
            return Killed(stack, [stack.process(each) for each in names], target, power=True)
        case planned.PartnerMisbehaves():
            return PartnerMisbehaving(stack, name, fault.rules, seed, target)
        case planned.PrinterTrouble():
            return PrinterTroubled(stack, name, fault.trouble, target)
        case planned.ConnectionsExhausted():
            return ConnectionsExhausted(stack, stack.process(name), target)
        case planned.DescriptorsExhausted():
            return DescriptorsExhausted(stack.program(name), fault.spare, target)
        case planned.MemoryExhausted():
            return MemoryExhausted(stack.program(name), fault.spare_mb, target)
        case planned.ClockOffset():
            return ClockWrong(stack, stack.program(name), target, offset_s=fault.offset_s)
        case planned.ClockDrift():
            return ClockWrong(stack, stack.program(name), target, drift_ppm=fault.drift_ppm)
        case planned.DiskFull():
            return DiskTroubled(stack, stack.program(name), DiskTrouble("full"), target)
        case planned.DiskSlow():
            return DiskTroubled(stack, stack.program(name), DiskTrouble("slow", fault.delay_ms), target)
        case planned.DiskErring():
            return DiskTroubled(stack, stack.program(name), DiskTrouble(DISK_ERRORS[fault.operation]), target)
        case planned.DiskDead():
            return DiskDied(stack, stack.program(name), target)
