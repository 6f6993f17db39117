"""What a network asks for beside the words: who may see it, a title, a board."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from services.publishing import networks
from services.publishing.networks import Field
from services.publishing.rules import LiveRules
from services.publishing.vendor import Rules


def fields(identifier: str, live: LiveRules) -> tuple[Field, ...]:
    """What is asked for a post there, by us and by the channel itself."""
    return networks.fields_of(identifier, Rules(settings=live.settings))


def needs(asked: Sequence[Field]) -> bool:
    """Whether something must be answered that has no default."""
    return any(field.required and field.default is None for field in asked)


def ask(form: str, asked: Sequence[Field], live: LiveRules, saved: Mapping[str, Any]) -> dict[str, Any]:
    """The answers; what is left empty is left out."""
    answers = {}
    ticks = st.container(horizontal=True)
    for field in asked:
        with ticks if field.kind == "bool" else st.container():
            answers[field.name] = _one(f"{form}_{field.name}", field, live, saved.get(field.name))
    return {name: value for name, value in answers.items() if value not in (None, "")}


def _one(key: str, field: Field, live: LiveRules, saved: object) -> Any:
    label = field.label + (" (needed)" if field.required and field.default is None else "")
    first = field.default if saved is None else saved
    if field.kind == "bool":
        return st.checkbox(label, bool(first), key=key, help=field.help or None, persist_state="session")
    if field.kind in ("choice", "tool"):
        return _chosen(key, label, field, live, first)
    typed = first if isinstance(first, str) or not first else json.dumps(first, ensure_ascii=False)
    return st.text_input(label, str(typed or ""), key=key, help=field.help or None, persist_state="session")


def _chosen(key: str, label: str, field: Field, live: LiveRules, first: object) -> Any:
    offered = dict(live.choices.get(field.name, [])) if field.kind == "tool" else dict(field.choices)
    if not offered:
        st.warning(f"{field.label}: the network's list is not here yet. Ask for it below.", icon=":material/sync:")
    ids = list(offered)
    return st.selectbox(
        label,
        ids,
        index=ids.index(str(first)) if first in offered else None,
        format_func=lambda id_: offered.get(id_, id_),
        key=key,
        help=field.help or None,
        persist_state="session",
        placeholder="Choose one",
    )
