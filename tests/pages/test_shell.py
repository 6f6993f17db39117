"""The shell: who gets in, which pages and stores they are offered, what the sidebar says of the quota."""

import pytest

from services import identity
from tests.builders import World
from tests.pages.conftest import slug, texts
from ui import session


def test_nobody_sees_only_the_way_to_sign_in(desk: World, open_page):
    test = open_page(None)
    assert "Your session has ended" in test.warning[0].value
    assert not test.title
    assert not test.selectbox


@pytest.mark.parametrize(("role", "offered"), [("admin", 2), ("manager", 1), ("finance", 2)])
def test_the_switcher_offers_own_stores_only(desk: World, open_page, role: str, offered: int):
    account = desk.company()
    mine, _ = desk.store(account, "Quay"), desk.store(account, "Hill")
    desk.store(desk.company("Other"), "Foreign")
    test = open_page(desk.person(account, role, mine))
    assert not test.exception
    assert len(test.selectbox(key="profile").options) == 1 + offered
    assert "Foreign" not in "".join(test.selectbox(key="profile").options)


@pytest.mark.parametrize(
    ("role", "page", "allowed"),
    [("manager", "voice", True), ("manager", "admin", False), ("finance", "voice", False), ("finance", "admin", False),
     ("finance", "jobs", True), ("admin", "admin", True)],
)  # fmt: skip
def test_other_roles_pages_say_not_allowed(desk: World, open_page, role: str, page: str, allowed: bool):
    account = desk.company()
    store = desk.store(account)
    test = open_page(desk.person(account, role, store), page)
    refused = any("Your role does not open this page" in error.value for error in test.error)
    assert refused is not allowed
    assert not test.exception


def test_the_quota_stands_beside_the_store(desk: World, open_page):
    account = desk.company()
    store = desk.store(account, quota="10")
    desk.spend(store, "9.25")
    test = open_page(desk.person(account, "manager", store), store=slug(desk, store))
    assert "92 % of the quota is used." in texts(test)


def test_a_used_up_quota_is_said(desk: World, open_page):
    account = desk.company()
    store = desk.store(account, quota="10")
    desk.spend(store, "10")
    test = open_page(desk.person(account, "manager", store), store=slug(desk, store))
    assert "This month's quota is used up." in texts(test)


def test_a_person_of_two_companies_chooses_one(desk: World, open_page):
    here, there = desk.company("Here"), desk.company("There")
    person = desk.person(here, "admin")
    desk.insert("public.members", account_id=there, person_id=person, role="finance")
    desk.store(there, "Abroad")
    test = open_page(person)
    test.selectbox(key="account").set_value(str(there)).run()
    assert any("Abroad" in option for option in test.selectbox(key="profile").options)
    assert "Finance" in texts(test)


def test_a_page_left_open_is_out_when_the_session_ends(desk: World, open_page):
    account = desk.company()
    test = open_page(desk.person(account, "admin"))
    identity.sign_out_everywhere(session.current())
    test.run()
    assert "Your session has ended" in test.warning[0].value


def test_an_archived_store_in_the_address_is_said(desk: World, open_page):
    account = desk.company()
    gone = desk.store(account, "Gone", code="7")
    admin = desk.person(account, "admin")
    test = open_page(admin, profile="7 · Gone")
    assert test.title[0].value == "Gone"
    desk.execute("update public.profiles set archived_at = now() where id = %s", gone)
    later = open_page(admin, profile="7 · Gone")
    assert not later.exception
    assert later.title[0].value == "All my stores"
    assert "not one of yours, or was archived" in texts(later)


def test_an_address_of_the_second_company_shows_all_of_it(desk: World, open_page):
    first, second = desk.company("Alpha"), desk.company("Zeta")
    desk.store(first, "Here")
    desk.store(second, "Abroad", code="900")
    person = desk.person(first, "admin")
    desk.insert("public.members", account_id=second, person_id=person, role="finance")
    test = open_page(person, account="Zeta", profile="900 · Abroad")
    assert test.title[0].value == "Costs of Abroad"
    assert "· Finance" in texts(test)
    assert "not one of yours" not in texts(test)


def test_names_are_shown_as_typed(desk: World, open_page):
    account = desk.company()
    store = desk.store(account, "[x](http://evil.example) $1 $2 :red[z]")
    test = open_page(desk.person(account, "admin", name="_A_"), store=slug(desk, store))
    assert test.title[0].value == r"\[x\](http\://evil.example) \$1 \$2 \:red\[z\]"
    assert r"\_A\_" in texts(test)
