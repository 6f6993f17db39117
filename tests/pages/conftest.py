"""Open the desk as somebody, in Streamlit's own test runner."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from uuid import UUID

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import AppTest, app_test, local_script_runner

from services import identity
from services.config import settings
from services.jobs.worker import Worker
from services.media.folder import Folder
from tests.builders import World
from ui import session

SHELL = Path(__file__).parents[2] / "ui" / "shell.py"
Opened = Callable[..., AppTest]


@pytest.fixture(autouse=True, scope="session")
def _look_for_components_once() -> Iterator[None]:
    """The test runner reads the metadata of all installed packages for each page: two thirds of a test's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(autouse=True, scope="session")
def _compile_pages_once() -> Iterator[None]:
    """As the server does. The test runner has new caches for each run: half its time went to compiling the page."""
    with pytest.MonkeyPatch.context() as patch:
        compiled = ScriptCache()
        for module in (app_test, local_script_runner):
            patch.setattr(module, "ScriptCache", lambda: compiled)
        yield


@pytest.fixture
def sign_in(desk: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[UUID | None], str | None]:
    """Make this person the one whose cookie the browser holds; None: nobody."""

    def as_person(person_id: UUID | None) -> str | None:
        st.cache_data.clear()
        secret = identity.open_session(person_id, address="127.0.0.1", agent="test") if person_id else None
        monkeypatch.setattr(session, "cookie", lambda: secret)
        return secret

    return as_person


@pytest.fixture
def open_page(desk: World, sign_in: Callable[[UUID | None], str | None]) -> Opened:
    """`open_page(person, "voice", store="s-1")`: the page as that person sees it first."""

    def opened(person_id: UUID | None, page: str = "overview", store: str | None = None, **address: str) -> AppTest:
        sign_in(person_id)
        test = AppTest.from_file(str(SHELL), default_timeout=20)
        for name, value in address.items():
            test.query_params[name] = value
        if store:
            test.session_state["profile"] = store
        test.run()
        landed = page == ("costs" if role_of(desk, person_id) == "finance" else "overview")
        return test if landed else test.switch_page(f"../pages/{page}.py").run()

    return opened


def role_of(world: World, person_id: UUID | None) -> str | None:
    """In the only company of most; pages open with it."""
    roles = world.rows("select role from public.members where person_id = %s", person_id)
    return roles[0]["role"] if len(roles) == 1 else None


@pytest.fixture
def shop(desk: World) -> tuple[UUID, UUID, UUID]:
    """Company, store and the store's manager."""
    account = desk.company()
    store = desk.store(account, quota="10")
    return account, store, desk.person(account, "manager", store)


@pytest.fixture
def work() -> Callable[[], None]:
    """Run what is queued, as a worker would, until nothing is left."""

    def run(world: World) -> None:
        worker = Worker(world.as_worker(), Folder(settings().media_folder), settings())
        while job := worker._claim():
            worker._run(job)

    return run


def half_a_minute_later() -> None:
    """What pages remember has become too old."""
    st.cache_data.clear()


def texts(test: AppTest) -> str:
    """Everything readable on the page, for looking a sentence up."""
    kinds = ("title", "header", "markdown", "caption", "text", "error", "warning", "info", "success")
    return "\n".join(str(element.value) for kind in kinds for element in getattr(test, kind))


def slug(world: World, profile_id: UUID) -> str:
    return world.value("select slug from public.profiles where id = %s", profile_id)
