"""A month under other prices, against a plain loop over its entries; and prices withdrawn before they begin."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.costs import corrections, prices
from services.costs.prices import OtherPrice
from services.database import embedded
from services.database.door import Database
from services.errors import AppError, Conflict, InvalidInput, NotAllowed, NotFound
from tests.builders import World, fresh_world

D = Decimal
NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
OCTOBER = date(2026, 10, 1)
V3 = OtherPrice(provider="elevenlabs", model="v3", usd=D("0.123456789"))
LOAD = """
    insert into public.cost_entries (id, account_id, seq, request_id, profile_id, profile_name, service, operation,
        model, category, units, unit_prices, cost_usd, occurred_at, booked_on, settled_at)
    select gen_random_uuid(), %(account)s, n, gen_random_uuid(), (%(stores)s::uuid[])[1 + n %% 3], 'Quay', m.service,
           'tts', m.model, 'speech', m.units, '{}', round((n * 7919 %% 100003)::numeric / 1000000, 6), b.at,
           (b.at at time zone 'UTC')::date, b.at
    from generate_series(1, %(count)s) n
    cross join lateral (select timestamptz '2026-09-20 00:00Z' + (n::bigint * 104729 %% 5000000) * interval '1 second'
                        as at) b
    cross join lateral (select (array['elevenlabs', 'elevenlabs', 'gemini', 'gone'])[1 + n %% 4] as service,
                               (array['v3', 'flash', 'pro', 'old'])[1 + n %% 4] as model,
                               case n %% 4 when 2 then jsonb_build_object('input_tokens', n %% 7001, 'output_tokens',
                                                                          n %% 301, 'cached_tokens', 0)
                                    when 1 then jsonb_build_object('characters', (n %% 5000) + 0.5)
                                    else jsonb_build_object('characters', n %% 5000) end as units) m
"""
BOOK = {  # by model and kind: dollars, units that they buy
    ("v3", "characters"): ("0.30", 1000),
    ("flash", "characters"): ("0.050000001", 1000),
    ("pro", "input_tokens"): ("1.25", 1000000),
    ("pro", "output_tokens"): ("10", 1000000),
    ("pro", "cached_tokens"): ("0.31", 1000000),
}


@dataclass
class Shop:
    world: World
    account: UUID
    stores: list[UUID]
    boss: Database

    @classmethod
    def opened(cls, world: World, count: int) -> "Shop":
        account = world.company()
        stores = [world.store(account, name) for name in ("Quay", "Dock", "Pier")]
        for (model, kind), (usd, per) in BOOK.items():
            world.price(account, "gemini" if model == "pro" else "elevenlabs", model, usd, kind=kind, per=per)
        world.admin.execute(LOAD, {"account": account, "stores": stores, "count": count})
        world.execute("insert into private.ledger_counters (account_id, last_seq) values (%s, %s)", account, count)
        return cls(world, account, stores, world.as_person(world.person(account, "admin", name="Ada")))

    def plainly(self, month: str, book: dict[tuple[str, str], tuple[str, int]]) -> dict[Any, list[Any]]:
        """By store and model: entries, booked and new dollars, entries without a price and their dollars."""
        found: dict[Any, list[Any]] = defaultdict(lambda: [0, D(0), D(0), 0, D(0)])
        for row in self.world.rows("select * from public.cost_entries where account_id = %s and corrects_id is null"
                                   " and to_char(booked_on, 'YYYY-MM') = %s", self.account, month):  # fmt: skip
            line = found[row["profile_id"], row["model"]]
            if any((row["model"], kind) not in book for kind in row["units"]):
                line[3:] = line[3] + 1, line[4] + row["cost_usd"]
                continue
            exact = sum((D(str(count)) * D(book[row["model"], kind][0]) / book[row["model"], kind][1]
                         for kind, count in row["units"].items()), D(0))  # fmt: skip
            line[:3] = line[0] + 1, line[1] + row["cost_usd"], line[2] + exact.quantize(D("0.000001"), ROUND_HALF_UP)
        return found


@pytest.fixture(scope="module", params=[1001, pytest.param(100_000, marks=pytest.mark.full)])
def shop(request: pytest.FixtureRequest, server: embedded.Server, template: str) -> Iterator[Shop]:
    with fresh_world(server, template) as world:
        world.set_clock(NOW)
        yield Shop.opened(world, request.param)


@pytest.mark.parametrize("other", [None, V3], ids=["the book's", "another price"])
@pytest.mark.parametrize("month", [OCTOBER, date(2026, 9, 30), date(2026, 11, 1)])
def test_a_month_is_re_rated_entry_by_entry_exactly(shop: Shop, month: date, other: OtherPrice | None) -> None:
    book = BOOK | ({("v3", "characters"): (str(other.usd), other.per_units)} if other else {})
    seen = prices.preview(shop.boss, shop.account, month, None, other)
    assert {
        (line.profile_id, line.model): [line.entries, line.old_usd, line.new_usd, line.unpriced, line.unpriced_usd]
        for line in seen.lines
    } == dict(shop.plainly(f"{month:%Y-%m}", book))
    assert {line.model for line in seen.lines if line.unpriced} == {"old"}
    assert all(line.missing == (["characters"] if line.unpriced else []) for line in seen.lines)
    assert seen.month == month.replace(day=1)


def test_one_model_can_be_looked_at_alone(shop: Shop) -> None:
    whole = prices.preview(shop.boss, shop.account, OCTOBER, None, V3)
    alone = whole.of_model("elevenlabs", "v3")
    assert {line.store for line in alone.lines} == {"Quay", "Dock", "Pier"}
    assert alone.entries == shop.world.value(
        "select count(*) from public.cost_entries where account_id = %s and model = 'v3'"
        " and booked_on between '2026-10-01' and '2026-10-31'", shop.account,
    )  # fmt: skip
    assert alone.new_usd - alone.old_usd == sum(line.difference for line in alone.lines)


def test_a_coming_price_counts_from_its_day_on(shop: Shop) -> None:
    begins = NOW + timedelta(days=3)
    prices.set_price(shop.boss, shop.account, "elevenlabs", "v3", "0.6", "Next year's list", begins)
    before, after = (prices.preview(shop.boss, shop.account, OCTOBER, at).of_model("elevenlabs", "v3")
                     for at in (begins - timedelta(seconds=1), begins))  # fmt: skip
    assert after.new_usd == 2 * before.new_usd > 0
    shop.world.execute("delete from public.prices where account_id = %s and valid_from > %s", shop.account, NOW)


def test_free_is_a_price(shop: Shop) -> None:
    free = prices.preview(shop.boss, shop.account, OCTOBER, None, V3.model_copy(update={"usd": D(0)}))
    alone = free.of_model("elevenlabs", "v3")
    assert (alone.new_usd, alone.lines[0].unpriced) == (0, 0)


def test_a_month_without_entries_has_no_lines(shop: Shop) -> None:
    assert prices.preview(shop.boss, shop.account, date(2020, 2, 1)).lines == []


@pytest.mark.parametrize(
    ("other", "field"),
    [({"usd": D("-1")}, "price"), ({"usd": D("NaN")}, "price"), ({"usd": D(10) ** 6}, "price"),
     ({"usd": D("1E-10")}, "price"), ({"per_units": 0}, "price"), ({"unit_kind": ""}, "price"),
     ({"model": ""}, "model")],
)  # fmt: skip
def test_prices_that_cannot_be(shop: Shop, other: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        prices.preview(shop.boss, shop.account, OCTOBER, None, V3.model_copy(update=other))
    assert refused.value.field == field


@pytest.mark.parametrize("typed", ["", "lots", "-1", "NaN", "1e3", "0,10", "0.12345678901", "9999999"])
def test_amounts_that_cannot_be_typed(typed: str) -> None:
    with pytest.raises(InvalidInput):
        prices.read_amount(typed)


@pytest.mark.parametrize("month", [date(1066, 10, 14), date(2300, 1, 1)])
def test_months_that_cannot_be(shop: Shop, month: date) -> None:
    with pytest.raises(InvalidInput):
        prices.preview(shop.boss, shop.account, month)


def test_only_admins_look(shop: Shop) -> None:
    world = shop.world
    for person, error in (
        (world.person(shop.account, "manager", *shop.stores), NotAllowed),
        (world.person(shop.account, "finance"), NotAllowed),
        (world.person(world.company(), "admin"), NotFound),
        (world.person(None), NotFound),
    ):
        with pytest.raises(error):
            prices.preview(world.as_person(person), shop.account, OCTOBER)


def test_corrected_to_the_preview_a_month_costs_what_it_foretold(shop: Shop) -> None:
    """In one store, so that 100,000 entries stay below what is corrected at once."""
    line = next(
        line for line in prices.preview(shop.boss, shop.account, OCTOBER, None, V3).lines
        if (line.model, line.profile_id) == ("v3", shop.stores[0])
    )  # fmt: skip
    made = corrections.adjust_model(shop.boss, uuid4(), shop.account, shop.stores[0], OCTOBER, V3, "Their invoice")
    assert made.usd == line.difference
    seen = prices.preview(shop.boss, shop.account, OCTOBER, None, V3)
    assert seen.corrections_usd == made.usd
    assert line in seen.lines


# Coming prices ---------------------------------------------------------------------------------------------------


@pytest.fixture
def boss(shared_world: World) -> tuple[Database, UUID]:
    account = shared_world.company()
    return shared_world.as_person(shared_world.person(account, "admin", name="Ada")), account


def coming(door: Database, account: UUID, days: float = 3) -> UUID:
    """Set the price of a day to come; returns its id."""
    begins = datetime.now(UTC) + timedelta(days=days)
    prices.set_price(door, account, "practice", "premium", "0.5", "New list", begins)
    return prices.history(door, account)[0].id


def test_a_coming_price_is_withdrawn_with_a_reason_and_stays_known(
    boss: tuple[Database, UUID], shared_world: World
) -> None:
    door, account = boss
    price_id = coming(door, account)
    prices.withdraw(door, price_id, " They  kept the old list ")
    assert price_id not in [line.id for line in prices.history(door, account)]
    (line,) = prices.withdrawn(door, account)
    assert (line.id, line.usd, line.reason, line.withdrawn_reason) == (
        price_id, D("0.5"), "New list", "They kept the old list",
    )  # fmt: skip
    (said,) = shared_world.rows(
        "select * from public.audit_log where account_id = %s and action = 'price_withdrawn'", account
    )
    assert (said["person_name"], said["subject"], said["reason"]) == (
        "Ada",
        "practice premium",
        "They kept the old list",
    )
    assert D(said["before"]["usd"]) == D("0.5")
    with pytest.raises(NotFound):
        prices.withdraw(door, price_id, "Again")


def test_a_withdrawn_day_can_be_set_anew(boss: tuple[Database, UUID]) -> None:
    door, account = boss
    begins = datetime.now(UTC) + timedelta(days=2)
    for amount in ("0.5", "0.6"):
        prices.set_price(door, account, "practice", "premium", amount, "New list", begins)
        prices.withdraw(door, prices.history(door, account)[0].id, "Wrong")
    prices.set_price(door, account, "practice", "premium", "0.7", "Right", begins)
    assert [line.usd for line in prices.history(door, account) if line.model == "premium"] == [D("0.7"), D("0.3")]
    assert len(prices.withdrawn(door, account)) == 2


def test_what_counts_already_or_within_a_minute_stays(boss: tuple[Database, UUID]) -> None:
    door, account = boss
    now = next(line.id for line in prices.history(door, account) if line.model == "premium")
    soon = coming(door, account, days=30 / 86_400)
    for price_id in (now, soon):
        with pytest.raises(Conflict, match="counts already"):
            prices.withdraw(door, price_id, "Wrong")
    assert prices.withdrawn(door, account) == []


def test_only_its_admins_withdraw_a_price(boss: tuple[Database, UUID], shared_world: World) -> None:
    door, account = boss
    price_id = coming(door, account)
    for reason in ("", "  "):
        with pytest.raises(InvalidInput) as refused:
            prices.withdraw(door, price_id, reason)
        assert refused.value.field == "reason"
    manager = shared_world.as_person(shared_world.person(account, "manager", shared_world.store(account)))
    foreign = shared_world.as_person(shared_world.person(shared_world.company(), "admin"))
    for other, error in ((manager, NotAllowed), (foreign, NotFound), (shared_world.doors.anonymous(), AppError)):
        with pytest.raises(error):
            prices.withdraw(other, price_id, "Mine")
    prices.withdraw(door, price_id, "Wrong")
    assert len(prices.withdrawn(manager, account)) == 1
    assert prices.withdrawn(foreign, account) == []
