"""Which of an account's channels belong to the store."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from services import channels, credentials
from services.credentials import Credential
from services.profiles import Store
from ui import formats, forms, sections
from ui.session import Operator


def show(operator: Operator, store: Store) -> None:
    st.header("Channels")
    pinned = channels.pinned(operator.database, store.id)
    if not pinned:
        st.info("No channel is pinned to this store, so it cannot publish yet.", icon=":material/link_off:")
    for channel in pinned:
        st.markdown(
            f":material/check_circle: {formats.plain(_label(channel.name, channel.identifier, channel.handle))}"
        )
    account = _account(operator, store)
    if account is None:
        st.caption("Channels come with a Postiz account: set one on the tab Accounts.")
        return
    offered = {str(item["id"]): item for item in account.facts.get("channels") or []}
    if not offered:
        st.caption("Test the Postiz account on the tab Accounts: what it finds can be pinned here.")
        return
    if operator.role == "admin":
        _form(operator, store, account, offered, [channel.channel for channel in pinned])


def _account(operator: Operator, store: Store) -> Credential | None:
    """The Postiz account that the store uses: its own or the company's."""
    uses = credentials.choices(operator.database, store.id).get("postiz")
    if uses == "own":
        found = credentials.of_store(operator.database, store.id)
    elif uses == "company":
        found = credentials.of_company(operator.database, store.account_id)
    else:
        found = []
    return next((item for item in found if item.provider == "postiz"), None)


def _form(operator: Operator, store: Store, account: Credential, offered: Mapping[str, Any], pinned: list[str]) -> None:
    names = {id_: _label(item["name"], item["identifier"], item.get("profile")) for id_, item in offered.items()}
    form = f"channels_{store.id}"
    seen: list[str] = st.session_state.setdefault(f"{form}_seen", pinned)
    with st.form(form, border=True):
        chosen = st.multiselect(
            "Channels of this store", list(names), default=[id_ for id_ in pinned if id_ in names],
            format_func=lambda id_: formats.plain(names[id_]), key=sections.key(form, "channels"),
            help="The store publishes on these and on no others, whatever else the account holds.",
        )  # fmt: skip
        _pictures(offered, chosen)
        reason = st.text_input("Reason", key=sections.key(form, "reason"), placeholder="The shop's new account")
        forms.beside(f"{form}.reason")
        sent = st.form_submit_button("Pin these channels", type="primary")
        forms.beside(f"{form}.")
    if sent:
        pin = partial(channels.pin, operator.database, store.id, account.id, chosen, seen=seen, reason=reason)
        if sections.save(operator, form, pin):
            st.session_state.pop(f"{form}_seen")
            st.toast("Channels pinned.", icon=":material/check:")
        st.rerun()


def _pictures(offered: Mapping[str, Any], chosen: list[str]) -> None:
    shown = [offered[id_] for id_ in chosen if str(offered[id_].get("picture") or "").startswith("https://")]
    if shown:
        st.image([item["picture"] for item in shown], width=48, caption=[item["name"] for item in shown])


def _label(name: str, identifier: str, handle: str | None) -> str:
    return f"{name} · {identifier}" + (f" · {handle}" if handle else "")
