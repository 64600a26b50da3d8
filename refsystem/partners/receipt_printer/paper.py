"""The paper that came out of a printer, in SQLite: it stays when the printer is switched off or its process is killed.

A line is kept when it is printed, before anything is answered about it. Nothing here survives a power cut of the host, and
nothing needs to: the paper is the test's witness, not a part of the system.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from refsystem.partners.receipt_printer.machine import Condition, CutPaper, Line, Printed, QrCode, Ready
from refsystem.sqlite import load_queries, open_database

queries = load_queries("refsystem.partners.receipt_printer")


class Paper:
    """All slips of one printer, the last of which may not be cut yet. One thread uses it."""

    def __init__(self, folder: Path, roll_lines: int) -> None:
        self._connection = open_database(folder / "paper.sqlite3", synchronous="NORMAL")
        with self._connection:
            queries.create_schema(self._connection)
            queries.load_roll(self._connection, paper_lines=roll_lines)
        slip, cut = queries.last_slip(self._connection)
        self._slip: int = slip + 1 if cut else slip

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    @property
    def slip(self) -> int:
        """The number of the slip that is being printed, or will be next."""
        return self._slip

    def condition(self) -> Condition:
        """The printer as it was left. One that hung does so no longer: its power was off since."""
        paper_lines, jammed, cover_open = queries.condition(self._connection)
        return Condition(paper_lines, bool(jammed), bool(cover_open))

    def records(self) -> dict[str, str]:
        """What the printer's own memory holds, which survives a power cut."""
        return dict(queries.records(self._connection))

    def keep(self, ready: Ready, now_us: int) -> None:
        """Keep what was printed, in its order, and how the printer is now."""
        condition = ready.condition
        with self._connection:
            for printed in ready.printed:
                self._keep(printed, now_us)
            for key, data in ready.records:
                queries.put_record(self._connection, key=key, data=data)
            queries.set_condition(
                self._connection,
                paper_lines=condition.paper_lines,
                jammed=int(condition.jammed),
                cover_open=int(condition.cover_open),
            )

    def _keep(self, printed: Printed, now_us: int) -> None:
        queries.open_slip(self._connection, slip=self._slip, at_us=now_us)
        match printed:
            case Line(text, emphasized, height):
                queries.insert_line(
                    self._connection, slip=self._slip, text=text, emphasized=int(emphasized), height=height, code=0
                )
            case QrCode(data):
                queries.insert_line(self._connection, slip=self._slip, text=data, emphasized=0, height=0, code=1)
            case CutPaper():
                queries.close_slip(self._connection, slip=self._slip, at_us=now_us)
                self._slip += 1

    def slips(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Slips behind number `after`: the text as it can be read, and the codes, of which the first is the job's id."""
        names = ("slip", "opened_at_us", "cut_at_us")
        rows = [dict(zip(names, row, strict=True)) for row in queries.slips(self._connection, after=after, limit=limit)]
        if not rows:
            return []
        lines: dict[int, list[tuple[str, int, int, int]]] = {row["slip"]: [] for row in rows}
        first, last = rows[0]["slip"], rows[-1]["slip"]
        for slip, *line in queries.lines(self._connection, from_slip=first, to_slip=last):
            lines[slip].append(tuple(line))
        return [{**row, **_slip(lines[row["slip"]])} for row in rows]


def _slip(lines: list[tuple[str, int, int, int]]) -> dict[str, Any]:
    texts = [(text, bool(emphasized), height) for text, emphasized, height, code in lines if not code]
    return {
        "job_ids": [text for text, _, _, code in lines if code],
        "lines": [{"text": text, "height": height, "code": bool(code)} for text, _, height, code in lines],
        "text": "\n".join(text for text, _, _ in texts),
        "large": [text for text, _, height in texts if height > 1],
        "emphasized": [text for text, emphasized, _ in texts if emphasized],
    }
