"""The client of Postiz: what it sends, what it reads, and what each answer means."""

import io
import json
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast, get_args
from uuid import uuid4

import pytest
from pydantic import SecretStr

from services.errors import (
    AppError,
    PublishingLimited,
    PublishingMisconfigured,
    PublishingRefused,
    PublishingUnclear,
    PublishingUnreachable,
)
from services.publishing import networks, postiz, wire
from services.publishing.postiz import (
    Client,
    Entry,
    Rules,
    Vendor,
    VendorChannel,
    VendorMedia,
    plain,
    to_content,
    upload_seconds,
)
from tests.connections.conftest import Authority
from tests.fakes.postiz import FakePostiz, provider_refusal, string_refusal, throttled, validation
from tests.fakes.postiz_faults import PROXY_PAGE, After, Before
from tests.fakes.postiz_wire import Channel, internal_error, plan_reached, said, too_large
from tests.fakes.web import HANG_UP, LOGIN_PAGE, Reply, Web, html, json_reply, redirect

KEY = "hunter2hunter2hunter2hunter2"
AT = datetime(2026, 12, 1, 9, 0, 0, 123000, UTC)
MINUTE = timedelta(minutes=1)
MP4 = b"\0\0\0\x18ftypmp42" + b"x" * 1000
PICTURE = VendorMedia("m1", "https://cdn.example.com/a.png")


@pytest.fixture
def fake() -> Iterator[FakePostiz]:
    with FakePostiz() as made:
        made.clock = AT - timedelta(hours=1)
        yield made


def client(fake: FakePostiz, key: str | None = None, seconds: float = 5.0) -> Client:
    return Client(fake.api, SecretStr(key or fake.key), private=True, seconds=seconds)


def entry(channel: str = "cm4tiktok", identifier: str = "tiktok", **values: Any) -> Entry:
    settings = networks.settings_of(identifier, {"privacy_level": "SELF_ONLY"} if identifier == "tiktok" else {})
    given = {"content": "Fresh bread", "media": [PICTURE], "settings": settings, "reference": uuid4(), **values}
    return Entry(channel, identifier, **given)


def sent(fake: FakePostiz) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(fake.requests[-1].body)
    return body


# Every endpoint ---------------------------------------------------------------------------------------------------


def test_it_is_a_vendor(fake: FakePostiz) -> None:
    vendor: Vendor = client(fake)
    vendor.connected()


def test_the_key_is_sent_bare(fake: FakePostiz) -> None:
    client(fake).connected()
    assert fake.requests[-1].headers["authorization"] == fake.key
    assert fake.requests[-1].path == "/api/public/v1/is-connected"


def test_channels_are_listed_whole(fake: FakePostiz) -> None:
    found = client(fake).channels()
    assert [channel.id for channel in found] == ["cm4tiktok", "cm4insta", "cm4x"]
    assert found[1] == VendorChannel("cm4insta", "My Shöp", "instagram", None, False, None, "North")
    assert found[2].disabled


def test_channels_of_one_customer(fake: FakePostiz) -> None:
    assert [channel.id for channel in client(fake).channels("c1")] == ["cm4insta"]


def test_rules_of_a_channel(fake: FakePostiz) -> None:
    rules = client(fake).rules("cm4tiktok")
    assert rules.max_length == 2000
    assert rules.settings is not None
    assert "privacy_level" in rules.settings["required"]


def test_tools_say_what_a_channel_has(fake: FakePostiz) -> None:
    fake.home.channels.append(Channel("pin", "Pins", "pinterest", boards=[{"id": "b1", "name": "Bread"}]))
    one = client(fake)
    assert [tool.method for tool in one.rules("pin").tools] == ["boards"]
    assert one.tool("pin", "boards", {})[0]["id"] == "b1"


def test_a_link_to_reconnect(fake: FakePostiz) -> None:
    assert client(fake).reconnect_url("tiktok", "cm4tiktok").startswith("https://")
    assert fake.requests[-1].query == {"refresh": "cm4tiktok"}


def test_the_next_free_slot_is_utc(fake: FakePostiz) -> None:
    found = client(fake).find_slot("cm4tiktok")
    assert found.tzinfo is UTC


def test_an_upload_arrives_whole_and_leaves_its_name_and_size_in_the_log(
    fake: FakePostiz, caplog: pytest.LogCaptureFixture
) -> None:
    store, data = uuid4(), MP4 * 2500
    with caplog.at_level(logging.INFO):
        media = client(fake).upload(io.BytesIO(data), "Käse\n.mp4", profile_id=store)
    assert list(fake.home.uploads.values()) == [data]
    assert media.path.endswith(".mp4")
    before, after = caplog.messages
    assert before == f"[Profile {store}] uploads Käse?.mp4 (2.53 MB) to Postiz"
    assert after == f"[Profile {store}] uploaded Käse?.mp4 to Postiz as media {media.id}"


def test_an_upload_begins_at_the_file_s_beginning(fake: FakePostiz) -> None:
    file = io.BytesIO(MP4)
    file.read()
    client(fake).upload(file, "a.mp4")
    assert list(fake.home.uploads.values()) == [MP4]


def test_posts_are_created_on_several_channels_at_once(fake: FakePostiz, caplog: pytest.LogCaptureFixture) -> None:
    store = uuid4()
    with caplog.at_level(logging.INFO):
        made = client(fake).create(AT, [entry(), entry("cm4insta", "instagram")], profile_id=store)
    assert [channel for channel, _ in made.posts] == ["cm4tiktok", "cm4insta"]
    assert [post.id for post in fake.posts()] == [post_id for _, post_id in made.posts]
    assert made.allowance == postiz.Allowance(90, 89, 3600.0)
    before, after = caplog.messages
    assert before == f"[Profile {store}] creates posts on 2 platforms for 2026-12-01T09:00:00.123Z"
    assert after == f"[Profile {store}] created posts {made.posts[0][1]}, {made.posts[1][1]}"


def test_what_is_sent_for_a_post(fake: FakePostiz) -> None:
    fake.home.channels.append(Channel("threads", "Shop", "threads"))
    one = entry("threads", "threads", media=[], content="Grüße & <3\n🙂", settings={"a": 1, "__type": "other"})
    client(fake).create(AT, [one])
    assert sent(fake) == {
        "type": "schedule",
        "date": "2026-12-01T09:00:00.123Z",
        "shortLink": False,
        "tags": [],
        "posts": [
            {
                "integration": {"id": "threads"},
                "value": [{"content": "<p>Grüße &amp; &lt;3</p><p>🙂</p>", "image": []}],
                "settings": {"a": 1, "__type": "threads", "client_ref": str(one.reference)},
            }
        ],
    }


def test_settings_that_have_a_default_need_not_be_given(fake: FakePostiz) -> None:
    client(fake).create(
        AT, [entry(settings={"privacy_level": "SELF_ONLY"}), entry("cm4insta", "instagram", settings={})]
    )
    assert [post.settings["__type"] for post in fake.posts()] == ["tiktok", "instagram"]
    assert fake.posts()[1].settings["post_type"] == "post"


def test_a_draft_stays_one(fake: FakePostiz) -> None:
    client(fake).create(AT, [entry()], kind="draft")
    assert fake.posts()[0].state == "DRAFT"


@pytest.mark.parametrize("shown", ["text", "dict", "absent"])
def test_lists_of_all_versions_are_read(fake: FakePostiz, shown: str) -> None:
    fake.settings = shown
    one = entry()
    made = client(fake).create(AT, [one])
    found = client(fake).posts(AT, AT)
    assert [(post.id, post.channel, post.identifier, post.publish_at, post.state) for post in found] == [
        (made.posts[0][1], "cm4tiktok", "tiktok", AT, "QUEUE")
    ]
    assert found[0].reference == (None if shown == "absent" else one.reference)


def test_a_published_post_has_its_link(fake: FakePostiz) -> None:
    client(fake).create(AT, [entry()])
    fake.advance(hours=2)
    found = client(fake).posts(AT - MINUTE, AT + MINUTE)[0]
    assert found.state == "PUBLISHED"
    assert found.release_url
    assert found.release_id


def test_a_deleted_post_is_gone(fake: FakePostiz) -> None:
    one = client(fake)
    made = one.create(AT, [entry()])
    one.delete(made.posts[0][1])
    assert one.posts(AT, AT) == []


@pytest.mark.parametrize("reply", [said("Post not found", 404), json_reply({}, 404), json_reply({"error": True})])
def test_deleting_what_is_not_there_is_fine(fake: FakePostiz, reply: Reply) -> None:
    fake.misbehave(reply)
    client(fake).delete("gone")


def test_a_500_to_a_deletion_is_unclear(fake: FakePostiz) -> None:
    with pytest.raises(PublishingUnclear):
        client(fake).delete("gone")


def test_a_failed_post_is_queued_again(fake: FakePostiz) -> None:
    fake.will("cm4tiktok", "failed", "published")
    one = client(fake)
    made = one.create(AT, [entry()])
    fake.advance(hours=2)
    one.requeue(made.posts[0][1])
    fake.advance(hours=2)
    assert fake.posts()[0].state == "PUBLISHED"


def test_notifications_have_pages(fake: FakePostiz) -> None:
    for number in range(130):
        fake.home.notify(f"Notice {number}", AT + number * MINUTE)
    first, second = client(fake).notifications(), client(fake).notifications(1)
    assert (len(first.items), first.more, len(second.items), second.more) == (100, True, 30, False)
    assert first.items[0].content == "Notice 129"
    assert first.items[0].created_at == AT + 129 * MINUTE


def test_a_missing_release_is_found_and_said(fake: FakePostiz) -> None:
    fake.misbehave(json_reply([{"id": "7312", "url": "https://tiktok.example.com/7312"}]), ".*/missing")
    fake.misbehave(json_reply({"id": "p1", "releaseId": "7312"}), ".*/release-id")
    one = client(fake)
    found = one.missing("p1")
    one.set_release("p1", found[0].id)
    assert (fake.requests[-1].method, sent(fake)) == ("PUT", {"releaseId": "7312"})


def test_names_cannot_lead_to_other_paths(fake: FakePostiz) -> None:
    with pytest.raises(AppError):
        client(fake).rules("../../is-connected?x=")
    assert fake.requests[-1].path == "/api/public/v1/integration-settings/..%2F..%2Fis-connected%3Fx%3D"


def test_a_time_without_a_zone_is_not_guessed(fake: FakePostiz) -> None:
    with pytest.raises(ValueError, match="no zone"):
        client(fake).create(AT.replace(tzinfo=None), [entry()])


def test_many_threads_share_a_client(fake: FakePostiz) -> None:
    one = client(fake)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: len(one.channels()), range(32)))
    assert found == [3] * 32


# Refusals ---------------------------------------------------------------------------------------------------------

REFUSALS: list[tuple[Reply, str, dict[str, Any]]] = [
    (
        validation("posts.1.settings.privacy_level must be one of: A, B", "posts.1.settings.duet must be a boolean"),
        "Postiz does not take the post: privacy_level must be one of: A, B; duet must be a boolean.",
        {"index": 1, "channel": "cm4insta"},
    ),
    (validation("posts.0.value.0.image must be an array"), "image must be an array", {"index": 0}),
    (
        validation("posts.1.settings.title must be longer", "posts.0.settings.title must be longer"),
        "title must be longer.",
        {"index": 1},
    ),
    (validation("date must be a valid ISO 8601 date string"), "Postiz says: “date must be a", {"index": None}),
    (string_refusal("All posts must have an integration id"), "A proxy before it may have changed it", {"index": None}),
    (
        string_refusal("Integration with id cm4insta not found"),
        "does not have the channel cm4insta any more",
        {"index": 1, "channel": "cm4insta"},
    ),
    (
        provider_refusal("tiktok", "My Shop", "post is too long, please fix it"),
        "TikTok (My Shop) does not take the post: post is too long, please fix it.",
        {"provider": "tiktok", "channel_name": "My Shop", "index": 0, "channel": "cm4tiktok"},
    ),
    (provider_refusal("threads", "", ""), "Threads does not take the post: it gave no reason.", {"index": None}),
    (said("Something odd", 403), "Postiz refused it (status 403). Postiz says: “Something odd”.", {}),
    (said("Not here", 404), "Postiz refused it (status 404)", {}),
    (plan_reached("https://p.example.com"), "The plan at Postiz does not cover it; raise it there", {"index": None}),
    (too_large(), "larger than Postiz", {}),
    (html(PROXY_PAGE, 413), "larger than Postiz", {}),
    (json_reply({}, 400), "Postiz refused it (status 400).", {}),
    (json_reply({"message": ["\0\n" * 500, 7, None]}, 422), "Postiz refused it (status 422).", {}),
    (json_reply({"message": "x" * 5000}, 400), "x" * 300 + "”", {}),
    (Reply(400), "Postiz refused it (status 400).", {}),
]


@pytest.mark.parametrize(("reply", "sentence", "named"), REFUSALS)
def test_each_refusal_says_what_is_wrong(fake: FakePostiz, reply: Reply, sentence: str, named: dict[str, Any]) -> None:
    fake.misbehave(reply, ".*/posts")
    with pytest.raises(PublishingRefused) as caught:
        client(fake).create(AT, [entry(), entry("cm4insta", "instagram")])
    assert sentence in str(caught.value)
    assert {name: getattr(caught.value, name) for name in named} == named


def test_of_two_channels_of_one_network_the_name_tells_which(fake: FakePostiz) -> None:
    fake.misbehave(provider_refusal("tiktok", "Second", "No video / images selected"), ".*/posts")
    with pytest.raises(PublishingRefused) as caught:
        client(fake).create(AT, [entry(), entry("other")])
    assert (caught.value.index, caught.value.channel_name) == (None, "Second")


def test_a_refused_request_says_what_is_left(fake: FakePostiz) -> None:
    with pytest.raises(PublishingRefused) as caught:
        client(fake).create(AT, [entry("nobody")])
    assert caught.value.allowance == postiz.Allowance(90, 89, 3600.0)


UPLOADS: list[tuple[bytes, str]] = [
    (b"hello", "does not take a file of this type"),
    (b"\x89PNG" + b"x" * 2000, "larger than Postiz takes"),
    (b"BM" + b"x" * 20, "under a name that it takes no posts with"),
    (b"", "The file is empty"),
]


@pytest.mark.parametrize(("data", "sentence"), UPLOADS)
def test_files_that_cannot_be_posted(fake: FakePostiz, data: bytes, sentence: str) -> None:
    fake.largest_image = 1000
    with pytest.raises(PublishingRefused, match=sentence):
        client(fake).upload(io.BytesIO(data), "a.png")


def test_a_body_that_postiz_would_not_read_is_never_sent(fake: FakePostiz) -> None:
    long = entry("cm4insta", "instagram", content="漢" * 40_000)
    with pytest.raises(PublishingRefused, match="100 KiB") as caught:
        client(fake).create(AT, [entry(), long])
    assert caught.value.index == 1
    assert fake.requests == []


def test_the_longest_body_is_sent(fake: FakePostiz) -> None:
    one = entry("fb", "facebook", media=[])
    fake.home.channels.append(Channel("fb", "Page", "facebook"))
    room = 102_400 - len(postiz._request(AT, [one], "schedule"))
    fake.misbehave(json_reply([{"postId": "p1", "integration": "fb"}], 201), ".*/posts")
    client(fake).create(AT, [entry("fb", "facebook", media=[], content=one.content + "x" * room)])
    assert len(fake.requests[-1].body) == 102_400


def test_a_dead_channel_s_tool_is_no_wrong_key(fake: FakePostiz) -> None:
    fake.misbehave(said("Token expired", 401), ".*/integration-trigger/.*")
    with pytest.raises(PublishingRefused, match="Reconnect it"):
        client(fake).tool("cm4tiktok", "boards", {})


def test_a_wrong_key_is_one_for_tools_too(fake: FakePostiz) -> None:
    with pytest.raises(PublishingMisconfigured, match="does not accept the key"):
        client(fake, KEY).tool("cm4tiktok", "boards", {})


# Limits -----------------------------------------------------------------------------------------------------------


def test_a_block_says_for_how_long(fake: FakePostiz) -> None:
    fake.another_client(90)
    with pytest.raises(PublishingLimited, match="in 60 minutes") as caught:
        client(fake).create(AT, [entry()])
    assert caught.value.seconds == 3600


@pytest.mark.parametrize(
    ("told", "seconds"), [("1", 1), ("0", 1), ("90.5", 91), ("", 3600), ("soon", 3600), ("9999999", 86_400)]
)
def test_pauses_are_read_with_care(fake: FakePostiz, told: str, seconds: float) -> None:
    fake.misbehave(Reply(429, b"<html>slow down</html>", "text/html", {"retry-after": told}))
    with pytest.raises(PublishingLimited) as caught:
        client(fake).create(AT, [entry()])
    assert caught.value.seconds == seconds


def test_reading_may_be_limited_too(fake: FakePostiz) -> None:
    """Up to version 2.18 lists count as well."""
    fake.misbehave(throttled(30))
    with pytest.raises(PublishingLimited, match="30 seconds"):
        client(fake).posts(AT, AT)


def test_a_request_that_a_proxy_gave_up_may_have_been_taken(fake: FakePostiz) -> None:
    """Of a 408 nobody can tell whether Postiz has it by now, and it says nothing of the allowance."""
    fake.misbehave(Reply(408))
    with pytest.raises(PublishingUnclear):
        client(fake).create(AT, [entry()])
    fake.misbehave(Reply(408))
    with pytest.raises(PublishingUnreachable):
        client(fake).posts(AT, AT)


def test_what_would_leave_too_late_does_not(fake: FakePostiz) -> None:
    """The machine slept while it connected: the request breaks off before its body, so nothing was taken."""
    with pytest.raises(PublishingUnreachable, match="slept"):
        client(fake).create(AT, [entry()], before=wire.awake() - 1)
    assert fake.posts() == []
    assert all(request.body == b"" for request in fake.requests)
    assert client(fake).create(AT, [entry()], before=wire.awake() + 60).posts


@pytest.mark.parametrize("odd", ["-1", "NaN", "1e9", "x", "", "99999999"])
def test_odd_numbers_of_the_allowance_are_no_allowance(fake: FakePostiz, odd: str) -> None:
    headers = {"x_ratelimit_limit": "90", "x_ratelimit_remaining": odd, "x_ratelimit_reset": "10"}
    fake.misbehave(json_reply([{"postId": "p1", "integration": "cm4tiktok"}], 201, **headers))
    assert client(fake).create(AT, [entry()]).allowance is None


# Did it arrive? ---------------------------------------------------------------------------------------------------

CREATED = {"postId": "p1", "integration": "cm4tiktok"}
UNCLEAR = [
    HANG_UP, internal_error(), html(PROXY_PAGE, 502), html(PROXY_PAGE, 503), html(PROXY_PAGE, 504), html(PROXY_PAGE),
    html(LOGIN_PAGE, 201), Reply(201), Reply(204), Reply(201, b"[{"), Reply(201, b"null"), Reply(201, b"\xff\xfe"),
    json_reply({"posts": []}, 201), json_reply([], 201), json_reply([CREATED, CREATED], 201),
    json_reply([{"postId": None, "integration": "cm4tiktok"}], 201), json_reply([{"postId": "p1"}], 201),
    json_reply([{"postId": "", "integration": "cm4tiktok"}], 201), json_reply("ok", 201), json_reply(True, 201),
    json_reply([{"postId": "p1", "integration": "another"}], 201), json_reply([[CREATED]], 201),
    Reply(201, b"[" * 100_000), Reply(201, json.dumps([CREATED]).encode(), cut=True), Reply(201, b"x" * 2_000_000),
]  # fmt: skip


@pytest.mark.parametrize("reply", UNCLEAR)
def test_whatever_may_have_been_taken_is_unclear(fake: FakePostiz, reply: Reply) -> None:
    fake.misbehave(reply, ".*/posts")
    with pytest.raises(PublishingUnclear, match="list"):
        client(fake).create(AT, [entry()])
    assert len(fake.requests) == 1, "it was sent again"


@pytest.mark.parametrize("kind", ["lost", "cut", "truncated", "error_after", "object", "no_ids", "partial"])
def test_what_was_taken_is_never_called_refused(fake: FakePostiz, kind: Any) -> None:
    fake.fault(kind)
    with pytest.raises(PublishingUnclear):
        client(fake).create(AT, [entry(), entry("cm4insta", "instagram")])
    assert fake.posts()


@pytest.mark.parametrize("kind", [*get_args(Before), *get_args(After)])
def test_only_what_was_not_taken_is_said_not_to_be(fake: FakePostiz, kind: Any) -> None:
    fake.patience = 1.0
    fake.fault(kind)
    one, entries = client(fake, seconds=0.5), [entry(), entry("cm4insta", "instagram")]
    try:
        ids = [post_id for _, post_id in one.create(AT, entries).posts]
    except PublishingUnclear:
        ids = None
    except (PublishingRefused, PublishingLimited, PublishingMisconfigured, PublishingUnreachable):
        ids = []
    assert ids is None or ids == [post.id for post in fake.posts()]
    assert (kind in get_args(After)) <= (ids != [])


@pytest.mark.parametrize("kind", ["login_page", "login_redirect"])
def test_the_web_app_took_nothing(fake: FakePostiz, kind: Any) -> None:
    fake.fault(kind)
    with pytest.raises(PublishingMisconfigured):
        client(fake).create(AT, [entry()])
    assert fake.posts() == []


@pytest.mark.parametrize("change", ["requeue", "delete", "create", "set_release"])
@pytest.mark.parametrize("reply", [HANG_UP, internal_error(), html(PROXY_PAGE, 502)])
def test_no_change_is_sent_twice(fake: FakePostiz, change: str, reply: Reply) -> None:
    fake.misbehave(reply)
    one = client(fake)
    calls: dict[str, Callable[[], Any]] = {
        "requeue": lambda: one.requeue("p1"),
        "delete": lambda: one.delete("p1"),
        "create": lambda: one.create(AT, [entry()]),
        "set_release": lambda: one.set_release("p1", "r1"),
    }
    with pytest.raises((PublishingUnclear, PublishingUnreachable) if change == "delete" else PublishingUnclear):
        calls[change]()
    assert len(fake.requests) == 1


def test_nothing_left_where_nobody_listens(fake: FakePostiz) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    one = Client(f"http://127.0.0.1:{port}", SecretStr(KEY), private=True)
    with pytest.raises(PublishingUnreachable, match="takes no connections"):
        one.create(AT, [entry()])


def test_a_name_that_nobody_has() -> None:
    one = Client("http://postiz.invalid", SecretStr(KEY), private=True)
    with pytest.raises(PublishingUnreachable, match=r"postiz\.invalid"):
        one.create(AT, [entry()])


def _hang_up(server: socket.socket) -> None:
    server.accept()[0].close()


def test_a_connection_that_breaks_before_the_request_has_left_took_nothing() -> None:
    """It breaks off in the greeting of TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_hang_up, args=(server,), daemon=True).start()
        one = Client(f"https://127.0.0.1:{server.getsockname()[1]}", SecretStr(KEY), private=True)
        with pytest.raises(PublishingUnreachable):
            one.create(AT, [entry()])


def test_an_untrusted_certificate_has_to_be_mended(tmp_path: Path) -> None:
    context = Authority(tmp_path).context("127.0.0.1")
    with Web(tls=context) as web:
        with pytest.raises(PublishingMisconfigured, match="issuer"):
            Client(web.url, SecretStr(KEY), private=True).create(AT, [entry()])
        assert web.requests == []


def test_tls_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with FakePostiz(tls=authority.context("127.0.0.1")) as secure:
        assert client(secure).channels()


def test_an_upload_may_always_be_sent_again(fake: FakePostiz) -> None:
    for reply in (HANG_UP, internal_error(), Reply(201, b"{"), json_reply({"id": "m1"}, 201), html(PROXY_PAGE, 503)):
        fake.behave()
        fake.misbehave(reply)
        with pytest.raises(PublishingUnreachable):
            client(fake).upload(io.BytesIO(MP4), "a.mp4")


def test_an_empty_401_is_no_wrong_key(fake: FakePostiz) -> None:
    fake.home.database_down = True
    with pytest.raises(PublishingUnreachable, match="cannot check the key"):
        client(fake).create(AT, [entry()])


# What has to be mended --------------------------------------------------------------------------------------------

MISCONFIGURED: list[tuple[Reply, str]] = [
    (redirect("/auth/login?return=%2F"), "such as a login page"),
    (redirect("https://elsewhere.example.com/api"), "sends calls on to https://elsewhere.example.com"),
    (redirect("", 302), "login page"),
    (html(), "answers with a web page instead of the Postiz API"),
    (html(LOGIN_PAGE * 20_000), "web page"),
    (html(PROXY_PAGE, 403), "web page"),
    (html(PROXY_PAGE, 404), "web page"),
    (said("Invalid API key", 401), "does not accept the key"),
    (said("No API Key found", 401), "does not accept the key"),
    (said("Words of a later version", 401), "does not accept the key"),
    (said("No subscription found", 401), "has no plan"),
    (Reply(200, b"hello", "text/plain"), "other than JSON"),
    (Reply(404, b"404 page not found", "text/plain"), "other than JSON"),
    (json_reply({"message": "Cannot GET /public/v1/x", "error": "Not Found", "statusCode": 404}, 404), "no such part"),
    (json_reply({"hello": 1}), "not in the way of the Postiz API"),
    (Reply(200, b"[" + b" " * 1_100_000), "more than 1 MB"),
]


@pytest.mark.parametrize(("reply", "sentence"), MISCONFIGURED)
def test_what_was_found_instead_is_said(fake: FakePostiz, reply: Reply, sentence: str) -> None:
    fake.misbehave(reply)
    with pytest.raises(PublishingMisconfigured, match=sentence):
        client(fake).connected()


def test_a_missing_api_in_the_address_is_guessed(fake: FakePostiz) -> None:
    for front in ("redirect", "page"):
        fake.front = front
        with pytest.raises(PublishingMisconfigured, match=f"probably at {fake.url}/api"):
            Client(fake.url, SecretStr(fake.key), private=True).channels()


@pytest.mark.parametrize("address", ["", "postiz.example.com", "ftp://x", "http://", "https://[", "http://x:99999"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(PublishingMisconfigured):
        Client(address, SecretStr(KEY), private=True).connected()


@pytest.mark.parametrize("key", ["", f"{KEY}\n", f"Bearer {KEY}", f"{KEY}é"])
def test_a_key_that_is_none(key: str) -> None:
    with pytest.raises(PublishingMisconfigured) as caught:
        Client("https://postiz.example.com", SecretStr(key))
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_private_networks_are_not_called(fake: FakePostiz) -> None:
    with pytest.raises(PublishingMisconfigured, match="private network"):
        Client(fake.api, SecretStr(fake.key)).connected()
    assert fake.requests == []


# Answers in every wrong shape -------------------------------------------------------------------------------------

WRONG: list[Any] = [None, True, 7, "text", [], {}, [[]], [None], [{}], {"posts": None}, {"posts": [{}]}, {"output": 7}]
READS: dict[str, Callable[[Client], Any]] = {
    "connected": lambda one: one.connected(),
    "channels": lambda one: one.channels(),
    "rules": lambda one: one.rules("c"),
    "reconnect_url": lambda one: one.reconnect_url("x", "c"),
    "find_slot": lambda one: one.find_slot("c"),
    "upload": lambda one: one.upload(io.BytesIO(MP4), "a.mp4"),
    "posts": lambda one: one.posts(AT, AT),
    "missing": lambda one: one.missing("p"),
    "notifications": lambda one: one.notifications(),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("value", WRONG)
def test_wrong_shapes_are_told_and_never_empty(fake: FakePostiz, name: str, value: Any) -> None:
    fake.misbehave(json_reply(value))
    if value == [] and name in ("channels", "missing"):
        assert READS[name](client(fake)) == []
        return
    with pytest.raises(PublishingMisconfigured, match="Postiz API"):
        READS[name](client(fake))


POST = {"id": "p1", "publishDate": "2026-12-01T09:00:00.123Z", "state": "QUEUE", "integration": {"id": "c1"}}


def test_a_list_is_not_read_without_the_item_that_cannot_be_read(fake: FakePostiz) -> None:
    fake.misbehave(json_reply({"posts": [POST, {**POST, "publishDate": "soon"}]}))
    with pytest.raises(PublishingMisconfigured):
        client(fake).posts(AT, AT)


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"content": None, "releaseURL": None, "releaseId": None, "settings": None, "tags": None, "news": [1]},
        {"settings": "{"}, {"settings": "[1]"}, {"settings": {"client_ref": 7}}, {"settings": '{"client_ref":"x"}'},
        {"releaseURL": "javascript:alert(1)"}, {"actualDate": "2026-12-02T09:00:00.123Z"}, {"error": None},
        {"publishDate": "2026-12-01T09:00:00.123"}, {"publishDate": "2026-12-01T10:00:00.123+01:00"},
    ],
)  # fmt: skip
def test_items_of_other_versions_are_read(fake: FakePostiz, extra: dict[str, Any]) -> None:
    fake.misbehave(json_reply({"posts": [{**POST, **extra}], "total": 1}))
    found = client(fake).posts(AT, AT)[0]
    assert (found.id, found.publish_at, found.reference, found.release_url) == ("p1", AT, None, None)


def test_an_error_in_a_list_is_kept(fake: FakePostiz) -> None:
    fake.misbehave(json_reply({"posts": [{**POST, "state": "ERROR", "error": "The video is too short\0"}]}))
    assert client(fake).posts(AT, AT)[0].error == "The video is too short"


def test_what_no_database_takes_is_left_out(fake: FakePostiz) -> None:
    fake.misbehave(Reply(body=json.dumps({"posts": [{**POST, "content": "a\0b\ud800c\nd"}]}).encode()))
    assert client(fake).posts(AT, AT)[0].content == "abc\nd"


@pytest.mark.parametrize(
    ("output", "rules"),
    [
        ({}, Rules()),
        ({"rules": None, "maxLength": None, "settings": "No additional settings required", "tools": None}, Rules()),
        ({"maxLength": 280.0, "rules": "Be short"}, Rules("Be short", 280)),
        ({"maxLength": "many"}, Rules()),
        ({"maxLength": -1}, Rules()),
    ],
)
def test_rules_of_other_versions_are_read(fake: FakePostiz, output: dict[str, Any], rules: Rules) -> None:
    fake.misbehave(json_reply({"output": output}))
    assert client(fake).rules("c") == rules


def test_a_long_list_is_read(fake: FakePostiz) -> None:
    many = [{**POST, "id": f"p{number}", "content": "x" * 500} for number in range(5000)]
    fake.misbehave(json_reply({"posts": many}))
    assert len(client(fake).posts(AT, AT)) == 5000


# Time -------------------------------------------------------------------------------------------------------------


def test_no_call_outlasts_its_time(fake: FakePostiz) -> None:
    one = client(fake, seconds=0.4)
    fake.misbehave(Reply(seconds=30))
    for name in ("connected", "channels", "posts", "find_slot"):
        with pytest.raises(PublishingUnreachable, match="had not answered"):
            READS[name](one)
    with pytest.raises(PublishingUnclear, match="had not answered"):
        one.create(AT, [entry()])


def test_an_answer_that_drips_ends_too(fake: FakePostiz) -> None:
    fake.misbehave(Reply(body=b" " * 1000, drip=0.1))
    one, began = client(fake, seconds=0.5), time.monotonic()
    with pytest.raises(PublishingUnreachable):
        one.channels()
    with pytest.raises(PublishingUnclear):
        one.create(AT, [entry()])
    assert time.monotonic() - began < 30


def test_a_channel_without_slots_is_given_up(fake: FakePostiz, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postiz, "SLOT_SECONDS", 0.3)
    with pytest.raises(PublishingUnreachable):
        client(fake, seconds=60).find_slot("cm4x")


def test_a_large_file_gets_more_time() -> None:
    assert upload_seconds(0) == 30
    assert upload_seconds(1024**3) == 30 + 2048


class Endless(io.RawIOBase):
    """A file of a size that nobody holds in memory; remembers the largest piece that was asked for."""

    def __init__(self, size: int) -> None:
        self._size, self._at, self.largest = size, 0, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (self._size if whence == io.SEEK_END else self._at if whence == io.SEEK_CUR else 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        taken = min(size if size >= 0 else self._size, self._size - self._at)
        self.largest = max(self.largest, taken)
        begin = MP4[self._at : self._at + taken] if self._at < len(MP4) else b""
        self._at += taken
        return begin + b"\0" * (taken - len(begin))


def test_a_file_is_read_in_pieces(fake: FakePostiz) -> None:
    file = Endless(20_000_000)
    client(fake, seconds=30).upload(cast(BinaryIO, file), "a.mp4")
    assert [len(data) for data in fake.home.uploads.values()] == [20_000_000]
    assert file.largest <= 1024 * 1024


# Nobody else sees the key -----------------------------------------------------------------------------------------

DETAIL = {"msg": KEY, "message": [KEY], "provider": KEY, "name": KEY, "connected": KEY, "posts": [KEY], "output": KEY}
ECHOES = [
    None, HANG_UP, html(), html(LOGIN_PAGE + KEY.encode(), 403), redirect(f"/auth?key={KEY}"),
    redirect(f"https://{KEY}.example.com/"), redirect(f"https://{KEY}:{KEY}@example.com/{KEY}"),
    *(json_reply(DETAIL, status, x_key=KEY) for status in (200, 201, 400, 401, 402, 403, 404, 413, 422, 429, 500)),
    *(string_refusal(text, 400) for text in (KEY, f"Integration with id {KEY} not found")),
    validation(f"posts.0.settings.{KEY} must be"), Reply(body=KEY.encode() * 100_000), Reply(seconds=30),
    Reply(body=KEY.encode(), content_type="text/plain"), Reply(429, headers={"retry-after": KEY}),
]  # fmt: skip
CALLS: dict[str, Callable[[Client], Any]] = {
    **READS,
    "create": lambda one: one.create(AT, [entry()]),
    "delete": lambda one: one.delete("p1"),
    "requeue": lambda one: one.requeue("p1"),
    "set_release": lambda one: one.set_release("p1", "r1"),
    "tool": lambda one: one.tool("c", "boards", {}),
}


@pytest.mark.parametrize("reply", ECHOES)
def test_the_key_is_in_no_log_and_no_error(
    fake: FakePostiz, reply: Reply | None, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.rotate(fake.home)
    fake.organisation([], key=KEY)
    if reply is not None:
        fake.misbehave(reply)
    one = client(fake, KEY, seconds=0.3)
    told = [repr(one), str(vars(one))]
    with caplog.at_level(logging.DEBUG):
        for call in CALLS.values():
            try:
                told.append(repr(call(one)))
            except AppError as error:
                told += [*traceback.format_exception(error), str(vars(error))]
    own = [record.getMessage() for record in caplog.records if not record.name.startswith("httpcore")]
    assert KEY not in "".join([*told, *own, *capfd.readouterr()])
    assert any(KEY in str(request.headers) for request in fake.requests), "no key was sent"


def test_even_the_library_s_own_log_has_no_key(fake: FakePostiz, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client(fake).create(AT, [entry()])
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    assert fake.key not in caplog.text


# Text -------------------------------------------------------------------------------------------------------------

TEXTS = [
    "Plain & simple\nsecond line", "I <3 you & me", "I <3 you\nand & me\n\nlast",
    "<script>alert(1)</script>", "a < b > c",
    "👩‍👩‍👧 <3", "مرحبا <3 بكم", "&amp; stays <", "🙂", "<p>said</p>", "1 <br> 2",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_readers_see_what_was_written(fake: FakePostiz, text: str) -> None:
    fake.home.channels.append(Channel("threads", "Shop", "threads"))
    client(fake).create(AT, [entry("threads", "threads", content=text, media=[])])
    listed = client(fake).posts(AT, AT)[0].content
    fake.advance(hours=2)
    assert plain(listed) == text
    assert [live.content for live in fake.live()] == [text]


def test_text_without_tags_is_sent_as_it_is() -> None:
    assert to_content("a & b\r\n“c” > d") == "a & b\r\n“c” > d"


def test_a_post_of_the_dashboard_is_readable() -> None:
    assert plain("<p>One <strong>bold</strong></p><p>Two &amp; three<br>four</p>") == "One bold\nTwo & three\nfour"
