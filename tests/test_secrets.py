"""Passwords, their hashes, cookies' secrets, the database's passwords and a vendor's key reach no log, error, row
or page.
"""

import http.client
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
import streamlit as st
from psycopg import sql
from streamlit.testing.v1 import AppTest

from services import identity, people
from services.database import embedded
from services.database.connect import Doors
from services.database.postgres import open_pool
from services.errors import AppError
from services.jobs import attempt
from services.jobs.context import Context, Outcome
from services.jobs.handlers import HANDLERS
from services.media.folder import Folder
from tests import kill
from tests.builders import World, fresh_world, speech
from tests.fakes.elevenlabs import Account, FakeElevenLabs, Kind
from tests.pages.conftest import SHELL, slug
from tests.speech import vendor
from tests.ui.visitor import OURS, Streamlit, browser, running, site
from ui import session

PASSWORD, WRONG, NEW = "correct horse battery", "wrong pony accumulator", "another stable genius"


def stored(world: World) -> str:
    """Every row of every table as text, but the one column that may hold hashes."""
    tables = world.rows(
        "select table_schema as s, table_name as t from information_schema.tables "
        "where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')"
    )
    query = "select (to_jsonb(x) - 'encrypted_password')::text as line from {} x"
    rows = [
        row["line"]
        for table in tables
        for row in world.admin.execute(sql.SQL(query).format(sql.Identifier(table["s"], table["t"]))).fetchall()
    ]
    return "\n".join(rows)


def hashes(world: World) -> list[str]:
    return [row["h"] for row in world.rows("select encrypted_password as h from auth.users")]


class Listener:
    """Keeps what people may see: pages and errors."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def page(self, answer) -> None:
        headers = {name: value for name, value in answer.headers.items() if name != "set-cookie"}
        self.seen.append(f"{headers}\n{answer.text}")

    @contextmanager
    def error(self) -> Iterator[None]:
        """The block must fail; its error is kept as a log would show it, with all that caused it."""
        with pytest.raises((AppError, psycopg.Error)) as caught:
            yield
        self.keep(caught.value)

    def keep(self, error: BaseException) -> None:
        self.seen.append(f"{error}\n{error!r}\n")
        self.seen.extend(traceback.format_exception(error))


def listen_to_all(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("psycopg", "psycopg.pool", "services", "ui"):
        caplog.set_level(logging.DEBUG, name)


def test_nothing_tells_a_secret(server: embedded.Server, desk: World, caplog: pytest.LogCaptureFixture) -> None:
    listen_to_all(caplog)
    told = Listener()
    account = desk.company()
    store = desk.store(account, quota="1")
    admin, manager = desk.person(account, "admin"), desk.person(account, "manager", store)
    email = desk.password(admin, PASSWORD)
    old_hashes = hashes(desk)

    cookies = signing_in_and_out(told, email)
    link = adding_people(told, identity.load(cookies[-1]), account, store, email)
    failing_statements(told, desk, manager, store, cookies[-1])
    unreachable_databases(told, server, desk)

    secrets = [PASSWORD, WRONG, NEW, link, *cookies, *old_hashes, *hashes(desk), *server.passwords.values(), "pw-of-db"]
    everything = {
        "pages and errors": "\n".join(told.seen),
        "log": caplog.text,
        "rows": stored(desk),
        "database's log": (server.folder / "postgres.log").read_text(errors="replace"),
    }
    assert "database error" in everything["log"], "a failing statement was logged"
    assert "create_company" in everything["pages and errors"], "the server's own words were kept"
    assert '"action": "person_added"' in everything["rows"]
    for place, text in everything.items():
        assert [secret for secret in secrets if secret in text] == [], place
        assert not re.search(r"\$argon2", text), place


def signing_in_and_out(told: Listener, email: str) -> list[str]:
    """Over HTTP, right and wrong; returns the secrets given out, the last one live."""
    app = site(Streamlit())
    cookies = []
    for password in (PASSWORD, WRONG, PASSWORD):
        answer = browser(app).post("/sign-in", data={"email": email, "password": password}, headers=OURS)
        told.page(answer)
        cookies += [answer.cookies["clipdesk"]] if "set-cookie" in answer.headers else []
    first, last = cookies
    told.page(browser(app, last).post("/password", data={"present": PASSWORD, "password": "short"}, headers=OURS))
    told.page(browser(app, last).post("/password", data={"present": PASSWORD, "password": NEW}, headers=OURS))
    told.page(browser(app, first).get("/"))
    told.page(browser(app, first).get(f"/files/speech/{uuid4()}"))
    told.page(browser(app, first).post("/sign-out", headers=OURS))
    told.page(browser(app).post("/start/company", data={"password": PASSWORD, "company": "x"}, headers=OURS))
    assert identity.load(last)
    return cookies


def adding_people(told: Listener, admin: identity.Person | None, account, store, email: str) -> str:
    assert admin is not None
    values = {"name": "Ben", "role": "manager", "profile_ids": [store]}
    made = people.invite(admin, account, email="ben@example.test", **values)
    assert made.link
    told.seen.append(repr(made))
    token = parse_qs(urlsplit(made.link.path.get_secret_value()).query)["token_hash"][0]
    with told.error():
        people.invite(admin, account, email=email, **values)
    with told.error():
        people.invite(admin, account, email="eve@example.test", **{**values, "profile_ids": [uuid4()]})
    with told.error():
        identity.accept(token, "invite", "short", address="10.0.0.1", agent="test")
    identity.accept(token, "invite", NEW, address="10.0.0.1", agent="test")
    with told.error():
        identity.accept(token, "invite", NEW, address="10.0.0.1", agent="test")
    with told.error():
        identity.sign_in("ben@example.test", WRONG, address="10.0.0.1", agent="test")
    return token


def failing_statements(told: Listener, desk: World, manager, store, secret: str) -> None:
    """Each with a secret among its values, and work whose rows could have kept one."""
    local = desk.doors.local(manager)
    with told.error():
        local.call("start_session", p_person_id=manager, p_secret=secret, p_previous=secret, p_hours=2_000_000_000,
                   p_address=None, p_agent="test")  # fmt: skip
    with told.error():
        local.call("set_password", p_hash=hashes(desk)[0], p_keep_secret=secret)
    with told.error():
        local.call("create_company", p={"person_id": "no id", "hash": hashes(desk)[0]})
    with told.error():
        desk.doors.anonymous().call("load_session", p_secret=secret, p_more=secret)
    with told.error():
        desk.doors.person(manager).call("password_of", p_email="x")
    desk.as_person(manager).call("enqueue_speech", p_job_id=uuid4(), p_profile_id=store, p_speech=speech())


def unreachable_databases(told: Listener, server: embedded.Server, desk: World) -> None:
    """A wrong password, and a server that is not there."""
    nobody = f"postgresql://clipdesk_app:pw-of-db@/postgres?host={server.folder / 'nowhere'}"
    wrong = server.url("clipdesk_app").replace(server.passwords["clipdesk_app"], "pw-of-db")
    for url in (nobody, wrong):
        with open_pool(url, 1) as pool, told.error():
            pool.timeout = 0.2
            Doors(pool, None).local().call("first_start")
        with told.error():
            psycopg.connect(url)


def test_a_real_server_that_logs_all_it_can_writes_none_either(
    server: embedded.Server, template: str, tmp_path: Path
) -> None:
    with fresh_world(server, template) as world:
        account = world.company()
        email = world.password(world.person(account, "manager", world.store(account)), PASSWORD)
        with running(server, world.value("select current_database()"), tmp_path, LOG_LEVEL="debug") as port:
            cookie = over_http(port, email)
        log = (tmp_path / "server.log").read_text()
        for secret in (PASSWORD, WRONG, cookie, *hashes(world), *server.passwords.values()):
            assert secret not in log
            assert secret not in stored(world)


def over_http(port: int, email: str) -> str:
    """Sign in wrongly, rightly, and open a page; returns the cookie's secret."""
    cookie = ""
    for password in (WRONG, PASSWORD):
        body = urlencode({"email": email, "password": password})
        answer = ask(port, "POST", "/sign-in", body, {"Content-Type": "application/x-www-form-urlencoded", **OURS})
        cookie = (answer.getheader("set-cookie") or "").partition(";")[0]
    assert ask(port, "GET", "/voice", None, {"Cookie": cookie, "Accept": "text/html"}).status == 200
    return cookie.partition("=")[2]


def ask(port: int, method: str, path: str, body: str | None, headers: dict[str, str]) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


# The vendor's key -------------------------------------------------------------------------------------------------

REFUSALS = [
    (307, "anything"), (400, "model_not_found"), (401, "invalid_api_key"), (401, "missing_permissions"),
    (401, "quota_exceeded"), (402, "paid_plan_required"), (404, "voice_not_found"), (418, "anything"),
    (422, "anything"),
]  # fmt: skip


@dataclass
class Shop:
    """A store that speaks through the stand-in of a vendor, whose `fake.key` is the secret."""

    world: World
    fake: FakeElevenLabs
    folder: Path
    told: Listener

    def __post_init__(self) -> None:
        self.media = Folder(self.folder / "media")
        self.account = self.world.company()
        self.store = self.world.store(self.account)
        self.admin = self.world.person(self.account, "admin")
        vendor.set_up(self.world, self.media, self.account)

    def order(self, text: str) -> UUID:
        return vendor.order(self.world, self.store, self.admin, text)

    def work(self, kind: str = "speech") -> int:
        """Try each waiting job once; how many there were."""
        self.world.execute("update public.jobs set run_after = now() where status = 'pending'")
        waiting = self.world.value("select count(*) from public.jobs where status = 'pending' and kind = %s", kind)
        for _ in range(waiting):
            context = kill.claim(self.world, self.media, kind, **vendor.options(self.folder / "spool"))
            attempt.run(context, self._listening)
        return waiting

    def _listening(self, context: Context) -> Outcome | None:
        """The job's handler; what it raises is kept."""
        try:
            return HANDLERS[context.job.kind](context)
        except Exception as error:
            self.told.keep(error)
            raise


@pytest.fixture
def shop(desk: World, tmp_path: Path) -> Iterator[Shop]:
    with FakeElevenLabs() as fake, vendor.connected(fake, tmp_path / "spool"):
        fake.seconds_per_character = 0.02
        yield Shop(desk, fake, tmp_path, Listener())


def test_the_vendors_key_is_told_nowhere(
    shop: Shop,
    server: embedded.Server,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listen_to_all(caplog)
    calls_that_go_wrong(shop)
    histories_that_go_wrong(shop)
    accounts_that_go_wrong(shop)
    monkeypatch.setattr(session, "cookie", lambda: secret)
    secret = identity.open_session(shop.admin, address="127.0.0.1", agent="test")
    pages = pages_shown(shop)

    assert {request.key for request in shop.fake.requests} == {shop.fake.key}
    ended = {row["status"] for row in shop.world.rows("select distinct status from public.jobs where kind = 'speech'")}
    assert ended >= {"completed", "failed"}
    assert len(shop.fake.bill) > len(REFUSALS)
    output = capfd.readouterr()
    everything = {
        "errors": "\n".join(shop.told.seen),
        "log": caplog.text,
        "records of the log": "\n".join(str(vars(record)) for record in caplog.records),
        "output": output.out + output.err,
        "rows": stored(shop.world),
        "database's log": (server.folder / "postgres.log").read_text(errors="replace"),
        **pages,
    }
    assert "does not accept the key" in everything["errors"]
    assert "does not accept the key" in everything["rows"]
    assert "does not accept the key" in everything["page voice"]
    assert [place for place, text in everything.items() if shop.fake.key in text] == []


def calls_that_go_wrong(shop: Shop) -> None:
    """A line for each way, tried once: none of them, and a vendor that repeats the key, are left out."""
    shop.order("All goes well.")
    for kind in sorted({*get_args(Kind)} - {"refuse"}):
        always = kind in ("too_many_concurrent_requests", "system_busy")
        trouble(shop, kind, times=None if always else 1, seconds=60)
    for status, code in [*REFUSALS, (401, shop.fake.key)]:
        trouble(shop, "refuse", status=status, code=code)
    shop.work()
    shop.fake.behave()


def trouble(shop: Shop, kind: Kind, **values: Any) -> None:
    text = f"Line {len(shop.fake._troubles['text-to-speech'])}."
    shop.fake.misbehave("text-to-speech", kind, containing=text, **values)
    shop.order(text)


def histories_that_go_wrong(shop: Shop) -> None:
    """What was lost is asked for again: in vain, and then found."""
    for kind in ("lost", "html", "error", "system_busy"):
        shop.fake.misbehave("history", kind)
        shop.fake.misbehave("history-audio", kind)
    for _ in range(3):
        shop.work()
    shop.fake.behave()


def accounts_that_go_wrong(shop: Shop) -> None:
    """Too few credits, no permission, a key that was revoked: each met by a line and by the list of voices."""
    troubles: list[Callable[[Account], object]] = [
        lambda account: setattr(account, "used", account.credits),
        lambda account: account.permissions.clear(),
        lambda account: shop.fake.accounts.pop(account.key),
    ]
    for number, spoil in enumerate(troubles):
        account = shop.fake.account(shop.fake.key)
        list_voices(shop)
        shop.order(f"Account {number}.")
        spoil(account)
        shop.work()
        list_voices(shop)


def list_voices(shop: Shop) -> None:
    shop.world.execute("delete from public.jobs where kind = 'voices'")
    shop.world.job("voices")
    shop.work("voices")


def pages_shown(shop: Shop) -> dict[str, str]:
    """All that Streamlit would send of these pages, and what it keeps for the visitor."""
    st.cache_data.clear()
    shown = {}
    for page in ("voice", "jobs", "admin"):
        test = AppTest.from_file(str(SHELL), default_timeout=20)
        test.session_state["profile"] = slug(shop.world, shop.store)
        test.run().switch_page(f"../pages/{page}.py").run()
        assert not test.exception
        sent = [str(element.proto) for element in test._tree if getattr(element, "proto", None)]
        shown[f"page {page}"] = "\n".join([repr(test), *sent])
    return shown
