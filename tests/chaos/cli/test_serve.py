"""`rushproof serve`: what it says when it cannot, and the addresses that it prints. The store itself: tests/refsystem/web."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.cli import main
from chaos.serving.addresses import SHIFT_S, addresses
from refsystem.access import person_of

SECRET = b"0123456789abcdef"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tables", "0"], "--tables must be a number from 1 to 200, not 0"),
        (["--kitchen-seconds", "-1"], "--kitchen-seconds must be from 0 to 3600"),
        (["--format", "pizza"], "invalid choice: 'pizza'"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(arguments, said, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").touch()
    assert main(["serve", "--data", str(tmp_path)]) == 2
    assert "not empty; name a new or empty folder" in capsys.readouterr().err


def test_every_address_holds_the_token_of_whom_it_is_for() -> None:
    told = addresses("s1", {"a": "http://h:1", "b": "http://h:2"}, "http://h:3", ("1", "2"), SECRET, 1_000)
    for table, url in told.tables.items():
        address, _, token = url.partition("#")
        assert address == "http://h:1/order"
        assert person_of(SECRET, "s1", f"Bearer {token}", 1_000).table == table
    for link in told.staff:
        address, _, token = link.url.partition("#")
        assert address == f"http://h:1/{link.page}"
        assert person_of(SECRET, "s1", f"Bearer {token}", 1_000 + SHIFT_S - 1).role == link.role
    text = "\n".join(told.lines())
    assert all(url in text for url in (*told.tables.values(), told.kiosk, told.kitchen))
