"""What only a person can decide about purchases: calls that nobody can tell about, and models that billed too much."""

from datetime import datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from services.database.door import Database, Row
from services.jobs import queue


class Pause(Row):
    """A model that billed more units than it announced; nothing is bought from it until an admin confirms."""

    table: ClassVar[str] = "model_pauses"

    id: UUID
    provider: str
    model: str
    voice: str
    characters: int
    expected: Decimal
    billed: Decimal
    paused_at: datetime

    @property
    def factor(self) -> Decimal:
        """How many times the announced units were billed."""
        return self.billed / self.expected if self.expected else Decimal(0)


def decide(database: Database, purchase_id: UUID, *, billed: bool, reason: str) -> None:
    """An admin's word: billed (booked as announced) or not (the money is released).

    Raises `InvalidInput` (field `reason`), `NotAllowed`, `NotFound`, `Conflict` when it was decided meanwhile.
    """
    database.call("decide_purchase", p_purchase_id=purchase_id, p_billed=billed, p_reason=reason)


def buy_again(database: Database, job_id: UUID) -> None:
    """Run the job again and buy what is unclear once more: it may be paid twice. Raises as `queue.retry`."""
    database.call("buy_again", p_job_id=job_id)
    queue.wake()


def pauses(database: Database, account_id: UUID) -> list[Pause]:
    """Models that are paused now, the oldest first."""
    return database.select(
        Pause, [("account_id", "eq", account_id), ("confirmed_at", "is", None)], order=[("paused_at", "asc")]
    )


def confirm_price(database: Database, account_id: UUID, provider: str, model: str, reason: str) -> None:
    """Accept what the model billed: later holds count with it. Raises `InvalidInput` (`reason`), `NotAllowed`."""
    database.call("confirm_price", p_account_id=account_id, p_provider=provider, p_model=model, p_reason=reason)
