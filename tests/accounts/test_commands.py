"""The doctor and the first admin's command on a Supabase project."""

import io
import sys
from collections.abc import Callable, Iterator

import pytest

from services import doctor, first_admin, identity, logs
from services.config import settings
from services.database import connect, embedded
from services.speech import registry
from tests.accounts.conftest import PASSWORD
from tests.builders import World, fresh_world
from tests.cloud import fake_cloud
from tests.fakes.supabase.server import FakeSupabase
from tests.test_doctor import COMPANY, AsIs, findings, wrong


@pytest.fixture
def world(server: embedded.Server, template: str) -> Iterator[World]:
    """A database a test: there is one first company."""
    with fresh_world(server, template) as made:
        yield made


@pytest.fixture
def running(server: embedded.Server, world: World) -> Iterator[FakeSupabase]:
    with fake_cloud(server, world.admin.info.dbname) as project:
        yield project


@pytest.fixture(autouse=True)
def _no_voices(monkeypatch):
    """Voices have tests of their own, and some would go out to the network."""
    monkeypatch.setattr(registry, "providers", list)


@pytest.fixture
def typed(monkeypatch):
    """The installation of the test in place of the settings' one, and a password that is piped in."""

    def prepare(opened, password=PASSWORD):
        monkeypatch.setattr(connect, "_current", [opened])
        monkeypatch.setattr(first_admin, "process_doors", AsIs)
        monkeypatch.setattr(logs, "configure", lambda level: None)  # this process's log is the tests'
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))

    return prepare


class TestDoctor:
    """Over the test project, whose database has no storage."""

    @pytest.fixture
    def works(self, cloud, open_cloud: Callable, monkeypatch):
        opened = open_cloud(True)
        monkeypatch.setattr(connect, "_current", [opened])
        monkeypatch.setattr(doctor, "_media", lambda store: doctor.Finding("Media", store.__class__.__name__))
        return opened

    def test_finds_nothing_where_all_is_well(self, works, world):
        world.company()
        assert wrong(works) == {}
        assert findings(works)["Media"].found == "Storage"

    def test_a_row_limit_that_was_lowered(self, works, project, monkeypatch):
        monkeypatch.setattr(project.stack, "row_limit", 10)
        assert "Max rows" in wrong(works)["Row limit"]

    @pytest.mark.parametrize("fault", ["503", "502_html", "cut"])
    def test_a_sign_in_service_that_is_away(self, works, project, fault):
        project.stack.faults.next("/auth/v1/health", fault)
        assert "does not answer" in wrong(works)["Sign-in"]

    def test_a_paused_project(self, works, project):
        project.stack.faults.next("/rest/v1/rpc/examine", "503", times=10)
        assert "does not answer" in findings(works)["Database"].found

    def test_a_key_that_was_revoked(self, works, project, monkeypatch):
        monkeypatch.setattr(project.stack, "secret_key", "sb_secret_another")
        assert "SUPABASE_SECRET_KEY" in wrong(works)["Database"]

    def test_no_session_key(self, works, monkeypatch):
        monkeypatch.delenv("SESSION_KEY")
        settings.cache_clear()
        assert "openssl rand" in wrong(works)["Sign-in"]


class TestFirstAdmin:
    @pytest.mark.parametrize("before", ["nobody", "signed up before"])
    def test_on_a_project_too(self, cloud, open_cloud, auth, world, typed, capsys, before):
        email = f"{before.replace(' ', '-')}@example.test"
        if before != "nobody":
            auth.user(email, PASSWORD)
        typed(open_cloud(True))
        assert first_admin.main([*COMPANY[:-1], email]) == 0
        secret = identity.sign_in(email, PASSWORD, address=None, agent="")
        assert [m.role for m in identity.load(secret).memberships] == ["admin"]

    def test_needs_the_secret_key(self, cloud, typed, capsys):
        typed(cloud)
        assert first_admin.main(COMPANY) == 1
        assert "services.jobs.worker" in capsys.readouterr().err
