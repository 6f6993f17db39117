"""Hold, settle, release: every answer, every refusal, every edge of a month."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from services.errors import (
    AppError,
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    PriceMissing,
    QuotaExceeded,
    Refusal,
    StoreSuspended,
)
from tests.builders import World, entry, speech
from tests.costs import bidder
from tests.costs.conftest import OpenTill
from tests.costs.till import MICRO, Till, item

JANUARY = date(2026, 1, 1)
FEBRUARY = date(2026, 2, 1)
D = Decimal


def refusal(call: Callable[[], Any]) -> Refusal:
    with pytest.raises(QuotaExceeded) as caught:
        call()
    assert caught.value.refusal is not None
    assert str(caught.value) == caught.value.refusal.message
    return caught.value.refusal


# Hold -------------------------------------------------------------------------------------------------------


def test_a_hold_answers_what_is_left(till: Till) -> None:
    assert till.ask("4") == D(6)
    assert till.ask("1.5") == D("4.5")
    assert till.counter() == till.company_counter() == (0, D("5.5"), 0)


def test_the_same_question_gets_the_same_answer(till: Till) -> None:
    person, job, request = uuid4(), uuid4(), uuid4()
    ask = {"p_user_id": person, "p_job_id": job}
    assert till.ask("4", request, **ask) == D(6)
    till.hold("1")
    assert till.ask("4.000000", request, **ask) == D(6)
    till.settle(request, item("4"))
    assert till.ask("4", request, **ask) == D(6)
    assert till.counter() == (4, 1, 0)


@pytest.mark.parametrize(
    "other",
    [
        {"usd": "5"}, {"p_service": "hibari"}, {"p_job_id": uuid4()}, {"p_user_id": uuid4()},
        {"p_job_id": None}, {"p_user_id": None},
    ],
)  # fmt: skip
def test_another_question_under_the_same_id_is_refused(till: Till, other: dict[str, Any]) -> None:
    values = {"usd": "4", "request_id": uuid4(), "p_user_id": uuid4(), "p_job_id": uuid4()}
    till.ask(**values)
    with pytest.raises(Conflict, match="sent before with other values"):
        till.ask(**(values | other))
    assert till.counter() == (0, 4, 0)


def test_the_id_of_another_store_s_hold_is_refused(till: Till) -> None:
    request = till.hold("1")
    with pytest.raises(Conflict):
        till.beside().ask("1", request)


def test_exactly_the_rest_is_granted_and_a_millionth_more_is_not(till: Till) -> None:
    till.spend("7")
    till.hold("2")
    refusal(lambda: till.ask("1.000001"))
    assert till.ask("1") == 0


def test_a_refusal_tells_its_arithmetic(till: Till) -> None:
    till.spend("7.25")
    till.hold("2")
    told = refusal(lambda: till.ask("1.5"))
    assert told == Refusal(
        error="quota_exceeded", scope="store", current_costs=D("7.25"), held=D(2), estimate=D("1.5"),
        monthly_quota=D(10), shortfall=D("0.75"),
        message="The store's monthly quota of $10.00 does not cover this: $7.25 is spent, $2.00 is held by work "
        "under way and this needs $1.50. Nothing was bought.",
    )  # fmt: skip


def test_a_refusal_leaves_nothing(till: Till) -> None:
    request = uuid4()
    refusal(lambda: till.ask("10.01", request))
    assert till.counter() == (0, 0, 0)
    assert till.ask("9", request) == 1


def test_reaching_the_quota_exactly_counts_as_exceeded(till: Till) -> None:
    till.spend("10")
    assert refusal(lambda: till.ask("0")).shortfall == 0
    assert refusal(lambda: till.ask("0.000001")).shortfall == MICRO


def test_held_up_to_the_quota_is_not_spent_yet_so_free_work_goes_on(till: Till) -> None:
    till.hold("10")
    assert till.ask("0") == 0


def test_no_quota_means_no_limit_but_still_reports(open_till: OpenTill) -> None:
    till = open_till("0")
    assert till.ask("99999.999999") is None
    till.spend("123.45")
    assert till.counter() == (D("123.45"), D("99999.999999"), 0)
    assert till.worker.call("monthly_cost", p_profile_id=till.store, p_month=datetime.now(UTC).date()) == D("123.45")


def test_the_company_s_limit_covers_all_its_stores(open_till: OpenTill) -> None:
    till = open_till("10", company="12")
    beside = till.beside()
    assert till.ask("9") == 1
    assert beside.ask("2") == 1
    told = refusal(lambda: beside.ask("1.5"))
    assert (told.scope, told.held, told.monthly_quota) == ("company", 11, 12)
    assert beside.counter() == (0, 2, 0)
    assert told.message.startswith("The company's monthly quota of $12.00 does not cover this")


def test_the_least_of_both_limits_is_left(open_till: OpenTill) -> None:
    assert open_till("10", company="4").ask("1") == 3
    assert open_till("4", company="10").ask("1") == 3
    assert open_till("0", company="10").ask("1") == 9
    assert open_till("4", company="0").ask("1") == 3


@pytest.mark.parametrize("scope", ["store", "company"])
def test_grants_raise_the_limit_while_they_are_valid(open_till: OpenTill, scope: str) -> None:
    till = open_till("10") if scope == "store" else open_till("0", company="10")
    now = datetime(2026, 5, 10, 12, tzinfo=UTC)
    for amount, start, end in [("5", 0, 1), ("3", -9, 9), ("100", -9, 0), ("200", 1, 9)]:
        till.world.insert(
            "public.quota_grants", id=uuid4(), account_id=till.account, amount_usd=D(amount), reason="Christmas",
            profile_id=till.store if scope == "store" else None, granted_by=uuid4(),
            valid_from=now + timedelta(hours=start), valid_until=now + timedelta(hours=end),
        )  # fmt: skip
    with till.world.at(now):
        assert till.ask("17") == 1
    with till.world.at(now + timedelta(hours=1)):
        told = refusal(lambda: till.ask("200"))
        assert (told.monthly_quota, told.held) == (213, 17)


def test_a_grant_lifts_no_limit_where_there_is_none(open_till: OpenTill) -> None:
    till = open_till("0")
    till.world.insert(
        "public.quota_grants", id=uuid4(), account_id=till.account, profile_id=till.store, amount_usd=5,
        reason="x", granted_by=uuid4(), valid_from="2020-01-01", valid_until="2999-01-01",
    )  # fmt: skip
    assert till.ask("1000") is None


@pytest.mark.parametrize("limited", ["store", "company"])
def test_free_work_over_quota_only_where_the_store_allows_it(open_till: OpenTill, limited: str) -> None:
    limits = {"quota": "1"} if limited == "store" else {"company": "1"}
    strict, lenient = open_till(**limits), open_till(**limits, allow_free_voices_over_quota=True)
    for till in (strict, lenient):
        till.spend("1")
    refusal(lambda: strict.ask("0"))
    assert lenient.ask("0") == 0
    assert refusal(lambda: lenient.ask("0.000001")).scope == limited


def test_a_suspended_store_holds_nothing_and_says_why(open_till: OpenTill) -> None:
    till = open_till("10", suspended_at="2026-01-01", suspended_reason="Rent unpaid")
    with pytest.raises(StoreSuspended, match="Quay is suspended: Rent unpaid"):
        till.ask("1")
    unnamed = open_till("10", suspended_at="2026-01-01")
    with pytest.raises(StoreSuspended, match="no reason was given"):
        unnamed.ask("0")


def test_archived_and_unknown_stores_are_not_found(open_till: OpenTill) -> None:
    with pytest.raises(NotFound, match="archived"):
        open_till("10", archived_at="2026-01-01").ask("1")
    with pytest.raises(NotFound):
        open_till("10").ask("1", p_profile_id=uuid4())


def test_what_was_held_before_the_suspension_is_still_settled(till: Till) -> None:
    request = till.hold("1")
    till.world.execute("update public.profiles set suspended_at = now(), archived_at = now() where id = %s", till.store)
    assert till.settle(request, item("1")) == 1


@pytest.mark.parametrize("estimate", ["-0.000001", "0.0000001", "NaN", "Infinity", "-Infinity", "100000000", None])
def test_an_estimate_is_an_amount(open_till: OpenTill, estimate: str | None) -> None:
    till = open_till("0")
    with pytest.raises(InvalidInput):
        till.ask("0", p_estimate_usd=estimate and D(estimate))
    assert till.counter() == (0, 0, 0)


def test_the_hold_keeps_the_limit_in_force(till: Till) -> None:
    request = till.hold("1")
    till.world.execute("update public.profiles set monthly_quota_usd = 1 where id = %s", till.store)
    hold = "select limit_usd, left_usd, month from public.cost_holds where request_id = %s"
    (kept,) = till.world.rows(hold, request)
    assert (kept["limit_usd"], kept["left_usd"]) == (10, 9)


def test_the_database_refuses_a_negative_quota(till: Till) -> None:
    for table, key in (("profiles", till.store), ("accounts", till.account)):
        with pytest.raises(psycopg.errors.CheckViolation):
            till.world.execute(f"update public.{table} set monthly_quota_usd = -0.01 where id = %s", key)


# Settle -----------------------------------------------------------------------------------------------------


def test_settling_books_and_frees_the_rest(till: Till) -> None:
    request = till.hold("4")
    assert till.settle(request, item("1"), item("2.5")) == D("3.5")
    assert till.counter() == till.company_counter() == (D("3.5"), 0, 0)
    assert till.state(request) == "settled"


def test_an_entry_says_who_what_when_and_at_which_price(till: Till) -> None:
    person = till.world.person(till.account, "manager", till.store, name="Mara")
    job, project, clip = uuid4(), uuid4(), uuid4()
    with till.world.at(datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)):
        request = till.hold("4", p_user_id=person, p_job_id=job)
    bought = entry(project_id=str(project), clip_id=str(clip), units={"characters": 1234}, preview="Fresh bread")
    with till.world.at(datetime(2026, 2, 2, 8, tzinfo=UTC)):
        till.settle(request, bought)
    (row,) = till.entries()
    assert row["units"] == {"characters": 1234}
    ((kind, price),) = row["unit_prices"].items()
    assert (kind, price["usd"], price["per_units"]) == ("characters", "0.300000000", 1000)
    assert till.world.value("select id::text from public.prices where id = %s", price["price_id"])
    wanted = {
        "id": UUID(bought["id"]), "account_id": till.account, "profile_id": till.store, "profile_name": "Quay",
        "user_id": person, "user_name": "Mara", "job_id": job, "project_id": project, "clip_id": clip,
        "request_id": request, "service": "practice", "operation": "tts", "model": "premium", "category": "speech",
        "cost_usd": D("0.370200"), "overrun_usd": 0, "counts_to_quota": True, "seq": 1,
        "occurred_at": datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC), "booked_on": date(2026, 1, 31),
        "settled_at": datetime(2026, 2, 2, 8, tzinfo=UTC),
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted
    details = "select details from public.cost_entry_details where entry_id = %s"
    assert till.world.value(details, row["id"]) == {"preview": "Fresh bread"}


def test_work_of_the_system_has_no_person(till: Till) -> None:
    till.spend("1")
    assert (till.entries()[0]["user_id"], till.entries()[0]["user_name"]) == (None, None)


def test_settling_twice_books_once(till: Till) -> None:
    request, bought = till.hold("4"), item("1")
    assert [till.settle(request, bought), till.settle(request, bought)] == [1, 1]
    assert till.settle(request, bought, item("0.5")) == D("1.5")
    assert [row["cost_usd"] for row in till.entries()] == [1, D("0.5")]


def test_one_entry_named_twice_in_a_batch_is_booked_once(till: Till) -> None:
    request, bought = till.hold("4"), item("1")
    assert till.settle(request, bought, bought, item("0.5"), bought) == D("1.5")
    assert len(till.entries()) == 2


def test_while_not_final_the_hold_shrinks_by_what_was_booked(till: Till) -> None:
    request = till.hold("4")
    assert till.settle(request, item("1"), final=False) == 1
    assert (till.counter(), till.state(request)) == ((1, 3, 0), "reserved")
    assert till.settle(request, item("2"), final=False) == 3
    assert till.counter() == (3, 1, 0)
    assert till.settle(request, item("0.5")) == D("3.5")
    assert till.counter() == (D("3.5"), 0, 0)


def test_final_without_entries_frees_the_hold(till: Till) -> None:
    request = till.hold("4")
    assert till.settle(request) == 0
    assert (till.counter(), till.state(request)) == ((0, 0, 0), "settled")


def test_what_exceeds_the_hold_is_booked_and_marked(till: Till) -> None:
    request = till.hold("9")
    assert till.settle(request, item("8"), item("3"), item("2")) == 13
    assert [row["overrun_usd"] for row in till.entries()] == [0, 2, 2]
    assert till.counter() == till.company_counter() == (13, 0, 4)
    assert refusal(lambda: till.ask("1")).current_costs == 13


def test_an_overrun_over_several_settlements_counts_once(till: Till) -> None:
    request = till.hold("2")
    till.settle(request, item("1.5"), final=False)
    till.settle(request, item("1.5"), final=False)
    assert till.counter() == (3, 0, 1)
    till.settle(request, item("1"))
    assert till.counter() == (4, 0, 2)


def test_a_late_settlement_after_the_release_is_accepted(till: Till) -> None:
    request = till.hold("2")
    till.release(request)
    assert till.settle(request, item("1.5")) == D("1.5")
    assert till.counter() == (D("1.5"), 0, D("1.5"))


def test_an_entry_of_another_request_is_refused(till: Till) -> None:
    first, second, bought = till.hold("2"), till.hold("2"), item("1")
    till.settle(first, bought, final=False)
    with pytest.raises(Conflict, match="belongs to another request"):
        till.settle(second, item("0.5"), bought)
    assert till.counter() == (1, 3, 0)


def test_settling_what_was_never_held_is_not_found(till: Till) -> None:
    for call in (lambda: till.settle(uuid4(), item("1")), lambda: till.release(uuid4())):
        with pytest.raises(NotFound, match="No money was held"):
            call()


@pytest.mark.parametrize(
    "units",
    [
        *({"characters": n} for n in (-1, 0.1234567, "many", None, [1], "1e3", 10**16, "1.", ".5", "1,5")),
        {}, None, [], [7], "characters", 7,
    ],
)  # fmt: skip
def test_units_are_numbers_of_something(till: Till, units: object) -> None:
    request = till.hold("2")
    with pytest.raises(InvalidInput) as caught:
        till.settle(request, entry(units=units))
    assert str(caught.value) == "Units must be numbers of at least 0 with at most six decimals."
    assert (till.entries(), till.counter()) == ([], (0, 2, 0))


@pytest.mark.parametrize(
    ("units", "cost"),
    [("2.5", "0.00075"), (2.5, "0.00075"), ("0.000001", "0"), ("0.001667", "0.000001"), ("1000.000000", "0.3")],
)
def test_units_may_be_fractions(till: Till, units: object, cost: str) -> None:
    request = till.hold("2")
    assert till.settle(request, entry(units={"characters": units})) == D(cost)
    assert (till.counter(), till.differences()) == ((D(cost), 0, 0), [])


@pytest.mark.parametrize("entries", [None, {}, {"id": str(uuid4())}, "all", 7])
def test_a_settlement_without_a_list_books_nothing_and_keeps_the_hold(till: Till, entries: object) -> None:
    request = till.hold("2")
    with pytest.raises(InvalidInput, match="must be a list"):
        till.worker.call("settle_cost", p_request_id=request, p_entries=entries)
    assert (till.counter(), till.state(request)) == ((0, 2, 0), "reserved")


@pytest.mark.parametrize(
    "broken",
    [{"id": None}, {"id": "x"}, {"category": "fun"}, {"category": None}, {"operation": None}, {"clip_id": "x"}],
)
def test_a_broken_entry_books_nothing(till: Till, broken: dict[str, Any]) -> None:
    request = till.hold("2")
    with pytest.raises(InvalidInput):
        till.settle(request, item("1"), entry(**broken))
    assert (till.entries(), till.counter()) == ([], (0, 2, 0))


# Release ----------------------------------------------------------------------------------------------------


def test_releasing_gives_the_money_back_once(till: Till) -> None:
    request = till.hold("4")
    till.release(request)
    till.release(request)
    assert (till.counter(), till.company_counter(), till.state(request)) == ((0, 0, 0), (0, 0, 0), "released")
    assert till.ask("10") == 0


def test_releasing_keeps_what_was_booked(till: Till) -> None:
    request = till.hold("4")
    till.settle(request, item("1"), final=False)
    till.release(request)
    assert (till.counter(), len(till.entries())) == ((1, 0, 0), 1)


def test_releasing_what_was_settled_changes_nothing(till: Till) -> None:
    request = till.spend("4")
    till.release(request)
    assert (till.counter(), till.state(request)) == ((4, 0, 0), "settled")


# Prices -----------------------------------------------------------------------------------------------------


def test_a_missing_price_refuses_the_settlement_and_keeps_the_hold(till: Till) -> None:
    request = till.hold("4")
    with pytest.raises(PriceMissing, match=r"no price for output tokens of practice \(premium\)"):
        till.settle(request, item("1"), entry(units={"characters": 5, "output_tokens": 5}))
    assert (till.entries(), till.counter()) == ([], (0, 4, 0))
    till.world.price(till.account, "practice", "premium", "2", kind="output_tokens", per=1)
    assert till.settle(request, entry(units={"characters": 1000, "output_tokens": 1})) == D("2.3")


def test_the_price_at_the_instant_of_the_hold_counts(till: Till) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for usd, since in (("1", noon), ("5", noon + timedelta(hours=1)), ("9", noon + timedelta(days=400))):
        till.world.price(till.account, "practice", "dear", usd, kind="requests", per=1, valid_from=since.isoformat())
    booked = []
    for offset in (timedelta(0), timedelta(hours=1, microseconds=-1), timedelta(hours=1)):
        with till.world.at(noon + offset):
            request = till.hold("1")
        with till.world.at(noon + timedelta(days=1)):
            booked.append(till.settle(request, entry(model="dear", units={"requests": 1})))
    assert booked == [1, 1, 5]
    with till.world.at(noon - timedelta(microseconds=1)):
        too_early = till.hold("1")
    with pytest.raises(PriceMissing):
        till.settle(too_early, entry(model="dear", units={"requests": 1}))


def test_another_company_s_price_is_no_price(till: Till, open_till: OpenTill) -> None:
    other = open_till()
    other.world.price(other.account, "practice", "theirs", "1", kind="requests", per=1)
    with pytest.raises(PriceMissing):
        till.settle(till.hold("1"), entry(model="theirs", units={"requests": 1}))


@pytest.mark.parametrize(
    ("units", "usd", "per", "cost"),
    [
        (1, "0.0000005", 1, "0.000001"),
        (1, "0.000000499", 1, "0.000000"),
        (1, "0.0005", 1000, "0.000001"),
        (3, "0.0005", 1000, "0.000002"),
        (1, "0.5", 1_000_000, "0.000001"),
        (5, "0.0000001", 1, "0.000001"),
        (50, "400000000.009999990", 1_000_000, "20000.000000"),  # 13 decimals; rounded twice it would be …01
    ],
)
def test_half_a_millionth_is_rounded_up(till: Till, units: int, usd: str, per: int, cost: str) -> None:
    till.world.price(till.account, "practice", "odd", usd, kind="requests", per=per)
    assert till.settle(till.hold("1"), entry(model="odd", units={"requests": units})) == D(cost)


def test_kinds_add_up_before_the_one_rounding(till: Till) -> None:
    for kind in ("input_tokens", "output_tokens", "cached_tokens"):
        till.world.price(till.account, "practice", "tokens", "0.3", kind=kind, per=1_000_000)
    bought = entry(model="tokens", units={"input_tokens": 1, "output_tokens": 1, "cached_tokens": 0})
    assert till.settle(till.hold("1"), bought) == D("0.000001")


def test_costs_equal_python_s_round_half_up(till: Till) -> None:
    dice = random.Random(20261121)
    cases = []
    for place in range(400):
        per, usd = dice.choice([1, 1000, 1_000_000]), D(dice.randrange(10 ** dice.randrange(1, 12))).scaleb(-9)
        units = dice.randrange(10 ** dice.randrange(1, 7))
        if dice.random() < 0.3 and per > 1:  # at or beside a half
            usd, units = D(5 * per + dice.choice([-1, 0, 1])).scaleb(-7) / 10, 10
        cases.append((str(place), units, usd, per, (units * usd / per).quantize(MICRO, ROUND_HALF_UP)))
    with till.world.admin.cursor() as cursor:
        cursor.executemany(
            "insert into public.prices (id, account_id, provider, model, unit_kind, usd, per_units, valid_from)"
            " values (gen_random_uuid(), %s, 'python', %s, 'frames', %s, %s, '2020-01-01')",
            [(till.account, model, usd, per) for model, _, usd, per, _ in cases],
        )
    query = (
        "select p.cost_usd from unnest(%s::text[], %s::bigint[]) with ordinality as c(model, n, place), lateral"
        " private.price_units(%s, 'python', c.model, jsonb_build_object('frames', c.n), now()) p order by c.place"
    )
    got = till.world.rows(query, [c[0] for c in cases], [c[1] for c in cases], till.account)
    assert [row["cost_usd"] for row in got] == [case[4] for case in cases]


# Months -----------------------------------------------------------------------------------------------------


def test_the_last_microsecond_belongs_to_the_old_month_and_midnight_to_the_new(till: Till) -> None:
    with till.world.at(datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)):
        assert till.ask("10") == 0
    with till.world.at(datetime(2026, 2, 1, tzinfo=UTC)):
        assert till.ask("10") == 0
    assert (till.counter(JANUARY), till.counter(FEBRUARY)) == ((0, 10, 0), (0, 10, 0))


def test_held_in_january_and_settled_in_february_is_booked_in_january(till: Till) -> None:
    with till.world.at(datetime(2026, 1, 31, 23, 0, tzinfo=UTC)):
        booked, released = till.hold("4"), till.hold("3")
    with till.world.at(datetime(2026, 2, 3, tzinfo=UTC)):
        till.settle(booked, item("2"))
        till.release(released)
        assert till.ask("10") == 0
    assert (till.counter(JANUARY), till.counter(FEBRUARY)) == ((2, 0, 0), (0, 10, 0))
    assert [row["booked_on"] for row in till.entries()] == [date(2026, 1, 31)]
    costs = [till.worker.call("monthly_cost", p_profile_id=till.store, p_month=m) for m in (JANUARY, FEBRUARY)]
    assert costs == [2, 0]
    assert till.differences() == []


@pytest.mark.parametrize(
    ("instant", "month", "day"),
    [
        (datetime(2028, 2, 29, 23, 59, 59, 999999, tzinfo=UTC), date(2028, 2, 1), date(2028, 2, 29)),
        (datetime(2028, 3, 1, tzinfo=UTC), date(2028, 3, 1), date(2028, 3, 1)),
        (datetime(2027, 2, 28, 23, 59, 59, 999999, tzinfo=UTC), date(2027, 2, 1), date(2027, 2, 28)),
        (datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), date(2026, 12, 1), date(2026, 12, 31)),
        (datetime(2026, 6, 30, 22, 30, tzinfo=UTC), date(2026, 6, 1), date(2026, 6, 30)),  # July in Bucharest
    ],
)
def test_months_and_days_are_utc_and_know_leap_years(
    open_till: OpenTill, instant: datetime, month: date, day: date
) -> None:
    till = open_till("10", timezone="Europe/Bucharest")
    with till.world.at(instant):
        till.spend("1")
    assert till.counter(month) == (1, 0, 0)
    (daily,) = till.world.rows("select day, total_cost_usd from public.cost_daily where profile_id = %s", till.store)
    assert (daily["day"], daily["total_cost_usd"]) == (day, 1)
    assert till.worker.call("monthly_cost", p_profile_id=till.store, p_month=day) == 1
    assert till.differences() == []


# The ledger -------------------------------------------------------------------------------------------------


def test_numbers_have_no_gap_and_follow_the_order_of_commits(open_till: OpenTill) -> None:
    first = open_till()
    tills = [first, *(first.beside() for _ in range(3))]
    broken: list[dict[str, Any]] = []
    done = threading.Event()

    def watch() -> None:
        query = "select count(*) as n, coalesce(max(seq), 0) as last from public.cost_entries where account_id = %s"
        with psycopg.connect(first.world.url, autocommit=True) as connection:
            while not done.is_set():
                n, last = connection.execute(query, (first.account,)).fetchone() or (0, 0)
                if n != last:
                    broken.append({"n": n, "last": last})

    def spend(till: Till) -> None:
        for _ in range(15):
            till.settle(till.hold("1"), item("0.1"), item("0.2"))

    with ThreadPoolExecutor(5) as threads:
        watching = threads.submit(watch)
        with ExitStack() as stack:
            stack.callback(done.set)
            list(threads.map(spend, tills))
        watching.result(timeout=10)
    assert broken == []
    numbers = first.world.rows("select seq from public.cost_entries where account_id = %s order by 1", first.account)
    assert [row["seq"] for row in numbers] == list(range(1, 4 * 15 * 2 + 1))


def test_a_settlement_that_failed_leaves_no_gap(till: Till) -> None:
    till.spend("1")
    with pytest.raises(PriceMissing):
        till.settle(till.hold("1"), item("1"), entry(model="unknown"))
    till.spend("1")
    assert [row["seq"] for row in till.entries()] == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        "update public.cost_entries set cost_usd = 0", "delete from public.cost_entries",
        "truncate public.cost_entries", "update public.audit_log set reason = 'x'", "delete from public.audit_log",
        "truncate public.audit_log",
    ],
)  # fmt: skip
def test_history_is_append_only_even_for_the_superuser(till: Till, change: str) -> None:
    till.spend("1")
    till.world.execute("select private.audit(%s, 'quota_changed')", till.account)
    with pytest.raises(psycopg.Error) as caught:
        till.world.execute(change)
    assert caught.value.sqlstate == "PT403"
    assert len(till.entries()) == 1


def test_the_erase_flag_frees_only_its_own_company(till: Till, open_till: OpenTill) -> None:
    other = open_till()
    till.spend("1")
    other.spend("1")
    with till.world.admin.transaction():
        till.world.execute("select set_config('clipdesk.erasing', %s, true)", str(till.account))
        till.world.execute("delete from public.cost_entries where account_id = %s", till.account)
    assert (len(till.entries()), len(other.entries())) == (0, 1)
    with pytest.raises(psycopg.Error):
        other.world.execute("delete from public.cost_entries where account_id = %s", other.account)


# Rebuild ----------------------------------------------------------------------------------------------------


def test_a_rebuild_restores_damaged_sums(open_till: OpenTill) -> None:
    till = open_till("20")
    beside = till.beside()
    till.settle(till.hold("1"), item("3"), entry(units={"characters": 10}))
    beside.spend("2")
    till.hold("4")
    sums = ("quota_counters", "profile_monthly_costs", "cost_daily")
    before = [sorted(map(str, till.world.rows(f"select * from public.{table}"))) for table in sums]
    for damage in (
        "update public.quota_counters set settled_usd = 99, held_usd = 99, overrun_usd = 99 where account_id = %s",
        "delete from public.quota_counters where account_id = %s",
        "update public.profile_monthly_costs set total_cost_usd = 0, entries = 0 where account_id = %s",
        "delete from public.profile_monthly_costs where account_id = %s",
        "update public.cost_daily set total_cost_usd = 0, entries = 9 where account_id = %s",
        "update public.cost_daily set operation = 'lost' where account_id = %s and model = 'premium'",
    ):
        till.world.execute(damage, till.account)
        rebuild(till)
        after = [sorted(map(str, till.world.rows(f"select * from public.{table}"))) for table in sums]
        assert after == before, damage
    assert till.differences() == []


def test_a_rebuild_touches_no_other_month_or_company(till: Till, open_till: OpenTill) -> None:
    other = open_till()
    other.spend("1")
    with till.world.at(datetime(2026, 1, 15, tzinfo=UTC)):
        till.spend("1")
    wrong = "update public.quota_counters set settled_usd = 99 where account_id = any (%s)"
    till.world.execute(wrong, [till.account, other.account])
    till.spend("1")
    rebuild(till)
    assert (till.counter()[0], till.counter(JANUARY)[0], other.counter()[0]) == (1, 99, 99)


def test_what_comes_after_a_rebuild_that_found_nothing_is_counted(till: Till) -> None:
    request = till.hold("2")
    till.release(request)
    rebuild(till)
    till.settle(request, item("1"))
    assert till.counter() == till.company_counter() == (1, 0, 1)


def test_sums_are_right_at_every_instant_while_writers_and_rebuilds_run(open_till: OpenTill) -> None:
    till = open_till()
    tills = [till, till.beside(), till.beside()]
    done = threading.Event()

    def rebuild_and_look() -> list[Any]:
        seen: list[Any] = []
        while not done.is_set():
            rebuild(till)
            seen += till.differences()
        return seen

    def trade(one: Till) -> None:
        for place in range(12):
            request = one.hold("1")
            one.settle(request, item("0.3"), final=False)
            one.release(request) if place % 3 else one.settle(request, item("0.9"))

    with ThreadPoolExecutor(4) as threads:
        looking = threads.submit(rebuild_and_look)
        with ExitStack() as stack:
            stack.callback(done.set)
            list(threads.map(trade, tills))
        assert looking.result(timeout=20) == []
    assert till.differences() == []
    assert till.company_counter()[:2] == (sum(len(one.entries()) * D("0.3") for one in tills) + D("0.6") * 12, 0)


def rebuild(till: Till) -> None:
    month = till.world.value("select private.month_of(private.utc_now())")
    till.worker.call("rebuild_cost_rollups", p_account_id=till.account, p_month=month)


def test_check_money_finds_every_kind_of_damage(till: Till) -> None:
    till.spend("1")
    damages = {
        "settled": "update public.quota_counters set settled_usd = 2 where scope_id = %s",
        "held": "update public.quota_counters set held_usd = 2 where scope_id = %s",
        "monthly sum": "update public.profile_monthly_costs set total_cost_usd = 2 where profile_id = %s",
        "daily sum": "update public.cost_daily set total_cost_usd = 2 where profile_id = %s",
    }
    for what, damage in damages.items():
        till.world.execute(damage, till.store)
        assert {row["what"] for row in till.differences() if row["scope_id"] == till.store} == {what}
        rebuild(till)
    assert till.differences() == []


# Enqueueing -------------------------------------------------------------------------------------------------


@pytest.fixture
def manager(till: Till) -> UUID:
    return till.world.person(till.account, "manager", till.store)


def enqueue(till: Till, person: UUID, job_id: UUID | None = None, **values: Any) -> dict[str, Any]:
    answer: dict[str, Any] = till.world.as_person(person).call(
        "enqueue_speech", p_job_id=job_id or uuid4(), p_profile_id=till.store, p_speech=speech(**values)
    )
    return answer


def job(till: Till, job_id: str | UUID) -> dict[str, Any]:
    (row,) = till.world.rows("select * from public.jobs where id = %s", job_id)
    return row


def test_enqueueing_prices_and_holds_in_one_go(till: Till, manager: UUID) -> None:
    answer = enqueue(till, manager, text="  " + "x" * 1000 + " ")
    assert answer["left"] == "9.700000"
    (hold,) = till.world.rows("select * from public.cost_holds where profile_id = %s", till.store)
    assert (hold["estimate_usd"], hold["user_id"], str(hold["job_id"])) == (D("0.3"), manager, answer["job_id"])
    made = job(till, answer["job_id"])
    assert (made["status"], made["created_by"], made["request_id"]) == ("pending", manager, hold["request_id"])


def test_the_same_order_again_is_the_same_job(till: Till, manager: UUID) -> None:
    name = uuid4()
    enqueue(till, manager, name)
    assert enqueue(till, manager, name)["job_id"] == str(name)
    assert enqueue(till, manager)["job_id"] == str(name)  # another id, the same words while they are under way
    assert enqueue(till, manager, text=" Fresh bread at six. ")["job_id"] == str(name)
    assert till.counter()[1] == D("0.0057")
    assert till.world.value("select count(*) from public.jobs where profile_id = %s", till.store) == 1


def test_other_words_under_the_same_id_are_refused(till: Till, manager: UUID) -> None:
    name = uuid4()
    enqueue(till, manager, name)
    with pytest.raises(Conflict):
        enqueue(till, manager, name, text="Stale bread at seven.")
    beside = till.beside()
    colleague = till.world.person(till.account, "manager", beside.store)
    with pytest.raises(Conflict):
        enqueue(beside, colleague, name)


@pytest.mark.parametrize(
    "other", [{"voice": "onyx"}, {"format": "wav"}, {"settings": {"speed": 1.1}}, {"text": "Fresh bread at six!"}]
)
def test_another_voice_format_speed_or_text_is_another_job(till: Till, manager: UUID, other: dict[str, Any]) -> None:
    assert enqueue(till, manager)["job_id"] != enqueue(till, manager, **other)["job_id"]


def test_the_same_words_may_be_ordered_again_once_the_job_has_ended(till: Till, manager: UUID) -> None:
    first = enqueue(till, manager)["job_id"]
    till.world.as_person(manager).call("cancel_job", p_job_id=first)
    assert enqueue(till, manager)["job_id"] != first


@pytest.mark.parametrize("text", ["", "   ", "x" * 40001])
def test_text_has_1_to_40000_characters(till: Till, manager: UUID, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        enqueue(till, manager, text=text)
    assert caught.value.field == "text"
    assert till.world.value("select count(*) from public.jobs where profile_id = %s", till.store) == 0


@pytest.mark.parametrize("broken", [{"format": "exe"}, {"format": None}, {"voice": None}, {"settings": None}])
def test_an_order_that_could_not_be_stored_is_refused(till: Till, manager: UUID, broken: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        enqueue(till, manager, **broken)
    assert till.counter() == (0, 0, 0)


def test_characters_are_code_points(till: Till, manager: UUID) -> None:
    enqueue(till, manager, text="🥐" * 100)
    assert till.counter()[1] == D("0.03")


def test_a_voice_without_a_price_is_refused_before_anything_is_made(till: Till, manager: UUID) -> None:
    for order in ({"model": "unpriced"}, {"provider": "edge"}, {"model": None}):
        with pytest.raises(PriceMissing):
            enqueue(till, manager, **order)
    for provider in ("elevenlabs", "none", None):
        with pytest.raises(Conflict, match="not connected"):
            enqueue(till, manager, provider=provider)
    assert till.world.value("select count(*) from public.jobs where profile_id = %s", till.store) == 0


def test_a_refused_order_makes_no_job(till: Till, manager: UUID) -> None:
    till.spend("9.99")
    told = refusal(lambda: enqueue(till, manager, text="x" * 1000))
    assert (told.estimate, told.shortfall) == (D("0.3"), D("0.29"))
    assert till.world.value("select count(*) from public.jobs where profile_id = %s", till.store) == 0


def test_projects_and_clips_must_be_the_store_s_own(till: Till, manager: UUID) -> None:
    beside = till.beside()
    own, theirs = till.world.project(till.store), till.world.project(beside.store)
    clips = {store: till.world.clip(store, project) for store, project in ((till.store, own), (beside.store, theirs))}
    for wrong in ({"project_id": str(theirs)}, {"project_id": str(uuid4())}):
        with pytest.raises(NotFound, match="Project not found"):
            enqueue(till, manager, **wrong)
    for wrong in ({"clip_id": str(clips[beside.store])}, {"clip_id": str(uuid4())}):
        with pytest.raises(NotFound, match="Clip not found"):
            enqueue(till, manager, **wrong)
    with pytest.raises(InvalidInput):
        enqueue(till, manager, clip_id="not an id")
    assert enqueue(till, manager, project_id=str(own), clip_id=str(clips[till.store]))["left"] is not None


def test_suspended_archived_and_foreign_stores_take_no_orders(till: Till, manager: UUID) -> None:
    world = till.world
    world.execute("update public.profiles set suspended_at = now() where id = %s", till.store)
    with pytest.raises(StoreSuspended):
        enqueue(till, manager)
    world.execute("update public.profiles set suspended_at = null, archived_at = now() where id = %s", till.store)
    with pytest.raises(NotFound):
        enqueue(till, manager)
    with pytest.raises(NotFound):
        enqueue(till.beside(), manager)
    with pytest.raises(NotAllowed):
        enqueue(till.beside(), world.person(till.account, "finance"))


def test_finished_speech_is_booked_and_kept_once(till: Till, manager: UUID) -> None:
    order = enqueue(till, manager, text="x" * 150)
    token = claim(till, order["job_id"])["attempt_token"]
    bought = bidder.buy(till.worker, order["job_id"], token)
    saved = {"id": str(uuid4()), "media_path": f"{uuid4()}.mp3", "duration_seconds": "1.5", "bytes": 10}
    finish = {"p_job_id": order["job_id"], "p_attempt_token": token, "p_speech": saved}
    till.worker.call("save_speech", **finish)
    with pytest.raises(Conflict):
        till.worker.call("save_speech", **finish)
    (row,) = till.entries()
    assert (str(row["id"]), row["cost_usd"], row["user_id"]) == (bought, D("0.045"), manager)
    (asset,) = till.world.rows("select * from public.speech_assets where job_id = %s", order["job_id"])
    assert (str(asset["id"]), asset["cost_usd"], asset["characters"]) == (saved["id"], D("0.045"), 150)
    preview = "select details ->> 'preview' from public.cost_entry_details where entry_id = %s"
    assert till.world.value(preview, row["id"]) == "x" * 100 + "..."
    assert (till.counter(), till.state(UUID(order["job_id"]))) == ((D("0.045"), 0, 0), "settled")


def claim(till: Till, job_id: str) -> dict[str, Any]:
    """Take the jobs of the database until this one comes."""
    while True:
        claimed: dict[str, Any] = till.worker.call("claim_job", p_worker="test", p_kinds=["speech"], p_lease_seconds=60)
        if claimed["id"] == job_id:
            return claimed


# What people do with a held job -----------------------------------------------------------------------------


def test_cancelling_a_pending_job_releases_its_money(till: Till, manager: UUID) -> None:
    order = enqueue(till, manager)
    assert till.world.as_person(manager).call("cancel_job", p_job_id=order["job_id"]) == "cancelled"
    assert (till.counter(), till.state(UUID(order["job_id"]))) == ((0, 0, 0), "released")
    with pytest.raises(Conflict, match="already ended"):
        till.world.as_person(manager).call("cancel_job", p_job_id=order["job_id"])


def test_cancelling_a_running_job_keeps_the_hold_until_the_worker_answers(till: Till, manager: UUID) -> None:
    order = enqueue(till, manager)
    claimed = claim(till, order["job_id"])
    assert till.world.as_person(manager).call("cancel_job", p_job_id=order["job_id"]) == "stopping"
    assert till.counter()[1] > 0
    token = {"p_job_id": order["job_id"], "p_attempt_token": claimed["attempt_token"]}
    assert till.worker.call("heartbeat_job", **token, p_lease_seconds=60) is True
    assert till.worker.call("fail_job", **token, p_error="Stopped.", p_retry_seconds=1) == "cancelled"
    assert till.counter() == (0, 0, 0)


def test_a_retry_holds_anew_under_a_new_request(till: Till, manager: UUID) -> None:
    order = enqueue(till, manager)
    person = till.world.as_person(manager)
    with pytest.raises(Conflict, match="failed or cancelled"):
        person.call("retry_job", p_job_id=order["job_id"])
    person.call("cancel_job", p_job_id=order["job_id"])
    person.call("retry_job", p_job_id=order["job_id"])
    retried = job(till, order["job_id"])
    assert (retried["status"], till.counter()) == ("pending", (0, D("0.0057"), 0))
    assert str(retried["request_id"]) != order["job_id"]
    assert till.state(retried["request_id"]) == "reserved"


def test_a_retry_that_the_quota_does_not_cover_changes_nothing(till: Till, manager: UUID) -> None:
    order = enqueue(till, manager)
    person = till.world.as_person(manager)
    person.call("cancel_job", p_job_id=order["job_id"])
    till.spend("10")
    refusal(lambda: person.call("retry_job", p_job_id=order["job_id"]))
    assert job(till, order["job_id"])["status"] == "cancelled"


def test_a_retry_of_what_was_ordered_again_points_to_the_other_job(till: Till, manager: UUID) -> None:
    order = enqueue(till, manager)
    person = till.world.as_person(manager)
    person.call("cancel_job", p_job_id=order["job_id"])
    enqueue(till, manager)
    with pytest.raises(Conflict, match="ordered again meanwhile"):
        person.call("retry_job", p_job_id=order["job_id"])
    assert till.counter()[1] == D("0.0057")


def test_a_failed_attempt_keeps_the_hold_for_the_next_and_the_last_releases_it(till: Till, manager: UUID) -> None:
    order = enqueue(till, manager)
    for outcome, held in (("pending", D("0.0057")), ("pending", D("0.0057")), ("failed", 0)):
        token = claim(till, order["job_id"])["attempt_token"]
        fail = {"p_job_id": order["job_id"], "p_attempt_token": token, "p_error": "No voice.", "p_retry_seconds": 0}
        assert till.worker.call("fail_job", **fail) == outcome
        assert till.counter()[1] == held
    assert till.differences() == []


def test_a_job_whose_worker_vanished_for_good_is_closed_and_its_money_released(till: Till, manager: UUID) -> None:
    order = enqueue(till, manager)
    till.world.execute(
        "update public.jobs set status = 'running', attempt = max_attempts, attempt_token = gen_random_uuid(),"
        " lease_until = now() - interval '1 s' where id = %s",
        order["job_id"],
    )
    till.worker.call("claim_job", p_worker="reaper", p_kinds=["nothing"], p_lease_seconds=1)
    assert (job(till, order["job_id"])["status"], till.counter()) == ("failed", (0, 0, 0))


# Later steps ------------------------------------------------------------------------------------------------


def test_a_later_step_is_priced_and_held_for_the_job_s_store_and_person(till: Till, manager: UUID) -> None:
    order = enqueue(till, manager)
    step = uuid4()
    values = {"p_request_id": step, "p_job_id": order["job_id"], "p_provider": "practice", "p_model": "premium"}
    assert till.worker.call("hold_step", **values, p_units={"characters": 1000}) == D("9.6943")
    (hold,) = till.world.rows("select * from public.cost_holds where request_id = %s", step)
    assert (hold["profile_id"], hold["user_id"], hold["service"]) == (till.store, manager, "practice")
    with pytest.raises(Conflict):
        till.worker.call("hold_step", **values, p_units={"characters": 1001})
    with pytest.raises(PriceMissing):
        till.worker.call("hold_step", **(values | {"p_model": "none"}), p_units={"characters": 1})
    with pytest.raises(NotFound, match="Job not found"):
        till.worker.call("hold_step", **(values | {"p_job_id": uuid4()}), p_units={"characters": 1})
    till.world.as_person(manager).call("cancel_job", p_job_id=order["job_id"])
    assert till.counter() == (0, 0, 0)


# Quotas -----------------------------------------------------------------------------------------------------


def set_quota(till: Till, person: UUID, usd: Any, *, company: bool = False, reason: str | None = "Season") -> None:
    till.world.as_person(person).call(
        "set_quota", p_account_id=till.account, p_profile_id=None if company else till.store, p_quota_usd=usd,
        p_reason=reason,
    )  # fmt: skip


@pytest.fixture
def boss(till: Till) -> UUID:
    return till.world.person(till.account, "admin", name="Boss")


def test_a_new_quota_counts_at_once_and_granted_holds_stay(till: Till, boss: UUID) -> None:
    till.hold("8")
    set_quota(till, boss, D("5"))
    assert refusal(lambda: till.ask("0.01")).monthly_quota == 5
    assert till.counter()[1] == 8
    set_quota(till, boss, D("8.01"))
    assert till.ask("0.01") == 0
    set_quota(till, boss, D("0"))
    assert till.ask("500") is None
    set_quota(till, boss, D("9"), company=True)
    assert refusal(lambda: till.ask("1")).scope == "company"


def test_a_change_says_who_why_before_and_after(till: Till, boss: UUID) -> None:
    set_quota(till, boss, D("12.50"), reason="  More flyers  ")
    (change,) = till.world.rows("select * from public.quota_changes where account_id = %s", till.account)
    assert (change["before_usd"], change["after_usd"], change["reason"]) == (10, D("12.5"), "More flyers")
    assert (change["changed_by"], change["profile_id"]) == (boss, till.store)
    (logged,) = till.world.rows("select * from public.audit_log where account_id = %s", till.account)
    assert (logged["action"], logged["person_name"], logged["reason"]) == ("quota_changed", "Boss", "More flyers")
    assert (logged["before"], logged["after"]) == ({"monthly_quota_usd": "10.00"}, {"monthly_quota_usd": "12.50"})


@pytest.mark.parametrize(
    ("usd", "reason", "field"),
    [
        (D("-0.01"), "x", "quota"), (D("0.001"), "x", "quota"), (None, "x", "quota"), (D("NaN"), "x", "quota"),
        (D("1e9"), "x", "quota"), (D("Infinity"), "x", "quota"), (D("5"), "  ", "reason"), (D("5"), None, "reason"),
    ],
)  # fmt: skip
def test_a_wrong_quota_is_refused_beside_its_field(
    till: Till, boss: UUID, usd: Decimal | None, reason: str | None, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        set_quota(till, boss, usd, reason=reason)
    assert caught.value.field == field


def test_only_an_admin_of_the_company_sets_a_quota(till: Till, manager: UUID, boss: UUID, open_till: OpenTill) -> None:
    other = open_till("3")
    for person, kind in (
        (manager, NotAllowed),
        (till.world.person(till.account, "finance"), NotAllowed),
        (till.world.person(other.account, "admin"), NotFound),
        (till.world.person(None), NotFound),
    ):
        with pytest.raises(AppError) as caught:
            set_quota(till, person, D("99"))
        assert type(caught.value) is kind
    with pytest.raises(NotFound):
        till.world.as_person(boss).call(
            "set_quota", p_account_id=till.account, p_profile_id=other.store, p_quota_usd=D(9), p_reason="x"
        )
    quotas = "select monthly_quota_usd from public.profiles where id = any (%s) order by 1"
    assert [row["monthly_quota_usd"] for row in till.world.rows(quotas, [till.store, other.store])] == [3, 10]


def test_monthly_cost_is_what_one_may_see(till: Till, manager: UUID, world: World) -> None:
    till.spend("1.25")
    today = datetime.now(UTC).date()

    def asked_by(person: UUID) -> Decimal:
        answer: Decimal = world.as_person(person).call("monthly_cost", p_profile_id=till.store, p_month=today)
        return answer

    assert (asked_by(manager), asked_by(world.person(till.account, "finance"))) == (D("1.25"), D("1.25"))
    for other in (world.person(till.account, "manager"), world.person(None)):
        with pytest.raises(NotFound):
            asked_by(other)
