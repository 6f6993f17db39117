"""The fields of an assistant, each with its error beside it."""

from typing import Any, get_args

import streamlit as st

from services.scripts.assistants import SavedAssistant, Values
from services.scripts.phases import LONGEST_SCRIPT, PHASES, Assistant, PhaseModels
from services.scripts.writer import Thinking
from ui import forms, script_models, script_words, sections

LEVELS = {"": "As the model does by itself", **{level: level.capitalize() for level in get_args(Thinking)}}


def values_of(one: SavedAssistant) -> Values:
    known = {name: getattr(one, name) for name in Assistant.model_fields if name != "models"}
    assistant = Assistant.model_construct(**known, models=PhaseModels.model_validate(one.models))
    return Values.model_construct(assistant=assistant, external_id=one.external_id, template=one.template)


def ask(form: str, start: Values) -> tuple[dict[str, Any], dict[str, str]]:
    """What is typed, as `assistants.checked` takes it; and external id and template."""
    begun = start.assistant
    left, right = st.columns(2, gap="large")
    with left:
        typed = _style(form, begun)
    with right:
        typed |= _quality(form, begun)
    with st.expander("For another program", icon=":material/output:", expanded=bool(start.template)):
        extra = _export(form, start)
    return typed, extra


def _style(form: str, begun: Assistant) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    typed["name"] = st.text_input("Name", begun.name, **_named(form, "name"))
    forms.beside(f"{form}.name")
    typed["instructions"] = st.text_area(
        "Instructions", begun.instructions, height=180, help="How it shall write; up to 20,000 characters.",
        **_named(form, "instructions"),
    )  # fmt: skip
    forms.beside(f"{form}.instructions")
    typed["tone"] = st.text_input("Tone", begun.tone, placeholder="warm and short", **_named(form, "tone"))
    forms.beside(f"{form}.tone")
    typed["language"] = st.text_input(
        "Language", begun.language, help="A code such as en, de or pt-BR.", **_named(form, "language")
    )
    forms.beside(f"{form}.language")
    words = st.text_area("Banned words, one a line", "\n".join(begun.banned_words), height=100,
                         **_named(form, "banned_words"))  # fmt: skip
    forms.beside(f"{form}.banned_words")
    typed["language"] = typed["language"].strip()
    typed["banned_words"] = tuple(word.strip() for word in words.splitlines() if word.strip())
    return typed


def _quality(form: str, begun: Assistant) -> dict[str, Any]:
    chosen = _models(form, begun.models)
    level = st.selectbox("Thinking", list(LEVELS), index=list(LEVELS).index(begun.thinking or ""),
                         format_func=LEVELS.__getitem__, **_named(form, "thinking"),
                         help="More thinking costs more output tokens. Models without levels ignore it.")  # fmt: skip
    forms.beside(f"{form}.thinking")
    score = st.number_input("Good enough from (points of 100)", 0.0, 100.0, float(begun.target_score), 1.0, format="%g",
                            **_named(form, "target_score"))  # fmt: skip
    forms.beside(f"{form}.target_score")
    rounds = st.number_input("Rounds of improvement at most", 0, 10, begun.max_rounds, **_named(form, "max_rounds"))
    forms.beside(f"{form}.max_rounds")
    longest = st.number_input("Characters of a script at most", 100, LONGEST_SCRIPT, begun.max_characters, 100,
                              **_named(form, "max_characters"))  # fmt: skip
    forms.beside(f"{form}.max_characters")
    return {"models": chosen, "thinking": level or None, "target_score": score, "max_rounds": rounds,
            "max_characters": longest}  # fmt: skip


def _models(form: str, begun: PhaseModels) -> dict[str, str]:
    known = script_models.titles(begun.of(phase) for phase in PHASES)
    chosen = {}
    for phase in PHASES:
        chosen[phase] = st.selectbox(
            f"Model for {script_words.PHASES[phase].lower()}", list(known), index=list(known).index(begun.of(phase)),
            format_func=known.__getitem__, **_named(form, phase),
        )  # fmt: skip
    forms.beside(f"{form}.model", f"{form}.models")
    return chosen


def _export(form: str, start: Values) -> dict[str, str]:
    external = st.text_input("External id", start.external_id or "", help="Its name in that program, once a company.",
                             **_named(form, "external_id"))  # fmt: skip
    forms.beside(f"{form}.external_id")
    template = st.text_area(
        "Template of the injection file", start.template, height=120, **_named(form, "template"),
        help="Must hold {content}; knows {title}, {version}, {assistant}, {score} too. Empty: the text as it stands.",
    )  # fmt: skip
    forms.beside(f"{form}.template")
    return {"external_id": external.strip(), "template": template}


def _named(form: str, field: str) -> dict[str, Any]:
    return {"key": sections.key(form, field), "persist_state": "session"}
