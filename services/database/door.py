"""The one door to data: what every adapter (Postgres, REST) offers, and how rows are named."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.errors import InvalidInput

ROW_CAP = 1000  # rows an answer holds at most; more are silently left out, as the cloud's REST layer does

Operator = Literal["eq", "neq", "gt", "gte", "lt", "lte", "in", "is", "ilike"]
Filter = tuple[str, Operator, Any]
Order = tuple[str, Literal["asc", "desc"]]


class Row(BaseModel):
    """A row of a table or view: its fields are the columns that are read."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    table: ClassVar[str]

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        return tuple(cls.model_fields)

    @classmethod
    def money_columns(cls) -> frozenset[str]:
        """Columns that travel as text, so that no float ever touches an amount."""
        fields = cls.model_fields.items()
        return frozenset(name for name, field in fields if Decimal in (field.annotation, *get_args(field.annotation)))


R = TypeVar("R", bound=Row)


class Database(Protocol):
    """Data as one person (or nobody, or the worker) may see and change it.

    Every method raises a class of `services.errors`. Calls the database rolled back because of a lock
    (`Busy`) are tried again a bounded number of times; reads also after a lost connection.
    """

    def call(self, function: str, **params: Any) -> Any:
        """One SQL function by its name. STABLE functions run read-only. Sets come as lists of dicts."""

    def select(
        self,
        model: type[R],
        filters: Sequence[Filter] = (),
        *,
        order: Sequence[Order] = (),
        limit: int = ROW_CAP,
        after: Sequence[Any] | None = None,
    ) -> list[R]:
        """Rows in order; `after` holds the last row's values of the order columns (paging by key)."""

    def count(self, model: type[Row], filters: Sequence[Filter] = ()) -> int:
        """How many rows there are, beyond the row cap too."""

    def insert(self, table: str, values: Mapping[str, Any]) -> None: ...

    def update(self, table: str, values: Mapping[str, Any], filters: Sequence[Filter]) -> int:
        """Returns how many rows changed; row security hides others, so 0 is no error. Needs a filter."""

    def delete(self, table: str, filters: Sequence[Filter]) -> int:
        """Returns how many rows went. Needs a filter."""


def dumps(value: Any) -> str:
    """JSON as it travels in either adapter: amounts and ids as text, times in ISO form."""
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> str:
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot travel as JSON")


def some(filters: Sequence[Filter]) -> Sequence[Filter]:
    """The filters of a change. Raises `InvalidInput` where there is none: no change is meant for every row."""
    if not filters:
        raise InvalidInput("A change needs a filter.")
    return filters


def key_direction(order: Sequence[Order], after: Sequence[Any]) -> Literal["asc", "desc"]:
    """The direction in which rows follow the key: one for all columns, so that one index serves."""
    directions = {direction for _, direction in order}
    if len(directions) != 1 or len(after) != len(order):
        raise ValueError("paging by key needs one direction and a value for each order column")
    return directions.pop()
