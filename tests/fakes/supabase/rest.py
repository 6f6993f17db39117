"""The project's data service: the part of PostgREST that the adapter uses, and nothing besides.

Each request is one transaction as the caller's role with the claims, headers and time-outs that the cloud sets;
reads are read-only, answers are cut at the row limit without a word, amounts travel as JSON numbers.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg_pool import PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.fakes.supabase.stack import Refused, Stack

LONGEST_ADDRESS = 8_000  # characters of a request line that the gateway lets through
FULL_LIMIT = 1000  # rows of an answer, where nobody has changed it
PREFERENCES = {"count=exact", "count=estimated", "return=minimal"}
OPERATORS = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "imatch": "~*"}
IS_VALUES = {"null", "true", "false"}
RESERVED = {"select", "order", "limit", "offset", "or"}
NAME = r"[a-z_][a-z0-9_]*"
QUOTED = r'"(?:[^"\\]|\\.)*"'
TERM = rf"{NAME}\.(?:gt|lt|eq)\.{QUOTED}"
NAMED_TERM = rf"(?P<column>{NAME})\.(?P<operator>gt|lt|eq)\.(?P<value>{QUOTED})"
BRANCH = rf"(?:{TERM}|and\({TERM}(?:,{TERM})*\))"
SETTINGS = (
    "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true),"
    " set_config('request.headers', %s, true), set_config('statement_timeout', %s, true),"
    " set_config('lock_timeout', %s, true), set_config('transaction_read_only', %s, true)"
)
# Statuses of SQLSTATE classes and states, as PostgREST gives them; all others are 400.
STATUSES = {
    "08": 503, "09": 500, "0L": 403, "0P": 403, "25": 500, "25006": 405, "23503": 409, "23505": 409, "28": 403,
    "2D": 500, "38": 500, "39": 500, "3B": 500, "40": 500, "42883": 404, "42P01": 404, "53": 503, "54": 500, "55": 500,
    "57": 500, "58": 500, "F0": 500, "HV": 500, "P0": 500, "P0001": 400, "XX": 500,
}  # fmt: skip


class NotCovered(Exception):
    """A request that PostgREST would answer and this one does not."""


def routes(stack: Stack) -> list[BaseRoute]:
    async def function(request: Request) -> Response:
        work = _Call(stack, request, await request.body())
        return await run_in_threadpool(_answer, stack, request, work.run)

    async def table(request: Request) -> Response:
        work = _Table(stack, request, await request.body())
        steps = {"GET": work.read, "POST": work.insert, "PATCH": work.update, "DELETE": work.delete}
        return await run_in_threadpool(_answer, stack, request, steps.get(request.method, work.unknown))

    return [
        Route("/rpc/{function}", function, methods=["POST"]),
        Route("/{table}", table, methods=["GET", "POST", "PATCH", "DELETE"]),
    ]


def _answer(stack: Stack, request: Request, work: Callable[[], Response]) -> Response:
    try:
        if len(str(request.url)) > LONGEST_ADDRESS:
            return Response("<html><body>414 Request-URI Too Large</body></html>", 414, media_type="text/html")
        return work()
    except NotCovered as exc:
        return stack.refuse(request, str(exc))
    except Refused as exc:
        return exc.response()
    except PoolTimeout:
        return Refused(504, _own("PGRST003", "Timed out acquiring connection from connection pool.")).response()
    except psycopg.Error as exc:
        return _database_error(exc, stack, request)


def _own(code: str, message: str) -> dict[str, Any]:
    """The body of an error of PostgREST's own."""
    return {"code": code, "message": message, "details": None, "hint": None}


def _database_error(exc: psycopg.Error, stack: Stack, request: Request) -> Response:
    state = exc.sqlstate
    if state is None:
        return JSONResponse(_own("PGRST001", "Database client error. Retrying the connection."), 503)
    if state.startswith("PT"):
        status = int(state[2:])
    elif state == "42501":
        status = 401 if stack.caller(request).role == "anon" else 403
    else:
        status = STATUSES.get(state) or STATUSES.get(state[:2]) or 400
    said = exc.diag
    body = {"code": state, "message": said.message_primary, "details": said.message_detail, "hint": said.message_hint}
    return JSONResponse(body, status)


@dataclass
class _Work:
    """What calls and tables share: a transaction as the caller."""

    stack: Stack
    request: Request
    body: bytes

    def begin(self, connection: psycopg.Connection[Any], *, read_only: bool) -> None:
        caller = self.stack.caller(self.request)
        settings = (
            caller.role, json.dumps(dict(caller.claims)), json.dumps(dict(self.request.headers)),
            self.stack.statement_timeout.get(caller.role, "8s"), self.stack.lock_timeout, "on" if read_only else "off",
        )  # fmt: skip
        connection.execute(SETTINGS, settings)

    def payload(self) -> tuple[str, dict[str, Any]]:
        text = self.body.decode()
        try:
            values = json.loads(text)
        except ValueError:
            raise Refused(400, _own("PGRST102", "Empty or invalid json")) from None
        if not isinstance(values, dict):
            raise NotCovered("a body that is no object")
        return text, values

    def preferences(self) -> set[str]:
        given = {word.strip() for word in self.request.headers.get("prefer", "").split(",") if word.strip()}
        if given - PREFERENCES:
            raise NotCovered(f"Prefer: {given - PREFERENCES}")
        return given


FUNCTION = """
select p.provolatile <> 'v' as read_only, p.proretset, t.typtype = 'c' or p.prorettype = 'record'::regtype as composite,
    p.prorettype = 'void'::regtype as void, coalesce(a.types, '{}'::jsonb) as types, coalesce(a.needed, '{}') as needed
from pg_proc p join pg_type t on t.oid = p.prorettype
left join lateral (
    select jsonb_object_agg(x.name, format_type(x.type, null)) as types,
           array_agg(x.name) filter (where x.place <= p.pronargs - p.pronargdefaults) as needed
    from unnest(p.proargnames[1:p.pronargs], p.proargtypes::oid[]) with ordinality as x(name, type, place)
) a on true
where p.pronamespace = 'public'::regnamespace and p.proname = %s
"""


class _Call(_Work):
    def run(self) -> Response:
        if self.request.url.query or self.preferences():
            raise NotCovered("filters or preferences of a call")
        self.stack.caller(self.request)
        name = self.request.path_params["function"]
        text, values = self.payload()
        with self.stack.pool.connection() as connection, connection.transaction():
            found = connection.execute(FUNCTION, (name,)).fetchall()
            fitting = [f for f in found if set(f[5]) <= set(values) <= set(f[4])]
            if not fitting:
                raise Refused(404, _own("PGRST202", f"Could not find the function public.{name} in the schema cache"))
            read_only, is_set, composite, void, types, _ = fitting[0]
            self.begin(connection, read_only=read_only)
            query = self._query(name, {key: types[key] for key in values}, is_set=is_set, composite=composite)
            (answer,) = connection.execute(query, {"body": text}).fetchone() or ("null",)
        if void:
            return Response(status_code=204)
        return Response(answer, media_type="application/json", headers={"content-range": "0-0/*"})

    def _query(self, name: str, types: dict[str, str], *, is_set: bool, composite: bool) -> sql.Composed:
        arguments = sql.SQL(", ").join(sql.SQL("{0} => b.{0}").format(sql.Identifier(key)) for key in types)
        source = sql.SQL("{}({})").format(sql.Identifier("public", name), arguments)
        if types:
            source = sql.SQL("{} b, lateral {}").format(_record(types), source)
        if not is_set:
            row = "to_json(f)" if not composite else "row_to_json(f)"
            return sql.SQL("select coalesce({}::text, 'null') from {} f").format(sql.SQL(row), source)
        rows = sql.SQL("select f.* from {} f limit {}").format(source, self.stack.row_limit)
        item = "r" if composite else "r.f"
        return sql.SQL("select coalesce(json_agg({}), '[]')::text from ({}) r").format(sql.SQL(item), rows)


def _record(types: dict[str, str]) -> sql.Composed:
    """The body as a row: each value by its JSON form, whatever the type."""
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))  # type: ignore[arg-type]  # from the catalogue
        for name, kind in types.items()
    )
    return sql.SQL("(select * from json_to_record(%(body)s::json) as _({}))").format(columns)


COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a
where a.attrelid = to_regclass(format('public.%%I', %s::text)) and a.attnum > 0 and not a.attisdropped
"""


class _Table(_Work):
    def unknown(self) -> Response:
        raise NotCovered("this method")  # Starlette adds HEAD to each GET

    def read(self) -> Response:
        preferences = self.preferences()
        select, where, values = self._select(), *self._where()
        offset, limit = self._number("offset") or 0, self._number("limit")
        limit = self.stack.row_limit if limit is None else min(limit, self.stack.row_limit)
        rows = sql.SQL("select {} from {}{}{} limit {} offset {}").format(
            select, self._name(), where, self._order(), limit, offset
        )
        query = sql.SQL("select coalesce(json_agg(r), '[]')::text, count(*) from ({}) r").format(rows)
        with self.stack.pool.connection() as connection, connection.transaction():
            self._known(connection)
            self.begin(connection, read_only=True)
            answer, count = connection.execute(query, values).fetchone() or ("[]", 0)
            total = self._total(connection, preferences, where, values)
        span = f"{offset}-{offset + count - 1}" if count else "*"
        status = 200 if total is None or count >= total else 206
        headers = {"content-range": f"{span}/{'*' if total is None else total}"}
        return Response(answer, status, headers, media_type="application/json")

    def insert(self) -> Response:
        if self.preferences() != {"return=minimal"} or self.request.url.query:
            raise NotCovered("an insert that wants an answer")
        text, values = self.payload()
        names = sql.SQL(", ").join(map(sql.Identifier, values))

        def query(types: dict[str, str]) -> sql.Composed:
            source = _record({name: types[name] for name in values})
            return sql.SQL("insert into {} ({}) select {} from {} b").format(self._name("as t"), names, names, source)

        self._change(query, {"body": text}, list(values))
        return Response(status_code=201)

    def update(self) -> Response:
        text, values = self.payload()
        where, filters = self._where()
        changes = sql.SQL(", ").join(sql.SQL("{0} = b.{0}").format(sql.Identifier(name)) for name in values)

        def query(types: dict[str, str]) -> sql.Composed:
            source = _record({name: types[name] for name in values})
            return sql.SQL("update {} set {} from {} b{}").format(self._name(), changes, source, where)

        count = self._change(query, {**filters, "body": text}, list(values))
        return self._changed(f"0-{count - 1}/{count}" if count else f"*/{count}")

    def delete(self) -> Response:
        where, filters = self._where()
        count = self._change(lambda _: sql.SQL("delete from {}{}").format(self._name(), where), filters, [])
        return self._changed(f"*/{count}")

    def _changed(self, span: str) -> Response:
        if self.preferences() != {"return=minimal", "count=exact"}:
            raise NotCovered("a change that wants another answer than its count")
        return Response(status_code=204, headers={"content-range": span})

    def _change(
        self, query: Callable[[dict[str, str]], sql.Composed], values: dict[str, Any], columns: list[str]
    ) -> int:
        with self.stack.pool.connection() as connection, connection.transaction():
            types = self._known(connection)
            for column in columns:
                if column not in types:
                    raise Refused(400, _own("PGRST204", f"Could not find the '{column}' column in the schema cache"))
            self.begin(connection, read_only=False)
            done = sql.SQL("with done as ({} returning 1) select count(*) from done").format(query(types))
            (count,) = connection.execute(done, values).fetchone() or (0,)
        return int(count)

    def _known(self, connection: psycopg.Connection[Any]) -> dict[str, str]:
        self.stack.caller(self.request)
        table = self.request.path_params["table"]
        types = dict(connection.execute(COLUMNS, (table,)).fetchall())
        if not types:
            raise Refused(404, _own("PGRST205", f"Could not find the table 'public.{table}' in the schema cache"))
        return types

    def _total(
        self, connection: psycopg.Connection[Any], preferences: set[str], where: sql.Composable, values: dict[str, Any]
    ) -> int | None:
        """Exact, or exact up to the row limit: beyond it the cloud takes the planner's guess, here the least one."""
        if not preferences:
            return None
        some = sql.SQL("" if "count=exact" in preferences else f" limit {self.stack.row_limit + 1}")
        query = sql.SQL("select count(*) from (select 1 from {}{}{}) r").format(self._name(), where, some)
        (total,) = connection.execute(query, values).fetchone() or (0,)
        return int(total)

    def _name(self, alias: LiteralString = "t") -> sql.Composed:
        return sql.SQL("{} {}").format(sql.Identifier("public", self.request.path_params["table"]), sql.SQL(alias))

    def _select(self) -> sql.Composed:
        columns = self.request.query_params.get("select", "").split(",")
        return sql.SQL(", ").join(_selected(column) for column in columns)

    def _order(self) -> sql.Composable:
        """Rows that tie come in any order: by chance, where answers are cut and it would be noticed."""
        wanted = self.request.query_params.get("order")
        terms = [_ordered(term) for term in wanted.split(",")] if wanted else []
        if self.stack.row_limit < FULL_LIMIT:
            terms.append(sql.Composed([sql.SQL("random()")]))
        return sql.SQL(" order by ") + sql.SQL(", ").join(terms) if terms else sql.SQL("")

    def _number(self, name: str) -> int | None:
        given = self.request.query_params.get(name)
        return None if given is None else int(given)

    def _where(self) -> tuple[sql.Composable, dict[str, Any]]:
        terms = _Terms({})
        found = [
            terms.either(value) if key == "or" else terms.one(key, value)
            for key, value in self.request.query_params.multi_items()
            if key not in RESERVED - {"or"}
        ]
        if self.request.method != "GET" and not found:
            raise NotCovered("a change of every row")
        where = sql.SQL(" where ") + sql.SQL(" and ").join(found) if found else sql.SQL("")
        return where, terms.values


def _selected(text: str) -> sql.Composed:
    match = re.fullmatch(rf"({NAME})(::text)?", text)
    if match is None:
        raise NotCovered(f"select={text}")
    column = sql.Identifier(match[1])
    return sql.SQL("t.{}{} as {}").format(column, sql.SQL("::text" if match[2] else ""), column)


def _ordered(text: str) -> sql.Composed:
    match = re.fullmatch(rf"({NAME})\.(asc|desc)", text)
    if match is None:
        raise NotCovered(f"order={text}")
    return sql.SQL("t.{} {}").format(sql.Identifier(match[1]), sql.SQL("desc" if match[2] == "desc" else "asc"))


@dataclass
class _Terms:
    """Filters of the query string as SQL; values are parameters without a type, as PostgREST sends them."""

    values: dict[str, Any]

    def one(self, column: str, text: str) -> sql.Composed:
        operator, _, value = text.partition(".")
        name = sql.SQL("t.") + sql.Identifier(column)
        if operator == "is" and value in IS_VALUES:
            return sql.SQL("{} is {}").format(name, sql.SQL(value))  # type: ignore[arg-type]  # one of three
        if operator == "in":
            return sql.SQL("{} = any({})").format(name, self._mark(_array(value)))
        if operator == "ilike":
            return sql.SQL("{} ilike {}").format(name, self._mark(value.replace("*", "%")))
        if operator not in OPERATORS:
            raise NotCovered(f"{column}={text}")
        return sql.SQL("{} {} {}").format(name, sql.SQL(OPERATORS[operator]), self._mark(value))

    def either(self, text: str) -> sql.Composed:
        """Rows behind a key: (a.gt."1",and(a.eq."1",b.gt."2"),…)."""
        if not re.fullmatch(rf"\({BRANCH}(?:,{BRANCH})*\)", text):
            raise NotCovered(f"or={text}")
        found = (
            sql.SQL(" and ").join(
                self.one(term["column"], f"{term['operator']}.{_unquoted(term['value'])}")
                for term in re.finditer(NAMED_TERM, branch[0])
            )
            for branch in re.finditer(BRANCH, text)
        )
        return sql.SQL("(({}))").format(sql.SQL(") or (").join(found))

    def _mark(self, value: str) -> sql.Placeholder:
        name = f"f{len(self.values)}"
        self.values[name] = value
        return sql.Placeholder(name)


def _array(text: str) -> str:
    """("a","b") as Postgres writes an array: elements are quoted in the same way. ("") counts as no element."""
    if not re.fullmatch(rf"\((?:{QUOTED}(?:,{QUOTED})*)?\)", text):
        raise NotCovered(f"in.{text}")
    return "{}" if text == '("")' else "{" + text[1:-1] + "}"


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])
