"""Write a post: clip, channels, words for each network, moment; checked before it is saved or ordered."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import streamlit as st

from services.clips import Clip
from services.errors import Conflict
from services.profiles import Store
from services.publishing import networks, posts, rules
from services.publishing.networks import Problem
from services.publishing.posts import Desk, Draft, Outlook, PinnedChannel, Words
from ui import formats, forms, post_account, post_captions, post_clip, post_when, post_words, script_hand, session
from ui.post_words import Editing
from ui.session import Operator


def show(operator: Operator, store: Store, desk: Desk, outlook: Outlook) -> None:
    editing = _editing(store, desk)
    if editing.draft:
        _heading(editing.draft)
    clip = post_clip.choose(operator, store, editing.form, editing.draft.clip_id if editing.draft else None)
    forms.beside(f"{editing.form}.clip")
    chosen = _channels(desk, outlook, editing)
    forms.beside(f"{editing.form}.channels")
    script_hand.receive(operator, store, f"{editing.form}_caption")
    common = post_words.common(editing)
    script_hand.offer(operator, store, f"{editing.form}_caption")
    if clip is None or not chosen:
        st.info("Choose a clip and at least one channel to go on.", icon=":material/arrow_upward:")
        return
    live = rules.of_store(session.recently(operator, store), store.id)
    post_captions.show(operator, store, editing, clip, chosen, live)
    said, problems = post_words.of_channels(editing, common, chosen, clip, live)
    st.subheader("When")
    wanted_at, valid = post_when.choose(editing.form, store, editing.draft.wanted_at if editing.draft else None)
    forms.beside(f"{editing.form}.wanted_at")
    st.subheader("Before it goes out")
    post_account.speaks(store, outlook, chosen)
    ready = _look(operator, store, editing, clip, said, wanted_at)
    _tell(problems)
    _ask_again(operator, store)
    _buttons(operator, store, editing, clip, said, wanted_at, ready=ready and valid and not problems)


def _editing(store: Store, desk: Desk) -> Editing:
    """The draft that the address names, if it is one of the store's."""
    asked = st.query_params.get("draft")
    draft = next((one for one in desk.drafts if str(one.id) == asked), None)
    if asked and draft is None:
        st.warning("The draft in the address was ordered or deleted. This is a new post.", icon=":material/link_off:")
    name = f"post_{store.id}_{draft.id if draft else 'new'}"
    form = f"{name}_{st.session_state.get(f'{name}_turn', 0)}"
    version = st.session_state.setdefault(f"{form}_version", draft.version if draft else 0)
    return Editing(form, draft, version)


def _heading(draft: Draft) -> None:
    st.caption(":material/edit_note: You are changing a draft.")
    if draft.copy_of:
        st.caption("It takes the place of a post that is being taken back: it can be ordered once that one is gone.")
    st.button("Write a new post instead", key=f"leave_{draft.id}", on_click=_leave, icon=":material/add:")


def _leave() -> None:
    st.query_params.pop("draft", None)


# What is said where ---------------------------------------------------------------------------------------------------


def _channels(desk: Desk, outlook: Outlook, editing: Editing) -> list[PinnedChannel]:
    """Chosen of those that belong to the account which speaks for the store."""
    pinned = [one for one in desk.channels if one.credential_id == outlook.credential_id]
    names = {x.channel: f"{networks.label(x.identifier)} · {x.name}" for x in pinned}
    first = [id_ for id_ in editing.saved if id_ in names] or [x.channel for x in pinned if x.usable]
    picked = st.pills(
        "Channels", list(names), selection_mode="multi", default=first, format_func=names.__getitem__,
        key=f"{editing.form}_channels", persist_state="session",
    )  # fmt: skip
    for one in pinned:
        if one.channel in picked and not one.usable:
            st.warning(post_account.trouble(one), icon=":material/warning:")
    return [one for one in pinned if one.channel in picked]


# Before it goes out ---------------------------------------------------------------------------------------------------


def _look(
    operator: Operator, store: Store, editing: Editing, clip: Clip, said: Sequence[Words], wanted_at: datetime | None
) -> bool:  # fmt: skip
    """The budget, and whether the same was or will be said; whether nothing of that stands against it."""
    moment = wanted_at or datetime.now(UTC) + timedelta(minutes=3)
    in_time = (
        post_account.budget(store, posts.outlook(operator.database, store.id, moment), moment) or wanted_at is None
    )
    found = posts.similar(
        operator.database, store.id, clip.id, said, moment,
        apart_from=editing.draft.id if editing.draft else None,
    )  # fmt: skip
    if not found:
        return in_time
    lines = "\n".join(
        f"- {networks.label(s.identifier)} · {formats.plain(s.name)}: the same {'clip' if s.same_clip else 'words'}, "
        f"{formats.moment(s.wanted_at, store.timezone)}" for s in found
    )  # fmt: skip
    st.warning(f"Much the same is posted within a week of it:\n{lines}", icon=":material/content_copy:")
    return st.checkbox("Post it all the same", key=f"{editing.form}_again") and in_time


def _ask_again(operator: Operator, store: Store) -> None:
    if st.button("Ask the networks for their rules again", type="tertiary", icon=":material/sync:", key="post_rules"):
        rules.request(operator.database, store.id)
        session.forget_numbers(operator)
        st.toast("Asked. Limits and lists are here in a moment.", icon=":material/sync:")


def _tell(problems: Sequence[tuple[PinnedChannel, Problem]]) -> None:
    for one, problem in problems:
        where = f"{networks.label(one.identifier)} · {formats.plain(one.name)}"
        st.error(f"{where}: {formats.plain(problem.sentence)}", icon=":material/error:")


def _buttons(
    operator: Operator, store: Store, editing: Editing, clip: Clip, said: Sequence[Words], wanted_at: datetime | None,
    *, ready: bool,
) -> None:  # fmt: skip
    known = _known(editing)
    database = operator.database
    with st.container(horizontal=True):
        label = "Schedule" if wanted_at else "Publish"
        many = "" if len(said) == 1 else f" on {len(said)} channels"
        ordered = st.button(
            f"{label}{many}", type="primary", icon=":material/send:", disabled=not ready or store.suspended,
            key=f"{editing.form}_order",
        )  # fmt: skip
        kept = st.button("Save draft", icon=":material/save:", disabled=store.suspended, key=f"{editing.form}_save")
    forms.beside(f"{editing.form}.")
    lost = _lost(editing, said)
    if (ordered or kept) and lost:
        st.warning("A channel is not pinned to this store any more. Look at the channels, then press again.",
                   icon=":material/link_off:")  # fmt: skip
        return
    if ordered:
        _do(operator, store, editing, partial(posts.order, database, store.id, clip.id, said, wanted_at, **known),
            "Ordered. Follow it under “Posts”.")  # fmt: skip
    elif kept:
        _do(operator, store, editing, partial(posts.save_draft, database, store.id, clip.id, said, wanted_at, **known),
            "Draft saved.")  # fmt: skip


def _lost(editing: Editing, said: Sequence[Words]) -> bool:
    """Whether a channel that was chosen when the page was last drawn is not any more: nobody has seen that yet."""
    name, now = f"{editing.form}_shown", {words.channel for words in said}
    before: set[str] = st.session_state.get(name, now)
    st.session_state[name] = now
    return not before <= now


def _known(editing: Editing) -> dict[str, Any]:
    """Which post is meant. A new one keeps its id until it got through: a repeated click makes no second one."""
    if editing.draft:
        return {"bundle_id": editing.draft.id, "version": editing.version, "copy_of": editing.draft.copy_of}
    ids: dict[str, UUID] = st.session_state.setdefault("post_ids", {})
    return {"bundle_id": ids.setdefault(editing.form, uuid4()), "version": 0}


def _do(operator: Operator, store: Store, editing: Editing, run: partial[posts.Saved], done: str) -> None:
    if forms.attempt(editing.form, partial(_told_of_others, editing, run)):
        name = editing.form.rpartition("_")[0]
        st.session_state[f"{name}_turn"] = st.session_state.get(f"{name}_turn", 0) + 1
        _leave()
        session.forget_numbers(operator)
        st.toast(done, icon=":material/check:")
    st.rerun()


def _told_of_others(editing: Editing, run: partial[posts.Saved]) -> None:
    """Told of another person's change, the next save counts from theirs."""
    try:
        run()
    except Conflict:
        st.session_state.pop(f"{editing.form}_version", None)
        raise
