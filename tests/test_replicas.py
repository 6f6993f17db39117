"""Several machines on one Supabase project: two replicas of the app and three workers, each a process of its own."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.database import embedded
from services.database.supabase import open_http
from tests.builders import World, fresh_world, speech
from tests.cloud import fake_cloud, rest_door
from tests.fakes.supabase.auth import Desk, desk
from tests.fakes.supabase.server import FakeSupabase
from tests.installations import cloud_settings, postgres_settings, running
from tests.places import short_folder
from tests.programs import App, Worker, held, until
from tests.ui.visitor import OURS, OpenPage
from ui.gate import cookie_name

PASSWORD = "correct horse battery"
PEOPLE = 6
FILES = "/storage/v1/object/media/speech/"


@dataclass(frozen=True)
class Somebody:
    """A manager of a store of their own."""

    id: UUID
    email: str
    store: UUID
    query: str  # of a page's address: their store


@dataclass(frozen=True)
class Fleet:
    project: FakeSupabase
    world: World
    replicas: tuple[App, App]
    workers: tuple[Worker, ...]
    account: UUID
    admin: UUID
    people: tuple[Somebody, ...]

    @property
    def auth(self) -> Desk:
        return desk(self.project.stack)

    def sign_in(self, replica: App, person: Somebody) -> str:
        """The session's secret."""
        form = {"email": person.email, "password": PASSWORD}
        answer = httpx.post(f"{replica.url}/sign-in", data=form, headers=OURS)
        assert answer.status_code == 303, answer.text
        return answer.cookies[cookie_name()]

    def ended(self, jobs: list[UUID], seconds: float = 60) -> list[dict[str, Any]]:
        """The rows of these jobs, by id, once all have ended."""
        query = "select * from public.jobs where id = any(%s) order by id"
        until(
            lambda: {row["status"] for row in self.world.rows(query, jobs)} <= {"completed", "failed"},
            "all jobs ended",
            seconds,
        )
        return self.world.rows(query, jobs)


@pytest.fixture
def fleet(running_fleet: Fleet) -> Fleet:
    """With both replicas, whatever an earlier test did to them."""
    for replica in running_fleet.replicas:
        if replica.process is None:
            replica.start()
    return running_fleet


@pytest.fixture(scope="module")
def running_fleet(server: embedded.Server, cloud_template: str) -> Iterator[Fleet]:
    with ExitStack() as stack:
        place = stack.enter_context(short_folder())
        world = stack.enter_context(fresh_world(server, cloud_template, 2))
        project = stack.enter_context(fake_cloud(server, world.admin.info.dbname))
        settings = cloud_settings(project)
        replicas = App(place / "a", **settings), App(place / "b", **settings)
        secret = {**settings, "SUPABASE_SECRET_KEY": project.stack.secret_key, "JOB_POLL_SECONDS": "0.5"}
        workers = tuple(Worker(place / f"w{number}", **secret) for number in range(3))
        account = world.company()
        admin = world.person(account, "admin")
        people = tuple(somebody(world, project, account, number) for number in range(PEOPLE))
        stack.enter_context(running(*replicas, *workers))
        yield Fleet(project, world, replicas, workers, account, admin, people)


def somebody(world: World, project: FakeSupabase, account: UUID, number: int) -> Somebody:
    store = world.store(account, f"Store {number}", code=f"{number:03}")
    person = world.person(account, "manager", store, name=f"Manager {number}")
    email = world.password(person, PASSWORD)
    desk(project.stack).password(person, PASSWORD)
    return Somebody(person, email, store, f"profile={number:03}+%C2%B7+Store+{number}")


# Load -------------------------------------------------------------------------------------------------------------


def speak(fleet: Fleet, replica: App, person: Somebody, lines: int) -> None:
    """Order lines on the Voice page of this replica."""
    with OpenPage(replica.url, fleet.sign_in(replica, person), person.query) as page:
        page.go("voice")
        page.type("voice_text", "The price of something.")
        for number in range(lines):
            page.click("voice_generate", voice_text=f"Line {number} of {replica.port}.")


def invite(fleet: Fleet, many: int) -> list[str]:
    """Invite people as the admin; returns their addresses."""
    addresses = [f"{uuid4()}@example.test" for _ in range(many)]
    with open_http(20) as http:
        door = rest_door(fleet.project, http, fleet.admin)
        for address in addresses:
            person = {"name": "Somebody", "email": address, "role": "finance", "profile_ids": []}
            door.call("add_or_invite", p_account_id=fleet.account, p_person=person)
    return addresses


def load(fleet: Fleet, lines: int, invitations: int) -> list[str]:
    """Everybody orders speech, alternating between the replicas, while the admin invites. Returns who was invited."""
    with ThreadPoolExecutor(PEOPLE + 1) as threads:
        invited = threads.submit(invite, fleet, invitations)
        orders = [
            threads.submit(speak, fleet, fleet.replicas[number % 2], person, lines)
            for number, person in enumerate(fleet.people)
        ]
        for order in orders:
            order.result()
        return invited.result()


def ordered(fleet: Fleet, since: set[UUID]) -> list[UUID]:
    rows = fleet.world.rows("select id from public.jobs where account_id = %s", fleet.account)
    return [row["id"] for row in rows if row["id"] not in since]


def assert_each_once(fleet: Fleet, jobs: list[UUID], lines: int, invited: list[str], seconds: float) -> None:
    """Each ran once, by some of the workers; what it did outside was done once; everything is there."""
    rows = fleet.ended(jobs, seconds)
    assert [row["error"] for row in rows if row["status"] != "completed"] == []
    assert sum(row["kind"] == "speech" for row in rows) == PEOPLE * lines
    assert {row["attempt"] for row in rows} == {1}
    assert len({row["worker"] for row in rows}) > 1
    assert_mailed_once(fleet, invited)
    assert_spoken_once(fleet, [row["id"] for row in rows if row["kind"] == "speech"])


def assert_mailed_once(fleet: Fleet, invited: list[str]) -> None:
    mails = [address for address, kind, _ in fleet.auth.mails if kind == "invite" and address in invited]
    assert sorted(mails) == sorted(invited)


def assert_spoken_once(fleet: Fleet, jobs: list[UUID]) -> None:
    """One purchase and one speech each, and one upload of each of the two sounds: the passage and the whole."""
    world = fleet.world
    for table in ("purchases", "speech_assets"):
        made = world.rows(f"select job_id as id from public.{table} where job_id = any(%s) order by 1", jobs)
        assert made == [{"id": job} for job in sorted(jobs)]
    assert world.rows("select * from public.purchases where state <> 'settled'") == []
    purchases = [str(row["id"]) for row in world.rows("select id from public.purchases where job_id = any(%s)", jobs)]
    for name in (*purchases, *map(str, jobs)):
        assert len([path for path in uploaded(fleet) if name in path]) == 1
    assert world.money_differences() == []


def uploaded(fleet: Fleet) -> list[str]:
    return [seen.path for seen in fleet.project.stack.seen if seen.method == "POST" and FILES in seen.path]


def cards(drawn: str) -> set[str]:
    """Ids of the jobs that a run of the Jobs page drew."""
    return set(re.findall(r"job_([0-9a-f-]{36})", drawn))


def run_load(fleet: Fleet, lines: int, invitations: int, seconds: float) -> None:
    before = set(ordered(fleet, set()))
    invited = load(fleet, lines, invitations)
    jobs = ordered(fleet, before)
    assert len(jobs) == PEOPLE * lines + invitations
    assert_each_once(fleet, jobs, lines, invited, seconds)


def test_each_job_runs_once(fleet: Fleet):
    run_load(fleet, lines=2, invitations=48, seconds=60)


@pytest.mark.full
def test_each_of_many_jobs_runs_once(fleet: Fleet):
    run_load(fleet, lines=20, invitations=480, seconds=600)


# Both replicas ----------------------------------------------------------------------------------------------------


@contextmanager
def frozen(fleet: Fleet) -> Iterator[None]:
    """Every worker stands still, for far less than its leases last."""
    for worker in fleet.workers:
        worker.send(signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in fleet.workers:
            worker.send(signal.SIGCONT)


def settled(read: Callable[[], Any]) -> Any:
    """What `read` gives once it stays: a worker's last word may still have been on its way when it was stopped."""
    seen = [read()]
    while len(seen) < 4 or len({str(value) for value in seen[-4:]}) > 1:
        time.sleep(0.2)
        seen.append(read())
    return seen[-1]


def test_progress_is_seen_on_both_replicas(fleet: Fleet):
    person = fleet.people[0]
    job = order_passages(fleet, person, 25)
    state = "select progress, message from public.jobs where id = %s"
    until(lambda: fleet.world.value(state, job) > 0, "the first passage was spoken")
    with frozen(fleet):
        now = settled(lambda: fleet.world.rows(state, job)[0])
        assert 0 < now["progress"] < 1
        for replica in fleet.replicas:
            with OpenPage(replica.url, fleet.sign_in(replica, person), person.query) as page:
                assert str(job) in cards(page.go("jobs"))
                assert f"Speech: {now['message']}" in page.drawn
                assert f"value: {int(now['progress'] * 100)}" in page.drawn
    (row,) = fleet.ended([job])
    assert (row["status"], row["attempt"]) == ("completed", 1)
    for replica in fleet.replicas:
        with OpenPage(replica.url, fleet.sign_in(replica, person), person.query) as page:
            assert "Done in" in page.go("jobs")


def order_passages(fleet: Fleet, person: Somebody, many: int) -> UUID:
    """Speech of so many passages; they are short, so that the worker gets on."""
    job = uuid4()
    chunks = [f"Passage {number} of {job.hex[:6]}." for number in range(many)]
    wanted = speech(" ".join(chunks), provider="hibari", model="heart", voice="heart", chunks=chunks)
    with open_http(20) as http:
        door = rest_door(fleet.project, http, person.id)
        door.call("enqueue_speech", p_job_id=job, p_profile_id=person.store, p_speech=wanted)
    return job


def test_tokens_that_ran_out_are_renewed_once_by_all_replicas(fleet: Fleet):
    fleet.auth.refreshes.clear()
    secrets = [fleet.sign_in(replica, person) for person in fleet.people for replica in fleet.replicas]
    fleet.world.execute("update private.sessions set tokens_until = now() - interval '1 second'")
    for _ in range(2):  # the second time the tokens are as good as new
        with ThreadPoolExecutor(12) as threads:
            asked = [threads.submit(look, replica, secret) for secret in secrets for replica in fleet.replicas]
            assert {answer.result() for answer in asked} == {200}
    assert len(set(fleet.auth.refreshes)) == len(fleet.auth.refreshes) == len(secrets)


def look(replica: App, secret: str) -> int:
    """The status of a page that only a session opens."""
    return httpx.get(f"{replica.url}/jobs", cookies={cookie_name(): secret}, timeout=60).status_code


# What an app knows ------------------------------------------------------------------------------------------------


def known(program: App | Worker, *secrets: str) -> set[str]:
    """Which of them the process holds. Linux shows a process's memory to its own account, some containers to nobody."""
    try:
        return held(program.pid, secrets)
    except (FileNotFoundError, PermissionError) as exc:
        pytest.skip(f"this system does not show a process's memory: {exc}")


def test_no_replica_holds_the_secret_key(fleet: Fleet):
    look(fleet.replicas[0], fleet.sign_in(fleet.replicas[0], fleet.people[0]))
    stack = fleet.project.stack
    assert known(fleet.workers[0], stack.secret_key) == {stack.secret_key}
    for replica in fleet.replicas:
        found = known(replica, stack.publishable_key, stack.secret_key, stack.jwt_secret)
        assert found == {stack.publishable_key}


def test_an_app_without_the_workers_login_holds_no_password_but_its_own(server: embedded.Server, template: str):
    with short_folder() as place, fresh_world(server, template, 2) as world:
        app = App(place / "d", DATABASE_URL=postgres_settings(server, world)["DATABASE_URL"])
        with running(app):
            assert known(app, *server.passwords.values()) == {server.passwords["clipdesk_app"]}


# The end of one ---------------------------------------------------------------------------------------------------


def test_a_killed_replica_is_noticed_by_nobody_on_the_other(fleet: Fleet):
    killed, other = fleet.replicas
    here, there = fleet.people[:2]
    with OpenPage(other.url, fleet.sign_in(other, there), there.query) as page:
        page.go("voice")
        page.type("voice_text", "Before the other replica was killed.")
        secret = fleet.sign_in(killed, here)
        invited = invite(fleet, 24)
        with OpenPage(killed.url, secret, here.query) as lost:
            lost.go("voice")
            lost.type("voice_text", "The price of something.")
            lost.click("voice_generate", voice_text="Ordered just before the end.")
            killed.stop(signal.SIGKILL)
        before = set(ordered(fleet, set()))
        page.click("voice_generate")
        (job,) = ordered(fleet, before)
        assert str(job) in cards(page.go("jobs"))
        with OpenPage(other.url, secret, here.query) as moved:
            assert "Manager 0" in moved.go("jobs")
            assert "Ordered just before the end." in moved.drawn
        assert {row["attempt"] for row in fleet.ended(ordered(fleet, set()))} == {1}
        assert "Done in" in page.go("jobs")
    assert_mailed_once(fleet, invited)
