"""Text as Postiz publishes it unchanged.

It keeps text without "<" byte for byte. Anything else goes through its HTML sanitizer, which only complete HTML
survives: one <p> a line, everything else escaped.
"""

import html
import re

PARAGRAPH_END = re.compile(r"</(?:p|h[123]|li)>|<br\s*/?>", re.IGNORECASE)
TAG = re.compile(r"</?[A-Za-z][^<>]*>")


def to_content(text: str) -> str:
    """What is sent, so that `text` is what readers see."""
    if "<" not in text:
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "".join(f"<p>{html.escape(line, quote=False)}</p>" for line in lines)


def plain(content: str) -> str:
    """The text of a listed post, whoever wrote it."""
    if "<" not in content:
        return content
    lines = PARAGRAPH_END.sub("\n", content)
    return html.unescape(TAG.sub("", lines)).rstrip("\n")
