"""The `rushproof` command from outside: what it prints, and its exit codes for bad input."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from chaos.cli import COMMANDS

pytestmark = pytest.mark.slow

RUSHPROOF = [sys.executable, "-m", "chaos.cli"]
GOOD = "name: mine\nduration_s: 10\ndiners:\n  arrivals: {rate_per_s: 5}\n"


def rushproof(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUSHPROOF, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def assert_one_sentence(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2, result
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]
    assert result.stdout == ""


def test_help_teaches_every_command() -> None:
    text = rushproof("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^    {command}\n? +\w", text, re.MULTILINE), f"{command} is listed with what it does"
        assert rushproof(command, "--help").returncode == 0


def test_the_shipped_scenarios_are_listed_and_can_be_shown() -> None:
    rows = json.loads(rushproof("scenarios", "list", "--json").stdout)
    names = {row["name"] for row in rows}
    assert names >= {
        "lunch_rush",
        "calm",
        "weak_wifi",
        "wan_outage",
        "primary_killed",
        "primary_paused",
        "standby_lost",
        "arbiter_lost",
        "store_link_cut",
        "store_power_cut",
        "cloud_restarted",
    }
    shown = rushproof("scenarios", "show", "lunch_rush")
    assert shown.returncode == 0
    assert "name: lunch_rush" in shown.stdout


def test_the_schema_is_a_json_schema() -> None:
    schema = json.loads(rushproof("scenarios", "schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)


def test_break_list_prints_each_variant_and_the_check_that_must_fail() -> None:
    text = rushproof("drill", "--break", "list").stdout
    for name, check in (
        ("acknowledge-before-standby", "lost"),
        ("repeated-key-answered-at-once", "lost"),
        ("kitchen-before-commit", "unbacked"),
        ("uplink-before-commit", "unbacked"),
        ("promote-without-register", "split"),
        ("synchronous-normal", "lost"),
        ("two-doors", "duplicated"),
    ):
        (line,) = [line for line in text.splitlines() if line.startswith(name)]
        assert check in line.split()
    assert max(map(len, text.splitlines())) <= 80
    assert "rushproof drill --break two-doors" in rushproof("drill", "--help").stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("empty",)),
        ("name: [unclosed\n", ("line",)),
        (GOOD + "surprise: 1\n", ("line 5", "surprise")),
        (GOOD.replace("duration_s: 10", "duration_s: soon"), ("line 2", "duration_s")),
        (GOOD.replace("duration_s: 10", "duration_s: -1"), ("line 2", "duration_s")),
        (GOOD.replace("rate_per_s: 5", "rate_per_s: many"), ("line 4", "rate_per_s")),
        (GOOD + "faults:\n  - {fault: link_down, link: edge_moon, at_s: 1}\n", ("line 6", "edge_moon")),
        (GOOD + "faults:\n  - {fault: process_killed, process: primary, at_s: 1}\n", ("line 6", "for_s")),
        (GOOD + "faults:\n  - {fault: process_killed, process: primary, at_s: 50, for_s: 1}\n", ("line 6",)),
        (GOOD + "faults:\n  - {fault: alien_attack, at_s: 1}\n", ("line 6", "alien_attack")),
        (GOOD + "  channels: {qr: 0.5, cashier: 0.1, mini_program: 0.1}\n", ("line 5", "channels")),
        (GOOD + "links: {edge_cloud: {profile: carrier_pigeon}}\n", ("line 5", "carrier_pigeon")),
        (GOOD + "name: again\n", ("name",)),
    ],
)
def test_a_bad_scenario_file_is_one_sentence(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    assert_one_sentence(rushproof("drill", str(path), cwd=tmp_path), "mine.yaml", *words)
    assert not (tmp_path / "runs").exists(), "nothing is written for a scenario that cannot be run"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("drill", "lunch_rusch"), ("lunch_rusch", "lunch_rush")),
        (("drill", "nowhere.yaml"), ("nowhere.yaml",)),
        (("drill", "--break", "everything"), ("everything", "two-doors")),
        (("drill", "calm", "--seed", "-1"), ("--seed",)),
        (("drill", "calm", "--rate", "0"), ("rate_per_s",)),
        (("drill", "calm", "--duration", "0"), ("duration_s",)),
        (("drill", "primary_killed", "--duration", "3"), ("primary_killed",)),
        (("drill", "calm", "--trace", "absent.csv"), ("absent.csv",)),
        (("drill", "calm", "--copies", "3"), ("--trace",)),
        (("drill", "calm", "--retry-unknown", "-2"), ("--retry-unknown",)),
        (("drill", "calm", "--toxiproxy", "http://127.0.0.1:9"), ("Toxiproxy", "127.0.0.1:9")),
        (("audit", "nowhere"), ("nowhere",)),
        (("gate", "nowhere"), ("nowhere",)),
        (("report", "nowhere"), ("nowhere",)),
        (("frobnicate",), ("frobnicate",)),
        ((), ("COMMAND",)),
    ],
)
def test_bad_usage_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    result = rushproof(*arguments, cwd=tmp_path)
    if "--toxiproxy" in arguments:
        result.stderr = result.stderr.strip().splitlines()[-1]
    assert_one_sentence(result, *words)


def test_out_must_be_empty_and_writable(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "something").touch()
    assert_one_sentence(rushproof("drill", "calm", "--out", str(full)), "not empty")
    assert_one_sentence(rushproof("drill", "calm", "--out", "/proc/nowhere"), "/proc/nowhere")


def test_a_limit_of_open_files_that_is_too_low_is_told(tmp_path: Path) -> None:
    command = f"ulimit -n 256; exec {sys.executable} -m chaos.cli drill calm"
    result = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert_one_sentence(result, "256", "open files")


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    assert_one_sentence(rushproof("audit", str(tmp_path)), "not a run folder")


def test_a_budget_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "history").mkdir()
    assert_one_sentence(rushproof("gate", str(tmp_path), "--budget", "patience=3"), "patience", "loss_rate")
    assert_one_sentence(rushproof("gate", str(tmp_path), "--budget", "late=often"), "late")


def test_a_run_without_data_is_unknown_and_never_a_pass(tmp_path: Path) -> None:
    (tmp_path / "history").mkdir()
    result = rushproof("audit", str(tmp_path), "--json")
    assert result.returncode == 3
    verdict = json.loads(result.stdout)
    assert verdict["verdict"] == "unknown"
    assert verdict["cause"]
    assert rushproof("gate", str(tmp_path)).returncode == 3
