"""The files that a verdict becomes: JSON by its schema, JUnit, Markdown, the report, and data frames."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator

from chaos.judge import judge_run, write_outputs, write_report
from chaos.judge.findings import CLASSES
from chaos.judge.frames import load_run
from chaos.judge.verdict import LISTED_MAX, verdict_schema

HOSTILE = '</title><script>alert(1)</script> & "q" $x^{ 门店 | ` ]]> \u0007'


@pytest.fixture
def spoiled(run: Any) -> Any:
    """A run with losses, faults and hostile text in every place that comes from outside."""
    run.scenario["title"] = HOSTILE.replace("\u0007", "")
    run.fault(name=HOSTILE, evidence=HOSTILE, undo_detail=HOSTILE)
    order = run.order(20, marker=HOSTILE, node_id=HOSTILE, epoch=4)
    run.drop(order, "edge", "kitchen")
    run.attempt(21, outcome="indefinite", completed_at_us=None, level=None)
    run.write()
    run.edit("environment.json", lambda environment: environment.update(command=["rushproof", "run", HOSTILE]))
    return run


def parsed(path: Path) -> list[tuple[str, dict[str, str | None]]]:
    """The start tags of a page."""
    tags: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, dict(attrs)))

    Reader().feed(path.read_text(encoding="utf-8"))
    return tags


def test_the_schema_is_a_schema_and_names_every_class() -> None:
    schema = verdict_schema()
    Draft202012Validator.check_schema(schema)
    assert {audit_class.name for audit_class in CLASSES} < set(schema["properties"]["counts"]["required"])


@pytest.mark.parametrize("kind", ["perfect", "spoiled", "empty"])
def test_every_verdict_is_valid_by_the_schema(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    if kind != "empty":
        folder = request.getfixturevalue("run" if kind == "perfect" else "spoiled").path
        if kind == "perfect":
            request.getfixturevalue("run").write()
    verdict = judge_run(folder)
    write_outputs(folder, verdict)
    content = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(verdict_schema()).iter_errors(content)) == []
    assert content["verdict"] == {"perfect": "pass", "spoiled": "fail", "empty": "unknown"}[kind]


def test_details_are_cut_off_with_their_total(run: Any) -> None:
    for number in range(100, 100 + LISTED_MAX + 10):
        run.drop(run.order(number), "kitchen")
    listed = judge_run(run.write()).to_json()["details"]["findings"]["lost"]
    assert (listed["total"], len(listed["listed"])) == (LISTED_MAX + 10, LISTED_MAX)


def test_junit_has_a_case_for_each_check_and_counts_them(spoiled: Any) -> None:
    verdict = judge_run(spoiled.path)
    write_outputs(spoiled.path, verdict)
    suite = ElementTree.parse(spoiled.path / "junit.xml").getroot()
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [check.name for check in verdict.checks]
    assert int(suite.get("failures", "")) == sum(case.find("failure") is not None for case in cases) > 0
    assert int(suite.get("skipped", "")) == 4


def test_junit_reports_unknown_as_an_error(run: Any) -> None:
    run.write()
    (run.path / "environment.json").unlink()
    write_outputs(run.path, judge_run(run.path))
    suite = ElementTree.parse(run.path / "junit.xml").getroot()
    assert int(suite.get("errors", "")) > 0


def test_the_summary_begins_with_the_verdict_and_keeps_its_tables_whole(spoiled: Any) -> None:
    write_outputs(spoiled.path, judge_run(spoiled.path))
    text = (spoiled.path / "summary.md").read_text(encoding="utf-8")
    assert text.startswith("# FAIL: built (seed 7)\n\n1 order is lost")
    assert "<script>" not in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.strip().splitlines()}
        assert len(widths) == 1, block


def test_the_report_says_the_verdict_first_and_lists_the_orders(spoiled: Any) -> None:
    verdict = judge_run(spoiled.path)
    page = write_report(spoiled.path, verdict).read_text(encoding="utf-8")
    body = page[page.index("<body>") :]
    assert body.index("Fail: a promise was broken") < body.index("<main>")
    assert verdict.audit.by_class["lost"][0].subject in body
    for audit_class in CLASSES:
        assert audit_class.name.replace("_", " ") in body


@pytest.mark.parametrize("kind", ["spoiled", "empty"])
def test_the_report_needs_no_network_and_runs_nothing(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue("spoiled").path if kind == "spoiled" else tmp_path
    tags = parsed(write_report(folder, judge_run(folder)))
    assert "script" not in {tag for tag, _ in tags}
    addresses = [
        value for _, attrs in tags for name, value in attrs.items() if name in ("src", "href", "srcset", "action")
    ]
    assert len(addresses) == 2
    assert all(value is not None and value.startswith("data:image/svg+xml;base64,") for value in addresses)


def test_a_report_of_nothing_says_so(tmp_path: Path) -> None:
    page = write_report(tmp_path, judge_run(tmp_path)).read_text(encoding="utf-8")
    assert "Unknown: this run can neither confirm nor deny" in page
    assert "No fault is on record." in page


def test_many_faults_do_not_break_the_figure(run: Any) -> None:
    for number in range(30):
        run.fault(name=f"fault {number}", hits_primary=False)
    page = write_report(run.write(), judge_run(run.path)).read_text(encoding="utf-8")
    assert "fault 29" in page


def test_frames_join_orders_with_places_and_faults(spoiled: Any) -> None:
    frames = load_run(spoiled.path)
    orders = frames.orders.set_index("order_id")
    assert len(frames.attempts) == len(orders) == 16
    lost = frames.findings.query("name == 'lost'").order_id.unique().item()
    assert orders.loc[lost, ["in_edge", "in_cloud", "in_kitchen"]].tolist() == [False, True, False]
    assert orders.loc[orders.outcome == "ok", "response_ms"].eq(31.0).all()
    assert frames.faults.start_s.tolist() == [1.0]
    assert frames.samples.cloud_lag.max() == 2


def test_frames_of_an_empty_folder_have_their_columns(tmp_path: Path) -> None:
    frames = load_run(tmp_path)
    assert frames.orders.empty
    assert "response_ms" in frames.orders
    assert frames.verdict.verdict == "unknown"


def test_importing_the_judge_stays_light() -> None:
    heavy = "{'scipy', 'matplotlib', 'pandas', 'jinja2'}"
    code = f"import sys, chaos.judge; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
