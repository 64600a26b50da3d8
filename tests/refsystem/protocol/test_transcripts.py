"""Golden transcripts: conversations with the machines, compared as text; one or more for each clause.

`RUSHPROOF_REWRITE=1 pytest tests/refsystem/protocol/test_transcripts.py` writes the outputs anew: read the difference
before it is committed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from conversation import play

FOLDER = Path(__file__).with_name("transcripts")
FILES = sorted(FOLDER.glob("*.txt"))
CLAUSES = [f"P{number}" for number in (*range(1, 16), 19, 20, 21)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_conversation_goes_as_it_is_written(path: Path) -> None:
    written = path.read_text(encoding="utf-8")
    played = play(written)
    if os.environ.get("RUSHPROOF_REWRITE"):
        path.write_text(played, encoding="utf-8")
    else:
        assert played == written


def test_every_clause_has_a_conversation_that_opens_with_it() -> None:
    openings = [path.read_text(encoding="utf-8").split("\n", 1)[0] for path in FILES]
    shown = {clause for opening in openings for clause in re.findall(r"^P\d+|, (P\d+)", opening)}
    named = {match for opening in openings for match in re.findall(r"P\d+", opening.split(".")[0].split(":")[0])}
    assert set(CLAUSES) <= shown | named


def test_a_changed_answer_is_seen() -> None:
    written = FILES[0].read_text(encoding="utf-8")
    assert play(written.replace("done", "refused")) == written
