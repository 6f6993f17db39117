"""What Supabase's database linter warns of, as questions of our own to the catalogue of the migrated schema.

Each lint is tried twice: it finds nothing in the schema, and it finds a fault that is made for it and rolled back.
Levels are the linter's; of its hints (INFO) only the two that cost something later are kept. The file storage's
tables are there too, so that their policies are read.
"""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from services.config import ROOT
from services.database import embedded
from services.database.migrate import migrate

STORAGE = Path(__file__).parents[1] / "fakes" / "supabase" / "storage.sql"
CONFIG = tomllib.loads((ROOT / "supabase" / "config.toml").read_text("utf-8"))

# Names that every question may use: what REST serves, what is ours, relations and policies with their schema, and the
# roles of the keys that reach a browser.
WORDS = """
with exposed as (select oid from pg_namespace where nspname = any (%(exposed)s)),
ours as (select oid from pg_namespace where nspname in ('public', 'private', 'local')),
visitors as (select oid, rolname from pg_roles where rolname in ('anon', 'authenticated')),
relations as (
    select c.oid, c.oid::regclass::text as name, c.relkind as kind, c.relnamespace as schema,
           c.relrowsecurity as guarded,
           coalesce(array_to_string(c.reloptions, ','), '') as options,
           exists (select from visitors v where has_any_column_privilege(v.oid, c.oid, 'select')) as readable
    from pg_class c where c.relkind in ('r', 'p', 'v', 'm', 'f')),
policies as (
    select p.oid, p.polrelid, p.polname || ' on ' || p.polrelid::regclass as name, p.polpermissive as permissive,
           case p.polcmd when '*' then array['a', 'r', 'w', 'd'] else array[p.polcmd::text] end as does,
           case p.polroles when '{0}' then array(select oid from visitors) else p.polroles end as roles,
           coalesce(pg_get_expr(p.polqual, p.polrelid), '') as qual,
           coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') as checks
    from pg_policy p)
"""


@dataclass(frozen=True)
class Lint:
    """`finds` returns a name a row. `fault` makes an object that it must find, and `found` is in that one's name."""

    name: str
    level: str
    finds: str
    fault: str
    found: str = "lint_fault"


OPEN_TABLE = "create table public.lint_fault (id integer primary key); "
GUARDED_TABLE = OPEN_TABLE + "alter table public.lint_fault enable row level security; "
POLICY = GUARDED_TABLE + "create policy lint_fault on public.lint_fault "
DEFINER = (
    "create function public.lint_fault() returns integer language sql security definer set search_path = '' "
    "as 'select 1'; grant execute on function public.lint_fault() to "
)
FAKE_EXTENSION = (
    "insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) "
    "select 1, '{}', 10, oid, false, '1' from pg_namespace where nspname = 'public'; "
)

# One call of who-am-I for the whole statement stands in a sub-select of its own; any other is made again for each row.
WHO = r"(auth\.(uid|jwt|role|email)\(\)|current_setting\()"
ONCE = r"SELECT\s+\(*\s*" + WHO

VISITOR_RUNS_DEFINER = """
    select p.oid::regprocedure::text from pg_proc p
    where p.prosecdef and p.pronamespace in (select oid from exposed)
    and has_function_privilege('{}', p.oid, 'execute')"""
VISITOR_READS_BY_GRAPHQL = """
    select name from relations r where r.schema in (select oid from exposed)
    and has_any_column_privilege('{}', r.oid, 'select')
    and exists (select from pg_extension where extname = 'pg_graphql')"""

LINTS = [
    # Errors -------------------------------------------------------------------------------------------------
    Lint(
        "auth_users_exposed",
        "ERROR",
        """select r.name from relations r join pg_rewrite w on w.ev_class = r.oid join pg_depend d on d.objid = w.oid
           where d.classid = 'pg_rewrite'::regclass and d.refobjid = 'auth.users'::regclass
           and r.readable and r.schema in (select oid from exposed)""",
        "create view public.lint_fault with (security_invoker) as select id from auth.users;"
        "grant select on public.lint_fault to authenticated",
    ),
    Lint(
        "policy_exists_rls_disabled",
        "ERROR",
        "select p.name from policies p join pg_class c on c.oid = p.polrelid where not c.relrowsecurity",
        OPEN_TABLE + "create policy lint_fault on public.lint_fault using (id = 1)",
    ),
    Lint(
        "security_definer_view",
        "ERROR",
        """select name from relations where kind = 'v' and schema in (select oid from exposed)
           and options !~ 'security_invoker=(true|on|yes|1)'""",
        "create view public.lint_fault as select id from public.accounts",
    ),
    Lint(
        "rls_disabled_in_public",
        "ERROR",
        "select name from relations where kind in ('r', 'p') and not guarded and schema in (select oid from exposed)",
        OPEN_TABLE,
    ),
    Lint(
        "rls_references_user_metadata",
        "ERROR",
        """select p.name from policies p where p.qual || p.checks ~ 'user_metadata' or exists (
               select from pg_depend d join pg_proc f on f.oid = d.refobjid
               where d.classid = 'pg_policy'::regclass and d.objid = p.oid and f.prosrc ~ 'user_metadata')""",
        "create function private.lint_role() returns text language sql stable set search_path = '' as"
        " $$ select auth.jwt() -> 'user_metadata' ->> 'role' $$;"
        + POLICY
        + "using ((select private.lint_role()) = 'admin')",
    ),
    Lint(
        "insecure_queue_exposed_in_api",
        "ERROR",
        """select name from relations where kind in ('r', 'p') and not guarded
           and schema in (select oid from pg_namespace where nspname = 'pgmq')""",
        "create schema pgmq; create table pgmq.q_lint_fault (msg_id bigint primary key)",
    ),
    Lint(
        "fkey_to_auth_unique",
        "ERROR",
        """select c.conname from pg_constraint c join pg_class t on t.oid = c.confrelid
           join pg_index i on i.indexrelid = c.conindid
           where c.contype = 'f' and t.relnamespace = 'auth'::regnamespace and not i.indisprimary""",
        "alter table auth.users add unique (email);"
        "create table private.lint_fault (email text primary key references auth.users (email))",
    ),
    Lint(
        "sensitive_columns_exposed",
        "ERROR",
        """select r.name || '.' || a.attname from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0
           where r.kind in ('r', 'p') and r.readable and not r.guarded and r.schema in (select oid from exposed)
           and a.attname ~* '(passw|secret|token|api_?key|ssn|passport|iban|card_|birth|phone|email|address|health)'""",
        OPEN_TABLE + "alter table public.lint_fault add phone text; grant select on public.lint_fault to anon",
    ),
    # Warnings -----------------------------------------------------------------------------------------------
    Lint(
        "auth_rls_initplan",
        "WARN",
        f"select name from policies where regexp_replace(qual || ' ' || checks, '{ONCE}', '', 'gi') ~ '{WHO}'",
        "create table public.lint_others (id uuid primary key);"
        + POLICY
        + "using (exists (select from public.lint_others o where o.id = auth.uid()))",
    ),
    Lint(
        "multiple_permissive_policies",
        "WARN",
        """select r.name || ': ' || act || ' by ' || role::regrole
           from policies p join relations r on r.oid = p.polrelid, unnest(p.does) act, unnest(p.roles) role
           where p.permissive group by r.name, act, role having count(*) > 1""",
        POLICY
        + "for select to authenticated using (id = 1);"
        + "create policy lint_second on public.lint_fault using (id = 2)",
    ),
    Lint(
        "duplicate_index",
        "WARN",
        """select string_agg(i.indexrelid::regclass::text, ', ') from pg_index i join pg_class c on c.oid = i.indrelid
           where c.relnamespace in (select oid from ours)
           group by i.indrelid, i.indkey::text, i.indclass::text, i.indcollation::text, i.indoption::text,
                    pg_get_expr(i.indpred, i.indrelid), pg_get_expr(i.indexprs, i.indrelid)
           having count(*) > 1""",
        OPEN_TABLE + "create index lint_again on public.lint_fault (id)",
    ),
    Lint(
        "function_search_path_mutable",
        "WARN",
        """select p.oid::regprocedure::text from pg_proc p where p.pronamespace in (select oid from ours)
           and not exists (select from unnest(p.proconfig) setting where setting like 'search_path=%%')""",
        "create function private.lint_fault() returns integer language sql as 'select 1'",
    ),
    Lint(
        "extension_in_public",
        "WARN",
        "select extname from pg_extension where extnamespace in (select oid from exposed)",
        FAKE_EXTENSION.format("lint_fault"),
    ),
    Lint(
        "materialized_view_in_api",
        "WARN",
        "select name from relations where kind = 'm' and readable and schema in (select oid from exposed)",
        "create materialized view public.lint_fault as select 1 as id; grant select on public.lint_fault to anon",
    ),
    Lint(
        "foreign_table_in_api",
        "WARN",
        "select name from relations where kind = 'f' and readable and schema in (select oid from exposed)",
        "create foreign data wrapper lint_far; create server lint_far foreign data wrapper lint_far;"
        "create foreign table public.lint_fault (id integer) server lint_far;"
        "grant select on public.lint_fault to authenticated",
    ),
    Lint(
        "unsupported_reg_types",
        "WARN",
        """select r.name || '.' || a.attname from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0
           where r.schema in (select oid from ours) and a.atttypid in ('regproc'::regtype, 'regprocedure'::regtype,
           'regoper'::regtype, 'regoperator'::regtype, 'regcollation'::regtype, 'regconfig'::regtype,
           'regdictionary'::regtype, 'regnamespace'::regtype)""",
        OPEN_TABLE + "alter table public.lint_fault add handler regprocedure",
    ),
    Lint(
        "extension_versions_outdated",
        "WARN",
        """select e.extname from pg_extension e join pg_available_extensions a on a.name = e.extname
           where e.extversion <> a.default_version""",
        "update pg_extension set extversion = '0.1' where extname = 'plpgsql'",
        found="plpgsql",
    ),
    Lint(
        "rls_policy_always_true",
        "WARN",
        """select name from policies where permissive and roles && array(select oid from visitors)
           and ('w' = any (does) or 'd' = any (does) or 'a' = any (does)) and 'true' in (qual, checks)""",
        POLICY + "for update to authenticated using (id > 0) with check (true)",
    ),
    Lint(
        "public_bucket_allows_listing",
        "WARN",
        """select b.name from storage.buckets b where b.public and exists (
               select from policies p where p.polrelid = 'storage.objects'::regclass and 'r' = any (p.does)
               and (p.qual ~ quote_literal(b.id) or p.qual !~ 'bucket_id'))""",
        "insert into storage.buckets (id, name, public) values ('lint_fault', 'lint_fault', true);"
        "create policy lint_list on storage.objects for select to anon using (bucket_id = 'lint_fault')",
    ),
    Lint(
        "pg_graphql_anon_table_exposed",
        "WARN",
        VISITOR_READS_BY_GRAPHQL.format("anon"),
        FAKE_EXTENSION.format("pg_graphql") + GUARDED_TABLE + "grant select on public.lint_fault to anon",
    ),
    Lint(
        "pg_graphql_authenticated_table_exposed",
        "WARN",
        VISITOR_READS_BY_GRAPHQL.format("authenticated"),
        FAKE_EXTENSION.format("pg_graphql") + GUARDED_TABLE + "grant select on public.lint_fault to authenticated",
    ),
    Lint(
        "anon_security_definer_function_executable",
        "WARN",
        VISITOR_RUNS_DEFINER.format("anon"),
        DEFINER + "anon",
    ),
    Lint(
        "authenticated_security_definer_function_executable",
        "WARN",
        VISITOR_RUNS_DEFINER.format("authenticated"),
        DEFINER + "authenticated",
    ),
    # Hints --------------------------------------------------------------------------------------------------
    Lint(
        "unindexed_foreign_keys",
        "INFO",
        """select c.conrelid::regclass || ': ' || c.conname from pg_constraint c
           where c.contype = 'f' and c.connamespace in (select oid from ours) and not exists (
               select from pg_index i where i.indrelid = c.conrelid and i.indpred is null
               and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)""",
        "create table private.lint_fault (id uuid primary key, account_id uuid references public.accounts)",
    ),
    Lint(
        "no_primary_key",
        "INFO",
        """select r.name from relations r where r.kind in ('r', 'p') and r.schema in (select oid from ours)
           and not exists (select from pg_constraint c where c.conrelid = r.oid and c.contype = 'p')""",
        "create table private.lint_fault (id integer not null unique)",
    ),
]


class Schema:
    """The migrated schema, with the file storage's, as a superuser sees it."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        self._connection = connection

    def findings(self, question: str) -> list[str]:
        answer = self._connection.execute(WORDS + question, {"exposed": CONFIG["api"]["schemas"]})
        return sorted(str(row[0]) for row in answer)

    @contextmanager
    def spoilt(self, fault: str) -> Iterator[None]:
        """The schema with a fault, which is forgotten at the block's end."""
        with self._connection.transaction(force_rollback=True):
            self._connection.execute(fault.encode())
            yield


@pytest.fixture(scope="module")
def schema(server: embedded.Server, template: str) -> Iterator[Schema]:
    assert template  # its migrations made the server's roles, which the file storage's tables name
    name = f"lint_{uuid4().hex[:12]}"
    with psycopg.connect(server.url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))  # dropped with the server's folder
    url = server.url("postgres", name)
    with psycopg.connect(url) as connection:
        connection.execute(STORAGE.read_bytes())
    migrate(url, {})
    with psycopg.connect(url, autocommit=True) as connection:
        yield Schema(connection)


@pytest.mark.parametrize("lint", LINTS, ids=lambda lint: f"{lint.level}-{lint.name}")
def test_the_schema_is_clean(schema: Schema, lint: Lint) -> None:
    assert schema.findings(lint.finds) == []


@pytest.mark.parametrize("lint", LINTS, ids=lambda lint: lint.name)
def test_the_lint_finds_its_fault(schema: Schema, lint: Lint) -> None:
    with schema.spoilt(lint.fault):
        assert lint.found in " ".join(schema.findings(lint.finds))


# Rights -----------------------------------------------------------------------------------------------------


def test_rest_serves_only_what_is_meant_for_it() -> None:
    """A new table is granted by its migration, never by the project: new projects grant nothing by themselves."""
    assert CONFIG["api"] == {"schemas": ["public"], "max_rows": 1000, "auto_expose_new_tables": False}


def test_every_table_is_granted_by_name(schema: Schema) -> None:
    """What nobody may read over REST, the worker included, belongs into the schema private."""
    ungranted = """
        select r.name from relations r where r.schema in (select oid from exposed)
        and not has_any_column_privilege('service_role', r.oid, 'select')"""
    assert schema.findings(ungranted) == []
    with schema.spoilt(GUARDED_TABLE):
        assert schema.findings(ungranted) == ["lint_fault"]


def test_nobody_without_a_session_reads_a_table(schema: Schema) -> None:
    readable = """
        select r.name from relations r where r.schema in (select oid from ours)
        and has_any_column_privilege('anon', r.oid, 'select')"""
    assert schema.findings(readable) == []
    with schema.spoilt(GUARDED_TABLE + "grant select on public.lint_fault to anon"):
        assert schema.findings(readable) == ["lint_fault"]


def test_no_right_comes_by_way_of_everybody(schema: Schema) -> None:
    """Grants to PUBLIC would reach the roles of the keys as well."""
    to_all = """
        select p.oid::regprocedure::text from pg_proc p,
            aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        where p.pronamespace in (select oid from ours) and a.grantee = 0
        union all
        select c.oid::regclass::text from pg_class c, aclexplode(c.relacl) a
        where c.relnamespace in (select oid from ours) and a.grantee = 0"""
    assert schema.findings(to_all) == []
    with schema.spoilt(
        "create function private.lint_fault() returns integer language sql as 'select 1'; "
        "grant execute on function private.lint_fault() to public"
    ):
        assert schema.findings(to_all) == ["private.lint_fault()"]


def test_whoever_may_call_a_function_may_call_what_it_calls(schema: Schema) -> None:
    """Functions of the open schema run as the caller, so a grant on them alone would end in "permission denied"."""
    halfway = r"""
        select distinct p.proname || ' calls ' || callee.proname || ' as ' || r.rolname
        from pg_proc p
        cross join lateral regexp_matches(p.prosrc, '\mprivate\.(\w+)\s*\(', 'g') called
        join pg_proc callee on callee.proname = called[1] and callee.pronamespace = 'private'::regnamespace
        join pg_roles r on r.rolname in ('anon', 'authenticated', 'service_role')
        where p.pronamespace in (select oid from exposed) and not p.prosecdef
        and has_function_privilege(r.oid, p.oid, 'execute')
        and not has_function_privilege(r.oid, callee.oid, 'execute')"""
    assert schema.findings(halfway) == []
    with schema.spoilt("revoke execute on function private.schema_version() from anon"):
        assert schema.findings(halfway) == ["schema_version calls schema_version as anon"]
