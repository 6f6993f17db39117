"""The three ways to run the product, each with its first company made by command."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from uuid import UUID

from services.database import embedded
from services.database.connect import Doors
from services.database.postgres import open_pool
from tests.builders import World, fresh_world
from tests.cloud import fake_cloud
from tests.fakes.supabase.auth import Desk, desk
from tests.fakes.supabase.server import FakeSupabase
from tests.places import short_folder
from tests.programs import App, Worker, first_admin, until

SESSION_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
ADMIN = {"name": "Ada Admin", "email": "ada@example.test"}
PASSWORD = "correct horse"
COMPANY = {"company": "Harbour Bakery", "store": "Quay", "code": "001", "city": "London", "timezone": "Europe/London"}


@dataclass(frozen=True)
class Installation:
    """A running one with two stores, 001 Quay and 002 Hill, and the admin Ada. `world` looks into its database."""

    app: App
    world: World
    project: FakeSupabase | None = None

    @property
    def url(self) -> str:
        return self.app.url

    @property
    def hosted(self) -> FakeSupabase:
        """The project of an installation that has one."""
        assert self.project
        return self.project

    @property
    def account(self) -> UUID:
        account: UUID = self.world.value("select id from public.accounts")
        return account

    def link(self, email: str, kind: str) -> str:
        """The address in the latest mail of this kind to that person, once the worker is done with it."""
        auth: Desk = desk(self.hosted.stack)
        until(lambda: any(mail[:2] == (email, kind) for mail in auth.mails), f"a mail to {email}")
        busy = "select count(*) from public.jobs where account_id = %s and status in ('pending', 'running')"
        until(lambda: self.world.value(busy, self.account) == 0, "the job that sent it ended")
        (*_, (_, _, token)) = [mail for mail in auth.mails if mail[:2] == (email, kind)]
        return f"{self.url}/welcome?token_hash={token}&type={kind}"


@contextmanager
def embedded_way(server: embedded.Server, request: Callable[[str], str]) -> Iterator[Installation]:
    """`./run` and nothing else: the server is the app's own."""
    with short_folder() as place:
        app = App(place / "d")
        first_admin({**COMPANY, **ADMIN}, PASSWORD, CLIPDESK_DATA=str(app.data))
        with running(app):
            world = look(embedded.start(app.data).url("postgres"))
            try:
                yield ready(Installation(app, world))
            finally:
                world.close()
        embedded.stop(app.data)


@contextmanager
def postgres_way(server: embedded.Server, template: Callable[[str], str]) -> Iterator[Installation]:
    """A Postgres that others run, with the worker inside the app."""
    with short_folder() as place, fresh_world(server, template("template"), 2) as world:
        app = App(place / "d", **postgres_settings(server, world))
        first_admin({**COMPANY, **ADMIN}, PASSWORD, CLIPDESK_DATA=str(app.data), **postgres_settings(server, world))
        with running(app):
            yield ready(Installation(app, world))


@contextmanager
def supabase_way(server: embedded.Server, template: Callable[[str], str]) -> Iterator[Installation]:
    """A project; the app has no secret key, a worker beside it does."""
    with ExitStack() as stack:
        place = stack.enter_context(short_folder())
        world = stack.enter_context(fresh_world(server, template("cloud_template"), 2))
        project = stack.enter_context(fake_cloud(server, world.admin.info.dbname))
        settings = cloud_settings(project)
        with_secret = {**settings, "SUPABASE_SECRET_KEY": project.stack.secret_key}
        first_admin({**COMPANY, **ADMIN}, PASSWORD, CLIPDESK_DATA=str(place / "f"), **with_secret)
        app = App(place / "d", **settings)
        stack.enter_context(running(app, Worker(place / "w", **with_secret)))
        yield ready(Installation(app, world, project))


WAYS = {"embedded": embedded_way, "postgres": postgres_way, "supabase": supabase_way}


def postgres_settings(server: embedded.Server, world: World) -> dict[str, str]:
    database = world.admin.info.dbname
    return {
        "DATABASE_URL": server.url("clipdesk_app", database),
        "DATABASE_WORKER_URL": server.url("clipdesk_worker", database),
    }


def cloud_settings(project: FakeSupabase) -> dict[str, str]:
    """The app's: without the secret key."""
    return {
        "SUPABASE_URL": project.url,
        "SUPABASE_PUBLISHABLE_KEY": project.stack.publishable_key,
        "SESSION_KEY": SESSION_KEY,
    }


@contextmanager
def running(*programs: App | Worker) -> Iterator[None]:
    """All of them, started at once and stopped in the end."""
    try:
        for program in programs:
            program.begin()
        for program in programs:
            program.wait()
        yield
    finally:
        for program in programs:
            program.send(signal.SIGTERM)
        for program in programs:
            program.stop()


def look(url: str) -> World:
    return World(url, Doors(open_pool(url, 1), None))


def ready(made: Installation) -> Installation:
    made.world.store(made.account, "Hill", code="002")
    return made
