"""The script of every page: switcher and quota in the sidebar, navigation by role, then the page itself."""

from datetime import UTC, datetime
from html import escape
from pathlib import Path

import streamlit as st

from services import demo
from services.errors import AppError
from services.identity import Person
from services.profiles import Store
from ui import formats, notices, session
from ui.session import ALL_STORES, Operator

HERE = Path(__file__).parent

st.set_page_config(page_icon="🎬", layout="wide")  # each page brings its own title
st.logo(HERE / "logo.svg", size="large")
st.html(HERE / "style.css")

PAGES = {
    # file: title, icon, roles that see it in the navigation
    "overview": ("Overview", ":material/space_dashboard:", ("admin", "manager", "finance")),
    "voice": ("Voice", ":material/graphic_eq:", ("admin", "manager")),
    "clips": ("Clips", ":material/movie:", ("admin", "manager")),
    "publish": ("Publish", ":material/send:", ("admin", "manager")),
    "scripts": ("Scripts", ":material/history_edu:", ("admin", "manager")),
    "costs": ("Costs", ":material/payments:", ("admin", "manager", "finance")),
    "jobs": ("Jobs", ":material/pending_actions:", ("admin", "manager", "finance")),
    "notices": ("Notices", ":material/notifications:", ("admin", "manager", "finance")),
    "settings": ("Settings", ":material/tune:", ("admin", "manager")),
    "admin": ("Admin", ":material/admin_panel_settings:", ("admin",)),
    "audit": ("Audit", ":material/history:", ("admin",)),
}


LANDING = {"finance": "costs"}  # everybody else lands on the overview


def navigation(role: str, inbox: str) -> st.Page:
    """All pages are registered, other roles' hidden: their address then reaches `require`, which says no.

    `inbox` is the title of the notices, with their number.
    """
    return st.navigation(
        [
            st.Page(
                f"../pages/{name}.py",
                title=inbox if name == "notices" else title,
                icon=icon,
                url_path=name,
                default=name == LANDING.get(role, "overview"),
                visibility="visible" if role in roles else "hidden",
            )
            for name, (title, icon, roles) in PAGES.items()
        ]
    )


def company_switcher(person: Person) -> None:
    """Drawn before anything asks which company it is: only then the address has its say."""
    companies = {str(m.account_id): m.account_name for m in person.memberships}
    if len(companies) > 1:
        st.selectbox("Company", list(companies), format_func=companies.get, key="account", bind="query-params")


def store_switcher(choices: list[Store]) -> None:
    names = {ALL_STORES: "All my stores"} | {store.slug: store.label for store in choices}
    asked = st.query_params.get("profile")
    if asked is not None and asked not in names.values():  # the address carries what the switcher shows
        st.warning("The store in the address is not one of yours, or was archived.", icon=":material/link_off:")
    st.selectbox("Store", list(names), format_func=names.__getitem__, key="profile", bind="query-params")


def quota_gauge(store: Store) -> None:
    """What the store has spent of its month, and when that starts anew."""
    quota = store.quota
    if quota.limit is None or quota.left is None or quota.used_share is None:
        st.caption(f"Spent this month: {formats.usd(quota.settled)}, no limit")
        return
    text = f"{formats.usd_left(quota.left)} left of {formats.usd(quota.limit)}"
    st.progress(min(float(quota.used_share), 1.0), text=text)
    st.caption(formats.quota_reset(datetime.now(UTC), store.timezone))
    if quota.exceeded:
        st.error("This month's quota is used up.", icon=":material/block:")
    elif quota.near:
        st.warning(f"{formats.percent(quota.used_share)} of the quota is used.", icon=":material/warning:")


def account_box(operator: Operator) -> None:
    """Who is signed in, and the ways out. Forms, because only a POST may end a session."""
    st.caption(f"{formats.plain(operator.person.name)} · {operator.role.capitalize()}")
    st.html(
        '<div class="desk-account">'
        '<form method="post" action="/sign-out"><button>Sign out</button></form>'
        '<form method="post" action="/sign-out"><input type="hidden" name="everywhere" value="1">'
        "<button>Sign out everywhere</button></form>"
        '<a href="/password" target="_self">Change password</a></div>'
    )


def demo_box(operator: Operator) -> None:
    """In the demo company: say so, and let the visitor look through other people's eyes."""
    st.info("Practice: nobody is billed, nothing leaves this machine.", icon=":material/school:")
    options = "".join(
        f'<option value="{person["id"]}">{escape(person["name"])} · {escape(person["role"])}</option>'
        for person in demo.people()
        if person["id"] != str(operator.person.id)
    )
    st.html(
        '<form method="post" action="/demo/enter" class="desk-account"><label>See it as'
        f'<select name="person">{options}</select></label><button>Go</button></form>'
    )


def sidebar(operator: Operator) -> None:
    store_switcher(session.stores(operator))
    store = session.chosen_store(operator)
    if store:
        quota_gauge(store)
        if store.suspended:
            st.error(
                f"Suspended: {formats.plain(store.suspended_reason or 'no reason given')}",
                icon=":material/pause_circle:",
            )
    st.divider()
    if operator.membership.is_demo:
        demo_box(operator)
    account_box(operator)


person = session.signed_in()
with st.sidebar:
    company_switcher(person)
operator = session.require()
page = navigation(operator.role, notices.label(operator))
try:
    with st.sidebar:
        sidebar(operator)
except AppError as exc:
    st.error(str(exc), icon=":material/cloud_off:")
    st.stop()
page.run()
