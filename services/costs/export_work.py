"""The worker's part of exports: files that people asked for, and the ledger month by month."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.costs import export_views
from services.costs.desk import Desk
from services.costs.entries import Summary
from services.costs.export_files import Cell, Table, write_csv, write_xlsx
from services.costs.export_views import WHOLE_MONTHS, Tally
from services.costs.exports import TITLES, VALUED, Wanted
from services.costs.value import Value
from services.errors import AppError, AttemptLost, Unavailable
from services.jobs.checkpoints import reached
from services.jobs.context import Context, Outcome
from services.jobs.workplace import room, workplace

Ask = Callable[[int], dict[str, Any]]  # the lines behind an entry, as `private.ledger_lines` answers

READ, PACKED = 0.8, 0.9  # shares of the work
FILTERS = {"user_id": "person", "project_id": "project", "clip_id": "clip"}


class _Order(BaseModel):
    """What `export_order` answers. `answer` holds the figures of a view; entries are read page by page."""

    model_config = ConfigDict(frozen=True)

    wanted: Wanted
    account_id: UUID
    company: str
    person: str
    stores: list[str] | None  # None: all of the company
    names: dict[str, str]
    as_of: datetime
    seq: int
    answer: dict[str, Any] | None


def export_costs(context: Context) -> None:
    """Make the file that was asked for, as its asker may see it now. A killed attempt's successor starts over."""
    order = _Order.model_validate(context.ask("export_order", p_job_id=context.job.id))
    found = _Found(context, order)
    with workplace(context) as place:
        file = place / f"costs.{order.wanted.format}"
        with room():
            found.write(file)
        size = file.stat().st_size
        path = f"exports/{order.account_id}/{context.job.id}-{context.job.attempt_token}.{order.wanted.format}"
        _store(context, file, path)
    context.finish("export_made", p_file={
        "path": path, "file_name": _file_name(order), "bytes": size, "lines": found.tally.lines,
        "total_usd": found.tally.total, "seq": order.seq, "as_of": order.as_of,
    })  # fmt: skip


class _Found:
    """The table of an order, and what the file says about it."""

    def __init__(self, context: Context, order: _Order) -> None:
        self.tally = Tally()
        self.desk: Desk | None = None
        self._context, self._order = context, order
        self._table = self.tally.over(self._of_view(order.wanted.view))

    def _of_view(self, view: str) -> Table:
        if view == "entries":
            ask = partial(self._context.ask, "export_lines", p_job_id=self._context.job.id)
            return export_views.entries(_lines(self._context, lambda after: ask(p_after=after), self._order.seq))
        if view == "spending":
            return export_views.of_person(Summary.model_validate(self._order.answer))
        if view in VALUED:
            return export_views.of_value(Value.model_validate(self._order.answer), view)
        self.desk = Desk.model_validate(self._order.answer)
        return export_views.of_desk(self.desk, view)

    def write(self, file: Path) -> None:
        if self._order.wanted.format == "csv":
            write_csv(file, self._table, self.about)
            return
        write_xlsx(file, self._table, self.about, packing=self._tell_packing)

    def _tell_packing(self) -> None:
        self._context.progress(READ, f"Putting {self.tally.lines:,} lines together")

    def about(self) -> list[tuple[str, Cell]]:
        order = self._order
        lines: list[tuple[str, Cell]] = [
            ("Company", order.company),
            ("Export", order.wanted.title),
            ("Stores", ", ".join(order.stores) if order.stores is not None else "All stores"),
            ("Range (UTC days)", self._range()),
            ("Only", _filters(order) or "Everything in the range"),
            ("Times and days", "UTC"),
            ("As of", f"{order.as_of.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"),
            ("Up to entry of the ledger", order.seq),
            ("Currency", "US dollars"),
            ("Asked by", order.person),
            ("Lines", self.tally.lines),
            ("Total (US dollars)", self.tally.total),
        ]
        if not self.tally.lines:
            lines.append(("Note", "Nothing was spent here in this range."))
        elif self.desk and order.wanted.view == "person" and not self.desk.all_people:
            lines.append(("Note", "Of totals per person you see your own."))
        return lines

    def _range(self) -> str:
        wanted = self._order.wanted
        if wanted.view == "spending":
            return "All time"
        days = f"{wanted.from_day} to {wanted.to_day}"
        if self.desk and wanted.view in WHOLE_MONTHS and not self.desk.in_whole_months:
            return f"{days}, summed over the whole months {self.desk.from_month:%Y-%m} to {self.desk.to_month:%Y-%m}"
        return days


def _filters(order: _Order) -> str:
    told = {name: order.names.get(name, value) for name, value in sorted(order.wanted.filters.items())}
    return ", ".join(f"{FILTERS.get(name, name)} {value}" for name, value in told.items())


def _file_name(order: _Order) -> str:
    wanted = order.wanted
    what = wanted.view if wanted.view in TITLES else f"by-{wanted.view}"
    store = f"-{order.stores[0].split(' ')[0]}" if wanted.profile_id and order.stores else ""
    return f"costs-{what}{store}-{wanted.from_day}-to-{wanted.to_day}.{wanted.format}"


def _lines(context: Context, ask: Ask, until: int) -> Iterator[Sequence[Any]]:
    """Lines of the ledger up to an entry, page by page; tells the job's progress."""
    after = 0
    while after < until:
        context.check()
        context.progress(READ * after / until, f"{after:,} of {until:,} entries read")
        page = ask(after)
        yield from page["lines"]
        after = page["after"]
        reached("lines_read")


def _store(context: Context, file: Path, path: str) -> None:
    context.progress(PACKED, "Storing the file")
    context.check()
    with file.open("rb") as data:
        context.media.write(path, data)
    reached("export_stored")


# The scheduled one --------------------------------------------------------------------------------------------------


def export_ledger(context: Context) -> Outcome:
    """Write the months of the ledger that have no file yet or have grown since, of one company or of all."""
    context.tell("forget_exports")
    due = context.ask("ledgers_due", p_account_id=context.job.account_id)
    failed = [account for account, months in groupby(due, lambda month: month["account_id"])
              if not _of_company(context, account, list(months))]  # fmt: skip
    return {"files": len(due), "failed": failed}


def _of_company(context: Context, account_id: str, months: list[dict[str, Any]]) -> bool:
    """Whether it went well. What went wrong is noted for the company's admins, and the others' turn comes."""
    error: AppError | None = None
    try:
        for month in months:
            _write_month(context, account_id, date.fromisoformat(month["month"]), month["seq"])
    except AttemptLost:
        raise
    except AppError as exc:
        error = exc
    context.write("ledger_tried", p_account_id=account_id, p_error=str(error) if error else None)
    if isinstance(error, Unavailable):  # trying again can help
        raise error
    return error is None


def _write_month(context: Context, account_id: str, month: date, seq: int) -> None:
    """The path has no attempt's token: other programs look for it. Each write replaces the whole file."""
    path, tally = f"exports/{account_id}/ledger-{month:%Y-%m}.csv", Tally()
    ask = partial(context.ask, "month_lines", p_account_id=account_id, p_month=month, p_until=seq)
    table = tally.over(export_views.entries(_lines(context, lambda after: ask(p_after=after), seq)))
    with workplace(context) as place:
        file = place / "ledger.csv"
        with room():
            write_csv(file, table)
        size = file.stat().st_size
        _store(context, file, path)
    context.write("ledger_written", p_account_id=account_id, p_month=month, p_file={
        "path": path, "bytes": size, "lines": tally.lines, "total_usd": tally.total, "seq": seq,
    })  # fmt: skip
