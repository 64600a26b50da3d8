"""One look at one probe: whether it holds, and what was seen."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from chaos.observer import Json, Sample
from simulator.scenario_steady_state import AnsweredProbe, FigureName, FigureProbe


@dataclass(frozen=True, slots=True)
class Reading:
    """`holds` is None where nothing can be said; `value` is in the probe's own unit (ms, a share, a count)."""

    holds: bool | None
    value: float | None
    detail: str


def probe_client() -> httpx.AsyncClient:
    """A client that connects anew for each question, as one who comes does."""
    return httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


async def read_http(http: httpx.AsyncClient, url: str, status: int, within_ms: float) -> Reading:
    """Ask `url` once; an answer that is not there in time does not hold, whatever it would be."""
    began_s = time.monotonic()
    try:
        answer = await http.get(url, timeout=within_ms / 1000)
    except httpx.TimeoutException:
        return Reading(False, None, f"no answer within {within_ms:g} ms")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Reading(False, None, f"no answer ({type(error).__name__})")
    took_ms = (time.monotonic() - began_s) * 1000
    seen = f"{answer.status_code} after {took_ms:.0f} ms"
    return Reading(answer.status_code == status and took_ms <= within_ms, round(took_ms, 1), seen)


def read_figure(probe: FigureProbe, sample: Sample) -> Reading:
    """A figure of a sample; a place that does not tell it is not steady."""
    value = _figure(probe.figure, sample)
    if value is None:
        return Reading(False, None, f"{probe.figure} is not told")
    return Reading(value <= probe.most, value, f"{probe.figure} is {value}, {probe.most} is the most")


def _figure(name: FigureName, sample: Sample) -> int | None:
    primary, kitchen = sample.primary, sample.kitchen
    if name == "tickets_waiting":
        return None if kitchen is None else int(kitchen["waiting"])
    if primary is None:
        return None
    match name:
        case "cloud_behind":
            return sample.backlog
        case "kitchen_behind":
            return None if kitchen is None else int(primary["commit_seq"]) - int(kitchen["cursor"]["seq"])
        case "standby_behind":
            standby: Json | None = sample.edges["b" if primary["slot"] == "a" else "a"]
            return None if standby is None else max(0, int(primary["commit_seq"]) - int(standby["commit_seq"]))
        case "requests_waiting":
            return int(primary["waiting"])


@dataclass
class Settled:
    """The orders of which something was settled lately, from the history that the load writes.

    An order counts once, however often its diner asked: being sent on to the other device is no refusal.
    """

    history: Path
    keep_us: int
    _rows: deque[tuple[int, str, str]] = field(default_factory=deque)
    _told_yes: dict[str, int] = field(default_factory=dict)
    _offsets: dict[Path, int] = field(default_factory=dict)

    def read(self, probe: AnsweredProbe, now_us: int) -> Reading:
        """The share that was told yes of the orders of the probe's last seconds; None without any."""
        self._follow(now_us)
        since_us = now_us - round(probe.last_s * 1e6)
        orders = {
            order_id for at_us, store, order_id in self._rows if at_us >= since_us and probe.store in (None, store)
        }
        if not orders:
            return Reading(None, None, f"no order was settled in the last {probe.last_s:g} s")
        told = len(orders & self._told_yes.keys())
        share = told / len(orders)
        seen = f"{told} of {len(orders)} orders of the last {probe.last_s:g} s were told yes"
        return Reading(share >= probe.share, round(share, 4), seen)

    def _follow(self, now_us: int) -> None:
        for path in sorted(self.history.glob("*.jsonl")):
            for row in self._new_rows(path):
                if row.get("event") == "complete" and row.get("kind") == "order" and row.get("completed_at_us"):
                    self._note(int(row["completed_at_us"]), str(row["store"]), str(row["order_id"]), row["outcome"])
        while self._rows and self._rows[0][0] < now_us - self.keep_us:
            at_us, _, order_id = self._rows.popleft()
            if self._told_yes.get(order_id, now_us) <= at_us:
                del self._told_yes[order_id]

    def _note(self, at_us: int, store: str, order_id: str, outcome: str) -> None:
        self._rows.append((at_us, store, order_id))
        if outcome == "ok":
            self._told_yes[order_id] = max(at_us, self._told_yes.get(order_id, 0))

    def _new_rows(self, path: Path) -> Iterable[Json]:
        with path.open("rb") as lines:
            lines.seek(self._offsets.get(path, 0))
            data = lines.read()
        whole = data.rfind(b"\n") + 1
        self._offsets[path] = self._offsets.get(path, 0) + whole
        return [json.loads(line) for line in data[:whole].splitlines()]
