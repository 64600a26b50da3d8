"""The guarantees table is counted from the evidence, and the README holds the table of the evidence that is stored."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from chaos.cli import main
from chaos.evidence import EVIDENCE
from chaos.guarantees import BEGIN, END, GUARANTEES, EvidenceMissing, guarantees_table, put_table
from simulator.cluster.goals import Row
from simulator.scenario import shipped_scenarios

PROJECT = Path(__file__).parents[2]


def evidence(folder: Path, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    fuzz = {
        "seeds": 2_000,
        "failed": 0,
        "disks_lost": 700,
        "given_up": 9,
        "acknowledged": {"R2": 10, "R1": 5, "RC": 1},
        "rows": {Row.WAN_CUT: {"schedules": 1_234, "times": 2_000}},
    }
    run = {"scenario": "wan_outage", "seed": 1, "verdict": "pass", "always_classes": 0, "given_up": 0}
    drills = {"runs": [run | {"acknowledged": {"R2": 400}}, run | {"seed": 2, "acknowledged": {"R2": 300}}]}
    power = {"cuts": 50, "acknowledged_orders": 600, "lost_orders": 0, "stores": {"edge": {"cuts": 40}}}
    for name, counts in (("fuzz", fuzz), ("drills", drills), ("power_cuts", power)):
        kind = {"kind": name.replace("_", "-"), "counts": counts | changes.get(name, {})}
        (folder / f"{name}.json").write_text(json.dumps(kind), encoding="utf-8")
    return folder


def test_each_cell_is_counted_from_its_evidence(tmp_path: Path) -> None:
    table = guarantees_table(evidence(tmp_path))
    (wan,) = [line for line in table.splitlines() if line.startswith(f"| {Row.WAN_CUT} ")]
    assert "| 1,234 |" in wan
    assert "`wan_outage` 2" in wan
    (one,) = [line for line in table.splitlines() if line.startswith(f"| {Row.ONE_OF_TWO} ")]
    assert one.endswith("| 0 | none | 40 |")
    assert "2 real drills with 700 acknowledged orders: 2 passed" in table
    assert "600 acknowledged orders: 0 lost" in table


def test_what_failed_is_told(tmp_path: Path) -> None:
    table = guarantees_table(evidence(tmp_path, fuzz={"failed": 3}, power_cuts={"lost_orders": 2}))
    assert "3 failed" in table
    assert "2 lost" in table


def test_every_row_of_the_protocol_is_there_and_every_drill_is_shipped() -> None:
    assert [guarantee.row for guarantee in GUARANTEES] == list(Row)
    assert {name for guarantee in GUARANTEES for name in guarantee.drills} <= set(shipped_scenarios())


def test_the_readme_holds_the_table_of_the_evidence() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert put_table(readme, guarantees_table(PROJECT / EVIDENCE)) == readme, (
        "run: rushproof guarantees --write README.md"
    )


def test_every_row_stands_on_schedules_and_on_drills_where_there_are_any() -> None:
    table = guarantees_table(PROJECT / EVIDENCE)
    rows = [re.split(r" ?\| ?", line)[1:-1] for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(Row)
    assert all(int(schedules.replace(",", "")) > 0 for _, _, schedules, _, _ in rows)
    without = {fault for fault, _, _, drills, _ in rows if drills == "none"}
    assert without <= {Row.DISK_GONE_WITH_REQUEST}, "which moment that is cannot be chosen on real processes"


@pytest.mark.parametrize("name", ["fuzz", "fuzz_variants", "drills", "power_cuts", "power_cuts_normal"])
def test_evidence_says_what_was_run_when_and_on_what(name: str) -> None:
    content = json.loads((PROJECT / EVIDENCE / f"{name}.json").read_text(encoding="utf-8"))
    assert content["command"].startswith("rushproof ")
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", content["commit"])
    assert content["date"] >= "2026-11-22"


def test_evidence_of_another_kind_is_one_sentence_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = evidence(tmp_path)
    (folder / "fuzz.json").write_text('{"kind": "fuzz-variants", "counts": {}}', encoding="utf-8")
    assert main(["guarantees", str(folder)]) == 2
    assert "fuzz-variants" in capsys.readouterr().err


def test_missing_evidence_is_one_sentence_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EvidenceMissing, match=r"fuzz\.json"):
        guarantees_table(tmp_path)
    assert main(["guarantees", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_table_is_put_between_its_marks_and_nothing_else_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    assert main(["guarantees", str(evidence(tmp_path / "evidence")), "--write", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "1,234" in text
    page.write_text("no marks\n", encoding="utf-8")
    assert main(["guarantees", str(tmp_path / "evidence"), "--write", str(page)]) == 2
    assert page.read_text(encoding="utf-8") == "no marks\n"
