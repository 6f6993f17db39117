"""Look at everything this installation rests on and say what to do: `python -m services.doctor`.

Ends with 0 when all is well, with 1 when something has to be done. Changes nothing on Supabase or an own Postgres but
files that it removes again. The embedded database it starts as the app does: migrations are applied and the vault's
keys made, where they are not there yet.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from psycopg.conninfo import conninfo_to_dict

from services import logs, vault
from services.config import VAULT_ADVICE, Settings, settings
from services.database.connect import OpenDoors, process_doors
from services.database.migrate import migrations
from services.errors import AppError, SettingsInvalid
from services.media.connect import workers_media
from services.media.door import Media
from services.speech import registry
from services.speech.provider import Provider

# Functions that nobody in particular may run: the secret of a session, or of a mailed link, is the permission.
OPEN_FUNCTIONS = frozenset(
    {"load_session", "end_session", "claim_refresh", "store_tokens", "request_reset", "schema_version"}
)
SKEW = (5, 60)  # seconds between two clocks that are remarkable, and that make tokens fail
LEAST_SPACE = 1 << 30  # bytes free for the spool
PATIENCE = 300  # seconds that a job may wait before somebody asks for the worker
ROWS = 1000
TRANSACTION_POOLER = "6543"
NO_VAULT = (
    "no keys here, so keys of outside services and webhooks cannot be saved. Where they are wanted, set VAULT_KEYS on "
    f"the worker and VAULT_PUBLIC_KEY on the app: {VAULT_ADVICE}"
)


@dataclass(frozen=True)
class Finding:
    """One line of the report; `advice` is empty when all is well."""

    subject: str
    found: str
    advice: str = ""


def examine(options: Settings, opened: OpenDoors) -> Iterator[Finding]:
    """Each finding as it is made."""
    yield _address(options)
    yield _spool(options.spool_folder)
    if not opened.works:
        yield Finding("Worker", "this process has no worker's login", "Run this where the worker runs to see the rest.")
        return
    facts = None
    try:
        started = time.monotonic()
        facts = opened.worker().call("examine")
        yield Finding("Database", f"Postgres {facts['server']} answers in {(time.monotonic() - started) * 1000:.0f} ms")
    except AppError as exc:
        yield Finding("Database", "does not answer the worker", str(exc))
    if facts:
        yield from _database(facts)
        yield _rows(opened)
        yield _vault(options, opened)
    yield _media(workers_media(options))
    if opened.hosted:
        yield _sign_in(options)
    yield from (_voice(provider) for provider in registry.providers())


def _database(facts: dict[str, Any]) -> Iterator[Finding]:
    yield _migrations(facts["versions"] or [])
    yield _clock(facts["now"])
    yield _none(
        "Row security", facts["open_tables"], "without row security", "Restore it: a token reaches all of their rows."
    )
    yield _none("Tables", facts["anonymous_tables"], "open to anybody", "Revoke what anon may do with them.")
    yield _none(
        "Functions",
        sorted(set(facts["anonymous_functions"]) - OPEN_FUNCTIONS),
        "open to anybody",
        "Revoke execute on them from anon and public.",
    )
    yield _none("Grants", facts["unreadable_tables"], "closed to the worker", "Grant select on them to service_role.")
    yield _queue(facts["waiting_seconds"])
    yield (
        Finding("Company", f"{facts['companies']} in this installation")
        if facts["companies"]
        else Finding("Company", "none yet", "Make the first one: `python -m services.first_admin --help`.")
    )


def _address(options: Settings) -> Finding:
    """A pooler that gives each transaction another connection loses what a session holds."""
    urls = [url for url in (options.database_url, options.database_worker_url) if url]
    if any(str(conninfo_to_dict(url).get("port")) == TRANSACTION_POOLER for url in urls):
        return Finding(
            "Address",
            f"port {TRANSACTION_POOLER} is a pooler in transaction mode",
            "Use the direct address or the session pooler (port 5432).",
        )
    if options.cloud:
        return Finding("Address", f"Supabase project {options.supabase_url}")
    return Finding("Address", "embedded Postgres" if options.embedded else "an own Postgres")


def _spool(folder: Path) -> Finding:
    probe = folder / f"doctor-{uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as exc:
        return Finding(
            "Spool", f"{os.strerror(exc.errno or 0)}: {folder}", "Let the worker write there, or set SPOOL_DIR."
        )
    free = shutil.disk_usage(folder).free
    advice = "" if free >= LEAST_SPACE else "Free some space: without it nothing is bought."
    return Finding("Spool", f"{free / 1e9:.1f} GB free in {folder}", advice)


def _migrations(applied: Sequence[str]) -> Finding:
    wanted = [file.version for file in migrations()]
    missing = [version for version in wanted if version not in applied]
    unknown = [version for version in applied if version not in wanted]
    if unknown:
        return Finding("Migrations", f"the database has {unknown[0]}, this program has not", "Start the newer program.")
    if missing:
        half = " although later ones are there" if missing[0] < max(applied, default="") else ""
        return Finding(
            "Migrations",
            f"{missing[0]} is missing{half}",
            "Run `supabase db push` (Supabase) or `python -m services.database.migrate` (own Postgres).",
        )
    return Finding("Migrations", f"all {len(wanted)} applied, the schema is at {wanted[-1]}")


def _clock(database: str) -> Finding:
    skew = abs((datetime.now(UTC) - datetime.fromisoformat(database)).total_seconds())
    remarkable, failing = SKEW
    if skew <= remarkable:
        return Finding("Clock", "this machine and the database agree")
    effect = "tokens fail" if skew > failing else "times differ"
    return Finding("Clock", f"{skew:.0f} s apart: {effect}", "Have this machine's clock set by NTP.")


def _none(subject: str, names: Sequence[str], what: str, advice: str) -> Finding:
    return Finding(subject, f"{', '.join(names)} {what}", advice) if names else Finding(subject, f"none is {what}")


def _queue(waiting: int | None) -> Finding:
    if waiting is None or waiting <= PATIENCE:
        return Finding("Worker", "no job has waited for long")
    return Finding(
        "Worker", f"a job has been waiting for {waiting // 60} min", "Start a worker: `python -m services.jobs.worker`."
    )


def _rows(opened: OpenDoors) -> Finding:
    try:
        got = len(opened.worker().call("thousand_rows"))
    except AppError as exc:
        return Finding("Row limit", "unknown", str(exc))
    if got == ROWS:
        return Finding("Row limit", f"{ROWS} or more")
    return Finding("Row limit", f"{got}", "Everything works, slowly: set the project's “Max rows” to 1000 again.")


def _vault(options: Settings, opened: OpenDoors) -> Finding:
    """Whether what the app seals can be opened here. Installations that save no keys need no vault."""
    force = opened.worker().call("vault_key")
    try:
        keys = [vault.fingerprint(key.public_key) for key in vault.ring(options)]
    except SettingsInvalid as exc:
        needed = force is not None or options.embedded or options.vault_public_key
        return Finding("Vault", "no keys here", str(exc)) if needed else Finding("Vault", NO_VAULT)
    if options.vault_public_key and vault.fingerprint(vault.public_key(options)) != keys[0]:
        advice = "Set it to the pair of the first of VAULT_KEYS, or put that pair's private key first."
        return Finding("Vault", "VAULT_PUBLIC_KEY is of another pair", advice)
    if force is None:
        return Finding("Vault", f"key {keys[0]}, not in force before a worker starts")
    if force not in keys:
        advice = (
            "Put its private key into VAULT_KEYS. If it is lost: run `python -m services.vault rotate`, then have "
            "admins type the keys of outside services again."
        )
        return Finding("Vault", f"key {force} is in force and not among this worker's", advice)
    if force != keys[0]:
        advice = "Run `python -m services.vault rotate`: until then nothing can be saved with the newest."
        return Finding("Vault", f"key {force} is in force, a newer one is there", advice)
    return Finding("Vault", f"key {force} is in force")


def _media(store: Media) -> Finding:
    path = f"doctor/{uuid4().hex}.txt"
    trouble = store.trouble()
    if trouble:
        return Finding("Media", "cannot be used", trouble)
    try:
        store.write(path, b"x")
        store.read(path)
        store.delete(path)
    except (AppError, OSError) as exc:
        return Finding("Media", "cannot be written and read", str(exc))
    return Finding("Media", "written, read and deleted a file")


def _sign_in(options: Settings) -> Finding:
    from services.identity import cloud_accounts  # noqa: PLC0415 - its client takes a second to import

    if options.session_key is None:
        return Finding("Sign-in", "no SESSION_KEY here", "The app needs one: `openssl rand -base64 32` prints it.")
    try:
        cloud_accounts().vendor.health()
    except AppError as exc:
        return Finding("Sign-in", "does not answer", str(exc))
    return Finding("Sign-in", "the service answers")


def _voice(provider: Provider) -> Finding:
    """Voices are optional: only one that somebody pays for has to work."""
    state = provider.state()
    if not state.ready:
        return Finding(provider.label, f"{state.readiness}. {state.sentence}")
    try:
        return Finding(provider.label, provider.test())
    except AppError as exc:
        return (
            Finding(provider.label, "does not work", str(exc))
            if provider.paid_outside
            else Finding(provider.label, f"does not work now. {exc}")
        )


def main() -> int:
    try:
        options = settings()
        logs.configure("error")
        with process_doors(options) as opened:
            return _report(examine(options, opened))
    except AppError as exc:
        sys.stdout.write(f"FIX  Start: {exc}\n")
        return 1


def _report(findings: Iterator[Finding]) -> int:
    wrong = 0
    for finding in findings:
        wrong += bool(finding.advice)
        mark, tail = ("FIX ", f". {finding.advice}") if finding.advice else ("ok  ", "")
        sys.stdout.write(f"{mark} {finding.subject}: {finding.found}{tail}\n")
        sys.stdout.flush()
    sys.stdout.write("All is well.\n" if not wrong else f"{wrong} to be done.\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
