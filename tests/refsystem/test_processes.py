"""Processes as a launcher sees them: ready, killed, paused, ended, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from refsystem.lifeline import PARENT_VARIABLE
from refsystem.processes import PythonProcess, StackError, process_state, reserve_port

SERVER = """
import http.server, os, signal, sys, threading, time

status = int(os.environ.get("ANSWER", "200"))

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("asked", flush=True)
        self.send_response(status)
        self.end_headers()
    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    def server_bind(self):
        import socket
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

if os.environ.get("DEAF"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
if os.environ.get("WORDS"):
    print(os.environ["WORDS"], flush=True)
    sys.exit(3)
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

Make = Callable[..., PythonProcess]


def wait_until(condition: Callable[[], bool], what: str, patience_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        time.sleep(0.01)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """A small server as a process of the stack; keyword arguments are its environment."""
    (tmp_path / "small_server.py").write_text(SERVER)
    made: list[tuple[PythonProcess, socket.socket]] = []

    def one(**environment: str) -> PythonProcess:
        reservation = reserve_port()
        port = reservation.getsockname()[1]
        environment |= {"PORT": str(port), "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.pathsep.join(sys.path)}"}
        process = PythonProcess(f"small{len(made)}", "small_server", environment, port, tmp_path / f"{len(made)}.log")
        made.append((process, reservation))
        return process

    yield one
    for process, reservation in made:
        process.kill()
        reservation.close()


def test_a_process_is_ready_when_it_answers(make: Make) -> None:
    process = make()
    assert process.pid is None
    process.start()
    asyncio.run(process.wait_ready(10))
    assert process.pid is not None


def test_a_process_that_ends_at_its_start_is_told_with_its_last_words(make: Make) -> None:
    process = make(WORDS="the disk is full")
    process.start()
    with pytest.raises(StackError, match=r"^small0 ended during its start: the disk is full$"):
        asyncio.run(process.wait_ready(10))


def test_a_process_that_does_not_answer_well_is_asked_at_intervals_and_given_up(make: Make) -> None:
    process = make(ANSWER="503")
    process.start()
    with pytest.raises(StackError, match=r"^small0 did not answer within 1.5 s"):
        asyncio.run(process.wait_ready(1.5))
    assert 1 <= process.log_path.read_text().count("asked") <= 31


def test_a_killed_process_starts_again_on_its_port(make: Make) -> None:
    process = make()
    for _ in range(3):
        process.start()
        asyncio.run(process.wait_ready(10))
        killed = process.pid
        assert killed is not None
        process.kill()
        assert process.pid is None
        assert process_state(killed) is None
    process.kill()


def test_a_paused_process_stands_still_until_it_is_resumed(make: Make) -> None:
    process = make()
    process.start()
    asyncio.run(process.wait_ready(10))
    assert process.pid is not None
    process.pause()
    assert process_state(process.pid) == "T"
    with pytest.raises(StackError, match="did not answer"):
        asyncio.run(process.wait_ready(0.3))
    process.resume()
    wait_until(lambda: process_state(process.pid or 0) != "T", "the process goes on")
    asyncio.run(process.wait_ready(10))


def test_a_paused_process_can_be_ended(make: Make) -> None:
    process = make()
    process.start()
    asyncio.run(process.wait_ready(10))
    process.pause()
    process.stop()
    process.wait_stopped(time.monotonic() + 5)
    assert process._process is not None
    assert process._process.returncode == 5, "the lifeline hands the exit code on"


def test_a_process_that_will_not_end_is_killed(make: Make) -> None:
    process = make(DEAF="1")
    process.start()
    asyncio.run(process.wait_ready(10))
    process.stop()
    process.wait_stopped(time.monotonic() + 0.3)
    assert process._process is not None
    assert process._process.returncode == -signal.SIGKILL
    process.stop()
    process.wait_stopped(time.monotonic())


def test_signals_to_a_process_that_is_gone_do_nothing(make: Make) -> None:
    process = make()
    process.resume()
    process.kill()
    process.stop()
    process.start()
    process.kill()
    process.pause()
    process.resume()
    assert process.pid is None


def test_reserved_ports_differ_and_are_free_after_the_reservation() -> None:
    reservations = [reserve_port() for _ in range(50)]
    ports = {reservation.getsockname()[1] for reservation in reservations}
    assert len(ports) == 50
    for reservation in reservations:
        reservation.close()
    port = ports.pop()
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_reserved_port_refuses_connections_while_nobody_listens() -> None:
    with reserve_port() as reservation, pytest.raises(ConnectionRefusedError):
        socket.create_connection(reservation.getsockname(), timeout=2)


def test_the_processes_of_a_killed_launcher_are_gone(tmp_path: Path) -> None:
    (tmp_path / "small_server.py").write_text(SERVER)
    launcher = f"""
import os, sys, time
from pathlib import Path
from refsystem.processes import PythonProcess, reserve_port
import asyncio
held = [reserve_port() for _ in range(2)]
for number, reservation in enumerate(held):
    port = reservation.getsockname()[1]
    environment = {{"PORT": str(port), "DEAF": "1", "PYTHONPATH": {str(tmp_path)!r} + os.pathsep + os.pathsep.join(sys.path)}}
    process = PythonProcess("p", "small_server", environment, port, Path({str(tmp_path)!r}) / "log")
    process.start()
    asyncio.run(process.wait_ready(10))
    if number:
        process.pause()
    print(process.pid, flush=True)
time.sleep(60)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", launcher], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        assert [process_state(pid) for pid in pids].count("T") == 1
        parent.kill()
        parent.wait()
        wait_until(lambda: all(process_state(pid) in (None, "Z") for pid in pids), "no process is left")


@pytest.mark.parametrize(("ending", "exit_code"), [("", 0), ("import sys; sys.exit(0)", 0), ("raise SystemExit(7)", 7)])
def test_the_lifeline_ends_with_the_module_and_keeps_what_it_wrote(tmp_path: Path, ending: str, exit_code: int) -> None:
    (tmp_path / "module.py").write_text(f"import sys\nsys.stdout.write('said')\n{ending}\n")
    ended = _through_lifeline(tmp_path, os.getpid())
    assert (ended.returncode, ended.stdout, ended.stderr) == (exit_code, "said", "")


def test_a_failing_module_keeps_its_traceback_and_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("raise RuntimeError('the reason')\n")
    ended = _through_lifeline(tmp_path, os.getpid())
    assert ended.returncode == 1
    assert "RuntimeError: the reason" in ended.stderr


def test_a_module_whose_launcher_is_gone_already_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("print('ran')\n")
    ended = _through_lifeline(tmp_path, 1 if os.getpid() != 1 else 2)
    assert (ended.returncode, ended.stdout) == (1, "")


def _through_lifeline(folder: Path, parent_pid: int) -> subprocess.CompletedProcess[str]:
    python_path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-m", "refsystem.lifeline", "module"],
        env=os.environ | {PARENT_VARIABLE: str(parent_pid), "PYTHONPATH": python_path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
