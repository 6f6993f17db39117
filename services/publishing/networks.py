"""What each network takes, checked before anything is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.publishing.content import to_content
from services.publishing.fields import Field, filled, from_schema, trouble
from services.publishing.lengths import weighted_length
from services.publishing.vendor import Rules

__all__ = [
    "NETWORKS", "Field", "MediaFacts", "MediaRule", "Network", "Problem", "check", "fields_of", "from_schema", "label",
    "limit_of", "settings_of", "weighted_length",
]  # fmt: skip

MIB = 1024 * 1024
LARGEST_IMAGE = 10 * MIB
LARGEST_VIDEO = 1024 * MIB
IMAGES: Mapping[str, str] = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/webp": "WebP"}
VIDEO = "video/mp4"
LARGEST_CAPTION = 90 * 1024  # bytes as sent: Postiz takes requests of 100 KiB
INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u2800"
LONGEST_OTHERWISE = 100_000  # characters, where nobody knows a limit


@dataclass(frozen=True)
class MediaFacts:
    """What is known of a file. `type`: video, image or audio; `bytes` its size; `width` and `height` in pixels."""

    type: str
    mime: str
    bytes: int
    seconds: float | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class Problem:
    """`field`: caption, media or the name of a setting."""

    field: str
    sentence: str


@dataclass(frozen=True)
class MediaRule:
    """How many files a post takes. `unmixed`: one video alone, or only images. `cover`: a video needs an image."""

    least: int = 0
    most: int = 100
    unmixed: bool = False
    only_video: bool = False
    cover: bool = False
    same_size: bool = False


@dataclass(frozen=True)
class Network:
    label: str
    limit: int = LONGEST_OTHERWISE  # characters of a caption, as `weighted_length` counts them
    media: MediaRule = field(default_factory=MediaRule)
    fields: tuple[Field, ...] = ()


YES_NO = {"yes": "Yes", "no": "No"}
POST_TYPE = Field("post_type", "Kind of post", "choice", True, {"post": "Post", "story": "Story"}, "post")

TIKTOK = (
    Field(
        "privacy_level", "Who can see it", "choice", True,
        {"PUBLIC_TO_EVERYONE": "Everyone", "MUTUAL_FOLLOW_FRIENDS": "Friends",
         "FOLLOWER_OF_CREATOR": "Followers", "SELF_ONLY": "Only me"},
        help="TikTok wants this chosen for each post.",
    ),
    Field("title", "Title", "text", longest=90),
    Field("comment", "Allow comments", "bool", True, default=False),
    Field("duet", "Allow duets", "bool", True, default=False),
    Field("stitch", "Allow stitches", "bool", True, default=False),
    Field("brand_content_toggle", "Paid partnership", "bool", True, default=False,
          help="It promotes another company's brand."),
    Field("brand_organic_toggle", "Own brand", "bool", True, default=False, help="It promotes your own brand."),
    Field("video_made_with_ai", "Made with AI", "bool", default=False),
    Field("autoAddMusic", "Let TikTok add music", "choice", True, YES_NO, "no", help="Only for images."),
    Field(
        "content_posting_method", "How it is handed over", "choice", True,
        {"DIRECT_POST": "Post it", "UPLOAD": "Put it into the app's inbox"}, "DIRECT_POST",
        help="In the inbox somebody finishes it in TikTok's app; TikTok then ignores all settings but the title.",
    ),
)  # fmt: skip
INSTAGRAM = (
    POST_TYPE,
    Field("is_trial_reel", "Trial reel", "bool", default=False, help="Shown to people who do not follow you first."),
    Field("graduation_strategy", "When a trial reel is shown to all", "choice",
          choices={"MANUAL": "When somebody says so", "SS_PERFORMANCE": "When it does well"}),
)  # fmt: skip
YOUTUBE = (
    Field("title", "Title", "text", True, shortest=2, longest=100),
    Field("type", "Who can see it", "choice", True,
          {"public": "Everyone", "unlisted": "Whoever has the link", "private": "Only you"}, "public"),
    Field("selfDeclaredMadeForKids", "Made for kids", "choice", choices=YES_NO, default="no"),
)  # fmt: skip
X = (
    Field("who_can_reply_post", "Who can reply", "choice", True,
          {"everyone": "Everyone", "following": "Accounts you follow", "mentionedUsers": "Mentioned accounts",
           "subscribers": "Subscribers", "verified": "Verified accounts"}, "everyone"),
    Field("community", "Community", "link", help="Such as https://x.com/i/communities/1493446837214187523."),
    Field("made_with_ai", "Made with AI", "bool", default=False),
    Field("paid_partnership", "Paid partnership", "bool", default=False),
)  # fmt: skip
LINKEDIN = (
    Field("post_as_images_carousel", "Show the images as a carousel", "bool", default=False),
    Field("carousel_name", "Name of the carousel", "text"),
)
PINTEREST = (
    Field("board", "Board", "tool", True, tool="boards"),
    Field("title", "Title", "text", longest=100),
    Field("link", "Link", "link"),
    Field("dominant_color", "Dominant colour", "text", help="Such as #aa3300."),
)
FACEBOOK = (POST_TYPE, Field("url", "Link", "link"))

ANY_UNMIXED = MediaRule(least=1, unmixed=True)
NETWORKS: Mapping[str, Network] = {
    "tiktok": Network("TikTok", 2000, ANY_UNMIXED, TIKTOK),
    "tiktok-business": Network("TikTok", 2200, ANY_UNMIXED, TIKTOK),
    "instagram": Network("Instagram", 2200, MediaRule(least=1, most=10), INSTAGRAM),
    "instagram-standalone": Network("Instagram", 2200, MediaRule(least=1), INSTAGRAM),
    "youtube": Network("YouTube", 5000, MediaRule(least=1, most=1, only_video=True), YOUTUBE),
    "facebook": Network("Facebook", 63_206, MediaRule(), FACEBOOK),
    "x": Network("X", 280, MediaRule(most=4, unmixed=True), X),
    "linkedin": Network("LinkedIn", 3000, MediaRule(unmixed=True), LINKEDIN),
    "linkedin-page": Network("LinkedIn page", 3000, MediaRule(unmixed=True), LINKEDIN),
    "pinterest": Network("Pinterest", 500, MediaRule(least=1, most=5, cover=True, same_size=True), PINTEREST),
    "threads": Network("Threads", 500),
}
OTHERS: Mapping[str, str] = {
    "devto": "DEV", "gmb": "Google Business", "vk": "VK", "whop": "Whop", "wordpress": "WordPress",
    "wrapcast": "Farcaster",
}  # fmt: skip


def network(identifier: str) -> Network:
    """That network; of one we do not know, what holds for all."""
    return NETWORKS.get(identifier) or Network(OTHERS.get(identifier) or identifier.replace("-", " ").capitalize())


def label(identifier: str) -> str:
    """What people call it."""
    return network(identifier).label


def limit_of(identifier: str, max_length: int | None = None) -> int:
    """The longest caption; what the channel itself says (`Rules.max_length`) comes first."""
    return max_length or network(identifier).limit


def fields_of(identifier: str, rules: Rules | None = None) -> tuple[Field, ...]:
    """What is asked for a post there: our own form, and what the channel itself needs beyond it."""
    own = network(identifier).fields
    known = {one.name for one in own}
    live = from_schema(rules.settings) if rules else []
    return own + tuple(one for one in live if one.name not in known and (one.required or not own))


def settings_of(identifier: str, values: Mapping[str, Any], fields: Sequence[Field] | None = None) -> dict[str, Any]:
    """The answers as they are sent, with defaults; `fields` as `fields_of` has them, where the channel was asked."""
    return {**filled(network(identifier).fields if fields is None else fields, values), "__type": identifier}


def check(
    identifier: str,
    caption: str,
    media: MediaFacts | Sequence[MediaFacts] | None,
    settings: Mapping[str, Any],
    max_length: int | None = None,
    fields: Sequence[Field] | None = None,
) -> list[Problem]:
    """Everything that is wrong with a post, in the order of the form; [] where it can be sent.

    `max_length` and `fields` are what the channel itself says, as far as it was asked.
    """
    files = [media] if isinstance(media, MediaFacts) else list(media or ())
    asked = network(identifier).fields if fields is None else fields
    return [
        *(Problem("caption", sentence) for sentence in _caption(identifier, caption, files, max_length)),
        *(Problem("media", sentence) for sentence in _media(identifier, files, settings)),
        *_settings(asked, settings),
    ]


# Captions ---------------------------------------------------------------------------------------------------------


def _caption(identifier: str, caption: str, files: Sequence[MediaFacts], max_length: int | None) -> list[str]:
    if any(_unsendable(letter) for letter in caption):
        return ["The caption has an invisible control character. Type it again, or paste it as plain text."]
    if not caption.strip().strip(INVISIBLE).strip():
        return _blank(caption, files)
    limit, length = limit_of(identifier, max_length), weighted_length(identifier, caption)
    if length > limit:
        return [f"{label(identifier)} takes {limit:,} characters; the caption has {length:,}. Shorten it."]
    if len(to_content(caption).encode()) > LARGEST_CAPTION:
        return ["The caption is larger than Postiz takes (90 KiB). Shorten it."]
    return []


def _unsendable(letter: str) -> bool:
    return (ord(letter) < 32 and letter not in "\n\r\t") or letter == "\x7f" or "\ud800" <= letter <= "\udfff"


def _blank(caption: str, files: Sequence[MediaFacts]) -> list[str]:
    if caption:
        return ["The caption has nothing but blanks. Write something, or leave it empty."]
    return [] if files else ["Write a caption, or add a clip."]


# Media ------------------------------------------------------------------------------------------------------------


def _media(identifier: str, files: Sequence[MediaFacts], settings: Mapping[str, Any]) -> list[str]:
    unfit = [sentence for one in files if (sentence := _file(one))]
    if unfit:
        return list(dict.fromkeys(unfit))
    name, rule = label(identifier), network(identifier).media
    number = _number(name, rule, files, story=settings.get("post_type") == "story")
    return [number] if number else _together(name, rule, files, settings)


def _file(one: MediaFacts) -> str | None:
    """What Postiz itself does not take, whatever the network."""
    if one.type == "audio" or one.mime.startswith("audio/"):
        return "No network takes sound alone. Put it on a video or an image first."
    if one.mime != VIDEO and one.mime not in IMAGES:
        return "Only MP4 videos and JPEG, PNG, GIF and WebP images can be published. Convert the file first."
    if one.bytes <= 0:
        return "The file is empty. Upload it again."
    largest = LARGEST_VIDEO if one.mime == VIDEO else LARGEST_IMAGE
    if one.bytes <= largest:
        return None
    kind = "video" if one.mime == VIDEO else "image"
    return f"The {kind} has {one.bytes / MIB:,.1f} MiB; {largest // MIB:,} MiB are the most. Make it smaller."


def _number(name: str, rule: MediaRule, files: Sequence[MediaFacts], *, story: bool) -> str | None:
    if rule.only_video and (len(files) != 1 or files[0].mime != VIDEO):
        return f"{name} takes exactly one MP4 video."
    if len(files) < max(rule.least, int(story)):
        return f"{name} needs an image or a video{' for a story' if story and not rule.least else ''}."
    return f"{name} takes at most {rule.most} files; these are {len(files)}." if len(files) > rule.most else None


def _together(name: str, rule: MediaRule, files: Sequence[MediaFacts], settings: Mapping[str, Any]) -> list[str]:
    videos = sum(one.mime == VIDEO for one in files)
    images = len(files) - videos
    found = {
        f"{name} takes one video alone, or only images.": rule.unmixed and videos > 0 and len(files) > 1,
        f"{name} needs a cover image beside the video.": rule.cover and videos > 0 and images == 0,
        f"{name} takes one video with its cover image, or only images.": rule.cover and videos > 1,
        f"{name} takes images of one size only.": rule.same_size and not videos and len(_sizes(files)) > 1,
        "A carousel needs at least 2 images.": settings.get("post_as_images_carousel") is True and images < 2,
    }
    return [sentence for sentence, wrong in found.items() if wrong]


def _sizes(files: Sequence[MediaFacts]) -> set[tuple[int | None, int | None]]:
    return {(one.width, one.height) for one in files}


# Settings ---------------------------------------------------------------------------------------------------------


def _settings(fields: Sequence[Field], settings: Mapping[str, Any]) -> list[Problem]:
    answers = filled(fields, settings)
    found = ((one.name, trouble(one, answers.get(one.name))) for one in fields)
    return [Problem(name, sentence) for name, sentence in found if sentence]
