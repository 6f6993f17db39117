"""Who speaks for a store: the account at Postiz, its channels and how they are, and what its key still takes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import streamlit as st

from services.profiles import Store
from services.publishing import networks
from services.publishing.budget import Budget
from services.publishing.posts import SLACK_SECONDS, Outlook, PinnedChannel
from ui import formats
from ui.session import Operator

WHOSE = {"own": "this store's own", "company": "the company's"}


def speaks(store: Store, outlook: Outlook, chosen: Sequence[PinnedChannel]) -> None:
    """Which account will speak, before anything is published."""
    if outlook.account is None:
        st.error("No Postiz account is connected to this store.", icon=":material/link_off:")
        return
    names = ", ".join(
        f"**{formats.plain(x.handle or x.name)}** on {networks.label(x.identifier)}" for x in chosen
    )  # fmt: skip
    if outlook.account.practice:
        st.info(
            f"Speaks as {names}. Practice: nobody is billed, nothing leaves this machine.", icon=":material/school:"
        )
        return
    where = formats.plain(outlook.account.address or "Postiz")
    st.markdown(f":material/campaign: Speaks as {names}, through {WHOSE.get(outlook.uses, 'the')} account at {where}.")


def budget(store: Store, outlook: Outlook, moment: datetime) -> bool:
    """Requests needed, what is left this hour, when a post for `moment` is handed over; whether that is in time."""
    now = datetime.now(UTC)
    known = outlook.budget or Budget()
    last = outlook.handed_over or now
    at = "at once" if last <= now + timedelta(seconds=30) else f"by {formats.moment(last, store.timezone)}"
    ahead = f" {outlook.waiting:,} posts on the same key wait as well." if outlook.waiting else ""
    st.caption(
        f"Needs 1 of {known.left(now):,} requests left this hour (of {known.allowance:,}); handed over {at}.{ahead}"
    )
    if known.blocked_until and known.blocked_until > now:
        st.warning(
            f"Postiz takes no requests on this key until {formats.moment(known.blocked_until, store.timezone)}: too "
            "many were made. Nothing is lost; what is ordered waits.",
            icon=":material/hourglass_top:",
        )
    if (moment - last).total_seconds() >= SLACK_SECONDS:
        return True
    earliest = last + timedelta(seconds=SLACK_SECONDS)
    st.error(
        "That is too soon for what the key still takes. The earliest moment is "
        f"{formats.moment(earliest, store.timezone)}.",
        icon=":material/hourglass_disabled:",
    )
    return False


def trouble(channel: PinnedChannel) -> str:
    """What keeps a channel from being used, and who mends it."""
    name = f"{networks.label(channel.identifier)} · {formats.plain(channel.name)}"
    if channel.differs is not None:
        shown = channel.differs.get("name")
        now = f"is shown as “{formats.plain(str(shown))}” now" if shown else "is not shown in the account any more"
        return f"{name} {now}. Nothing is sent there until an admin confirms it under Settings, Channels."
    if channel.reconnect_since is not None:
        return f"{name} has lost its permission at the network. Open Postiz and reconnect it."
    return f"{name} is switched off in Postiz. Open Postiz and switch it on."


def health(operator: Operator, store: Store, channels: Sequence[PinnedChannel], outlook: Outlook) -> None:
    """The store's channels that need somebody, with the way to mend them."""
    address = outlook.account.address if outlook.account and not outlook.account.practice else None
    for channel in channels:
        if channel.usable:
            continue
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/warning: {trouble(channel)}")
            if channel.differs is not None:
                st.page_link("../pages/settings.py", label="Settings", icon=":material/tune:")
            elif address:
                st.link_button("Open Postiz", f"https://{address}", icon=":material/open_in_new:")


def connected(operator: Operator, outlook: Outlook, channels: Sequence[PinnedChannel]) -> bool:
    """Whether the store can publish; else what to do first."""
    if outlook.credential_id is None:
        _first("No Postiz account is connected to this store.", operator)
    elif not any(one.credential_id == outlook.credential_id for one in channels):
        _first("No channel of this account is pinned to the store.", operator)
    else:
        return True
    return False


def _first(sentence: str, operator: Operator) -> None:
    if operator.role == "admin":
        st.info(f"{sentence} Connect one under Settings, then pin its channels.", icon=":material/link_off:")
        st.page_link("../pages/settings.py", label="Settings", icon=":material/tune:")
    else:
        st.info(f"{sentence} An admin of your company connects it under Settings.", icon=":material/link_off:")
