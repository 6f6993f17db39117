"""An older prompt builder's files become history: once, whole, and without touching what is left to spend."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.config import ROOT
from services.database import connect
from services.database.embedded import Server
from services.database.postgres import Postgres
from services.database.supabase import Supabase
from services.scripts import import_lines, importer, runs, versions
from services.scripts.importer import Taken
from services.scripts.target import Target
from tests import kill
from tests.builders import World, entry, installed
from tests.cloud import fake_cloud
from tests.jobs.fixtures import Shop
from tests.scripts.archive import OLDER, archive, call, log, run, text

TOTAL = Decimal("1.658700")  # the reference run and a speech
TABLES = ("assistants", "prompt_versions", "pipeline_runs", "pipeline_steps", "cost_entries", "cost_entry_details",
          "cost_daily", "profile_monthly_costs", "profile_daily_costs", "company_daily_costs", "user_costs",
          "audit_log", "quota_counters", "cost_holds")  # fmt: skip


class Desk:
    """The company that takes over, and what it has afterwards."""

    def __init__(self, world: World, shop: Shop) -> None:
        self.world, self.shop = world, shop
        world.execute("update public.profiles set slug = 'quay' where id = %s", shop.store)
        self.worker = world.as_worker()

    @property
    def target(self) -> Target:
        company = self.world.value("select slug from public.accounts where id = %s", self.shop.account)
        return Target.find(self.worker, company, self.email)

    @property
    def email(self) -> str:
        return str(self.world.value("select email from public.people where id = %s", self.shop.manager))

    def take(self, root: Path, dry_run: bool = False, **places: str) -> list[Taken]:
        return list(importer.take_all(self.worker, self.target, root, places, dry_run=dry_run))

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self.world.rows(f"select * from public.{table} t order by t::text")

    def everything(self) -> dict[str, Any]:
        found = {table: self.rows(table) for table in TABLES}
        return {**found, "lines": self.world.rows("select * from private.import_lines")}

    def differences(self) -> int:
        """What the nightly check finds, over all months."""
        months = self.worker.call("money_months", p_account_id=self.shop.account, p_recent=False)
        return sum(
            self.worker.call("keep_money_check", p_account_id=self.shop.account, p_month=month) for month in months
        )


@pytest.fixture
def desk(world: World, shop: Shop) -> Desk:
    return Desk(world, shop)


def command(world: World, folder: Path, *arguments: str) -> int:
    with installed(world, folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(importer, "process_doors", lambda _: _Opened())
        return importer.main(arguments)


class _Opened:
    """The doors that `installed` has put in place."""

    def __enter__(self) -> connect.OpenDoors:
        return connect.doors()

    def __exit__(self, *_: object) -> None: ...


# What is taken --------------------------------------------------------------------------------------------------------


def test_a_folder_becomes_history_of_its_store(desk: Desk, tmp_path: Path) -> None:
    (taken,) = desk.take(archive(tmp_path))
    assert (taken.assistants, taken.versions, taken.runs, taken.entries) == (1, 2, 1, 4)
    assert Decimal(taken.usd) == TOTAL
    (found,) = runs.find(desk.shop.database, desk.shop.store)
    run_, steps = runs.get(desk.shop.database, found.id), runs.steps(desk.shop.database, found.id)
    assert (run_.status, run_.assistant_name, run_.created_by) == ("completed", "Ann", desk.shop.manager)
    assert (run_.input_tokens, run_.output_tokens, run_.total_cost_usd) == (29_709, 11_374, Decimal("1.2987"))
    assert (run_.seconds, run_.best_score) == (180, 88)
    assert [(s.phase, s.round, s.seconds) for s in steps] == [
        ("prompt_generation", 0, 60), ("prompt_analysis", 0, 60), ("prompt_improvement", 1, 60),
    ]  # fmt: skip
    parts = {row.phase: row.cost_usd for row in runs.breakdown(desk.shop.database, run_.id)}
    assert parts["prompt_improvement"] == Decimal("0.6949")
    newest, first = versions.of_assistant(desk.shop.database, run_.assistant_id)
    assert (newest.number, newest.status, newest.run_id, newest.cost_usd) == (2, "deployed", run_.id, Decimal("1.2987"))
    assert newest.created_at == newest.deployed_at  # at the latest
    assert (newest.content, newest.injection_content) == ("Warm bread at six.", "<<Warm bread at six.>>")
    assert (first.title, first.final_score, first.created_at.isoformat()) == (
        "Fresh bread", Decimal("71.5"), "2026-03-01T08:00:00+00:00",
    )  # fmt: skip
    assert run_.version_id == newest.id


def test_history_is_in_the_books_under_its_day_and_counts_to_no_quota(desk: Desk, tmp_path: Path) -> None:
    (before,) = desk.worker.call("money_months", p_account_id=desk.shop.account)[:1]
    today = {**OLDER, "timestamp": desk.world.value("select private.utc_now()").isoformat(), "cost_usd": 500}
    log(archive(tmp_path) / "quay" / "today.jsonl", today)
    desk.take(tmp_path)
    entries = desk.world.rows("select * from public.cost_entries order by seq")
    assert [row["seq"] for row in entries] == [1, 2, 3, 4, 5]
    assert sum(row["cost_usd"] for row in entries) == TOTAL + 500
    assert {row["booked_on"].isoformat() for row in entries[:4]} == {"2026-03-02", "2026-03-05"}
    assert {(row["user_id"], row["counts_to_quota"]) for row in entries} == {(desk.shop.manager, False)}
    assert desk.world.value("select count(*) from public.cost_holds") == 0
    assert desk.world.value("select sum(settled_usd + held_usd) from public.quota_counters") == 0
    spent = desk.world.value("select sum(total_cost_usd) from public.user_costs where user_id = %s", desk.shop.manager)
    assert spent == TOTAL + 500
    desk.world.spend(desk.shop.store, "0.10", desk.shop.manager)  # the quota of $10 is there still
    assert desk.differences() == 0
    assert desk.worker.call("money_months", p_account_id=desk.shop.account)[0] < before
    sums = desk.world.rows("select profile_id, day, other_cost_usd from public.profile_daily_costs order by day")
    for month in ("2026-03-01", str(before)):
        desk.worker.call("rebuild_cost_rollups", p_account_id=desk.shop.account, p_month=month)
    assert (
        desk.world.rows("select profile_id, day, other_cost_usd from public.profile_daily_costs order by day") == sums
    )


def test_the_same_again_changes_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.take(archive(tmp_path))
    before = desk.everything()
    (again,) = desk.take(tmp_path)
    assert (again.assistants, again.versions, again.runs, again.entries) == (0, 0, 0, 0)
    assert (again.versions_again, again.entries_again) == (2, 4)
    assert desk.everything() == before
    (tmp_path / "quay" / "logs" / "costs.jsonl").rename(tmp_path / "quay" / "costs.jsonl")
    assert desk.take(tmp_path)[0].entries == 0


def test_what_comes_later_joins_what_is_there(desk: Desk, tmp_path: Path) -> None:
    desk.take(archive(tmp_path))
    more = call(operation="analysis", timestamp="2026-03-02T10:05:00Z", cost_usd="0.1")
    log(tmp_path / "quay" / "more.jsonl", more)
    (taken,) = desk.take(tmp_path)
    assert (taken.entries, taken.runs) == (1, 0)
    (found,) = runs.find(desk.shop.database, desk.shop.store)
    assert (found.total_cost_usd, found.seconds) == (Decimal("1.3987"), 360)
    assert [s.place for s in runs.steps(desk.shop.database, found.id)] == [0, 1, 2, 3]
    assert desk.differences() == 0


def test_a_dry_run_tells_the_same_and_changes_nothing(desk: Desk, tmp_path: Path) -> None:
    root, before = archive(tmp_path), desk.everything()
    tried = desk.take(root, dry_run=True)
    assert desk.everything() == before
    assert tried == desk.take(root)


def test_over_rest_it_is_the_same(desk: Desk, server: Server, world: World, tmp_path: Path) -> None:
    root = archive(tmp_path)
    with fake_cloud(server, world.admin.info.dbname) as project, httpx.Client() as http:
        desk.worker = Supabase(url=project.url, key=project.stack.secret_key, http=http)
        tried, taken, again = desk.take(root, dry_run=True), desk.take(root), desk.take(root)
    desk.worker = world.as_worker()
    assert tried == taken
    assert (taken[0].entries, taken[0].usd, again[0].entries_again) == (4, str(TOTAL), 4)
    assert desk.differences() == 0


# Who and where --------------------------------------------------------------------------------------------------------


def test_the_command_reports_and_maps(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive(tmp_path / "in", "old-name")
    log(tmp_path / "in" / "old-name" / "bad.jsonl", b"no json", b"", b"{}")
    slug = desk.world.value("select slug from public.accounts where id = %s", desk.shop.account)
    code = desk.world.value("select code from public.profiles where id = %s", desk.shop.store)
    report, base = tmp_path / "report.json", [str(tmp_path / "in"), "--company", slug, "--person", desk.email.upper()]
    assert command(desk.world, tmp_path, *base) == 1
    assert "No store is called so" in capsys.readouterr().out
    assert command(desk.world, tmp_path, *base, "--map", f"old-name={code}", "--report", str(report)) == 1
    said = capsys.readouterr().out
    assert "costs 4 ($1.658700), runs 1, versions 2, assistants 1" in said
    assert "SKIPPED bad.jsonl, line 1: This is no JSON." in said
    (folder,) = json.loads(report.read_text())["folders"]
    assert {(note["file"], note["lines"]) for note in folder["notes"] if note["lost"]} == {
        ("bad.jsonl", "1"), ("bad.jsonl", "3"),
    }  # fmt: skip
    (tmp_path / "in" / "old-name" / "bad.jsonl").unlink()
    assert command(desk.world, tmp_path, *base, "--map", f"old-name={code}") == 0
    assert command(desk.world, tmp_path, *base, "--map", "nowhere=1") == 1
    assert "no account folder" in capsys.readouterr().err


def test_a_stranger_is_given_nothing(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stranger = desk.world.person(desk.world.company(), "admin")
    email = desk.world.value("select email from public.people where id = %s", stranger)
    slug = desk.world.value("select slug from public.accounts where id = %s", desk.shop.account)
    assert command(desk.world, tmp_path, str(tmp_path), "--company", slug, "--person", email) == 1
    assert f"Nobody with the address {email} works at" in capsys.readouterr().err
    assert command(desk.world, tmp_path, str(tmp_path), "--company", "nix", "--person", email) == 1
    assert "no company" in capsys.readouterr().err


def test_people_cannot_import(desk: Desk, tmp_path: Path) -> None:
    admin = desk.world.as_person(desk.world.person(desk.shop.account, "admin"))
    for door in (admin, desk.shop.database, desk.world.doors.anonymous()):
        assert isinstance(door, Postgres)
        with pytest.raises(Exception, match=r"does not allow|sign in"):
            door.call("import_target", p_company="x", p_email="y")


def test_another_company_is_not_touched(desk: Desk, tmp_path: Path) -> None:
    other = desk.world.company("Other")
    theirs = desk.world.store(other, slug="quay")
    desk.world.spend(theirs, "2")
    before = desk.world.rows("select * from public.cost_entries where account_id = %s", other)
    desk.take(archive(tmp_path))
    assert desk.world.rows("select * from public.cost_entries where account_id = %s", other) == before
    assert desk.world.value("select count(*) from public.assistants where account_id = %s", other) == 0
    assert {row["profile_id"] for row in desk.rows("pipeline_runs")} == {desk.shop.store}


def test_two_stores_whose_assistants_share_an_id(desk: Desk, tmp_path: Path) -> None:
    desk.world.store(desk.shop.account, slug="hill")
    archive(tmp_path, "hill")
    (tmp_path / "_templates").rmdir()
    archive(tmp_path, "quay")
    hill, quay = desk.take(tmp_path)
    assert (hill.assistants, quay.assistants, quay.versions) == (1, 1, 2)
    assert quay.entries_again == 4  # the same calls, in another folder
    assert {row["external_id"] for row in desk.rows("assistants")} == {"ann", "quay/ann"}
    assert desk.take(tmp_path)[1].assistants == 0


# Versions -------------------------------------------------------------------------------------------------------------


def test_versions_keep_their_numbers_and_nothing_is_overwritten(desk: Desk, tmp_path: Path) -> None:
    desk.take(archive(tmp_path))
    ann = tmp_path / "quay" / "assistants" / "ann"
    text(ann / "v2.txt", "Another text.", status="final")
    text(ann / "v5.md", "Warm bread at six.")
    text(ann / "v9.md", "Bread for nine.", status="deployed", sha256="0" * 64)
    text(ann / "v10.md", "Bread for ten.", status="deployed", score=101)
    (taken,) = desk.take(tmp_path)
    told = {note.file.rpartition("/")[2]: note.reason for note in taken.notes}
    assert told["v2.txt"] == "v2 is there with another text; it was left as it is."
    assert told["v5.md"] == "The same text is there as v2."
    assert "SHA-256" in told["v9.md"]
    assert "its score is no number" in told["v10.json"].lower()
    assert told["v10.md"] == "Another version is deployed already; this one is final."
    kept = desk.world.rows("select number, status, final_score from public.prompt_versions order by number")
    assert [tuple(row.values()) for row in kept] == [
        (1, "final", Decimal("71.50")), (2, "deployed", Decimal("88.00")), (10, "final", None),
    ]  # fmt: skip


# Bad input ------------------------------------------------------------------------------------------------------------

BAD: dict[str, dict[str, Any] | bytes] = {
    "no UTF-8 text": b'{"model": "\xff"}',
    "no JSON.": b'{"timestamp": ',
    "no JSON object": b"[1]",
    "more than 100,000 bytes": b'{"x": "' + b"x" * 300_000 + b'"}',
    "cost is no number": call(cost_usd=-1),
    "has no cost": call(cost_usd=None),
    "its operation is none": call(operation="dance"),
    "lies in the future": call(timestamp="2999-01-01T00:00:00Z"),
    "no usable time": call(timestamp="yesterday"),
    "names no model": call(model=None),
    "input tokens is no whole number": call(input_tokens=1.5),
    "output tokens is no number": call(output_tokens=True),
    "run is no line": call(pipeline_id="\ud800"),
}
HUGE = b'{"cost_usd": 1e999999999, "timestamp": "2026-01-01", "operation": "analysis", "model": "m"}'
SAME = [b'{"cost_usd": NaN}', HUGE, b'{"cost_usd": Infinity}', b"[" * 50_000]


def test_a_bad_line_is_told_and_its_neighbours_are_taken(desk: Desk, tmp_path: Path) -> None:
    log(tmp_path / "quay" / "costs.jsonl", *BAD.values(), *SAME, call(), call(), call(timestamp="2026-03-02T11:00:00"))
    (taken,) = desk.take(tmp_path)
    assert taken.entries == 2
    said = {int(n): note.reason for note in taken.notes for n in _numbers(note.lines)}
    for number, fragment in enumerate(BAD, start=1):
        assert fragment.lower() in said[number].lower(), number
    assert {said[len(BAD) + n] for n in (1, 3, 4)} == {"This is no JSON."}
    assert "no number" in said[len(BAD) + 2]
    last = len(BAD) + len(SAME)
    assert said[last + 2] == f"The same as costs.jsonl, line {last + 1}; taken once."
    assert said[last + 3] == "Times without a zone were taken as UTC."


def _numbers(lines: str) -> list[int]:
    stretches = [part.split("-") for part in lines.split(", ") if part]
    return [n for part in stretches for n in range(int(part[0]), int(part[-1]) + 1)]


def test_links_and_strange_files_lead_nowhere(desk: Desk, tmp_path: Path) -> None:
    root = archive(tmp_path / "in")
    log(tmp_path / "secret.jsonl", call(pipeline_id="secret"))
    (root / "quay" / "out.jsonl").symlink_to(tmp_path / "secret.jsonl")
    (root / "quay" / "round.jsonl").symlink_to(root / "quay" / "round.jsonl")
    (root / "quay" / "deep").symlink_to(tmp_path)
    (root / "away").symlink_to(tmp_path)
    os.mkfifo(root / "quay" / "pipe.jsonl")
    (root / "notes.txt").write_text("hello")
    beside, taken = desk.take(root)
    assert [note.file for note in beside.notes] == ["away", "notes.txt"]
    assert {note.file for note in taken.notes if note.lost} == {"out.jsonl", "round.jsonl", "deep"}
    assert taken.entries == 4


def test_an_assistant_that_clipdesk_would_refuse_begins_with_its_own_values(desk: Desk, tmp_path: Path) -> None:
    settings = {"name": "Bo\n", "language": "no such language", "target_score": 400, "model": "gpt-2",
                "tone": "dry\x00", "bannedWords": ["cheap", "\ud800"]}  # fmt: skip
    text(tmp_path / "quay" / "assistants" / "bo" / "v1.md", "Hello.")
    (tmp_path / "quay" / "assistants" / "bo" / "assistant.json").write_text(json.dumps(settings))
    (taken,) = desk.take(tmp_path)
    (row,) = desk.rows("assistants")
    assert (row["name"], row["tone"], row["language"], row["target_score"]) == ("Bo", "dry", "en", 85)
    assert row["banned_words"] == ["cheap"]
    assert len(taken.notes) == 3


# Crowds and crashes ---------------------------------------------------------------------------------------------------


def start(
    server: Server, world: World, folder: Path, root: Path, desk: Desk, at: str = ""
) -> "subprocess.Popen[bytes]":
    slug = world.value("select slug from public.accounts where id = %s", desk.shop.account)
    settings = kill.environment(server, world.admin.info.dbname, folder, kill_at=at)
    command = [sys.executable, "-m", "services.scripts.importer", str(root), "--company", slug, "--person", desk.email]
    return subprocess.Popen(command, env=settings, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_killed_import_leaves_nothing_of_a_folder_and_is_completed(
    desk: Desk, world: World, server: Server, tmp_path: Path
) -> None:
    world.store(desk.shop.account, slug="hill")
    text(tmp_path / "in" / "hill" / "assistants" / "bo" / "v1.md", "Hello.")
    archive(tmp_path / "in")
    empty = {**desk.everything(), "lines": None}
    killed = start(server, world, tmp_path / "media", tmp_path / "in", desk, "import_lines_sent:1")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert {row["profile_id"] for row in desk.rows("prompt_versions")} != {desk.shop.store}  # hill's alone
    assert [desk.rows(t) for t in ("pipeline_runs", "cost_entries")] == [empty["pipeline_runs"], empty["cost_entries"]]
    completed = start(server, world, tmp_path / "media", tmp_path / "in", desk)
    said, _ = completed.communicate()
    assert (completed.returncode, b"costs 4" in said) == (0, True)
    assert len(desk.rows("prompt_versions")) == 3
    assert desk.differences() == 0


def test_imports_at_once_take_each_thing_once_while_others_spend(desk: Desk, tmp_path: Path) -> None:
    holds = [uuid4() for _ in range(20)]

    def settle(hold: UUID) -> None:
        worker = desk.world.as_worker()
        worker.call("hold_cost", p_request_id=hold, p_profile_id=desk.shop.store, p_estimate_usd=1,
                    p_service="practice")  # fmt: skip
        worker.call("settle_cost", p_request_id=hold, p_entries=[entry(id=str(hold))])

    log(archive(tmp_path) / "quay" / "many.jsonl", *(line for n in range(300) for line in run(f"r-{n}", "2026-02-03")))
    with ThreadPoolExecutor(4) as pool:
        meanwhile = pool.submit(lambda: [settle(hold) for hold in holds])
        many = list(pool.map(lambda _: desk.take(tmp_path)[0], range(3)))
        meanwhile.result()
    assert sum(taken.entries for taken in many) == 904
    assert sum(taken.versions for taken in many) == 2
    assert desk.world.value("select count(*) from public.pipeline_runs") == 301
    assert [row["seq"] for row in desk.world.rows("select seq from public.cost_entries order by seq")] == list(
        range(1, 925)
    )
    assert desk.differences() == 0


@pytest.mark.full
def test_a_hundred_thousand_lines(desk: Desk, tmp_path: Path) -> None:
    days = [f"2025-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]
    log(tmp_path / "quay" / "big.jsonl", *(x for n in range(33_334) for x in run(f"r-{n}", days[n % len(days)])))
    (taken,) = desk.take(tmp_path)
    assert (taken.entries, taken.runs, taken.notes) == (100_002, 33_334, [])
    assert desk.differences() == 0
    assert desk.take(tmp_path)[0].entries == 0


def test_ids_stay_as_they_are() -> None:
    """Made from anything else, all that was imported before would be booked again."""
    line = import_lines.read(json.dumps(call()).encode(), datetime(2026, 4, 1, tzinfo=UTC))
    assert line.id(UUID(int=1)) == UUID("f1fabac0-1e77-51ad-ad4e-0970fcc88c2e")
