"""What assistants' scripts cost, from month to month (UTC), by phase. Amounts are US dollars with six places."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.database.door import Database


class PhaseCost(BaseModel):
    """All calls of a phase together."""

    model_config = ConfigDict(frozen=True)

    calls: int
    cost_usd: Decimal

    @property
    def average(self) -> Decimal:
        return self.cost_usd / self.calls


class AssistantCost(BaseModel):
    """An assistant with what its runs were charged; `runs` are those whose first call lies in the range."""

    model_config = ConfigDict(frozen=True)

    assistant_id: UUID
    name: str
    profile_id: UUID
    store: str
    code: str  # the store's
    runs: int
    tokens: Decimal
    cost_usd: Decimal
    last_activity: datetime
    phases: dict[str, PhaseCost]


def of_assistants(
    database: Database, account_id: UUID, profile_id: UUID | None, first: date = date.min, last: date = date.max
) -> list[AssistantCost]:
    """The dearest first, at most 200, over the whole months of a range; of a store, or of all that one may see."""
    rows = database.call(
        "assistant_costs", p_account_id=account_id, p_profile_id=profile_id, p_from=first, p_to=last,
    )  # fmt: skip
    return [AssistantCost.model_validate(row) for row in rows]
