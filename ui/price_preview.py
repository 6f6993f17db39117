"""For admins: what a month would have cost under other prices, and the correction of what was booked at a wrong one."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import streamlit as st

from services.costs import corrections, prices
from services.costs.prices import OtherPrice, Preview, PreviewLine
from services.database.door import Database
from services.identity import Role
from ui import charts, formats, forms, sections, session
from ui.recent import CACHE_SECONDS
from ui.session import Operator

MONTHS = 13  # to choose from, this one included
FORM = "reprice"


@dataclass(frozen=True)
class Asked:
    """A price instead of the book's (None: the book as it is), and the instant whose book counts (None: now)."""

    price: OtherPrice | None
    label: str
    at: datetime | None


def ask(operator: Operator, price: OtherPrice | None, label: str, at: datetime | None) -> None:
    """Show it below, until something else is asked."""
    st.session_state[f"{sections.of(operator, FORM)}_asked"] = Asked(price, label, at)


def show(operator: Operator) -> None:
    asked: Asked | None = st.session_state.get(f"{sections.of(operator, FORM)}_asked")
    if asked is None:
        return
    with st.container(border=True, key="price_preview"):
        st.subheader("What a month would have cost")
        month = _month(operator)
        seen = _read(operator, month, asked)
        if asked.price is None:
            _models(seen)
        else:
            alone = seen.of_model(asked.price.provider, asked.price.model)
            st.caption(formats.plain(f"{asked.label} at {formats.usd(asked.price.usd)} per {asked.price.per_units:,}."))
            _stores(alone)
            _correct(operator, asked.price, alone)
            st.markdown("**All models: this price, and the book's for all others**")
            _models(seen)
        _notes(operator, seen)


def _month(operator: Operator) -> date:
    today = datetime.now(UTC).date().replace(day=1)
    months = [today]
    while len(months) < MONTHS:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return st.selectbox(
        "Month (UTC)", months, index=1, format_func=lambda day: f"{day:%B %Y}", width=240,
        key=f"{sections.of(operator, FORM)}_month",
    )  # fmt: skip


@st.cache_data(ttl=CACHE_SECONDS, max_entries=200, show_spinner="Reading the month's entries…")
def _preview(
    account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, month: date, at: datetime | None,
    price: str, _price: OtherPrice | None, _database: Database,
) -> Preview:  # fmt: skip
    return prices.preview(_database, account_id, month, at, _price)


def _read(operator: Operator, month: date, asked: Asked) -> Preview:
    return _preview(*session.cache_key(operator), month, asked.at, repr(asked.price), asked.price, operator.database)


# Tables -----------------------------------------------------------------------------------------------------------


def _stores(seen: Preview) -> None:
    if not seen.lines:
        st.info("Nothing of this model was booked in this month.", icon=":material/receipt_long:")
        return
    with st.container(key="tiles_preview"):
        st.metric("As booked", formats.usd(seen.old_usd), border=True)
        st.metric("At this price", formats.usd(seen.new_usd), border=True)
        st.metric("Difference", _signed(seen.new_usd - seen.old_usd), border=True)
    rows = [{"Store": _store(line), **_figures([line])} for line in seen.lines]
    st.dataframe(rows, hide_index=True, alt="One row a store: entries, as booked, at this price, difference")


def _models(seen: Preview) -> None:
    models = sorted({(line.service, line.model) for line in seen.lines})
    if not models:
        st.info("Nothing was booked in this month.", icon=":material/receipt_long:")
        return
    rows = [{"Service": charts.name(s), "Model": m, **_figures(seen.of_model(s, m).lines)} for s, m in models]
    rows.append({"Service": "Together", "Model": "", **_figures(seen.lines)})
    st.dataframe(rows, hide_index=True, alt="One row a model: entries, as booked, under these prices, difference")


def _figures(lines: list[PreviewLine]) -> dict[str, str]:
    return {
        "Entries": f"{sum(line.entries for line in lines):,}",
        "As booked": _sum(lines, "old_usd"),
        "Under these prices": _sum(lines, "new_usd"),
        "Difference": _signed(sum((line.difference for line in lines), Decimal(0))),
        "Without a price": f"{sum(line.unpriced for line in lines):,}",
    }


def _sum(lines: list[PreviewLine], name: str) -> str:
    return formats.usd(sum((getattr(line, name) for line in lines), Decimal(0)))


def _signed(usd: Decimal) -> str:
    return f"+{formats.usd(usd)}" if usd > 0 else formats.usd(usd)


def _store(line: PreviewLine) -> str:
    return f"{line.store_code} · {line.store}" if line.store else "A store that is gone"


def _notes(operator: Operator, seen: Preview) -> None:
    unpriced = sum(line.unpriced for line in seen.lines)
    if unpriced:
        usd = sum((line.unpriced_usd for line in seen.lines), Decimal(0))
        kinds = ", ".join(sorted({kind.replace("_", " ") for line in seen.lines for kind in line.missing}))
        st.caption(
            formats.plain(
                f"{unpriced:,} entries ({formats.usd(usd)}) cannot be re-rated: the book has no price for {kinds}."
            )
        )
    if seen.corrections_usd:
        st.caption(
            formats.plain(f"Corrections of this month come to {_signed(seen.corrections_usd)}, in neither amount.")
        )
    st.caption(f"As of {formats.moment(seen.as_of, operator.timezone)}. Each entry is rounded once, to six places.")


# Correcting what was booked ---------------------------------------------------------------------------------------


def _correct(operator: Operator, price: OtherPrice, alone: Preview) -> None:
    """In two clicks, the second beside the amounts: what was booked becomes what it costs at this price."""
    if not alone.entries:
        return
    form = sections.of(operator, FORM)
    with st.popover("Correct what was booked", icon=":material/edit_note:"):
        stores = {"all": "All stores"} | {str(line.profile_id): _store(line) for line in alone.lines}
        store = st.selectbox("Store", list(stores), format_func=stores.__getitem__, key=sections.key(form, "store"))
        st.text(_told([line for line in alone.lines if store in ("all", str(line.profile_id))], alone.month))
        forms.beside(f"{form}.store", f"{form}.month")
        reason = st.text_input("Reason", key=sections.key(form, "reason"), placeholder="Invoice of 3 Nov: the old list")
        forms.beside(f"{form}.reason")
        if st.button("Book the corrections", key=sections.key(form, "book"), type="primary"):
            _book(operator, form, price, alone.month, None if store == "all" else UUID(store), reason)
        forms.beside(f"{form}.", f"{form}.price", f"{form}.model")


def _told(lines: list[PreviewLine], month: date) -> str:
    return (
        f"{sum(line.entries for line in lines):,} entries of this model in {month:%B %Y} were booked at "
        f"{_sum(lines, 'old_usd')}; with their corrections they come to {_sum(lines, 'new_usd')}. Each is an entry "
        "of today that names what it corrects; none counts towards a quota."
    )


def _book(
    operator: Operator, form: str, price: OtherPrice, month: date, profile_id: UUID | None, reason: str
) -> None:  # fmt: skip
    asked = (price, month, profile_id, reason)
    known = st.session_state.get(f"{form}_sent")
    if known is None or known[0] != asked:  # one id until it got through: after a lost answer the next click finds it
        known = st.session_state[f"{form}_sent"] = (asked, uuid4())
    made: list[corrections.ModelCorrected] = []

    def book() -> None:
        made.append(
            corrections.adjust_model(operator.database, known[1], operator.account_id, profile_id, month, price, reason)
        )

    if forms.attempt(form, book):
        del st.session_state[f"{form}_sent"]
        sections.begin_anew(form)
        said = (
            f"{made[0].entries:,} corrections booked, {_signed(made[0].usd)} together."
            if made[0].entries
            else ("Nothing is left to correct.")
        )
        st.toast(formats.plain(said), icon=":material/check:")
    session.forget_numbers(operator)
    st.rerun()
