"""Posts on the store's channels that nobody made here."""

import streamlit as st

from services.profiles import Store
from services.publishing import networks, posts
from services.publishing.posts import Desk, Stray
from ui import formats, forms, session
from ui.session import Operator


def show(operator: Operator, store: Store, desk: Desk) -> None:
    if not desk.strays:
        return
    names = {x.channel: f"{networks.label(x.identifier)} · {formats.plain(x.name)}" for x in desk.channels}
    with st.expander(f"Found at Postiz, not made here ({len(desk.strays)})", icon=":material/travel_explore:"):
        st.caption("Somebody wrote these in Postiz itself, or with another program that has the same key.")
        for stray in desk.strays:
            _line(operator, store, stray, names.get(stray.channel, "A channel that is not pinned any more"))


def _line(operator: Operator, store: Store, stray: Stray, where: str) -> None:
    with st.container(key=f"stray_{stray.vendor_post}"):
        what, actions = st.columns([8, 2], vertical_alignment="center")
        at = formats.moment(stray.publish_at, store.timezone) if stray.publish_at else "no date"
        what.markdown(f"{where} · {at} · {formats.plain(stray.vendor_state.lower())}")
        if stray.preview:
            what.caption(formats.plain(stray.preview))
        if stray.release_url and stray.release_url.startswith("https://"):
            what.link_button("See it", stray.release_url, icon=":material/open_in_new:")
        if actions.button("Hide", key=f"hide_{stray.vendor_post}", icon=":material/visibility_off:"):
            if forms.attempt("strays", lambda: posts.dismiss(operator.database, store.id, stray.vendor_post)):
                session.forget_numbers(operator)
            st.rerun()
