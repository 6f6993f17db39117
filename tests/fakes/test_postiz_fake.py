"""The stand-in for Postiz does what the vendor's public API does, and misbehaves as told."""

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.fakes.postiz import Channel, FakePostiz, Faults, Outcome
from tests.fakes.postiz_text import published, sanitized

START = datetime(2026, 9, 1, 9, 0, tzinfo=UTC)
DUE = START + timedelta(minutes=5)
ENDINGS = ".png, .jpg, .jpeg, .gif, .webp, .mp4"
COVER = "If posting a video you have to also include a cover image as second media"
DARK = "An error occurred while posting on facebook: Video too dark"
MP4 = b"\0\0\0\x18ftypisom" + bytes(32)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)
TIKTOK = {
    "privacy_level": "SELF_ONLY",
    "duet": False,
    "stitch": False,
    "comment": True,
    "brand_content_toggle": False,
    "brand_organic_toggle": False,
    "autoAddMusic": "no",
    "content_posting_method": "DIRECT_POST",
}
CHANNELS = [
    Channel("c-tiktok", "Shop", "tiktok"),
    Channel("c-insta", "Shop pictures", "instagram", customer={"id": "g1", "name": "North"}),
    Channel("c-face", "Shop page", "facebook"),
    Channel("c-x", "Shop short", "x"),
    Channel("c-pin", "Shop boards", "pinterest"),
    Channel("c-threads", "Shop threads", "threads"),
]


@pytest.fixture
def fake() -> Iterator[FakePostiz]:
    with FakePostiz() as running:
        running.clock = START
        running.home.channels = [Channel(**vars(channel)) for channel in CHANNELS]
        yield running


@pytest.fixture
def http(fake: FakePostiz) -> Iterator[httpx.Client]:
    base = f"{fake.api}/public/v1"
    with httpx.Client(base_url=base, headers={"authorization": fake.key}, timeout=5, verify=False) as client:
        yield client


def entry(
    channel: str = "c-face", content: str = "Hello", media: tuple[str, ...] = (), **values: Any
) -> dict[str, Any]:
    image = [{"id": name, "path": f"https://cdn.example.com/{name}"} for name in media]
    settings = values.pop("settings", {})
    return {
        "integration": {"id": channel},
        "value": [{"content": content, "image": image}],
        "settings": settings,
        **values,
    }


def order(*entries: dict[str, Any], date: datetime = DUE, kind: str = "schedule", **values: Any) -> dict[str, Any]:
    return {"type": kind, "date": date.isoformat(), "shortLink": False, "tags": [], "posts": list(entries), **values}


def create(http: httpx.Client, *entries: dict[str, Any], **values: Any) -> httpx.Response:
    return http.post("/posts", json=order(*(entries or (entry(),)), **values))


def created(http: httpx.Client, *entries: dict[str, Any], **values: Any) -> list[str]:
    answer = create(http, *entries, **values)
    assert answer.status_code == 201, answer.text
    return [post["postId"] for post in answer.json()]


def listed(http: httpx.Client, start: datetime = START, end: datetime | None = None) -> list[dict[str, Any]]:
    last = end or start + timedelta(days=1)
    answer = http.get("/posts", params={"startDate": start.isoformat(), "endDate": last.isoformat()})
    assert answer.status_code == 200
    return answer.json()["posts"]


def state(http: httpx.Client, post_id: str) -> dict[str, Any]:
    return next(post for post in listed(http) if post["id"] == post_id)


# Creating -----------------------------------------------------------------------------------------------------


def test_a_bundle_is_stored_entry_by_entry_and_answered_in_order(fake: FakePostiz, http: httpx.Client) -> None:
    answer = create(http, entry("c-x", settings={"who_can_reply_post": "everyone"}), entry("c-face"))
    assert answer.status_code == 201
    assert [row["integration"] for row in answer.json()] == ["c-x", "c-face"]
    assert {row["postId"] for row in answer.json()} == {post["id"] for post in listed(http)}


def test_a_list_shows_what_was_sent_and_no_error_text(fake: FakePostiz, http: httpx.Client) -> None:
    reference = str(uuid4())
    (post_id,) = created(http, entry(settings={"client_ref": reference, "__type": "tiktok"}))
    post = state(http, post_id)
    assert post["publishDate"] == "2026-09-01T09:05:00.000Z"
    assert json.loads(post["settings"]) == {"client_ref": reference, "__type": "facebook"}
    assert (post["state"], post["releaseURL"], post["creationMethod"]) == ("QUEUE", None, "API")
    assert post["integration"]["providerIdentifier"] == "facebook"
    assert "error" not in post


def test_settings_in_lists_depend_on_the_version(fake: FakePostiz, http: httpx.Client) -> None:
    created(http, entry(settings={"client_ref": "r"}))
    fake.settings = "dict"
    assert listed(http)[0]["settings"]["client_ref"] == "r"
    fake.settings = "absent"
    assert "settings" not in listed(http)[0]


def test_the_ends_of_a_list_are_included(http: httpx.Client) -> None:
    created(http)
    assert len(listed(http, DUE, DUE)) == 1
    assert listed(http, DUE + timedelta(milliseconds=1)) == []
    assert http.get("/posts", params={"startDate": "x"}).json()["message"] == [
        "startDate must be a valid ISO 8601 date string",
        "endDate must be a valid ISO 8601 date string",
    ]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"value": []}], "All posts must have an integration id"),
        ([entry("nobody")], "Integration with id nobody not found"),
        ([{**entry(), "value": [{"content": "x", "image": None}]}], ["posts.0.value.0.image must be an array"]),
        ([{**entry(), "value": [{"content": "x"}]}], ["posts.0.value.0.image must be an array"]),
        ([entry(), {**entry(), "value": []}], ["posts.1.value must contain at least 1 elements"]),
        ([entry(media=("a.avif",))], [f"posts.0.value.0.image.0.path must end in one of: {ENDINGS}"]),
    ],
)  # fmt: skip
def test_shapes_are_checked(http: httpx.Client, entries: list[dict[str, Any]], message: Any) -> None:
    answer = create(http, *entries)
    assert answer.status_code == 400
    assert answer.json() == {"message": message, "error": "Bad Request", "statusCode": 400}


def test_settings_are_checked_for_drafts_too_but_not_for_draft_entries(http: httpx.Client) -> None:
    half = {name: value for name, value in TIKTOK.items() if name != "privacy_level"}
    refused = create(http, entry("c-tiktok", media=("a.mp4",), settings=half), kind="draft")
    (message,) = refused.json()["message"]
    assert message.startswith("posts.0.settings.privacy_level must be one of the following values: PUBLIC_TO_EVERYONE")
    assert created(http, entry("c-tiktok", settings={}, type="draft"), kind="draft")


@pytest.mark.parametrize(
    ("channel", "content", "media", "settings", "message"),
    [
        ("c-tiktok", "x", (), TIKTOK, "No video / images selected"),
        ("c-tiktok", "x", ("a.mp4", "b.png"), TIKTOK, "Only one video, or only images"),
        ("c-insta", "x", (), {"post_type": "post"}, "Should have at least one media"),
        ("c-pin", "x", ("a.mp4",), {"board": "b"}, COVER),
        ("c-face", " ", (), {}, "Your post should have at least one character or one image."),
        ("c-x", "x" * 281, (), {"who_can_reply_post": "everyone"}, "post is too long, please fix it"),
        ("c-x", "猫" * 141, (), {"who_can_reply_post": "everyone"}, "post is too long, please fix it"),
        ("c-threads", "x" * 501, (), {}, "post is too long, please fix it"),
    ],
)  # fmt: skip
def test_networks_refuse_in_their_own_shape(
    fake: FakePostiz,
    http: httpx.Client,
    channel: str,
    content: str,
    media: tuple[str, ...],
    settings: Any,
    message: str,
) -> None:
    answer = create(http, entry("c-face"), entry(channel, content, media, settings=settings))
    found = fake.home.channel(channel)
    assert found is not None
    expected = {"statusCode": 400, "provider": found.identifier, "name": found.name, "message": message}
    assert (answer.status_code, answer.json()) == (400, expected)
    assert listed(http) == [], "checks come before the first row"


def test_drafts_need_no_media_and_never_go_out(fake: FakePostiz, http: httpx.Client) -> None:
    (post_id,) = created(http, entry("c-tiktok", settings=TIKTOK), kind="draft")
    fake.advance(days=2)
    assert (state(http, post_id)["state"], fake.live()) == ("DRAFT", [])


def test_bodies_above_100_kib_and_malformed_ones_come_before_the_key(fake: FakePostiz) -> None:
    url = f"{fake.api}/public/v1/posts"
    head = {"content-type": "application/json"}
    assert httpx.post(url, content=b'"' + b"x" * 102_399 + b'"', headers=head).status_code == 413
    assert httpx.post(url, content=b'"' + b"x" * 102_398 + b'"', headers=head).status_code == 401
    malformed = httpx.post(url, content=b"{", headers=head)
    assert malformed.status_code == 400
    assert isinstance(malformed.json()["message"], str)


def test_a_body_that_is_not_announced_as_json_is_ignored(http: httpx.Client) -> None:
    answer = http.post("/posts", content=json.dumps(order(entry())), headers={"content-type": "text/plain"})
    assert answer.json()["message"] == "All posts must have an integration id"


def test_a_bearer_is_no_key(fake: FakePostiz, http: httpx.Client) -> None:
    assert http.get("/posts", headers={"authorization": f"Bearer {fake.key}"}).json() == {"msg": "Invalid API key"}


def test_media_of_other_hosts_are_refused_where_that_is_set(fake: FakePostiz, http: httpx.Client) -> None:
    fake.restricted = True
    assert create(http, entry(media=("a.png",))).status_code == 400
    path = http.post("/upload", files={"file": ("a", PNG)}).json()["path"]
    ours = {**entry(), "value": [{"content": "", "image": [{"id": "1", "path": path}]}]}
    assert create(http, ours).status_code == 201


def test_the_plan_of_the_cloud_ends(fake: FakePostiz, http: httpx.Client) -> None:
    fake.home.plan_reached = True
    answer = create(http)
    assert (answer.status_code, answer.headers["x-ratelimit-remaining"]) == (402, "89")
    assert answer.json()["url"].endswith("/billing")


# The allowance ------------------------------------------------------------------------------------------------


def test_every_request_of_a_key_counts_and_says_so(fake: FakePostiz, http: httpx.Client) -> None:
    first = create(http)
    fake.advance(seconds=100)
    refused = create(http, entry("nobody"))
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    assert [first.headers[name] for name in names] == ["90", "89", "3600"]
    assert [refused.headers[name] for name in names] == ["90", "88", "3500"]
    assert "x-ratelimit-limit" not in http.get("/integrations").headers


def test_unknown_keys_and_large_bodies_do_not_count(fake: FakePostiz, http: httpx.Client) -> None:
    http.post("/posts", json=order(entry()), headers={"authorization": "nobody's"})
    create(http, entry(content="x" * 110_000))
    assert create(http).headers["x-ratelimit-remaining"] == "89"


def test_the_first_excess_blocks_for_a_full_hour(fake: FakePostiz, http: httpx.Client) -> None:
    fake.home.limit = 2
    for _ in range(2):
        create(http)
    fake.advance(minutes=59)
    excess = create(http)
    assert (excess.status_code, excess.headers["retry-after"]) == (429, "3600")
    assert excess.json() == {"statusCode": 429, "message": "ThrottlerException: Too Many Requests"}
    assert not [name for name in excess.headers if name.startswith("x-ratelimit")]
    fake.advance(minutes=59)
    assert create(http).headers["retry-after"] == "60"
    fake.advance(minutes=2)
    assert create(http).headers["x-ratelimit-remaining"] == "1"


def test_the_window_opens_with_the_first_request_and_is_fixed(fake: FakePostiz, http: httpx.Client) -> None:
    fake.home.limit = 2
    create(http)
    fake.advance(minutes=59)
    assert create(http).headers["x-ratelimit-remaining"] == "0"
    fake.advance(minutes=2)
    assert create(http).headers["x-ratelimit-remaining"] == "1"


def test_another_client_eats_of_the_same_allowance(fake: FakePostiz, http: httpx.Client) -> None:
    fake.another_client(88)
    assert create(http).headers["x-ratelimit-remaining"] == "1"
    other = fake.organisation([Channel("far", "Far", "facebook")])
    answer = http.post("/posts", json=order(entry("far")), headers={"authorization": other.key})
    assert answer.headers["x-ratelimit-remaining"] == "89"


# What becomes of posts ----------------------------------------------------------------------------------------


def test_a_post_goes_live_when_due_and_lists_say_so_within_three_minutes(fake: FakePostiz, http: httpx.Client) -> None:
    (post_id,) = created(http, entry(settings={"client_ref": "mine"}))
    fake.advance(minutes=4, seconds=59)
    assert fake.live("c-face") == []
    fake.advance(seconds=31)
    (live,) = fake.live("c-face")
    assert (live.content, live.at, live.client_ref, live.post_id) == ("Hello", DUE, "mine", post_id)
    assert state(http, post_id)["state"] == "QUEUE"
    fake.advance(minutes=3)
    post = state(http, post_id)
    assert (post["state"], post["releaseURL"]) == ("PUBLISHED", live.url)
    assert post["releaseId"] is not None
    assert len(fake.live()) == 1


def test_a_past_date_goes_out_at_once(fake: FakePostiz, http: httpx.Client) -> None:
    created(http, date=START - timedelta(days=1))
    assert [live.at for live in fake.live()] == [START]


def test_now_keeps_the_servers_minute(fake: FakePostiz, http: httpx.Client) -> None:
    fake.advance(seconds=40)
    created(http, kind="now")
    assert listed(http)[0]["publishDate"] == "2026-09-01T09:00:00.000Z"


def test_two_equal_requests_are_two_posts(fake: FakePostiz, http: httpx.Client) -> None:
    created(http)
    created(http)
    fake.advance(minutes=10)
    assert len(fake.live("c-face")) == 2


@pytest.mark.parametrize(
    ("outcome", "after", "released", "live", "notice"),
    [
        (Outcome("failed", "Video too dark"), "ERROR", False, 0, DARK),
        (Outcome("silent"), "ERROR", False, 0, None),
        (Outcome("unconfirmed"), "ERROR", False, 1, "Your post was sent to Facebook, but we couldn't confirm"),
        (Outcome("comment"), "ERROR", True, 1, "An error occurred while posting on facebook"),
        (Outcome("stuck"), "QUEUE", False, 0, None),
        (Outcome("late"), "QUEUE", False, 0, None),
        (Outcome("recovered"), "ERROR", False, 0, None),
    ],
)  # fmt: skip
def test_posts_turn_out_as_told(
    fake: FakePostiz, http: httpx.Client, outcome: Outcome, after: str, released: bool, live: int, notice: str | None
) -> None:
    fake.will("c-face", outcome)
    (post_id,) = created(http)
    fake.advance(minutes=10)
    post = state(http, post_id)
    assert (post["state"], post["releaseURL"] is not None, len(fake.live())) == (after, released, live)
    told = [each["content"] for each in http.get("/notifications").json()["notifications"]]
    assert any(text.startswith(notice) for text in told) if notice else told == []


@pytest.mark.parametrize(("outcome", "minutes"), [("recovered", 20), ("late", 70)])
def test_some_are_published_after_all(fake: FakePostiz, http: httpx.Client, outcome: Any, minutes: int) -> None:
    fake.will("c-face", outcome, "published")
    (post_id,) = created(http)
    fake.advance(minutes=minutes)
    assert (state(http, post_id)["state"], len(fake.live())) == ("PUBLISHED", 1)


@pytest.mark.parametrize(
    ("flaw", "reason"), [("disabled", "because it's disabled."), ("reconnect", "because you need to reconnect it.")]
)
def test_unusable_channels_are_accepted_and_fail_when_due(
    fake: FakePostiz, http: httpx.Client, flaw: str, reason: str
) -> None:
    setattr(fake.home.channels[2], flaw, True)
    (post_id,) = created(http)
    fake.advance(minutes=10)
    assert (state(http, post_id)["state"], fake.live()) == ("ERROR", [])
    (notice,) = http.get("/notifications").json()["notifications"]
    assert notice["content"] == f"We couldn't post to facebook for Shop page {reason}"


def test_tiktoks_inbox_is_published_but_missing(fake: FakePostiz, http: httpx.Client) -> None:
    settings = {**TIKTOK, "content_posting_method": "UPLOAD"}
    (post_id,) = created(http, entry("c-tiktok", media=("a.mp4",), settings=settings))
    fake.advance(minutes=10)
    post = state(http, post_id)
    assert (post["releaseId"], post["releaseURL"]) == ("missing", "https://www.tiktok.com/messages?lang=en")
    (candidate,) = http.get(f"/posts/{post_id}/missing").json()
    assert http.put(f"/posts/{post_id}/release-id", json={"releaseId": candidate["id"]}).status_code == 200
    assert http.put(f"/posts/{post_id}/release-id", json={"releaseId": "again"}).status_code == 500
    assert http.get(f"/posts/{post_id}/missing").json() == []


def test_text_with_a_smaller_sign_passes_the_sanitizer(fake: FakePostiz, http: httpx.Client) -> None:
    assert sanitized("I <3 you & me") == published(sanitized("I <3 you & me")) == "I &lt;3 you &amp; me"
    assert published("<p>I &lt;3 you &amp; me</p>") == "I <3 you & me"
    assert published("<p>a</p><p>b</p>") == "a\nb"
    assert published("<p>a<br>b</p>") == "ab"
    assert sanitized("<b>a</b> & <script>b</script>") == "a &amp; b"
    assert sanitized("a\nb & c") == "a\nb & c"
    created(http, entry(content="<p>1 &lt; 2</p>"))
    fake.advance(minutes=5)
    assert fake.live()[0].content == "1 < 2"


# Changes ------------------------------------------------------------------------------------------------------


def test_delete_says_error_and_takes_the_whole_group(fake: FakePostiz, http: httpx.Client) -> None:
    (post_id,) = created(http)
    answer = http.delete(f"/posts/{post_id}")
    assert (answer.status_code, answer.json()) == (200, {"error": True})
    assert listed(http) == []
    assert http.delete(f"/posts/{post_id}").status_code == 500
    assert http.delete(f"/posts/group/{uuid4()}").json() == {"error": True}
    fake.advance(days=1)
    assert fake.live() == []


def test_delete_removes_nothing_from_the_network(fake: FakePostiz, http: httpx.Client) -> None:
    (post_id,) = created(http)
    fake.advance(minutes=5)
    http.delete(f"/posts/{post_id}")
    assert len(fake.live()) == 1


def test_requeueing_what_was_published_publishes_again(fake: FakePostiz, http: httpx.Client) -> None:
    (post_id,) = created(http)
    fake.advance(minutes=10)
    assert http.put(f"/posts/{post_id}/status", json={"status": "schedule"}).json() == {"id": post_id, "state": "QUEUE"}
    assert [live.post_id for live in fake.live()] == [post_id, post_id]
    assert http.put("/posts/nobody/status", json={"status": "schedule"}).json()["message"] == "Post not found"
    assert http.put(f"/posts/{post_id}/status", json={"status": "x"}).status_code == 400


def test_a_draft_of_what_waited_never_goes_out(fake: FakePostiz, http: httpx.Client) -> None:
    (post_id,) = created(http)
    assert http.put(f"/posts/{post_id}/status", json={"status": "draft"}).json()["state"] == "DRAFT"
    fake.advance(days=1)
    assert fake.live() == []


def test_settings_can_change_until_a_post_is_due(fake: FakePostiz, http: httpx.Client) -> None:
    (post_id,) = created(http, entry(settings={"client_ref": "r"}))
    answer = http.put(f"/posts/{post_id}/settings", json={"settings": {"url": "https://example.com"}})
    assert answer.json() == {"postId": post_id, "publishDate": "2026-09-01T09:05:00"}
    assert json.loads(state(http, post_id)["settings"])["client_ref"] == "r"
    fake.advance(minutes=5)
    assert http.put(f"/posts/{post_id}/settings", json={"settings": {}}).status_code == 400
    assert http.put("/posts/nobody/settings", json={"settings": {}}).status_code == 404


def with_id(post_id: str, content: str) -> dict[str, Any]:
    return {**entry(), "value": [{"id": post_id, "content": content, "image": []}]}


def test_an_edit_keeps_the_id_and_changes_the_group(fake: FakePostiz, http: httpx.Client) -> None:
    (post_id,) = created(http)
    group = state(http, post_id)["group"]
    later = DUE + timedelta(hours=1)
    assert created(http, with_id(post_id, "New"), date=later) == [post_id]
    post = state(http, post_id)
    assert (post["content"], post["publishDate"]) == ("New", "2026-09-01T10:05:00.000Z")
    assert post["group"] != group
    fake.advance(minutes=10)
    assert fake.live() == []


def test_an_update_keeps_the_old_timer(fake: FakePostiz, http: httpx.Client) -> None:
    (post_id,) = created(http)
    created(http, with_id(post_id, "New"), date=DUE + timedelta(hours=1), kind="update")
    fake.advance(minutes=5)
    assert [live.content for live in fake.live()] == ["New"]


def test_publishing_again_needs_to_be_said_and_unknown_ids_make_new_posts(fake: FakePostiz, http: httpx.Client) -> None:
    (post_id,) = created(http)
    fake.advance(minutes=10)
    assert create(http, with_id(post_id, "Again")).status_code == 400
    assert created(http, with_id(post_id, "Again"), republish=True) == [post_id]
    assert created(http, with_id("nobody", "Other")) != ["nobody"]


def test_a_group_that_exists_is_deleted(fake: FakePostiz, http: httpx.Client) -> None:
    (post_id,) = created(http)
    created(http, entry(group=state(http, post_id)["group"]))
    assert post_id not in {post["id"] for post in listed(http)}


# Channels, media, notifications -------------------------------------------------------------------------------


def test_uploads_are_what_their_bytes_are(fake: FakePostiz, http: httpx.Client) -> None:
    answer = http.post("/upload", files={"file": ("picture.jpg", MP4, "image/jpeg")})
    media = answer.json()
    assert answer.status_code == 201
    assert media["path"].endswith(".mp4")
    assert UUID(media["id"])
    assert set(media) == {"id", "name", "originalName", "path", "thumbnail", "alt"}
    assert fake.home.uploads[media["path"]] == MP4
    assert http.post("/upload", files={"file": ("same", MP4)}).json()["path"] != media["path"]


def test_uploads_are_refused_in_several_ways(fake: FakePostiz, http: httpx.Client) -> None:
    fake.largest_image = 40
    said = [
        http.post("/upload", files={"file": ("a.pdf", b"%PDF-1.7")}),
        http.post("/upload", files={"file": ("a.mov", b"\0\0\0\x14ftypqt  ")}),
        http.post("/upload", files={"media": ("a.png", PNG)}),
        http.post("/upload", files={"file": ("a.png", PNG + b"1")}),
    ]
    assert [answer.status_code for answer in said] == [400] * 4
    assert [answer.json()["message"] for answer in said] == [
        "Unsupported file type.",
        "Unsupported file type.",
        "Unexpected field - media",
        "File size exceeds the maximum allowed size of 40 bytes.",
    ]
    assert http.post("/upload").json() == {"msg": "No file provided"}


def test_channels_tell_their_rules_and_tools(fake: FakePostiz, http: httpx.Client) -> None:
    rules = {id: http.get(f"/integration-settings/{id}").json()["output"] for id in ("c-tiktok", "c-threads", "c-pin")}
    assert "privacy_level" in rules["c-tiktok"]["settings"]["required"]
    assert rules["c-threads"]["settings"] == "No additional settings required"
    assert (rules["c-tiktok"]["maxLength"], rules["c-pin"]["tools"][0]["methodName"]) == (2000, "boards")
    boards = http.post("/integration-trigger/c-pin", json={"methodName": "boards", "data": {}})
    assert {"id", "name"} == set(boards.json()["output"][0])
    assert http.post("/integration-trigger/c-pin", json={"methodName": "x", "data": {}}).status_code == 404
    fake.home.channels[4].reconnect = True
    assert http.post("/integration-trigger/c-pin", json={"methodName": "boards", "data": {}}).status_code == 401
    assert http.get("/integration-settings/nobody").json() == {"msg": "Integration not found"}


def test_customers_only_label(http: httpx.Client) -> None:
    assert http.get("/groups").json() == [{"id": "g1", "name": "North"}]
    assert [each["id"] for each in http.get("/integrations", params={"group": "g1"}).json()] == ["c-insta"]
    assert "customer" not in http.get("/integrations").json()[0]
    assert "reconnect" not in http.get("/integrations").json()[0]


def test_a_channel_is_reconnected_at_an_address(http: httpx.Client) -> None:
    assert "refresh=c-x" in http.get("/social/x", params={"refresh": "c-x"}).json()["url"]
    assert http.get("/social/warpcast").status_code == 400
    assert http.get("/social/mastodon").status_code == 400


def test_a_slot_is_not_reserved_and_an_unknown_channel_never_answers(fake: FakePostiz, http: httpx.Client) -> None:
    assert [http.get("/find-slot/c-x").json() for _ in range(2)] == [{"date": "2026-09-01T10:00:00"}] * 2
    with pytest.raises(httpx.ReadTimeout):
        http.get("/find-slot/nobody", timeout=0.2)


def test_notifications_come_in_pages_newest_first(fake: FakePostiz, http: httpx.Client) -> None:
    for minute in range(101):
        fake.home.notify(f"{minute}", START + timedelta(minutes=minute))
    first, second = (http.get("/notifications", params={"page": page}).json() for page in (0, 1))
    assert (first["notifications"][0]["content"], first["hasMore"], first["total"]) == ("100", True, 101)
    assert ([each["content"] for each in second["notifications"]], second["hasMore"]) == (["0"], False)


def test_organisations_are_apart(fake: FakePostiz, http: httpx.Client) -> None:
    other = fake.organisation([Channel("far", "Far", "facebook")])
    key = {"authorization": other.key}
    (post_id,) = created(http)
    assert http.post("/posts", json=order(entry("c-face")), headers=key).status_code == 400
    assert http.delete(f"/posts/{post_id}", headers=key).status_code == 500
    assert http.post("/posts", json=order(entry("far")), headers=key).status_code == 201
    assert [post["id"] for post in listed(http)] == [post_id]
    http.headers["authorization"] = fake.rotate(fake.home)
    assert [post["id"] for post in listed(http)] == [post_id]


def test_a_persons_own_posts_are_listed_too(fake: FakePostiz, http: httpx.Client) -> None:
    fake.dashboard_post("c-face", "By hand", DUE)
    assert [(post["content"], post["creationMethod"]) for post in listed(http)] == [("By hand", "WEB")]


# Trouble ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "stored"),
    [
        ("error_before", 500, 0),
        ("proxy_502", 502, 0),
        ("proxy_503", 503, 0),
        ("login_page", 200, 0),
        ("login_redirect", 307, 0),
        ("bad_channel", 400, 0),
        ("blocked", 429, 0),
        ("error_after", 500, 2),
        ("partial", 500, 1),
    ],
)
def test_trouble_with_an_answer(fake: FakePostiz, http: httpx.Client, kind: Any, status: int, stored: int) -> None:
    fake.fault(kind)
    answer = create(http, entry("c-face"), entry("c-threads"))
    assert (answer.status_code, len(listed(http))) == (status, stored)
    assert create(http).status_code == (429 if kind == "blocked" else 201)


@pytest.mark.parametrize(("kind", "stored"), [("lost", 1), ("cut", 1), ("timeout_after", 1), ("timeout_before", 0)])
def test_trouble_without_an_answer(fake: FakePostiz, http: httpx.Client, kind: Any, stored: int) -> None:
    fake.fault(kind)
    with pytest.raises(httpx.TransportError):
        http.post("/posts", json=order(entry()), timeout=0.3)
    assert len(listed(http)) == stored


def test_answers_of_another_shape(fake: FakePostiz, http: httpx.Client) -> None:
    fake.fault("object")
    assert isinstance(create(http).json(), dict)
    fake.fault("no_ids")
    assert create(http).json() == [{"integration": "c-face"}]
    fake.fault("truncated")
    with pytest.raises(ValueError, match="column"):
        create(http).json()
    fake.fault("object", "list")
    assert isinstance(http.get("/posts", params={"startDate": "2026-09-01", "endDate": "2026-09-02"}).json(), list)
    assert len(listed(http)) == 3


def test_a_bad_channel_is_named(fake: FakePostiz, http: httpx.Client) -> None:
    fake.fault("bad_channel")
    said = create(http, entry("c-face"), entry("c-threads")).json()
    assert (said["provider"], said["name"]) == ("threads", "Shop threads")


def test_lists_lag_and_fail(fake: FakePostiz, http: httpx.Client) -> None:
    fake.lag = timedelta(seconds=90)
    fake.fault("lost_late")
    with pytest.raises(httpx.RemoteProtocolError):
        create(http)
    fake.advance(seconds=89)
    assert listed(http) == []
    fake.advance(seconds=1)
    assert len(listed(http)) == 1
    fake.fault("error_before", "list")
    assert http.get("/posts").status_code == 500


def test_a_dice_falls_the_same_for_the_same_seed(fake: FakePostiz) -> None:
    def drawn(seed: int) -> list[str | None]:
        dice = Faults(rate=0.5, seed=seed)
        return [dice.draw("create") for _ in range(200)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 60 < sum(kind is not None for kind in drawn(1)) < 140
    assert Faults(rate=1, kinds=["lost"]).draw("create") == "lost"
    assert Faults(rate=1, kinds=["lost"]).draw("delete") is None


def test_a_storm_keeps_the_books(fake: FakePostiz, http: httpx.Client) -> None:
    """However answers go wrong, what is live is what was stored, once."""
    fake.home.limit = 1000
    kinds: Any = ["lost", "error_before", "error_after", "truncated", "no_ids", "proxy_502"]
    fake.faults = Faults(rate=0.5, seed=3, kinds=kinds, routes=["create"])

    def send(number: int) -> None:
        body = order(entry(settings={"client_ref": f"{number}"}), date=DUE + timedelta(seconds=number))
        with contextlib.suppress(httpx.TransportError):
            http.post("/posts", json=body)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(60)))
    stored = [json.loads(post["settings"])["client_ref"] for post in listed(http)]
    fake.advance(minutes=30)
    assert 30 <= len(stored) < 60
    assert sorted(live.client_ref or "" for live in fake.live()) == sorted(stored)
