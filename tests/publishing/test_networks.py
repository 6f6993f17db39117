"""What each network takes: lengths, captions, media and settings."""

from typing import Any

import pytest

from services.publishing.fields import Field
from services.publishing.networks import (
    NETWORKS,
    MediaFacts,
    check,
    fields_of,
    from_schema,
    label,
    settings_of,
    weighted_length,
)
from services.publishing.vendor import Rules
from tests.fakes.postiz import FakePostiz
from tests.fakes.postiz_settings import misshapen, refusal
from tests.fakes.postiz_wire import Channel

MIB = 1024 * 1024
VIDEO = MediaFacts("video", "video/mp4", 5 * MIB, 12.0, 1080, 1920)
IMAGE = MediaFacts("image", "image/jpeg", MIB, None, 1080, 1350)
WIDE = MediaFacts("image", "image/png", MIB, None, 1920, 1080)
SOUND = MediaFacts("audio", "audio/mpeg", MIB, 60.0)

# The least that each network wants to know.
ANSWERS: dict[str, dict[str, Any]] = {
    "tiktok": {"privacy_level": "PUBLIC_TO_EVERYONE"},
    "tiktok-business": {"privacy_level": "SELF_ONLY"},
    "youtube": {"title": "Fresh bread"},
    "pinterest": {"board": "b1"},
}


def fields(identifier: str, caption: str = "Fresh bread", media: Any = VIDEO, **settings: Any) -> list[str]:
    """The fields beside which something is wrong."""
    answers = {**ANSWERS.get(identifier, {}), **settings}
    return [problem.field for problem in check(identifier, caption, media, answers)]


def sentences(identifier: str, caption: str = "Fresh bread", media: Any = VIDEO, **settings: Any) -> str:
    answers = {**ANSWERS.get(identifier, {}), **settings}
    return " ".join(problem.sentence for problem in check(identifier, caption, media, answers))


# Lengths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", 0), ("Fresh bread", 11), ("Grüße", 5), ("Привет", 6), ("مرحبا", 5), ("שלום", 4), ("नमस्ते", 6),
        ("e\u0301", 1), ("“quoted” – dash", 15), ("…", 2), ("€", 2), ("a\nb", 3),
        ("漢字", 4), ("ひらがな", 8), ("한국어", 6), ("ไทย", 3),
        ("🙂", 2), ("🙂🙂", 4), ("👍🏽", 2), ("❤️", 2), ("❤️‍🔥", 2), ("👩‍👩‍👧‍👦", 2), ("🇩🇪", 2), ("🇩🇪🇫🇷", 4), ("1️⃣", 2),
        ("🏴󠁧󠁢󠁳󠁣󠁴󠁿", 2), ("🏳️‍🌈", 2), ("👩🏽‍❤️‍💋‍👨🏻", 2), ("©", 1), ("©️", 2), ("☺", 2),
        ("https://example.com/a/very/long/path/that/goes/on/and/on?and=on", 23), ("http://a.co", 23),
        ("See https://example.com.", 28), ("(https://example.com)", 25), ("example.com", 23), ("a.b.example.org/x", 23),
        ("Shop: example.com, now", 6 + 23 + 5), ("mail@example.com", 16), ("1.5 kg", 6), ("No.Space", 8),
        ("https://a.co https://b.co", 47), ("e.g. this", 9),
    ],
)  # fmt: skip
def test_x_weighs_letters(text: str, length: int) -> None:
    assert weighted_length("x", text) == length


def test_elsewhere_postiz_counts_as_its_language_does() -> None:
    assert weighted_length("tiktok", "漢🙂a") == 4
    assert weighted_length("threads", "https://example.com") == 19


@pytest.mark.parametrize("identifier", NETWORKS)
def test_the_longest_caption_fits_and_no_more(identifier: str) -> None:
    limit = NETWORKS[identifier].limit
    media = {"pinterest": [VIDEO, IMAGE]}.get(identifier, VIDEO)
    assert fields(identifier, "x" * limit, media) == []
    assert fields(identifier, "x" * (limit + 1), media) == ["caption"]


def test_the_channel_s_own_limit_comes_first() -> None:
    assert check("x", "x" * 4000, None, {}, max_length=4000) == []
    assert check("x", "x" * 300, None, {}) != []
    assert "takes 100 characters; the caption has 101" in check("facebook", "x" * 101, None, {}, 100)[0].sentence


def test_emoji_count_double_on_x() -> None:
    assert fields("x", "🙂" * 140) == []
    assert fields("x", "🙂" * 141) == ["caption"]


# Captions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "caption", ["🙂", "مرحبا بكم", "\u202bשלום\u202c", "I <3 you & me", "a\n\nb", "", "\u200f\u200fא"]
)
@pytest.mark.parametrize("identifier", ["tiktok", "x", "threads", "somewhere-new"])
def test_captions_of_all_kinds_are_fine(identifier: str, caption: str) -> None:
    assert fields(identifier, caption) == []


@pytest.mark.parametrize("caption", [" ", "\n\n", "\t \u00a0", "\u200b", "\u2800\u200b ", "\ufeff"])
def test_a_caption_of_blanks_is_none(caption: str) -> None:
    assert "nothing but blanks" in sentences("tiktok", caption)


def test_something_must_be_said_or_shown() -> None:
    assert "Write a caption, or add a clip." in sentences("threads", "", None)
    assert fields("threads", "", IMAGE) == []
    assert fields("threads", "Words alone", None) == []


@pytest.mark.parametrize("caption", ["a\0b", "a\x1bb", "a\x7f", "a\ud800b"])
def test_what_cannot_be_sent_is_said(caption: str) -> None:
    assert "invisible control character" in sentences("tiktok", caption)


def test_a_caption_larger_than_a_request_is_refused() -> None:
    assert "90 KiB" in sentences("facebook", "漢" * 40_000)


# Media ------------------------------------------------------------------------------------------------------------

MEDIA: list[tuple[str, Any, str]] = [
    ("tiktok", None, "TikTok needs an image or a video."),
    ("tiktok", [VIDEO, IMAGE], "one video alone, or only images"),
    ("tiktok", [VIDEO, VIDEO], "one video alone"),
    ("tiktok", [IMAGE, WIDE], ""),
    ("tiktok-business", [], "needs an image or a video"),
    ("instagram", None, "Instagram needs an image or a video."),
    ("instagram", [IMAGE] * 11, "at most 10 files; these are 11"),
    ("instagram", [IMAGE] * 10, ""),
    ("instagram-standalone", None, "needs an image or a video"),
    ("instagram-standalone", [IMAGE] * 11, ""),
    ("youtube", None, "exactly one MP4 video"),
    ("youtube", IMAGE, "exactly one MP4 video"),
    ("youtube", [VIDEO, VIDEO], "exactly one MP4 video"),
    ("youtube", VIDEO, ""),
    ("facebook", None, ""),
    ("x", None, ""),
    ("x", [IMAGE] * 4, ""),
    ("x", [IMAGE] * 5, "at most 4 files"),
    ("x", [VIDEO, IMAGE], "one video alone"),
    ("linkedin", [VIDEO, IMAGE], "one video alone"),
    ("linkedin-page", VIDEO, ""),
    ("pinterest", None, "needs an image or a video"),
    ("pinterest", VIDEO, "needs a cover image beside the video"),
    ("pinterest", [VIDEO, IMAGE], ""),
    ("pinterest", [VIDEO, VIDEO, IMAGE], "one video with its cover image"),
    ("pinterest", [IMAGE, WIDE], "images of one size only"),
    ("pinterest", [IMAGE] * 5, ""),
    ("pinterest", [IMAGE] * 6, "at most 5 files"),
    ("threads", [IMAGE] * 20, ""),
    ("somewhere-new", VIDEO, ""),
    ("somewhere-new", SOUND, "No network takes sound alone"),
    ("tiktok", MediaFacts("video", "video/quicktime", MIB), "Only MP4 videos and JPEG"),
    ("tiktok", MediaFacts("image", "image/avif", MIB), "Only MP4 videos and JPEG"),
    ("tiktok", MediaFacts("image", "image/webp", 10 * MIB), ""),
    ("tiktok", MediaFacts("image", "image/webp", 10 * MIB + 1), "10 MiB are the most"),
    ("tiktok", MediaFacts("video", "video/mp4", 1024 * MIB), ""),
    ("tiktok", MediaFacts("video", "video/mp4", 1024 * MIB + 1), "1,024 MiB are the most"),
    ("tiktok", MediaFacts("video", "video/mp4", 0), "The file is empty"),
]


@pytest.mark.parametrize(("identifier", "media", "sentence"), MEDIA)
def test_media_that_a_network_takes_or_not(identifier: str, media: Any, sentence: str) -> None:
    found = sentences(identifier, media=media)
    assert sentence in found
    assert bool(sentence) == bool(found)


def test_a_story_needs_media() -> None:
    assert "Facebook needs an image or a video for a story." in sentences("facebook", media=None, post_type="story")


def test_a_carousel_needs_images() -> None:
    assert "at least 2 images" in sentences("linkedin", media=IMAGE, post_as_images_carousel=True)
    assert fields("linkedin", media=[IMAGE, IMAGE], post_as_images_carousel=True) == []


# Settings ---------------------------------------------------------------------------------------------------------

SETTINGS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("tiktok", {"privacy_level": None}, ["privacy_level"]),
    ("tiktok", {"privacy_level": "FRIENDS"}, ["privacy_level"]),
    ("tiktok", {"title": "x" * 91}, ["title"]),
    ("tiktok", {"duet": "yes"}, ["duet"]),
    ("tiktok", {"autoAddMusic": True}, ["autoAddMusic"]),
    ("youtube", {"title": ""}, ["title"]),
    ("youtube", {"title": "  "}, ["title"]),
    ("youtube", {"title": "x"}, ["title"]),
    ("youtube", {"title": "x" * 100}, []),
    ("youtube", {"title": "x" * 101}, ["title"]),
    ("youtube", {"type": "secret"}, ["type"]),
    ("x", {"who_can_reply_post": "nobody"}, ["who_can_reply_post"]),
    ("x", {"community": "no address"}, ["community"]),
    ("x", {"community": "https://x.com/i/communities/1"}, []),
    ("facebook", {"url": "javascript:alert(1)"}, ["url"]),
    ("facebook", {"url": "https://["}, ["url"]),
    ("facebook", {"url": 7}, ["url"]),
    ("instagram", {"post_type": "reel"}, ["post_type"]),
    ("pinterest", {"board": None}, ["board"]),
    ("pinterest", {"board": ["b1"]}, ["board"]),
    ("pinterest", {"title": "x" * 101, "link": "https://example.com"}, ["title"]),
]


@pytest.mark.parametrize(("identifier", "answers", "wrong"), SETTINGS)
def test_settings_are_checked(identifier: str, answers: dict[str, Any], wrong: list[str]) -> None:
    media = {"pinterest": [VIDEO, IMAGE]}.get(identifier, VIDEO)
    assert fields(identifier, media=media, **answers) == wrong


def test_what_tiktok_gets_unless_somebody_says_otherwise() -> None:
    assert settings_of("tiktok", {"privacy_level": "SELF_ONLY", "title": "", "duet": True}) == {
        "__type": "tiktok",
        "privacy_level": "SELF_ONLY",
        "comment": False,
        "duet": True,
        "stitch": False,
        "brand_content_toggle": False,
        "brand_organic_toggle": False,
        "video_made_with_ai": False,
        "autoAddMusic": "no",
        "content_posting_method": "DIRECT_POST",
    }


def test_the_network_of_settings_cannot_be_typed() -> None:
    assert settings_of("x", {"__type": "tiktok"})["__type"] == "x"


@pytest.mark.parametrize("identifier", NETWORKS)
def test_what_is_right_here_is_right_at_postiz(identifier: str) -> None:
    """The least answers, checked by the server's own rules."""
    media = {"youtube": [VIDEO], "pinterest": [IMAGE]}.get(identifier, [IMAGE])
    assert fields(identifier, media=media) == []
    images = [{"id": "m", "path": f"https://cdn.example.com/a.{'mp4' if one is VIDEO else 'png'}"} for one in media]
    body = {
        "type": "schedule",
        "date": "2026-12-01T09:00:00.000Z",
        "shortLink": False,
        "tags": [],
        "posts": [
            {
                "integration": {"id": "c"},
                "value": [{"content": "Fresh bread", "image": images}],
                "settings": settings_of(identifier, ANSWERS.get(identifier, {})),
            }
        ],
    }
    channel = Channel("c", "Shop", identifier)
    assert list(misshapen(body, [channel])) == []
    assert refusal(body["posts"][0], channel, draft=False) is None


@pytest.mark.parametrize("identifier", NETWORKS)
def test_only_what_somebody_must_say_has_no_default(identifier: str) -> None:
    asked = {one.name for one in NETWORKS[identifier].fields if one.required and one.default is None}
    assert asked == set(ANSWERS.get(identifier, {}))


@pytest.mark.parametrize("one", [one for network in NETWORKS.values() for one in network.fields])
def test_defaults_are_among_the_choices(one: Field) -> None:
    assert one.default is None or one.kind == "bool" or one.default in one.choices
    assert bool(one.choices) == (one.kind == "choice")


# Networks that only the channel knows -------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "required": ["title", "subreddit", "nsfw", "kind"],
    "properties": {
        "__type": {"type": "string"},
        "title": {"type": "string", "minLength": 2, "maxLength": 300, "description": "Shown above the post"},
        "kind": {"enum": ["self", "link"]},
        "subreddit": {"type": "array", "items": {"type": "object"}},
        "nsfw": {"type": "boolean"},
        "mood": {"$ref": "#/definitions/Mood"},
        "homePage": {"type": "string", "format": "uri"},
        "extras": {"type": "object"},
        "odd": 7,
    },
    "definitions": {"Mood": {"type": "string", "enum": ["good", "bad"]}},
}


def test_a_schema_becomes_a_form() -> None:
    form = {one.name: one for one in from_schema(SCHEMA)}
    assert {name: one.kind for name, one in form.items()} == {
        "title": "text", "kind": "choice", "subreddit": "json", "nsfw": "bool", "mood": "choice", "homePage": "link",
        "odd": "text",
    }  # fmt: skip
    title = form["title"]
    assert (title.required, title.shortest, title.longest, title.help) == (True, 2, 300, "Shown above the post")
    assert form["nsfw"].default is False
    assert form["mood"].choices == {"good": "Good", "bad": "Bad"}
    assert form["homePage"].label == "Home page"


@pytest.mark.parametrize(
    "schema",
    [None, {}, {"properties": []}, {"properties": {"a": None}, "required": 7}, {"required": ["a", 1, None]},
     {"properties": {"a": {"enum": [1, None, ""], "minLength": "x", "default": []}}}],
)  # fmt: skip
def test_odd_schemas_ask_nothing_that_must_be_said(schema: Any) -> None:
    assert not any(one.required for one in from_schema(schema))


def test_answers_of_an_unknown_network_are_checked_and_sent() -> None:
    form = fields_of("reddit", Rules(settings=SCHEMA))
    answers = {"title": "Bread", "kind": "self", "subreddit": '[{"value": "bread"}]'}
    assert check("reddit", "Text", None, answers, fields=form) == []
    assert settings_of("reddit", answers, form)["subreddit"] == [{"value": "bread"}]
    wrong = check("reddit", "Text", None, {**answers, "kind": "poll", "subreddit": "bread"}, fields=form)
    assert [problem.field for problem in wrong] == ["kind", "subreddit"]


def test_a_known_network_asks_besides_what_its_channel_newly_needs() -> None:
    live = {"properties": {"privacy_level": {}, "agreed": {"type": "boolean"}, "mood": {}}, "required": ["agreed"]}
    names = [one.name for one in fields_of("tiktok", Rules(settings=live))]
    assert names == [*(one.name for one in NETWORKS["tiktok"].fields), "agreed"]


def test_networks_have_their_own_names() -> None:
    assert [label(one) for one in ("tiktok-business", "wrapcast", "gmb", "bluesky", "some-thing")] == [
        "TikTok", "Farcaster", "Google Business", "Bluesky", "Some thing",
    ]  # fmt: skip


def test_the_server_s_own_schemas_can_be_asked() -> None:
    """What the fake's settings endpoint says of its networks becomes a form without a gap."""
    from pydantic import SecretStr

    from services.publishing.postiz import Client

    with FakePostiz() as fake:
        fake.home.channels[:] = [Channel(name, "Shop", name) for name in NETWORKS]
        client = Client(fake.api, SecretStr(fake.key), private=True)
        for name in NETWORKS:
            needed = (client.rules(name).settings or {}).get("required", [])
            assert set(needed) <= {one.name for one in fields_of(name)}, name
