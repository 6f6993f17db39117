"""The one door to data: what every adapter (Postgres, REST) offers, and how rows are named."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

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
