"""The Costs page's sections: totals, trend, months, breakdown, and this month against its quota."""

from datetime import date, timedelta
from decimal import Decimal

import pandas as pd
import streamlit as st

from services.costs.desk import Desk, Grain
from services.costs.forecast import Forecast
from ui import charts, cost_charts, cost_filters, cost_lines, formats
from ui.cost_lines import Row

NOTHING = "Nothing was spent in this range."
WHOLE_MONTHS = ("person", "project", "clip")


def as_of(desk: Desk, zone: str) -> str:
    """Up to where the numbers counted."""
    return f"As of {formats.moment(desk.as_of, zone)}, up to entry {desk.seq:,} of the ledger."


def heading(text: str, desk: Desk, zone: str) -> None:
    st.header(text, help=as_of(desk, zone))


def days(first: date, last: date) -> str:
    return f"{first:%-d %b %Y}" if first == last else f"{first:%-d %b %Y} to {last:%-d %b %Y}"


def totals(desk: Desk, foretold: Forecast | None, zone: str) -> None:
    """Numbers side by side; each says as of when."""
    month, before = desk.month, (desk.month.month - timedelta(days=1)).replace(day=1)
    told = as_of(desk, zone)
    with st.container(key="tiles_costs"):
        spent = f"{told} {desk.entries:,} entries."
        if desk.total != desk.counted:
            spent += f" {formats.usd(desk.total - desk.counted)} of it does not count towards the quota."
        st.metric("Spent in the range", formats.usd(desk.total), border=True, help=spent)
        st.metric(
            f"{month.month:%B %Y}", formats.usd(month.usd), _change(month.usd, month.before_so_far), border=True,
            delta_color="inverse", help=f"{told} Compared with {before:%B} up to the same day: "
            f"{formats.usd(month.before_so_far)}.",
        )  # fmt: skip
        st.metric(f"{before:%B %Y}", formats.usd(month.before), border=True, help=f"{told} The whole month.")
        if (quota := desk.outlook.quota) and quota.left is not None:
            held = f" {formats.usd(quota.held)} is held by work under way." if quota.held else ""
            st.metric("Left this month", formats.usd_left(quota.left), border=True, help=told + held)
        if foretold is not None:
            st.metric("Forecast, this month", _about(foretold.expected), border=True, help=f"{told} {_range(foretold)}")


def _change(now: Decimal, before: Decimal) -> str | None:
    """By how much it is more or less than before; None where there is nothing to compare with."""
    if not before:
        return None
    return f"{'+' if now >= before else '-'}{abs(now / before - 1) * 100:.0f} %"


def _about(usd: float) -> str:
    return formats.usd(Decimal(str(usd)))


def _range(foretold: Forecast) -> str:
    return f"Four times in five a month ends between {_about(foretold.low)} and {_about(foretold.high)}."


def trend(desk: Desk, grain: Grain, asked: tuple[date, date], zone: str) -> None:
    heading("Trend", desk, zone)
    if not desk.trend:
        st.info(NOTHING, icon=":material/bar_chart_off:")
        return

    def open_bar() -> None:
        for point in st.session_state["costs_trend"]["selection"]["points"][:1]:
            cost_filters.show_bar(point["customdata"], date.fromisoformat(point["x"][:10]), grain, asked)

    alt = f"Bars by service, {days(desk.trend[0].day, desk.to_day)}, {formats.usd(desk.total)} in all"
    charts.draw(cost_charts.trend(desk), key="costs_trend", alt=alt, on_select=open_bar)
    st.caption("Choose a bar to see its entries.")


def months(desk: Desk, zone: str) -> None:
    """Each month with the change against the one before it (under way: up to the same day)."""
    heading("Months", desk, zone)
    if not desk.months:
        st.info(NOTHING, icon=":material/calendar_month:")
        return
    before = {_next_month(line.month): line.usd for line in desk.months}
    before[desk.month.month] = desk.month.before_so_far
    lines = [
        {
            "Month": f"{line.month:%B %Y}" + (" (so far)" if line.month == desk.today.replace(day=1) else ""),
            "Cost": formats.usd(line.usd),
            "Against the month before": _change(line.usd, before.get(line.month, Decimal(0))) or "",
            "Entries": line.entries,
        }
        for line in reversed(desk.months)
    ]
    st.dataframe(pd.DataFrame(lines), hide_index=True, alt="One row a month, the latest first")


def _next_month(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)


def breakdown(desk: Desk, cut: str, zone: str) -> None:
    found = cost_lines.rows(desk, cut)
    heading(f"By {cost_filters.CUTS[cut].lower()}", desk, zone)
    if cut in WHOLE_MONTHS and not desk.in_whole_months:
        end = _next_month(desk.to_month) - timedelta(days=1)
        st.caption(f"Summed over whole months: {days(desk.from_month, end)}.")
    if cut == "person" and not desk.all_people:
        st.caption("Of totals per person you see your own. Entries name who spent.")
    if not found:
        st.info(NOTHING, icon=":material/bar_chart_off:")
        return
    _bars(found, cut)
    _table(found, desk, cut)


def _bars(found: list[Row], cut: str) -> None:
    key = f"costs_bars_{cut}"

    def open_bar() -> None:
        for point in st.session_state[key]["selection"]["points"][:1]:
            cost_filters.show_entries(found[point["point_index"]].only)

    figure = cost_charts.breakdown([row.name for row in found], [float(row.usd) for row in found])
    charts.draw(figure, key=key, alt=f"Cost by {cut}, the dearest first; the table beneath says the same",
                on_select=open_bar)  # fmt: skip


def _table(found: list[Row], desk: Desk, cut: str) -> None:
    key = f"costs_table_{cut}"

    def open_row() -> None:
        for place in st.session_state[key]["selection"]["rows"][:1]:
            if place < len(found):
                cost_filters.show_entries(found[place].only)

    st.dataframe(
        pd.DataFrame([_line(row, desk, cut) for row in found] + _rest(found, desk, cut)),
        key=key, hide_index=True, on_select=open_row, selection_mode="single-row",
        alt=f"One row a {cut}, the dearest first",
    )  # fmt: skip
    st.caption("Choose a bar or a row to see its entries.")


def _whole(desk: Desk, cut: str) -> Decimal:
    return desk.whole_months if cut in WHOLE_MONTHS else desk.total


def _line(row: Row, desk: Desk, cut: str) -> dict[str, object]:
    whole = _whole(desk, cut)
    return {
        cost_filters.CUTS[cut]: row.name,
        "Cost": formats.usd(row.usd),
        "Share": f"{row.usd / whole * 100:.1f} %" if whole else "",
        "Entries": f"{row.entries:,}",
    }


def _rest(found: list[Row], desk: Desk, cut: str) -> list[dict[str, object]]:
    """What the projects or clips shown leave of the total."""
    rest = desk.whole_months - sum((row.usd for row in found), Decimal(0))
    if cut not in ("project", "clip") or not rest:
        return []
    name = f"Everything else: other {cut}s, and costs without one"
    share = f"{rest / desk.whole_months * 100:.1f} %" if desk.whole_months else ""
    return [{cost_filters.CUTS[cut]: name, "Cost": formats.usd(rest), "Share": share, "Entries": ""}]


def outlook(desk: Desk, foretold: Forecast | None, zone: str) -> None:
    """This month against its quota, whatever the range."""
    quota = desk.outlook.quota
    heading("This month against the quota" if quota else "This month", desk, zone)
    figure = cost_charts.burn_down(desk.outlook, desk.today, foretold)
    charts.draw(figure, key="costs_burn_down", alt="A line from the month's first day to today, and the forecast")
    for sentence in sentences(desk, foretold):
        st.markdown(formats.plain(sentence))


def sentences(desk: Desk, foretold: Forecast | None) -> list[str]:
    quota, told = desk.outlook.quota, []
    if quota and quota.limit is not None:
        told.append(f"{formats.usd(quota.settled)} of {formats.usd(quota.limit)} is spent.")
    elif quota:
        told.append(f"{formats.usd(quota.settled)} is spent; there is no limit.")
    if foretold is None:
        return [*told, "Too little is known for a forecast: it needs seven days of spending."]
    told.append(f"The month will end near {_about(foretold.expected)}. {_range(foretold)}")
    if quota and quota.limit is not None:
        told.append(_end_of_quota(foretold, quota.exceeded))
    return told


def _end_of_quota(foretold: Forecast, exceeded: bool) -> str:
    if exceeded:
        return "The quota is used up."
    if foretold.earliest is None:
        return "The quota lasts to the end of the month."
    latest = f"{foretold.latest:%-d %B}" if foretold.latest else "not this month"
    if foretold.runs_out is None:
        return f"The quota probably lasts; at the earliest it runs out on {foretold.earliest:%-d %B}."
    return (
        f"The quota runs out about {foretold.runs_out:%-d %B}: at the earliest on {foretold.earliest:%-d %B}, "
        f"at the latest {'on ' if foretold.latest else ''}{latest}."
    )
