"""Faults on a system that is not ours: an HTTP server of the standard library behind our proxy server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from chaos.cli import main
from chaos.embedded_proxy import EmbeddedProxy
from chaos.faults.base import Effect, Target
from chaos.faults.held_proxy import HeldProxy
from chaos.faults.toxiproxy import ProxyServer
from chaos.inject.links import OwnLink, OwnLinkCut, OwnLinkWeakened
from chaos.inject.targets import LinkTarget
from refsystem.processes import process_state
from simulator.network import symmetric

pytestmark = pytest.mark.slow

SCENARIO = """
name: mine
duration_s: 6
diners:
  arrivals: {rate_per_s: 1}
converge_timeout_s: 10
faults:
"""
WEAK = "  - {name: slow, fault: link_weak, link: edge_cloud, at_s: 0, for_s: 0.8, latency_ms: 120}\n"
CUT = "  - {name: cut, fault: link_down, link: edge_cloud, at_s: 0, for_s: 1.2}\n"
LONG_CUT = "  - {name: cut, fault: link_down, link: edge_cloud, at_s: 0, for_s: 5}\n"
PAUSE = "  - {name: pause, fault: process_paused, process: primary, at_s: 0, for_s: 0.6}\n"
LONG_PAUSE = "  - {name: pause, fault: process_paused, process: primary, at_s: 0, for_s: 5}\n"
KILL = "  - {name: kill, fault: process_killed, process: primary, at_s: 0, for_s: 0.5}\n"
LONG_KILL = "  - {name: kill, fault: process_killed, process: primary, at_s: 0, for_s: 5}\n"
SLOW = "  - {name: slow process, fault: process_slow, process: primary, at_s: 0, for_s: 1.5, slow_factor: 5}\n"
PATIENCE_S = 30.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        time.sleep(0.01)


@dataclass
class System:
    """A system of somebody's own: a web server, and a proxy server before it."""

    folder: Path
    proxy: EmbeddedProxy
    port: int
    process: subprocess.Popen[bytes]
    link_port: int = 0
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.link_port}/"

    @property
    def command(self) -> str:
        """What stands in the command line of the web server, and of no other process."""
        return f"http.server {self.port}"

    def scenario(self, *faults: str, more: str = "") -> str:
        path = self.folder / "mine.yaml"
        path.write_text(SCENARIO + "".join(faults) + more, encoding="utf-8")
        return str(path)

    def map(self, **changes: Any) -> str:
        content: dict[str, Any] = {
            "toxiproxy": self.proxy.url,
            "links": {"edge_cloud": {"proxy": "web"}},
            "processes": {"primary": {"command": self.command, "start": "same"}},
            "probes": [
                {"probe": "http", "name": "web answers", "link": "edge_cloud", "path": "/", "within_ms": 2000.0}
            ],
            "blast_radius": ["edge_cloud", "primary"],
        }
        path = self.folder / "map.yaml"
        path.write_text(json.dumps(content | changes), encoding="utf-8")
        return str(path)

    def arguments(self, *faults: str, **changes: Any) -> list[str]:
        more = changes.pop("more", "")
        journal = ["--journal", str(self.journal), "--json"]
        return ["inject", self.scenario(*faults, more=more), "--on", self.map(**changes), *journal]

    @property
    def journal(self) -> Path:
        return self.folder / "journal.json"

    def start(self, *faults: str, **changes: Any) -> subprocess.Popen[str]:
        """The command as a process of its own."""
        with (self.folder / "output.txt").open("w") as lines:
            process = subprocess.Popen(
                [sys.executable, "-m", "chaos.cli", *self.arguments(*faults, **changes)],
                stdout=subprocess.PIPE,
                stderr=lines,
                text=True,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def await_words(self, words: str) -> None:
        path = self.folder / "output.txt"
        wait_until(lambda: words in path.read_text(), f"{words!r} in {path.read_text()}")

    def state(self) -> dict[str, Any]:
        """The proxy as the server tells it."""
        said: dict[str, Any] = httpx.get(f"{self.proxy.url}/proxies/web", trust_env=False).json()
        return said

    def web_servers(self) -> list[psutil.Process]:
        return [one for one in psutil.process_iter() if self.command in " ".join(_command_line(one))]

    def answers(self) -> bool:
        try:
            return httpx.get(self.url, trust_env=False, timeout=2.0).status_code == 200
        except httpx.HTTPError:
            return False


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return []


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedProxy]:
    server = EmbeddedProxy(tmp_path_factory.mktemp("proxy"), 1)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def system(tmp_path: Path, proxy: EmbeddedProxy) -> Iterator[System]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "web").mkdir()
    command = [
        sys.executable,
        "-m",
        "http.server",
        str(port),
        "--bind",
        "127.0.0.1",
        "--directory",
        str(tmp_path / "web"),
    ]
    with (tmp_path / "web.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    made = System(tmp_path, proxy, port, process)
    try:
        created = httpx.post(
            f"{proxy.url}/proxies",
            json={"name": "web", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{port}"},
            trust_env=False,
        ).json()
        made.link_port = int(created["listen"].rpartition(":")[2])
        wait_until(made.answers, "the web server answers")
        yield made
    finally:
        for started in made.started:
            started.kill()
            started.wait()
            if started.stdout is not None:
                started.stdout.close()
        for server in made.web_servers():
            server.kill()
        process.wait()
        httpx.delete(f"{proxy.url}/proxies/web", trust_env=False)


def inject(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> tuple[int, dict[str, Any]]:
    code = main(arguments)
    captured = capsys.readouterr()
    assert captured.out, captured.err
    return code, json.loads(captured.out)


def test_a_weak_link_is_proven_and_undone_beside_the_toxics_that_were_there(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"name": "mine", "type": "latency", "attributes": {"latency": 5}}
    httpx.post(f"{system.proxy.url}/proxies/web/toxics", json=own, trust_env=False)
    before = system.state()
    code, said = inject(capsys, system.arguments(WEAK))
    assert (code, said["verdict"]) == (0, "pass"), said
    (row,) = said["faults"]
    assert (row["took_effect"], row["undone"], row["resolved"]) == (True, True, "proxy web")
    took_ms, before_ms, least_ms = (int(figure) for figure in re.findall(r"(\d+) ms", row["evidence"]))
    assert 240 + before_ms - 1 <= least_ms <= 240 + before_ms + 1
    assert took_ms >= least_ms - 1
    assert said["steady_state"]["before"] is said["steady_state"]["after"] is True
    assert system.state() == before
    assert not system.journal.exists()


@pytest.mark.parametrize("server_slows", [True, False])
def test_a_link_that_is_only_narrow_is_proven_by_what_its_answer_takes(system: System, server_slows: bool) -> None:
    (system.folder / "web" / "page").write_bytes(bytes(16_000))
    server = ProxyServer(system.proxy.url)
    link = OwnLink("edge_cloud", LinkTarget(proxy="web", path="/page"), server.attach("web"), HeldProxy(server, "web"))
    narrow = OwnLinkWeakened(link, symmetric("narrow", 0, 0, 640, "this test"), "t", Target("edge_cloud", "proxy web"))

    async def conversation() -> Effect:
        await link.time_before()
        await narrow.begin()
        if not server_slows:
            for name in narrow.names:
                server.remove_toxic("web", name)
                server.add_toxic("web", name, "noop", "downstream", {})
        return await narrow.prove()

    effect = asyncio.run(conversation())
    assert effect.proven is server_slows, effect.evidence
    took_ms, before_ms, least_ms = (int(figure) for figure in re.findall(r"(\d+) ms", effect.evidence))
    assert least_ms >= 195 > before_ms
    assert (took_ms >= least_ms - 1) is server_slows
    asyncio.run(narrow.undo())
    assert system.state()["toxics"] == []


def test_a_cut_link_breaks_the_hypothesis_while_it_lasts_and_only_then(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = inject(capsys, system.arguments(CUT))
    assert (code, said["verdict"]) == (0, "pass"), said
    assert "web answers" in said["steady_state"]["broken_during"]
    assert system.answers()
    judged = {"probe": "http", "name": "web answers", "url": system.url, "during": "judged"}
    code, said = inject(capsys, system.arguments(CUT, probes=[judged]))
    assert (code, said["verdict"], said["steady_state"]["judged_during"]) == (1, "fail", False)
    assert said["cause"].startswith("while the faults lasted: web answers: no answer")
    assert system.state()["enabled"]


@pytest.mark.parametrize("direction", ["to", "from"])
def test_one_direction_of_a_link_is_cut(system: System, capsys: pytest.CaptureFixture[str], direction: str) -> None:
    code, said = inject(capsys, system.arguments(CUT.replace("at_s", f"direction: {direction}, at_s")))
    assert code == 0, said
    assert system.state()["toxics"] == []
    assert system.state()["enabled"]


@pytest.mark.parametrize("fault", [CUT, WEAK])
def test_a_link_that_somebody_mends_meanwhile_is_not_proven_to_its_end(
    system: System, capsys: pytest.CaptureFixture[str], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mend() -> None:
        for toxic in system.state()["toxics"]:
            httpx.delete(f"{system.proxy.url}/proxies/web/toxics/{toxic['name']}", trust_env=False)
        httpx.post(f"{system.proxy.url}/proxies/web", json={"enabled": True}, trust_env=False)

    for kind in (OwnLinkCut, OwnLinkWeakened):

        async def proven_and_mended(fault: Any, prove: Any = kind.prove) -> Effect:
            effect: Effect = await prove(fault)
            mend()
            monkeypatch.undo()
            return effect

        monkeypatch.setattr(kind, "prove", proven_and_mended)
    code, said = inject(capsys, system.arguments(fault))
    (row,) = said["faults"]
    assert (code, row["took_effect"]) == (3, False), said
    assert "; at the end " in row["evidence"]


def test_a_process_is_paused_and_goes_on(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = inject(capsys, system.arguments(PAUSE, processes={"primary": {"pid": system.process.pid}}))
    assert code == 0, said
    assert said["faults"][0]["resolved"] == f"process {system.process.pid}"
    assert process_state(system.process.pid) != "T"


def test_a_process_is_slow_and_then_as_fast_as_ever(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = inject(capsys, system.arguments(SLOW))
    assert code == 0, said
    assert "80% of the time was asked for" in said["faults"][0]["evidence"]


def test_a_killed_process_is_started_again_as_it_was(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = inject(capsys, system.arguments(KILL))
    assert code == 0, said
    system.process.wait()
    (server,) = system.web_servers()
    assert server.pid != system.process.pid
    assert said["faults"][0]["undo_detail"] == f"primary runs as process {server.pid}"
    assert system.answers()


def test_a_restarted_process_comes_back_by_a_command_of_its_own(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    pidfile = system.folder / "web.pid"
    pidfile.write_text(f"{system.process.pid}\n")
    script = system.folder / "start.py"
    again = [sys.executable, "-m", "http.server", str(system.port), "--bind", "127.0.0.1"]
    script.write_text(
        "import pathlib, subprocess\n"
        f"server = subprocess.Popen({again!r}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        f"pathlib.Path({str(pidfile)!r}).write_text(str(server.pid))\n"
    )
    processes = {"primary": {"pidfile": str(pidfile), "start": [sys.executable, str(script)]}}
    restart = "  - {name: restart, fault: process_restarted, process: primary, at_s: 0}\n"
    code, said = inject(capsys, system.arguments(restart, processes=processes))
    assert code == 0, said
    assert said["faults"][0]["undo_detail"] == f"primary runs as process {pidfile.read_text()}"


def test_flags_are_enough_for_a_link(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["inject", system.scenario(WEAK), "--link", f"edge_cloud=web@{system.proxy.url}"]
    arguments += ["--blast-radius", "edge_cloud", "--probe", system.url, "--journal", str(system.journal), "--json"]
    code, said = inject(capsys, arguments)
    assert (code, said["steady_state"]["probes"]) == (0, [system.url]), said


def test_what_is_not_mapped_is_refused_or_left_out_and_told(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    disk = "  - {name: disk, fault: disk_lost, process: standby, at_s: 1, for_s: 1}\n"
    arguments = system.arguments(WEAK, disk, processes={}, blast_radius=["edge_cloud"])
    assert main(arguments) == 2
    assert "'disk': disk_lost needs the reference stack" in capsys.readouterr().err
    code, said = inject(capsys, [*arguments, "--only-mapped"])
    assert (code, list(said["skipped"])) == (0, ["disk"])


def test_a_fault_that_is_not_proven_makes_it_unknown(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    """The map calls a link by a proxy whose upstream does not speak first and knows no such request."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        upstream = f"127.0.0.1:{silent.getsockname()[1]}"
        proxy = {"name": "silent", "listen": "127.0.0.1:0", "upstream": upstream}
        httpx.post(f"{system.proxy.url}/proxies", json=proxy, trust_env=False)
        try:
            arguments = system.arguments(CUT, links={"edge_cloud": {"proxy": "silent"}}, probes=[])
            from chaos.inject import links as links_module

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(links_module, "PROBE_TIMEOUT_S", 0.3)
                patch.setattr(links_module.OwnLink.probe_ms, "__defaults__", (0.3,))
                code, said = inject(capsys, arguments)
        finally:
            httpx.delete(f"{system.proxy.url}/proxies/silent", trust_env=False)
    assert (code, said["verdict"]) == (3, "unknown")
    assert "answered no probe before" in said["cause"]
    assert said["faults"][0]["undone"]


def test_a_system_that_is_not_steady_is_left_alone(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    from chaos.inject import course

    probe = {"probe": "http", "name": "page", "url": f"{system.url}absent"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(course, "STEADY_BEFORE_S", 0.2)
        code, said = inject(capsys, system.arguments(KILL, probes=[probe]))
    assert (code, said["verdict"]) == (3, "unknown")
    assert said["cause"].startswith("the system was not steady before, so no fault was injected: page: 404 after ")
    assert system.process.poll() is None
    assert not system.journal.exists()


def test_a_system_that_does_not_come_back_breaks_the_hypothesis(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is started again is something else: it runs, and answers nothing."""
    processes = {"primary": {"pid": system.process.pid, "start": ["sleep", "20"]}}
    more = "converge_timeout_s: 0.5\n"
    scenario = SCENARIO.replace("converge_timeout_s: 10\n", "")
    arguments = system.arguments(KILL, processes=processes)
    (system.folder / "mine.yaml").write_text(scenario + KILL + more)
    code, said = inject(capsys, arguments)
    psutil.Process(int(said["faults"][0]["undo_detail"].rpartition(" ")[2])).kill()
    assert (code, said["verdict"], said["steady_state"]["after"]) == (1, "fail", False)
    assert said["cause"].startswith("after healing the system is not steady: web answers")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_undoes_everything(system: System, number: signal.Signals) -> None:
    process = system.start(LONG_CUT, LONG_PAUSE)
    system.await_words("fault: cut")
    system.await_words("fault: pause")
    wait_until(
        lambda: not system.state()["enabled"] and process_state(system.process.pid) == "T", "the faults are in force"
    )
    process.send_signal(number)
    out, _ = process.communicate(timeout=PATIENCE_S)
    said = json.loads(out)
    assert (process.returncode, said["interrupted"]) == (130, True)
    assert all(row["undone"] for row in said["faults"])
    assert system.state()["enabled"]
    assert process_state(system.process.pid) != "T"
    assert not system.journal.exists()
    assert "Traceback" not in (system.folder / "output.txt").read_text()


def test_after_sigkill_the_file_that_is_left_rolls_everything_back(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = LONG_CUT.replace("link_down", "link_weak").replace("for_s", "latency_ms: 50, for_s").replace("cut", "weak")
    process = system.start(LONG_CUT.replace("at_s: 0", "at_s: 0.3"), slow, LONG_KILL)
    for name in ("cut", "weak", "kill"):
        system.await_words(f"fault: {name}")
    wait_until(lambda: not system.state()["enabled"] and not system.web_servers(), "the faults are in force")
    assert system.state()["toxics"]
    process.kill()
    process.communicate()
    assert oct(system.journal.stat().st_mode)[-3:] == "600"
    assert main(system.arguments(WEAK)) == 2, "a new inject is refused"
    assert f"rushproof inject --undo {system.journal}" in capsys.readouterr().err
    code, said = inject(capsys, ["inject", "--undo", str(system.journal), "--json"])
    assert (code, [row["undone"] for row in said["faults"]]) == (0, [True] * 3), said
    assert system.state()["enabled"]
    assert system.state()["toxics"] == []
    wait_until(system.answers, "the web server answers again")
    assert len(system.web_servers()) == 1
    assert not system.journal.exists()


def test_after_sigkill_a_stopped_process_goes_on_but_never_another_one_with_its_id(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    process = system.start(LONG_PAUSE)
    system.await_words("fault: pause")
    wait_until(lambda: process_state(system.process.pid) == "T", "the process is stopped")
    process.kill()
    process.communicate()
    left = system.journal.read_text()
    other = json.loads(left)
    other["entries"]["1. pause"]["created"] -= 100
    other["entries"]["1. pause"]["origin"] = None
    system.journal.write_text(json.dumps(other))
    code, _ = inject(capsys, ["inject", "--undo", str(system.journal), "--json"])
    assert (code, process_state(system.process.pid)) == (0, "T")
    system.journal.write_text(left)
    code, said = inject(capsys, ["inject", "--undo", str(system.journal), "--json"])
    assert (code, said["faults"][0]["undo_detail"]) == (0, f"primary (process {system.process.pid}) goes on")
    assert process_state(system.process.pid) != "T"


def test_undo_is_refused_while_its_inject_runs(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    process = system.start(LONG_PAUSE)
    system.await_words("fault: pause")
    assert main(["inject", "--undo", str(system.journal)]) == 2
    assert f"still runs (process {process.pid})" in capsys.readouterr().err
    process.terminate()
    assert process.wait(PATIENCE_S) == 130


def test_a_process_that_died_while_it_was_stopped_is_told(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    process = system.start(LONG_PAUSE, processes={"primary": {"pid": system.process.pid}})
    system.await_words("fault: pause")
    process.kill()
    process.communicate()
    system.process.kill()
    system.process.wait()
    code, said = inject(capsys, ["inject", "--undo", str(system.journal), "--json"])
    assert code == 0
    assert said["faults"][0]["undo_detail"].endswith("has ended, and inject did not end it")


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str], *words: str) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("rushproof: ")
    assert said.count("\n") == 1, said
    assert all(word in said for word in words), said


def test_bad_maps_are_one_sentence(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    cases: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        ({"blast_radius": []}, ("blast radius is not named", "--blast-radius edge_cloud,primary")),
        ({"blast_radius": ["primary"]}, ("outside of the blast radius",)),
        ({"blast_radius": ["nothing"]}, ("map.yaml", "blast_radius[0]", "neither")),
        ({"links": {"edge_cloud": {"proxy": "absent"}}}, ("no proxy 'absent'", "web")),
        ({"links": {"edge_cloud": {"proxy": "web", "pth": "/"}}}, ("pth", "did you mean 'path'")),
        ({"toxiproxy": "http://127.0.0.1:9"}, ("127.0.0.1:9", "does not answer")),
        ({"toxiproxy": "http://192.0.2.7:8474"}, ("192.0.2.7", "--allow-remote")),
        ({"probes": [{"probe": "http", "name": "far", "url": "http://192.0.2.7/"}]}, ("'far'", "--allow-remote")),
        ({"probes": [{"probe": "http", "name": "none"}]}, ("probes[0]", "must ask a URL or a link")),
        ({"processes": {"primary": {"pid": os.getpid()}}}, ("rushproof itself",)),
        ({"processes": {"primary": {"command": "no such program anywhere"}}}, ("nothing runs",)),
        ({"processes": {"primary": {"pidfile": "/nowhere/web.pid"}}}, ("nothing runs", "/nowhere/web.pid")),
        ({"processes": {"primary": {"pid": 7, "command": "xyz"}}}, ("processes.primary", "give one of")),
        ({"processes": {"primary": {}}}, ("processes.primary", "give one of")),
        (
            {"processes": {}, "blast_radius": ["edge_cloud"]},
            ("process primary is not in the map", "--process primary="),
        ),
    ]
    for changes, words in cases:
        refused(capsys, system.arguments(CUT, PAUSE, **changes), *words)
    refused(
        capsys,
        system.arguments(KILL, processes={"primary": {"command": system.command}}),
        "nobody would start primary again",
    )
    assert system.state()["enabled"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ("give a scenario",)),
        (["nowhere.yaml"], ("nowhere.yaml",)),
        (["calm", "--on", "nowhere.yaml"], ("nowhere.yaml", "cannot be read")),
        (["calm"], ("calm", "none of its faults")),
        (["wan_outage", "--link", "edge_cloud"], ("NAME=PROXY",)),
        (["wan_outage", "--link", "a=b@http://x:1", "--link", "c=d@http://y:1"], ("one Toxiproxy server",)),
        (["wan_outage", "--start", "primary=same"], ("--process primary",)),
        (["wan_outage", "--probe", ""], ("probes",)),
        (["--undo", "nowhere.json"], ("nowhere.json", "cannot be read")),
        (["calm", "--undo", "x.json"], ("--undo takes the file alone",)),
    ],
)
def test_bad_flags_are_one_sentence(
    arguments: list[str], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, ["inject", *arguments], *words)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"kind": "rushproof-inject", "format": 2}',
        '{"kind": "rushproof-inject", "format": 1, "inject": 3}',
    ],
)
def test_a_file_that_inject_did_not_leave_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "j.json").write_text(text)
    refused(capsys, ["inject", "--undo", str(tmp_path / "j.json")], "no file that inject has left")
