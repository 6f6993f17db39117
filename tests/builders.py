"""Make companies, people, stores, prices and jobs in a test's database, as a superuser, with few words."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from argon2 import PasswordHasher
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from services import config, identity
from services.accounts import passwords
from services.config import Settings
from services.database import connect, embedded
from services.database.connect import Doors
from services.database.door import Database
from services.database.postgres import open_pool

CLOCK = (
    "create or replace function private.utc_now() returns timestamptz language sql stable set search_path = ''"
    " as $$ select {} $$"
)
# As now(), a stopped clock shows one time through a transaction, though it is moved meanwhile.
STOPPED = (
    "coalesce(nullif(current_setting('clock.stopped', true), ''), set_config('clock.stopped', '{}', true))::timestamptz"
)
AS_MADE = "set session authorization default; reset all; select pg_advisory_unlock_all(); unlisten *; discard temp"


@dataclass
class World:
    """One test's database: a superuser's connection for builders and facts, and the product's own doors."""

    url: str  # superuser's
    doors: Doors
    admin: psycopg.Connection[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.admin = psycopg.connect(self.url, autocommit=True, row_factory=dict_row)

    def close(self) -> None:
        self.admin.close()
        self.doors.close()

    def as_made(self) -> bool:
        """Whether all its connections can still be used; the superuser's then is as it was, whatever a test set."""
        if self.doors.app_pool.closed or (self.doors.worker_pool and self.doors.worker_pool.closed):
            return False
        if self.admin.info.transaction_status != TransactionStatus.IDLE:
            return False
        try:
            self.admin.execute(AS_MADE)
        except psycopg.OperationalError:  # the test ended it
            return False
        return True

    # Facts -----------------------------------------------------------------------------------------------------

    def rows(self, query: str, *params: Any) -> list[dict[str, Any]]:
        return self.admin.execute(query, params).fetchall()

    def value(self, query: str, *params: Any) -> Any:
        (row,) = self.rows(query, *params)
        return next(iter(row.values()))

    def execute(self, query: str, *params: Any) -> None:
        self.admin.execute(query, params)

    @contextmanager
    def at(self, instant: datetime) -> Iterator[None]:
        """Stop the database's clock at `instant` for new connections and this one's transactions."""
        self.set_clock(instant)
        try:
            yield
        finally:
            self.set_clock(None)

    def set_clock(self, instant: datetime | None) -> None:
        self.execute(CLOCK.format(STOPPED.format(instant.isoformat()) if instant else "now()"))

    # People and stores -----------------------------------------------------------------------------------------

    def insert(self, table: str, **values: Any) -> None:
        values = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in values.items()}
        columns = ", ".join(values)
        marks = ", ".join(["%s"] * len(values))
        self.execute(f"insert into {table} ({columns}) values ({marks})", *values.values())

    def company(self, name: str = "Harbour Bakery", quota: str = "0", **extra: Any) -> UUID:
        account_id = uuid4()
        self.insert(
            "public.accounts",
            **{
                "id": account_id,
                "slug": f"c-{account_id}",
                "name": name,
                "monthly_quota_usd": Decimal(quota),
                **extra,
            },
        )
        self.price(account_id, "hibari", "heart", "0")
        self.price(account_id, "practice", "premium", "0.30")
        return account_id

    def store(self, account_id: UUID, name: str = "Quay", quota: str = "0", **extra: Any) -> UUID:
        profile_id = uuid4()
        values = {
            "id": profile_id, "account_id": account_id, "slug": f"s-{profile_id}", "code": profile_id.hex[:8],
            "name": name, "monthly_quota_usd": Decimal(quota), **extra,
        }  # fmt: skip
        self.insert("public.profiles", **values)
        return profile_id

    def person(self, account_id: UUID | None, role: str = "manager", *stores: UUID, name: str | None = None) -> UUID:
        """A person with this role; a manager works in `stores`. Without a company: a stranger."""
        person_id = uuid4()
        self.insert("public.people", id=person_id, email=f"{person_id}@example.test", name=name or role.capitalize())
        if account_id:
            self.insert("public.members", account_id=account_id, person_id=person_id, role=role)
        for store in stores:
            self.insert("public.profile_members", profile_id=store, account_id=account_id, person_id=person_id)
        return person_id

    def password(self, person_id: UUID, password: str) -> str:
        """Give the person a password; returns the e-mail address to sign in with."""
        email = self.value("select email from public.people where id = %s", person_id)
        self.insert("auth.users", id=person_id, email=email, encrypted_password=passwords.hash_password(password))
        return str(email)

    def price(
        self, account_id: UUID, provider: str, model: str, usd: str, kind: str = "characters", per: int = 1000,
        valid_from: str = "2020-01-01T00:00:00+00:00",
    ) -> None:  # fmt: skip
        self.insert(
            "public.prices", id=uuid4(), account_id=account_id, provider=provider, model=model, unit_kind=kind,
            usd=Decimal(usd), per_units=per, valid_from=valid_from,
        )  # fmt: skip

    def project(self, profile_id: UUID, name: str = "Autumn") -> UUID:
        project_id = uuid4()
        self.insert(
            "public.projects",
            id=project_id,
            account_id=self.account_of(profile_id),
            profile_id=profile_id,
            name=name,
        )
        return project_id

    def clip(self, profile_id: UUID, project_id: UUID, **extra: Any) -> UUID:
        clip_id = uuid4()
        values = {"id": clip_id, "account_id": self.account_of(profile_id), "profile_id": profile_id,
                  "project_id": project_id, "name": "Clip", **extra}  # fmt: skip
        self.insert("public.clips", **values)
        return clip_id

    def job(self, kind: str, profile_id: UUID | None = None, **extra: Any) -> UUID:
        """A pending job; without a store it is work of the installation."""
        job_id = uuid4()
        account_id = self.account_of(profile_id) if profile_id else None
        values = {"id": job_id, "kind": kind, "account_id": account_id, "profile_id": profile_id, "request_id": job_id}
        self.insert("public.jobs", **{**values, **extra})
        return job_id

    def account_of(self, profile_id: UUID) -> UUID:
        account: UUID = self.value("select account_id from public.profiles where id = %s", profile_id)
        return account

    # Voices ----------------------------------------------------------------------------------------------------

    def service(
        self, provider: str, *models: dict[str, Any], account_id: UUID | None = None, readiness: str = "ready",
        message: str = "Ready.", **extra: Any,
    ) -> None:  # fmt: skip
        """A voice service as the worker found it; a model needs an id, the rest has defaults."""
        known = {
            m["id"]: {"name": m["id"], "max_characters": 5_000, "multiplier": "1", "dearest": "1", **m} for m in models
        }
        values = {"account_id": account_id, "provider": provider, "readiness": readiness, "message": message}
        self.insert("public.voice_services", **values, models=known, **extra)

    def voice(self, provider: str, voice: str, account_id: UUID | None = None, **extra: Any) -> None:
        """A voice of a service, listed after those that are there; `multiplier` None: the vendor does not say."""
        place = self.value("select count(*) from public.voices")
        values = {"account_id": account_id, "provider": provider, "voice": voice, "name": voice.capitalize(),
                  "language": "en-US", "description": "", "multiplier": 1, "place": place}  # fmt: skip
        self.insert("public.voices", **{**values, **extra})

    def purchase(self, job_id: UUID, state: str, **extra: Any) -> UUID:
        """A passage's purchase under the hold that its job was ordered with; what was sent has committed it."""
        (job,) = self.rows("select * from public.jobs where id = %s", job_id)
        purchase_id, order = uuid4(), job["input"]
        values = {
            "id": purchase_id, "account_id": job["account_id"], "profile_id": job["profile_id"], "job_id": job_id,
            "request_id": job["request_id"], "place": 0, "provider": order["provider"], "model": order["model"],
            "voice": order["voice"], "part_hash": f"part-{purchase_id}", "characters": len(order["text"]),
            "units_expected": len(order["text"]), "exact": True, "state": state, "sent_at": datetime.now(UTC),
        }  # fmt: skip
        self.insert("public.purchases", **{**values, **extra})
        if state in ("sent", "unclear"):
            self.execute("update public.cost_holds set state = 'committed' where job_id = %s", job_id)
        return purchase_id

    def pause(
        self, account_id: UUID, provider: str, model: str, expected: int = 100, billed: int = 400, **extra: Any
    ) -> None:
        """A model that billed more than it announced; `id` is the purchase's."""
        values = {
            "id": uuid4(), "account_id": account_id, "provider": provider, "model": model, "voice": "v",
            "characters": expected, "expected": expected, "billed": billed,
        }  # fmt: skip
        self.insert("public.model_pauses", **{**values, **extra})

    # Doors -----------------------------------------------------------------------------------------------------

    def as_person(self, person_id: UUID) -> Database:
        return self.doors.person(person_id)

    def as_worker(self) -> Database:
        return self.doors.worker()

    # Money -----------------------------------------------------------------------------------------------------

    def spend(self, profile_id: UUID, usd: str, user_id: UUID | None = None, service: str = "practice") -> UUID:
        """Hold and settle an amount, priced through a price row made for it. Returns the request id."""
        request_id, model = uuid4(), f"m-{uuid4()}"
        self.price(self.account_of(profile_id), service, model, usd, kind="requests", per=1)
        worker = self.as_worker()
        worker.call("hold_cost", p_request_id=request_id, p_profile_id=profile_id, p_estimate_usd=Decimal(usd),
                    p_service=service, p_user_id=user_id)  # fmt: skip
        worker.call("settle_cost", p_request_id=request_id, p_entries=[entry(model=model, units={"requests": 1})])
        return request_id

    def money_differences(self) -> list[dict[str, Any]]:
        """Where counters or sums differ from the ledger and the holds, over all companies and months."""
        months = self.rows(
            "select account_id, month from public.quota_counters union select account_id, month from public.cost_holds"
        )
        return [
            row
            for month in months
            for row in self.rows("select * from private.check_money(%s, %s)", month["account_id"], month["month"])
        ]


def entry(**values: Any) -> dict[str, Any]:
    """A ledger entry as `settle_cost` takes it."""
    return {
        "id": str(uuid4()), "operation": "tts", "model": "premium", "category": "speech", "units": {"characters": 100},
        **values,
    }  # fmt: skip


def speech(text: str = "Fresh bread at six.", **values: Any) -> dict[str, Any]:
    """What `enqueue_speech` and `speech_quote` take."""
    return {
        "text": text, "provider": "practice", "model": "premium", "voice": "premium", "format": "mp3",
        "settings": {"speed": 1.0}, **values,
    }  # fmt: skip


def forget_power_cuts(server: embedded.Server) -> None:
    """A test's server may lose its data with the machine; without waiting for the disk it stops 20 s earlier."""
    with psycopg.connect(server.url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute("alter system set fsync = off")
        admin.execute("alter system set full_page_writes = off")
        admin.execute("select pg_reload_conf()")


def make_database(server: embedded.Server, name: str, template: str) -> None:
    """Copying the template's files takes a third of the time of writing them to the log, the server's usual way."""
    command = "create database {} template {} strategy file_copy"
    with psycopg.connect(server.url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL(command).format(sql.Identifier(name), sql.Identifier(template)))


def drop_database(server: embedded.Server, name: str) -> None:
    """Raises `psycopg.errors.ObjectInUse` where somebody stays connected for 5 s."""
    with psycopg.connect(server.url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {}").format(sql.Identifier(name)))


# Waits for whoever still writes. Triggers stay out: history is append only. Deleting computes for 7 ms, truncating 430.
EMPTY = """
do $$
declare
    tables text[] := array(
        select format('%I.%I', schemaname, tablename) from pg_catalog.pg_tables
        where schemaname in ('public', 'private', 'auth') order by 1);
    name text;
begin
    set local session_replication_role = replica;
    execute 'lock table ' || array_to_string(tables, ', ') || ' in share row exclusive mode';
    foreach name in array tables loop
        if pg_relation_size(name::regclass) > 0 then
            execute 'delete from ' || name;
        end if;
    end loop;
    perform setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
    from pg_catalog.pg_sequences where last_value is not null;
end $$
"""


def empty(admin: psycopg.Connection[Any]) -> None:
    """Delete every row of the product's tables, as the superuser."""
    admin.execute(EMPTY)


def start_clock(admin: psycopg.Connection[Any]) -> None:
    """As `World.set_clock(None)`, where a test may have left it stopped."""
    if admin.execute("select where private.utc_now() <> now()").rowcount:
        admin.execute(CLOCK.format("now()"))


@contextmanager
def fresh_world(server: embedded.Server, template: str, connections: int = 20) -> Iterator[World]:
    """A world that the tests of a module share; each of them makes its own company."""
    name = f"m_{uuid4().hex[:12]}"
    make_database(server, name, template)
    doors = Doors(
        open_pool(server.url("clipdesk_app", name), connections),
        open_pool(server.url("clipdesk_worker", name), connections),
    )
    world = World(server.url("postgres", name), doors)
    try:
        yield world
    finally:
        world.close()
        drop_database(server, name)


QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # the real one takes 0.2 s a password on two cores


@contextmanager
def installed(world: World, folder: Path) -> Iterator[World]:
    """Make `world` this process's installation: its doors, default settings with data in `folder`, nobody seen yet."""
    with pytest.MonkeyPatch.context() as patch:
        for name in Settings.model_fields:
            patch.delenv(name.upper(), raising=False)
        patch.setenv("CLIPDESK_DATA", str(folder))
        patch.setattr(config, "SECRETS", folder / "secrets.toml")
        patch.setattr(connect, "_current", [world.doors])
        patch.setattr(passwords, "hasher", lambda: QUICK)
        _forget()
        yield world
    _forget()


def _forget() -> None:
    config.settings.cache_clear()
    identity.sessions.clear()
