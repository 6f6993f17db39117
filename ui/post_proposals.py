"""Proposed captions beside the words of a post: one click puts one in, another brings back what stood there."""

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from services.publishing import networks
from services.publishing.posts import PinnedChannel
from services.scripts import practice
from services.scripts.captions import Proposal as Caption
from services.scripts.captions import Proposals
from services.scripts.proposals import Proposal
from ui import formats
from ui.post_words import Editing


class _Stood(NamedTuple):
    """A channel's words before a proposal took their place: whether it had its own, and which."""

    own: bool
    caption: str | None


def show(editing: Editing, chosen: Sequence[PinnedChannel], proposal: Proposal) -> None:
    """Those for the networks of the chosen channels."""
    kept = Proposals.model_validate(proposal.output)
    st.caption(formats.plain(_told(kept, proposal)))
    by_network = {one.network: one for one in kept.proposals}
    for network in dict.fromkeys(channel.identifier for channel in chosen):
        if network in by_network:
            with st.container(border=True, key=f"proposal_{network}"):
                _one(editing, [one for one in chosen if one.identifier == network], by_network[network])
    missing = [networks.label(network) for network in kept.missing]
    if missing:
        st.caption(formats.plain(f"No caption came for {', '.join(missing)}."))


def _told(kept: Proposals, proposal: Proposal) -> str:
    """What was seen, in how much, and what it cost."""
    if proposal.model == practice.MODEL:
        return practice.PLAINLY
    if kept.reused:
        cost = "Nothing was charged: captions of the same film were there already."
    else:
        cost = f"{formats.usd(proposal.cost_usd)} was charged." if proposal.cost_usd else "Nothing was charged."
    return f"Seen in {kept.frames} frames: {kept.shows} {cost}"


def _one(editing: Editing, channels: Sequence[PinnedChannel], one: Caption) -> None:
    label = formats.plain(networks.label(one.network))
    st.markdown(f"**{label}** · {networks.weighted_length(one.network, one.text):,} characters")
    st.text(one.text)
    for note in one.notes:
        st.caption(f":material/warning: {formats.plain(note)}")
    forms = [f"{editing.form}_{channel.channel}" for channel in channels]
    with st.container(horizontal=True, vertical_alignment="center"):
        if all(_stands(form, one.text) for form in forms):
            st.caption(f":material/check: In {label}'s words below", width="content")
        else:
            st.button(f"Use for {label}", key=f"use_{one.network}_{editing.form}", icon=":material/input:",
                      on_click=_use, args=(forms, one.text))  # fmt: skip
        if any(f"{form}_stood" in st.session_state for form in forms):
            st.button(f"Bring back {label}'s words", key=f"back_{one.network}_{editing.form}",
                      icon=":material/undo:", on_click=_bring_back, args=(forms,))  # fmt: skip


def _stands(form: str, text: str) -> bool:
    return bool(st.session_state.get(f"{form}_own")) and st.session_state.get(f"{form}_caption") == text


def _use(forms: Sequence[str], text: str) -> None:
    for form in forms:
        if not _stands(form, text):
            own = bool(st.session_state.get(f"{form}_own"))
            st.session_state[f"{form}_stood"] = _Stood(own, st.session_state.get(f"{form}_caption") if own else None)
        st.session_state[f"{form}_own"] = True
        st.session_state[f"{form}_caption"] = text


def _bring_back(forms: Sequence[str]) -> None:
    for form in forms:
        stood: _Stood | None = st.session_state.pop(f"{form}_stood", None)
        if stood is None:
            continue
        st.session_state[f"{form}_own"] = stood.own
        if stood.caption is not None:
            st.session_state[f"{form}_caption"] = stood.caption
