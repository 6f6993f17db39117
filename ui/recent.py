"""A person's data as it was at most 30 s ago, for what pages show again in every run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID, uuid4

import streamlit as st

from services.database.door import ROW_CAP, Database, Filter, Order, R, Row
from services.identity import Role

CACHE_SECONDS = 30
# Functions whose answers may be as old; the others are asked each time.
SHOWN_ONLY = frozenset({"assistant_costs", "audit_choices", "speech_saved", "store_accounts"})

_marks: dict[UUID, UUID] = {}


def mark(account_id: UUID) -> UUID | None:
    """Part of a cache's key. It is new after `forget`: what was asked before and arrives later is not found either."""
    return _marks.get(account_id)


def forget(account_id: UUID) -> None:
    """After a change: everything of this company is read anew."""
    _marks[account_id] = uuid4()


@st.cache_data(ttl=CACHE_SECONDS, max_entries=5_000, show_spinner=False)
def _answer(
    account_id: UUID,
    person_id: UUID,
    role: Role,
    profile_id: UUID | None,
    mark: UUID | None,
    question: str,
    _ask: Callable[[], Any],
) -> Any:
    return _ask()


def remembered(cached: Any, *question: Any, anew: bool) -> Any:
    """The answer of a function under `st.cache_data`; `anew`: asked again, whatever it remembers."""
    if anew:
        cached.clear(*question)
    return cached(*question)


@dataclass(frozen=True, kw_only=True)
class _Through:
    """What is neither remembered nor told goes to the person's door."""

    database: Database

    def count(self, model: type[Row], filters: Sequence[Filter] = ()) -> int:
        return self.database.count(model, filters)

    def insert(self, table: str, values: Mapping[str, Any]) -> None:
        self.database.insert(table, values)

    def update(self, table: str, values: Mapping[str, Any], filters: Sequence[Filter]) -> int:
        return self.database.update(table, values, filters)

    def delete(self, table: str, filters: Sequence[Filter]) -> int:
        return self.database.delete(table, filters)


@dataclass(frozen=True, kw_only=True)
class Told(_Through):
    """The person's door, answering from what was just asked for at once; other questions it asks.

    All `rows` meet `given`: filters by these columns, which the rows themselves may not have, hold for each of them.
    """

    rows: Mapping[type[Row], Sequence[Row]]
    answers: Mapping[str, Any]
    given: frozenset[str]

    def select(
        self,
        model: type[R],
        filters: Sequence[Filter] = (),
        *,
        order: Sequence[Order] = (),
        limit: int = ROW_CAP,
        after: Sequence[Any] | None = None,
    ) -> list[R]:
        known = {*model.columns(), *self.given}
        if model not in self.rows or after is not None or not known.issuperset(column for column, *_ in filters):
            return self.database.select(model, filters, order=order, limit=limit, after=after)
        narrowing = [wanted for wanted in filters if wanted[0] in model.columns()]
        found = [row for row in self.rows[model] if all(_meets(row, wanted) for wanted in narrowing)]
        return cast(list[R], found[:limit])

    def call(self, function: str, **params: Any) -> Any:
        return self.answers[function] if function in self.answers else self.database.call(function, **params)


def _meets(row: Row, wanted: Filter) -> bool:
    column, operator, value = wanted
    found = getattr(row, column)
    if operator == "lte":
        return bool(found <= value)
    return found in value if operator == "in" else bool(found == value)


@dataclass(frozen=True, kw_only=True)
class Recent(_Through):
    """The person's door with rows that are at most 30 s old. What decides or buys asks their own door.

    `anew`: what `database` answers replaces what is remembered.
    """

    account_id: UUID
    person_id: UUID
    role: Role
    profile_id: UUID | None
    anew: bool = False

    def select(
        self,
        model: type[R],
        filters: Sequence[Filter] = (),
        *,
        order: Sequence[Order] = (),
        limit: int = ROW_CAP,
        after: Sequence[Any] | None = None,
    ) -> list[R]:
        asked = (model.__module__, model.__qualname__, list(filters), list(order), limit, after)

        def ask() -> list[R]:
            return self.database.select(model, filters, order=order, limit=limit, after=after)

        rows: list[R] = self._remembered(asked, ask)
        return rows

    def call(self, function: str, **params: Any) -> Any:
        def ask() -> Any:
            return self.database.call(function, **params)

        return self._remembered((function, params), ask) if function in SHOWN_ONLY else ask()

    def _remembered(self, question: object, ask: Callable[[], Any]) -> Any:
        who = (self.account_id, self.person_id, self.role, self.profile_id)
        return remembered(_answer, *who, mark(self.account_id), repr(question), ask, anew=self.anew)
