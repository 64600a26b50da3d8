"""A party at work: the thread that owns its database, and its misbehaviour around what is asked of it.

Whatever goes wrong goes wrong outside of the store: a request is done wholly and once, or not at all, and only what the caller
hears of it is disturbed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import apsw

from refsystem.ordering.errors import OUTCOME_UNKNOWN, Problem
from refsystem.partners.disturbed import Disturbed
from refsystem.partners.misbehaviour import OperationRule, PlanBase, Strikes
from refsystem.partners.partner_store import PartnerStore
from refsystem.problems import ProblemError
from refsystem.telemetry import Telemetry

StoreT = TypeVar("StoreT", bound=PartnerStore)
RuleT = TypeVar("RuleT", bound=OperationRule)
Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class Partner(Generic[StoreT, RuleT]):
    """One process' work. A party opens its `_store` when it is made; all but the argument of `run` is called in the loop."""

    _store: StoreT

    def __init__(
        self,
        name: str,
        telemetry: Telemetry,
        plan: PlanBase[RuleT],
        kinds: Iterable[str],
        stuck: Problem,
        failed: Problem,
    ) -> None:
        struck = telemetry.counter(f"{name}_misbehaviour_total", "What was done wrong on request", ("kind",))
        self.misbehaviour = Strikes(plan, kinds, struck)
        self.disturbed = Disturbed(self.misbehaviour.next_try, self.strikes, stuck, failed)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-store")

    async def start(self) -> None:
        """Begin what goes on without being asked for."""

    async def stop(self) -> None:
        """Finish what waits and close the database."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown()

    async def run(self, work: Callable[[StoreT], Result]) -> Result:
        """Do `work` in the store's thread, behind what waits there already."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._store)
        except apsw.Error as error:
            logger.exception("the database failed")
            raise ProblemError(OUTCOME_UNKNOWN, f"the database failed ({type(error).__name__})") from error

    def strikes(self, kind: str, operation: str, key: str, attempt: int = 0) -> RuleT | None:
        """The rule that strikes now, noted as struck; or None. `attempt` 0: the one and only. Threads may ask."""
        return self.misbehaviour.strikes(kind, operation, key, attempt)
