"""For admins: stores, people, assignments and quotas from CSV files, looked at before they are taken."""

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from services import stores
from services.bulk import importing, tables, writing
from services.bulk.importing import Added, Effect, Imported, Preview
from services.bulk.reading import MOST_BYTES, MOST_ROWS, Problem, Sheet
from services.bulk.tables import TABLES, Kind
from ui import formats, forms, invitation_links, sections, session
from ui.session import Operator

SHOWN = 200  # rows of a table in the preview
ONE_OF: dict[Kind, str] = {"stores": "store", "people": "person", "assignments": "assignment", "quotas": "quota"}
DOES = {"new": "New", "changed": "Changed", "same": "As it is", "invited": "Invitation under way"}


def show(operator: Operator) -> None:
    st.header("Import")
    _done(operator)
    _templates(operator)
    form = sections.of(operator, "import")
    files = st.file_uploader(
        "CSV files, one of each kind at most", accept_multiple_files=True, key=sections.key(form, "files"),
        max_upload_size=MOST_BYTES // 1_000_000,
        help=f"Up to {MOST_ROWS:,} rows in all. Commas, semicolons or tabs; "
             "UTF-8, UTF-16 or Windows-1252.",
    )  # fmt: skip
    forms.beside(f"{form}.files", f"{form}.")
    if files:
        _look(operator, [(file.name, file.getvalue()) for file in files])


def _templates(operator: Operator) -> None:
    st.caption(
        "All files together are taken, or none. Stores are known by their number, people by their e-mail address: "
        "what is there already is changed, the same files again change nothing, and nobody is taken out of a store."
    )
    with st.container(horizontal=True):
        for kind in TABLES:
            st.download_button(
                f"Template: {kind}", writing.template(kind), f"{kind}.csv", "text/csv", key=f"template_{kind}",
                on_click="ignore", icon=":material/download:",
            )  # fmt: skip
        records = stores.of_company(session.recently(operator), operator.account_id)
        for kind, content in (("stores", writing.stores(records)), ("quotas", writing.quotas(records))):
            st.download_button(
                f"Present {kind}", content, f"present-{kind}.csv", "text/csv", key=f"present_{kind}",
                on_click="ignore", icon=":material/table_view:",
            )  # fmt: skip
    with st.expander("What the columns hold", icon=":material/help:"):
        for kind, columns in TABLES.items():
            names = ", ".join(column.name if column.needed else f"{column.name} (may be empty)" for column in columns)
            st.text(f"{kind}: {names}")
        st.text(f'limit: "{tables.NO_LIMIT}" or US dollars a month such as 25.00. stores: numbers with blanks between.')


# Before ---------------------------------------------------------------------------------------------------------------


def _look(operator: Operator, files: Sequence[tuple[str, bytes]]) -> None:
    sheets, errors = importing.open_files(files)
    for error in errors:
        st.error(formats.plain(str(error)), icon=":material/error:")
    if not sheets:
        return
    st.text("\n".join(map(_read_as, sheets)))
    found = importing.preview(operator.database, operator.account_id, sheets)
    if found.wrong:
        _problems(found)
    for sheet in sheets:
        _rows(sheet, found)
    if found.wrong or errors:
        return
    if found.changes:
        _order(operator, sheets, found.changes)
    else:
        st.info("Everything in these files is as it is already.", icon=":material/check:")


def _order(operator: Operator, sheets: Sequence[Sheet], changes: int) -> None:
    form = sections.of(operator, "import")
    with st.form(form):
        reason = st.text_input(
            "Reason", key=sections.key(form, "reason"), placeholder="Opening of the northern stores",
            help="It is kept in the log with every change; limits have their own.",
        )  # fmt: skip
        forms.beside(f"{form}.reason")
        words = f"Import {changes:,} {'change' if changes == 1 else 'changes'}"
        sent = st.form_submit_button(words, key="import_send", type="primary", icon=":material/upload:")
    if sent:
        _take(operator, sheets, reason)


def _read_as(sheet: Sheet) -> str:
    return f"{sheet.name}: {counted(len(sheet.rows), sheet.kind)}, read as {sheet.encoding} with {sheet.separator}s"


def counted(number: int, kind: Kind) -> str:
    """How many of a kind, in words: "1 store"."""
    return f"{number:,} {ONE_OF[kind] if number == 1 else kind}"


def _problems(found: Preview) -> None:
    st.error(
        f"{found.wrong:,} {'cell is' if found.wrong == 1 else 'cells are'} wrong. Nothing is imported until all are "
        "right: correct the files and upload them again.",
        icon=":material/error:",
    )
    cells = {sheet.kind: sheet.cells for sheet in found.sheets}
    rows = [_wrong(problem, cells[problem.kind].get(problem.row, {})) for problem in found.problems]
    st.dataframe(rows, hide_index=True, alt="Cells that are wrong, with their row, column and why")
    if found.wrong > len(rows):
        st.caption(f"The first {len(rows):,} of {found.wrong:,}.")


def _wrong(problem: Problem, cells: dict[str, str]) -> dict[str, str | int]:
    return {
        "File": problem.kind,
        "Row": problem.row,
        "Column": problem.column,
        "Cell": cells.get(problem.column, ""),
        "What is wrong": problem.message,
    }


def _rows(sheet: Sheet, found: Preview) -> None:
    """The file's first rows as they stand in it, what is wrong or would be done beside them."""
    effects = {effect.row: effect for effect in found.effects if effect.kind == sheet.kind}
    wrong: dict[int, list[str]] = {}
    for problem in found.problems:
        if problem.kind == sheet.kind:
            wrong.setdefault(problem.row, []).append(f"{problem.column}: {problem.message}".removeprefix(": "))
    lines = sorted(sheet.cells, key=lambda line: (line not in wrong, line))
    rows = [
        {"Row": line, "Outcome": " ".join(wrong.get(line, [])) or _does(effects.get(line)), **sheet.cells[line]}
        for line in lines[:SHOWN]
    ]
    st.subheader(sheet.kind.capitalize())
    st.dataframe(rows, hide_index=True, alt=f"Rows of {sheet.kind} with what becomes of each")
    if len(lines) > SHOWN:
        st.caption(f"The first {SHOWN} of {len(lines):,} rows.")


def _does(effect: Effect | None) -> str:
    if effect is None:
        return ""
    if effect.does != "changed" or not effect.after:
        return DOES[effect.does]
    return "; ".join(
        f"{field}: {_value(effect.kind, (effect.before or {}).get(field))} → {_value(effect.kind, after)}"
        for field, after in effect.after.items()
    )


def _value(kind: Kind, value: object) -> str:
    if kind == "quotas":
        return f"${value}" if float(str(value)) else tables.NO_LIMIT
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "empty")


# After ----------------------------------------------------------------------------------------------------------------


def _take(operator: Operator, sheets: Sequence[Sheet], reason: str) -> None:
    form = sections.of(operator, "import")
    done: list[Imported] = st.session_state.setdefault(f"{form}_done", [])  # before: a click meanwhile ends this run

    def run() -> None:
        done.append(importing.take(operator.database, operator.account_id, sheets, reason))

    if sections.save(operator, form, run):
        st.toast("Imported.", icon=":material/check:")
    st.rerun()


def _done(operator: Operator) -> None:
    """What was imported, with the links to hand over, until it is dismissed."""
    place = f"{sections.of(operator, 'import')}_done"
    done: list[Imported] = st.session_state.get(place, [])
    if not done:
        return
    with st.container(border=True):
        for each in done:
            _counts(each)
        added = [person for each in done for person in each.added]
        if mailed := sum(person.mailed for person in added):
            st.text(f"Invitations on their way by mail: {mailed:,}. Jobs shows each.")
        _links(operator, added)
        if st.button("Done", key="import_done"):
            del st.session_state[place]
            st.rerun()


def _counts(done: Imported) -> None:
    numbers: dict[Kind, int] = {
        "stores": done.stores, "people": done.people, "assignments": done.assignments, "quotas": done.quotas,
    }  # fmt: skip
    told = ", ".join(counted(number, kind) for kind, number in numbers.items() if number)
    st.success(f"New or changed: {told or 'nothing'}.", icon=":material/check:")


def _links(operator: Operator, added: Sequence[Added]) -> None:
    links = [
        invitation_links.handed(operator, person.link, person.name, person.email) for person in added if person.link
    ]
    if not links:
        return
    st.warning(
        f"Links to choose a password, for {counted(len(links), 'people')}. Nobody can read them again: "
        "download them now and hand each to its person. New ones can be made under People.",
        icon=":material/key:",
    )
    st.download_button(
        "Download the links", invitation_links.as_csv(links), f"links-{datetime.now(UTC):%Y-%m-%d}.csv", "text/csv",
        key="import_links", on_click="ignore", icon=":material/download:", type="primary",
    )  # fmt: skip
