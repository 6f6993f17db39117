"""What Postiz and the networks do to a text: sanitizing, publishing, measuring."""

import re

KEPT = "p|br|strong|u|a|ul|li|h1|h2|h3|span"
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_KEPT_TAG = re.compile(rf"</?(?:{KEPT})(?:\s[^<>]*)?/?>")
_ENTITY = re.compile(r"&(?!(?:[a-zA-Z]+|#\d+);)")
_URL = re.compile(r"https?://\S+")


def sanitized(content: str) -> str:
    """As it is stored: text with a "<" passes a sanitizer that drops tags and escapes what is none."""
    if "<" not in content:
        return content
    pieces, at = [], 0
    for tag in _TAG.finditer(content):
        pieces += [_escaped(content[at : tag.start()]), tag.group() if _KEPT_TAG.fullmatch(tag.group()) else ""]
        at = tag.end()
    return "".join([*pieces, _escaped(content[at:])])


def _escaped(text: str) -> str:
    return _ENTITY.sub("&amp;", text).replace("<", "&lt;").replace(">", "&gt;")


def published(content: str) -> str:
    """What a network without markup shows: one line for each <p>; text without tags stays as it was stored."""
    if "<" not in content:
        return content
    return _unescaped(stripped(content.replace("</p>", "\n")).rstrip("\n"))


def _unescaped(text: str) -> str:
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&amp;", "&")):
        text = text.replace(entity, character)
    return text


def stripped(content: str) -> str:
    return _TAG.sub("", content)


def weighted(text: str) -> int:
    """Length on X: an address counts 23; Latin, Cyrillic and the like one, everything beyond two."""
    rest = _URL.sub("", text)
    return 23 * len(_URL.findall(text)) + sum(1 if _light(ord(letter)) else 2 for letter in rest)


def _light(code: int) -> bool:
    return code <= 4351 or 8192 <= code <= 8205 or 8208 <= code <= 8223 or 8242 <= code <= 8247
