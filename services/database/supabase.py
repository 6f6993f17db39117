"""The door over Supabase's REST layer: supabase-py builds the requests, answers are read without loss here."""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any
from urllib.parse import quote

import httpx
from postgrest import CountMethod, ReturnMethod, SyncSelectRequestBuilder
from postgrest.base_request_builder import RequestConfig
from supabase import Client, ClientOptions, create_client

from services.database.door import ROW_CAP, Filter, Operator, Order, R, Row, dumps, key_direction, some
from services.database.lines import Lines
from services.database.retries import with_retries
from services.errors import (
    AppError,
    Busy,
    InvalidInput,
    SchemaMismatch,
    SettingsInvalid,
    SignedOut,
    Unavailable,
    from_sqlstate,
)

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
RETRY_SECONDS = 10.0  # a read that was lost later than this after its first try is not tried again
LONGEST_LIST = 4_000  # characters of an `in` list within an address: gateways refuse addresses above 8,000
KEY_REFUSED = (
    "Supabase does not accept this process's key: SUPABASE_PUBLISHABLE_KEY, or SUPABASE_SECRET_KEY in a worker. "
    "Copy it again from the project's settings (API keys)."
)
EMPTY = '""'  # alone in an `in` list it would count as no value at all; twice it does not
IS_VALUES = {None: "null", True: "true", False: "false"}

# Functions that only read: asked again after a lost answer. The database's catalogue is the measure (a test compares).
READS = frozenset(
    {
        "account_dashboard", "adoption", "alert_companies", "assistant_costs", "audit_choices", "audit_page",
        "channels_to_ask", "check_import", "check_money", "check_quota", "checklist", "claimed_vendor_ids",
        "clips_page", "copy_preview", "cost_entries_page", "cost_summary", "cost_value", "costs_desk",
        "credential_for", "enabled_credentials", "examine", "explain_refusal", "export_file", "export_lines",
        "export_order", "exports_desk", "import_target", "jobs_desk", "key_account", "key_of_purchase",
        "known_media", "ledgers_due", "load_session", "lost_purchases", "money_months", "money_trust",
        "month_lines", "monthly_cost", "my_stores", "notice_settings", "people_of", "practice_list",
        "price_preview", "profile_dashboard", "proposal_quote", "publish_desk", "publishing_outlook", "purchase",
        "refused_jobs", "schema_version", "script_quote", "sealed_credential", "sealed_otherwise", "similar_posts",
        "speech_quote", "speech_saved", "speech_spans", "store_accounts", "store_work", "thousand_rows",
        "upload_target", "user_cost_events", "user_cost_summary", "vault_key", "voice_desk", "webhook_test",
    }
)  # fmt: skip

Query = SyncSelectRequestBuilder


class _SlowDown(Exception):
    """The gateway wants fewer requests."""


LASTING = (httpx.TimeoutException, httpx.ConnectError, _SlowDown)  # asking again at once would not help


def open_http(seconds: float) -> httpx.Client:
    """The process's one HTTP client; an answer is given up after `seconds`.

    HTTP/1.1, as HTTP/2 of this client fails under threads. No redirects: one would turn a POST into a GET.
    """
    return httpx.Client(transport=Lines(), timeout=httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)))


def open_client(url: str, key: str, http: httpx.Client, token: str | None = None, address: str | None = None) -> Client:
    """A client of one person (`token`) or of the key itself, to be shared with nobody. Costs 0.2 ms."""
    headers = {"Authorization": f"Bearer {token or key}"}  # spelled so: a lower-case name is silently ignored
    if address:
        headers["x-clipdesk-address"] = address
    options = ClientOptions(
        headers=headers,
        auto_refresh_token=False,
        persist_session=False,
        postgrest_client_retry=False,
        httpx_client=http,
    )
    return create_client(url, key, options)


@dataclass(frozen=True, kw_only=True)
class Supabase:
    """Data as the person of `token`; without one as the key's role: nobody (publishable) or the worker (secret)."""

    url: str
    key: str = field(repr=False)
    http: httpx.Client = field(repr=False)
    token: str | None = field(default=None, repr=False)
    address: str | None = None  # network address of the person, for the audit log

    @cached_property
    def _client(self) -> Client:
        return open_client(self.url, self.key, self.http, self.token, self.address)

    def call(self, function: str, **params: Any) -> Any:
        request = self._client.rpc(function, json.loads(dumps(params))).request
        return _answer(self._run(request, read_only=function in READS).content)

    def select(
        self,
        model: type[R],
        filters: Sequence[Filter] = (),
        *,
        order: Sequence[Order] = (),
        limit: int = ROW_CAP,
        after: Sequence[Any] | None = None,
    ) -> list[R]:
        """A long `in` list is asked for in several requests, which cannot be ordered as one."""
        wanted, parts = min(limit, ROW_CAP), _parts(filters)
        if len(parts) > 1 and order:
            raise ValueError("a list of values this long cannot be combined with an order")
        rows: list[dict[str, Any]] = []
        for part in parts:
            rows += self._rows(_Reading(model, part, order, after), wanted - len(rows))
        return [model.model_validate(row) for row in rows]

    def count(self, model: type[Row], filters: Sequence[Filter] = ()) -> int:
        return sum(self._count(model, part) for part in _parts(filters))

    def insert(self, table: str, values: Mapping[str, Any]) -> None:
        query = self._client.table(table).insert(json.loads(dumps(values)), returning=ReturnMethod.minimal)
        self._run(query.request)

    def update(self, table: str, values: Mapping[str, Any], filters: Sequence[Filter]) -> int:
        query = self._client.table(table).update(
            json.loads(dumps(values)), count=CountMethod.exact, returning=ReturnMethod.minimal
        )
        return _total(self._run(_narrowed(query, some(filters)).request))

    def delete(self, table: str, filters: Sequence[Filter]) -> int:
        query = self._client.table(table).delete(count=CountMethod.exact, returning=ReturnMethod.minimal)
        return _total(self._run(_narrowed(query, some(filters)).request))

    def _count(self, model: type[Row], filters: Sequence[Filter]) -> int:
        """By GET and one row: an error of a HEAD request has no body that names it."""
        query = self._client.table(model.table).select(model.columns()[0], count=CountMethod.exact)
        return _total(self._run(_narrowed(query, filters).limit(1).request, read_only=True))

    def _rows(self, reading: "_Reading", wanted: int) -> list[dict[str, Any]]:
        """All rows up to `wanted`, though the server may silently give fewer than it was asked for.

        It counts along, which is exact up to its own limit and costs no more than reading that many rows: only an
        answer as long as the count is complete.
        """
        if wanted < 1:
            return []
        counted = CountMethod.estimated if wanted > 1 else None
        response = self._run(reading.page(self._client, wanted, counted=counted).request, read_only=True)
        rows = _answer(response.content)
        if len(rows) == wanted or counted is None or len(rows) == _total(response):
            return list(rows)
        return self._in_pages(reading.in_total_order(), wanted)

    def _in_pages(self, reading: "_Reading", wanted: int) -> list[dict[str, Any]]:
        """Until a page is empty. Rows that come or go meanwhile may shift the pages behind them."""
        rows: list[dict[str, Any]] = []
        while len(rows) < wanted:
            query = reading.page(self._client, wanted - len(rows), offset=len(rows))
            page = _answer(self._run(query.request, read_only=True).content)
            if not page:
                break
            rows += page
        return rows

    def _run(self, request: RequestConfig[httpx.Client], *, read_only: bool = False) -> httpx.Response:
        """Sent by hand: supabase-py's own `execute` makes floats of amounts, and a proxy's page an answer."""
        if self.http.is_closed:
            raise Unavailable()
        began = time.monotonic()
        return with_retries(
            lambda: _translated(lambda: request.send(httpx.Headers()), signed_in=self.token is not None),
            lambda error: _worth_another_try(error, read_only and time.monotonic() - began < RETRY_SECONDS),
        )


@dataclass(frozen=True)
class _Reading:
    """Which rows of a model, in which order, behind which key."""

    model: type[Row]
    filters: Sequence[Filter]
    order: Sequence[Order]
    after: Sequence[Any] | None
    ties: Sequence[Order] = ()

    def in_total_order(self) -> "_Reading":
        """The same with all its columns as tie-breakers: rows that tie still are alike, so pages by offset fit."""
        ordered = {column for column, _ in self.order}
        ties: list[Order] = [(column, "asc") for column in self.model.columns() if column not in ordered]
        return _Reading(self.model, self.filters, self.order, self.after, ties)

    def page(self, client: Client, limit: int, *, offset: int = 0, counted: CountMethod | None = None) -> Query:
        columns = (f"{name}::text" if name in self.model.money_columns() else name for name in self.model.columns())
        query = _narrowed(client.table(self.model.table).select(*columns, count=counted), self.filters)
        if self.after is not None:
            query = _behind(query, self.order, self.after)
        for column, direction in (*self.order, *self.ties):
            query = query.order(column, desc=direction == "desc")
        return query.limit(limit).offset(offset) if offset else query.limit(limit)


# Requests ---------------------------------------------------------------------------------------------------


def _narrowed(query: Query, filters: Sequence[Filter]) -> Query:
    for column, operator, value in filters:
        query = query.filter(column, *_criterion(operator, value))
    return query


def _criterion(operator: Operator, value: Any) -> tuple[str, str]:
    if operator == "is":
        return "is", IS_VALUES[value]
    if operator == "in":
        values = list(map(_quoted, value))
        return "in", f"({','.join(values * 2 if values == [EMPTY] else values)})"
    if operator == "ilike" and "*" in value:  # the REST layer takes a star for %, with no way to say otherwise
        return "imatch", _as_regex(_text(value))
    return operator, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value.isoformat() if isinstance(value, date) else str(value)
    if "\x00" in text:
        raise InvalidInput()
    return text


def _quoted(value: Any) -> str:
    return '"' + _text(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _as_regex(pattern: str) -> str:
    """A LIKE pattern as a regular expression of Postgres."""
    wild = {"%": ".*", "_": "."}
    found = re.findall(r"\\.|.", pattern, re.DOTALL)
    return "^" + "".join(wild.get(piece) or re.escape(piece[-1]) for piece in found) + "$"


def _behind(query: Query, order: Sequence[Order], after: Sequence[Any]) -> Query:
    """Rows behind a key: (a, b) > (x, y) is a > x or (a = x and b > y); that a >= x lets an index serve."""
    operator = "lt" if key_direction(order, after) == "desc" else "gt"
    columns = [column for column, _ in order]
    if len(columns) == 1:
        return query.filter(columns[0], operator, _text(after[0]))
    same = [f"{column}.eq.{_quoted(value)}" for column, value in zip(columns, after, strict=True)]
    beyond = [f"{column}.{operator}.{_quoted(value)}" for column, value in zip(columns, after, strict=True)]
    branches = (f"and({','.join([*same[:place], beyond[place]])})" for place in range(1, len(columns)))
    return query.filter(columns[0], f"{operator}e", _text(after[0])).or_(",".join([beyond[0], *branches]))


def _parts(filters: Sequence[Filter]) -> list[list[Filter]]:
    """The filters, or several of them that together mean the same, each with an address that is short enough."""
    for place, (column, operator, values) in enumerate(filters):
        if operator == "in":
            pieces = _pieces(list(dict.fromkeys(values)))
            parts = [[*filters[:place], (column, operator, piece), *filters[place + 1 :]] for piece in pieces]
            if len(parts) > 1:
                return parts
    return [list(filters)]


def _pieces(values: list[Any]) -> list[list[Any]]:
    pieces: list[list[Any]] = []
    room = 0
    for value in values:
        length = len(quote(_quoted(value), errors="replace")) + 3
        if length > room:
            pieces.append([])
            room = LONGEST_LIST
        pieces[-1].append(value)
        room -= length
    return pieces


# Answers ----------------------------------------------------------------------------------------------------


def _answer(content: bytes) -> Any:
    """What a function or table gave: amounts are exact; inside JSON values numbers are floats, as over Postgres."""
    value = json.loads(content, parse_float=Decimal) if content else None
    if isinstance(value, list):
        return [_row(item) if isinstance(item, dict) else _plain(item) for item in value]
    return _plain(value) if isinstance(value, dict) else value


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, Decimal) else _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


def _total(response: httpx.Response) -> int:
    """The count that was asked for: behind the slash of `0-24/3573` or `*/0`."""
    count = response.headers.get("content-range", "").rpartition("/")[2]
    if not count.isdigit():
        raise Unavailable()
    return int(count)


# Errors -----------------------------------------------------------------------------------------------------


def _worth_another_try(error: Unavailable, may_read_again: bool) -> bool:
    """What the database rolled back; and reads whose answer was lost, unless no server was to be had at all."""
    if isinstance(error, Busy):
        return True
    return may_read_again and type(error) is Unavailable and not isinstance(error.__cause__, LASTING)


def _translated(send: Callable[[], httpx.Response], *, signed_in: bool) -> httpx.Response:
    """The one edge where failures of the way and of the server become ours; their own text goes to the log only."""
    try:
        response = send()
    except httpx.HTTPError as exc:
        log.warning("no answer from Supabase: %s", type(exc).__name__)
        raise Unavailable() from exc
    except (httpx.InvalidURL, UnicodeEncodeError) as exc:  # an address too long, half a surrogate pair
        raise InvalidInput() from exc
    is_json = "json" in response.headers.get("content-type", "")
    if response.is_success and (is_json or not response.content):  # else a page of somebody in between
        return response
    raise _error(response.status_code, _body(response) if is_json else {}, signed_in)


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _error(status: int, body: Mapping[str, Any], signed_in: bool) -> AppError:
    code = body.get("code")
    if not isinstance(code, str):
        return _gateway_error(status, body)
    error = from_sqlstate(code, body.get("message") or "", body.get("details"))
    if type(error) in (AppError, SchemaMismatch):
        log.error("database error %s: %s", code, body.get("message"))
    if isinstance(error, SignedOut) and code.startswith("PGRST") and not signed_in:
        return SettingsInvalid(KEY_REFUSED)
    return error


def _gateway_error(status: int, body: Mapping[str, Any]) -> AppError:
    """What did not come from the database: the gateway before it, or a proxy on the way."""
    log.warning("Supabase's gateway answered %d: %s", status, body.get("message"))
    if status == 401 and body:
        return SettingsInvalid(KEY_REFUSED)
    if status in (413, 414):
        return InvalidInput("That is too long to be sent.")
    error = Unavailable()
    error.__cause__ = _SlowDown() if status == 429 else None
    return error
