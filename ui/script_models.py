"""The models that may write: which there are, whether they can be asked, and which are about to be retired."""

from collections.abc import Iterable

import streamlit as st

from services import credentials
from services.profiles import Store
from services.scripts import models, practice
from ui import formats, script_words, session
from ui.session import Operator


def connected(operator: Operator, store: Store) -> bool:
    """Whether an account of the vendor is there for the store. The demo never uses one."""
    known = session.recently(operator, store)
    uses = credentials.choices(known, store.id).get("gemini", "none")
    if uses == "none" or operator.membership.is_demo:
        return False
    saved = (
        credentials.of_store(known, store.id) if uses == "own" else credentials.of_company(known, operator.account_id)
    )
    return any(one.provider == "gemini" and one.enabled for one in saved)


def titles(now: Iterable[str] = ()) -> dict[str, str]:
    """By id: what can be chosen, and the models that are chosen `now`."""
    offered = [practice.MODEL, *(model.id for model in models.usable(models.today()))]
    known = {practice.MODEL: "Practice writer (fixed rules, not AI: free)"}
    gone = [id_ for id_ in now if id_ not in offered]
    return {id_: known.get(id_) or script_words.model(id_) for id_ in [*offered, *gone]}


def warn(chosen: Iterable[str]) -> None:
    for model in dict.fromkeys(chosen):
        if sentence := models.warning(model, models.today()):
            st.warning(formats.plain(sentence), icon=":material/event_busy:")
