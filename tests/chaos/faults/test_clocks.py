"""A wall clock that is wrong: told by the process itself, without a part in any decision, right again at the end."""

from __future__ import annotations

import ast
import asyncio
import logging
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

import refsystem
from chaos.faults import clocks as clock_faults
from chaos.faults.base import FaultError, Target
from chaos.faults.clocks import ClockWrong
from refsystem import clocks, drill_control
from refsystem.drill_control import ClockTrouble, Control
from refsystem.ordering.menu import DEMO_MENU
from refsystem.telemetry import configure_logging

WALL_CLOCKS = {
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "localtime"),
    ("time", "gmtime"),
    ("time", "ctime"),
    ("time", "strftime"),
    ("time", "clock_gettime"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("uuid", "uuid1"),
}
DAY_S = 86_400.0


def target() -> Target:
    return Target("process", "process")


def wall_clock_reads(source: str) -> set[str]:
    """The calls in a module that read the wall clock, however it is imported."""
    tree = ast.parse(source)
    names = {(call, name) for call, name in WALL_CLOCKS}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if (owner, node.attr) in names:
                found.add(f"{owner}.{node.attr}")
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "uuid"):
            found |= {f"{node.module}.{alias.name}" for alias in node.names if (node.module, alias.name) in names}
    return found


def test_the_stack_reads_the_wall_clock_in_one_place() -> None:
    """So nothing but log lines and `/metrics` can be spoilt by a clock that is wrong. Partners are no part of the stack."""
    folder = Path(refsystem.__file__).parent
    sources = {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("*.py")
        if "partners" not in path.relative_to(folder).parts
    }
    reads = {name: found for name, source in sources.items() if (found := wall_clock_reads(source))}
    assert reads == {"clocks.py": {"time.time_ns", "time.localtime", "time.strftime"}}
    users = {name for name, source in sources.items() if "wall_us" in source or "local_time()" in source}
    dated = {
        "edge/cashier_desk.py",  # another device may go on with a payment; a wrong clock never charges twice
        "edge/printing.py",  # the time of day on paper, and when a slip was begun
        "cloud/platforms.py",  # a webhook whose signature is too old is refused, and asked for again
        "cloud/platform_pushes.py",  # a version that only ever grows
        "edge/app.py",  # a pre-order for too far a day is refused, unless it was taken already
        "cloud/orders.py",  # as there
        "cloud/permissions.py",  # whether a table's token has ended
        "kitchen_display/store.py",  # a pre-order is fired, too early or too late by a wrong clock, and a person may
        "kitchen_display/shown.py",  # when that will be
        "kitchen_display/app.py",  # whether a cook's token has ended
        "edge/alert_routes.py",  # a lot's last day, for people
        "edge/store_routes.py",  # as there
        "cloud/store_reads.py",  # as there
    }
    assert users == {"clocks.py", "telemetry.py"} | dated, (
        "whoever decides something by the wall clock says here why that is safe"
    )


def test_the_database_puts_its_clock_only_into_columns_that_nothing_is_decided_by() -> None:
    folder = Path(refsystem.__file__).parent
    queries = (folder / "cloud" / "sql" / "queries.sql").read_text(encoding="utf-8").splitlines()
    noted = ("created_at", "received_at", "forked_at", "last_at")
    conditions = [line.partition("WHERE")[2].partition("ORDER BY")[0] for line in queries if "WHERE" in line]
    assert conditions
    assert not [line for line in conditions if "now()" in line or any(name in line for name in noted)]


@pytest.mark.parametrize(
    "source", ["from time import time", "import datetime\ndatetime.datetime.now()", "uuid.uuid1()"]
)
def test_a_read_of_the_wall_clock_would_be_found(source: str) -> None:
    assert wall_clock_reads(source)


def test_a_clock_may_jump_and_drift_and_the_monotonic_clock_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = Control(tmp_path / "control.json")
    monkeypatch.setattr(drill_control, "from_environment", lambda: control)
    assert abs(clocks.wall_us() - time.time_ns() // 1000) < 1_000_000
    drill_control.change(control.path, clock=ClockTrouble(offset_us=-3_600_000_000))
    assert abs(clocks.wall_us() - time.time_ns() // 1000 + 3_600_000_000) < 1_000_000
    assert abs(clocks.monotonic_us() - time.monotonic_ns() // 1000) < 1_000_000
    assert ClockTrouble(0, 200.0, 1_000_000).skew_us(11_000_000) == 2_000
    assert ClockTrouble(5, -1_000_000, 0).skew_us(7) == -2, "it stands still"


def test_a_log_line_shows_the_time_as_the_process_sees_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clocks, "wall_us", lambda: 86_400_000_000 * 10 + 5_000)
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        configure_logging(json_lines=True)
        logging.getLogger("test").warning("a line")
    finally:
        logging.getLogger().handlers[:], level = before
        logging.getLogger().setLevel(level)
    assert '"at": 864000.005' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("process", ["s1.edge_b", "s1.arbiter", "s1.kitchen"])
def test_an_offset_is_told_by_the_process_and_undone(store: Any, process: str) -> None:
    fault = ClockWrong(store, store.program(process), target(), offset_s=-DAY_S)

    async def conversation() -> None:
        await fault.begin()
        for effect in (await fault.prove(), await fault.held()):
            assert effect.proven
            told = float(effect.evidence.removeprefix(f"{process} tells a wall clock ").split()[0])
            assert told == pytest.approx(-DAY_S, abs=0.5)
            assert "a monotonic clock like ours" in effect.evidence
        assert await fault.undo() == f"the clock of {process} is right again, by its own telling"

    asyncio.run(conversation())


@pytest.mark.slow
def test_a_drift_grows_and_a_restart_does_not_mend_it(store: Any) -> None:
    process = store.program("s1.kitchen")
    fault = ClockWrong(store, process, target(), drift_ppm=500_000)

    async def conversation() -> None:
        await fault.begin()
        early = await fault.prove()
        assert early.proven
        process.kill()
        process.start()
        await process.wait_ready()
        late = await fault.held()
        assert late.proven
        told = [float(effect.evidence.split("wall clock ")[1].split()[0]) for effect in (early, late)]
        assert 0 < told[0] < told[1]
        await fault.undo()

    asyncio.run(conversation())


@pytest.mark.slow
def test_a_clock_that_is_right_or_wrong_in_another_way_proves_nothing(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_faults, "PROOF_TIMEOUT_S", 0.3)
    process = store.program("s1.kitchen")
    path = store.control_path("s1.kitchen")
    fault = ClockWrong(store, process, target(), offset_s=60.0)
    asyncio.run(fault.begin())
    drill_control.change(path, clock=None)
    effect = asyncio.run(fault.prove())
    assert not effect.proven
    assert "(+60.000 s was to be)" in effect.evidence
    drill_control.change(path, clock=ClockTrouble(offset_us=59_000_000))
    assert not asyncio.run(fault.prove()).proven
    with monkeypatch.context() as stuck:
        stuck.setattr(drill_control, "change", lambda *_, **__: None)
        with pytest.raises(FaultError, match=r"the clock of s1\.kitchen is still 5[89]"):
            asyncio.run(fault.undo())
    asyncio.run(fault.undo())
    tiny = ClockWrong(store, process, target(), drift_ppm=0.001)
    asyncio.run(tiny.begin())
    effect = asyncio.run(tiny.prove())
    assert not effect.proven
    assert effect.evidence.endswith("which is too little to be seen")
    asyncio.run(tiny.undo())


@pytest.mark.slow
def test_orders_go_on_at_r2_while_clocks_jump_back_and_forth(store: Any) -> None:
    """P4 and P7 to P9: no time-out, no promotion, no lower level, however the devices' and the arbiter's clocks jump."""
    names = ("s1.edge_a", "s1.edge_b", "s1.arbiter")
    primary = next(name for name in names if store.status(name)["role"] == "primary")
    epoch = store.status(primary)["epoch"]
    body = {
        "channel": "qr",
        "table": "7",
        "items": [{"item_id": "steamed-rice", "quantity": 1}],
        "total_minor": DEMO_MENU.by_id["steamed-rice"].price_minor,
        "note": "",
    }
    levels = []
    try:
        with httpx.Client(trust_env=False, timeout=5) as http:
            for number in range(24):
                name = names[number % 3]
                offset_s = (-1) ** number * 10**number if number < 9 else (-1) ** number * 3600
                drill_control.change(store.control_path(name), clock=ClockTrouble(offset_s * 1_000_000))
                answer = http.post(
                    f"{store.url(primary)}/v1/orders", json=body, headers={"Idempotency-Key": str(uuid.uuid4())}
                )
                levels.append(answer.json().get("level"))
                time.sleep(0.05)
    finally:
        for name in names:
            drill_control.change(store.control_path(name), clock=None)
    assert levels == ["R2"] * 24
    assert store.status(primary)["epoch"] == epoch
    assert store.status(primary)["role"] == "primary"
