"""What the money was good for: published clips and what they cost, paid audio that waits, savings by reuse."""

from datetime import date
from urllib.parse import urlencode
from uuid import UUID

import pandas as pd
import streamlit as st

from services.costs import value
from services.costs.value import ClipLine, Saving, StoreLine, Unused, Value
from services.database.door import Database
from services.identity import Role
from services.profiles import Store
from ui import charts, formats, session
from ui.recent import CACHE_SECONDS
from ui.session import Operator

NO_CLIPS = "No clip went live in this range. Publish one, or choose a longer range."


@st.cache_data(ttl=CACHE_SECONDS, max_entries=500, show_spinner="Adding up…")
def _value(
    account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, profile_id: UUID | None, first: date, last: date,
    _database: Database,
) -> Value:  # fmt: skip
    return value.ask(_database, account_id, profile_id, first, last)


def show(operator: Operator, store: Store | None, asked: tuple[date, date], zone: str) -> None:
    found = _value(*session.cache_key(operator), store.id if store else None, *asked, operator.database)
    _totals(found, zone)
    _clips(operator, found, zone, several=store is None)
    left, right = st.columns([3, 2])
    with left.container(border=True):
        _unpublished(operator, found, zone, several=store is None)
    with right.container(border=True):
        _savings(found, zone, several=store is None)
    st.caption(f"{_as_of(found, zone)} Money in US dollars; days and months are UTC.")


def _as_of(found: Value, zone: str) -> str:
    return f"As of {formats.moment(found.as_of, zone)}, up to entry {found.seq:,} of the ledger."


def _totals(found: Value, zone: str) -> None:
    told = _as_of(found, zone)
    tiles = [
        ("Clips that went live", f"{found.clips_count:,}", "With their first live post in the range."),
        ("What they cost", formats.usd(found.usd), "Ever: their own entries and the speech that is on them."),
        ("Per published clip", "–" if found.per_clip is None else formats.usd(found.per_clip),
         "What they cost, by their number."),
        ("Never published", formats.usd(found.unpublished.usd),
         "Paid audio of speech made in the range and more than seven days old."),
        ("Saved by reuse", formats.usd(found.saved), "What passages that were bought before would have cost again."),
    ]  # fmt: skip
    with st.container(key="tiles_value"):
        for label, number, meaning in tiles:
            st.metric(label, number, border=True, help=f"{meaning} {told}")


def _clips(operator: Operator, found: Value, zone: str, *, several: bool) -> None:
    with st.container(border=True):
        st.header("Published clips", help=_as_of(found, zone))
        if not found.clips:
            st.info(NO_CLIPS, icon=":material/movie:")
            if operator.role != "finance":
                st.page_link("../pages/publish.py", label="Publish", icon=":material/send:")
            return
        if several and len(found.stores) > 1:
            _stores(found.stores)
        _clip_table(operator, found, zone, several=several)


def _stores(lines: list[StoreLine]) -> None:
    """The dearest clips first."""
    ordered = sorted(lines, key=lambda line: (-line.per_clip, line.code))
    st.dataframe(
        pd.DataFrame(
            [(_store(line.code, line.name, line.archived), formats.usd(line.per_clip), line.clips, line.posts,
              formats.usd(line.usd)) for line in ordered],
            columns=["Store", "Cost per published clip", "Clips", "Live posts", "Cost"],
        ),
        hide_index=True, alt="One row a store, the dearest clips first",
    )  # fmt: skip


def _store(code: str, name: str, archived: bool = False) -> str:
    return f"{code} · {name}" + (" (archived)" if archived else "")


def _clip_table(operator: Operator, found: Value, zone: str, *, several: bool) -> None:
    linked = operator.role != "finance"  # the Clips page is not finance's
    st.dataframe(
        [_clip(operator, line, zone, several=several, linked=linked) for line in found.clips], hide_index=True,
        column_config={"Open": st.column_config.LinkColumn(display_text="Open")},
        alt="One row a clip, the dearest first",
    )  # fmt: skip
    if found.clips_count > len(found.clips):
        st.caption(f"The {len(found.clips)} dearest of {found.clips_count:,} clips; the sums have all.")


def _address(operator: Operator, line: ClipLine | Unused, **what: UUID) -> str:
    """The Clips page of the line's store; an address names store and company as the switchers show them."""
    several = len(operator.person.memberships) > 1
    company = {"account": operator.membership.account_name} if several else {}
    return "/clips?" + urlencode({**company, "profile": _store(line.code, line.store), **what})


def _clip(operator: Operator, line: ClipLine, zone: str, *, several: bool, linked: bool) -> dict[str, object]:
    return {
        "Clip": f"{line.name} (deleted)" if line.deleted else line.name,
        **({"Store": line.store} if several else {}),
        "Cost": formats.usd(line.usd),
        "Its own": formats.usd(line.own_usd),
        "Speech on it": formats.usd(line.speech_usd),
        "Live posts": line.posts,
        "First live": formats.moment(line.first_at, zone),
        **({"Open": None if line.deleted else _address(operator, line, clip=line.key)} if linked else {}),
    }


def _unpublished(operator: Operator, found: Value, zone: str, *, several: bool) -> None:
    st.header("Paid audio never published", help=_as_of(found, zone))
    lost = found.unpublished
    if not lost.count:
        st.info("All paid audio of this range is published, or younger than a week.", icon=":material/verified:")
        return
    speeches = "1 speech" if lost.count == 1 else f"{lost.count:,} speeches"
    st.markdown(formats.plain(f"{formats.usd(lost.usd)} for {speeches} that nobody has heard."))
    linked = operator.role != "finance"
    st.dataframe(
        [_unused(operator, line, zone, several=several, linked=linked) for line in lost.speech], hide_index=True,
        column_config={"Use it": st.column_config.LinkColumn(display_text="Put on a clip")},
        alt="One row a speech, the dearest first",
    )  # fmt: skip
    if lost.count > len(lost.speech):
        st.caption(f"The {len(lost.speech)} dearest of {lost.count:,}; the sum has all.")


def _unused(operator: Operator, line: Unused, zone: str, *, several: bool, linked: bool) -> dict[str, object]:
    return {
        "Text": line.text,
        **({"Store": line.store} if several else {}),
        "Paid": formats.usd(line.usd),
        **({"Use it": _address(operator, line, speech=line.key)} if linked else {}),
        "Where": "On a clip without a post" if line.on_clip else "On no clip",
        "Voice of": charts.name(line.provider),
        "Made": formats.moment(line.created_at, zone),
    }


def _savings(found: Value, zone: str, *, several: bool) -> None:
    st.header("Saved by reuse", help=_as_of(found, zone))
    if not found.savings:
        st.info(
            "Nothing was reused in this range. A text that changes a little is bought only where it changed.",
            icon=":material/recycling:",
        )
        return
    st.dataframe([_saving(line, several=several) for line in found.savings], hide_index=True,
                 alt="One row a month and store, the latest first")  # fmt: skip


def _saving(line: Saving, *, several: bool) -> dict[str, object]:
    return {
        "Month": f"{line.month:%B %Y}",
        **({"Store": _store(line.code, line.name)} if several else {}),
        "Saved": formats.usd(line.usd),
        "Passages": line.passages,
    }
