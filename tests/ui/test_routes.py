"""Sign-in and out, passwords, first start, demo and files, as a browser meets them over HTTP."""

import logging
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from services import identity, people
from services.config import settings
from services.database import connect
from services.jobs import worker
from services.media.folder import Folder
from tests.builders import World
from tests.ui.visitor import INSIDE, OURS, Streamlit, browser, site
from ui import gate, routes

PASSWORD = "correct horse battery"
WRONG = "The e-mail address or the password is wrong."
AWAY = "203.0.113.7"  # a network address that is not this machine
_hosts = count(1)


@pytest.fixture
def app() -> Starlette:
    routes.setup_code.cache_clear()
    return site(Streamlit())


@pytest.fixture
def host() -> str:
    """A network address no other test comes from: tries are counted by it."""
    number = next(_hosts)
    return f"10.2.{number // 250}.{number % 250}"


class Anna:
    """A manager with a password, her store and company."""

    def __init__(self, world: World) -> None:
        self.account = world.company()
        self.store = world.store(self.account)
        self.id = world.person(self.account, "manager", self.store, name="Anna")
        self.email = world.password(self.id, PASSWORD)


@pytest.fixture
def anna(shared_desk: World) -> Anna:
    return Anna(shared_desk)


def session(person: UUID) -> str:
    return identity.open_session(person, address="127.0.0.1", agent="test")


def cookie(answer) -> SimpleCookie:
    return SimpleCookie(answer.headers["set-cookie"])


def expire(world: World, person: UUID) -> None:
    world.execute("update private.sessions set expires_at = now() - interval '1 s' where person_id = %s", person)
    identity.sessions.clear()


class TestSignIn:
    def send(self, app, host, anna, **changes):
        form = {"email": anna.email, "password": PASSWORD, "next": "/voice?profile=quay"}
        return browser(app, client=host).post("/sign-in", data={**form, **changes}, headers=OURS)

    def test_the_page_asks_for_address_and_password_only(self, anna, app, host):
        page = browser(app, client=host).get("/sign-in?next=%2Fvoice")
        assert page.status_code == 200
        assert page.headers["cache-control"] == "no-store"
        assert 'name="next" value="/voice"' in page.text
        assert "Explore the demo company" not in page.text
        assert "<script" not in page.text

    def test_on_this_machine_it_offers_the_demo(self, anna, app):
        assert "Explore the demo company" in browser(app).get("/sign-in").text

    def test_what_is_right_leads_on_with_a_cookie(self, anna, app, host):
        answer = self.send(app, host, anna)
        assert (answer.status_code, answer.headers["location"]) == (303, "/voice?profile=quay")
        secret = cookie(answer)["clipdesk"].value
        assert identity.load(secret).id == anna.id
        assert identity.load(secret).address == host
        assert browser(app, secret, client=host).get("/").text == INSIDE

    def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(self, anna, app, host):
        made = cookie(self.send(app, host, anna))["clipdesk"]
        assert (made["httponly"], made["samesite"], made["path"]) == (True, "lax", "/")
        assert (made["secure"], made["domain"]) == ("", "")
        assert int(made["max-age"]) == 14 * 3600  # twelve hours, and two in which it can be renewed

    def test_behind_tls_it_is_secure_and_bound_to_the_host(self, anna, app, host, monkeypatch):
        monkeypatch.setenv("COOKIE_SECURE", "true")
        gate.settings.cache_clear()
        made = cookie(self.send(app, host, anna))
        assert list(made) == ["__Host-clipdesk"]
        made = made["__Host-clipdesk"]
        assert (made["secure"], made["httponly"], made["samesite"]) == (True, True, "lax")
        assert (made["path"], made["domain"]) == ("/", "")

    def test_a_refusal_is_the_same_whether_the_address_exists(self, anna, app, host):
        wrong = self.send(app, host, anna, password="wrong horse battery")
        unknown = self.send(app, host, anna, email="nobody@example.test")
        assert wrong.status_code == unknown.status_code == 401
        assert wrong.text.replace(anna.email, "…") == unknown.text.replace("nobody@example.test", "…")
        assert wrong.headers.keys() == unknown.headers.keys()
        for answer in (wrong, unknown):
            assert WRONG in answer.text
            assert "set-cookie" not in answer.headers

    def test_a_refusal_keeps_what_was_typed_but_the_password(self, anna, app, host):
        page = self.send(app, host, anna, password="wrong horse battery").text
        assert f'value="{anna.email}"' in page
        assert "wrong horse battery" not in page
        assert 'name="next" value="/voice?profile=quay"' in page
        assert 'id="password-error"' in page

    def test_too_many_tries_name_the_minutes(self, anna, app, host):
        for _ in range(5):
            self.send(app, host, anna, password="wrong horse battery")
        answer = self.send(app, host, anna)
        assert "Too many tries. Wait 15 min" in answer.text
        assert "set-cookie" not in answer.headers

    @pytest.mark.parametrize(
        "asked",
        ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "",
         "evil.example", " //evil.example", "\t//evil.example", "///evil.example"],
    )  # fmt: skip
    def test_it_leads_to_no_other_site(self, anna, app, host, asked):
        assert self.send(app, host, anna, next=asked).headers["location"] == "/"
        page = browser(app, client=host).get("/sign-in", params={"next": asked})
        assert 'name="next" value="/"' in page.text

    @pytest.mark.parametrize(
        "asked", ["/\t/evil.example", "/\n/evil.example", "/\r\nSet-Cookie: a=b", "/%0d%0ax", "/é"]
    )
    def test_strange_characters_cannot_leave_the_header_or_the_site(self, anna, app, host, asked):
        answer = self.send(app, host, anna, next=asked)
        location = answer.headers["location"]
        assert location.startswith("/%") or location == "/"
        assert location.isascii()
        assert location.isprintable()
        assert list(cookie(answer)) == ["clipdesk"]

    @pytest.mark.parametrize("typed", ['"><script>alert(1)</script>', "'><img src=x onerror=alert(1)>@x.y"])
    def test_nothing_typed_becomes_markup(self, anna, app, host, typed):
        page = self.send(app, host, anna, email=typed, next=f"/{typed}").text
        assert "<script" not in page
        assert "<img" not in page

    def test_an_expired_cookie_is_renewed_for_the_same_person(self, shared_desk, anna, app, host):
        secret = session(anna.id)
        expire(shared_desk, anna.id)
        answer = browser(app, secret, client=host).post(
            "/sign-in", data={"email": anna.email, "password": PASSWORD}, headers=OURS
        )
        assert cookie(answer)["clipdesk"].value == secret
        assert browser(app, secret).get("/").text == INSIDE

    def test_an_expired_cookie_of_somebody_else_is_not(self, shared_desk, anna, app, host):
        secret = session(Anna(shared_desk).id)
        shared_desk.execute("update private.sessions set expires_at = now()")
        answer = browser(app, secret, client=host).post(
            "/sign-in", data={"email": anna.email, "password": PASSWORD}, headers=OURS
        )
        assert cookie(answer)["clipdesk"].value != secret

    def test_whose_new_password_was_refused_chooses_another_before_anything_else(self, shared_desk, anna, app):
        secret = session(anna.id)
        shared_desk.execute("update private.sessions set must_change = true where person_id = %s", anna.id)
        assert browser(app, secret).get("/voice").headers["location"] == "/password"
        page = browser(app, secret).get("/password").text
        assert "too easy to guess" in page
        assert "Present password" not in page

    def test_the_database_away_is_no_wrong_password(self, anna, app, host, monkeypatch):
        monkeypatch.setattr(connect, "_current", [])
        for answer in (self.send(app, host, anna), browser(app).get("/sign-in")):
            assert answer.status_code == 503
            assert "Temporarily unavailable" in answer.text
            assert WRONG not in answer.text

    @pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"email=%00&password=%00", b"&" * 50, b"email=a%ED%A0%80b"])
    def test_a_mangled_form_is_refused_with_a_sentence(self, anna, app, host, body):
        kind = {"content-type": "application/x-www-form-urlencoded"}
        answer = browser(app, client=host).post("/sign-in", content=body, headers=OURS | kind)
        assert answer.status_code in (400, 401)
        assert "set-cookie" not in answer.headers

    def test_neither_files_nor_floods_are_taken(self, anna, app, host):
        client = browser(app, client=host)
        flood = {f"f{number}": "x" for number in range(21)}
        assert client.post("/sign-in", data=flood, headers=OURS).status_code == 400
        assert client.post("/sign-in", files={"email": b"x"}, headers=OURS).status_code == 400
        assert client.post("/sign-in", data={"email": "x" * 2_000_000}, headers=OURS).status_code == 400


FORMS = ["/sign-in", "/sign-out", "/password", "/welcome", "/start/company", "/start/demo", "/demo/enter"]


class TestForeignForms:
    @pytest.mark.parametrize("path", FORMS)
    @pytest.mark.parametrize(
        "sent",
        [
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site", "origin": "http://localhost:8501"},
            {"sec-fetch-site": ""},
            {"origin": "https://evil.example"},
            {"origin": "https://localhost:8501.evil.example"},
            {"origin": "https://evil.example//localhost:8501"},
            {"origin": "http://localhost:9999"},
            {"origin": "null"},
            {"referer": "http://localhost:8501/"},
            {},
        ],
    )
    def test_are_refused(self, shared_desk, anna, app, path, sent):
        secret = session(anna.id)
        form = {"email": anna.email, "password": PASSWORD, "everywhere": "1", "person": str(anna.id)}
        answer = browser(app, secret).post(path, data=form, headers=sent)
        assert (answer.status_code, answer.text) == (403, "This form was sent from another site.")
        assert "set-cookie" not in answer.headers
        assert browser(app, secret).get("/").text == INSIDE
        assert shared_desk.rows("select from public.jobs") == []

    @pytest.mark.parametrize("sent", [OURS, {"origin": "http://localhost:8501"}, {"sec-fetch-site": "none"}])
    def test_own_ones_are_not(self, anna, app, sent):
        answer = browser(app).post("/sign-in", data={"email": anna.email, "password": PASSWORD}, headers=sent)
        assert answer.status_code == 303

    @pytest.mark.parametrize("path", FORMS)
    def test_a_link_changes_nothing(self, shared_desk, anna, app, path):
        secret = session(anna.id)
        answer = browser(app, secret).get(path, params={"person": str(anna.id), "password": PASSWORD, "everywhere": 1})
        assert "set-cookie" not in answer.headers
        assert browser(app, secret).get("/").text == INSIDE
        assert shared_desk.rows("select from public.jobs") == []


class TestWelcome:
    @pytest.fixture
    def link(self, shared_desk, anna) -> str:
        """Ben's, with which he becomes a colleague of Anna's."""
        admin = identity.load(session(shared_desk.person(anna.account, "admin")))
        made = people.invite(
            admin, anna.account, name="Ben", email=f"ben-{uuid4()}@example.test", role="finance", profile_ids=[]
        )
        return made.link.path.get_secret_value()

    def send(self, app, link, password=PASSWORD, **changes):
        form = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
        return browser(app).post("/welcome", data={**form, "password": password, **changes}, headers=OURS)

    def test_who_follows_a_link_chooses_a_password_and_is_in(self, anna, app, link):
        for _ in range(2):
            page = browser(app).get(link)
            assert page.status_code == 200
            assert "Welcome to Clipdesk" in page.text
            assert page.headers["cache-control"] == "no-store"
            assert page.headers["referrer-policy"] == "same-origin"
        answer = self.send(app, link)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        secret = cookie(answer)["clipdesk"].value
        assert identity.load(secret).name == "Ben"
        assert browser(app, secret).get("/").text == INSIDE

    def test_used_up_it_says_so_at_once(self, anna, app, link):
        self.send(app, link)
        for answer in (browser(app).get(link), self.send(app, link)):
            assert answer.status_code == 422
            assert "This link was used before." in answer.text
            assert "set-cookie" not in answer.headers
            assert "/forgot" not in answer.text  # nobody mails here
            assert 'href="/sign-in"' in answer.text

    def test_a_short_password_is_refused_beside_its_field_and_the_link_stays_good(self, anna, app, link):
        answer = self.send(app, link, "hunter2")
        assert answer.status_code == 422
        assert 'id="password-error">A password has 10 to 200 characters.' in answer.text
        assert "hunter2" not in answer.text
        assert self.send(app, link).status_code == 303

    @pytest.mark.parametrize("changes", [{"token_hash": "x"}, {"token_hash": ""}, {"type": "recovery"}, {"type": "x"}])
    def test_what_is_no_link_is_said(self, anna, app, link, changes):
        answer = self.send(app, link, **changes)
        assert answer.status_code == 422
        assert "This link is not complete." in answer.text
        assert "set-cookie" not in answer.headers

    def test_without_anything_it_is_no_link_either(self, shared_desk, app):
        assert "This link is not complete." in browser(app).get("/welcome").text

    def test_nothing_typed_becomes_markup(self, shared_desk, app):
        nasty = '"><script>alert(1)</script>'
        page = browser(app).get("/welcome", params={"token_hash": nasty, "type": nasty}).text
        page += browser(app).post("/welcome", data={"token_hash": nasty, "type": "invite"}, headers=OURS).text
        assert "<script" not in page

    def test_the_database_away_is_no_bad_link(self, anna, app, link, monkeypatch):
        with monkeypatch.context() as away:
            away.setattr(connect, "_current", [])
            assert browser(app).get(link).status_code == self.send(app, link).status_code == 503
        assert self.send(app, link).status_code == 303

    def test_a_forgotten_password_is_nothing_to_mail_about(self, anna, app):
        assert "/forgot" not in browser(app).get("/sign-in").text
        assert browser(app).get("/forgot").headers["location"] == "/sign-in"


class TestSignOut:
    def test_ends_this_session_and_takes_the_cookie_back(self, anna, app):
        here, there = session(anna.id), session(anna.id)
        answer = browser(app, here).post("/sign-out", headers=OURS)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        gone = cookie(answer)["clipdesk"]
        assert (gone.value, gone["max-age"], gone["path"], gone["httponly"]) == ("", "0", "/", True)
        assert browser(app, here).get("/").status_code == 303
        assert browser(app, there).get("/").text == INSIDE

    def test_everywhere_ends_all(self, shared_desk, anna, app):
        secrets, other = [session(anna.id) for _ in range(3)], session(Anna(shared_desk).id)
        browser(app, secrets[0]).post("/sign-out", data={"everywhere": "1"}, headers=OURS)
        assert [browser(app, secret).get("/").status_code for secret in secrets] == [303] * 3
        assert browser(app, other).get("/").text == INSIDE

    @pytest.mark.parametrize("secret", [None, "nonsense"])
    def test_of_nobody_is_no_error(self, shared_desk, anna, app, secret):
        answer = browser(app, secret).post("/sign-out", data={}, headers=OURS)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")

    @pytest.mark.parametrize("secret", [None, "nonsense"])
    def test_everywhere_by_nobody_says_that_nothing_ended(self, shared_desk, anna, app, secret):
        answer = browser(app, secret).post("/sign-out", data={"everywhere": "1"}, headers=OURS)
        assert "sign out everywhere once more" in answer.text

    def test_behind_tls_the_browser_accepts_the_end_of_the_cookie(self, anna, app, monkeypatch):
        monkeypatch.setenv("COOKIE_SECURE", "true")
        gate.settings.cache_clear()
        gone = cookie(browser(app, session(anna.id)).post("/sign-out", headers=OURS))["__Host-clipdesk"]
        assert (gone["secure"], gone["path"], gone["domain"], gone["max-age"]) == (True, "/", "", "0")

    def test_while_the_database_is_away_nobody_believes_to_be_out(self, anna, app, monkeypatch):
        secret = session(anna.id)
        with monkeypatch.context() as away:
            away.setattr(connect, "_current", [])
            answer = browser(app, secret).post("/sign-out", headers=OURS)
        assert answer.status_code == 503
        assert "set-cookie" not in answer.headers
        assert browser(app, secret).get("/").text == INSIDE


class TestPassword:
    def test_a_short_one_is_refused_beside_its_field(self, anna, app):
        form = {"present": PASSWORD, "password": "hunter2"}
        answer = browser(app, session(anna.id)).post("/password", data=form, headers=OURS)
        assert answer.status_code == 422
        assert 'id="password-error">A password has 10 to 200 characters.' in answer.text
        assert "hunter2" not in answer.text

    def test_a_new_one_ends_the_other_sessions(self, anna, app):
        here, there = session(anna.id), session(anna.id)
        form = {"present": PASSWORD, "password": "a new long password"}
        browser(app, here).post("/password", data=form, headers=OURS)
        assert browser(app, here).get("/").text == INSIDE
        assert browser(app, there).get("/").status_code == 303

    @pytest.mark.parametrize("present", [{}, {"present": ""}, {"present": "a guess at it"}])
    def test_an_open_session_alone_cannot_change_it(self, anna, app, present):
        here, there = session(anna.id), session(anna.id)
        form = {"password": "a new long password", **present}
        answer = browser(app, here).post("/password", data=form, headers=OURS)
        assert 'id="present-error">That is not your present password.' in answer.text
        assert browser(app, there).get("/").text == INSIDE

    def test_who_has_none_is_told_so(self, shared_desk, anna, app):
        demo = shared_desk.person(anna.account, "finance")
        answer = browser(app, session(demo)).post("/password", data={"password": PASSWORD}, headers=OURS)
        assert answer.status_code == 422
        assert "There is no password to change." in answer.text

    def test_a_session_that_ended_meanwhile_leads_to_the_sign_in(self, anna, app):
        secret = session(anna.id)
        identity.sign_out(secret)
        answer = browser(app, secret, accept="*/*").post("/password", data={"password": PASSWORD}, headers=OURS)
        assert answer.status_code == 401


COMPANY = {"company": "Harbour Bakery", "store": "Quay", "code": "001", "city": "Bucharest", "name": "Ada",
           "timezone": "Europe/Bucharest", "email": "ada@example.test", "password": PASSWORD}  # fmt: skip


class TestFirstStart:
    def companies(self, world: World) -> int:
        return int(world.value("select count(*) from public.accounts where not is_demo"))

    def test_on_this_machine_no_code_is_asked_for(self, desk, app):
        assert browser(app).get("/sign-in").headers["location"] == "/start"
        page = browser(app).get("/start")
        assert "Set-up code" not in page.text
        assert "Explore the demo company" in page.text
        answer = browser(app).post("/start/company", data=COMPANY, headers=OURS)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        secret = cookie(answer)["clipdesk"].value
        assert identity.load(secret).memberships[0].role == "admin"
        assert browser(app, secret).get("/").text == INSIDE
        assert browser(app).get("/start").headers["location"] == "/sign-in"
        assert browser(app).get("/sign-in").status_code == 200

    def test_from_away_the_code_of_the_log_is(self, desk, app, caplog):
        with caplog.at_level(logging.WARNING):
            routes.announce_first_start()
        code = routes.setup_code()
        assert code in caplog.text
        client = browser(app, host="desk.example", client=AWAY)
        page = client.get("/start")
        assert "Set-up code" in page.text
        assert code not in page.text
        assert "Explore the demo company" not in page.text
        for wrong in ({}, {"setup_code": ""}, {"setup_code": code[:-1]}, {"setup_code": "ü" * 12}):
            answer = client.post("/start/company", data=COMPANY | wrong, headers=OURS)
            assert answer.status_code == 422
            assert 'id="setup_code-error">That is not the set-up code.' in answer.text
            assert 'value="Harbour Bakery"' in answer.text
            assert PASSWORD not in answer.text
            assert "set-cookie" not in answer.headers
        assert self.companies(desk) == 0
        right = client.post("/start/company", data=COMPANY | {"setup_code": f" {code} "}, headers=OURS)
        assert (right.status_code, self.companies(desk)) == (303, 1)

    def test_guessing_the_code_is_throttled(self, desk, app):
        client = browser(app, host="desk.example", client=AWAY)
        for _ in range(5):
            client.post("/start/company", data=COMPANY | {"setup_code": "guess"}, headers=OURS)
        answer = client.post("/start/company", data=COMPANY | {"setup_code": routes.setup_code()}, headers=OURS)
        assert "Too many tries. Wait 15 min" in answer.text
        assert self.companies(desk) == 0

    def test_the_code_is_random_or_the_operators(self, shared_desk, monkeypatch):
        routes.setup_code.cache_clear()
        first = routes.setup_code()
        assert routes.setup_code() == first
        routes.setup_code.cache_clear()
        assert routes.setup_code() != first
        assert len(first) >= 12
        monkeypatch.setenv("SETUP_CODE", "chosen-by-ops")
        routes.settings.cache_clear()
        routes.setup_code.cache_clear()
        assert routes.setup_code() == "chosen-by-ops"
        routes.setup_code.cache_clear()

    def test_afterwards_the_log_is_silent(self, shared_desk, anna, caplog):
        with caplog.at_level(logging.DEBUG):
            routes.announce_first_start()
        assert routes.setup_code() not in caplog.text

    def test_a_second_company_is_refused(self, desk, app):
        assert browser(app).post("/start/company", data=COMPANY, headers=OURS).status_code == 303
        again = browser(app).post("/start/company", data=COMPANY | {"email": "eve@example.test"}, headers=OURS)
        assert again.status_code == 422
        assert "already has a company. Sign in instead." in again.text
        assert "set-cookie" not in again.headers
        assert self.companies(desk) == 1

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"company": "   "}, "company"),
            ({"store": "x" * 121}, "store"),
            ({"code": "no spaces"}, "code"),
            ({"timezone": "Europe/Atlantis"}, "timezone"),
            ({"name": None}, "name"),
            ({"email": "ada"}, "email"),
            ({"password": "short"}, "password"),
            ({"password": None}, "password"),
        ],
    )
    def test_what_is_wrong_stands_beside_its_field_and_the_rest_is_kept(self, shared_desk, app, changes, field):
        before = self.companies(shared_desk)
        form = {name: value for name, value in (COMPANY | changes).items() if value is not None}
        answer = browser(app).post("/start/company", data=form, headers=OURS)
        assert answer.status_code == 422
        assert f'id="{field}-error"' in answer.text
        assert answer.text.count('role="alert"') == 1
        for name in {"company", "store", "code", "city", "name", "email"} & (form.keys() - {field}):
            assert f'name="{name}" type="{"email" if name == "email" else "text"}" value="{form[name]}"' in answer.text
        if field != "timezone":
            assert "<option selected>Europe/Bucharest" in answer.text
        assert form.get("password", PASSWORD) not in answer.text
        assert self.companies(shared_desk) == before

    def test_nothing_typed_becomes_markup(self, shared_desk, app):
        nasty = '"><script>alert(1)</script>'
        form = COMPANY | {"company": nasty, "store": nasty, "code": nasty, "city": nasty, "timezone": nasty}
        assert "<script" not in browser(app).post("/start/company", data=form, headers=OURS).text


LOCAL = {"host": "localhost:8501"}


@pytest.mark.parametrize(
    ("client", "headers", "local"),
    [
        ("127.0.0.1", LOCAL, True),
        ("::1", LOCAL, True),
        ("127.8.9.1", {"host": "127.0.0.1:8501"}, True),
        ("::1", {"host": "[::1]:8501"}, True),
        ("127.0.0.1", {"host": "LocalHost"}, True),
        # Not from this machine.
        (AWAY, LOCAL, False),
        ("10.0.0.2", {"host": "127.0.0.1"}, False),
        ("::ffff:203.0.113.7", LOCAL, False),
        ("", LOCAL, False),
        ("localhost", LOCAL, False),
        # Through a proxy on this machine, whatever it or the sender claims.
        ("127.0.0.1", LOCAL | {"x-forwarded-for": "127.0.0.1"}, False),
        ("127.0.0.1", LOCAL | {"x-forwarded-for": ""}, False),
        ("127.0.0.1", LOCAL | {"X-Real-IP": "127.0.0.1"}, False),
        ("127.0.0.1", LOCAL | {"forwarded": "for=127.0.0.1"}, False),
        ("127.0.0.1", LOCAL | {"x-forwarded-host": "localhost"}, False),
        ("127.0.0.1", LOCAL | {"x-forwarded-proto": "https"}, False),
        ("127.0.0.1", LOCAL | {"via": "1.1 proxy"}, False),
        # A name that an attacker's DNS points to this machine, or one that only looks local.
        ("127.0.0.1", {"host": "evil.example"}, False),
        ("127.0.0.1", {"host": "localhost.evil.example"}, False),
        ("127.0.0.1", {"host": "127.0.0.1.evil.example"}, False),
        ("127.0.0.1", {"host": "evil.example@localhost"}, False),
        ("127.0.0.1", {"host": "localhost:8501@evil.example"}, False),
        ("127.0.0.1", {"host": "localhost:x"}, False),
        ("127.0.0.1", {"host": "0.0.0.0:8501"}, False),
        ("127.0.0.1", {"host": "192.168.1.5:8501"}, False),
        ("127.0.0.1", {"host": "["}, False),
        ("127.0.0.1", {"host": ""}, False),
        ("127.0.0.1", {}, False),
    ],
)
def test_only_this_machine_counts_as_loopback(shared_desk, client, headers, local):
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "scheme": "http", "path": "/start", "query_string": b"", "headers": raw,
             "server": ("127.0.0.1", 8501), "client": (client, 50_000) if client else None}  # fmt: skip
    assert routes.on_loopback(Request(scope)) is local


def test_behind_tls_nobody_counts_as_loopback(shared_desk, monkeypatch):
    """A proxy may send neither a header of its own nor the name that was asked for."""
    monkeypatch.setenv("COOKIE_SECURE", "true")
    routes.settings.cache_clear()
    scope = {"type": "http", "headers": [(b"host", b"127.0.0.1:8501")], "client": ("127.0.0.1", 50_000)}
    assert not routes.on_loopback(Request(scope))


@pytest.mark.parametrize("client", [{"client": AWAY}, {"host": "desk.example"}, {"x_forwarded_for": "127.0.0.1"}])
class TestDemoFromAway:
    @pytest.fixture
    def actor(self, desk: World) -> UUID:
        return desk.person(desk.company("Demo", is_demo=True), "admin")

    def test_nobody_enters(self, desk, app, actor, client):
        answer = browser(app, **client).post("/demo/enter", data={"person": str(actor)}, headers=OURS)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert "set-cookie" not in answer.headers
        assert desk.rows("select from private.sessions") == []

    def test_nobody_sees_who_is_there(self, app, actor, client):
        answer = browser(app, **client).get("/demo")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")

    def test_nobody_orders_it(self, shared_desk, app, client):
        browser(app, **client).post("/start/demo", headers=OURS)
        assert shared_desk.rows("select from public.jobs") == []


class TestDemo:
    @pytest.fixture
    def actor(self, desk: World) -> UUID:
        demo = desk.company("Demo", is_demo=True)
        return desk.person(demo, "manager", desk.store(demo, "Quay"), name="Mia <b>Bold</b>")

    def enter(self, app: Starlette, person: object):
        return browser(app).post("/demo/enter", data={"person": str(person)}, headers=OURS)

    def test_its_people_are_entered_with_one_click(self, desk, app, actor):
        page = browser(app).get("/demo").text
        assert "Mia &lt;b&gt;Bold&lt;/b&gt;" in page
        assert f'value="{actor}"' in page
        assert "Quay" in page
        answer = self.enter(app, actor)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert identity.load(cookie(answer)["clipdesk"].value).memberships[0].is_demo

    def test_nobody_else_is(self, desk, app, actor):
        real = desk.company("Real")
        admin = desk.person(real, "admin")
        desk.insert("public.members", account_id=real, person_id=actor, role="admin")
        for person in (admin, desk.person(None), uuid4(), actor, "", "x", "\0", f"{admin} ", f"{{{admin}}}"):
            answer = self.enter(app, person)
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
            assert "set-cookie" not in answer.headers
        assert desk.rows("select from private.sessions") == []

    def test_who_was_deactivated_is_refused_with_a_sentence(self, desk, app, actor):
        desk.execute("update public.people set deactivated_at = now()")
        answer = self.enter(app, actor)
        assert answer.status_code == 500
        assert "This account is not active." in answer.text
        assert "set-cookie" not in answer.headers

    def test_is_ordered_once_and_shows_its_progress(self, desk, app):
        assert browser(app).get("/demo").headers["location"] == "/sign-in"
        for _ in range(2):
            answer = browser(app).post("/start/demo", headers=OURS)
            assert (answer.status_code, answer.headers["location"]) == (303, "/demo")
        assert [row["kind"] for row in desk.rows("select kind from public.jobs")] == ["demo"]
        desk.execute("update public.jobs set status = 'running', progress = 0.4, message = 'Speaking line 2 of 5'")
        page = browser(app).get("/demo").text
        assert "Speaking line 2 of 5" in page
        assert 'value="0.4"' in page
        assert 'http-equiv="refresh"' in page

    def test_a_failure_says_why_and_offers_it_again(self, desk, app):
        browser(app).post("/start/demo", headers=OURS)
        desk.execute("update public.jobs set status = 'failed', error = 'The disk is <full>.'")
        page = browser(app).get("/demo")
        assert page.status_code == 500
        assert "The disk is &lt;full&gt;." in page.text
        assert "Explore the demo company" in page.text
        browser(app).post("/start/demo", headers=OURS)
        assert desk.value("select count(*) from public.jobs where status = 'pending'") == 1

    def test_with_it_the_first_company_can_still_be_made(self, desk, app, actor):
        assert browser(app).get("/sign-in").status_code == 200
        assert browser(app).get("/start").status_code == 200
        assert browser(app).post("/start/company", data=COMPANY, headers=OURS).status_code == 303


AUDIO = bytes(range(256)) * 40


class TestSpeechFile:
    @pytest.fixture
    def speech(self, shared_desk: World, anna: Anna) -> UUID:
        return self.make(shared_desk, anna)

    def make(self, world: World, anna: Anna, **changes) -> UUID:
        made = uuid4()
        values = {
            "id": made, "account_id": anna.account, "profile_id": anna.store, "text": "Fresh bread at six, every day!",
            "content_hash": "h", "provider": "practice", "model": "premium", "voice": "heart", "settings": {},
            "format": "mp3", "characters": 30, "duration_seconds": 1, "bytes": len(AUDIO),
            "media_path": f"speech/{made}.mp3", "cost_usd": 0, **changes,
        }  # fmt: skip
        world.insert("public.speech_assets", **values)
        path: Path = Folder(settings().media_folder).path(values["media_path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(AUDIO)
        return made

    def get(self, app: Starlette, person: UUID, speech: object, query: str = "", **headers: str):
        return browser(app, session(person), **headers).get(f"/files/speech/{speech}{query}")

    @pytest.mark.parametrize("who", ["manager", "admin", "finance"])
    def test_is_for_whoever_may_read_the_speech(self, shared_desk, anna, app, speech, who):
        person = anna.id if who == "manager" else shared_desk.person(anna.account, who)
        answer = self.get(app, person, speech)
        assert (answer.status_code, answer.content) == (200, AUDIO)
        assert answer.headers["content-type"] == "audio/mpeg"
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "content-disposition" not in answer.headers

    @pytest.mark.parametrize("who", ["other store's manager", "storeless manager", "other company's admin", "stranger"])
    def test_for_others_it_does_not_exist(self, shared_desk, anna, app, speech, who):
        company, role, *stores = {
            "other store's manager": (anna.account, "manager", shared_desk.store(anna.account)),
            "storeless manager": (anna.account, "manager"),
            "other company's admin": (shared_desk.company(), "admin"),
            "stranger": (None, "manager"),
        }[who]
        person = shared_desk.person(company, role, *stores)
        answer, nothing = self.get(app, person, speech), self.get(app, person, uuid4())
        assert answer.status_code == nothing.status_code == 404
        assert answer.content == nothing.content == b"Not found."

    def test_anonymous_learns_nothing(self, anna, app, speech):
        for path in (f"/files/speech/{speech}", f"/files/speech/{uuid4()}"):
            assert browser(app, accept="audio/*").get(path).status_code == 401
            assert browser(app).get(path).status_code == 303

    def test_the_route_itself_checks_too(self, shared_desk, anna, speech):
        bare = Starlette(routes=routes.ROUTES)
        assert browser(bare).get(f"/files/speech/{speech}").status_code == 401
        assert browser(bare, "nonsense").get(f"/files/speech/{speech}").status_code == 401

    @pytest.mark.parametrize("name", ["x", "1", "..%5c..%5capp.py", "%00", "' or 1=1", "0" * 400, "é"])
    def test_a_malformed_id_is_not_found(self, anna, app, name):
        assert self.get(app, anna.id, name).status_code == 404

    def test_deleted_speech_is_not_found(self, shared_desk, anna, app):
        speech = self.make(shared_desk, anna, deleted_at=datetime.now(UTC))
        assert self.get(app, anna.id, speech).status_code == 404

    def test_a_lost_file_is_not_found(self, anna, app, speech):
        Folder(settings().media_folder).path(f"speech/{speech}.mp3").unlink()
        assert self.get(app, anna.id, speech).status_code == 404

    @pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "speech/../../x"])
    def test_a_row_cannot_name_a_file_outside_the_media_folder(self, shared_desk, anna, app, path, tmp_path):
        speech = self.make(shared_desk, anna)
        shared_desk.execute("update public.speech_assets set media_path = %s where id = %s", f"{path}{uuid4()}", speech)
        assert self.get(app, anna.id, speech).status_code == 404

    def test_parts_can_be_asked_for(self, anna, app, speech):
        answer = self.get(app, anna.id, speech, range="bytes=100-199")
        assert (answer.status_code, answer.content) == (206, AUDIO[100:200])
        assert answer.headers["content-range"] == f"bytes 100-199/{len(AUDIO)}"
        assert self.get(app, anna.id, speech, range="bytes=-10").content == AUDIO[-10:]
        assert self.get(app, anna.id, speech, range="bytes=99999-").status_code == 416

    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("Fresh bread at six, every day!", "fresh-bread-at-six-every-day.mp3"),
            ('a"; filename="evil.exe', "a-filename-evil-exe.mp3"),
            ("../../etc/passwd\r\nSet-Cookie: a=b", "etc-passwd-set-cookie-a-b.mp3"),
            ("パン屋 🍞", "speech.mp3"),
            ("x" * 500, "x" * 60 + ".mp3"),
        ],
    )
    def test_a_download_has_a_plain_name(self, shared_desk, anna, app, text, name):
        answer = self.get(app, anna.id, self.make(shared_desk, anna, text=text), "?download=1")
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert "set-cookie" not in answer.headers

    def test_wav_is_named_as_what_it_is(self, shared_desk, anna, app):
        answer = self.get(app, anna.id, self.make(shared_desk, anna, format="wav"), "?download=1")
        assert answer.headers["content-type"] == "audio/wav"
        assert answer.headers["content-disposition"].endswith('.wav"')

    def test_who_was_deactivated_hears_nothing_although_still_remembered(self, shared_desk, anna, app, speech):
        secret = session(anna.id)
        assert identity.load(secret)
        shared_desk.execute("update public.people set deactivated_at = now() where id = %s", anna.id)
        assert browser(app, secret).get(f"/files/speech/{speech}").status_code == 404

    def test_the_database_away_is_not_not_found(self, anna, app, speech, monkeypatch):
        secret = session(anna.id)
        identity.load(secret)
        monkeypatch.setattr(connect, "_current", [])
        assert browser(app, secret).get(f"/files/speech/{speech}").status_code == 503


class TestHealth:
    @pytest.fixture(autouse=True)
    def _without_a_worker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(worker, "_inside", [])

    def test_is_well_while_the_database_answers(self, shared_desk, app):
        answer = browser(app, client=AWAY).get("/healthz")
        assert (answer.status_code, answer.json()) == (200, {"database": True})

    def test_is_not_when_it_does_not(self, shared_desk, app, monkeypatch):
        monkeypatch.setattr(connect, "_current", [])
        answer = browser(app).get("/healthz")
        assert (answer.status_code, answer.json()) == (503, {"database": False})
