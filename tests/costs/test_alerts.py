"""Alerts: each threshold once a month, what ends them, who is told, spending that cannot be read, suspended stores."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.costs import alerts
from services.database.door import Database
from services.errors import AppError, Conflict, InvalidInput, NotAllowed, NotFound, StoreSuspended, TooManyTries
from services.media.folder import Folder
from services.notices import inbox
from services.notices.inbox import Notice, Wish
from tests import kill
from tests.builders import World
from tests.costs.till import Till, item

MIDDLE = datetime(2026, 5, 11, 12, tzinfo=UTC)  # far from the ends of a month
READABLE = "alter table public.quota_counters rename column {} to {}"


@dataclass
class Firm:
    """A company at a day in the middle of a month, with a store, and everybody who may be told."""

    till: Till
    people: dict[str, UUID]
    now: datetime = MIDDLE

    @property
    def world(self) -> World:
        return self.till.world

    @property
    def account(self) -> UUID:
        return self.till.account

    @property
    def admin(self) -> Database:
        return self.door("admin")

    def door(self, name: str) -> Database:
        return self.world.as_person(self.people[name])

    def look(self) -> str | None:
        """Returns why spending cannot be read."""
        hindrance: str | None = self.world.as_worker().call("look_at_alerts", p_account_id=self.account)["unreadable"]
        return hindrance

    def at(self, now: datetime) -> None:
        self.now = now
        self.world.set_clock(now)

    def tick(self) -> None:
        """A second later: notices are told apart by their time."""
        self.at(self.now + timedelta(seconds=1))

    def spend(self, usd: str, user: str | None = None) -> None:
        """Spend and look; for nobody, or for one of the people."""
        self.tick()
        request = self.till.hold(usd, p_user_id=self.people[user] if user else None)
        self.till.settle(request, item(usd))
        assert self.look() is None

    def limit(self, usd: str) -> None:
        """Set the store's quota, and look."""
        self.tick()
        self.admin.call("set_quota", p_account_id=self.account, p_profile_id=self.till.store,
                        p_quota_usd=Decimal(usd), p_reason="another budget")  # fmt: skip
        assert self.look() is None

    def rule(self, scope: alerts.Scope, target: UUID | None, measure: alerts.Measure, typed: str) -> UUID:
        rule = uuid4()
        alerts.add(self.admin, self.account, rule, scope, target, measure, typed, "test")
        return rule

    def only(self, *rules: tuple[Any, ...]) -> None:
        """Switch off what the company began with, and add these."""
        self.world.execute("delete from public.alert_rules where account_id = %s", self.account)
        for rule in rules:
            self.rule(*rule)

    def notices(self, name: str = "admin") -> list[Notice]:
        """In the person's inbox, the oldest first."""
        found = inbox.inbox(self.door(name), self.account, limit=200)
        return sorted(found, key=lambda notice: (notice.created_at, "resolved" not in notice.facts))

    def told(self, name: str = "admin") -> list[str]:
        """What was reached, and (in brackets) what is over."""
        return [threshold(notice) for notice in self.notices(name)]

    def suspend_after(self, days: int | None, *spared: UUID) -> None:
        self.tick()
        version = alerts.suspension(self.admin, self.account).version
        alerts.save_suspension(self.admin, self.account, days, spared, version, "our policy")

    def store(self) -> dict[str, Any]:
        return self.world.rows("select * from public.profiles where id = %s", self.till.store)[0]

    def log(self) -> list[tuple[str, str]]:
        query = "select action, person_name from public.audit_log where account_id = %s and action like '%%suspen%%'"
        return [(row["action"], row["person_name"]) for row in self.world.rows(query + " order by id", self.account)]


def threshold(notice: Notice) -> str:
    facts = notice.facts
    name = f"{facts['percent']} %" if "percent" in facts else f"${facts.get('amount_usd', '?')}"
    return f"({name})" if "resolved" in facts else name


@pytest.fixture(autouse=True)
def clock(world: World) -> None:
    world.set_clock(MIDDLE)


@pytest.fixture
def firm(till: Till) -> Firm:
    world, account = till.world, till.account
    people = {
        "admin": world.person(account, "admin", name="Ada"),
        "finance": world.person(account, "finance", name="Fay"),
        "manager": world.person(account, "manager", till.store, name="Mia"),
        "other manager": world.person(account, "manager", till.beside().store, name="Otto"),
    }
    return Firm(till, people)


# Thresholds -------------------------------------------------------------------------------------------------


def test_each_threshold_of_a_store_is_told_once(firm: Firm) -> None:
    for usd in ("4.999999", "0.000001", "2", "1", "1", "0.5", "0.5"):
        firm.spend(usd)
        firm.look()
    assert firm.told() == firm.told("manager") == firm.told("finance") == ["50 %", "80 %", "90 %", "100 %"]
    assert firm.told("other manager") == []
    first, *_, last = firm.notices("manager")
    assert first.text == (
        "50 % of the store's monthly quota of $10.00 is used: $5.00 are spent or held by work under way."
    )
    assert last.text.startswith("The store's monthly quota of $10.00 is used up: $10.00 are spent or held")
    assert {notice.profile_id for notice in firm.notices()} == {firm.till.store}


def test_a_hold_and_a_settlement_tell_nothing_by_themselves(firm: Firm) -> None:
    firm.till.spend("10")
    assert firm.told() == []


def test_of_several_at_once_the_highest_is_told(firm: Firm) -> None:
    firm.spend("9.5")
    assert firm.told() == ["90 %"]
    firm.spend("0.5")
    assert firm.told() == ["90 %", "100 %"]


def test_a_threshold_below_what_was_told_is_no_news(firm: Firm) -> None:
    firm.only(("store", None, "percent", "80"))
    firm.spend("8.5")
    firm.rule("store", None, "percent", "60")
    firm.rule("store", None, "usd", "8")
    firm.look()
    assert firm.told() == ["80 %"]
    firm.rule("store", None, "usd", "8.40")
    firm.tick()
    firm.look()
    assert firm.told() == ["80 %", "$8.40"]


def test_what_is_held_counts_and_giving_it_back_ends_nothing(firm: Firm) -> None:
    for _ in range(3):
        request = firm.till.hold("8")
        firm.look()
        firm.till.release(request)
        firm.look()
    assert firm.told() == ["80 %"]


def test_the_company_is_told_of_by_its_own_limit(firm: Firm) -> None:
    firm.world.execute("update public.accounts set monthly_quota_usd = 4 where id = %s", firm.account)
    firm.spend("2")
    assert firm.told() == firm.told("finance") == ["50 %"]
    assert firm.told("manager") == []
    assert firm.notices()[0].text.startswith("50 % of the company's monthly quota of $4.00 is used")


def test_without_a_limit_there_is_no_share_of_it(firm: Firm) -> None:
    firm.world.execute("update public.profiles set monthly_quota_usd = 0 where id = %s", firm.till.store)
    firm.spend("100000")
    assert firm.told() == []


def test_a_grant_raises_what_a_share_is_of(firm: Firm) -> None:
    firm.world.insert(
        "public.quota_grants", id=uuid4(), account_id=firm.account, profile_id=firm.till.store, amount_usd=10,
        valid_from=MIDDLE, valid_until=MIDDLE + timedelta(days=2), reason="fair", granted_by=firm.people["admin"],
    )  # fmt: skip
    firm.spend("9.9")
    assert firm.told() == []
    firm.spend("0.1")
    firm.at(MIDDLE + timedelta(days=3))
    firm.look()
    assert firm.told() == ["50 %", "100 %"], "the grant is over"


def test_an_overrun_is_told_as_anything_else_is(firm: Firm) -> None:
    firm.rule("store", None, "percent", "120 %")
    request = firm.till.hold("1")
    firm.till.settle(request, item("12.5"))
    firm.look()
    assert firm.told() == ["120 %"]
    assert firm.notices()[0].text.startswith("120 % of the store's monthly quota of $10.00 is used: $12.50 are")


def test_a_lowered_quota_is_told(firm: Firm) -> None:
    firm.spend("4")
    firm.limit("4")
    assert firm.told() == ["100 %"]


@pytest.mark.parametrize(
    ("scope", "readers"), [("company", {"admin", "finance"}), ("store", {"admin", "finance", "manager"})]
)
def test_an_amount_is_told_once(firm: Firm, scope: alerts.Scope, readers: set[str]) -> None:
    firm.only((scope, None, "usd", "$10.50"), (scope, None, "usd", "3"))
    firm.spend("2.999999")
    assert firm.told() == []
    for _ in range(2):
        firm.spend("0.000001")
    assert {name for name in firm.people if firm.told(name) == ["$3.00"]} == readers
    assert firm.notices()[0].text == (
        f"The {scope}'s spending this month has reached $3.00: $3.00 are spent or held by work under way."
    )


def test_a_rule_of_one_store_is_not_another_s(firm: Firm) -> None:
    firm.only(("store", firm.till.beside().store, "usd", "1"))
    firm.spend("5")
    assert firm.told() == []


def test_two_rules_of_the_same_threshold_tell_once(firm: Firm) -> None:
    firm.only(("store", None, "usd", "1"), ("store", firm.till.store, "usd", "1"))
    firm.spend("5")
    assert firm.told() == ["$1.00"]


def test_a_person_s_spending_is_told_to_them_and_to_admins_and_finance(firm: Firm) -> None:
    firm.only(("person", None, "usd", "2"), ("person", firm.people["manager"], "usd", "4"))
    for name, usd in (("manager", "2"), ("manager", "0.5"), ("admin", "1.9"), (None, "1")):
        firm.spend(usd, name)
    assert {name: firm.told(name) for name in firm.people} == {
        "admin": ["$2.00"], "finance": ["$2.00"], "manager": ["$2.00"], "other manager": [],
    }  # fmt: skip
    assert firm.notices()[0].text == "Mia's spending this month has reached $2.00: $2.00 are booked, in all stores."
    assert firm.notices("manager")[0].text.startswith("Your spending this month has reached $2.00")
    firm.spend("1.5", "manager")
    assert firm.told("manager") == ["$2.00", "$4.00"]
    firm.spend("0.1", "admin")
    assert firm.told() == ["$2.00", "$4.00", "$2.00"], "an admin's own is told once, not twice"


# What ends them ---------------------------------------------------------------------------------------------


def test_a_raised_quota_is_told_to_the_same_people_once_and_it_may_be_reached_again(firm: Firm) -> None:
    firm.spend("8")
    firm.spend("1")
    firm.limit("20")
    firm.look()
    assert firm.told() == firm.told("manager") == ["80 %", "90 %", "(80 %)"]
    *old, over = firm.notices("manager")
    assert all(notice.resolved_at for notice in old)
    assert over.text == (
        "The store's spending is below 80 % of the monthly quota again: the limit is $20.00 now, and $9.00 are spent "
        "or held by work under way."
    )
    firm.spend("7")
    assert firm.told()[3:] == ["80 %"]


def test_a_quota_raised_too_little_ends_what_is_no_longer_so(firm: Firm) -> None:
    firm.spend("9.5")
    firm.limit("11")
    assert firm.told() == ["90 %", "(90 %)"]
    firm.limit("12")
    firm.limit("10.5")
    assert firm.told() == ["90 %", "(90 %)", "90 %"]


def test_a_quota_taken_away_ends_it(firm: Firm) -> None:
    firm.spend("9")
    firm.limit("0")
    assert firm.notices()[-1].text.startswith("There is no limit to the store's spending any more")


def test_a_new_month_ends_everything_and_begins_anew(firm: Firm) -> None:
    firm.only(("store", None, "percent", "50"), ("store", None, "percent", "80"), ("person", None, "usd", "2"))
    firm.spend("8", "manager")
    firm.at(datetime(2026, 6, 1, tzinfo=UTC))
    firm.look()
    firm.look()
    assert sorted(firm.told("manager")) == sorted(["80 %", "$2.00", "(80 %)", "($2.00)"])
    texts = {notice.text for notice in firm.notices("manager")}
    assert "A new month has begun (UTC): your spending, which had reached $2.00, starts anew." in texts
    firm.spend("5")
    assert firm.told("finance")[-1] == "50 %"


def test_a_rule_switched_off_ends_quietly_and_is_told_again_when_it_is_on(firm: Firm) -> None:
    firm.only(("store", None, "usd", "1"))
    (rule,) = alerts.rules(firm.admin, firm.account)
    firm.spend("2")
    alerts.switch(firm.admin, rule.id, False, "too much")
    firm.look()
    assert firm.told() == ["$1.00"]
    assert firm.notices()[0].resolved_at
    alerts.switch(firm.admin, rule.id, True, "after all")
    firm.look()
    assert firm.told() == ["$1.00", "$1.00"]


# Who is told, and by what -----------------------------------------------------------------------------------


def deliveries(firm: Firm) -> list[UUID]:
    """Whom e-mails are for."""
    query = "select d.target from private.notice_deliveries d join public.notices n on n.id = d.notice_id"
    return [row["target"] for row in firm.world.rows(f"{query} where n.account_id = %s", firm.account)]


def test_it_comes_as_each_person_wishes(firm: Firm) -> None:
    inbox.set_wish(firm.door("manager"), firm.account, Wish(kind="quota", inbox=False, email=True))
    inbox.set_wish(firm.door("finance"), firm.account, Wish(kind="quota", inbox=True, email=False))
    firm.spend("5")
    assert set(deliveries(firm)) == {firm.people["manager"], firm.people["admin"]}
    assert (firm.told("manager"), firm.told("finance")) == ([], ["50 %"])


def test_managers_may_wish_to_hear_of_their_own_spending_only(firm: Firm) -> None:
    kinds = {wish.kind for wish in inbox.notice_settings(firm.door("manager"), firm.account).kinds}
    assert {"person_spending", "store_suspension"} <= kinds
    assert "spending_unreadable" not in kinds


def test_what_the_demo_spends_is_told_inside(firm: Firm) -> None:
    firm.world.execute("update public.accounts set is_demo = false where is_demo")
    firm.world.execute("update public.accounts set is_demo = true where id = %s", firm.account)
    firm.spend("5")
    firm.world.execute("update public.accounts set is_demo = false where is_demo")
    assert firm.told() == ["50 %"]
    assert deliveries(firm) == []


# Admins set them --------------------------------------------------------------------------------------------


def test_a_company_begins_with_four_shares_for_itself_and_every_store(firm: Firm) -> None:
    found = alerts.rules(firm.admin, firm.account)
    assert [(rule.scope, rule.percent) for rule in found] == [
        (scope, percent) for scope in ("company", "store") for percent in (50, 80, 90, 100)
    ]
    assert all(rule.enabled and rule.target_id is None for rule in found)


def test_who_may_read_and_change_them(firm: Firm) -> None:
    other = firm.till.beside().store
    firm.only(("company", None, "percent", "80"), ("store", None, "percent", "80"), ("person", None, "usd", "1"),
              ("store", firm.till.store, "usd", "1"), ("store", other, "usd", "1"))  # fmt: skip
    assert len(alerts.rules(firm.door("finance"), firm.account)) == 5
    seen = alerts.rules(firm.door("manager"), firm.account)
    assert [(rule.scope, rule.target_id) for rule in seen] == [("store", None), ("store", firm.till.store)]
    for name in ("finance", "manager"):
        door = firm.door(name)
        with pytest.raises(NotAllowed):
            alerts.add(door, firm.account, uuid4(), "store", None, "usd", "5", "x")
        with pytest.raises(NotAllowed):
            alerts.switch(door, seen[0].id, False, "x")
        with pytest.raises(NotAllowed):
            alerts.test(door, seen[0].id)
        with pytest.raises(NotAllowed):
            alerts.save_suspension(door, firm.account, 3, [], 1, "x")


@pytest.mark.parametrize("who", ["stranger", "foreign admin", "nobody"])
def test_others_find_nothing(firm: Firm, who: str) -> None:
    world = firm.world
    rule = alerts.rules(firm.admin, firm.account)[0].id
    people = {"stranger": None, "foreign admin": world.company("Other")}
    door = world.doors.anonymous() if who == "nobody" else world.as_person(world.person(people[who], "admin"))
    refusal = AppError if who == "nobody" else NotFound
    for change in (
        lambda: alerts.add(door, firm.account, uuid4(), "store", None, "usd", "5", "x"),
        lambda: alerts.switch(door, rule, False, "x"),
        lambda: alerts.test(door, rule),
        lambda: alerts.save_suspension(door, firm.account, 3, [], 1, "x"),
    ):
        with pytest.raises(refusal):
            change()
    if who != "nobody":
        assert alerts.rules(door, firm.account) == alerts.told(door, firm.account) == []


@pytest.mark.parametrize(
    ("measure", "typed"),
    [("percent", "0"), ("percent", "1000"), ("percent", "201"), ("percent", "-5"), ("percent", "8.5"), ("percent", "x"),
     ("percent", ""), ("usd", "0"), ("usd", "-1"), ("usd", "0.001"), ("usd", "12,50"), ("usd", "1e3"), ("usd", "NaN"),
     ("usd", "999999999"), ("usd", "lots"), ("usd", "")],
)  # fmt: skip
def test_what_is_no_threshold_is_refused_beside_its_field(firm: Firm, measure: alerts.Measure, typed: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        firm.rule("store", None, measure, typed)
    assert refused.value.field == "threshold"
    assert len(alerts.rules(firm.admin, firm.account)) == 8


@pytest.mark.parametrize(
    ("change", "error"),
    [({"p_amount_usd": Decimal("NaN")}, InvalidInput), ({"p_amount_usd": Decimal("Infinity")}, InvalidInput),
     ({"p_percent": 80}, InvalidInput), ({"p_amount_usd": None}, InvalidInput), ({"p_scope": "town"}, InvalidInput),
     ({"p_scope": "company", "p_target_id": uuid4()}, InvalidInput), ({"p_target_id": uuid4()}, NotFound),
     ({"p_scope": "person", "p_target_id": uuid4()}, NotFound), ({"p_reason": " "}, InvalidInput),
     ({"p_scope": "person", "p_amount_usd": None, "p_percent": 80}, InvalidInput)],
)  # fmt: skip
def test_sql_refuses_what_no_form_sends(firm: Firm, change: dict[str, Any], error: type[AppError]) -> None:
    good = {"p_id": uuid4(), "p_account_id": firm.account, "p_scope": "store", "p_target_id": None, "p_percent": None,
            "p_amount_usd": Decimal(5), "p_reason": "test"}  # fmt: skip
    with pytest.raises(error):
        firm.admin.call("add_alert_rule", **good | change)
    firm.admin.call("add_alert_rule", **good)
    firm.admin.call("add_alert_rule", **good)
    with pytest.raises(Conflict, match="such an alert already"):
        firm.admin.call("add_alert_rule", **good | {"p_id": uuid4()})


def test_changes_are_in_the_log_with_their_reasons(firm: Firm) -> None:
    rule = firm.rule("store", firm.till.store, "usd", "25")
    alerts.switch(firm.admin, rule, False, "quiet please")
    with pytest.raises(Conflict, match="meanwhile"):
        alerts.switch(firm.admin, rule, False, "quiet please")
    with pytest.raises(InvalidInput):
        alerts.switch(firm.admin, rule, True, " ")
    query = "select action, subject, reason, person_name from public.audit_log where account_id = %s order by id"
    assert [tuple(row.values()) for row in firm.world.rows(query, firm.account)] == [
        ("alert_added", "Quay: $25.00 a month", "test", "Ada"),
        ("alert_switched", "Quay: $25.00 a month", "quiet please", "Ada"),
    ]


def test_a_test_reaches_whoever_asks_and_nobody_else(firm: Firm) -> None:
    rule = alerts.rules(firm.admin, firm.account)[-1]
    inbox.set_wish(firm.admin, firm.account, Wish(kind="quota", inbox=True, email=False))
    firm.world.person(firm.account, "admin")
    assert alerts.test(firm.admin, rule.id) == alerts.Ways(inbox=True, email=False)
    (notice,) = firm.notices()
    assert notice.text == (
        "This is a test of the alert “Every store: 100 % of the monthly quota”. Nothing has happened."
    )
    query = "select count(*) from public.notice_readers where account_id = %s"
    assert firm.world.value(query, firm.account) == 1
    assert alerts.told(firm.admin, firm.account) == []
    with pytest.raises(TooManyTries):
        alerts.test(firm.admin, rule.id)


# Spending that cannot be read -------------------------------------------------------------------------------


@contextmanager
def unreadable(world: World) -> Iterator[None]:
    world.execute(READABLE.format("held_usd", "hidden_usd"))
    try:
        yield
    finally:
        world.execute(READABLE.format("hidden_usd", "held_usd"))


def test_that_spending_cannot_be_read_is_told_once_and_when_it_can_again(firm: Firm) -> None:
    with unreadable(firm.world):
        assert "held_usd" in (firm.look() or "")
        firm.look()
    assert [notice.kind for notice in firm.notices("finance")] == ["spending_unreadable"]
    assert firm.told("manager") == []
    firm.spend("5")
    kinds = [(notice.kind, notice.facts.get("resolved", False)) for notice in firm.notices()]
    assert kinds == [("spending_unreadable", False), ("spending_unreadable", True), ("quota", False)]
    assert firm.notices()[0].resolved_at
    with unreadable(firm.world):
        firm.look()
    assert [notice.resolved_at is None for notice in firm.notices() if "cannot" in notice.text] == [False, True]


def test_who_was_not_looked_at_for_ten_minutes_is_told_of_and_shown_as_such(firm: Firm) -> None:
    worker = firm.world.as_worker()
    firm.look()
    assert alerts.unread_since(firm.door("manager"), firm.account, MIDDLE + timedelta(minutes=10)) is None
    assert alerts.unread_since(firm.door("manager"), firm.account, MIDDLE + timedelta(minutes=11)) == MIDDLE
    firm.at(MIDDLE + timedelta(minutes=11))
    for _ in range(2):
        assert worker.call("tell_unread_spending") >= 1
    assert [notice.kind for notice in firm.notices()] == ["spending_unreadable"]
    firm.tick()
    firm.look()
    assert firm.notices()[0].resolved_at


def test_one_company_s_failure_is_not_another_s(firm: Firm, tmp_path: Path) -> None:
    """The job itself, over every company of the database."""
    other = Firm(Till.opened(firm.world, "10"), {})
    other.people["admin"] = firm.world.person(other.account, "admin")
    other.till.spend("5")
    firm.till.spend("5")
    broken = "check (scope_id <> '{}' or month < '2026-01-01') not valid"
    firm.world.execute(f"alter table private.open_alerts add constraint broken {broken.format(firm.till.store)}")
    try:
        firm.world.job("alerts")
        found = alerts.look(kill.claim(firm.world, Folder(tmp_path), "alerts"))
    finally:
        firm.world.execute("alter table private.open_alerts drop constraint broken")
    assert found["unread"] == 1
    assert [notice.kind for notice in firm.notices()] == ["spending_unreadable"]
    assert other.told() == ["50 %"]


def test_the_job_goes_on_until_all_are_told(firm: Firm, tmp_path: Path) -> None:
    """A look tells of a hundred; here are more, and each is over in the month after."""
    firm.only(("store", None, "percent", "80"))
    firm.world.execute(
        "with new as (insert into public.profiles (id, account_id, slug, code, name, monthly_quota_usd)"
        " select gen_random_uuid(), %s, 's-' || i, i::text, 'S', 10 from generate_series(1, 105) i returning *)"
        " insert into public.quota_counters (scope_id, month, account_id, settled_usd)"
        " select id, '2026-05-01', account_id, 9 from new",
        firm.account,
    )
    for month, told in ((MIDDLE, 105), (datetime(2026, 6, 2, tzinfo=UTC), 210)):
        firm.at(month)
        firm.world.job("alerts")
        alerts.look(kill.claim(firm.world, Folder(tmp_path), "alerts"))
        assert firm.world.value("select count(*) from public.notices where account_id = %s", firm.account) == told


# Stores that suspend themselves -----------------------------------------------------------------------------


def test_a_store_is_suspended_after_the_announced_days_and_opens_with_more_money(firm: Firm) -> None:
    firm.only()
    firm.suspend_after(3)
    firm.spend("10")
    firm.look()
    (warning,) = firm.notices("manager")
    assert "If it still is on 14 May 2026, 12:00 UTC, the store is suspended by itself" in warning.text
    firm.at(MIDDLE + timedelta(days=2, hours=23, minutes=59))
    firm.look()
    assert firm.store()["suspended_at"] is None
    firm.at(MIDDLE + timedelta(days=3, minutes=1))
    firm.look()
    firm.look()
    assert firm.store()["suspended_reason"] == (
        "The monthly quota of $10.00 is used up: $10.00 are spent. Suspended automatically."
    )
    assert len(firm.notices("manager")) == 2
    with pytest.raises(StoreSuspended):
        firm.till.hold("0")
    firm.limit("20")
    firm.look()
    assert firm.store()["suspended_at"] is None
    assert firm.notices("manager")[-1].text == "The store is open again. Its spending is below its limit again."
    assert len(firm.notices()) == 3
    assert firm.log()[1:] == [("store_suspended", "System"), ("suspension_lifted", "System")]


def test_a_new_month_opens_it(firm: Firm) -> None:
    firm.only()
    firm.suspend_after(0)
    firm.spend("10")
    assert firm.store()["suspended_at"], "without days of grace at once"
    assert len(firm.notices()) == 1, "and without an announcement"
    firm.at(datetime(2026, 6, 1, tzinfo=UTC))
    firm.look()
    assert firm.store()["suspended_at"] is None
    assert firm.notices()[-1].text == "The store is open again. A new month has begun (UTC)."


def test_it_is_off_until_an_admin_wants_it_and_spares_stores(firm: Firm) -> None:
    firm.only()
    firm.spend("10")
    assert firm.notices() == []
    firm.suspend_after(0, firm.till.store)
    firm.look()
    assert (firm.store()["suspended_at"], firm.notices()) == (None, [])


@pytest.mark.parametrize("change", ["off", "spared", "raised"])
def test_what_was_announced_is_called_off(firm: Firm, change: str) -> None:
    firm.only()
    firm.suspend_after(3)
    firm.spend("10")
    if change == "raised":
        firm.limit("11")
    else:
        firm.suspend_after(*((None,) if change == "off" else (3, firm.till.store)))
        firm.look()
    assert firm.notices("manager")[-1].text == "The store is not going to be suspended any more."
    firm.at(MIDDLE + timedelta(days=4))
    firm.look()
    assert firm.store()["suspended_at"] is None
    assert len(firm.notices("manager")) == 2


def test_nothing_is_announced_that_the_month_s_end_would_forestall(firm: Firm) -> None:
    firm.only()
    firm.suspend_after(30)
    firm.spend("10")
    assert firm.notices() == []


def test_an_admin_s_suspension_is_never_touched(firm: Firm) -> None:
    firm.only()
    firm.suspend_after(0)
    suspend = {"p_profile_id": firm.till.store, "p_suspended": True, "p_reason": "not paid"}
    firm.till.spend("10")
    firm.admin.call("suspend_store", **suspend)
    firm.look()
    firm.limit("20")
    assert firm.store()["suspended_reason"] == "not paid"
    assert firm.notices() == []


def test_an_admin_s_later_decision_stands(firm: Firm) -> None:
    firm.only()
    firm.suspend_after(0)
    firm.spend("10")
    lift = {"p_profile_id": firm.till.store, "p_suspended": False, "p_reason": "a fair"}
    firm.admin.call("suspend_store", **lift)
    firm.look()
    assert firm.store()["suspended_at"] is None, "not suspended again for the same money"
    firm.at(MIDDLE + timedelta(hours=1))
    firm.admin.call("suspend_store", **lift | {"p_suspended": True})
    firm.limit("20")
    assert firm.store()["suspended_reason"] == "a fair"


@pytest.mark.parametrize("days", [-1, 31])
def test_days_have_bounds(firm: Firm, days: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        firm.suspend_after(days)
    assert refused.value.field == "after_days"


def test_settings_are_saved_by_version_and_for_own_stores(firm: Firm) -> None:
    firm.suspend_after(3)
    with pytest.raises(Conflict):
        alerts.save_suspension(firm.admin, firm.account, 4, [], 1, "late")
    with pytest.raises(NotFound):
        firm.suspend_after(3, Till.opened(firm.world).store)
    with pytest.raises(InvalidInput):
        alerts.save_suspension(firm.admin, firm.account, 4, [], 2, " ")
    assert alerts.suspension(firm.door("finance"), firm.account).after_days == 3


# Many at once -----------------------------------------------------------------------------------------------


def at_once(firm: Firm, *work: Any, each: int = 8) -> None:
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(one) for _ in range(each) for one in work]:
            done.result(60)


def test_eight_who_look_at_once_tell_and_suspend_once(firm: Firm) -> None:
    firm.suspend_after(0)
    firm.till.spend("10")
    at_once(firm, firm.look)
    assert firm.told("manager") in (["100 %", "$?"], ["$?", "100 %"])
    assert firm.log()[1:] == [("store_suspended", "System")]


def test_looks_among_holds_and_settlements_tell_each_threshold_once(firm: Firm) -> None:
    firm.world.execute("update public.profiles set monthly_quota_usd = 2 where id = %s", firm.till.store)
    at_once(firm, firm.look, lambda: firm.till.spend("0.05"), each=40)
    firm.look()
    told = firm.told()
    assert "100 %" in told
    assert len(told) == len(set(told))
    assert firm.till.differences() == []


def test_a_quota_raised_while_the_store_is_being_suspended_leaves_it_open(firm: Firm) -> None:
    """Whichever comes first, without a deadlock that the door could not retry."""
    firm.suspend_after(0)
    firm.till.spend("10")
    for turn in range(5):
        firm.world.execute("update public.profiles set monthly_quota_usd = 10 where id = %s", firm.till.store)
        at_once(firm, firm.look, lambda turn=turn: firm.limit(str(20 + turn)), each=3)
        firm.look()
        assert firm.store()["suspended_at"] is None
    log = [action for action, _ in firm.log()[1:]]
    assert log == ["store_suspended", "suspension_lifted"] * (len(log) // 2), "each is lifted before the next"


def test_a_look_that_dies_leaves_nothing_and_the_next_tells(firm: Firm) -> None:
    firm.suspend_after(0)
    firm.till.spend("10")
    with firm.world.admin.transaction(force_rollback=True):
        firm.world.execute("select private.look_at_alerts(%s)", firm.account)
        assert firm.world.value("select count(*) from public.notices where account_id = %s", firm.account) == 2
    assert firm.told() == []
    firm.look()
    assert len(firm.told()) == 2
