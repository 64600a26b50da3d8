"""What a process is told by its environment: each missing or wrong value is one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from refsystem.ordering.book_steps import OfflineLimits
from refsystem.ordering.menu import DEMO_MENU
from refsystem.ordering.menu_formats import MENUS
from refsystem.settings import SettingsError, arbiter_settings, edge_settings

EDGE = {
    "RUSHPROOF_STORE": "s1",
    "RUSHPROOF_SLOT": "b",
    "RUSHPROOF_DATA": "data",
    "RUSHPROOF_HTTP_PORT": "8001",
    "RUSHPROOF_PEER_PORT": "8002",
    "RUSHPROOF_PEER_ADDRESS": "127.0.0.1:8003",
    "RUSHPROOF_ARBITER_URL": "http://127.0.0.1:8004",
    "RUSHPROOF_CLOUD_URL": "http://127.0.0.1:8005/",
    "RUSHPROOF_KITCHEN_URL": "https://kitchen:8006",
}
ARBITER = {"RUSHPROOF_DATA": "data", "RUSHPROOF_HTTP_PORT": "8004"}


def test_a_device_takes_its_settings_and_their_defaults() -> None:
    settings = edge_settings(EDGE)
    assert (settings.store, settings.slot, settings.data) == ("s1", "b", Path("data"))
    assert (settings.http_port, settings.peer_port) == (8001, 8002)
    assert (settings.peer_host, settings.peer_address_port) == ("127.0.0.1", 8003)
    assert settings.cloud_url == "http://127.0.0.1:8005"
    assert settings.menu is DEMO_MENU
    assert (settings.policy, settings.synchronous, settings.volatile) == ("available", "FULL", False)
    assert (settings.broken_variant, settings.peer_hint_url) == (None, "")


def test_a_device_takes_what_is_told_beyond_the_defaults(tmp_path: Path) -> None:
    menu = replace(DEMO_MENU, items=DEMO_MENU.items[:2])
    (tmp_path / "menu.json").write_text(menu.to_json(), encoding="utf-8")
    told = {
        "RUSHPROOF_POLICY": "require_r2",
        "RUSHPROOF_SYNCHRONOUS": "NORMAL",
        "RUSHPROOF_VOLATILE": "1",
        "RUSHPROOF_BREAK": "two-doors",
        "RUSHPROOF_MENU": str(tmp_path / "menu.json"),
    }
    settings = edge_settings(EDGE | told)
    assert (settings.policy, settings.synchronous, settings.volatile) == ("require_r2", "NORMAL", True)
    assert settings.broken_variant == "two-doors"
    assert settings.menu == menu


def test_a_device_takes_what_is_told_of_payments(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"long enough for a secret\n")
    told = {
        "RUSHPROOF_GATEWAY_URL": "http://127.0.0.1:8010/",
        "RUSHPROOF_CALLBACK_URL": "http://127.0.0.1:8001",
        "RUSHPROOF_GATEWAY_SECRET_FILE": str(tmp_path / "secret"),
        "RUSHPROOF_ACCESS_SECRET_FILE": str(tmp_path / "secret"),
        "RUSHPROOF_PARTIES": "platform=600,brand=300",
        "RUSHPROOF_TIME_SCALE": "10",
        "RUSHPROOF_OFFLINE_LIMITS": "payment=120000,hours=12",
    }
    settings = edge_settings(EDGE | told)
    assert (settings.offline, settings.stored_age_h) == (OfflineLimits(120_000, 500_000), 12)
    assert (settings.gateway_url, settings.callback_url) == ("http://127.0.0.1:8010", "http://127.0.0.1:8001")
    assert settings.gateway_secret == settings.access_secret == b"long enough for a secret"
    assert settings.parties == (("platform", 600), ("brand", 300))
    assert settings.time_scale == 10
    alone = edge_settings(EDGE)
    assert (alone.gateway_url, alone.access_secret, alone.parties, alone.time_scale) == ("", None, (), 1)
    assert (alone.offline, alone.stored_age_h) == (OfflineLimits(50_000, 500_000), 24)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RUSHPROOF_GATEWAY_URL", "gateway", "RUSHPROOF_GATEWAY_URL must be http://HOST:PORT"),
        ("RUSHPROOF_ACCESS_SECRET_FILE", "/no/file", "cannot be read"),
        ("RUSHPROOF_ACCESS_SECRET_FILE", "short", "must hold 16 bytes or more, not 5"),
        ("RUSHPROOF_PARTIES", "platform", "like platform=600,brand=300"),
        ("RUSHPROOF_PARTIES", "platform=6000,brand=6000", "10000 together at most"),
        ("RUSHPROOF_TIME_SCALE", "0", "from 0.001 to 100000"),
        ("RUSHPROOF_OFFLINE_LIMITS", "payment=5,payment=6", "must be like payment=50000,total=500000,hours=24"),
        ("RUSHPROOF_OFFLINE_LIMITS", "cap=5", "must be like payment=50000"),
        ("RUSHPROOF_OFFLINE_LIMITS", "payment=9,total=8", "one payment must not exceed the total, 8"),
    ],
)
def test_what_is_wrong_about_payments_is_said_in_one_sentence(tmp_path: Path, name: str, value: str, said: str) -> None:
    if value == "short":
        (tmp_path / "secret").write_bytes(b"short")
        value = str(tmp_path / "secret")
    with pytest.raises(SettingsError, match=name) as raised:
        edge_settings(EDGE | {name: value})
    assert said in str(raised.value)


@pytest.mark.parametrize("name", list(EDGE))
@pytest.mark.parametrize("value", [None, ""])
def test_a_device_names_the_value_that_is_missing(name: str, value: str | None) -> None:
    environment = {key: text for key, text in EDGE.items() if key != name}
    if value is not None:
        environment[name] = value
    with pytest.raises(SettingsError, match=f"^the environment variable {name} is missing or empty$"):
        edge_settings(environment)


@pytest.mark.parametrize("name", list(ARBITER))
def test_an_arbiter_names_the_value_that_is_missing(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        arbiter_settings({key: text for key, text in ARBITER.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("RUSHPROOF_SLOT", "c", "RUSHPROOF_SLOT must be one of a, b, not 'c'"),
        ("RUSHPROOF_HTTP_PORT", "0", "RUSHPROOF_HTTP_PORT must be a port from 1 to 65535, not '0'"),
        ("RUSHPROOF_HTTP_PORT", "65536", "RUSHPROOF_HTTP_PORT must be a port from 1 to 65535, not '65536'"),
        ("RUSHPROOF_HTTP_PORT", "0000080000", "RUSHPROOF_HTTP_PORT must be a port .*"),
        ("RUSHPROOF_HTTP_PORT", "\u00b2", "RUSHPROOF_HTTP_PORT must be a port .*"),
        ("RUSHPROOF_PEER_PORT", "-1", "RUSHPROOF_PEER_PORT must be a port .*"),
        ("RUSHPROOF_PEER_PORT", "8001", "RUSHPROOF_HTTP_PORT and RUSHPROOF_PEER_PORT must differ; both are 8001"),
        ("RUSHPROOF_PEER_ADDRESS", "8003", "RUSHPROOF_PEER_ADDRESS must be HOST:PORT, not '8003'"),
        ("RUSHPROOF_PEER_ADDRESS", "host:99999", "RUSHPROOF_PEER_ADDRESS must be HOST:PORT, .*"),
        ("RUSHPROOF_PEER_ADDRESS", ":8003", "RUSHPROOF_PEER_ADDRESS must be HOST:PORT, .*"),
        ("RUSHPROOF_ARBITER_URL", "127.0.0.1:8004", "RUSHPROOF_ARBITER_URL must be http://HOST:PORT, .*"),
        ("RUSHPROOF_CLOUD_URL", "http://", "RUSHPROOF_CLOUD_URL must be http://HOST:PORT, not 'http://'"),
        ("RUSHPROOF_KITCHEN_URL", "http://host:port", "RUSHPROOF_KITCHEN_URL must be http://HOST:PORT, .*"),
        ("RUSHPROOF_POLICY", "brave", "RUSHPROOF_POLICY must be one of available, require_r2, not 'brave'"),
        ("RUSHPROOF_VOLATILE", "yes", "RUSHPROOF_VOLATILE must be one of 0, 1, not 'yes'"),
        ("RUSHPROOF_SYNCHRONOUS", "OFF", "RUSHPROOF_SYNCHRONOUS must be one of FULL, NORMAL, not 'OFF'"),
        ("RUSHPROOF_BREAK", "everything", "RUSHPROOF_BREAK must be one of acknowledge-before-standby, .*"),
        ("RUSHPROOF_MENU", "nowhere/menu.json", "nowhere/menu.json: not a menu file .*"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_says_what_would_be_right(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=f"^{sentence}$"):
        edge_settings(EDGE | {name: value})


@pytest.mark.parametrize(
    ("module", "environment", "sentence"),
    [
        (
            "refsystem.edge",
            EDGE | {"RUSHPROOF_SLOT": "c"},
            "rushproof edge: RUSHPROOF_SLOT must be one of a, b, not 'c'",
        ),
        (
            "refsystem.edge",
            EDGE | {"RUSHPROOF_DATA": "/proc/version/data"},
            "rushproof edge: [Errno 20] Not a directory: '/proc/version/data'",
        ),
        (
            "refsystem.arbiter",
            {"RUSHPROOF_DATA": "data"},
            "rushproof arbiter: the environment variable RUSHPROOF_HTTP_PORT is missing or empty",
        ),
        (
            "refsystem.arbiter",
            ARBITER | {"RUSHPROOF_DATA": "/proc/version/data"},
            "rushproof arbiter: [Errno 20] Not a directory: '/proc/version/data'",
        ),
    ],
)
def test_a_process_with_a_wrong_setting_ends_with_2_and_one_sentence(
    tmp_path: Path, module: str, environment: dict[str, str], sentence: str
) -> None:
    python_path = os.pathsep.join(filter(None, sys.path))
    ended = subprocess.run(
        [sys.executable, "-m", module],
        env={"PATH": os.defpath, "PYTHONPATH": python_path} | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", sentence + "\n")


def test_a_format_gives_menu_and_rules_whose_times_are_scaled() -> None:
    named = {"RUSHPROOF_MENU": "hotpot", "RUSHPROOF_STORE_RULES": "hotpot", "RUSHPROOF_TIME_SCALE": "60"}
    settings = edge_settings(EDGE | named)
    assert settings.menu == MENUS["hotpot"]
    assert settings.store_rules is not None
    assert settings.store_rules.kitchen.red_s == 15  # 15 minutes
    with pytest.raises(SettingsError, match="'hot' is no format and no file; the formats are hotpot, casual, "):
        edge_settings(EDGE | {"RUSHPROOF_STORE_RULES": "hot"})
