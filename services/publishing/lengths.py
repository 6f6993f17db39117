"""How long a text is, as its network counts."""

import re
import unicodedata

X_URL = 23  # characters that a link counts on X, however long it is
X_LIGHT = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))  # code points that count one character; others two

TOP_LEVEL = (
    "com|org|net|edu|gov|info|biz|shop|store|online|site|app|dev|io|co|ai|tv|me|news|blog|xyz|link|live|[a-z]{2}"
)
URL = re.compile(
    rf"https?://[^\s<>\"]+[^\s<>\".,;:!?')\]]"
    rf"|(?<![\w@./-])(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?:{TOP_LEVEL})(?![\w@-])(?:/[^\s<>\"]*[^\s<>\".,;:!?')\]])?",
    re.IGNORECASE | re.ASCII,
)

PICTURE = "[©®‼⁉™ℹ↔-↪⌚-⏿Ⓜ▪-◾☀-➿⤴⤵⬅-⭕〰〽㊗㊙\U0001f000-\U0001faff]"
TONE = "[\U0001f3fb-\U0001f3ff]"
PART = f"{PICTURE}(?:\ufe0f|{TONE})?"
EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff]{2}"  # a flag
    "|[0-9#*]\ufe0f?\u20e3"  # a key
    "|\U0001f3f4[\U000e0061-\U000e007a]+\U000e007f"  # a region's flag
    f"|{PART}(?:\u200d{PART})+"  # joined, such as a family
    f"|[©®‼⁉™ℹ]\ufe0f|(?![©®‼⁉™ℹ]){PART}"
)


def weighted_length(identifier: str, text: str) -> int:
    """Characters of a text as that network, and Postiz for it, counts them.

    X counts a link as 23, an emoji and each letter of most Asian scripts as 2. Elsewhere Postiz counts UTF-16 units,
    in which most emoji are 2 or more.
    """
    return _of_x(text) if identifier == "x" else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _of_x(text: str) -> int:
    whole = unicodedata.normalize("NFC", text)
    without_links, links = URL.subn("", whole)
    rest, emoji = EMOJI.subn("", without_links)
    return links * X_URL + emoji * 2 + sum(map(_weight, rest))


def _weight(letter: str) -> int:
    return 1 if any(first <= ord(letter) <= last for first, last in X_LIGHT) else 2
