"""The door over a Postgres connection, behaving as the cloud's REST layer does: claims, time-outs, row cap."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from services.database.door import ROW_CAP, Filter, Order, R, Row, dumps, key_direction, some
from services.database.retries import with_retries
from services.errors import AppError, Busy, InvalidInput, SchemaMismatch, Unavailable, from_sqlstate

log = logging.getLogger(__name__)
T = TypeVar("T")

STATEMENT_TIMEOUT = {"anon": "3s", "authenticated": "8s", "service_role": "8s", "none": "8s"}
LOCK_TIMEOUT = "3s"
CONNECT_SECONDS = 3.0  # how long a page waits for a database that is away before it says so
CLAIMS = sql.SQL(
    "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true),"
    " set_config('request.headers', %s, true), set_config('statement_timeout', %s, true),"
    " set_config('lock_timeout', %s, true), set_config('transaction_read_only', %s, true)"
)
NO_CONNECTION = (PoolTimeout, PoolClosed, TooManyRequests)
OPERATORS = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "ilike": "ilike"}

Pool = ConnectionPool[psycopg.Connection[dict[str, Any]]]


def open_pool(url: str, size: int) -> Pool:
    """At most `size` connections, opened as needed, each tested before use (a server may have restarted)."""
    return ConnectionPool(
        url,
        min_size=0,
        max_size=size,
        timeout=CONNECT_SECONDS,
        max_idle=300,
        reconnect_timeout=5,  # else the waits double for five minutes: an outage of 25 s lasted 53 s
        check=ConnectionPool.check_connection,
        kwargs={"autocommit": True, "row_factory": dict_row, "application_name": "clipdesk"},
        open=True,
    )


@dataclass(frozen=True)
class Signature:
    read_only: bool
    returns_set: bool
    json_params: frozenset[str]
    timeout: str | None  # its own, in the place of the role's; the cloud's REST layer heeds it, too


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """Data as `role` with `claims`. Cheap to make; the pool is shared."""

    pool: Pool
    role: str
    claims: Mapping[str, Any] = field(default_factory=dict)
    address: str | None = None  # network address of the person, for the audit log
    schema: str = "public"

    def call(self, function: str, **params: Any) -> Any:
        signature = _signature(self.pool, self.schema, function)
        arguments = sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in params
        )
        target = sql.Identifier(self.schema, function)
        values = {name: _adapt(value, name in signature.json_params) for name, value in params.items()}
        if signature.returns_set:
            query = sql.SQL("select * from {}({}) limit {}").format(target, arguments, ROW_CAP)
            return self._run(query, values, read_only=signature.read_only, timeout=signature.timeout)
        query = sql.SQL("select {}({}) as answer").format(target, arguments)
        return self._run(query, values, read_only=signature.read_only, timeout=signature.timeout)[0]["answer"]

    def select(
        self,
        model: type[R],
        filters: Sequence[Filter] = (),
        *,
        order: Sequence[Order] = (),
        limit: int = ROW_CAP,
        after: Sequence[Any] | None = None,
    ) -> list[R]:
        where, values = _where(filters)
        if after is not None:
            key, key_values = _after(order, after)
            where, values = [*where, key], {**values, **key_values}
        query = sql.SQL("select {} from {}{}{} limit {}").format(
            sql.SQL(", ").join(_column(name, model) for name in model.columns()),
            sql.Identifier(self.schema, model.table),
            _conjunction(where),
            _order(model.table, order),
            min(limit, ROW_CAP),
        )
        return [model.model_validate(row) for row in self._run(query, values, read_only=True)]

    def count(self, model: type[Row], filters: Sequence[Filter] = ()) -> int:
        where, values = _where(filters)
        table = sql.Identifier(self.schema, model.table)
        query = sql.SQL("select count(*) as n from {}{}").format(table, _conjunction(where))
        return int(self._run(query, values, read_only=True)[0]["n"])

    def insert(self, table: str, values: Mapping[str, Any]) -> None:
        query = sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier(self.schema, table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(map(sql.Placeholder, values)),
        )
        self._run(query, {name: _adapt(value) for name, value in values.items()})

    def update(self, table: str, values: Mapping[str, Any], filters: Sequence[Filter]) -> int:
        where, where_values = _where(some(filters))
        query = sql.SQL("with done as (update {} set {}{} returning 1) select count(*) as n from done").format(
            sql.Identifier(self.schema, table),
            sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(f"v_{name}")) for name in values
            ),
            _conjunction(where),
        )
        changes = {f"v_{name}": _adapt(value) for name, value in values.items()}
        return int(self._run(query, {**where_values, **changes})[0]["n"])

    def delete(self, table: str, filters: Sequence[Filter]) -> int:
        where, values = _where(some(filters))
        query = sql.SQL("with done as (delete from {}{} returning 1) select count(*) as n from done").format(
            sql.Identifier(self.schema, table), _conjunction(where)
        )
        return int(self._run(query, values)[0]["n"])

    def _run(
        self, query: sql.Composed, values: Mapping[str, Any], *, read_only: bool = False, timeout: str | None = None
    ) -> list[dict[str, Any]]:
        settings = self._settings(read_only, timeout)
        return with_retries(
            lambda: _translated(lambda: self._once(query, values, settings)),
            lambda error: _worth_another_try(error, read_only),
        )

    def _once(self, query: sql.Composed, values: Mapping[str, Any], settings: tuple[str, ...]) -> list[dict[str, Any]]:
        """Claims and statement in one round trip: a pipeline is one implicit transaction up to its end."""
        with self.pool.connection() as connection:
            with connection.pipeline():
                connection.execute(CLAIMS, settings)
                cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def _settings(self, read_only: bool, timeout: str | None) -> tuple[str, ...]:
        headers = json.dumps({"x-forwarded-for": self.address}) if self.address else ""
        claims = json.dumps(self.claims) if self.claims else ""
        timeout = timeout or STATEMENT_TIMEOUT[self.role]
        return self.role, claims, headers, timeout, LOCK_TIMEOUT, "on" if read_only else "off"


def _worth_another_try(error: Unavailable, read_only: bool) -> bool:
    """What the database rolled back; and reads that lost their connection, unless none was to be had at all."""
    if isinstance(error, Busy):
        return True
    return read_only and type(error) is Unavailable and not isinstance(error.__cause__, NO_CONNECTION)


def _translated(run: Callable[[], T]) -> T:
    """The one edge where driver errors become ours; the driver's own text goes to the log only."""
    try:
        return run()
    except NO_CONNECTION as exc:  # before psycopg.Error: they are kinds of it
        raise Unavailable() from exc
    except psycopg.Error as exc:
        error = _error(exc)
        if type(error) in (AppError, SchemaMismatch) or exc.sqlstate is None:
            log.exception("database error %s", exc.sqlstate)
        raise error from exc
    except UnicodeEncodeError as exc:  # half a surrogate pair
        raise InvalidInput() from exc


def _error(exc: psycopg.Error) -> AppError:
    """Without a state it came from the driver: a NUL in a text, a mistake of ours, or a lost connection."""
    if exc.sqlstate is None and isinstance(exc, psycopg.DataError):
        return InvalidInput()
    if exc.sqlstate is None and isinstance(exc, psycopg.ProgrammingError):
        return AppError()
    return from_sqlstate(exc.sqlstate, exc.diag.message_primary or "", exc.diag.message_detail)


_signatures: dict[tuple[str, str], Signature] = {}  # the schema's version is fixed while a process lives


def _signature(pool: Pool, schema: str, function: str) -> Signature:
    known = _signatures.get((schema, function))
    if known is None:
        known = _translated(lambda: _read_signature(pool, schema, function))
        _signatures[schema, function] = known
    return known


def _read_signature(pool: Pool, schema: str, function: str) -> Signature:
    with pool.connection() as connection:
        row = connection.execute(
            "select p.provolatile <> 'v' as read_only, p.proretset, array(select a.name from unnest("
            "  p.proargnames[1:p.pronargs], p.proargtypes::oid[]) as a(name, type)"
            "  where a.type = 'jsonb'::regtype) as json_params, (select substr(c.setting, 19) "
            "  from unnest(p.proconfig) as c(setting) where c.setting like 'statement_timeout=%%') as timeout "
            "from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace "
            "where n.nspname = %s and p.proname = %s",
            (schema, function),
        ).fetchone()
    if row is None:
        log.error("no function %s.%s in the database", schema, function)
        raise SchemaMismatch()
    return Signature(row["read_only"], row["proretset"], frozenset(row["json_params"]), row["timeout"])


def _adapt(value: Any, as_json: bool = False) -> Any:
    if isinstance(value, dict) or (as_json and value is not None):
        return Jsonb(value, dumps=dumps)
    if isinstance(value, float):  # Postgres finds no numeric parameter for a double, over REST it does
        return Decimal(str(value))
    return value


def _column(name: str, model: type[Row]) -> sql.Composed:
    cast = "::text" if name in model.money_columns() else ""
    return sql.SQL("{}{} as {}").format(sql.Identifier(name), sql.SQL(cast), sql.Identifier(name))


def _where(filters: Sequence[Filter]) -> tuple[list[sql.Composed], dict[str, Any]]:
    terms, values = [], {}
    for place, (column, operator, value) in enumerate(filters):
        name = f"w_{place}"
        terms.append(_term(sql.Identifier(column), operator, sql.Placeholder(name)))
        values[name] = list(value) if operator == "in" else value
    return terms, values


def _term(column: sql.Identifier, operator: str, value: sql.Placeholder) -> sql.Composed:
    if operator == "in":
        return sql.SQL("{} = any({})").format(column, value)
    if operator == "is":
        return sql.SQL("{} is not distinct from {}").format(column, value)
    return sql.SQL("{} {} {}").format(column, sql.SQL(OPERATORS[operator]), value)


def _after(order: Sequence[Order], after: Sequence[Any]) -> tuple[sql.Composed, dict[str, Any]]:
    direction = key_direction(order, after)
    names = [f"k_{place}" for place in range(len(order))]
    term = sql.SQL("({}) {} ({})").format(
        sql.SQL(", ").join(sql.Identifier(column) for column, _ in order),
        sql.SQL("<" if direction == "desc" else ">"),
        sql.SQL(", ").join(map(sql.Placeholder, names)),
    )
    return term, dict(zip(names, after, strict=True))


def _order(table: str, order: Sequence[Order]) -> sql.Composable:
    """The table's name says that a money column is meant as it is stored, not as the text that is read."""
    if not order:
        return sql.SQL("")
    terms = (
        sql.SQL("{} {}").format(sql.Identifier(table, column), sql.SQL("desc" if direction == "desc" else "asc"))
        for column, direction in order
    )
    return sql.SQL(" order by ") + sql.SQL(", ").join(terms)


def _conjunction(terms: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL(" where ") + sql.SQL(" and ").join(terms) if terms else sql.SQL("")
