"""The forecast of the send budget, and that the publisher keeps to it."""

from datetime import datetime, timedelta

import pytest

from services.publishing.budget import Budget
from tests.builders import World
from tests.publishing.press import START, Press, later

AT = START
WINDOW = timedelta(seconds=3602)


def forecast(
    world: World, budget: Budget, place: int, wanted_at: datetime | None = None, at: datetime = AT
) -> datetime:
    """When the post of that place is handed over."""
    row = "jsonb_populate_record(null::private.send_budgets, %s::jsonb)"
    found = world.value(
        f"select private.handed_over({row}, %s, %s, %s)", budget.model_dump_json(), place, wanted_at, at
    )
    assert isinstance(found, datetime)
    return found


@pytest.mark.parametrize(
    ("budget", "place", "expected"),
    [
        (Budget(), 1, AT),
        (Budget(), 81, AT),
        (Budget(), 82, AT + WINDOW),
        (Budget(), 162, AT + WINDOW),
        (Budget(), 300, AT + 3 * WINDOW),
        (Budget(used=81, window_ends=AT + timedelta(minutes=20)), 1, AT + timedelta(minutes=20)),
        (Budget(used=50, window_ends=AT + timedelta(minutes=20)), 31, AT),
        (Budget(used=50, window_ends=AT + timedelta(minutes=20)), 113, AT + timedelta(minutes=20) + WINDOW),
        (Budget(used=90, window_ends=AT - timedelta(seconds=1)), 81, AT),
        (Budget(blocked_until=AT + timedelta(minutes=50)), 81, AT + timedelta(minutes=50)),
        (Budget(blocked_until=AT + timedelta(minutes=50)), 82, AT + timedelta(minutes=50) + WINDOW),
        (Budget(allowance=1), 3, AT + 2 * WINDOW),
    ],
)
def test_when_the_last_is_handed_over(shared_world: World, budget: Budget, place: int, expected: datetime) -> None:
    assert forecast(shared_world, budget, place) == expected


def test_an_organization_that_nobody_has_asked_yet_takes_ninety(shared_world: World) -> None:
    unknown = "select private.handed_over(null::private.send_budgets, %s, null, %s)"
    assert [shared_world.value(unknown, place, AT) for place in (81, 82)] == [AT, AT + WINDOW]


def test_what_is_wanted_within_the_window_may_take_of_the_reserve(shared_world: World) -> None:
    budget = Budget(used=85, window_ends=AT + timedelta(minutes=20))
    assert forecast(shared_world, budget, 1, AT + timedelta(minutes=10)) == AT
    assert forecast(shared_world, budget, 1, AT + timedelta(hours=10)) == AT + timedelta(minutes=20)


def test_what_is_left_of_a_window() -> None:
    open_window = Budget(used=30, window_ends=AT + timedelta(minutes=1))
    assert (open_window.left(AT), open_window.left(AT + timedelta(minutes=2))) == (60, 90)
    assert Budget(blocked_until=AT + timedelta(minutes=1)).left(AT) == 0


def budget_of(press: Press, organization: str) -> Budget:
    (row,) = press.world.rows("select * from private.send_budgets where organization = %s", organization)
    return Budget.model_validate(row)


def handed_over_at(press: Press, bundles: list[object]) -> list[datetime]:
    rows = press.world.rows("select sent_at from public.bundles where id = any (%s) order by sent_at", bundles)
    return [row["sent_at"] for row in rows]


@pytest.mark.parametrize(("moments", "limit"), [(60, 18), pytest.param(300, 90, marks=pytest.mark.full)])
def test_moments_for_more_than_three_hours_of_requests(press: Press, moments: int, limit: int) -> None:
    store = press.open(limit=limit)
    bundles = [press.order(store, later(hours=6, minutes=number)) for number in range(moments)]
    press.tick()
    first = press.posted()
    assert first == limit - limit // 10, "a tenth is kept for what is urgent"
    waiting = budget_of(press, press.bundle(bundles[0])["organization"])
    expected = forecast(press.world, waiting, moments - first, at=press.now)
    for hour in (1, 2, 3):
        press.run(later(hours=hour, seconds=-30), step=900)
        press.run(later(hours=hour, seconds=60), step=10)
    assert press.posted() == moments
    assert abs(handed_over_at(press, bundles)[-1] - expected) < timedelta(minutes=1)
    throttled = press.world.value("select sum(refusals) from private.send_budgets where updated_at >= %s", START)
    assert throttled == 0
    press.run(later(hours=6, minutes=moments + 10), step=300)
    assert len(press.fake.live()) == 3 * moments
    states = press.world.rows("select distinct state from public.publications where profile_id = %s", store.store)
    assert states == [{"state": "published"}]


def test_another_client_that_eats_half_of_it_costs_one_refusal_at_most(
    press: Press, caplog: pytest.LogCaptureFixture
) -> None:
    store = press.open()
    bundles = [press.order(store, later(hours=8, minutes=number)) for number in range(120)]
    publisher = press.publisher()
    press.fake.another_client(50, press.owner(store))
    press.tick(publisher)
    first = press.posted()
    assert first <= 41
    press.fake.another_client(40, press.owner(store))
    press.run(later(minutes=55), step=60)
    assert press.posted() <= first + 1
    press.run(later(hours=4), step=300)
    assert press.posted() >= 120
    refusals = budget_of(press, press.bundle(bundles[0])["organization"]).refusals
    assert refusals <= 1
    assert sum("takes no more requests" in record.message for record in caplog.records) == refusals


def test_after_a_refusal_nothing_is_sent_before_the_vendor_said_so(
    press: Press, caplog: pytest.LogCaptureFixture
) -> None:
    store = press.open()
    bundles = [press.order(store, later(hours=8, minutes=number)) for number in range(20)]
    press.fake.fault("blocked")
    press.tick()
    assert press.posted() == 1
    assert "takes no more requests for 3600 s" in caplog.text
    press.run(later(minutes=59), step=30)
    assert press.posted() == 1
    press.run(later(minutes=62), step=30)
    assert press.posted() == 21
    assert {state for bundle in bundles for state in press.states(bundle)} == {"scheduled"}
    assert budget_of(press, press.bundle(bundles[0])["organization"]).refusals == 1


def test_stores_on_one_key_take_turns(press: Press) -> None:
    first = press.open(limit=20)
    second = press.open(beside=first)
    many = [press.order(first, later(hours=8, minutes=number)) for number in range(40)]
    few = [press.order(second, later(hours=9, minutes=number)) for number in range(9)]
    press.tick()
    sent = [bundle for bundle in [*many, *few] if press.states(bundle) == {"scheduled"}]
    assert 18 <= len(sent) <= 20
    assert len([bundle for bundle in sent if bundle in few]) == 9


def test_what_is_urgent_goes_first_by_its_moment_and_uses_the_reserve(press: Press) -> None:
    store = press.open(limit=10)
    far = [press.order(store, later(hours=8, minutes=number)) for number in range(20)]
    press.tick()
    assert sum(press.states(bundle) == {"scheduled"} for bundle in far) in (9, 10)
    press.fake.advance(minutes=1)
    urgent = press.order(store, later(minutes=30))
    press.tick()
    assert press.states(urgent) == {"scheduled"}
