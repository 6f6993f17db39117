"""Notices on a page: the inbox, what one wants to be told, and for admins how it is sent."""

from datetime import UTC, datetime
from uuid import UUID

import streamlit as st
from pydantic import SecretStr

from services.config import settings
from services.database.door import Database
from services.errors import AppError
from services.identity import Role
from services.notices import inbox, webhook
from services.notices.inbox import ChannelState, Notice, NoticeSettings, Webhook, Wish
from services.profiles import Store
from ui import formats, forms, pager, sections, session
from ui.recent import CACHE_SECONDS
from ui.session import ALL_STORES, Operator

PAGE = 25
ICONS = {
    "credential_dead": ":material/key_off:", "job_failed": ":material/error:", "quota": ":material/savings:",
    "person_spending": ":material/person_alert:", "spending_unreadable": ":material/sync_problem:",
    "store_suspension": ":material/pause_circle:",
    "post_failed": ":material/cancel_schedule_send:", "post_missed": ":material/event_busy:",
    "post_unconfirmed": ":material/unknown_document:", "channel_reconnect": ":material/link_off:",
    "channel_changed": ":material/swap_horiz:", "money_differs": ":material/rule:",
    "money_equal": ":material/verified:", "quota_request": ":material/contact_support:",
}  # fmt: skip
ABOUT = {  # which page shows more
    "credential_dead": "settings", "job_failed": "jobs", "quota": "costs", "person_spending": "costs",
    "spending_unreadable": "costs", "store_suspension": "overview", "post_failed": "publish",
    "post_missed": "publish", "post_unconfirmed": "publish", "channel_reconnect": "settings",
    "channel_changed": "settings", "money_differs": "costs", "money_equal": "costs", "quota_request": "admin",
}  # fmt: skip


# The count in the navigation -------------------------------------------------------------------------------------


@st.cache_data(ttl=CACHE_SECONDS, max_entries=2_000, show_spinner=False)
def _unread(account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, _database: Database) -> int:
    return inbox.unread_count(_database, account_id)


def label(operator: Operator) -> str:
    """The page's name with the number of unread notices, at most 30 s old; without it while the database is away."""
    try:
        count = _unread(*session.cache_key(operator), operator.database)
    except AppError:
        count = 0
    return f"Notices ({count:,})" if count else "Notices"


def _read(operator: Operator, notice_ids: list[UUID] | None) -> None:
    """From a button: mark as read. What goes wrong is said when the page is drawn."""
    run = lambda: inbox.mark_read(operator.database, operator.account_id, notice_ids)  # noqa: E731
    if forms.attempt("notices", run):
        _unread.clear(*session.cache_key(operator), operator.database)


# The inbox -------------------------------------------------------------------------------------------------------


def show_inbox(operator: Operator, store: Store | None) -> None:
    """The person's notices of the chosen store, or of everything."""
    forms.beside("notices.")
    kind, unread = _filters(operator, store)
    after = pager.after("notices", (operator.account_id, store and store.id, kind, unread))
    found = inbox.inbox(
        operator.database, operator.account_id, kind=kind, profile_id=store.id if store else None, unread=unread,
        limit=PAGE, after=after,
    )  # fmt: skip
    if not found:
        _empty(filtered=bool(kind or unread or store))
    stores = {choice.id: choice for choice in session.stores(operator)}
    for notice in found:
        _line(operator, stores, notice)
    pager.buttons("notices", found[-1].key if len(found) >= PAGE else None)


def _filters(operator: Operator, store: Store | None) -> tuple[str | None, bool]:
    kinds = {"any": "Any kind"} | {kind: inbox.title(kind) for kind in ABOUT}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.selectbox("Kind", list(kinds), format_func=kinds.__getitem__, key="notice_kind", width=260)
        unread = st.toggle("Unread only", key="notice_unread")
        st.button("Mark all as read", key="notices_read", icon=":material/done_all:", on_click=_read,
                  args=(operator, None), help="Those of all stores")  # fmt: skip
    if store:
        st.caption("Those of the chosen store. Choose “All my stores” to see everything.")
    return (None if kind == "any" else kind), unread


def _empty(*, filtered: bool) -> None:
    if filtered:
        st.info("No notice matches. Choose another kind, or all stores.", icon=":material/filter_alt_off:")
    else:
        st.info("Nothing has happened that you must know. Here you will read it.", icon=":material/inbox:")


def _line(operator: Operator, stores: dict[UUID, Store], notice: Notice) -> None:
    store = stores.get(notice.profile_id) if notice.profile_id else None
    with st.container(border=True, key=f"notice_{notice.id}"):
        what, buttons = st.columns([5, 2], vertical_alignment="center")
        with what:
            _about(operator, notice, store)
        with buttons, st.container(horizontal=True):
            _actions(operator, notice, store)


def _about(operator: Operator, notice: Notice, store: Store | None) -> None:
    where = formats.plain(store.label) if store else ("A store" if notice.profile_id else "Company")
    new = " :blue-badge[New]" if notice.unread else ""
    st.markdown(f"{ICONS.get(notice.kind, ':material/info:')} **{inbox.title(notice.kind)}** · {where}{new}")
    st.text(notice.text)
    zone = store.timezone if store else operator.timezone
    over = f" · over since {formats.moment(notice.resolved_at, zone)}" if notice.resolved_at else ""
    st.caption(f"{formats.moment(notice.created_at, zone)}{over}")


def _actions(operator: Operator, notice: Notice, store: Store | None) -> None:
    page = ABOUT.get(notice.kind)
    if page and (store or notice.profile_id is None):
        slug = store.slug if store else ALL_STORES
        clicked = st.button("Look into it", key=f"notice_open_{notice.id}", icon=":material/arrow_forward:",
                            on_click=_go, args=(operator, notice, slug))  # fmt: skip
        if clicked:
            st.switch_page(f"../pages/{page}.py", query_params={})  # None fails on those that widgets are bound to
    if notice.unread:
        st.button("Mark as read", key=f"notice_read_{notice.id}", on_click=_read, args=(operator, [notice.id]))


def _go(operator: Operator, notice: Notice, slug: str) -> None:
    _read(operator, [notice.id])
    session.choose(slug)


# What one wants --------------------------------------------------------------------------------------------------


def show_wishes(operator: Operator, found: NoticeSettings) -> None:
    """What the person is told of, and how."""
    if not found.kinds:
        st.info("Your role is told of nothing.", icon=":material/notifications_off:")
        return
    form = sections.of(operator, "wishes")
    with st.form(form):
        chosen = [_wish(form, wish) for wish in found.kinds]
        sent = st.form_submit_button("Save", type="primary")
        forms.beside(f"{form}.")
    changed = [wish for wish in chosen if wish not in found.kinds]
    if sent and forms.attempt(form, lambda: _save(operator, changed)):
        st.toast("Saved. It counts from the next event on.", icon=":material/check:")
    if sent:
        st.rerun()


def _wish(form: str, wish: Wish) -> Wish:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{ICONS.get(wish.kind, ':material/info:')} {inbox.title(wish.kind)}", width=300)
        here = st.checkbox("Here", value=wish.inbox, key=f"{form}_inbox_{wish.kind}", width=90)
        mail = st.checkbox("By e-mail", value=wish.email, key=f"{form}_email_{wish.kind}", width=120)
    return Wish(kind=wish.kind, inbox=here, email=mail)


def _save(operator: Operator, wishes: list[Wish]) -> None:
    for wish in wishes:
        inbox.set_wish(operator.database, operator.account_id, wish)


# How it is sent --------------------------------------------------------------------------------------------------


def show_sending(operator: Operator, found: NoticeSettings) -> None:
    """For admins: the mail server, and the company's webhook."""
    st.header("E-mail")
    host = settings().smtp_host
    if operator.membership.is_demo:
        st.info("The demo sends nothing to the outside.", icon=":material/school:")
        return
    if host is None:
        st.warning(
            "No mail server is set: set SMTP_HOST and SMTP_FROM for app and worker. E-mails wait for it three days.",
            icon=":material/unsubscribe:",
        )
    else:
        st.write(f"E-mails are handed to {formats.plain(host)}.")
    _fared(operator, found.email)
    st.header("Webhook")
    st.write("A program of yours is told of each notice by a signed request: docs/notices.md says how it looks.")
    _fared(operator, found.webhook_state)
    _webhook(operator, found.webhook)


def _fared(operator: Operator, state: ChannelState | None) -> None:
    if state is None or not (state.sent or state.waiting or state.unknown or state.given_up):
        return
    told = [f"{state.sent:,} sent", f"{state.waiting:,} waiting"]
    told += [f"{state.unknown:,} perhaps sent"] if state.unknown else []
    told += [f"{state.given_up:,} given up"] if state.given_up else []
    last = f"; the last {formats.ago(state.last_sent_at, datetime.now(UTC))}" if state.last_sent_at else ""
    st.caption(f"In the last 30 days: {', '.join(told)}{last}.")
    if state.last_error and (state.waiting or state.unknown or state.given_up):
        st.warning(formats.plain(state.last_error), icon=":material/sync_problem:")


def _webhook(operator: Operator, saved: Webhook | None) -> None:
    if saved:
        state = "on" if saved.enabled else "off"
        st.markdown(f"**{formats.plain(saved.shown_address)}** · secret …{formats.plain(saved.last4)} · {state}")
    if secret := st.session_state.get("webhook_secret"):
        _new_secret(secret[-1])
    form = sections.of(operator, "webhook")
    seen = sections.seen(form, "address", saved.version if saved else 0)
    _webhook_form(operator, form, saved, seen or None)
    _test_result(operator, form)
    if saved:
        _remove(operator, form, seen)


def _webhook_form(operator: Operator, form: str, saved: Webhook | None, version: int | None) -> None:
    """`version` is the one that stood here when the form was first drawn, None: there was none."""
    with st.form(form):
        address = st.text_input("New address" if saved else "Address", key=sections.key(form, "address"),
                                placeholder="https://example.com/clipdesk", type="password" if saved else "default",
                                help="All of it is kept sealed; only its host is shown again.")  # fmt: skip
        forms.beside(f"{form}.address")
        secret = st.text_input("Signing secret", key=sections.key(form, "secret"), type="password",
                               help="Leave it empty to have one made for a new address.")  # fmt: skip
        forms.beside(f"{form}.secret")
        on = saved.enabled if saved else True
        enabled = st.checkbox("Switched on", value=on, key=sections.key(form, "enabled"))
        with st.container(horizontal=True):
            keep = st.form_submit_button("Save", type="primary", key="webhook_save")
            test = st.form_submit_button("Send a test", icon=":material/send:", key="webhook_test")
        forms.beside(f"{form}.")
    if keep:
        _save_webhook(operator, form, version, address, secret, enabled)
    if test:
        _test(operator, form, address, secret)


def _save_webhook(operator: Operator, form: str, version: int | None, address: str, secret: str, enabled: bool) -> None:
    # Before the work: a click meanwhile ends this run at its next word to Streamlit.
    made: list[SecretStr] = st.session_state.setdefault("webhook_secret", [])

    def run() -> None:
        new = webhook.save(
            operator.database, settings(), operator.account_id, address=address, secret=secret, enabled=enabled,
            version=version,
        )  # fmt: skip
        if new:
            made.append(new)

    if sections.save(operator, form, run) and not made:  # else the dialog tells
        st.toast("Webhook saved.", icon=":material/check:")
    st.rerun()


def _test(operator: Operator, form: str, address: str, secret: str) -> None:
    """What is typed is tried from here, what is saved by the worker."""

    def run() -> None:
        typed = bool(address.strip())
        st.session_state[f"{form}_tried"] = (
            webhook.try_typed(address, secret, settings())
            if typed
            else webhook.try_saved(operator.database, operator.account_id)
        )

    st.session_state.pop(f"{form}_tried", None)
    forms.attempt(form, run)
    st.rerun()


def _test_result(operator: Operator, form: str) -> None:
    tried = st.session_state.get(f"{form}_tried")
    if isinstance(tried, UUID):
        _await_test(operator, form, tried)
    elif tried:
        _told(tried)


@st.fragment(run_every="1s")
def _await_test(operator: Operator, form: str, delivery_id: UUID) -> None:
    try:
        found = webhook.test_state(operator.database, operator.account_id, delivery_id)
    except AppError as exc:
        st.warning(str(exc), icon=":material/cloud_off:")
        return
    if found is None:
        st.info("The worker sends the test…", icon=":material/progress_activity:")
        return
    st.session_state[f"{form}_tried"] = found
    st.rerun()


def _told(posted: webhook.Posted) -> None:
    if posted.ok:
        st.success(posted.sentence, icon=":material/check:")
    else:
        st.error(formats.plain(posted.sentence), icon=":material/error:")


def _forget_secret() -> None:
    st.session_state.pop("webhook_secret", None)


@st.dialog("Signing secret", on_dismiss=_forget_secret)
def _new_secret(secret: SecretStr) -> None:
    """Shown until it was noted or dismissed."""
    st.text("Your program checks with it that a request is ours. Nobody can read it again.")
    st.code(secret.get_secret_value(), language=None)
    if st.button("I have noted it", key="webhook_noted", type="primary"):
        _forget_secret()
        st.rerun()


def _remove(operator: Operator, form: str, version: int) -> None:
    sure = st.checkbox("Remove the webhook; what waits for it is not sent", key=sections.key(form, "sure"))
    if st.button("Remove", key="webhook_remove", disabled=not sure, icon=":material/delete_forever:"):
        if sections.save(operator, form, lambda: webhook.remove(operator.database, operator.account_id, version)):
            st.session_state.pop(f"{form}_tried", None)
            st.toast("The webhook was removed.", icon=":material/check:")
        st.rerun()
