"""The arbiter as a process: one register, changed once for each epoch, there after a kill and a power cut."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from refsystem.arbiter.store import RegisterDamaged, RegisterStore
from refsystem.processes import PythonProcess, reserve_port
from refsystem.protocol.messages import Register, RegisterRead, RegisterState, RegisterSwap
from refsystem.protocol.wire import decode_state, encode_request

pytestmark = pytest.mark.slow


class Arbiter:
    """A running arbiter."""

    def __init__(self, process: PythonProcess) -> None:
        self.process = process
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{process.port}", trust_env=False, timeout=10)

    def start(self) -> None:
        self.process.start()
        asyncio.run(self.process.wait_ready())

    def ask(self, request: RegisterRead | RegisterSwap) -> RegisterState:
        answer = self.http.post("/v1/register", content=encode_request(request))
        assert answer.status_code == 200, answer.text
        return decode_state(answer.content)

    def read(self) -> Register | None:
        return self.ask(RegisterRead("read", "a-1")).register

    def create(self, primary: str = "a-1") -> int:
        return self.http.put("/v1/register", json={"primary": primary}).status_code

    def restart(self) -> None:
        self.process.kill()
        self.start()


@pytest.fixture(params=["0", "1"], ids=["plain files", "volatile files"])
def arbiter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Arbiter]:
    with reserve_port() as reservation:
        port = reservation.getsockname()[1]
        environment = {
            "RUSHPROOF_DATA": str(tmp_path / "data"),
            "RUSHPROOF_HTTP_PORT": str(port),
            "RUSHPROOF_VOLATILE": request.param,
        }
        made = Arbiter(PythonProcess("arbiter", "refsystem.arbiter", environment, port, tmp_path / "log"))
        made.start()
        yield made
        made.process.kill()
        made.http.close()


def swap(number: int, expect_epoch: int, primary: str, *members: str) -> RegisterSwap:
    return RegisterSwap(
        f"r{number}", primary, expect_epoch, Register(expect_epoch + 1, primary, members, f"claim-{number}")
    )


def test_there_is_no_register_until_a_person_makes_it_once(arbiter: Arbiter) -> None:
    assert arbiter.read() is None
    assert arbiter.http.get("/ready").status_code == 503
    assert arbiter.ask(swap(1, 1, "a-1", "a-1")).register is None
    assert arbiter.create("a-1") == 201
    assert arbiter.create("b-1") == 409
    assert arbiter.read() == Register(1, "a-1", ("a-1",), "set-up")
    assert arbiter.http.get("/ready").json() == {
        "register": {"epoch": 1, "primary": "a-1", "members": ["a-1"], "forked_epoch": 0}
    }


def test_what_was_answered_is_there_after_a_kill(arbiter: Arbiter) -> None:
    arbiter.create()
    arbiter.restart()
    assert arbiter.read() == Register(1, "a-1", ("a-1",), "set-up")
    for epoch in range(1, 6):
        register = arbiter.ask(swap(epoch, epoch, "a-1", "a-1")).register
        assert register is not None
        assert register.epoch == epoch + 1
    arbiter.restart()
    assert arbiter.read() == register


def test_only_the_epoch_that_is_expected_is_changed_and_a_repeat_changes_nothing(arbiter: Arbiter) -> None:
    arbiter.create()
    grown = swap(1, 1, "a-1", "a-1", "b-1")
    assert arbiter.ask(grown).register == grown.register
    assert arbiter.ask(grown).register == grown.register
    assert arbiter.ask(swap(2, 1, "a-1", "a-1")).register == grown.register
    assert arbiter.ask(swap(3, 2, "c-1", "c-1")).register == grown.register, "no member, no primary"
    promoted = swap(4, 2, "b-1", "b-1")
    assert arbiter.ask(promoted).register == promoted.register


def broken_glass(expect_epoch: int, primary: str, person: str = "Li") -> RegisterSwap:
    epoch = expect_epoch + 1
    return RegisterSwap("glass", primary, expect_epoch, Register(epoch, primary, (primary,), "word", epoch), person)


def test_glass_is_broken_on_the_word_of_a_person_only_and_that_is_remembered(arbiter: Arbiter) -> None:
    arbiter.create()
    before = arbiter.read()
    assert arbiter.ask(broken_glass(1, "b-1", person="")).register == before
    assert arbiter.ask(swap(1, 1, "b-1", "b-1")).register == before
    named = broken_glass(1, "b-1")
    assert arbiter.ask(named).register == named.register
    arbiter.restart()
    assert arbiter.read() == named.register
    assert arbiter.ask(swap(2, 2, "b-1", "b-1", "a-1")).register == named.register, "the step forgets the fork"
    kept = RegisterSwap("grow", "b-1", 2, Register(3, "b-1", ("b-1", "a-1"), "claim", 2))
    assert arbiter.ask(kept).register == kept.register
    assert arbiter.http.get("/ready").json()["register"]["forked_epoch"] == 2


def test_a_register_of_an_earlier_version_is_opened(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "register.sqlite3"))
    connection.execute(
        "CREATE TABLE register (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), epoch INTEGER NOT NULL,"
        " primary_node_id TEXT NOT NULL, members TEXT NOT NULL, claim TEXT NOT NULL) STRICT;"
        "INSERT INTO register VALUES (1, 7, 'a-1', 'a-1 b-1', 'claim')"
    )
    connection.close()
    for _ in range(2):
        store = RegisterStore(tmp_path)
        assert store.read() == Register(7, "a-1", ("a-1", "b-1"), "claim", 0)
        store.close()
    store = RegisterStore(tmp_path)
    assert store.swap(broken_glass(7, "c-1")) == broken_glass(7, "c-1").register
    store.close()


def test_of_many_at_once_one_wins_and_all_are_told_which(arbiter: Arbiter) -> None:
    arbiter.create()
    requests = [swap(number, 1, "a-1", "a-1", f"b-{number}") for number in range(16)]
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(arbiter.ask, requests))
    assert [answer.request_id for answer in answers] == [request.request_id for request in requests]
    (register,) = {answer.register for answer in answers}
    assert register in [request.register for request in requests]
    assert arbiter.read() == register


def test_what_is_no_request_is_a_problem_document(arbiter: Arbiter) -> None:
    arbiter.create()
    for content in (b"", b"{", b"[]", b'{"kind":"append"}', b'{"kind":"register_swap"}'):
        answer = arbiter.http.post("/v1/register", content=content)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:rushproof:problem:request-invalid"
    for body in ({}, {"primary": ""}, {"primary": "a b"}, {"primary": 7}, []):
        answer = arbiter.http.put("/v1/register", json=body)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:rushproof:problem:request-invalid")
    assert arbiter.read() == Register(1, "a-1", ("a-1",), "set-up")


@pytest.mark.parametrize("damage", ["no database", "in use"])
def test_a_register_that_cannot_be_used_is_one_sentence(tmp_path: Path, damage: str) -> None:
    store = RegisterStore(tmp_path)
    path = tmp_path / "register.sqlite3"
    if damage == "no database":
        store.close()
        path.write_bytes(b"this is no database" * 500)
    with pytest.raises(RegisterDamaged, match=rf"^{re.escape(str(path))} cannot be used: .+$"):
        RegisterStore(tmp_path)
    store.close()


def test_a_damaged_register_ends_the_process_with_2(arbiter: Arbiter, tmp_path: Path) -> None:
    arbiter.process.kill()
    for file in (tmp_path / "data").iterdir():
        file.unlink()
    (tmp_path / "data" / "register.sqlite3").write_bytes(b"this is no database" * 500)
    log_from = arbiter.process.log_path.stat().st_size
    arbiter.process.start()
    assert arbiter.process._process is not None
    assert arbiter.process._process.wait(10) == 2
    (said,) = arbiter.process.log_path.read_bytes()[log_from:].decode().splitlines()
    assert said.startswith("rushproof arbiter: ")
    assert "cannot be used" in said


def test_a_change_that_cannot_be_stored_is_not_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RegisterStore(tmp_path)
    store.create(Register(1, "a-1", ("a-1",), "set-up"))
    failing: Callable[..., Any] = _refuse_commits(store)
    with pytest.raises(apsw.Error):
        failing(swap(1, 1, "a-1", "a-1", "b-1"))
    assert store.read() == Register(1, "a-1", ("a-1",), "set-up")
    store.close()


def _refuse_commits(store: RegisterStore) -> Callable[[RegisterSwap], Register | None]:
    def swap_without_disk(request: RegisterSwap) -> Register | None:
        store._connection.set_commit_hook(lambda: True)
        try:
            return store.swap(request)
        finally:
            store._connection.set_commit_hook(None)

    return swap_without_disk
