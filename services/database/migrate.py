"""Bring a Postgres to the schema of this program: `python -m services.database.migrate`.

Three stages. A superuser runs the prelude (what Supabase brings and a plain Postgres lacks); then, as
clipdesk_admin, the files of supabase/migrations in order, each in its own transaction, noted in the table
that the Supabase CLI uses; then the functions of local accounts. Stages one and three can be repeated.
"""

import hashlib
import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from services.config import ROOT, Settings, settings
from services.errors import AppError, SchemaMismatch, SettingsInvalid

log = logging.getLogger(__name__)
MIGRATIONS = ROOT / "supabase" / "migrations"
STAGES = Path(__file__).parent / "sql"
LOCK = 20261121  # advisory lock: one migration at a time
ADMIN = "clipdesk_admin"

ALREADY_THERE = (
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateColumn,
    psycopg.errors.DuplicateFunction,
    psycopg.errors.DuplicateObject,
    psycopg.errors.DuplicateSchema,
)

Connection = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True)
class Migration:
    version: str
    name: str
    text: str


def migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The files of the folder, `<version>_<name>.sql`, in order."""
    files = sorted(folder.glob("*.sql"))
    return [_read(path) for path in files]


def _read(path: Path) -> Migration:
    version, name = path.stem.split("_", 1)
    return Migration(version, name, path.read_text("utf-8"))


def expected_version() -> str:
    return migrations()[-1].version


def migrate(url: str, passwords: Mapping[str, str], folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing; returns the versions applied. `passwords` are those of the logins.

    Raises `SchemaMismatch` when an applied file changed or vanished, `SettingsInvalid` when the login may not migrate.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (LOCK,))
        try:
            if _is_superuser(connection):
                _prelude(connection, passwords)
            _become_admin(connection)
            return _apply(connection, folder)
        finally:
            connection.execute("reset role")
            connection.execute("select pg_advisory_unlock(%s)", (LOCK,))


def _is_superuser(connection: Connection) -> bool:
    row = connection.execute("select rolsuper from pg_roles where rolname = current_user").fetchone()
    return bool(row and row[0])


def _become_admin(connection: Connection) -> None:
    try:
        connection.execute(sql.SQL("set role {}").format(sql.Identifier(ADMIN)))
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue) as exc:
        raise SettingsInvalid(
            f"Setting DATABASE_ADMIN_URL: the first time it needs a superuser's address, later that of {ADMIN} will do."
        ) from exc


def _prelude(connection: Connection, passwords: Mapping[str, str]) -> None:
    with connection.transaction():
        connection.execute(_script(STAGES / "prelude.sql"))
        for login, password in passwords.items():
            connection.execute(
                sql.SQL("alter role {} password {}").format(sql.Identifier(login), sql.Literal(password))
            )


def _apply(connection: Connection, folder: Path) -> list[str]:
    _history_table(connection)
    applied = _history(connection)
    files = migrations(folder)
    _refuse_rewritten_history(applied, files)
    missing = [file for file in files if file.version not in applied]
    with connection.transaction():
        connection.execute(_script(STAGES / "accounts.sql"))
    for file in missing:
        _apply_one(connection, file)
    with connection.transaction():
        connection.execute(_script(STAGES / "local.sql"))
    return [file.version for file in missing]


def _apply_one(connection: Connection, file: Migration) -> None:
    try:
        with connection.transaction():
            connection.execute(file.text)
            connection.execute(
                "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)",
                (file.version, file.name, [file.text]),
            )
    except ALREADY_THERE as exc:
        raise SchemaMismatch(
            f"Migration {file.version} makes what is there already ({str(exc).splitlines()[0]}): another tool ran a "
            "part of it. Nothing was changed. Undo that part and migrate again, or finish it by hand and note the "
            "version in supabase_migrations.schema_migrations."
        ) from exc


def _history_table(connection: Connection) -> None:
    connection.execute("create schema if not exists supabase_migrations")
    connection.execute(
        "create table if not exists supabase_migrations.schema_migrations"
        " (version text primary key, statements text[], name text)"
    )


def _history(connection: Connection) -> dict[str, str | None]:
    """What was applied, by version; None where whoever noted it did not keep the statements."""
    rows = connection.execute("select version, statements from supabase_migrations.schema_migrations")
    return {
        str(version): None if statements is None else _fingerprint("\n".join(cast(list[str], statements)))
        for version, statements in rows
    }


def _refuse_rewritten_history(applied: Mapping[str, str | None], files: list[Migration]) -> None:
    present = {file.version: _fingerprint(file.text) for file in files}
    if vanished := sorted(applied.keys() - present.keys()):
        raise SchemaMismatch(
            f"The database has migration {vanished[0]}, which this program does not. "
            "Start the newer program, or restore the file."
        )
    if changed := sorted(version for version, was in applied.items() if was is not None and was != present[version]):
        raise SchemaMismatch(
            f"Migration {changed[0]} was changed after it was applied. "
            "Restore the file and put the change into a new one."
        )


def _fingerprint(text: str) -> str:
    """Of the SQL alone: the CLI splits files into statements and drops what stands between them."""
    return hashlib.sha256(re.sub(r"--[^\n]*|[\s;]+", "", text).encode()).hexdigest()


def _script(path: Path) -> str:
    return path.read_text("utf-8")


def logins_of(options: Settings) -> dict[str, str]:
    """Passwords of the logins as the operator's addresses give them, so that both sides agree."""
    addresses = (options.database_url, options.database_worker_url)
    parts = [conninfo_to_dict(address) for address in addresses if address]
    return {
        str(part["user"]): str(part["password"])
        for part in parts
        if part.get("user") in ("clipdesk_app", "clipdesk_worker") and part.get("password")
    }


def main() -> int:
    try:
        options = settings()
        if options.database_admin_url is None:
            raise SettingsInvalid(
                "Set DATABASE_ADMIN_URL to an address that may migrate. The embedded database migrates at each start."
            )
        applied = migrate(options.database_admin_url, logins_of(options))
    except AppError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    except psycopg.OperationalError as exc:
        sys.stderr.write(f"The database of DATABASE_ADMIN_URL cannot be reached: {str(exc).splitlines()[0]}\n")
        return 1
    sys.stdout.write(f"Applied {len(applied)} migrations; the schema is at {expected_version()}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
