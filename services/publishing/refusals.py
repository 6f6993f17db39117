"""Postiz' refusals, which come in four shapes, in sentences that say what to do."""

import re
from collections.abc import Mapping
from typing import Any

from services.errors import Allowance, PublishingRefused
from services.publishing.networks import label

LONGEST = 300  # characters of the vendor's own words that are shown
ENTRY = re.compile(r"posts\.([0-9]{1,3})\.(?:settings\.|value\.[0-9]+\.)?")
CHANNEL = re.compile(r"Integration with id (\S{1,200}) not found")

# The vendor's words, as they begin, and what they mean to an operator.
TOO_LARGE = "The file is larger than Postiz takes: 10 MiB for an image, 1 GiB for a video. Make it smaller."
KNOWN: Mapping[str, str] = {
    "Unsupported file type": "Postiz does not take a file of this type. It takes JPEG, PNG, GIF and WebP images and "
    "MP4 videos; convert it first.",
    "File size exceeds": TOO_LARGE,
    "File is too large": TOO_LARGE,
    "No file provided": "Postiz found no file in the upload. A proxy before it may have removed it.",
    "Post not found": "Postiz does not have this post any more. It was deleted there.",
    "Integration not found": "Postiz does not have this channel any more. Pin another one in the settings.",
    "All posts must have an integration id": "Postiz could not read the request. A proxy before it may have changed "
    "it.",
}


def refusal(status: int, body: Mapping[str, Any], allowance: Allowance | None) -> PublishingRefused:
    """What a refusal of this status means; it names the entry, the channel or the network as far as `body` does."""
    words = _messages(body)
    provider, name = body.get("provider"), body.get("name")
    if isinstance(provider, str) and provider:
        return _of_network(_clean(provider), _clean(name), words, allowance)
    if status == 402:
        sentence = f"The plan at Postiz does not cover it; raise it there. {_quoted(words)}".strip()
        return PublishingRefused(sentence, allowance=allowance)
    missing = CHANNEL.match(words[0]) if words else None
    if missing:
        sentence = f"Postiz does not have the channel {missing[1]} any more. Pin another one in the settings."
        return PublishingRefused(sentence, channel=missing[1], allowance=allowance)
    return _of_entry(status, words, allowance)


def _of_network(provider: str, name: str, words: list[str], allowance: Allowance | None) -> PublishingRefused:
    whose = f" ({name})" if name else ""
    reason = _clean("; ".join(words)) or "it gave no reason"
    sentence = f"{label(provider)}{whose} does not take the post: {reason}."
    return PublishingRefused(sentence, provider=provider, channel_name=name or None, allowance=allowance)


def _of_entry(status: int, words: list[str], allowance: Allowance | None) -> PublishingRefused:
    """Of several entries the first that is named: the others show once that one is mended."""
    found = [match for match in map(ENTRY.match, words) if match]
    if not found:
        return PublishingRefused(_known(words) or _generic(status, words), allowance=allowance)
    index = int(found[0][1])
    own = [match.string[match.end() :] for match in found if int(match[1]) == index]
    sentence = f"Postiz does not take the post: {_clean('; '.join(own))}."
    return PublishingRefused(sentence, index=index, allowance=allowance)


def _known(words: list[str]) -> str | None:
    return next((sentence for start, sentence in KNOWN.items() if words and words[0].startswith(start)), None)


def _generic(status: int, words: list[str]) -> str:
    return f"Postiz refused it (status {status}). {_quoted(words)}".strip()


def _quoted(words: list[str]) -> str:
    return f"Postiz says: “{_clean('; '.join(words))}”." if words else ""


def _messages(body: Mapping[str, Any]) -> list[str]:
    """`message` is a list or one text; some refusals have `msg` instead."""
    said = body.get("message") or body.get("msg") or body.get("error")
    several = said if isinstance(said, list) else [said]
    return [text for text in several if isinstance(text, str) and text.strip()]


def _clean(text: Any) -> str:
    """Without what no database or page takes, and not endless."""
    kept = "".join(letter if letter.isprintable() else " " for letter in text) if isinstance(text, str) else ""
    return kept.strip()[:LONGEST].rstrip(". ")
