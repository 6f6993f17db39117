"""Posts that are being written, each with the way back to it."""

import streamlit as st

from services.profiles import Store
from services.publishing import networks, posts
from services.publishing.posts import Desk, Draft
from ui import formats, forms, session
from ui.session import Operator


def show(operator: Operator, store: Store, desk: Desk) -> None:
    others = [draft for draft in desk.drafts if str(draft.id) != st.query_params.get("draft")]
    if not others:
        return
    with st.expander(f"Drafts ({len(others)})", icon=":material/edit_note:"):
        for draft in others:
            _line(operator, store, desk, draft)


def _line(operator: Operator, store: Store, desk: Desk, draft: Draft) -> None:
    with st.container(key=f"draft_{draft.id}"):
        what, actions = st.columns([7, 3], vertical_alignment="center")
        clip = desk.clips.get(draft.clip_id)
        at = formats.moment(draft.wanted_at, store.timezone) if draft.wanted_at else "no moment chosen"
        where = ", ".join(sorted({networks.label(p.identifier) for p in draft.publications}))
        what.markdown(f"**{formats.plain(clip.name) if clip else 'A clip that is gone'}** · {where} · {at}")
        if words := next((p.caption for p in draft.publications if p.caption), ""):
            what.caption(formats.plain(words if len(words) <= 90 else f"{words[:90]}…"))
        with actions, st.container(horizontal=True):
            st.button("Open", key=f"open_{draft.id}", on_click=_open, args=(draft,), icon=":material/edit:")
            _delete(operator, draft)
        forms.beside(f"draft_{draft.id}.")


def _open(draft: Draft) -> None:
    st.query_params["draft"] = str(draft.id)


def _delete(operator: Operator, draft: Draft) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        st.write("The draft's words are gone then; the clip stays.")
        if not st.button("Delete this draft", key=f"delete_{draft.id}", type="primary"):
            return
        if forms.attempt(f"draft_{draft.id}", lambda: posts.delete_draft(operator.database, draft.id)):
            session.forget_numbers(operator)
            st.toast("Draft deleted.", icon=":material/check:")
        st.rerun()
