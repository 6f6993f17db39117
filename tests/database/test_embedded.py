"""The launcher against real servers: races, kills, leftovers, and who may reach what."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from services.database import embedded
from services.errors import EmbeddedUnavailable
from tests import places

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def folder() -> Iterator[Path]:
    yield from short_folder()


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    yield from short_folder()


@pytest.fixture
def server(shared_folder: Path) -> embedded.Server:
    """A running server that several tests use; a test may kill it but not change its files for good."""
    return embedded.start(shared_folder)


def short_folder() -> Iterator[Path]:
    base = Path(tempfile.mkdtemp(prefix="ce-", dir=places.quick()))
    base.chmod(0o711)
    yield base / "db"
    for password_file in base.rglob("server.json"):
        server = embedded._server(password_file.parent)
        until(lambda server=server: not quit_processes(server))
    shutil.rmtree(base)


def quit_processes(server: embedded.Server) -> list[psutil.Process]:
    """End a server at once, whatever state the test left it in; the processes that were still there."""
    processes = embedded._processes(server)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGQUIT)
    return processes


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited 30 s in vain"
        time.sleep(0.005)


def ask(server: embedded.Server, query: str) -> object:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchone()[0] if cursor.description else None


def postmaster(server: embedded.Server) -> int:
    return int((server.data / "postmaster.pid").read_text().splitlines()[0])


def launcher(*arguments: object, before: str = "", after: str = "") -> subprocess.Popen[str]:
    """Another process that starts the folder's server: waits for a line, then prints the outcome."""
    script = f"""
import sys
from pathlib import Path
from services.database import embedded
import os, psycopg
sys.stdin.readline() or sys.exit()
{before}
try:
    server = embedded.start(*map(Path, sys.argv[1:]))
    with psycopg.connect(server.url("postgres")) as connection:
        print(connection.execute("select system_identifier from pg_control_system()").fetchone()[0])
    {after or "pass"}
except embedded.EmbeddedUnavailable as exc:
    print(exc)
"""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def go(process: subprocess.Popen[str]) -> None:
    process.stdin.write("go\n")
    process.stdin.flush()


def outcome(process: subprocess.Popen[str]) -> str:
    return process.communicate("go\n", timeout=60)[0].strip()


def programs_with(folder: Path, initdb: str) -> Path:
    """The installed programs, but with a shell script as initdb; `$REAL` is the true one."""
    real = embedded._installed()
    folder.mkdir(mode=0o755)
    for name in ("postgres", "pg_ctl"):
        (folder / name).symlink_to(real / name)
    (folder / "initdb").write_text(f"#!/bin/sh\nREAL={real / 'initdb'}\n{initdb}\n")
    (folder / "initdb").chmod(0o755)
    return folder


def test_data_outlives_attaching_and_restarting(server):
    ask(server, "create table kept as select 7 as n")
    started = ask(server, "select pg_postmaster_start_time()")
    assert embedded.start(server.folder) == server
    assert ask(server, "select pg_postmaster_start_time()") == started
    assert embedded.stop(server.folder) is True
    assert not embedded._answers(server)
    again = embedded.start(server.folder)
    assert (again, ask(again, "select n from kept")) == (server, 7)
    assert ask(again, "select pg_postmaster_start_time()") > started


@pytest.mark.parametrize("binaries", SYSTEM_BINARIES, ids=lambda place: place.parent.name)
def test_other_versions(folder, binaries):
    server = embedded.start(folder, binaries)
    assert ask(server, "show server_version").startswith(binaries.parent.name)
    assert embedded.start(folder, binaries) == server
    assert embedded.stop(folder, binaries) is True
    assert not embedded._answers(server)


def test_settings_that_keep_it_safe_and_small(server):
    names = ("fsync", "max_connections", "listen_addresses", "TimeZone", "wal_level", "jit", "shared_buffers")
    values = [ask(server, f"show {name}") for name in names]
    assert values == ["on", "120", "", "UTC", "minimal", "off", "64MB"]
    facts = "select concat_ws(' ', datdba::regrole, pg_encoding_to_char(encoding), datcollate) from pg_database"
    assert ask(server, f"{facts} where datname = 'clipdesk'") == "postgres UTF8 C"


def test_four_processes_take_up_a_killed_first_start_and_make_one_cluster(folder):
    counter = folder.parent / "made"
    counter.touch()
    counter.chmod(0o666)
    script = f'[ "$1" = --version ] || echo made >> {counter}\nexec $REAL "$@"'
    binaries = programs_with(folder.parent / "bin", script)
    killed, *racers = (launcher(folder, binaries) for _ in range(5))
    kill_within_initdb(killed, folder)
    for racer in racers:
        go(racer)
    clusters = {racer.communicate(timeout=60)[0].strip() for racer in racers}
    assert len(clusters) == 1
    assert clusters.pop().isdigit()
    assert counter.read_text() == "made\n" * 2  # the killed one's and one more
    assert not list(folder.glob("data.new*"))


def kill_within_initdb(process: subprocess.Popen[str], folder: Path) -> None:
    go(process)
    until(lambda: list(folder.glob("data.new*/PG_VERSION")))
    family = psutil.Process(process.pid)
    for member in (family, *family.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # initdb's own helpers come and go
            member.kill()
    process.communicate(timeout=10)
    assert list(folder.glob("data.new*"))
    assert not (folder / "data").exists()


def test_killed_between_start_and_database(server):
    with psycopg.connect(server.url("postgres", "postgres"), autocommit=True) as connection:
        connection.execute("drop database clipdesk with (force)")
    assert ask(embedded.start(server.folder), "select current_database()") == "clipdesk"


def test_killed_postmaster_heals_and_loses_nothing(server):
    ask(server, "drop table if exists load; create table load (n bigint)")
    acknowledged: list[int] = []
    finished = threading.Event()
    writer = threading.Thread(target=insert_numbers, args=(server, acknowledged, finished))
    with embedded.Keeper(server, seconds=0.05):
        writer.start()
        for _ in range(2):
            seen = len(acknowledged)
            until(lambda seen=seen: len(acknowledged) > seen + 50)
            os.kill(postmaster(server), signal.SIGKILL)
            until(lambda: not embedded._answers(server))
        until(lambda: embedded._answers(server))
        finished.set()
        writer.join()
    with psycopg.connect(server.url("postgres")) as connection:
        found = {n for (n,) in connection.execute("select n from load")}
    assert set(acknowledged) - found == set()


def insert_numbers(server: embedded.Server, acknowledged: list[int], finished: threading.Event) -> None:
    number = 0
    while not finished.is_set():
        try:
            with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
                while not finished.is_set():
                    number += 1
                    connection.execute("insert into load values (%s)", (number,))
                    acknowledged.append(number)
        except psycopg.OperationalError:
            time.sleep(0.01)


def test_long_statement_of_a_killed_server_does_not_block_the_next(server):
    connection = psycopg.connect(server.url("postgres"), autocommit=True)
    session = psutil.Process(connection.info.backend_pid)
    connection.pgconn.send_query(b"do 'begin loop end loop; end'")
    until(lambda: ask(server, f"select state = 'active' from pg_stat_activity where pid = {session.pid}"))
    os.kill(postmaster(server), signal.SIGKILL)
    assert ask(embedded.start(server.folder), "select 1") == 1
    assert not session.is_running() or session.status() == psutil.STATUS_ZOMBIE
    connection.close()


@pytest.fixture
def pid_of(server: embedded.Server) -> Iterator[Callable[[str], int]]:
    """A process id that a stale pid file may name, by what has it now: under the account of the server."""
    impostor = server.folder / "postgres"
    impostor.unlink(missing_ok=True)
    impostor.symlink_to("/bin/sleep")
    commands = {
        "nothing": ["/bin/sleep", "0"],
        "a stranger": ["/bin/sleep", "60"],
        "a zombie": [impostor, "0"],
        "another postgres": [impostor, "60"],
    }
    others: list[subprocess.Popen[bytes]] = []

    def make(owner: str) -> int:
        others.append(subprocess.Popen(commands[owner], cwd="/", **embedded._identity(server)))
        if owner == "nothing":
            others[0].wait()
        if owner == "a zombie":
            until(lambda: psutil.Process(others[0].pid).status() == psutil.STATUS_ZOMBIE)
        return others[0].pid

    yield make
    for other in others:
        other.kill()
        other.wait()


@pytest.mark.parametrize("owner", ["nothing", "a stranger", "a zombie", "another postgres"])
def test_stale_pid_file(server, pid_of, owner):
    pid = pid_of(owner)
    left = {place: place.read_text() for place in (server.data / "postmaster.pid", lock_of(server))}
    assert embedded.stop(server.folder)
    for place, text in left.items():
        place.write_text(text.replace(text.splitlines()[0], str(pid), 1))
        shutil.chown(place, server.data.stat().st_uid)
    assert ask(embedded.start(server.folder), "select 1") == 1


def lock_of(server: embedded.Server) -> Path:
    return server.socket_file.with_name(server.socket_file.name + ".lock")


def test_server_in_use_is_not_stopped(server, monkeypatch):
    monkeypatch.setattr(embedded, "LEAVE_SECONDS", 0.1)
    with psycopg.connect(server.url("postgres")) as connection:
        assert embedded.stop(server.folder) is False
        assert connection.execute("select 1").fetchone() == (1,)
    assert embedded.stop(server.folder) is True
    assert embedded.stop(server.folder) is True


def test_nothing_to_stop(folder):
    assert embedded.stop(folder) is True
    assert not folder.exists()


def test_upgraded_programs_replace_the_server_once_nobody_uses_it(server, monkeypatch):
    monkeypatch.setattr(embedded, "LEAVE_SECONDS", 0.1)
    started = ask(server, "select pg_postmaster_start_time()")
    major = ask(server, "show server_version").split(".")[0]
    said = f'[ "$1" = --version ] && echo "initdb (PostgreSQL) {major}.999" && exit\nexec $REAL "$@"'
    newer = programs_with(server.folder.parent / "newer", said)
    with psycopg.connect(server.url("postgres")):
        embedded.start(server.folder, newer)
        assert ask(server, "select pg_postmaster_start_time()") == started
    embedded.start(server.folder, newer)
    assert ask(server, "select pg_postmaster_start_time()") > started


def test_another_major_version_is_refused(server):
    assert embedded.stop(server.folder)
    binaries = programs_with(server.folder.parent / "other", 'echo "initdb (PostgreSQL) 99.1"')
    with pytest.raises(EmbeddedUnavailable, match=r"written by Postgres \d+, installed is 99\.1.*pg_dump"):
        embedded.start(server.folder, binaries)


def test_files_are_private(server):
    assert mode(server.folder) == (0o711 if os.geteuid() == 0 else 0o700)
    assert [mode(place) for place in (server.data, Path(server.host))] == [0o700, 0o700]
    names = ("server.json", "launch.lock", "postgres.log")
    assert [mode(server.folder / name) for name in names] == [0o600] * 3
    assert not list(Path(server.host).glob("password*"))


def mode(place: Path) -> int:
    return stat.S_IMODE(place.stat().st_mode)


def test_passwords_are_random_and_never_shown(server):
    kept = json.loads((server.folder / "server.json").read_text())["passwords"]
    assert kept == server.passwords
    assert set(kept) == {"postgres", *embedded.LOGINS}
    assert len(set(kept.values())) == 4
    assert min(map(len, kept.values())) >= 32
    assert not any(password in repr(server) for password in kept.values())


def test_password_is_asked_for(server):
    wrong = server.url("postgres").replace(server.passwords["postgres"], "guess")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


@needs_root
def test_another_local_user_does_not_reach_the_socket(server):
    stranger = {"user": 54321, "group": 54321, "extra_groups": []}

    def sees(place: Path) -> bool:
        return embedded._run(["test", "-e", str(place)], stranger).returncode == 0

    assert sees(server.folder / "run")
    assert not sees(server.socket_file)
    assert not sees(server.data / "PG_VERSION")


def become(uid: int) -> str:
    return f"os.setgroups([]); os.setgid({uid}); os.setuid({uid})"


@needs_root
def test_an_ordinary_user(folder):
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    after = "print(embedded.start(server.folder) == server, embedded.stop(server.folder))"
    assert outcome(launcher(folder, before=become(NOBODY), after=after)).split()[1:] == ["True", "True"]
    owners = {place.stat().st_uid for place in (*folder.iterdir(), folder / "data" / "PG_VERSION")}
    assert owners == {NOBODY}
    assert mode(folder) == 0o700


@needs_root
def test_a_user_without_a_name_is_told(folder):
    folder.mkdir()
    os.chown(folder, 54321, 54321)
    assert "user does not exist" in outcome(launcher(folder, before=become(54321)))


@needs_root
def test_a_folder_of_somebody_else_is_named(folder):
    folder.mkdir(mode=0o700)
    said = outcome(launcher(folder, before=become(NOBODY)))
    assert str(folder) in said
    assert "CLIPDESK_DATA" in said


@needs_root
def test_a_closed_parent_is_named_and_left_alone(folder):
    closed = folder.parent / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedUnavailable, match=rf"through {closed}\. Set CLIPDESK_DATA"):
        embedded.start(closed / "db")
    assert mode(closed) == 0o700


@needs_root
def test_programs_under_a_closed_folder_are_copied(server, monkeypatch):
    assert embedded.stop(server.folder)
    package = embedded._installed().parents[1]
    home = server.folder.parent / "home"
    home.mkdir(mode=0o700)
    for tree in (package, package.with_name(f"{package.name}.libs")):
        (home / tree.name).symlink_to(tree)
    monkeypatch.setattr(embedded, "_installed", lambda: home / package.name / "pginstall" / "bin")
    assert ask(embedded.start(server.folder), "select 1") == 1
    assert psutil.Process(postmaster(server)).exe().startswith(f"{server.folder}/pginstall-")
    assert mode(home) == 0o700


@pytest.fixture
def socket_elsewhere(server, monkeypatch) -> Iterator[embedded.Server]:
    """The same server as if its folder's path were too long for a socket."""
    assert embedded.stop(server.folder)
    monkeypatch.setattr(embedded, "LONGEST_SOCKET_FOLDER", 10)
    yield embedded._server(server.folder)
    embedded.stop(server.folder)
    shutil.rmtree(embedded._socket_folder(server.folder))


def test_a_long_path_gets_its_socket_elsewhere(socket_elsewhere):
    server = embedded.start(socket_elsewhere.folder)
    assert ask(server, "select 1") == 1
    assert Path(server.host).parent == Path("/tmp")
    assert mode(Path(server.host)) == 0o700


@needs_root
def test_a_socket_folder_of_somebody_else_is_refused(socket_elsewhere):
    Path(socket_elsewhere.host).mkdir()
    os.chown(socket_elsewhere.host, 54321, 54321)
    with pytest.raises(EmbeddedUnavailable, match="belongs to somebody else"):
        embedded.start(socket_elsewhere.folder)


def test_longest_folder_leaves_room_for_the_socket():
    folder = Path("/" + "x" * (embedded.LONGEST_SOCKET_FOLDER - 5))
    longest = embedded.Server(folder, str(embedded._socket_folder(folder)), embedded.PORT, {}).socket_file
    assert longest.is_relative_to(folder)
    assert len(bytes(longest)) <= 103
    assert not embedded._socket_folder(folder / "y").is_relative_to(folder)


def test_a_folder_in_use_keeps_its_mode(folder):
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "holiday.jpg").touch()
    embedded._make(folder)
    assert mode(folder) == 0o755


def test_no_package_for_this_system(folder, monkeypatch):
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedUnavailable, match=r"does not exist for this system\. Set DATABASE_URL"):
        embedded.start(folder)


def test_lost_passwords_are_said(folder):
    (folder / "data").mkdir(parents=True)
    with pytest.raises(EmbeddedUnavailable, match=r"server\.json is missing.*backup"):
        embedded.start(folder)


def test_server_that_cannot_start_says_why(server, monkeypatch):
    assert embedded.stop(server.folder)
    monkeypatch.setitem(embedded.SETTINGS, "max_connections", "many")
    with pytest.raises(EmbeddedUnavailable, match='invalid value for parameter "max_connections": "many"'):
        embedded.start(server.folder)


def test_foreign_environment_does_not_mislead(server, monkeypatch):
    assert embedded.stop(server.folder)
    for name, value in {"PGPORT": "1", "PGHOST": "nowhere", "PGDATA": "/", "LC_ALL": "xx_XX"}.items():
        monkeypatch.setenv(name, value)
    assert ask(embedded.start(server.folder), "select 1") == 1
