"""Notices by way of a Supabase project: what people read, choose and set goes over REST."""

from collections.abc import Callable, Iterator

import pytest

from services import vault
from services.config import Settings
from services.database import embedded, supabase
from services.database.door import Database
from services.errors import Conflict, InvalidInput, NotAllowed, NotFound
from services.notices import inbox, webhook
from services.notices.inbox import Wish
from tests.cloud import fake_cloud, rest_door
from tests.notices.conftest import SECRET, Town

Doors = Callable[[str], Database]


@pytest.fixture
def door(server: embedded.Server, town: Town) -> Iterator[Doors]:
    """The door over REST of somebody of the town, by name."""
    with fake_cloud(server, town.world.admin.info.dbname) as project, supabase.open_http(20) as http:
        yield lambda name: rest_door(project, http, town.people[name])


def test_the_inbox_is_read_in_pages_with_the_unread_first(town: Town, door: Doors) -> None:
    for number in range(5):
        town.tell("quota", f"Number {number}", town.quay, facts={"percent": 90})
    admin = door("admin")
    newest = inbox.inbox(admin, town.account, limit=1)[0]
    assert (newest.text, newest.facts, newest.profile_id) == ("Number 4", {"percent": 90}, town.quay)
    assert inbox.mark_read(admin, town.account, [newest.id]) == 1
    assert inbox.unread_count(admin, town.account) == 4
    first = inbox.inbox(admin, town.account, limit=3)
    rest = inbox.inbox(admin, town.account, limit=3, after=first[-1].key)
    assert [notice.text[-1] for notice in first + rest] == ["3", "2", "1", "0", "4"]
    assert inbox.mark_read(admin, town.account) == 4
    assert inbox.inbox(admin, town.account, unread=True) == []


def test_the_inbox_is_filtered_by_kind_and_store_and_one_s_own(town: Town, door: Doors) -> None:
    town.tell("quota", store=town.quay)
    town.tell("credential_dead", store=town.hill)
    admin = door("admin")
    assert [notice.kind for notice in inbox.inbox(admin, town.account, kind="quota")] == ["quota"]
    assert [notice.kind for notice in inbox.inbox(admin, town.account, profile_id=town.hill)] == ["credential_dead"]
    assert [notice.kind for notice in inbox.inbox(door("manager of Quay"), town.account)] == ["quota"]
    inbox.mark_read(door("manager of Quay"), town.account)
    assert inbox.unread_count(admin, town.account) == 2


def test_what_is_over_is_seen_so(town: Town, door: Doors) -> None:
    town.tell(dedupe="dead:1")
    inbox.resolve(town.world.as_worker(), town.account, "dead:1")
    (notice,) = inbox.inbox(door("admin"), town.account)
    assert notice.resolved_at is not None
    assert notice.resolved_at >= notice.created_at


def test_wishes_are_kept_and_only_of_one_s_role(town: Town, door: Doors) -> None:
    admin, finance = door("admin"), door("finance")
    chosen = Wish(kind="quota", inbox=False, email=True)
    inbox.set_wish(admin, town.account, chosen)
    assert chosen in inbox.notice_settings(admin, town.account).kinds
    town.tell("quota")
    assert set(town.told()) == {"finance"}
    theirs = {wish.kind: wish for wish in inbox.notice_settings(finance, town.account).kinds}
    assert theirs["quota"] == Wish(kind="quota", inbox=True, email=True)
    assert "job_failed" not in theirs
    with pytest.raises(InvalidInput, match="not told of this"):
        inbox.set_wish(finance, town.account, Wish(kind="job_failed", inbox=True, email=True))


def test_a_webhook_is_saved_seen_tested_changed_and_removed(town: Town, door: Doors, keys: Settings) -> None:
    vault.note(town.world.as_worker(), keys)
    admin = door("admin")
    address = "https://hooks.example.com/clipdesk?token=abc"

    def save(version: int | None, secret: str = SECRET) -> object:
        return webhook.save(admin, keys, town.account, address=address, secret=secret, enabled=True, version=version)

    assert save(None) is None
    saved = inbox.notice_settings(admin, town.account).webhook
    assert saved is not None
    assert (saved.shown_address, saved.last4, saved.enabled) == ("hooks.example.com", SECRET[-4:], True)
    tested = webhook.try_saved(admin, town.account)
    assert webhook.test_state(admin, town.account, tested) is None
    with pytest.raises(Conflict):
        save(None)
    assert save(saved.version, secret="") is not None
    changed = inbox.notice_settings(admin, town.account).webhook
    assert changed is not None
    assert changed.version > saved.version
    webhook.remove(admin, town.account, changed.version)
    assert inbox.notice_settings(admin, town.account).webhook is None


def test_only_admins_set_a_webhook(town: Town, door: Doors, keys: Settings) -> None:
    vault.note(town.world.as_worker(), keys)
    finance = door("finance")
    found = inbox.notice_settings(finance, town.account)
    assert (found.email, found.webhook_state, found.webhook) == (None, None, None)
    values = {"address": "https://hooks.example.com/x", "secret": SECRET, "enabled": True}
    with pytest.raises((NotAllowed, NotFound)):
        webhook.save(finance, keys, town.account, **values, version=None)  # type: ignore[arg-type]  # one of each
