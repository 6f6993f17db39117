"""The practice account is a vendor like any other, for the demo company alone, and nothing of it leaves here."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from services import credentials, vault
from services.config import Settings
from services.credentials import Opened
from services.errors import NotAllowed, PublishingLimited, PublishingMisconfigured, PublishingRefused
from services.media.folder import Folder
from services.publishing import connect, posts
from services.publishing.publisher import Publisher
from services.publishing.vendor import Entry, Vendor
from tests import kill
from tests.builders import World
from tests.jobs.fixtures import folder, shared_world, world  # noqa: F401 - pytest finds fixtures by their names here
from tests.publishing.shop import pin, ready_clip

# ruff: noqa: F811 - tests take fixtures by the names under which they are imported

CHANNELS = [
    {"id": f"practice-{network}", "name": "Demo", "identifier": network, "picture": None, "disabled": False,
     "profile": "demo"} for network in ("instagram", "tiktok")
]  # fmt: skip
NOW = datetime(2031, 11, 21, 12, tzinfo=UTC)  # what a person orders is compared with the real clock, too
DUE = NOW + timedelta(minutes=5)


class Demo:
    """A demo company with a practice account, as one store's calls meet it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.account = world.company("Demo")
        world.execute("update public.accounts set is_demo = true where id = %s", self.account)
        self.store = world.store(self.account)
        self.credential = practice_account(world, self.account)

    def opened(self, provider: Any = "postiz") -> Opened | None:
        return credentials.for_call(self.world.as_worker(), options(), self.account, self.store, provider)

    def vendor(self) -> Vendor:
        opened = self.opened()
        assert opened is not None
        return connect.vendor(self.world.as_worker(), options(), opened)


def options(**values: Any) -> Settings:
    return kill.options(**values)


def practice_account(world: World, account: UUID) -> UUID:
    credential_id = uuid4()
    world.insert(
        "public.profile_credentials", id=credential_id, account_id=account, provider="postiz", last4="", shared=True,
        practice=True, test_ok=True, facts={"channels": CHANNELS},
    )  # fmt: skip
    return credential_id


@pytest.fixture
def demo(world: World) -> Demo:
    return Demo(world)


def entry(channel: str = "practice-instagram", content: str = "Fresh bread.") -> Entry:
    return Entry(channel, channel.removeprefix("practice-"), content, [], {}, uuid4())


def test_a_demo_store_opens_its_practice_account_and_nothing_else(demo: Demo) -> None:
    opened = demo.opened()
    assert opened is not None
    assert (opened.practice, opened.credential_id, opened.key_id, opened.address) == (True, demo.credential, None, None)
    assert opened.key.get_secret_value() == ""
    assert connect.organization("pepper", opened) == f"practice:{demo.account}"
    assert credentials.is_current(demo.world.as_worker(), opened, demo.store)
    assert demo.opened("elevenlabs") is None
    saved = credentials.saved(demo.world.as_worker(), options(), demo.credential)
    assert saved is not None
    assert saved.practice


def test_a_demo_company_never_opens_a_real_key(demo: Demo, tmp_path: Any) -> None:
    keys = options(clipdesk_data=tmp_path)
    vault.note(demo.world.as_worker(), keys)
    admin = demo.world.as_person(demo.world.person(demo.account, "admin"))
    demo.world.execute("update public.accounts set is_demo = false where id = %s", demo.account)
    store = demo.world.store(demo.account)
    real = credentials.save(
        admin, keys, demo.account, store, "postiz", "https://postiz.example.com/api", SecretStr("real" * 16)
    )
    assert credentials.saved(demo.world.as_worker(), keys, demo.credential) is None, "a practice account for a real one"
    demo.world.execute("update public.accounts set is_demo = true where id = %s", demo.account)
    assert credentials.saved(demo.world.as_worker(), keys, real) is None
    used = credentials.for_call(demo.world.as_worker(), keys, demo.account, store, "postiz")
    assert used is not None
    assert used.practice
    with pytest.raises(NotAllowed, match="demo"):
        credentials.save(
            admin, keys, demo.account, None, "postiz", "https://postiz.example.com/api", SecretStr("x" * 64)
        )


def test_nobody_takes_the_demo_s_practice_account_away(demo: Demo, tmp_path: Any) -> None:
    keys = options(clipdesk_data=tmp_path)
    vault.note(demo.world.as_worker(), keys)
    admin = demo.world.as_person(demo.world.person(demo.account, "admin"))
    refused = "The practice account belongs to the demo"
    with pytest.raises(NotAllowed, match=refused):
        credentials.remove(admin, demo.credential, 1)
    for typed in ((None, None), ("https://postiz.example.com/api", SecretStr("x" * 64))):
        with pytest.raises(NotAllowed, match=refused):
            credentials.save(admin, keys, demo.account, None, "postiz", *typed, version=1)
    opened = demo.opened()
    assert opened is not None
    assert (opened.practice, opened.version) == (True, 1)


def test_a_real_company_never_uses_a_practice_account(world: World) -> None:
    account = world.company()
    practice_account(world, account)
    assert credentials.for_call(world.as_worker(), options(), account, world.store(account), "postiz") is None


def test_posts_are_published_seconds_after_their_moment(demo: Demo) -> None:
    first, second = entry(), entry("practice-tiktok", "Second")
    with demo.world.at(NOW):
        vendor = demo.vendor()
        created = vendor.create(DUE, [first, second])
        assert [channel for channel, _ in created.posts] == ["practice-instagram", "practice-tiktok"]
        listed = {post.id: post for post in vendor.posts(DUE, DUE)}
        assert {post.state for post in listed.values()} == {"QUEUE"}
        post = listed[created.posts[1][1]]
        assert (post.reference, post.content, post.publish_at, post.release_url) == (
            second.reference,
            "Second",
            DUE,
            None,
        )
    with demo.world.at(DUE + timedelta(seconds=5)):
        (one, _) = demo.vendor().posts(NOW, DUE)
        assert (one.state, one.release_url) == ("PUBLISHED", f"/publish?practice={one.id}")
        assert demo.vendor().posts(DUE + timedelta(seconds=1), DUE + timedelta(days=1)) == []


def test_a_post_that_is_deleted_is_gone_and_a_draft_waits(demo: Demo) -> None:
    with demo.world.at(NOW):
        vendor = demo.vendor()
        ((_, kept),) = vendor.create(DUE, [entry()], kind="draft").posts
        ((_, gone),) = vendor.create(DUE, [entry()]).posts
        vendor.delete(gone)
        vendor.delete(gone)
    with demo.world.at(DUE + timedelta(hours=1)):
        vendor = demo.vendor()
        assert [(post.id, post.state) for post in vendor.posts(NOW, DUE)] == [(kept, "DRAFT")]
        vendor.requeue(kept)
        assert [post.state for post in vendor.posts(NOW, DUE)] == ["PUBLISHED"]
        with pytest.raises(PublishingRefused):
            vendor.delete("nobody's")


def test_its_allowance_is_like_a_real_one_s(demo: Demo) -> None:
    with demo.world.at(NOW):
        vendor = demo.vendor()
        allowances = [vendor.create(DUE, [entry()]).allowance for _ in range(90)]
        assert [each.remaining for each in allowances if each] == [*range(89, -1, -1)]
        assert allowances[0] is not None
        assert (allowances[0].limit, allowances[0].seconds) == (90, 3600)
        with pytest.raises(PublishingLimited) as caught:
            vendor.create(DUE, [entry()])
        assert caught.value.seconds == 3600
    with demo.world.at(NOW + timedelta(minutes=30)), pytest.raises(PublishingLimited) as caught:
        demo.vendor().create(DUE + timedelta(hours=1), [entry()])
    assert caught.value.seconds == 1800
    with demo.world.at(NOW + timedelta(minutes=61)):
        allowance = demo.vendor().create(NOW + timedelta(hours=2), [entry()]).allowance
        assert allowance is not None
        assert allowance.remaining == 89
    assert demo.world.value("select count(*) from private.practice_posts") == 91


def test_a_post_of_the_demo_goes_all_the_way(demo: Demo, folder: Folder) -> None:
    """Ordered by a person, handed over and followed by the same publisher as real ones."""
    for channel in CHANNELS:
        pin(demo.world, demo.account, demo.store, demo.credential, str(channel["identifier"]), str(channel["id"]))
    demo.world.execute("update public.profile_channels set name = 'Demo', handle = 'demo'")
    clip = ready_clip(demo.world, demo.store)
    folder.write(demo.world.value("select media_path from public.clips where id = %s", clip), b"a clip")
    publisher = Publisher(demo.world.as_worker(), folder, options())
    with demo.world.at(NOW):
        manager = demo.world.as_person(demo.world.person(demo.account, "manager", demo.store))
        words = [posts.Words(channel=str(channel["id"]), caption="Fresh bread.") for channel in CHANNELS]
        saved = posts.order(manager, demo.store, clip, words, DUE)
        publisher.tick(NOW)
        assert {row["state"] for row in bundle(demo, saved.id)} == {"scheduled"}
        assert posts.outlook(manager, demo.store).budget is not None
    later = DUE + timedelta(minutes=20)
    with demo.world.at(later):
        publisher.tick(later)
    for row in bundle(demo, saved.id):
        assert (row["state"], row["release_url"]) == ("published", f"/publish?practice={row['vendor_post']}")
        assert row["organization"] == f"practice:{demo.account}"


def bundle(demo: Demo, bundle_id: UUID) -> list[dict[str, Any]]:
    return demo.world.rows("select * from public.publications where bundle_id = %s", bundle_id)


def test_the_rest_of_a_vendor(demo: Demo) -> None:
    vendor = demo.vendor()
    vendor.connected()
    assert [channel.identifier for channel in vendor.channels()] == ["instagram", "tiktok"]
    assert "nobody is billed" in vendor.rules("practice-tiktok").rules
    assert vendor.upload(io.BytesIO(b"x"), "clip.mp4").id
    assert vendor.notifications().items == vendor.missing("x") == []
    assert vendor.find_slot("practice-tiktok") > datetime.now(UTC)


def test_once_it_is_gone_it_says_so(demo: Demo) -> None:
    vendor = demo.vendor()
    demo.world.execute("delete from public.profile_credentials where id = %s", demo.credential)
    for call in (vendor.connected, lambda: vendor.posts(NOW, DUE), lambda: vendor.create(DUE, [entry()])):
        with pytest.raises(PublishingMisconfigured, match="gone"):
            call()


def test_people_reach_nothing_of_it_but_by_publishing(demo: Demo) -> None:
    admin = demo.world.as_person(demo.world.person(demo.account, "admin"))
    with pytest.raises(NotAllowed):
        admin.call("practice_list", p_credential_id=demo.credential, p_from=NOW, p_to=DUE)
    with pytest.raises(NotAllowed):
        admin.call("practice_create", p_credential_id=demo.credential, p_date=DUE, p_entries=[])
