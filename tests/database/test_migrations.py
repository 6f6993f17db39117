"""The migrations on every Postgres at hand: the embedded one and those installed on this machine (15 to 18)."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from services.config import ROOT, Settings, settings
from services.database import embedded
from services.database.connect import Doors, check_schema
from services.database.migrate import MIGRATIONS, expected_version, logins_of, main, migrate, migrations
from services.database.postgres import open_pool
from services.errors import SchemaMismatch
from tests.builders import forget_power_cuts

INSTALLED = sorted(
    folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if 15 <= int(folder.parent.name) <= 18
)
VERSIONS = [file.version for file in migrations()]


@pytest.fixture(scope="module", params=[None, *INSTALLED], ids=["embedded", *(f.parent.name for f in INSTALLED)])
def any_server(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[embedded.Server]:
    if request.param is None:
        yield request.getfixturevalue("server")
        return
    folder = short_folder / f"pg{request.param.parent.name}"
    started = embedded.start(folder, request.param)
    forget_power_cuts(started)
    yield started
    assert embedded.stop(folder, request.param), "a test left a connection open"


@pytest.fixture
def empty(any_server: embedded.Server) -> str:
    """The superuser's address of a database in which nothing has happened yet."""
    return _database(any_server)


@pytest.fixture(scope="module")
def migrated(any_server: embedded.Server) -> str:
    """The superuser's address of a database at this program's version; its history is for reading."""
    url = _database(any_server)
    migrate(url, passwords(any_server))
    return url


@pytest.fixture(scope="module")
def facts(migrated: str) -> Iterator["Facts"]:
    with psycopg.connect(migrated, autocommit=True, row_factory=dict_row) as connection:
        yield Facts(connection)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations that a test may spoil."""
    return Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))


class Facts:
    def __init__(self, connection: psycopg.Connection[dict[str, object]]) -> None:
        self.connection = connection

    def column(self, query: str) -> list[object]:
        return [next(iter(row.values())) for row in self.connection.execute(query)]


def _database(server: embedded.Server) -> str:
    name = f"g_{uuid4().hex[:12]}"
    with psycopg.connect(server.url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return server.url("postgres", name)  # dropped with the server's folder


def passwords(server: embedded.Server) -> dict[str, str]:
    return {login: server.passwords[login] for login in embedded.LOGINS}


# Applying ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("migrated")  # so that the server has the logins
def test_everything_applies_once(any_server: embedded.Server, empty: str) -> None:
    doors = Doors(open_pool(login_url(any_server, empty, "clipdesk_app"), 1), None)
    try:
        with pytest.raises(SchemaMismatch, match=r"services\.database\.migrate"):
            check_schema(doors)
        assert migrate(empty, passwords(any_server)) == VERSIONS
        check_schema(doors)
        assert migrate(empty, passwords(any_server)) == []
        assert migrate(login_url(any_server, empty, "clipdesk_admin"), {}) == []
        note(empty, "99990101000000", [])
        with pytest.raises(SchemaMismatch, match=r"services\.database\.migrate"):
            check_schema(doors)
    finally:
        doors.close()


def test_a_file_that_fails_leaves_no_trace(any_server: embedded.Server, empty: str, folder: Path) -> None:
    migrate(empty, passwords(any_server), folder)
    file = folder / "20990101000000_more.sql"
    file.write_text("create table private.more (n integer); select 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty, passwords(any_server), folder)
    file.write_text("create table private.more (n integer);")
    assert migrate(empty, passwords(any_server), folder) == ["20990101000000"]


def test_a_file_that_another_tool_ran_in_part_is_told(any_server: embedded.Server, empty: str, folder: Path) -> None:
    migrate(empty, passwords(any_server), folder)
    (folder / "20990101000000_more.sql").write_text("create schema one; create schema two;")
    with psycopg.connect(empty, autocommit=True) as admin:
        admin.execute("create schema two")
        with pytest.raises(SchemaMismatch, match="Migration 20990101000000 makes what is there already"):
            migrate(empty, passwords(any_server), folder)
        admin.execute("drop schema two")
    assert migrate(empty, passwords(any_server), folder) == ["20990101000000"]


def test_what_accounts_lack_comes_without_a_superuser(any_server: embedded.Server, empty: str) -> None:
    migrate(empty, passwords(any_server))
    with psycopg.connect(empty, autocommit=True) as admin:
        admin.execute("alter table auth.users drop column deleted_at")
        migrate(login_url(any_server, empty, "clipdesk_admin"), {})
        admin.execute("select deleted_at from auth.users")


def test_two_processes_at_once_apply_everything_once(any_server: embedded.Server, empty: str) -> None:
    script = "import json, sys; from services.database.migrate import migrate; "
    script += "print(len(migrate(sys.argv[1], json.loads(sys.argv[2]))))"
    command = [sys.executable, "-c", script, empty, json.dumps(passwords(any_server))]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = sorted(int(process.communicate(timeout=60)[0]) for process in running)
    assert answers == [0, len(VERSIONS)]


# History ----------------------------------------------------------------------------------------------------


def note(url: str, version: str, statements: list[str] | None) -> None:
    """Put a version into the history as if its statements had been applied."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into supabase_migrations.schema_migrations (version, statements) values (%s, %s)"
            " on conflict (version) do update set statements = excluded.statements",
            (version, statements),
        )


def test_a_changed_file_stops_the_start(migrated: str, folder: Path) -> None:
    file = next(folder.glob("*_jobs.sql"))
    file.write_text(file.read_text("utf-8").replace("integer not null default 3", "integer not null default 4", 1))
    with pytest.raises(SchemaMismatch, match=rf"Migration {file.stem[:14]} was changed after it was applied"):
        migrate(migrated, {}, folder)


def test_a_vanished_file_stops_the_start(migrated: str, folder: Path) -> None:
    file = sorted(folder.glob("*.sql"))[3]
    file.unlink()
    with pytest.raises(SchemaMismatch, match=f"has migration {file.stem[:14]}, which this program does not"):
        migrate(migrated, {}, folder)


def test_layout_and_comments_are_no_change(migrated: str, folder: Path) -> None:
    for file in folder.glob("*.sql"):
        text = file.read_text("utf-8")
        file.write_text("-- a remark\n\n" + text.replace("\n\n", "\n\n\n-- another\n").replace("\n    ", "\n\t"))
    assert migrate(migrated, {}, folder) == []


def test_a_history_written_by_the_cli_is_no_change(migrated: str) -> None:
    """The CLI stores a file as its statements, without the semicolons and the space between them."""
    assert len(statements(migrations()[0].text)) > 3
    for file in migrations():
        note(migrated, file.version, statements(file.text))
    assert migrate(migrated, {}) == []


def test_a_version_noted_without_its_statements_is_applied(any_server: embedded.Server, empty: str) -> None:
    migrate(empty, passwords(any_server))
    note(empty, VERSIONS[2], None)
    assert migrate(empty, passwords(any_server)) == []


def test_a_remark_behind_a_statement_does_not_hide_the_next(migrated: str, folder: Path) -> None:
    file = folder / "20990101000000_remarks.sql"
    file.write_text("create schema one -- the first\n;\ncreate schema two; -- the second\ncreate schema three")
    note(migrated, "20990101000000", statements(file.read_text()))
    try:
        assert migrate(migrated, {}, folder) == []
        file.write_text(file.read_text().replace("three", "four"))
        with pytest.raises(SchemaMismatch):
            migrate(migrated, {}, folder)
    finally:
        with psycopg.connect(migrated) as connection:
            connection.execute("delete from supabase_migrations.schema_migrations where version = '20990101000000'")


def statements(text: str) -> list[str]:
    """The file's statements as the CLI cuts them: at each semicolon outside quotes, bodies and comments."""
    tokens = re.findall(r"\$\$.*?\$\$|'(?:[^']|'')*'|--[^\n]*|;|[^;'$-]+|.", text, re.DOTALL)
    cuts: list[str] = [""]
    for token in tokens:
        if token == ";":
            cuts.append("")
        else:
            cuts[-1] += token
    return [cut.strip() for cut in cuts if cut.strip()]


# Logins -----------------------------------------------------------------------------------------------------


def login_url(server: embedded.Server, superuser_url: str, login: str) -> str:
    database = superuser_url.rsplit("/", 1)[1].split("?", maxsplit=1)[0]
    return server.url(login, database)


@pytest.fixture
def restored(any_server: embedded.Server) -> Iterator[None]:
    """Logins belong to the whole server: give them back the passwords that other tests know."""
    yield
    with psycopg.connect(any_server.url("postgres", "postgres"), autocommit=True) as admin:
        for login, password in passwords(any_server).items():
            admin.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(login), sql.Literal(password)))


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("password", ["p@ss/w:ö%r d?#'\"\\", "plain"])
def test_logins_get_the_passwords_of_the_operator_s_addresses(
    migrated: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = migrated.split("@", 1)[1]
    monkeypatch.setenv("DATABASE_URL", f"postgresql://clipdesk_app:{quote(password, safe='')}@{where}")
    monkeypatch.setenv("DATABASE_WORKER_URL", f"postgresql://clipdesk_worker:{quote(password + '2', safe='')}@{where}")
    options = Settings()
    assert logins_of(options) == {"clipdesk_app": password, "clipdesk_worker": f"{password}2"}
    migrate(migrated, logins_of(options))
    for url in (options.database_url, options.database_worker_url):
        psycopg.connect(str(url)).close()


def test_a_password_is_read_as_the_driver_reads_it() -> None:
    options = Settings(database_url="postgresql://clipdesk_app:a[b%5D@db1:5432,db2:5433/x?connect_timeout=2")
    assert logins_of(options) == {"clipdesk_app": "a[b]"}


def test_foreign_logins_and_missing_passwords_are_left_alone() -> None:
    options = Settings(
        database_url="postgresql://somebody:secret@db/x", database_worker_url="postgresql://clipdesk_worker@db/x"
    )
    assert logins_of(options) == {}


@pytest.mark.parametrize("login", ["clipdesk_app", "clipdesk_worker"])
def test_each_login_inherits_nothing(facts: "Facts", login: str) -> None:
    facts.connection.execute(f"set role {login}")
    try:
        for table in ("public.accounts", "private.sessions", "auth.users"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                facts.connection.execute(f"select from {table}")
    finally:
        facts.connection.execute("reset role")


# The command ------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in ("DATABASE_URL", "DATABASE_WORKER_URL", "DATABASE_ADMIN_URL"):
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


def test_the_command_migrates_and_says_where_it_is(
    empty: str, fresh_settings: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh_settings.setenv("DATABASE_ADMIN_URL", empty)
    assert (main(), main()) == (0, 0)
    assert capsys.readouterr().out.splitlines() == [
        f"Applied {len(VERSIONS)} migrations; the schema is at {expected_version()}.",
        f"Applied 0 migrations; the schema is at {expected_version()}.",
    ]


def test_the_command_says_what_is_missing(
    fresh_settings: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main() == 1
    assert "Set DATABASE_ADMIN_URL" in capsys.readouterr().err
    settings.cache_clear()
    fresh_settings.setenv("DATABASE_ADMIN_URL", f"postgresql://postgres:hunter2@/x?host={tmp_path}")
    assert main() == 1
    complaint = capsys.readouterr().err
    assert "DATABASE_ADMIN_URL cannot be reached" in complaint
    assert "hunter2" not in complaint


# The schema -------------------------------------------------------------------------------------------------


def test_row_security_is_on_everywhere(facts: "Facts") -> None:
    open_tables = "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
    assert facts.column(open_tables)
    assert facts.column(f"{open_tables} and not relrowsecurity") == []


def test_every_policy_has_one_way_and_asks_who(facts: "Facts") -> None:
    assert (
        facts.column(
            "select tablename from pg_policies where schemaname = 'public'"
            " group by tablename, cmd, roles having count(*) > 1"
        )
        == []
    )
    assert facts.column("select tablename from pg_policies where qual = 'true' or with_check = 'true'") == []
    bare = r"auth\.(uid|jwt)\(\)"
    assert facts.column(f"select tablename from pg_policies where qual ~ '(?<!SELECT ){bare}'") == []


def test_every_foreign_key_has_an_index(facts: "Facts") -> None:
    missing = """
        select c.conrelid::regclass || ' (' || c.conname || ')' from pg_constraint c
        where c.contype = 'f' and c.connamespace::regnamespace::text in ('public', 'private') and not exists (
            select from pg_index i where i.indrelid = c.conrelid and i.indpred is null
            and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)"""
    assert facts.column(missing) == []


OURS = "n.nspname in ('public', 'private', 'local', 'auth')"
NAMES = "select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
FUNCTIONS = f"{NAMES} where {OURS}"


def test_every_function_has_a_pinned_search_path(facts: "Facts") -> None:
    assert len(facts.column(FUNCTIONS)) > 60
    assert facts.column(f"""{FUNCTIONS} and not coalesce('search_path=""' = any (p.proconfig), false)""") == []


def test_no_function_of_the_open_schema_runs_as_its_owner(facts: "Facts") -> None:
    assert facts.column(f"{FUNCTIONS} and n.nspname = 'public' and p.prosecdef") == []


def test_nobody_unnamed_may_run_a_function(facts: "Facts") -> None:
    to_all = "exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)"
    assert facts.column(f"{FUNCTIONS} and n.nspname <> 'auth' and {to_all}") == []


def test_nobody_may_update_a_limit_a_role_or_a_price(facts: "Facts") -> None:
    granted = """
        select r.rolname || ' may update ' || a.attrelid::regclass || '.' || a.attname
        from pg_attribute a join pg_class t on t.oid = a.attrelid cross join pg_roles r
        where t.relnamespace = 'public'::regnamespace and t.relkind = 'r' and a.attnum > 0
          and (a.attname ~ '(quota|usd|limit|role|price|units|valid_|month|seq)' or t.relname ~ '(price|quota|cost)')
          and r.rolname in ('anon', 'authenticated', 'service_role', 'clipdesk_app', 'clipdesk_worker')
          and has_column_privilege(r.oid, t.oid, a.attnum, 'update')"""
    assert facts.column(granted) == []


def test_nothing_in_the_open_schema_belongs_to_a_superuser(facts: "Facts") -> None:
    owners = "select distinct relowner::regrole::text from pg_class where relnamespace = 'public'::regnamespace"
    assert facts.column(owners) == ["clipdesk_admin"]
