"""A run from the command line: the same rights, holds and ledger as on the page, worked off by whoever is there."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from services import vault
from services.config import ROOT
from services.database import connect
from services.database.connect import OpenDoors
from services.database.embedded import Server
from services.errors import AppError, NotAllowed, NotFound, QuotaExceeded
from services.media.folder import Folder
from services.scripts import assistants, run, runs
from services.scripts.run import Follower, Order
from services.scripts.target import Target
from tests import kill
from tests.builders import World, installed
from tests.fakes.gemini import FakeGemini
from tests.fakes.gemini_wire import Turn
from tests.fakes.web import Reply
from tests.scripts.newsroom import BRIEFING, Newsroom, draft, story

PHASES = ["prompt_generation", "prompt_analysis", "prompt_improvement", "prompt_analysis"]


@pytest.fixture
def room(world: World, server: Server, folder: Folder, fake: FakeGemini) -> Newsroom:
    return Newsroom.open(world, server, folder, fake)


def email(room: Newsroom, person: UUID) -> str:
    return str(room.world.value("select email from public.people where id = %s", person))


def named(room: Newsroom, person: UUID | None = None) -> list[str]:
    company = room.world.value("select slug from public.accounts where id = %s", room.account)
    store = room.world.value("select code from public.profiles where id = %s", room.store)
    who = email(room, person or room.manager)
    return ["--company", company, "--store", store, "--assistant", "ann", "--person", who]


def wanted(room: Newsroom, person: UUID | None = None) -> Order:
    company = room.world.value("select slug from public.accounts where id = %s", room.account)
    target = Target.find(room.world.as_worker(), company, email(room, person or room.manager))
    (store,) = [store for store in target.stores if store.id == room.store]
    ann = assistants.get(room.door, room.assistant)
    return Order(room.world.as_worker(), room.options, target, store, ann, BRIEFING)


def start(room: Newsroom, *arguments: str, kill_at: str = "") -> "subprocess.Popen[bytes]":
    """The command as an operator types it, the briefing on its standard input."""
    keys = (room.data / "vault" / vault.PRIVATE).read_text("ascii").split()[0]
    media = room.folder.path("x").parent
    settings = kill.environment(room.server, room.world.admin.info.dbname, media, kill_at=kill_at, lease=60)
    settings |= {"CLIPDESK_DATA": str(room.data), "ALLOW_PRIVATE_ADDRESSES": "1", "VAULT_KEYS": keys}
    command = [sys.executable, "-m", "services.scripts.run", "-", *named(room), *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = subprocess.Popen(command, env=settings, cwd=ROOT, **pipes)
    assert started.stdin
    started.stdin.write(BRIEFING.encode())
    started.stdin.close()
    started.stdin = None
    return started


@contextmanager
def at_home(room: Newsroom) -> Iterator[None]:
    """The command in this process, as the room's installation."""

    @contextmanager
    def opened(_: object) -> Iterator[OpenDoors]:
        yield connect.doors()

    with installed(room.world, room.data), pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "process_doors", opened)
        yield


def test_the_command_writes_a_script(room: Newsroom) -> None:
    room.fake.say(*story())
    text, said = (out.decode() for out in start(room, "--here", "--quote", "--yes").communicate(timeout=60))
    assert text == "Fresh bread at six, text 1.\n", said
    lines = said.splitlines()
    assert lines[3].startswith("The run: typically $0.")
    ended = [line for line in lines if "completed" in line]
    assert [line.partition(" (")[0] for line in ended] == [
        "Writing the first draft", "Judging the script", "Improving the script", "Judging the script",
    ]  # fmt: skip
    assert "score 60" in ended[1]
    assert "v1 “Bread”, score 90" in lines[-1]
    (entry, *_) = room.entries()
    assert (entry["user_id"], [row["operation"] for row in room.entries()]) == (room.manager, PHASES)
    assert room.world.value("select sum(held_usd) from public.cost_holds") == 0
    room.assert_books_equal_the_bill()


def test_ctrl_c_cancels_between_phases(room: Newsroom) -> None:
    asked, answered = threading.Event(), threading.Event()

    def hold(reply: Reply) -> Reply:
        asked.set()
        answered.wait(30)
        return reply

    room.fake.say(Turn(draft().text, lost=hold))
    command = start(room, "--here")
    assert asked.wait(30)
    command.send_signal(signal.SIGINT)
    stopping = "select count(*) from public.jobs where cancel_requested_at is not null"
    kill.wait_until(lambda: room.world.value(stopping), "it was asked to stop")
    answered.set()
    text, said = command.communicate(timeout=60)
    assert (command.returncode, text) == (1, b"")
    assert said.decode().splitlines()[-1].startswith("Cancelled: ")
    assert room.world.value("select status from public.pipeline_runs") == "cancelled"
    assert [row["operation"] for row in room.entries()] == PHASES[:1]
    assert room.world.value("select sum(held_usd) from public.cost_holds") == 0
    room.assert_books_equal_the_bill()


def test_a_killed_command_pays_no_phase_again(room: Newsroom) -> None:
    room.fake.say(*story())
    command = start(room, "--here", kill_at="settled:2")
    command.communicate(timeout=60)
    assert command.returncode == -signal.SIGKILL
    run_id = room.world.value("select id from public.pipeline_runs")
    assert room.finish(run_id)["status"] == "completed"
    assert room.phases(run_id) == PHASES
    room.assert_books_equal_the_bill()


def test_a_worker_is_waited_for(room: Newsroom, capsys: pytest.CaptureFixture[str]) -> None:
    room.fake.say(*story())
    order = wanted(room)
    order.start()
    worker = threading.Thread(target=room.work)
    worker.start()
    done = Follower(order, patience=60).follow()
    worker.join()
    assert (done.status, done.created_by) == ("completed", room.manager)
    assert room.world.value("select worker from public.jobs where id = %s", order.run_id) == "hand"
    assert capsys.readouterr().err.count("completed") == 4


def test_who_may_not_work_there_orders_nothing(room: Newsroom) -> None:
    elsewhere = room.world.person(room.account, "manager", room.world.store(room.account))
    with pytest.raises(NotAllowed, match="Manager may not work in this store"):
        wanted(room, elsewhere).start()
    with pytest.raises(NotAllowed, match="may not work"):
        wanted(room, elsewhere).quote()
    with pytest.raises(NotAllowed, match="Finance reads"):
        wanted(room, room.world.person(room.account, "finance")).start()
    stranger = room.world.person(room.world.company(), "admin")
    with pytest.raises(NotFound, match="Nobody with the address"):
        wanted(room, stranger)
    for door in (room.door, room.world.doors.anonymous()):
        with pytest.raises(AppError):
            door.call("start_script_as", p_person_id=room.manager, p_profile_id=room.store, p_run_id=room.store,
                      p_assistant_id=room.assistant, p_briefing="x")  # fmt: skip
    assert room.world.value("select count(*) from public.jobs") == room.world.value(
        "select count(*) from public.jobs where slot is not null"
    )


def test_a_refused_quota_says_its_arithmetic(room: Newsroom) -> None:
    room.world.execute("update public.profiles set monthly_quota_usd = 0.01 where id = %s", room.store)
    with pytest.raises(QuotaExceeded, match=r"monthly quota of \$0\.0100 does not cover this: \$0\.00 is spent"):
        wanted(room).start()
    assert room.world.value("select count(*) from public.pipeline_runs") == 0


def test_what_it_may_cost_is_asked_before(room: Newsroom, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    briefing = tmp_path / "briefing.txt"
    briefing.write_text(BRIEFING)
    assert wanted(room).quote() == runs.quote(room.door, room.assistant, BRIEFING)
    with at_home(room):
        assert run.main([str(briefing), *named(room), "--quote"]) == 1
        assert "--yes orders without asking" in capsys.readouterr().err
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", _Answering("n\n"))
            assert run.main([str(briefing), *named(room), "--quote"]) == 1
        said = capsys.readouterr().err
        assert "at most $" in said
        assert said.endswith("Nothing was ordered.\n")
        assert run.main([str(tmp_path / "none.txt"), *named(room)]) == 1
        briefing.write_bytes(b"\xff\xfe\xff")
        assert run.main([str(briefing), *named(room)]) == 1
        briefing.write_text(" \n")
        assert run.main([str(briefing), *named(room)]) == 1
        said = capsys.readouterr().err
    assert [part for part in ("No such file", "no UTF-8 text", "A briefing has 1 to") if part not in said] == []
    assert room.world.value("select count(*) from public.pipeline_runs") == 0


class _Answering:
    """Somebody at a terminal."""

    def __init__(self, answer: str) -> None:
        self._answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self._answer


def test_the_practice_writer_needs_no_key_and_no_worker(
    room: Newsroom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    practice = dict.fromkeys(("prompt_generation", "prompt_analysis", "prompt_improvement"), "practice")
    assert room.hire(name="Practice", models=practice)
    briefing, output = tmp_path / "briefing.txt", tmp_path / "script.txt"
    briefing.write_text(BRIEFING)
    arguments = [name if name != "ann" else "practice" for name in named(room)]
    with at_home(room):
        assert run.main([str(briefing), *arguments, "--here", "--output", str(output)]) == 0
    assert capsys.readouterr().out == ""
    assert output.read_text().strip() == room.world.value("select content from public.prompt_versions")
    assert sum((row["cost_usd"] for row in room.entries()), Decimal(0)) == 0
