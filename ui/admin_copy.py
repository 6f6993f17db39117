"""For admins: one store's settings for others, looked at before they are copied."""

from uuid import UUID

import streamlit as st

from services import stores
from services.stores import PARTS, Copied, CopyPreview, StoreRecord
from ui import formats, forms, sections, session
from ui.session import Operator


def show(operator: Operator, source: StoreRecord, records: list[StoreRecord]) -> None:
    others = {str(record.id): record for record in records if record.id != source.id}
    if not others:
        return
    form = f"copy_{source.id}"
    with st.expander(f"Copy settings of {formats.plain(source.label)} to other stores", icon=":material/content_copy:"):
        st.caption("Words that only the other store has stay there. Keys, accounts and channels are never copied.")
        parts = st.multiselect(
            "What to copy", list(PARTS), default=list(PARTS), format_func=PARTS.__getitem__, key=f"{form}_parts"
        )
        forms.beside(f"{form}.parts")
        everywhere = st.checkbox(f"To all {len(others)} other stores", key=f"{form}_all")
        targets = list(others) if everywhere else st.multiselect(
            "Stores to copy to", list(others), format_func=lambda key: others[key].label, key=f"{form}_targets"
        )  # fmt: skip
        forms.beside(f"{form}.targets")
        choice = (source.id, tuple(parts), tuple(UUID(target) for target in targets))
        if st.button("Preview", key="copy_preview", disabled=not parts or not targets):
            _look(operator, choice)
            st.rerun()
        looked = st.session_state.get("copy_looked")
        if looked and looked[0] == choice:
            _confirm(operator, choice, looked[1])


def _look(operator: Operator, choice: tuple[UUID, tuple[stores.Part, ...], tuple[UUID, ...]]) -> None:
    source, parts, targets = choice

    def run() -> None:
        found = stores.preview_copy(operator.database, source, targets, parts)
        st.session_state["copy_looked"] = (choice, found)

    forms.attempt(f"copy_{source}", run)


def _confirm(
    operator: Operator, choice: tuple[UUID, tuple[stores.Part, ...], tuple[UUID, ...]], preview: CopyPreview
) -> None:
    source, parts, targets = choice
    form = f"copy_{source}"
    changing = sum(store.changes for store in preview.stores)
    st.dataframe([_row(store) for store in preview.stores], hide_index=True, alt="What copying would change")
    if not changing:
        st.caption("These stores have the same settings already.")
        return
    with st.form(form, border=False):
        reason = st.text_input("Reason to copy", key=sections.key(form, "reason"))
        forms.beside(f"{form}.reason")
        sent = st.form_submit_button(f"Copy to {changing} {'store' if changing == 1 else 'stores'}", type="primary")
        forms.beside(f"{form}.")
    if sent:
        if sections.save(
            operator,
            form,
            lambda: stores.copy_settings(operator.database, source, targets, parts, reason, preview.mark),
        ):
            del st.session_state["copy_looked"]
            session.forget_numbers(operator)
            st.toast("Settings copied.", icon=":material/check:")
        st.rerun()


def _row(store: Copied) -> dict[str, str]:
    words = f"{store.words_new} new, {store.words_changed} changed" if store.words_new or store.words_changed else "–"
    return {
        "Store": f"{store.code} · {store.name}",
        PARTS["voice"]: "Changed" if store.voice else "–",
        PARTS["free"]: "Changed" if store.free else "–",
        PARTS["words"]: words,
    }
