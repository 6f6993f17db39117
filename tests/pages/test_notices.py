"""The page Notices and the count of what is unread, as each role sees them."""

from typing import Any
from uuid import UUID

import pytest
import streamlit as st

from services import vault
from services.config import settings
from services.errors import Unavailable
from services.notices import inbox, webhook
from tests.builders import World
from tests.fakes.web import Reply
from tests.fakes.webhook import FakeReceiver
from tests.pages.conftest import half_a_minute_later, slug, texts
from ui import notices


@pytest.fixture
def shop(desk: World) -> tuple[UUID, UUID, UUID]:
    """Company, store, admin."""
    account = desk.company()
    return account, desk.store(account, "Quay", quota="10"), desk.person(account, "admin")


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the navigation calls the page, run by run."""
    seen: list[str] = []
    real = st.Page

    def page(path: str, *, title: str, **options: Any) -> Any:
        if path.endswith("notices.py"):
            seen.append(title)
        return real(path, title=title, **options)

    monkeypatch.setattr(st, "Page", page)
    return seen


def tell(desk: World, shop: tuple[UUID, UUID, UUID], text: str, kind: str = "job_failed", store: bool = True) -> None:
    inbox.publish(desk.as_worker(), shop[0], kind, text, profile_id=shop[1] if store else None)


def test_unread_notices_are_counted_and_read_one_by_one_or_all(desk: World, shop, open_page, titles: list[str]):
    for number in range(3):
        tell(desk, shop, f"Number {number} broke.")
    test = open_page(shop[2], "notices")
    assert not test.exception
    assert "Number 2 broke." in texts(test)
    assert titles[-1] == "Notices (3)"
    (newest, *_) = inbox.inbox(desk.as_person(shop[2]), shop[0])
    test.button(key=f"notice_read_{newest.id}").click().run()
    assert titles[-1] == "Notices (2)"
    test.button(key="notices_read").click().run()
    assert titles[-1] == "Notices"
    assert ":blue-badge[New]" not in texts(test)


def test_the_inbox_is_filtered_by_store_kind_and_what_is_unread(desk: World, shop, open_page):
    tell(desk, shop, "The job broke.")
    tell(desk, shop, "The quota is used.", "quota", store=False)
    test = open_page(shop[2], "notices")
    assert "The job broke." in texts(test)
    test.selectbox(key="notice_kind").set_value("quota").run()
    assert "The job broke." not in texts(test)
    assert "The quota is used." in texts(test)
    test = open_page(shop[2], "notices", slug(desk, shop[1]))
    assert "The quota is used." not in texts(test)
    assert "All my stores" in texts(test)
    test.button(key="notices_read").click().run()
    test.toggle(key="notice_unread").set_value(True).run()
    assert "No notice matches" in texts(test)


def test_a_notice_leads_to_what_it_is_about(desk: World, shop, open_page):
    desk.job("speech", shop[1], status="failed", input={"text": "x"}, error="It broke.")
    tell(desk, shop, "Speech failed: It broke.")
    test = open_page(shop[2], "notices")
    (notice,) = inbox.inbox(desk.as_person(shop[2]), shop[0])
    test.button(key=f"notice_open_{notice.id}").click().run()
    assert not test.exception
    assert test.title[0].value == "Jobs"
    assert test.session_state["profile"] == slug(desk, shop[1])
    assert inbox.unread_count(desk.as_person(shop[2]), shop[0]) == 0


@pytest.mark.parametrize(("role", "sees"), [("manager", False), ("finance", False), ("admin", True)])
def test_only_admins_see_how_notices_are_sent(desk: World, shop, open_page, role: str, sees: bool):
    test = open_page(desk.person(shop[0], role, shop[1]), "notices")
    assert not test.exception
    assert ("SMTP_HOST" in texts(test)) is sees


def test_another_s_notices_are_not_shown(desk: World, shop, open_page):
    tell(desk, shop, "The job broke.")
    stranger = desk.person(desk.company("Other"), "admin")
    assert "The job broke." not in texts(open_page(stranger, "notices"))
    other_store = desk.person(shop[0], "manager", desk.store(shop[0], "Hill"))
    test = open_page(other_store, "notices")
    assert "Here you will read it" in texts(test)


def test_text_is_shown_as_it_stands(desk: World, shop, open_page):
    text = "**bold** [link](https://evil.example) <script>"
    tell(desk, shop, text)
    test = open_page(shop[2], "notices")
    assert text in [shown.value for shown in test.text]


def test_wishes_are_saved(desk: World, shop, open_page):
    before = wishes(desk, shop)
    test = open_page(shop[2], "notices")
    assert test.checkbox(key=f"wishes_{shop[0]}_email_job_failed").value is False
    test.checkbox(key=f"wishes_{shop[0]}_email_job_failed").check()
    test.checkbox(key=f"wishes_{shop[0]}_inbox_quota").uncheck()
    next(button for button in test.button if button.label == "Save").click().run()
    assert not test.exception
    assert wishes(desk, shop) == before | {"job_failed": (True, True), "quota": (False, True)}


def wishes(desk: World, shop) -> dict[str, tuple[bool, bool]]:
    found = inbox.notice_settings(desk.as_person(shop[2]), shop[0]).kinds
    return {wish.kind: (wish.inbox, wish.email) for wish in found}


def test_an_outage_is_said(desk: World, shop, open_page, monkeypatch: pytest.MonkeyPatch, titles: list[str]):
    def away(*_: Any) -> Any:
        raise Unavailable

    monkeypatch.setattr(notices.inbox, "unread_count", away)
    monkeypatch.setattr(notices.inbox, "notice_settings", away)
    assert "The database does not answer" in texts(open_page(shop[2], "notices"))
    assert titles[-1] == "Notices"


# The webhook ------------------------------------------------------------------------------------------------


@pytest.fixture
def allowed(desk: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls to this machine are allowed, and a worker has noted the vault's key."""
    monkeypatch.setenv("ALLOW_PRIVATE_ADDRESSES", "true")
    settings.cache_clear()
    vault.note(desk.as_worker(), settings())


def typed(test: Any, address: str, button: str, secret: str = "") -> Any:
    next(one for one in test.text_input if one.label in ("Address", "New address")).set_value(address)
    next(one for one in test.text_input if one.label == "Signing secret").set_value(secret)
    return test.button(key=button).click().run()


def ticked(test: Any) -> Any:
    return next(box for box in test.checkbox if box.label.startswith("Remove the webhook")).check().run()


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize("change", ["save", "remove"])
def test_who_changes_the_webhook_second_is_told(desk: World, shop, open_page, change: str):
    door = desk.as_person(shop[2])
    values = {"secret": "x" * 20, "enabled": True}
    webhook.save(door, settings(), shop[0], address="https://127.0.0.1/first", version=None, **values)
    test = open_page(shop[2], "notices")
    if change == "remove":
        ticked(test)
    webhook.save(door, settings(), shop[0], address="https://127.0.0.2/theirs", version=1, **values)
    if change == "save":
        typed(test, "https://127.0.0.3/ours", "webhook_save", "y" * 20)
    else:
        test.button(key="webhook_remove").click().run()
    assert "Somebody saved this meanwhile" in texts(test)
    found = inbox.notice_settings(door, shop[0]).webhook
    assert (found.shown_address, found.version) == ("127.0.0.2", 2)


def test_another_company_s_wishes_are_its_own(desk: World, shop, open_page):
    other = desk.company("Other")
    desk.insert("public.members", account_id=other, person_id=shop[2], role="admin")
    test = open_page(shop[2], "notices")
    for account in (shop[0], other):
        test.selectbox(key="account").set_value(str(account)).run()
        box = test.checkbox(key=f"wishes_{account}_email_job_failed")
        assert box.value is False
        box.check().run()


@pytest.mark.usefixtures("allowed")
def test_a_webhook_is_saved_tested_and_removed(desk: World, shop, open_page, work):
    with FakeReceiver("x") as receiver:
        test = open_page(shop[2], "notices")
        test = typed(test, f"{receiver.url}/planted-token", "webhook_save")
        assert not test.exception
        (shown,) = [code.value for code in test.code]
        assert shown.startswith("whsec_")
        receiver.secret = shown
        test.button(key="webhook_noted").click().run()
        left = texts(test) + str([field.value for field in (*test.text_input, *test.code)])
        assert "planted-token" not in left
        assert shown not in left
        assert f"**127.0.0.1** · secret …{shown[-4:]} · on" in texts(test)
        test.button(key="webhook_test").click().run()
        assert "The worker sends the test" in texts(test)
        work(desk)
        test.run()
        assert "The webhook took the test." in texts(test)
        assert [event["kind"] for event in receiver.events.values()] == ["webhook_test"]
    ticked(test)
    test.button(key="webhook_remove").click().run()
    assert inbox.notice_settings(desk.as_person(shop[2]), shop[0]).webhook is None


@pytest.mark.usefixtures("allowed")
def test_what_is_typed_is_tried_before_it_is_saved(desk: World, shop, open_page):
    with FakeReceiver("x" * 20) as receiver:
        receiver.misbehave(Reply(500))
        test = typed(open_page(shop[2], "notices"), receiver.url, "webhook_test", "x" * 20)
        assert "The webhook answered 500." in texts(test)
    assert inbox.notice_settings(desk.as_person(shop[2]), shop[0]).webhook is None


def test_a_private_address_is_refused_beside_its_field(desk: World, shop, open_page):
    test = typed(open_page(shop[2], "notices"), "https://10.0.0.1/hook", "webhook_save")
    assert "private network" in texts(test)
    half_a_minute_later()
