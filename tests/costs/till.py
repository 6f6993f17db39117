"""One store's money, asked through the worker's door with few words."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from services.database.door import Database
from tests.builders import World, entry

MICRO = Decimal("0.000001")  # what one request of the model "micro" costs


@dataclass(frozen=True)
class Till:
    world: World
    account: UUID
    store: UUID

    @classmethod
    def opened(cls, world: World, quota: str = "0", company: str = "0", **store: Any) -> "Till":
        """A new company with one store; quotas in dollars, 0 = none."""
        account = world.company(quota=company)
        world.price(account, "practice", "micro", str(MICRO), kind="requests", per=1)
        return cls(world, account, world.store(account, quota=quota, **store))

    def beside(self, quota: str = "0", **store: Any) -> "Till":
        """Another store of the same company."""
        return Till(self.world, self.account, self.world.store(self.account, quota=quota, **store))

    @property
    def worker(self) -> Database:
        return self.world.as_worker()

    def ask(self, usd: str | Decimal, request_id: UUID | None = None, **other: Any) -> Decimal | None:
        """Hold an amount; returns what is left."""
        values = {"p_profile_id": self.store, "p_estimate_usd": Decimal(usd), "p_service": "practice", **other}
        answer: Decimal | None = self.worker.call("hold_cost", p_request_id=request_id or uuid4(), **values)
        return answer

    def hold(self, usd: str | Decimal, **other: Any) -> UUID:
        """Hold an amount; returns the request's id."""
        request_id = uuid4()
        self.ask(usd, request_id, **other)
        return request_id

    def settle(self, request_id: UUID, *entries: dict[str, Any], final: bool = True) -> Decimal:
        answer: Decimal = self.worker.call(
            "settle_cost", p_request_id=request_id, p_entries=list(entries), p_final=final
        )
        return answer

    def release(self, request_id: UUID) -> None:
        self.worker.call("release_cost", p_request_id=request_id)

    def spend(self, usd: str | Decimal) -> UUID:
        request_id = self.hold(usd)
        self.settle(request_id, item(usd))
        return request_id

    # Facts -----------------------------------------------------------------------------------------------------

    def counter(self, month: date | None = None, scope: UUID | None = None) -> tuple[Decimal, Decimal, Decimal]:
        """Settled, held and overrun dollars of the store (or another scope) in a month, by default this one."""
        rows = self.world.rows(
            "select settled_usd, held_usd, overrun_usd from public.quota_counters"
            " where scope_id = %s and month = coalesce(%s, private.month_of(private.utc_now()))",
            scope or self.store,
            month,
        )
        return tuple(rows[0].values()) if rows else (Decimal(0),) * 3

    def company_counter(self, month: date | None = None) -> tuple[Decimal, Decimal, Decimal]:
        return self.counter(month, self.account)

    def entries(self, request_id: UUID | None = None) -> list[dict[str, Any]]:
        """Ledger rows of the store in order of their number."""
        return self.world.rows(
            "select * from public.cost_entries where profile_id = %s and request_id = coalesce(%s, request_id)"
            " order by seq",
            self.store,
            request_id,
        )

    def state(self, request_id: UUID) -> str:
        return str(self.world.value("select state from public.cost_holds where request_id = %s", request_id))

    def differences(self) -> list[dict[str, Any]]:
        """Where the company's counters or sums differ from its ledger and holds, over all months."""
        return self.world.rows(
            "select m.month, d.* from (select account_id, month from public.quota_counters"
            "  union select account_id, month from public.cost_holds) m,"
            " lateral private.check_money(m.account_id, m.month) d where m.account_id = %s",
            self.account,
        )


def item(usd: str | Decimal, **values: Any) -> dict[str, Any]:
    """A ledger entry that costs exactly this amount."""
    return entry(model="micro", units={"requests": int(Decimal(usd) / MICRO)}, **values)
