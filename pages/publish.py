"""Publish: write a post for a store's channels, and see what became of each one."""

import streamlit as st

from services.errors import AppError
from services.publishing import posts
from services.publishing.posts import Desk
from ui import post_account, post_composer, post_drafts, post_list, session
from ui.session import Operator

person = session.require("admin", "manager")

PARTS = ["Write", "Posts"]


def show(operator: Operator) -> None:
    store = session.require_store(operator)
    st.title("Publish")
    desk = posts.desk(operator.database, store.id, limit=1)
    outlook = posts.outlook(operator.database, store.id)
    post_account.health(operator, store, desk.channels, outlook)
    if st.query_params.get("practice"):
        st.info("A real post's link leads to the network. This one was for practice.", icon=":material/school:")
    if draft := st.session_state.pop("post_to_write", None):
        st.query_params["draft"] = draft
        st.session_state["post_part"] = "Write"
    part = st.segmented_control(
        "Part", PARTS, default=None if "post_part" in st.session_state else _first_part(desk), required=True,
        key="post_part", bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    if part == "Posts":
        post_list.show(operator, store, desk)
    elif post_account.connected(
        operator, outlook, [x for x in desk.channels if x.credential_id == outlook.credential_id]
    ):
        post_drafts.show(operator, store, desk)
        post_composer.show(operator, store, desk, outlook)


def _first_part(desk: Desk) -> str:
    """Whoever comes with a clip or a draft wants to write; others want to see what became of what they wrote."""
    asked = st.query_params.get("clip") or st.query_params.get("draft")
    return "Write" if asked or not desk.publications else "Posts"


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
