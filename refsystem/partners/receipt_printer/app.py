"""The printer's own HTTP routes, which no real printer has: what a person would do to it, and the paper for an audit."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, ConfigDict, Field

from refsystem.ordering.errors import Problem
from refsystem.partners.operator_routes import After, Limit, health_routes, misbehaviour_routes, page
from refsystem.partners.partner_app import partner_app
from refsystem.partners.receipt_printer.driver import PrinterDriver
from refsystem.partners.receipt_printer.misbehaviour import Plan
from refsystem.partners.receipt_printer.settings import PrinterSettings
from refsystem.problems import BODY_BYTES_MAX, REQUEST_INVALID, problem_docs
from refsystem.telemetry import Telemetry

CONDITION_INVALID = Problem("condition-invalid", 422, "The request is not well formed", True)
ROLL_LINES_MAX = 10**9


class ConditionChange(BaseModel):
    """What a person does to the printer; what is left out stays as it is."""

    model_config = ConfigDict(strict=True, extra="forbid")

    paper_lines: Annotated[int, Field(ge=0, le=ROLL_LINES_MAX)] | None = Field(
        default=None, description="lines left on the roll"
    )
    jammed: bool | None = Field(default=None, description="the cutter is jammed; false: somebody has cleared it")
    cover_open: bool | None = None
    hanging: bool | None = Field(default=None, description="it is on, and neither reads nor prints nor answers")
    refusing: bool | None = Field(default=None, description="it takes no new connection")
    power: bool | None = Field(default=None, description="false: switched off, and what it had not printed is lost")


class ConditionReply(BaseModel):
    """The printer as it is, and the four bytes that it answers DLE EOT 1 to 4 with."""

    power: bool
    refusing: bool
    paper_lines: int
    jammed: bool
    cover_open: bool
    hanging: bool
    status: list[int]
    waiting_bytes: int
    drawer_opened: int
    unknown_commands: int


def create_app(settings: PrinterSettings) -> FastAPI:
    """The printer, with its paper and its port; raises `OSError` or `apsw.Error` if they cannot be used.

    It takes connections when this application starts.
    """
    telemetry = Telemetry("printer")
    driver = PrinterDriver(settings, telemetry)

    router = APIRouter(tags=["operator"])

    @router.get("/v1/operator/condition")
    async def condition() -> ConditionReply:
        """The printer as it is."""
        return _told(driver)

    @router.patch("/v1/operator/condition", responses=problem_docs(CONDITION_INVALID))
    async def change_condition(change: ConditionChange) -> ConditionReply:
        """Put paper in, take it out, jam the cutter or clear it, open the cover, pull the plug."""
        await _change(driver, change)
        return _told(driver)

    @router.get("/v1/audit/paper", tags=["audit"], responses=problem_docs(REQUEST_INVALID))
    async def paper(after: After = 0, limit: Limit = 1000) -> dict[str, Any]:
        """Every slip that came out, the one that is not cut yet too (`cut_at_us` null), by what can be read on it."""
        rows = driver.slips(after, limit)
        return page("slips", rows, limit, "slip")

    router.include_router(misbehaviour_routes(driver.misbehaviour, Plan, CONDITION_INVALID))
    router.include_router(health_routes())
    return partner_app("receipt printer", driver, telemetry, [router], CONDITION_INVALID, BODY_BYTES_MAX)


async def _change(driver: PrinterDriver, change: ConditionChange) -> None:
    fields = ("paper_lines", "jammed", "cover_open", "hanging")
    changes = {name: value for name in fields if (value := getattr(change, name)) is not None}
    if changes:
        driver.set_condition(replace(driver.machine.condition, **changes))
    if change.refusing is not None:
        await driver.set_refusing(change.refusing)
    if change.power is not None:
        await (driver.switch_on() if change.power else driver.switch_off())


def _told(driver: PrinterDriver) -> ConditionReply:
    machine, now = driver.machine, driver.machine.condition
    return ConditionReply(
        power=driver.on,
        refusing=driver.refusing,
        paper_lines=now.paper_lines,
        jammed=now.jammed,
        cover_open=now.cover_open,
        hanging=now.hanging,
        status=[machine.status(number) for number in (1, 2, 3, 4)],
        waiting_bytes=machine.waiting_bytes,
        drawer_opened=machine.drawer_opened,
        unknown_commands=machine.unknown_commands,
    )
