"""An assistant's versions: which one counts, what each gained and cost, one of them opened, two side by side."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import streamlit as st

from services.profiles import Store
from services.scripts import assistants, versions
from services.scripts.assistants import SavedAssistant
from services.scripts.versions import Listed
from ui import formats, pager, script_address, script_compare, script_version, script_words, session
from ui.script_address import AGAINST, VERSION, WRITE
from ui.session import Operator

PAGE = 50


def show(operator: Operator, store: Store) -> None:
    known = assistants.every(session.recently(operator, store), store.id)
    if not known:
        st.info("No assistant writes for this store yet, so there are no versions.", icon=":material/history_edu:")
        return
    assistant = script_address.assistant(known, "script_versions")
    if assistant is None:
        return
    after = pager.after("script_versions", assistant.id)
    found = versions.listed(operator.database, assistant.id, limit=PAGE + 1, after=after)
    page = found[:PAGE]
    if not page:
        _empty()
        return
    _table(found, store)
    pager.buttons("script_versions", page[-1].number if len(found) > PAGE else None)
    _one(operator, store, assistant, page)


def _empty() -> None:
    st.info("No version yet. A run that completes makes one.", icon=":material/history:")
    st.button("Write a script", on_click=script_address.go, args=(WRITE,), icon=":material/history_edu:")


def _table(found: Sequence[Listed], store: Store) -> None:
    before = {one.id: earlier for one, earlier in pairwise(found)}
    rows = [_row(one, before.get(one.id), store) for one in found[:PAGE]]
    st.dataframe(rows, hide_index=True, alt="The assistant's versions, the latest first")
    st.caption("A version's cost is that of its run; a point gained is counted against the version before.")


def _row(one: Listed, before: Listed | None, store: Store) -> dict[str, object]:
    point = versions.cost_a_point(before, one) if before else None
    return {
        "Version": one.name,
        "State": script_words.VERSIONS[one.status],
        "Title": one.title,
        "Score": None if one.final_score is None else float(one.final_score),
        "Cost": _usd(one.cost_usd),
        "A point gained": "" if point is None else _usd(point),
        "Rounds": one.iterations,
        "Made": formats.moment(one.created_at, store.timezone),
        "Notes": one.notes,
    }


def _usd(amount: Decimal) -> str:
    return "free" if amount == 0 else formats.usd(amount)


def _one(operator: Operator, store: Store, assistant: SavedAssistant, found: Sequence[Listed]) -> None:
    """The version that the address names, else the deployed one, else the latest."""
    deployed = next((one for one in found if one.status == "deployed"), None)
    left, right = st.columns(2)
    with left:
        chosen = _choose("Version", VERSION, found, deployed or found[0])
    others = [one for one in found if one.id != chosen.id]
    with right:
        against = _choose_other(others) if others else None
    opened = versions.get(operator.database, chosen.id)
    script_version.show(operator, store, assistant, opened, deployed)
    if against:
        script_compare.show(versions.get(operator.database, against.id), opened)


def _choose(label: str, name: str, found: Sequence[Listed], first: Listed) -> Listed:
    by_id = {str(one.id): one for one in found}
    asked, key = st.query_params.get(name), f"script_{name}"
    st.session_state[key] = asked if asked in by_id else str(first.id)
    chosen = st.selectbox(label, list(by_id), format_func=lambda id_: label_of(by_id[id_]), key=key,
                          on_change=_named, args=(name, key))  # fmt: skip
    return by_id[chosen]


def _choose_other(found: Sequence[Listed]) -> Listed | None:
    by_id = {"": None} | {str(one.id): one for one in found}
    asked, key = st.query_params.get(AGAINST, ""), f"script_{AGAINST}"
    st.session_state[key] = asked if asked in by_id else ""
    chosen = st.selectbox("Compare with", list(by_id), key=key, on_change=_named, args=(AGAINST, key),
                          format_func=lambda id_: label_of(by_id[id_]))  # fmt: skip
    return by_id[chosen]


def label_of(one: Listed | None) -> str:
    if one is None:
        return "No other version"
    return formats.plain(f"{one.name} · {script_words.VERSIONS[one.status]}{f' · {one.title}' if one.title else ''}")


def _named(name: str, key: str) -> None:
    if st.session_state[key]:
        st.query_params[name] = st.session_state[key]
    else:
        st.query_params.pop(name, None)
