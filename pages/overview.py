"""Overview: counts, spend, quota and activity of one store, or one row for each of them."""

from datetime import UTC, date
from uuid import UUID

import pandas as pd
import streamlit as st

from services import profiles
from services.costs.reports import RANGES, Dashboard, RecentClip, StoreRow
from services.errors import AppError
from services.profiles import Store
from ui import charts, clip_player, clip_upload, formats, session
from ui.session import Operator

person = session.require("admin", "manager", "finance")

RECENT = 6  # clips
STATES = {"completed": "Ready", "pending": "Being prepared", "processing": "Being prepared", "failed": "Failed"}


def heading(store: Store | None) -> str:
    """The title and the range switch; returns the range chosen."""
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    left.title(formats.plain(store.name) if store else "All my stores")
    return right.segmented_control(
        "Range",
        list(RANGES),
        format_func=RANGES.get,
        default="30d",
        key="range",
        bind="query-params",
        required=True,
    )


def first_steps(operator: Operator) -> None:
    """What a new company does first, ticked by fact; gone when done."""
    steps = profiles.checklist(operator.database, operator.account_id)
    if steps is None or steps.done or operator.membership.is_demo:
        return
    with st.container(border=True, key="first_steps"):
        st.header("First steps")
        for done, label, page, part in (
            (steps.spoke, "Speak a line", "voice", None),
            (steps.clip, "Add a clip", "clips", None),
            (steps.postiz, "Connect Postiz", "settings", None),
            (steps.quota, "Set a quota", "admin", "Quotas"),
            (steps.manager, "Add a manager", "admin", "People"),
        ):
            st.page_link(
                f"../pages/{page}.py",
                label=f"{label} (done)" if done else label,
                icon=":material/check_circle:" if done else ":material/radio_button_unchecked:",
                query_params={"part": part} if part else None,
            )


def numbers(dashboard: Dashboard, range_name: str) -> None:
    stats, costs, quota = dashboard.stats, dashboard.costs, dashboard.quota
    left = formats.usd_left(quota.left) if quota and quota.left is not None else "No limit"
    held = f"{formats.usd(quota.held)} held by work under way" if quota and quota.held else None
    money = {f"Spent, {range_name}": formats.usd(costs.total), "Spent this month": formats.usd(costs.monthly)}
    if quota:
        money["Left this month" if dashboard.profile_id else "Left, company"] = left
    tiles("money", money, held)
    tiles(
        "counts",
        {
            f"Speech, {range_name}": f"{stats.speech_count:,}",
            f"Clips, {range_name}": f"{stats.clips_count:,}",
            f"Rendered, {range_name}": f"{stats.rendered_count:,}",
            f"Projects, {range_name}": f"{stats.projects_count:,}",
        },
    )


def tiles(key: str, values: dict[str, str], note: str | None = None) -> None:
    """Numbers side by side, as many in a row as fit; `note` explains the last."""
    with st.container(key=f"tiles_{key}"):
        for label, value in values.items():
            st.metric(label, value, border=True, help=note if label == list(values)[-1] else None)


def series(dashboard: Dashboard) -> None:
    spend, activity = dashboard.spend_frame(), dashboard.activity_frame()
    days = [*spend["day"], *activity["day"]]
    monthly = dashboard.bucket == "month"
    last = dashboard.as_of.astimezone(UTC).date()
    first = min(days, default=last) if monthly else dashboard.from_day
    left, right = st.columns(2)
    with left.container(border=True):
        st.header("Spend by service")
        chart(spend, "service", "usd", charts.USD, first, last, monthly, "Nothing was spent in this range.")
    with right.container(border=True):
        st.header("Activity")
        chart(activity, "kind", "count", charts.COUNT, first, last, monthly, "Nothing was made in this range.")


def chart(
    frame: pd.DataFrame,
    group: str,
    value: str,
    unit: dict[str, str],
    first: date,
    last: date,
    monthly: bool,
    empty: str,
) -> None:
    if not frame[value].sum():
        st.info(empty, icon=":material/bar_chart_off:")
        return
    figure = charts.stacked_bars(frame, group=group, value=value, unit=unit, first=first, last=last, monthly=monthly)
    total = frame[value].sum()
    alt = f"Bars from {first:%-d %b %Y} to {last:%-d %b %Y} by {group}, {unit['prefix']}{total:{unit['format']}} in all"
    charts.draw(figure, key=f"chart_{group}", alt=alt)


def services_table(dashboard: Dashboard) -> None:
    if not dashboard.costs.by_service:
        return
    with st.container(border=True):
        st.header("Cost by service")
        amounts = sorted(dashboard.costs.by_service.items(), key=lambda item: -item[1])
        frame = pd.DataFrame([(charts.name(k), formats.usd(v)) for k, v in amounts], columns=["Service", "US dollars"])
        st.dataframe(frame, hide_index=True, alt="Cost of each service, the dearest first")


def recent_clips(operator: Operator, dashboard: Dashboard, store: Store) -> None:
    with st.container(border=True):
        st.header("Recent clips")
        if not dashboard.recent_clips:
            st.info("No clips yet.", icon=":material/movie:")
            return
        clip_upload.style()
        with st.container(key="clips_grid_recent"):
            for clip in dashboard.recent_clips[:RECENT]:
                recent_clip(operator, clip, store)


def recent_clip(operator: Operator, clip: RecentClip, store: Store) -> None:
    """Its picture, name and state; whoever may change clips gets from there to it."""
    with st.container(key=f"recent_{clip.id}", gap="xsmall"):
        st.html(clip_player.thumbnail(clip.id, clip.thumbnail_path, clip.final_status))
        if operator.role == "finance":
            st.markdown(formats.plain(clip.name))
        else:
            st.page_link("../pages/clips.py", label=formats.plain(clip.name), query_params={"clip": str(clip.id)})
        state = STATES.get(clip.final_status, clip.final_status)
        st.caption(f"{state} · {formats.moment(clip.created_at, store.timezone)}")


def store_table(rows: list[StoreRow], slugs: dict[UUID, str], range_name: str) -> None:
    st.header("Stores, worst first")
    if not rows:
        st.info("No store is assigned to you yet. Ask an admin of your company.", icon=":material/storefront:")
        return

    def open_row() -> None:
        if picked := st.session_state["store_table"]["selection"]["rows"]:
            session.choose(slugs[rows[picked[0]].id])

    st.dataframe(
        pd.DataFrame([store_line(row, range_name) for row in rows]),
        key="store_table",
        hide_index=True,
        on_select=open_row,
        selection_mode="single-row",
        column_config={
            "Used": st.column_config.ProgressColumn("Quota used", format="percent", min_value=0, max_value=1)
        },
        alt="One row a store, the most used quota first",
    )
    st.caption("Choose a row to open the store.")


def store_line(row: StoreRow, range_name: str) -> dict[str, object]:
    quota = row.quota
    return {
        "Store": f"{row.code} · {row.name}" + (" (suspended)" if row.suspended else ""),
        "Used": float(min(row.used_share, 1)) if row.used_share is not None else None,
        "Spent this month": formats.usd(quota.settled),
        "Left": formats.usd_left(quota.left) if quota.left is not None else "No limit",
        f"Spent, {range_name}": formats.usd(row.spent),
        "Failed jobs": row.failed_jobs,
        "Posts": posts_line(row),
        "Last post": formats.ago(row.last_post_at) if row.last_post_at else "never",
        "Last speech": formats.ago(row.last_speech_at) if row.last_speech_at else "never",
    }


def posts_line(row: StoreRow) -> str:
    """What of a store's publishing needs somebody."""
    found = {"failed": row.failed_posts, "unknown": row.unknown_posts}
    parts = [f"{many} {what}" for what, many in found.items() if many]
    return " · ".join([*parts, "Postiz not working"] if row.account_dead else parts) or "fine"


def show(operator: Operator) -> None:
    store = session.chosen_store(operator)
    time_range = heading(store)
    first_steps(operator)
    dashboard = session.dashboard(operator, store, time_range)
    range_name = RANGES[dashboard.time_range].lower()
    numbers(dashboard, range_name)
    if not store:
        slugs = {s.id: s.slug for s in session.stores(operator)}
        store_table(dashboard.stores, slugs, range_name)
    series(dashboard)
    if store:
        left, right = st.columns(2)
        with left:
            services_table(dashboard)
        with right:
            recent_clips(operator, dashboard, store)
    else:
        services_table(dashboard)
    zone = store.timezone if store else operator.timezone
    st.caption(f"As of {formats.moment(dashboard.as_of, zone)}. Money in US dollars; days and months are UTC.")


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
