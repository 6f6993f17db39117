"""Posts that were ordered: wanted, handed over, live, failed or unknown, with the evidence and the safe next step."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import get_args
from uuid import UUID, uuid4

import streamlit as st

from services import channels
from services.errors import AppError
from services.profiles import Store
from services.publishing import networks, posts
from services.publishing.posts import Desk, Group, Publication, State
from ui import formats, forms, pager, post_strays, post_when, session
from ui.session import Operator

POLL = "3s"
PAGE = 25
GROUPS: dict[Group, tuple[str, str, str]] = {  # title, icon, what it means
    "wanted": ("Wanted", ":material/schedule:", "Not handed over to Postiz yet."),
    "handed_over": ("Handed over", ":material/outbox:", "Postiz has it, or is being given it."),
    "live": ("Live", ":material/check_circle:", "Published on the network."),
    "failed": ("Failed", ":material/error:", "Failed, missed its moment, or was taken back."),
    "unknown": ("Unknown", ":material/help:", "Nobody can tell yet whether it is live."),
}
STATES: dict[State, str] = {
    "draft": "Draft",
    "awaiting_approval": "Waits for approval",
    "uploading": "Its media is being brought to Postiz",
    "uploaded": "Waits for its turn",
    "sending": "Is being handed over",
    "scheduled": "Postiz publishes it at its moment",
    "published": "Live",
    "failed": "Failed",
    "missed": "Missed its moment",
    "cancelled": "Taken back",
    "unconfirmed": "Unknown",
}
LOST = ("failed", "missed", "cancelled")


@dataclass(frozen=True)
class Setting:
    """What every card of the page is drawn with."""

    operator: Operator
    store: Store
    desk: Desk


def show(operator: Operator, store: Store, desk: Desk) -> None:
    """The list, read anew every few seconds while something moves; `desk` is the page's, with the strays."""
    post_strays.show(operator, store, desk)
    group, channel = _filters(operator, store)
    after = pager.after("posts", (store.id, group, channel))

    def load() -> Desk:
        return posts.desk(operator.database, store.id, group=group, channel=channel, limit=PAGE, after=after)

    first = load()
    _live(operator, store, first, load)
    _empty(first, filtered=bool(group or channel or after))
    last = first.publications[-1].key if len(first.publications) >= PAGE else None
    pager.buttons("posts", last)


def numbers(desk: Desk) -> None:
    with st.container(key="tiles_posts"):
        for group, (title, _, meaning) in GROUPS.items():
            st.metric(title, f"{desk.count(group):,}", border=True, help=meaning)


def _filters(operator: Operator, store: Store) -> tuple[Group | None, str | None]:
    groups = {"any": "Any state", **{name: title for name, (title, _, _) in GROUPS.items()}}
    pinned = channels.pinned(session.recently(operator, store), store.id)
    names = {"any": "Any channel", **{x.channel: f"{networks.label(x.identifier)} · {x.name}" for x in pinned}}
    with st.container(horizontal=True):
        group = st.selectbox(
            "State", list(groups), format_func=groups.get, key="post_state", bind="query-params", width=200
        )
        channel = st.selectbox(
            "Channel", list(names), format_func=lambda id_: names.get(id_, id_), key="post_channel",
            bind="query-params", width=280,
        )  # fmt: skip
    chosen = group if group in get_args(Group) else None
    return chosen, (channel if channel in names and channel != "any" else None)


def _live(operator: Operator, store: Store, desk: Desk, load: Callable[[], Desk]) -> None:
    first = [desk]  # drawn as it is; later runs of the fragment read anew

    @st.fragment(run_every=POLL if desk.waiting else None)
    def part() -> None:
        try:
            if session.current() is None:  # fragment runs do not pass the shell
                st.rerun()
            shown = first.pop() if first else load()
        except AppError as exc:
            st.warning(str(exc), icon=":material/cloud_off:")
            return
        numbers(shown)
        for bundle in _bundles(shown):
            _card(Setting(operator, store, shown), bundle)
        if desk.waiting and not shown.waiting:
            session.forget_numbers(operator)
            st.rerun()

    part()


def _bundles(desk: Desk) -> list[list[Publication]]:
    """Publications of one post stand together, where its first one stands: others may be due at the same moment."""
    found: dict[UUID, list[Publication]] = {}
    for one in desk.publications:
        found.setdefault(one.bundle_id, []).append(one)
    return list(found.values())


def _empty(desk: Desk, *, filtered: bool) -> None:
    if desk.publications:
        return
    if filtered:
        st.info("No post matches. Choose another state or channel.", icon=":material/filter_alt_off:")
    else:
        st.info("Nothing has been posted yet. Write the first post under “Write”.", icon=":material/edit:")


# A post --------------------------------------------------------------------------------------------------------------


def _card(page: Setting, bundle: list[Publication]) -> None:
    one = bundle[0]
    clip = page.desk.clips.get(one.clip_id)
    who = page.desk.people.get(one.created_by, "Somebody who left") if one.created_by else "System"
    with st.container(border=True, key=f"post_{one.bundle_id}"):
        name = formats.plain(clip.name) if clip else "A clip that is gone"
        at = formats.moment(one.wanted_at, page.store.timezone) if one.wanted_at else "no date"
        st.markdown(f"**{name}** · {at}")
        st.caption(formats.plain(who))
        if one.trouble and one.group == "wanted":
            st.caption(f":material/hourglass_top: {formats.plain(one.trouble)}")
        shared = bundle[0].caption if len({p.caption for p in bundle}) == 1 else ""
        if shared:
            st.caption(_short(shared))
        for publication in bundle:
            _line(page, publication, "" if shared else publication.caption)
        _again(page, [p for p in bundle if p.state in LOST and not p.repeated])


def _short(caption: str) -> str:
    return formats.plain(caption if len(caption) <= 120 else f"{caption[:120]}…")


def _line(page: Setting, one: Publication, caption: str) -> None:
    what, state, actions = st.columns([4, 5, 2], vertical_alignment="center")
    with what:
        handle = f" · {formats.plain(one.handle)}" if one.handle else ""
        st.markdown(f"{networks.label(one.identifier)} · {formats.plain(one.name)}{handle}")
        if caption:
            st.caption(_short(caption))
    with state:
        _state(page, one)
    with actions:
        _actions(page, one)
    forms.beside(f"post_{one.id}.")


def _state(page: Setting, one: Publication) -> None:
    title, icon, _ = GROUPS[one.group]
    since = formats.moment(one.published_at or one.state_since, page.store.timezone)
    said = "Being taken back at Postiz" if one.withdrawing else STATES[one.state]
    st.markdown(f"{icon} **{title}** · {said}" if said != title else f"{icon} **{title}** · {since}")
    for sentence in _remarks(one):
        st.caption(sentence)
    if one.release_url and one.release_url.startswith(("https://", "/")):
        st.link_button("See it", one.release_url, icon=":material/open_in_new:")


def _remarks(one: Publication) -> Iterable[str]:
    """What a person should know or do, as sentences."""
    if one.error:
        yield formats.plain(one.error)
    if one.comment_failed:
        yield "The post is live; a comment below it failed. Write the comment on the network by hand."
    if one.in_app_inbox:
        name = networks.label(one.identifier)
        yield f"{name} put it into the app's inbox: open the app on the phone and finish it there."
    if one.state == "unconfirmed" and not one.error:
        yield "Look at the channel itself: is it there? It is not sent again as long as nobody knows."
    if one.state == "missed" and not one.error:
        yield "Its moment passed before Postiz had it. Nothing went out; choose another moment."


def _actions(page: Setting, one: Publication) -> None:
    if one.group == "wanted" or (one.state == "scheduled" and not one.withdrawing):
        _take_back(page, one)
    elif one.state == "unconfirmed" and not one.withdrawing:
        _decide(page, one)


def _take_back(page: Setting, one: Publication) -> None:
    with st.popover("Take back", icon=":material/undo:"):
        st.write(
            "It is deleted at Postiz before its moment. What is on the network already stays there."
            if one.state == "scheduled"
            else "Nothing has been handed over yet: it is simply not sent."
        )
        handed_over = one.state == "scheduled"
        done = "Asked for: Postiz is told to forget it." if handed_over else "Taken back."
        if st.button("Take it back", key=f"back_{one.id}", type="primary"):
            _act(page, f"post_{one.id}", lambda: posts.cancel(page.operator.database, one.id), done)
        if st.button("Change it", key=f"anew_{one.id}", help="Takes it back; its words and moment become a draft."):
            _act(page, f"post_{one.id}", lambda: _rewrite(page, one), f"{done} Its words are a draft now.")


def _rewrite(page: Setting, one: Publication) -> None:
    """Its words and moment as a draft, which the page then opens."""
    draft = posts.rewrite(page.operator.database, one.bundle_id, [one.channel], one.wanted_at)
    posts.cancel(page.operator.database, one.id)
    st.session_state["post_to_write"] = str(draft)


def _decide(page: Setting, one: Publication) -> None:
    with st.popover("I looked", icon=":material/visibility:"):
        st.write(f"Is this post on {networks.label(one.identifier)} · {formats.plain(one.name)}?")
        address = st.text_input("Its address there (if you have it)", key=f"address_{one.id}", placeholder="https://…")
        forms.beside(f"post_{one.id}.release_url")

        def decide(*, live: bool) -> None:
            posts.decide(page.operator.database, one.id, live=live, release_url=address)

        if st.button("Yes, it is live", key=f"live_{one.id}", type="primary"):
            _act(page, f"post_{one.id}", lambda: decide(live=True), "Noted: it is live.")
        if st.button("No, it is not there", key=f"absent_{one.id}"):
            _act(page, f"post_{one.id}", lambda: decide(live=False), "Noted. Postiz is told to forget it.")


def _again(page: Setting, lost: list[Publication]) -> None:
    """What did not go out can be ordered anew; what somebody took back only where it is chosen."""
    if not lost:
        return
    bundle_id, form = lost[0].bundle_id, f"again_{lost[0].bundle_id}"
    names = {one.channel: f"{networks.label(one.identifier)} · {one.name}" for one in lost}
    with st.popover("Post again", icon=":material/replay:"):
        chosen = st.pills(
            "A new post with the same words on", list(names), selection_mode="multi", format_func=names.__getitem__,
            default=[one.channel for one in lost if one.state != "cancelled"], key=f"{form}_channels",
        )  # fmt: skip
        wanted_at, valid = post_when.choose(form, page.store)
        forms.beside(f"{form}.wanted_at", f"{form}.")
        new_id: UUID = st.session_state.setdefault(f"{form}_id", uuid4())  # one until it got through

        def order() -> None:
            posts.repeat(page.operator.database, bundle_id, new_id, chosen, wanted_at)
            del st.session_state[f"{form}_id"]

        if st.button("Post it again", key=f"{form}_go", type="primary", disabled=not (valid and chosen)):
            _act(page, form, order, "Ordered again.")


def _act(page: Setting, form: str, run: Callable[[], object], done: str) -> None:
    """Do it and show the new state; why it could not be done is shown beside the post."""
    if forms.attempt(form, run):
        session.forget_numbers(page.operator)
        st.toast(done, icon=":material/check:")
    st.rerun()
