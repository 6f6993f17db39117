"""What Postiz asks of an entry of POST /posts: the shape of the request, each network's settings, media and length."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tests.fakes.postiz_text import stripped, weighted
from tests.fakes.postiz_wire import Channel, instant

POSTABLE = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".mp4")
EMPTY = "Your post should have at least one character or one image."
TOO_LONG = "post is too long, please fix it"


class Setting(NamedTuple):
    """`kind`: text, choice, bool, list or object. `least` and `most`: characters of a text."""

    name: str
    kind: str = "text"
    choices: tuple[str, ...] = ()
    required: bool = False
    least: int = 0
    most: int | None = None

    def problem(self, value: Any) -> str | None:
        if value is None:
            return self._wrong() if self.required else None
        return None if self._fits(value) else self._wrong()

    def _fits(self, value: Any) -> bool:
        if self.kind == "choice":
            return value in self.choices
        if self.kind == "text":
            return isinstance(value, str) and self.least <= len(value) <= (self.most or len(value))
        return isinstance(value, {"bool": bool, "list": list, "object": dict}[self.kind])

    def _wrong(self) -> str:
        if self.kind == "choice":
            return f"{self.name} must be one of the following values: {', '.join(self.choices)}"
        if self.most is not None:
            return f"{self.name} must be longer than or equal to {self.least} and at most {self.most} characters"
        kinds = {"bool": "a boolean value", "text": "a string", "list": "an array", "object": "an object"}
        return f"{self.name} must be {kinds[self.kind]}"

    def schema(self) -> dict[str, Any]:
        if self.kind == "choice":
            return {"type": "string", "enum": list(self.choices)}
        kind = {"bool": "boolean", "text": "string", "list": "array", "object": "object"}[self.kind]
        limits = {"minLength": self.least or None, "maxLength": self.most}
        return {"type": kind, **{name: value for name, value in limits.items() if value}}


PRIVACY = ("PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "FOLLOWER_OF_CREATOR", "SELF_ONLY")
REPLIES = ("everyone", "following", "mentionedUsers", "subscribers", "verified")
YES_NO = ("yes", "no")
POST_TYPE = ("post", "story")
TIKTOK = (
    Setting("title", most=90),
    Setting("privacy_level", "choice", PRIVACY, required=True),
    *(
        Setting(name, "bool", required=True)
        for name in ("duet", "stitch", "comment", "brand_content_toggle", "brand_organic_toggle")
    ),
    Setting("autoAddMusic", "choice", YES_NO, required=True),
    Setting("content_posting_method", "choice", ("DIRECT_POST", "UPLOAD"), required=True),
    Setting("video_made_with_ai", "bool"),
)
INSTAGRAM = (
    Setting("post_type", "choice", POST_TYPE, required=True),
    Setting("is_trial_reel", "bool"),
    Setting("graduation_strategy", "choice", ("MANUAL", "SS_PERFORMANCE")),
    Setting("collaborators", "list"),
    Setting("audio", "object"),
)
LINKEDIN = (Setting("post_as_images_carousel", "bool"), Setting("carousel_name"))
SETTINGS: Mapping[str, tuple[Setting, ...]] = {
    "tiktok": TIKTOK,
    "tiktok-business": (*TIKTOK, Setting("music", "object"), Setting("location", "object")),
    "instagram": INSTAGRAM,
    "instagram-standalone": INSTAGRAM,
    "youtube": (
        Setting("title", required=True, least=2, most=100),
        Setting("type", "choice", ("public", "private", "unlisted"), required=True),
        Setting("selfDeclaredMadeForKids", "choice", YES_NO),
        Setting("thumbnail", "object"),
        Setting("tags", "list"),
    ),
    "facebook": (Setting("post_type", "choice", POST_TYPE), Setting("url"), Setting("text_format_preset_id")),
    "x": (
        Setting("who_can_reply_post", "choice", REPLIES, required=True),
        Setting("community"),
        Setting("made_with_ai", "bool"),
        Setting("paid_partnership", "bool"),
        Setting("post_type", "choice", ("post", "article")),
        Setting("article_title"),
        Setting("article_status", "choice", ("draft", "published")),
    ),
    "linkedin": LINKEDIN,
    "linkedin-page": LINKEDIN,
    "pinterest": (
        Setting("board", required=True, least=1),
        Setting("title", most=100),
        Setting("link"),
        Setting("dominant_color"),
    ),
}
LIMITS = {
    "tiktok": 2000,
    "tiktok-business": 2200,
    "instagram": 2200,
    "instagram-standalone": 2200,
    "youtube": 5000,
    "facebook": 63206,
    "x": 280,
    "linkedin": 3000,
    "linkedin-page": 3000,
    "pinterest": 500,
    "threads": 500,
}
OTHER_LIMIT = 10_000  # characters on networks that are not in the table


def schema(identifier: str) -> dict[str, Any] | str:
    fields = SETTINGS.get(identifier)
    if not fields:
        return "No additional settings required"
    properties = {each.name: each.schema() for each in fields}
    required = [each.name for each in fields if each.required]
    return {"type": "object", "properties": properties, "required": required}


# The shape of the request -------------------------------------------------------------------------------------


def misshapen(body: dict[str, Any], channels: list[Channel]) -> list[str]:
    """Every message of the validation, with its dotted path; drafts are validated as well."""
    entries = list(zip(body["posts"], channels, strict=True))
    listed = [f"posts.{index}.{message}" for index, (entry, to) in enumerate(entries) for message in _entry(entry, to)]
    return [*_head(body), *listed]


def _head(body: dict[str, Any]) -> Iterator[str]:
    try:
        instant(body["date"])
    except (KeyError, TypeError, ValueError):
        yield "date must be a valid ISO 8601 date string"
    if body.get("shortLink") is None:
        yield "shortLink must be a boolean value"
    if not isinstance(body.get("tags"), list):
        yield "tags must be an array"


def _entry(entry: dict[str, Any], channel: Channel) -> Iterator[str]:
    messages = entry.get("value")
    if not isinstance(messages, list):
        yield "value must be an array"
    elif not messages:
        yield "value must contain at least 1 elements"
    else:
        for index, message in enumerate(messages):
            yield from (f"value.{index}.{problem}" for problem in _message(message))
    if entry.get("type") != "draft":
        yield from (f"settings.{problem}" for problem in settings_problems(entry, channel))


def _message(message: Any) -> Iterator[str]:
    if not isinstance(message, dict):
        yield "must be an object"
        return
    if not isinstance(message.get("content"), str):
        yield "content must be a string"
    images = message.get("image")
    if not isinstance(images, list):
        yield "image must be an array"
        return
    for index, image in enumerate(images):
        yield from (f"image.{index}.{problem}" for problem in _image(image))


def _image(image: Any) -> Iterator[str]:
    values = image if isinstance(image, dict) else {}
    if not isinstance(values.get("id"), str):
        yield "id must be a string"
    if not isinstance(values.get("path"), str):
        yield "path must be a string"
    elif not values["path"].split("?")[0].endswith(POSTABLE):
        yield f"path must end in one of: {', '.join(POSTABLE)}"


def settings_problems(entry: dict[str, Any], channel: Channel) -> list[str]:
    chosen = entry.get("settings")
    chosen = chosen if isinstance(chosen, dict) else {}
    fields = SETTINGS.get(channel.identifier, ())
    if chosen.get("post_type") == "article":
        fields = tuple(_for_article(each) for each in fields)
    return [problem for each in fields if (problem := each.problem(chosen.get(each.name)))]


def _for_article(setting: Setting) -> Setting:
    required = {"who_can_reply_post": False, "article_title": True, "article_status": True}
    return setting._replace(required=required.get(setting.name, setting.required))


# The provider's checks: the first failure only ----------------------------------------------------------------


def refusal(entry: dict[str, Any], channel: Channel, draft: bool) -> str | None:
    root = entry["value"][0]
    if not stripped(root["content"]).strip() and not root["image"]:
        return EMPTY
    if draft or entry.get("type") == "draft":
        return None
    rule = MEDIA_RULES.get(channel.identifier)
    paths = [image["path"] for image in root["image"]]
    problem = rule(paths, entry.get("settings") or {}) if rule else None
    return problem or _length_problem(entry, channel.identifier)


def _length_problem(entry: dict[str, Any], identifier: str) -> str | None:
    measure = weighted if identifier == "x" else len
    limit = LIMITS.get(identifier, OTHER_LIMIT)
    too_long = any(measure(stripped(message["content"])) > limit for message in entry["value"])
    return TOO_LONG if too_long else None


def _videos(paths: list[str]) -> int:
    return sum("mp4" in path for path in paths)


def _tiktok(paths: list[str], settings: dict[str, Any]) -> str | None:
    if not paths:
        return "No video / images selected"
    return "Only one video, or only images" if _videos(paths) and len(paths) > 1 else None


def _instagram(paths: list[str], settings: dict[str, Any]) -> str | None:
    if not paths:
        return "Should have at least one media"
    return "Should have at most 10 media" if len(paths) > 10 else None


def _standalone(paths: list[str], settings: dict[str, Any]) -> str | None:
    return None if paths else "Should have at least one media"


def _youtube(paths: list[str], settings: dict[str, Any]) -> str | None:
    return None if len(paths) == 1 and _videos(paths) else "You need one video"


def _facebook(paths: list[str], settings: dict[str, Any]) -> str | None:
    return "A story needs media" if settings.get("post_type") == "story" and not paths else None


def _linkedin(paths: list[str], settings: dict[str, Any]) -> str | None:
    if settings.get("post_as_images_carousel") and (len(paths) < 2 or _videos(paths)):
        return "A carousel needs at least 2 images"
    return "A video cannot be combined with other media" if _videos(paths) and len(paths) > 1 else None


def _pinterest(paths: list[str], settings: dict[str, Any]) -> str | None:
    if not 1 <= len(paths) <= 5:
        return "Requires 1 to 5 media"
    if _videos(paths) and len(paths) != 2:
        return "If posting a video you have to also include a cover image as second media"
    return None


MEDIA_RULES: Mapping[str, Callable[[list[str], dict[str, Any]], str | None]] = {
    "tiktok": _tiktok,
    "tiktok-business": _tiktok,
    "instagram": _instagram,
    "instagram-standalone": _standalone,
    "youtube": _youtube,
    "facebook": _facebook,
    "linkedin": _linkedin,
    "linkedin-page": _linkedin,
    "pinterest": _pinterest,
}
