"""What networks ask beside text and media, as forms."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

Kind = Literal["choice", "text", "link", "bool", "tool", "json"]
LONGEST = 10_000  # characters of an answer, where nobody says


@dataclass(frozen=True)
class Field:
    """An answer that a network asks for; with a default nobody has to be asked.

    `choices`: value to words. A "tool" field is chosen from what the channel's tool of the name `tool` lists; "json"
    holds a list or an object, typed as JSON.
    """

    name: str
    label: str
    kind: Kind
    required: bool = False
    choices: Mapping[str, str] = field(default_factory=dict)
    default: Any = None
    help: str = ""
    shortest: int = 0  # characters
    longest: int = LONGEST
    tool: str = ""


def filled(fields: Sequence[Field], values: Mapping[str, Any]) -> dict[str, Any]:
    """The answers, with defaults in place of those that are missing; empty ones are left out."""
    defaults = {one.name: one.default for one in fields}
    answers = {**defaults, **{name: value for name, value in values.items() if value is not None}}
    read = {one.name for one in fields if one.kind == "json"}
    told = {name: _parsed(value) if name in read else value for name, value in answers.items()}
    return {name: value for name, value in told.items() if value is not None and value != ""}


def trouble(one: Field, value: Any) -> str | None:
    """What is wrong with an answer (None: not given), as a sentence."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return f"{one.label} is needed." if one.required else None
    return _CHECKS[one.kind](one, value)


def from_schema(schema: Mapping[str, Any] | None) -> list[Field]:
    """The form of a JSON schema, as Postiz has one for each network; what cannot be asked and need not is left out."""
    properties = _mapping(schema, "properties")
    needed = (schema or {}).get("required")
    required = {name for name in needed if isinstance(name, str)} if isinstance(needed, list) else set()
    asked = {name: _resolved(one, schema or {}) for name, one in properties.items() if name != "__type"}
    found = (_of_schema(name, one, name in required) for name, one in asked.items())
    return [one for one in found if one.required or one.kind != "json"]


def _of_schema(name: str, one: Mapping[str, Any], required: bool) -> Field:
    words = one.get("description")
    return Field(
        name=name,
        label=_words(name),
        kind=_kind(one),
        required=required,
        choices={value: _words(value) for value in _choices(one)},
        default=False if one.get("type") == "boolean" and required else _default(one),
        help=words if isinstance(words, str) else "",
        shortest=_whole(one.get("minLength"), 0),
        longest=_whole(one.get("maxLength"), LONGEST),
    )


def _kind(one: Mapping[str, Any]) -> Kind:
    if _choices(one):
        return "choice"
    if one.get("type") == "boolean":
        return "bool"
    if one.get("type") in ("array", "object"):
        return "json"
    return "link" if one.get("format") in ("uri", "url") else "text"


def _choices(one: Mapping[str, Any]) -> list[str]:
    known = one.get("enum")
    return [value for value in known if isinstance(value, str) and value] if isinstance(known, list) else []


def _default(one: Mapping[str, Any]) -> Any:
    value = one.get("default")
    return value if isinstance(value, str | bool) else None


def _resolved(one: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part of the schema, or the definition that it points to."""
    part = one if isinstance(one, dict) else {}
    target = str(part.get("$ref", "")).rpartition("/")[2]
    pointed = _mapping(schema, "definitions").get(target) or _mapping(schema, "$defs").get(target)
    return pointed if isinstance(pointed, dict) else part


def _mapping(schema: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    part = (schema or {}).get(name)
    return part if isinstance(part, dict) else {}


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else otherwise


def _words(name: str) -> str:
    spaced = "".join(f" {letter.lower()}" if letter.isupper() and name != name.upper() else letter for letter in name)
    return spaced.replace("_", " ").replace("-", " ").strip().lower().capitalize()


def _parsed(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


# What each kind asks of an answer -------------------------------------------------------------------------------


def _choice(one: Field, value: Any) -> str | None:
    if value in one.choices:
        return None
    return f"{one.label}: choose one of {', '.join(one.choices.values())}."


def _text(one: Field, value: Any) -> str | None:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return f"{one.label} must be text."
    length = len(str(value).strip())
    if length < one.shortest:
        return f"{one.label} must have at least {one.shortest} characters."
    return f"{one.label} has {length} characters; {one.longest} are allowed." if length > one.longest else None


def _link(one: Field, value: Any) -> str | None:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or "." not in (parts.hostname or "") or " " in value:
        return f"{one.label} must be a web address such as https://example.com/page."
    return _text(one, value)


def _bool(one: Field, value: Any) -> str | None:
    return None if isinstance(value, bool) else f"{one.label} must be yes or no."


def _structure(one: Field, value: Any) -> str | None:
    return None if isinstance(_parsed(value), list | dict) else f"{one.label} must be a list or an object in JSON."


_CHECKS = {"choice": _choice, "text": _text, "link": _link, "bool": _bool, "tool": _text, "json": _structure}
